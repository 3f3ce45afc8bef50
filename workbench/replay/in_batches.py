"""Replay a trace of any size in bounded memory, batch by batch.

What every batch does is what all events at once would do.  What needs all of a trace at once is
refused: a guest that is placed anew, what is free in one that reports, and memory that is read
from the capture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.errors import UsageError
from workbench.replay.decisions import happened, whole_batches
from workbench.replay.door import lineage_of_files
from workbench.replay.event_counts import DecisionCounts, EventCounts, late_notes
from workbench.replay.facts import FactsSoFar
from workbench.replay.identify import Identifiable, UnanswerableError, is_placed, judge
from workbench.replay.memory import host_notes
from workbench.replay.model_error import ErrorSoFar
from workbench.replay.placement import knows_what_is_free
from workbench.replay.settings import Settings
from workbench.replay.tallies import COLUMNS, MachineTallies, ServedMachines
from workbench.schema import EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import numpy.typing as npt

    from workbench.replay.decisions import Happened
    from workbench.replay.facts import TraceFacts
    from workbench.replay.tallies import Tallied
    from workbench.trace import Trace

ROWS_AT_ONCE: Final = 1 << 18
"""Events of a batch: some 100 MB with all that is worked out for them."""


class ReplayInBatches:
    """A replay of a trace, whose batches are given one after the other, once.

    Parameters
    ----------
    row_count
        Events of the trace for each batch.
    progress
        Called with the number of events that were replayed since the last call: each is twice, as
        captured and under the settings, where these are others.

    """

    def __init__(
        self,
        trace: Trace,
        settings: Settings,
        *,
        row_count: int = ROWS_AT_ONCE,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.trace = trace
        self.settings = settings
        self._row_count = row_count
        self._progress = progress or (lambda _: None)
        self._as_captured = MachineTallies(trace, Settings())
        self._otherwise: MachineTallies | None = None
        self._served: ServedMachines | None = None
        self._facts = FactsSoFar(trace)
        self._error = ErrorSoFar(trace, self.initial_resident_pages, self.initial_swapped_pages)
        self._differences = DecisionCounts()
        self._counts = EventCounts()
        self._is_begun = False

    @property
    def initial_resident_pages(self) -> npt.NDArray[np.int64]:
        """Of each machine, before its first event, in pages of 4 KiB.  Shape (vm,)."""
        return self._as_captured.initial_resident_pages

    @property
    def initial_swapped_pages(self) -> npt.NDArray[np.int64]:
        """Likewise."""
        return self._as_captured.initial_swapped_pages

    def batches(self) -> Iterator[Tallied]:
        """Replay, and give what came of each batch under the settings.

        That the trace can answer is known once it was read: what was given before counts only if
        no error follows.

        Raises
        ------
        UnanswerableError
            The trace does not hold what the answer needs, or all of it is needed at once.
        InputError
            The trace is damaged.
        UsageError
            They were given already.
        """
        if self._is_begun:
            raise UsageError("the batches of a replay are given once; make another ReplayInBatches")
        self._is_begun = True
        if self.settings.host.is_chosen:
            self._served = ServedMachines(self.trace, self.settings)
        elif not self.settings.runs_as_captured:
            self._otherwise = MachineTallies(self.trace, self.settings)
        for events in self._events():
            tallied = self._replay(events)
            self._counts.add_tallied(tallied)
            yield tallied
        self._refuse()

    def _events(self) -> Iterator[Happened]:
        names = [*COLUMNS, *(["duration_ns"] if self._error.needs_rows else [])]
        for columns in whole_batches(
            self.trace.batches(EVENTS.name, names, row_count=self._row_count)
        ):
            yield happened(columns)
            self._progress(columns["kind"].size)

    def _replay(self, events: Happened) -> Tallied:
        """Replay events as captured, and as asked for, and give what came of them then."""
        replayed = self._as_captured.apply(
            events, keeps_ledger=self._error.needs_rows, served=self._served
        )
        if self._error.needs_rows:
            self._error.add(events.columns, replayed.ledger)
        self._facts.add_tallied(replayed.tallied)
        self._differences.add_tallied(replayed.tallied, events.decisions)
        if self.settings.runs_as_captured:
            return replayed.tallied
        self._progress(events.columns["kind"].size)
        if self._otherwise is not None:
            return self._otherwise.apply(events).tallied
        return replayed.served or replayed.tallied

    def _refuse(self) -> None:
        facts, settings = self._facts.facts(), self.settings
        judged = judge(facts, settings)
        reasons = (*judged.reasons, *_needs_all(facts, settings))
        if reasons:
            refused = Identifiable(answerable=False, reasons=reasons, notes=judged.notes)
            raise UnanswerableError(self.trace.name, refused, self._error.document())

    def to_dict(self) -> dict[str, Any]:
        """Give what is known once all batches were given, as JSON takes it."""
        captured = self._differences.to_dict()
        notes = late_notes(self._counts.surprises, captured["surprises"])
        if self._served is not None:
            unmet_bytes = self._served.host.unmet_bytes
            host = host_notes(self.trace, self.settings, None, unmet_bytes)
            notes = [*host, *notes]
        identifiable = judge(self._facts.facts(), self.settings).noting(notes)
        return {
            "lineage": lineage_of_files(self.trace, self.settings),
            "settings": self.settings.model_dump(),
            "identifiable": identifiable.to_dict(),
            "model_error": self._error.document(),
            "events": {**self._counts.to_dict(), "as_captured": captured},
        }


def _needs_all(facts: TraceFacts, settings: Settings) -> list[str]:
    """Say why the question takes all of a trace at once, if it does."""
    machines = facts.machines
    reasons = [
        f"{machine.name} came or ended during the capture (or slice the trace to before or after)"
        for machine in machines
        if not machine.is_whole
    ]
    if any(is_placed(machine, settings) for machine in machines):
        reasons.append("what a guest takes and gives back is placed anew")
    if settings.device.free_page_hint is False and any(machine.hinted for machine in machines):
        reasons.append("hints are left out")
    if settings.host.is_chosen and any(map(knows_what_is_free, machines)):
        reasons.append("what is free in a guest that reports is known from all that it does")
    reads_limit = settings.host.memory_bytes is None and not settings.runs_as_captured
    if facts.swaps and reads_limit:
        reasons.append("how much memory the host had is read from it (or name host.memory_bytes)")
    return [f"{reason}: that takes all of the trace at once" for reason in reasons]
