"""What a guest had free as its capture began, and what it took and gave back, from the events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.model.guest import (
    NOT_FREE,
    Captured,
    Demand,
    GuestConstants,
    GuestState,
    Ownership,
    date_reports,
    free_blocks,
    group_what_stays,
    new_demand,
    read_demand,
)
from workbench.schema import NO_BLOCK, FaultFlag, Kind, PageState
from workbench.units import HUGE_PAGE_ORDER, LARGEST_ORDER, MIB, PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay.reporting import Reporting
    from workbench.trace import Trace
    from workbench.trace.reader import Columns

FIRST_USABLE_PAGE: Final = MIB // PAGE_BYTES
"""Below it firmware and graphics memory are in the way."""


def captured_events(events: Columns, page_count: int, is_wanted: npt.NDArray[np.bool_]) -> Captured:
    """Say which pages each fault, access or report is about; discards are the host's affair.

    A report may name what is not there: the device skips it, and so does this.
    """
    is_wanted = is_wanted & (events["kind"] != Kind.DISCARD) & (events["ram_block"] != NO_BLOCK)
    kind, first_bytes, length_bytes, time_ns, element, status = (
        events[name][is_wanted].astype(np.int64)
        for name in ("kind", "offset_bytes", "length_bytes", "time_ns", "element", "status")
    )
    pages = np.maximum(length_bytes // PAGE_BYTES, 1)
    touched = first = first_bytes // PAGE_BYTES
    # What the host backs for a fault is aligned to its own size.
    first = np.where(kind == Kind.FAULT, first // pages * pages, first)
    is_there = (kind == Kind.FAULT) | (pages <= page_count - first)
    pages = np.minimum(pages, page_count - first)
    writes = status & FaultFlag.WRITE != 0
    columns = (time_ns, kind.astype(np.int8), first, pages, touched, element, writes)
    return Captured._make(column[is_there] for column in columns)


def free_first_reported(
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


def free_unbacked(trace: Trace, vm: int, constants: GuestConstants, guest: GuestState) -> None:
    """Free what is nowhere when a capture begins in mid-life: it was reported, or never needed."""
    state = trace.columns("state")
    is_backed = np.zeros(guest.place.size, np.bool_)
    is_backed[:FIRST_USABLE_PAGE] = True
    for row in np.flatnonzero((state["vm"] == vm) & (state["page_state"] != PageState.UNBACKED)):
        first = int(state["offset_bytes"][row]) // PAGE_BYTES
        stop = first + -(-int(state["length_bytes"][row]) // PAGE_BYTES)
        is_backed[first:stop] = True
    page = np.flatnonzero(~is_backed)
    free_blocks(page, np.ones_like(page), is_backed.copy(), constants, guest)
    guest.is_reported[guest.block_order != NOT_FREE] = True


def in_shared_blocks(is_free: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
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


def guest_demand(captured: Captured, is_free: npt.NDArray[np.bool_], before: Reporting) -> Demand:
    """Read what changes hands and what is touched, in the order of time.

    Parameters
    ----------
    is_free
        Which pages are free before the first event; afterwards, after the last.  Shape (page,).
    """
    free_ns = np.zeros(captured.kind.size, np.int64)
    seen = np.zeros((2, LARGEST_ORDER + 1), np.int64)
    date_reports(captured, before.delay_ns, before.capacity, seen, free_ns)
    room = int(captured.page_count.sum())
    demand = new_demand(room)
    guest = Ownership(is_free, np.zeros_like(is_free), *np.zeros((2, is_free.size), np.int64))
    rows = read_demand(captured, free_ns, guest, demand)
    if rows > 0:
        group_what_stays(demand, guest)
    by_time = np.lexsort((demand.rank[:rows], demand.time_ns[:rows]))
    return Demand._make(column[by_time] for column in demand)
