"""What a guest had free when its driver came, or its capture began, in the order of its lists."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.model.guest import (
    NO_REPORTING,
    NOT_FREE,
    Captured,
    free_blocks,
    full_reports,
)
from workbench.replay.captured_pages import (
    FIRST_USABLE_PAGE,
    each_page,
    first_ns,
    pass_numbers,
    touches,
)
from workbench.schema import PAGE_STATE_MASK, Kind, PageState
from workbench.units import HUGE_PAGE_ORDER, PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.model.guest import GuestConstants, GuestState
    from workbench.replay.reporting import Reporting
    from workbench.trace import Trace


def free_first_reported(
    captured: Captured,
    before: Reporting,
    backed_ns: npt.NDArray[np.int64],
    constants: GuestConstants,
    guest: GuestState,
) -> None:
    """Free what the first passes report, in the order in which it stands on the free lists.

    They follow each other by one delay until all is reported that was free when the driver came.

    Parameters
    ----------
    captured
        From when the driver came.  What was touched between then and its report was not free
        throughout.
    backed_ns
        When a fault first backed each page.  What nothing had backed as the passes began, and was
        taken while they went on, had been free, where one of them left blocks of that size.
    """
    reports = np.flatnonzero(captured.kind == Kind.REPORT)
    if reports.size == 0:
        return
    passes = _first_passes(captured, reports, before)
    first = reports[: passes.ranges]
    begin_ns, end_ns = captured.time_ns[first[0]], captured.time_ns[first[-1]]
    if passes.is_cut:
        end_ns += before.delay_ns
    first = _free_throughout(captured, first, before.delay_ns, backed_ns < begin_ns)
    is_taken = (backed_ns >= begin_ns) & (backed_ns <= end_ns)
    is_free = is_taken.copy()
    is_free[each_page(captured, first).page] = True
    taken = np.flatnonzero(is_taken & _in_whole_blocks(is_free, passes.left_pages))
    page = np.concatenate((captured.page[first], taken))
    page_count = np.concatenate((captured.page_count[first], np.ones_like(taken)))
    free_blocks(page, page_count, np.zeros_like(guest.is_touched), constants, guest)


class _Passes(NamedTuple):
    """The first passes of a driver."""

    ranges: int
    is_cut: bool
    """Whether the last of them may have left something."""
    left_pages: int
    """The smallest blocks of which one may have left some, in pages; 0 if none has."""


def _first_passes(captured: Captured, reports: npt.NDArray[np.intp], before: Reporting) -> _Passes:
    """Find the first passes: they go on as long as one leaves something of an order."""
    number = pass_numbers(captured, reports, before.delay_ns)
    begins = np.flatnonzero(np.diff(number)) + 1
    left_pages = 0
    for begin, stop in pairwise((0, *begins, reports.size)):
        cut = _cut_blocks(captured, reports[begin:stop], before.capacity)
        left_pages = left_pages or min(cut, default=0)
        last, following = captured.time_ns[reports[[stop - 1, min(stop, reports.size - 1)]]]
        is_followed = 0 < following - last <= before.delay_ns + before.delay_ns // 2
        if not (cut and is_followed):
            break
    return _Passes(int(stop), bool(cut), left_pages)


def _cut_blocks(captured: Captured, reports: npt.NDArray[np.intp], capacity: int) -> list[int]:
    """Give the sizes of blocks, in pages, of which a pass may have left some.

    Its budget ends when a report has just been sent, which was full, and ends with that size; the
    next report begins with another.  The ranges of a report are in reverse.

    Source: Linux 6.1 mm/page_reporting.c, page_reporting_cycle().
    """
    pages, element = captured.page_count[reports], captured.element[reports]
    begins = np.flatnonzero(np.diff(element, prepend=element[0] - 1))
    stops = np.append(begins[1:], element.size)
    follows_with = np.append(pages[stops[1:] - 1], 0)
    is_end = (stops - begins == capacity) & (pages[begins] != follows_with)
    count = np.bincount(pages)
    return [
        int(size)
        for size in np.unique(pages[begins[is_end]])
        if count[size] >= (full_reports(int(count[size]), capacity) - 1) * capacity
    ]


def _free_throughout(
    captured: Captured,
    first: npt.NDArray[np.intp],
    delay_ns: int,
    was_backed: npt.NDArray[np.bool_],
) -> npt.NDArray[np.intp]:
    """Give those of the first passes' reports that were free all along, as they stand on the lists.

    Not what was touched before its report.  What the boot had backed may have been taken and given
    back without any fault: a later pass that reports such blocks before others of their size shows
    that the list had been used up.
    The ranges of an element are in reverse: Linux fills the array from its end.

    Parameters
    ----------
    was_backed
        Which pages were backed when the first of them began.  Shape (page,).
    """
    touched_ns = first_ns(captured, touches(captured), was_backed.size)
    first = first[np.lexsort((-first, captured.element[first]))]
    number = pass_numbers(captured, first, delay_ns)
    goes_on = set()
    free = []
    for event, pass_number in zip(first, number, strict=True):
        pages = slice(captured.page[event], captured.page[event] + captured.page_count[event])
        if touched_ns[pages].min() <= captured.time_ns[event]:
            continue
        of_list = (int(pass_number), int(captured.page_count[event]))
        if not was_backed[pages].any():
            goes_on.add(of_list)
        elif pass_number > 0 and of_list not in goes_on:
            continue
        free.append(event)
    return np.array(free, np.intp)


def _in_whole_blocks(is_meant: npt.NDArray[np.bool_], block_pages: int) -> npt.NDArray[np.bool_]:
    """Tell which pages are in blocks of that size that are meant as a whole.  Shape (page,)."""
    if block_pages == 0:
        return np.zeros_like(is_meant)
    block = np.arange(is_meant.size) // block_pages
    return np.asarray(np.bincount(block, is_meant)[block] == block_pages)


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


def shared_blocks(is_free: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Tell which pageblocks keep the addresses of the capture.  Shape (block,).

    They are in use in part when the driver comes.  Linux takes what it cannot move from pageblocks
    of its own, which are among these: it goes on to take from there.

    Source: Linux 6.1 mm/page_alloc.c, __rmqueue() and get_pageblock_migratetype().
    """
    block = np.arange(is_free.size) >> HUGE_PAGE_ORDER
    count = (is_free.size >> HUGE_PAGE_ORDER) + 1
    free_pages_of = np.bincount(block, is_free, count)
    return np.asarray((free_pages_of > 0) & (free_pages_of < np.bincount(block, minlength=count)))


def halves_free(guest: GuestState) -> npt.NDArray[np.bool_]:
    """Tell in which pageblocks a half is one free block.  Shape (block,)."""
    is_half = np.zeros(guest.kept_for.size, np.bool_)
    half = np.flatnonzero(guest.block_order == HUGE_PAGE_ORDER - 1)
    is_half[half >> HUGE_PAGE_ORDER] = True
    return is_half


def resets(reporting: Reporting) -> bool:
    """Tell whether reporting makes a pageblock movable, of which a half is free, by reporting that.

    Data is then taken from it, too.

    Source: Linux 6.1 mm/page_alloc.c, __isolate_free_page().
    """
    return NO_REPORTING < reporting.order < HUGE_PAGE_ORDER
