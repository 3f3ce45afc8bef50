"""What a report is about: a trace, the questions it is asked, and what each came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.errors import UsageError
from workbench.measure import Answer, answer, is_pair, measured_metrics, metrics, setting_matrix
from workbench.replay import Device, Settings

if TYPE_CHECKING:
    import pandas as pd

    from workbench.replay import Replay
    from workbench.trace import Trace

Entries = Mapping[str, Mapping[str, Any]]
"""Metrics by name, each ``{value, unit}`` and a reason where it has no value."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """One question, and the metrics it came to; none where it was refused."""

    answer: Answer
    entries: Entries

    @property
    def run(self) -> Replay | None:
        """The replay that answers it, if one does."""
        return self.answer.run

    @property
    def label(self) -> str:
        """The question, as the settings it changes."""
        return self.answer.label

    def number(self, name: str) -> float | None:
        """Give a metric's value; None where it has none."""
        value = self.entries.get(name, {}).get("value")
        return value if isinstance(value, int | float) else None

    def count(self, *names: str) -> float:
        """Add up metrics; one that has no value counts as 0."""
        return sum(self.number(name) or 0 for name in names)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """A trace and its answers.

    Attributes
    ----------
    captured
        The trace as captured.
    baseline
        Without free page reporting; or with it, where it was off.
    asked
        The settings the caller asked about, if others than these.
    pair
        Live captures of one scenario, reporting on and off, if two were given.
    matrix
        Every combination of poison and reporting, from `setting_matrix`, if that was asked for.
    """

    trace: Trace
    captured: Found
    baseline: Found
    asked: Found | None
    pair: tuple[Trace, Trace] | None
    matrix: pd.DataFrame | None

    @property
    def all(self) -> tuple[Found, ...]:
        """Give every question, as captured first."""
        asked = () if self.asked is None else (self.asked,)
        return (self.captured, self.baseline, *asked)

    @property
    def answered(self) -> tuple[Found, ...]:
        """Give the questions that were answered."""
        return tuple(found for found in self.all if not found.answer.reasons)

    @property
    def runs(self) -> tuple[Replay, ...]:
        """Give the replays, as captured first."""
        return tuple(found.run for found in self.all if found.run is not None)


def find(
    trace: Trace, asked: Settings, other: Trace | None = None, *, combine: bool = False
) -> Findings:
    """Ask a trace what a report says of it.

    Parameters
    ----------
    asked
        What the caller would like to change; nothing is asked twice.
    other
        The same scenario, captured live with reporting off if it was on, or on if it was off.
    combine
        Whether to replay every combination of poison and reporting too.

    Raises
    ------
    UsageError
        The two traces are no pair.
    InputError
        A trace is damaged.
    """
    pair = None if other is None else _pair(trace, other)
    reporting = may_report(trace)
    baseline = Settings(device=Device(free_page_reporting=not reporting))
    if other is None:
        compared = answer(trace, baseline)
    else:
        compared = Answer(trace=trace, settings=baseline, partner=other)
    is_new = asked.changed and (asked != baseline or other is not None)
    return Findings(
        trace=trace,
        captured=found_by(answer(trace, Settings())),
        baseline=found_by(compared),
        asked=found_by(answer(trace, asked)) if is_new else None,
        pair=pair,
        matrix=setting_matrix(trace) if combine else None,
    )


def may_report(trace: Trace) -> bool:
    """Tell whether any guest of the trace may have reported free pages."""
    machines = trace.manifest.virtual_machines
    return any(machine.device.free_page_reporting is not False for machine in machines)


def _pair(trace: Trace, other: Trace) -> tuple[Trace, Trace]:
    """Give the half with reporting on, and then the other."""
    for on, off in ((trace, other), (other, trace)):
        if is_pair(on, off):
            return on, off
    raise UsageError(
        f"{trace.name} and {other.name} are no measured pair: they must be captures of one "
        "scenario, one with reporting on and one with it off, and alike in everything else"
    )


def found_by(answer: Answer) -> Found:
    """Give an answer with its metrics; what was measured has the names that a replay gives it."""
    entries: Entries = {}
    if answer.run is not None:
        entries = metrics(answer.run)
    elif answer.partner is not None:
        measured = measured_metrics(answer.partner)
        entries = {name.removeprefix("measured_"): entry for name, entry in measured.items()}
    return Found(answer=answer, entries=entries)
