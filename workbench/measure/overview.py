"""The questions a set of traces is asked by `workbench demo`, and the answer to each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from workbench.measure.measured import measured_metrics
from workbench.measure.metrics import metrics
from workbench.measure.pairs import find_on, find_pair, never_reports, reports
from workbench.model import PAGE_POISON_VAL
from workbench.replay import Device, Guest, Settings, UnanswerableError, replay

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workbench.replay import Replay
    from workbench.trace import Trace


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One question to one trace: `run`, `partner` or `reasons` says how it went."""

    trace: Trace
    settings: Settings
    run: Replay | None = None
    """The replay that answers it."""
    partner: Trace | None = None
    """The live capture with reporting off that answers it."""
    reasons: tuple[str, ...] = ()
    """Why neither can."""

    @property
    def label(self) -> str:
        """The question, as the settings it changes."""
        return self.settings.label

    @property
    def answered_by(self) -> Literal["replay", "measured pair", "refused"]:
        """Name what answers it."""
        if self.run is not None:
            return "replay"
        return "refused" if self.partner is None else "measured pair"

    @cached_property
    def numbers(self) -> dict[str, object]:
        """The numbers: metrics of the replay, or of the measured partner under the same names."""
        if self.run is not None:
            return {name: entry["value"] for name, entry in metrics(self.run).items()}
        if self.partner is not None:
            measured = measured_metrics(self.partner)
            return {
                name.removeprefix("measured_"): entry["value"] for name, entry in measured.items()
            }
        return {}


def overview(traces: Sequence[Trace]) -> Iterator[Answer]:
    """Ask every trace what it can be asked at this stage, one answer at a time."""
    for trace in traces:
        as_captured = answer(trace, Settings())
        yield as_captured
        if reports(trace):
            yield answer(trace, Settings(guest=Guest(poison_val=_other_poison(as_captured))))
            yield _ask_reporting(trace, on=False, partner=find_pair(trace, traces))
        elif never_reports(trace) and find_on(trace, traces) is None:
            yield _ask_reporting(trace, on=True, partner=None)


def _other_poison(as_captured: Answer) -> int:
    """Ask a poisoned guest for a value of 0, and every other for the pattern."""
    skipped = as_captured.numbers.get("skipped_poisoned")
    return 0 if skipped else PAGE_POISON_VAL


def _ask_reporting(trace: Trace, *, on: bool, partner: Trace | None) -> Answer:
    settings = Settings(device=Device(free_page_reporting=on))
    if partner is not None:
        return Answer(trace=trace, settings=settings, partner=partner)
    return answer(trace, settings)


def answer(trace: Trace, settings: Settings) -> Answer:
    """Replay a trace under these settings, or say why it cannot tell."""
    try:
        return Answer(trace=trace, settings=settings, run=replay(trace, settings=settings))
    except UnanswerableError as error:
        return Answer(
            trace=trace, settings=settings, reasons=in_common(trace, error.identifiable.reasons)
        )


def in_common(trace: Trace, reasons: Sequence[str]) -> tuple[str, ...]:
    """Give the reasons without the machines' names: machines of one trace mostly share them."""
    heads = tuple(f"{machine.name}: " for machine in trace.manifest.virtual_machines)
    shortened = [
        reason.removeprefix(next((head for head in heads if reason.startswith(head)), ""))
        for reason in reasons
    ]
    return tuple(dict.fromkeys(shortened))
