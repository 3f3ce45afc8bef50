"""All machines of a trace, replayed one after the other, at once or batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.replay.decisions import happened, whole_batches
from workbench.replay.ledger import Ledger, merge_ledgers
from workbench.replay.machine import Machine, require_room
from workbench.replay.settings import Settings
from workbench.schema import EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from workbench.model import Ledger as MachineLedger
    from workbench.replay.decisions import Happened
    from workbench.trace import Trace
    from workbench.trace.reader import Columns


class TraceRun(NamedTuple):
    """All machines of a trace, replayed.  Arrays of shape (vm,)."""

    ledger: Ledger
    initial_resident_pages: npt.NDArray[np.int64]
    initial_swapped_pages: npt.NDArray[np.int64]
    final_held_pages: npt.NDArray[np.int64]


class Machines:
    """All machines of a trace, as far as their events were replayed.

    Attributes
    ----------
    initial_resident_pages, initial_swapped_pages
        Of each machine, before its first event.
    machines
        Each of them.
    """

    def __init__(self, trace: Trace, settings: Settings) -> None:
        require_room(trace)
        vms = range(len(trace.manifest.virtual_machines))
        self.machines = [Machine(trace, vm, settings) for vm in vms]
        self._applied = 0
        self.initial_resident_pages = np.array(
            [machine.resident_pages for machine in self.machines], np.int64
        )
        self.initial_swapped_pages = np.array(
            [machine.swapped_pages for machine in self.machines], np.int64
        )

    def apply(self, happened: Happened) -> Ledger:
        """Replay the next events, and say what they did.

        Raises
        ------
        InputError
            A row cannot be: memory that a machine does not have.
        """
        rows, ledgers = self._apply(happened, happened.columns["vm"].size)
        return merge_ledgers(happened.columns, rows, ledgers)

    def advance(self, happened: Happened, stop: int) -> None:
        """Replay the next events, but only the first of them, up to `stop`.

        Raises
        ------
        InputError
            A row cannot be: memory that a machine does not have.
        """
        self._apply(happened, stop)

    def _apply(
        self, happened: Happened, stop: int
    ) -> tuple[list[npt.NDArray[np.intp]], list[MachineLedger]]:
        rows = _rows_of_each(happened.columns["vm"][:stop], len(self.machines))
        ledgers = [
            machine.apply(happened, own, self._applied)
            for machine, own in zip(self.machines, rows, strict=True)
        ]
        self._applied += stop
        return rows, ledgers

    @property
    def held_pages(self) -> npt.NDArray[np.int64]:
        """Host pages that each machine uses now."""
        return np.array([machine.held_pages for machine in self.machines], np.int64)


def _rows_of_each(vm: npt.NDArray[np.int64], count: int) -> list[npt.NDArray[np.intp]]:
    """Give the rows of each of so many machines, in order: by one sort, however many there are."""
    # Small numbers are sorted by their digits, which takes no longer for more of them.
    digits = vm.astype(np.int16) if count <= np.iinfo(np.int16).max else vm
    order = np.argsort(digits, kind="stable")
    stops = np.searchsorted(digits[order], np.arange(count), side="right")
    return np.split(order, stops[:-1])


class LedgerInBatches:
    """A replay as captured, with a row for every event, given batch by batch.

    Attributes
    ----------
    initial_resident_pages, initial_swapped_pages
        Of each machine, before its first event.

    Notes
    -----
    Memory: a batch of events with their rows, and a few bytes for each page of guest RAM.
    """

    def __init__(
        self, trace: Trace, row_count: int, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        self.trace = trace
        self._row_count = row_count
        self._progress = progress
        self._machines = Machines(trace, Settings())
        self.initial_resident_pages = self._machines.initial_resident_pages
        self.initial_swapped_pages = self._machines.initial_swapped_pages

    def batches(self) -> Iterator[tuple[Columns, Ledger]]:
        """Replay, and give the events of each batch with what they did.  To be called once.

        Raises
        ------
        InputError
            The trace is damaged.
        """
        batches = self.trace.batches(EVENTS.name, EVENTS.column_names, row_count=self._row_count)
        for columns in whole_batches(batches):
            yield columns, self._machines.apply(happened(columns))
            self._progress(columns["kind"].size)


def run_trace(trace: Trace, replayed: Happened, settings: Settings) -> TraceRun:
    """Replay every machine of a trace.

    Raises
    ------
    InputError
        A row cannot be: memory that a machine does not have.
    """
    machines = Machines(trace, settings)
    return TraceRun(
        ledger=machines.apply(replayed),
        initial_resident_pages=machines.initial_resident_pages,
        initial_swapped_pages=machines.initial_swapped_pages,
        final_held_pages=machines.held_pages,
    )
