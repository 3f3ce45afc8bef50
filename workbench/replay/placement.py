"""The events of a machine as its guest would have made them under other settings of reporting.

The addresses of a capture are a product of its settings: Linux puts freed blocks at the head of its
free lists and reported ones at the tail.  So what is replayed is the demand, what the guest takes
and gives back and when, and an allocator places it anew (`workbench.model.guest`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.model.guest import (
    NEXT_PASS_NS,
    NO_REPORTING,
    NOT_FREE,
    Captured,
    Demand,
    GuestConstants,
    GuestState,
    Placed,
    date_reports,
    free_blocks,
    free_pages,
    low_watermark_pages,
    new_guest,
    new_placed,
    place_demand,
    read_demand,
)
from workbench.replay.reporting import clears_anew, reporting_under
from workbench.replay.settings import Settings
from workbench.schema import NO_BLOCK, NO_ELEMENT, UNKNOWN, FaultFlag, Kind, PageState
from workbench.units import GIB, HUGE_PAGE_ORDER, LARGEST_ORDER, MIB, PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay.facts import TraceFacts
    from workbench.replay.reporting import Reporting
    from workbench.trace import Trace
    from workbench.trace.reader import Columns

_ZONE_BYTES: Final = (0, 16 * MIB, 3 * GIB)
"""Where DMA, DMA32 and Normal begin in the RAM block (Linux 6.1 arch/x86/mm/init.c,
zone_sizes_init; QEMU 7.2 hw/i386/pc_piix.c, pc_init1: what is above 3 GiB is above the hole)."""

_FIRST_USABLE_PAGE: Final = MIB // PAGE_BYTES
"""Below it firmware and graphics memory are in the way."""


def place_trace(
    trace: Trace, facts: TraceFacts, settings: Settings, *, follows_touches: bool = False
) -> Columns | None:
    """Give the events of all machines under settings that a guest notices.

    Parameters
    ----------
    follows_touches
        Whether to write down what the guests access and free as well, for the model of the host.

    Returns
    -------
    The columns of the table of events; None where no guest notices, and all stays as captured.
    """
    events = trace.columns("events")
    changes = [
        _Change(
            before=reporting_under(machine, Settings()),
            after=reporting_under(machine, settings),
            clears=clears_anew(machine, settings),
            frees_zeroed=clears_anew(machine, settings) or machine.init_on_free is True,
            follows_touches=follows_touches,
        )
        for machine in facts.machines
    ]
    if not any(change.is_noticed for change in changes):
        return None
    parts: list[Columns] = []
    for vm, change in enumerate(changes):
        rows = np.flatnonzero(events["vm"] == vm)
        if change.is_noticed:
            parts.append(_place_machine(trace, vm, rows, change))
        else:
            parts.append({name: values[rows] for name, values in events.items()})
    columns = {name: np.concatenate([part[name] for part in parts]) for name in events}
    by_time = np.argsort(columns["time_ns"], kind="stable")
    columns = {name: values[by_time] for name, values in columns.items()}
    columns["sequence"] = np.arange(by_time.size, dtype=columns["sequence"].dtype)
    return columns


class _Change(NamedTuple):
    """What a guest does otherwise than in the capture."""

    before: Reporting
    """How it reported in the capture."""
    after: Reporting
    clears: bool
    """Whether it clears its memory at boot and on free, as it did not in the capture."""
    frees_zeroed: bool
    """Whether it clears what it frees."""
    follows_touches: bool

    @property
    def is_noticed(self) -> bool:
        """Whether the guest's addresses or faults are not those of the capture."""
        return self.before != self.after or self.clears


def _place_machine(trace: Trace, vm: int, rows: npt.NDArray[np.intp], change: _Change) -> Columns:
    """Give the events of one machine as they would be if its guest did otherwise.

    Parameters
    ----------
    rows
        The rows of the trace's events that are this machine's; some are reports.

    Returns
    -------
    The columns of the table of events, in the order of time.
    """
    before, after = change.before, change.after
    own = {name: values[rows] for name, values in trace.columns("events").items()}
    first_ns = int(own["time_ns"][own["kind"] == Kind.REPORT][0])
    is_moved = np.isin(own["kind"], (Kind.FAULT, Kind.REPORT, Kind.DISCARD, Kind.ACCESS))
    is_moved &= own["time_ns"] >= first_ns
    page_count = trace.manifest.virtual_machines[vm].ram_blocks[0].used_bytes // PAGE_BYTES
    is_read = is_moved & (change.follows_touches | (own["kind"] != Kind.ACCESS))
    captured = _captured(own, page_count, is_read)
    constants = _constants(page_count, change)
    stays = np.zeros(page_count, np.bool_)

    def begin() -> GuestState:
        guest = new_guest(page_count, constants)
        if trace.manifest.mid_life:
            _free_unbacked(trace, vm, constants, guest)
            return guest
        _free_first_reported(captured, before, stays, constants, guest)
        if change.clears:
            guest.is_touched[:] = True
        if after.order != NO_REPORTING:
            # The driver registers one delay before its first pass.
            guest.worker[NEXT_PASS_NS] = first_ns - before.delay_ns + after.delay_ns
        return guest

    is_free = free_pages(begin())
    if not trace.manifest.mid_life:
        stays = _in_shared_blocks(is_free)
    demand = _demand(captured, is_free, stays, before)
    stop_ns = trace.manifest.start_time_ns + trace.manifest.duration_ns
    room = 2 * demand.page.size + page_count
    while True:
        placed = new_placed(room)
        room = place_demand(demand, stop_ns, constants, begin(), placed)
        if room <= placed.kind.size:
            break
    placed = Placed._make(column[:room] for column in placed)
    if change.frees_zeroed:
        placed.writes[placed.kind == Kind.FREE] = True
    kept = {name: values[~is_moved] for name, values in own.items()}
    if change.clears:
        kept = _merged(vm, kept, _clear_at_boot(kept, first_ns, page_count))
    kept = _merged(
        vm, kept, _staying(captured, stays, after, int(placed.element.max(initial=-1)) + 1)
    )
    return _merged(vm, kept, placed)


