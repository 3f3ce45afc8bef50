"""Whether recordings can be laid beside each other: their spans, their clocks, and the step."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.quantity import time_text
from workbench.study.rules import WrongStudyError
from workbench.study.timeline import span_of
from workbench.trace import GuestSeries
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from workbench.study.study import GuestKind, Study
    from workbench.study.toml_lines import Place
    from workbench.trace import Trace

_LEAST_STEPS: Final = 2
"""Of one moment nobody can say for which share of time memory is enough."""

_MOST_MOMENTS: Final = 1_000_000
"""A week at 0.6 s: no monitoring samples so often, and each guest takes 4 MB under each setting."""

_FIRST_DATE_NS: Final = 100_000_000 * NANOSECONDS
"""In 1973: earlier times count from some start, later ones from 1970."""


class _Recording(NamedTuple):
    """One member of a kind, and from when to when it was seen."""

    kind: GuestKind
    number: int
    member: GuestSeries | Trace
    start_ns: int
    stop_ns: int

    @property
    def place(self) -> Place:
        """Where its kind is in a study file."""
        return ("guest", self.number, "series" if self.is_series else "trace")

    @property
    def is_series(self) -> bool:
        """Whether it is of samples."""
        return isinstance(self.member, GuestSeries)

    @property
    def has_dates(self) -> bool:
        """Whether its times count from 1970."""
        return self.is_series and self.start_ns >= _FIRST_DATE_NS

    @property
    def name(self) -> str:
        """Name it with its kind."""
        return f"{self.member.name} of guest {self.kind.name!r}"

    @property
    def clock(self) -> str:
        """What its times are."""
        if not self.is_series:
            return "count from the boot of a host"
        return "are dates" if self.has_dates else "count from a start of their own"


def check_clocks(study: Study) -> None:
    """Refuse recordings that cannot be laid beside each other.

    Raises
    ------
    WrongStudyError
        One is shorter than a step, there are too few or too many steps, one is shifted by a part of
        a step, or those that are taken as recorded have no time in common.
    """
    recordings = [
        _Recording(kind, index, member, *span_of(member))
        for index, kind in enumerate(study.guests)
        for member in kind.members
    ]
    _check_step(study, recordings)
    _check_shifts(study)
    recorded = [each for each in recordings if each.kind.is_recorded]
    if recorded:
        _check_one_clock(recorded)
        _check_window(study, recorded)


def _check_step(study: Study, recordings: list[_Recording]) -> None:
    step_ns = study.step_ns
    shortest = min(recordings, key=lambda each: each.stop_ns - each.start_ns)
    longest = max(recordings, key=lambda each: each.stop_ns - each.start_ns)
    for recording, least in ((shortest, 1), (longest, _LEAST_STEPS)):
        length_ns = recording.stop_ns - recording.start_ns
        if length_ns < least * step_ns:
            raise WrongStudyError(
                f"step is {time_text(step_ns)}, and {recording.name} lasts "
                f"{time_text(length_ns)}, expected at least {least} of them; take a shorter step",
                ("step",),
                recording.place,
            )
    moments = (longest.stop_ns - longest.start_ns) // step_ns
    if moments > _MOST_MOMENTS:
        raise WrongStudyError(
            f"step is {time_text(step_ns)}, which are {moments:,} of {longest.name}, expected "
            f"{_MOST_MOMENTS:,} at most; take a longer step",
            ("step",),
            longest.place,
        )


def _check_shifts(study: Study) -> None:
    """Refuse a shift by a part of a step: memory is added up at whole ones."""
    for index, kind in enumerate(study.guests):
        if kind.shift_ns % study.step_ns:
            raise WrongStudyError(
                f"guest {kind.name!r} has shift {time_text(kind.shift_ns)}, and step is "
                f"{time_text(study.step_ns)}, expected a whole number of steps; correct the shift, "
                "or set a step that divides it",
                ("guest", index, "shift"),
                ("step",),
            )


def _check_one_clock(recorded: list[_Recording]) -> None:
    first = recorded[0]
    for other in recorded:
        if other.clock != first.clock:
            raise WrongStudyError(
                f"the times of {first.name} {first.clock}, and those of {other.name} "
                f"{other.clock}, expected one clock where the phase is recorded; export all with "
                "UNIX time, set clock_offset, or take phase random",
                other.place,
                first.place,
            )


def _check_window(study: Study, recorded: list[_Recording]) -> None:
    last = max(recorded, key=lambda each: each.start_ns)
    first = min(recorded, key=lambda each: each.stop_ns)
    if first.stop_ns - last.start_ns < _LEAST_STEPS * study.step_ns:
        raise WrongStudyError(
            f"{first.name} ends at {_moment(first, first.stop_ns)} and {last.name} begins at "
            f"{_moment(last, last.start_ns)}, expected {_LEAST_STEPS} steps of "
            f"{time_text(study.step_ns)} or more in common where the phase is recorded; set the "
            "clock_offset of the one whose clock is wrong, or take phase random",
            last.place,
            first.place,
        )


def _moment(recording: _Recording, time_ns: int) -> str:
    if not recording.has_dates:
        return f"{time_ns / NANOSECONDS:,.0f} s"
    moment = dt.datetime.fromtimestamp(time_ns // NANOSECONDS, dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
