"""What a guest had free as its capture began, and what it took and gave back, from the events."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

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
    full_reports,
    group_what_stays,
    new_demand,
    read_demand,
)
from workbench.schema import NO_BLOCK, PAGE_STATE_MASK, FaultFlag, Kind, PageState
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
    may_not: npt.NDArray[np.bool_],
    constants: GuestConstants,
    guest: GuestState,
    *,
    fresh: npt.NDArray[np.int64],
) -> None:
    """Free what the first passes report, in the order in which it stands on the free lists.

    They follow each other by one delay until all is reported that was free when the driver came.
    The ranges of an element are in reverse: Linux fills the array from its end.

    Parameters
    ----------
    captured
        From when the driver came.
    may_not
        Pages that keep the addresses of the capture.  What was touched between then and its report
        was not free throughout, and is left out too; but what was first touched while the first
        passes went on was free before.
    fresh
        Pages that nothing had backed before.
    """
    reports = np.flatnonzero(captured.kind == Kind.REPORT)
    if reports.size == 0:
        return
    count, is_cut = _first_passes(captured, reports, before)
    first = reports[:count]
    begin_ns, end_ns = captured.time_ns[first[0]], captured.time_ns[first[-1]]
    touched_ns = np.full(may_not.size, _NEVER_NS)
    touches = _touches(captured)
    # The first touch of each page is written last.
    touched_ns[touches.page[::-1]] = captured.time_ns[touches.event[::-1]]
    was_free = [
        touched_ns[captured.page[event] : captured.page[event] + captured.page_count[event]].min()
        > captured.time_ns[event]
        for event in first
    ]
    first = first[was_free]
    in_list_order = first[np.lexsort((-first, captured.element[first]))]
    is_taken = (touched_ns >= begin_ns) & (touched_ns <= end_ns)
    if is_cut:
        # All that the last one left was taken before the next, which then had nothing to report.
        fresh_ns = touched_ns[fresh]
        is_taken[fresh] |= (fresh_ns >= begin_ns) & (fresh_ns <= end_ns + before.delay_ns)
    taken_first = np.flatnonzero(is_taken)
    page = np.concatenate((captured.page[in_list_order], taken_first))
    page_count = np.concatenate((captured.page_count[in_list_order], np.ones_like(taken_first)))
    free_blocks(page, page_count, may_not.copy(), constants, guest)


_NEVER_NS: Final = 2**62


def _first_passes(
    captured: Captured, reports: npt.NDArray[np.intp], before: Reporting
) -> tuple[int, bool]:
    """Count the ranges of the first passes, and tell whether the last may have left something.

    They go on as long as one leaves something of an order.
    """
    time_ns = captured.time_ns[reports]
    begins = np.flatnonzero(np.diff(time_ns) > before.delay_ns // 2) + 1
    for begin, stop in pairwise((0, *begins, reports.size)):
        count = np.bincount(captured.page_count[reports[begin:stop]])
        may_be_cut = count.max() >= (full_reports(int(count.max()), before.capacity) - 1) * (
            before.capacity
        )
        is_followed = stop < reports.size and (
            time_ns[stop] - time_ns[stop - 1] <= before.delay_ns + before.delay_ns // 2
        )
        if not (may_be_cut and is_followed):
            break
    return int(stop), bool(may_be_cut)


def first_backed(captured: Captured, since_ns: int) -> npt.NDArray[np.int64]:
    """Give the pages that nothing backed before a fault at that time or later.

    Parameters
    ----------
    captured
        From when nothing was backed.
    """
    every = _each_page(captured.page, captured.page_count, np.arange(captured.kind.size))
    page, first = np.unique(every.page, return_index=True)
    event = every.event[first]
    is_later = (captured.kind[event] == Kind.FAULT) & (captured.time_ns[event] >= since_ns)
    return page[np.flatnonzero(is_later)]


def free_unbacked(trace: Trace, vm: int, constants: GuestConstants, guest: GuestState) -> None:
    """Free what is nowhere when a capture begins in mid-life: it was reported, or never needed."""
    state = trace.columns("state")
    is_backed = np.zeros(guest.place.size, np.bool_)
    is_backed[:FIRST_USABLE_PAGE] = True
    is_there = state["page_state"] & PAGE_STATE_MASK != PageState.UNBACKED
    for row in np.flatnonzero((state["vm"] == vm) & is_there):
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


_LATER_PART: Final = 0.01
"""Of what passes report together, this much may have been taken, and given back, by itself."""


def _date_after_touches(captured: Captured, free_ns: npt.NDArray[np.int64]) -> None:
    """Let what was freed together be free when nearly all of it had been touched for the last time.

    A pass is asked for by the first free since the last one.  Memory may be freed long after that,
    and just before the pass; but not before it was touched.

    Parameters
    ----------
    free_ns
        As `date_reports` gives it, to be changed.  Shape (event,).
    """
    events = captured.kind.size
    reports = np.flatnonzero(captured.kind == Kind.REPORT)
    touches = _touches(captured)
    reported = _each_page(captured.page, captured.page_count, reports)
    touch_keys = np.sort(touches.page * events + touches.event)
    keys = reported.page * events + reported.event
    last = (
        touch_keys[np.maximum(np.searchsorted(touch_keys, keys) - 1, 0)]
        if touch_keys.size
        else keys
    )
    was_touched = (last < keys) & (last // events == reported.page)
    row = reported.event[was_touched]
    last_ns = captured.time_ns[last[was_touched] % events]
    order = np.lexsort((last_ns, free_ns[row]))
    together, first, count = np.unique(free_ns[row][order], return_index=True, return_counts=True)
    nearly_all = first + np.ceil((1 - _LATER_PART) * count).astype(np.int64) - 1
    after_ns = last_ns[order][nearly_all] + 1
    dated = dict(zip(together.tolist(), after_ns.tolist(), strict=True))
    for event in reports:
        # A later pass may report the rest of it, but no pass what is not free yet.
        latest_ns = min(dated.get(int(free_ns[event]), 0), int(captured.time_ns[event]))
        free_ns[event] = max(free_ns[event], latest_ns)


class _Pages(NamedTuple):
    """Ranges of pages, page by page."""

    page: npt.NDArray[np.int64]
    event: npt.NDArray[np.intp]
    """The event of each."""


def _each_page(
    first: npt.NDArray[np.int64], page_count: npt.NDArray[np.int64], events: npt.NDArray[np.intp]
) -> _Pages:
    """Give each page of the ranges of these events."""
    first, page_count = first[events], np.maximum(page_count[events], 0)
    row = np.repeat(np.arange(events.size), page_count)
    within = np.arange(row.size) - (np.cumsum(page_count) - page_count)[row]
    return _Pages(first[row] + within, events[row])


def _touches(captured: Captured) -> _Pages:
    """Give what guests touch, in order: a fault is of one page, whatever the host backs for it."""
    is_fault = captured.kind == Kind.FAULT
    events = np.flatnonzero(is_fault | (captured.kind == Kind.ACCESS))
    first = np.where(is_fault, captured.touched, captured.page)
    return _each_page(first, np.where(is_fault, 1, captured.page_count), events)


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
    _date_after_touches(captured, free_ns)
    room = int(captured.page_count.sum())
    demand = new_demand(room)
    guest = Ownership(is_free, np.zeros_like(is_free), *np.zeros((2, is_free.size), np.int64))
    rows = read_demand(captured, free_ns, guest, demand)
    if rows > 0:
        group_what_stays(demand, guest)
    by_time = np.lexsort((demand.rank[:rows], demand.time_ns[:rows]))
    return Demand._make(column[by_time] for column in demand)
