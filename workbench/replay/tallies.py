"""All machines of a trace, replayed batch by batch, and what that comes to without rows.

The kernels apply the same rules as for a ledger, and add up as they go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import numpy as np

from workbench.errors import InputError
from workbench.model import FIRST_PAGE, OK, RESIDENT_PAGES, SWAPPED_PAGES, DeviceState, new_ledger
from workbench.model import Ledger as MachineLedger
from workbench.model.reclaim import run_served_tally
from workbench.model.tally import (
    PAGE_NS,
    PEAK_PAGES,
    SINCE_NS,
    Fleet,
    TraceEvents,
    new_tally,
)
from workbench.model.tally_run import run_tally
from workbench.replay.machine import describe_row
from workbench.replay.page_space import hosts_at_start, in_one_space, page_space
from workbench.schema import EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from workbench.model import HostState
    from workbench.replay.decisions import Happened
    from workbench.replay.memory import ModelledHost
    from workbench.replay.page_space import PageSpace
    from workbench.replay.settings import Settings
    from workbench.trace import Trace
    from workbench.trace.reader import Columns

_PAGE_NS_BITS: Final = 62
"""Of what an int64 holds: pages times nanoseconds of one call of a kernel."""

COLUMNS: Final = TraceEvents._fields[:8]
"""Those that the table of events has."""

_DTYPES: Final = {column.name: column.dtype for column in EVENTS.columns}

_Value = TypeVar("_Value", bound=np.generic)


class PagesSoFar(NamedTuple):
    """Pages of all machines, in memory or in swap, as events have left them."""

    pages: int
    since_ns: int
    """Since when there have been as many."""
    peak_pages: int
    page_ns: int
    """The integral over time up to then."""


class Tallied(NamedTuple):
    """Events that were replayed, and what these alone came to.

    Attributes
    ----------
    occurrences, surprises, sums
        As in `workbench.model.tally.Tally`.
    resident, swapped
        Of all events so far.
    """

    columns: Columns
    occurrences: npt.NDArray[np.int64]
    surprises: npt.NDArray[np.int64]
    sums: npt.NDArray[np.int64]
    resident: PagesSoFar
    swapped: PagesSoFar


class MachineTallies:
    """All machines of a trace, as far as their events were replayed.

    Attributes
    ----------
    initial_resident_pages, initial_swapped_pages
        Of each machine, before its first event, in pages of 4 KiB.  Shape (vm,).
    """

    def __init__(self, trace: Trace, settings: Settings) -> None:
        self._trace = trace
        hosts = hosts_at_start(trace)
        self.initial_resident_pages, self.initial_swapped_pages = (
            np.array([host.totals[total] for host in hosts], np.int64)
            for total in (RESIDENT_PAGES, SWAPPED_PAGES)
        )
        self._fleet = _fleet(trace, page_space(trace, settings), in_one_space(hosts))
        self._page_ns = [0, 0]
        self._applied = 0
        machines = len(trace.manifest.virtual_machines)
        self._tally = new_tally(machines, trace.manifest.start_time_ns, self._fleet.host)
        self._no_ledger = new_ledger(0)

    def apply(
        self, happened: Happened, *, keeps_ledger: bool = False
    ) -> tuple[Tallied, MachineLedger]:
        """Replay the next events, and say what they came to.

        Parameters
        ----------
        keeps_ledger
            Whether to give a row for each of them, too; else the ledger has none.

        Raises
        ------
        InputError
            A row cannot be: memory that a machine does not have.
        """
        size = happened.columns["kind"].size
        ledger = new_ledger(size) if keeps_ledger else self._no_ledger

        def run(events: TraceEvents, rows: slice) -> int:
            own = MachineLedger._make(column[rows] for column in ledger)
            return run_tally(events, self._fleet, self._tally, own)

        return self._tallied(happened, run), ledger

    def serve(self, happened: Happened, host: ModelledHost) -> Tallied:
        """Replay them as the model of the host serves them.

        Raises
        ------
        InputError
            A row cannot be: memory that a machine does not have.
        """
        memory = host.memory_with_room()
        records = self._trace.manifest.access_interval_ns is not None

        def run(events: TraceEvents, _rows: slice) -> int:
            return run_served_tally(events, memory, self._fleet, self._tally, records)

        return self._tallied(happened, run)

    def _tallied(self, happened: Happened, run: Callable[[TraceEvents, slice], int]) -> Tallied:
        events = _trace_events(happened)
        for array in (self._tally.occurrences, self._tally.surprises, self._tally.sums):
            array[:] = 0
        for rows in self._pieces(events.time_ns):
            stopped_at = run(TraceEvents._make(column[rows] for column in events), rows)
            if stopped_at != OK:
                row = rows.start + stopped_at
                raise InputError(describe_row(self._trace, happened.columns, row, self._applied))
        self._applied += events.kind.size
        return Tallied(
            happened.columns,
            self._tally.occurrences.copy(),
            self._tally.surprises.copy(),
            self._tally.sums.copy(),
            self._pages(0, RESIDENT_PAGES),
            self._pages(1, SWAPPED_PAGES),
        )

    def _pieces(self, time_ns: npt.NDArray[np.int64]) -> Iterator[slice]:
        """Give rows whose pages times nanoseconds an int64 holds, all of them in order."""
        most_ns = (1 << _PAGE_NS_BITS) // max(self._fleet.host.pages.size, 1)
        first = 0
        while first < time_ns.size:
            begin_ns = int(time_ns[first])
            stop = int(np.searchsorted(time_ns[first:], begin_ns + most_ns, side="right")) + first
            self._settle(begin_ns)
            yield slice(first, stop)
            first = stop

    def _settle(self, time_ns: int) -> None:
        """Let pages stay up to a time: here in numbers of any size."""
        for which, total in enumerate((RESIDENT_PAGES, SWAPPED_PAGES)):
            row = self._tally.pages[which]
            since_ns = int(row[SINCE_NS])
            later_ns = max(time_ns, since_ns)
            held_page_ns = int(self._fleet.host.totals[total]) * (later_ns - since_ns)
            self._page_ns[which] += int(row[PAGE_NS]) + held_page_ns
            row[PAGE_NS], row[SINCE_NS] = 0, later_ns

    def _pages(self, which: int, total: int) -> PagesSoFar:
        row = self._tally.pages[which]
        return PagesSoFar(
            pages=int(self._fleet.host.totals[total]),
            since_ns=int(row[SINCE_NS]),
            peak_pages=int(row[PEAK_PAGES]),
            page_ns=self._page_ns[which] + int(row[PAGE_NS]),
        )


def _fleet(trace: Trace, space: PageSpace, host: HostState) -> Fleet:
    machines = trace.manifest.virtual_machines
    features = np.array([machine.features or 0 for machine in machines], np.int64)
    poison_val = np.array([machine.poison_val or 0 for machine in machines], np.int64)
    shadows = [machine.shadow_poison_val for machine in machines]
    shadow = [own if kept is None else kept for own, kept in zip(poison_val, shadows, strict=True)]
    inhibited = [machine.discard_inhibited for machine in machines]
    return Fleet(
        constants=space.constants,
        first_block=space.first_block,
        first_page=space.constants.blocks[space.first_block, FIRST_PAGE].copy(),
        block_count=np.bincount(space.block_vm, minlength=len(machines)).astype(np.int64),
        devices=DeviceState(
            features=features,
            poison_val=poison_val,
            shadow_poison_val=np.array(shadow, np.int64),
            discard_inhibited=np.array(inhibited, np.int64),
        ),
        host=host,
    )


def _trace_events(happened: Happened) -> TraceEvents:
    """Give events as the kernels take them: of one type each, so that they are compiled once."""
    columns, decisions = happened.columns, happened.decisions
    given = [columns[name].astype(_DTYPES[name], copy=False) for name in COLUMNS]
    return TraceEvents._make(map(_read_only, (*given, decisions.status, decisions.discarded)))


def _read_only(column: npt.NDArray[_Value]) -> npt.NDArray[_Value]:
    view = column.view()
    view.flags.writeable = False
    return view
