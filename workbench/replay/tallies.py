"""All machines of a trace, replayed batch by batch, and what that comes to without rows.

The kernels apply the same rules as for a ledger, and add up as they go.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import numpy as np

from workbench.errors import InputError
from workbench.model import OK, RESIDENT_PAGES, SWAPPED_PAGES, DeviceState, new_ledger
from workbench.model import Ledger as MachineLedger
from workbench.model.plain_fault import accept_events
from workbench.model.reclaim import Served, run_served_tally
from workbench.model.tally import (
    NOW_PAGES,
    PAGE_NS,
    PEAK_PAGES,
    SINCE_NS,
    Captured,
    Fleet,
    TraceEvents,
    new_tally,
)
from workbench.model.tally_run import run_tally
from workbench.replay.machine import describe_row, device_at_start
from workbench.replay.memory import ModelledHost
from workbench.replay.page_space import hosts_at_start, in_one_space, page_space
from workbench.schema import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from workbench.model import HostState
    from workbench.replay.decisions import Happened
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


class Replayed(NamedTuple):
    """What came of some events."""

    tallied: Tallied
    ledger: MachineLedger
    """A row for each of them, if that was asked for."""
    served: Tallied | None
    """As the model of the host served them, if there is one."""


class SumsSoFar:
    """What kernels add up, from batch to batch, in numbers of any size."""

    def __init__(self, trace: Trace, host: HostState) -> None:
        machines = len(trace.manifest.virtual_machines)
        self.tally = new_tally(machines, trace.manifest.start_time_ns, host)
        self._page_ns = [0, 0]

    def begin(self) -> None:
        """Let the counts be of the next events alone."""
        for array in (self.tally.occurrences, self.tally.surprises, self.tally.sums):
            array[:] = 0

    def settle(self, time_ns: int) -> None:
        """Let pages stay up to a time: after that a kernel's integral begins anew."""
        for which, row in enumerate(self.tally.pages):
            since_ns = int(row[SINCE_NS])
            later_ns = max(time_ns, since_ns)
            held_page_ns = int(row[NOW_PAGES]) * (later_ns - since_ns)
            self._page_ns[which] += int(row[PAGE_NS]) + held_page_ns
            row[PAGE_NS], row[SINCE_NS] = 0, later_ns

    def tallied(self, columns: Columns) -> Tallied:
        """Give what these events came to, which were the last."""
        return Tallied(
            columns,
            self.tally.occurrences.copy(),
            self.tally.surprises.copy(),
            self.tally.sums.copy(),
            self._pages(0),
            self._pages(1),
        )

    def _pages(self, which: int) -> PagesSoFar:
        row = self.tally.pages[which]
        return PagesSoFar(
            pages=int(row[NOW_PAGES]),
            since_ns=int(row[SINCE_NS]),
            peak_pages=int(row[PEAK_PAGES]),
            page_ns=self._page_ns[which] + int(row[PAGE_NS]),
        )


class ServedMachines:
    """All machines of a trace on a modelled host, as far as it has served their events."""

    def __init__(self, trace: Trace, settings: Settings) -> None:
        self.host = ModelledHost(trace, settings, None)
        memory = self.host.memory_with_room()
        self.sums = SumsSoFar(trace, memory.host)
        records_accesses = trace.manifest.access_interval_ns is not None
        self.state = Served(memory, _devices(trace), self.sums.tally, records_accesses)


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
        self._sums = SumsSoFar(trace, self._fleet.host)
        self._plain_fault = np.zeros(0, np.uint32)
        self._beside = ThreadPoolExecutor(1)
        self._applied = 0

    def apply(
        self,
        happened: Happened,
        *,
        keeps_ledger: bool = False,
        served: ServedMachines | None = None,
    ) -> Replayed:
        """Replay the next events, and say what they came to.

        Parameters
        ----------
        keeps_ledger
            Whether to give a row for each of them, too; else the ledger has none.
        served
            The same machines on a modelled host, to be served the same events.

        Raises
        ------
        InputError
            A row cannot be: memory that a machine does not have.
        """
        events = self._trace_events(happened)
        ledger = new_ledger(events.kind.size if keeps_ledger else 0)
        sums = [self._sums] if served is None else [self._sums, served.sums]
        for each in sums:
            each.begin()
        for rows in self._pieces(events.time_ns):
            for each in sums:
                each.settle(int(events.time_ns[rows.start]))
            stopped_at = self._run(
                TraceEvents._make(column[rows] for column in events),
                MachineLedger._make(column[rows] for column in ledger),
                served,
            )
            if stopped_at != OK:
                row = rows.start + stopped_at
                raise InputError(describe_row(self._trace, happened.columns, row, self._applied))
        self._applied += events.kind.size
        tallied = [each.tallied(happened.columns) for each in sums]
        return Replayed(tallied[0], ledger, None if served is None else tallied[1])

    def _run(
        self, events: TraceEvents, ledger: MachineLedger, served: ServedMachines | None
    ) -> int:
        stopped_at = accept_events(events, self._fleet)
        captured = Captured(self._fleet, self._sums.tally, ledger)
        if stopped_at != OK:
            return stopped_at
        if served is None:
            run_tally(events, captured)
            return OK
        # Neither changes what the other looks at, and kernels give up Python's lock.
        as_captured = self._beside.submit(run_tally, events, captured)
        stopped_at = run_served_tally(events, self._fleet, served.state)
        as_captured.result()
        return stopped_at

    def _trace_events(self, happened: Happened) -> TraceEvents:
        """Give events as the kernels take them: of one type each, to be compiled once."""
        columns, decisions = happened.columns, happened.decisions
        given = [columns[name].astype(_DTYPES[name], copy=False) for name in COLUMNS]
        # Without any, kernels need not read that.
        answered = slice(None if decisions.discards_of_reports else 0)
        given += [decisions.status[answered], decisions.discarded[answered]]
        count = columns["kind"].size
        # Kept from batch to batch: memory that is new must be cleared by the kernel each time.
        if self._plain_fault.size < count:
            self._plain_fault = np.empty(count, np.uint32)
        return TraceEvents._make([*map(_read_only, given), self._plain_fault[:count]])

    def _pieces(self, time_ns: npt.NDArray[np.int64]) -> Iterator[slice]:
        """Give rows whose pages times nanoseconds an int64 holds, all of them in order."""
        most_ns = (1 << _PAGE_NS_BITS) // max(self._fleet.host.pages.size, 1)
        first = 0
        while first < time_ns.size:
            last_ns = int(time_ns[first]) + most_ns
            stop = int(np.searchsorted(time_ns[first:], last_ns, side="right")) + first
            yield slice(first, stop)
            first = stop


def _fleet(trace: Trace, space: PageSpace, host: HostState) -> Fleet:
    machines = len(trace.manifest.virtual_machines)
    return Fleet(
        constants=space.constants,
        first_block=space.first_block,
        block_count=np.bincount(space.block_vm, minlength=machines).astype(np.int64),
        devices=_devices(trace),
        host=host,
    )


def _devices(trace: Trace) -> DeviceState:
    """Give the registers of all machines when the trace begins.  Arrays of shape (vm,)."""
    devices = [device_at_start(machine) for machine in trace.manifest.virtual_machines]
    return DeviceState._make(np.concatenate(registers) for registers in zip(*devices, strict=True))


def _read_only(column: npt.NDArray[_Value]) -> npt.NDArray[_Value]:
    view = column.view()
    view.flags.writeable = False
    return view