def _captured(events: Columns, page_count: int, is_wanted: npt.NDArray[np.bool_]) -> Captured:
    """Say which pages each fault, access or report is about; discards are the host's affair.

    A report may name what is not there: the device skips it, and so does this.
    """
    is_wanted = is_wanted & (events["kind"] != Kind.DISCARD) & (events["ram_block"] != NO_BLOCK)
    kind, first_bytes, length_bytes, time_ns, element, status = (
        events[name][is_wanted].astype(np.int64)
        for name in ("kind", "offset_bytes", "length_bytes", "time_ns", "element", "status")
    )
    pages = np.maximum(length_bytes // PAGE_BYTES, 1)
    first = first_bytes // PAGE_BYTES
    # What the host backs for a fault is aligned to its own size.
    first = np.where(kind == Kind.FAULT, first // pages * pages, first)
    is_there = (kind == Kind.FAULT) | (pages <= page_count - first)
    pages = np.minimum(pages, page_count - first)
    writes = status & FaultFlag.WRITE != 0
    columns = (time_ns, kind.astype(np.int8), first, pages, element, writes)
    return Captured._make(column[is_there] for column in columns)


def _constants(page_count: int, change: _Change) -> GuestConstants:
    firsts = [first // PAGE_BYTES for first in _ZONE_BYTES]
    zone_first = np.array([first for first in firsts if first < page_count], np.int64)
    zone_stop = np.append(zone_first[1:], page_count)
    # Each zone has a part of the whole by its size (Linux 6.1 mm/page_alloc.c,
    # __setup_per_zone_wmarks).
    watermark = low_watermark_pages(page_count) * (zone_stop - zone_first) // page_count
    return GuestConstants(zone_first, zone_stop, watermark, *change.after, change.follows_touches)


def _free_first_reported(
    captured: Captured,
    before: Reporting,
    stays: npt.NDArray[np.bool_],
    constants: GuestConstants,
    guest: GuestState,
) -> None:
    """Free what the first passes report, in the order in which it stands on the free lists.

    All but what keeps the addresses of the capture.

    They follow each other by one delay until all is reported that was free when the driver came.
    The ranges of an element are in reverse: Linux fills the array from its end.
    """
    reports = np.flatnonzero(captured.kind == Kind.REPORT)
    gaps = np.diff(captured.time_ns[reports])
    later = np.flatnonzero(gaps > before.delay_ns + before.delay_ns // 2)
    first = reports[: later[0] + 1] if later.size else reports
    in_list_order = first[np.lexsort((-first, captured.element[first]))]
    page, page_count = captured.page[in_list_order], captured.page_count[in_list_order]
    free_blocks(page, page_count, stays.copy(), constants, guest)


def _in_shared_blocks(is_free: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Tell which pages keep the addresses of the capture.  Shape (page,).

    They are in a pageblock that is in use in part when the driver comes.  Linux takes what it
    cannot move from pageblocks of its own, which are among these: it goes on to take from there.

    Source: Linux 6.1 mm/page_alloc.c, __rmqueue() and get_pageblock_migratetype().
    """
    block = np.arange(is_free.size) >> HUGE_PAGE_ORDER
    free_pages_of = np.bincount(block, is_free)
    pages_of = np.bincount(block)
    is_shared = (free_pages_of > 0) & (free_pages_of < pages_of)
    return np.asarray(is_shared[block])


def _free_unbacked(trace: Trace, vm: int, constants: GuestConstants, guest: GuestState) -> None:
    """Free what is nowhere when a capture begins in mid-life: it was reported, or never needed."""
    state = trace.columns("state")
    is_backed = np.zeros(guest.place.size, np.bool_)
    is_backed[:_FIRST_USABLE_PAGE] = True
    for row in np.flatnonzero((state["vm"] == vm) & (state["page_state"] != PageState.UNBACKED)):
        first = int(state["offset_bytes"][row]) // PAGE_BYTES
        stop = first + -(-int(state["length_bytes"][row]) // PAGE_BYTES)
        is_backed[first:stop] = True
    page = np.flatnonzero(~is_backed)
    free_blocks(page, np.ones_like(page), is_backed.copy(), constants, guest)
    guest.is_reported[guest.block_order != NOT_FREE] = True


def _demand(
    captured: Captured,
    is_free: npt.NDArray[np.bool_],
    stays: npt.NDArray[np.bool_],
    before: Reporting,
) -> Demand:
    """Read what changes hands and is to be placed, in the order of time."""
    free_ns = np.zeros(captured.kind.size, np.int64)
    seen = np.zeros((2, LARGEST_ORDER + 1), np.int64)
    date_reports(captured, before.delay_ns, before.capacity, seen, free_ns)
    room = int(captured.page_count.sum())
    demand = Demand(np.zeros(room, np.int64), np.zeros(room, np.int8), np.zeros(room, np.int64))
    rows = read_demand(captured, free_ns, is_free, np.zeros(is_free.size, np.int64), demand)
    row = np.flatnonzero(~stays[demand.page[:rows]])
    by_time = row[np.argsort(demand.time_ns[row], kind="stable")]
    return Demand._make(column[by_time] for column in demand)


def _staying(
    captured: Captured, stays: npt.NDArray[np.bool_], after: Reporting, first_element: int
) -> Placed:
    """Give the faults, accesses and reports of pages that keep their addresses.

    A report stays if its block is large enough for the order, and as far as its pages do.

    Parameters
    ----------
    first_element
        Elements are numbered anew from here on.
    """
    # A pageblock is the largest piece that stays as a whole; accesses are cut at no border of one.
    whole = np.minimum(captured.page_count, 1 << HUGE_PAGE_ORDER)
    piece_pages = np.where(captured.kind == Kind.ACCESS, 1, whole)
    pieces = captured.page_count // piece_pages
    event = np.repeat(np.arange(pieces.size), pieces)
    piece = np.arange(event.size) - (np.cumsum(pieces) - pieces)[event]
    page = captured.page[event] + piece * piece_pages[event]
    is_report = captured.kind[event] == Kind.REPORT
    is_reported = after.order != NO_REPORTING and captured.page_count[event] >> after.order > 0
    row = np.flatnonzero(stays[page] & (~is_report | is_reported))
    element = captured.element[event]
    return Placed(
        time_ns=captured.time_ns[event][row],
        kind=captured.kind[event][row],
        page=page[row],
        page_count=piece_pages[event][row],
        element=np.where(is_report, element + first_element, element)[row],
        writes=captured.writes[event][row],
    )


def _clear_at_boot(boot: Columns, stop_ns: int, page_count: int) -> Placed:
    """Touch what the guest's boot did not, as Linux does where it hands memory to its allocator.

    Each fault of the boot is followed by an equal part of it, from the lowest addresses up.  Pages
    that are in memory by then, as parts of huge pages, do not fault again.  Where
    no fault of the boot was seen, all of it happens at `stop_ns`.

    Source: Linux 6.1 mm/page_alloc.c, memblock_free_pages() and free_pages_prepare().
    """
    faults = _captured(boot, page_count, boot["kind"] == Kind.FAULT)
    is_touched = np.zeros(page_count, np.bool_)
    is_touched[:_FIRST_USABLE_PAGE] = True
    for first, pages in zip(faults.page, faults.page_count, strict=True):
        is_touched[first : first + pages] = True
    page = np.flatnonzero(~is_touched)
    fault_ns = faults.time_ns if faults.time_ns.size else np.array([stop_ns])
    fault = np.arange(page.size) * fault_ns.size // max(page.size, 1)
    return Placed(
        time_ns=fault_ns[fault],
        kind=np.full(page.size, Kind.FAULT, np.int8),
        page=page,
        page_count=np.ones(page.size, np.int64),
        element=np.full(page.size, NO_ELEMENT, np.int64),
        writes=np.ones(page.size, np.bool_),
    )


def _merged(vm: int, kept: Columns, placed: Placed) -> Columns:
    """Put what was placed among the events that stay as captured."""
    is_fault = placed.kind == Kind.FAULT
    size = placed.kind.size
    new = {
        "time_ns": placed.time_ns,
        "sequence": np.zeros(size, np.int64),
        "vm": np.full(size, vm),
        "kind": placed.kind,
        "ram_block": np.zeros(size, np.int64),
        "offset_bytes": placed.page * PAGE_BYTES,
        "length_bytes": np.where(is_fault, UNKNOWN, placed.page_count * PAGE_BYTES),
        "status": np.where(placed.writes, int(FaultFlag.WRITE), 0),
        "element": placed.element,
        "duration_ns": np.zeros(size, np.int64),
    }
    columns = {name: np.concatenate((old, new[name])) for name, old in kept.items()}
    by_time = np.argsort(columns["time_ns"], kind="stable")
    return {name: column[by_time].astype(kept[name].dtype) for name, column in columns.items()}
