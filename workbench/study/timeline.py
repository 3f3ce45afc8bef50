"""The moments at which the memory of all guests is added up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.measure.residency import span_ns
from workbench.trace import GuestSeries

if TYPE_CHECKING:
    from workbench.study.study import Study
    from workbench.trace import Trace


_TRACE_STEPS: Final = 4096
"""Moments of a trace: more than a chart of it has columns."""


class Timeline(NamedTuple):
    """Moments that are a step apart.

    Attributes
    ----------
    step_ns
        From one to the next.
    moments
        How many there are.
    start_ns
        When the first one is, by the clock of the recorded guests; None if all begin at random.
    """

    step_ns: int
    moments: int
    start_ns: int | None = None


class Span(NamedTuple):
    """When a guest was seen: from `start_ns` until `stop_ns`."""

    start_ns: int
    stop_ns: int

    def moments(self, step_ns: int) -> int:
        """Say how many whole steps there are in it; what is shorter than one counts as one."""
        return max((self.stop_ns - self.start_ns) // step_ns, 1)


def span_of(member: GuestSeries | Trace) -> Span:
    """Say when a guest was seen.

    A sample holds until the next one: the last for as long as most do, the median of them.
    """
    if isinstance(member, GuestSeries):
        time_ns = member.columns["time_ns"]
        return Span(int(time_ns[0]), int(time_ns[-1]) + member.interval_ns)
    events_ns = member.columns("events")["time_ns"]
    return Span(*span_ns(member.manifest, int(events_ns[-1]) if events_ns.size else None))


def step_of_trace(trace: Trace) -> int:
    """Choose a step where no series says how often guests are looked at, in ns."""
    return max(trace.manifest.duration_ns // _TRACE_STEPS, 1)


def timeline_of(study: Study) -> Timeline:
    """Choose the moments of a study.

    If all guests begin at random moments there is no common clock, and the moments are those of the
    guest that was seen longest.  Else they are those in which all recorded guests were seen.
    """
    step_ns = study.step_ns
    recorded = [
        span_of(member) for kind in study.guests if kind.is_recorded for member in kind.members
    ]
    if not recorded:
        spans = (span_of(member) for kind in study.guests for member in kind.members)
        return Timeline(step_ns, max(span.moments(step_ns) for span in spans))
    start_ns = max(span.start_ns for span in recorded)
    stop_ns = min(span.stop_ns for span in recorded)
    return Timeline(step_ns, Span(start_ns, stop_ns).moments(step_ns), start_ns)
