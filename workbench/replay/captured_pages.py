"""The events of a capture by guest pages: which each is about, and what it tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.model.guest import Captured
from workbench.schema import NO_BLOCK, FaultFlag, Kind
from workbench.units import MIB, PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.trace.reader import Columns

FIRST_USABLE_PAGE: Final = MIB // PAGE_BYTES
"""Below it firmware and graphics memory are in the way."""

NEVER_NS: Final = 2**62
"""After all that happens."""


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


class Pages(NamedTuple):
    """Ranges of pages, page by page."""

    page: npt.NDArray[np.int64]
    event: npt.NDArray[np.intp]
    """The event of each."""


def each_page(captured: Captured, events: npt.NDArray[np.intp]) -> Pages:
    """Give each page of the ranges of these events."""
    first, page_count = captured.page[events], np.maximum(captured.page_count[events], 0)
    row = np.repeat(np.arange(events.size), page_count)
    within = np.arange(row.size) - (np.cumsum(page_count) - page_count)[row]
    return Pages(first[row] + within, events[row])


def touches(captured: Captured) -> Pages:
    """Give what guests touch, in order: a fault is of one page, whatever the host backs for it."""
    is_fault = captured.kind == Kind.FAULT
    one_page = captured._replace(
        page=np.where(is_fault, captured.touched, captured.page),
        page_count=np.where(is_fault, 1, captured.page_count),
    )
    return each_page(one_page, np.flatnonzero(is_fault | (captured.kind == Kind.ACCESS)))


def first_ns(captured: Captured, pages: Pages, page_count: int) -> npt.NDArray[np.int64]:
    """Give when each page is met first, or NEVER_NS.  Shape (page,)."""
    time_ns = np.full(page_count, NEVER_NS)
    # What is met first is written last.
    time_ns[pages.page[::-1]] = captured.time_ns[pages.event[::-1]]
    return time_ns


def first_backed_ns(captured: Captured, page_count: int) -> npt.NDArray[np.int64]:
    """Give when a fault first backed each page, or NEVER_NS.  Shape (page,).

    Parameters
    ----------
    captured
        From when nothing was backed.
    """
    faults = each_page(captured, np.flatnonzero(captured.kind == Kind.FAULT))
    return first_ns(captured, faults, page_count)


def pass_numbers(
    captured: Captured, reports: npt.NDArray[np.intp], delay_ns: int
) -> npt.NDArray[np.int64]:
    """Number the passes that these reports belong to, from 0.  Shape (report,)."""
    return np.cumsum(np.diff(captured.time_ns[reports], prepend=NEVER_NS) > delay_ns // 2)


def without_untaken(captured: Captured, delay_ns: int) -> Captured:
    """Leave out accesses that were only assumed, where the next pass shows that none was made.

    A huge page brings more than was asked for.  If a pass soon reports some of it, but not the page
    that was touched, then the guest has taken that page, and the rest was free all the time.

    Parameters
    ----------
    captured
        Each access was assumed of the fault before it.
    delay_ns
        Of reporting, in the capture.
    """
    reports = np.flatnonzero(captured.kind == Kind.REPORT)
    rows = np.flatnonzero(captured.kind == Kind.ACCESS)
    following = np.searchsorted(reports, rows)
    rows, following = rows[following < reports.size], following[following < reports.size]
    is_soon = captured.time_ns[reports[following]] - captured.time_ns[rows] <= delay_ns
    rows, following = rows[is_soon], following[is_soon]
    page_stop = int((captured.page + captured.page_count).max(initial=0))
    number = pass_numbers(captured, reports, delay_ns)
    reported = each_page(captured, reports)
    of_pass = number[np.searchsorted(reports, reported.event)] * page_stop + reported.page
    goes_on = ~np.isin(number[following] * page_stop + captured.touched[rows - 1], of_pass)
    rows, following = rows[goes_on], following[goes_on]
    accessed = each_page(captured, rows)
    next_pass = number[following][np.searchsorted(rows, accessed.event)]
    is_taken = ~np.isin(next_pass * page_stop + accessed.page, of_pass)
    return _cut(captured, rows, Pages(*(column[is_taken] for column in accessed)))


def _cut(captured: Captured, rows: npt.NDArray[np.intp], left: Pages) -> Captured:
    """Give events of which these rows are about these pages only, in as many ranges as it takes."""
    is_first = (np.diff(left.page, prepend=-2) != 1) | (np.diff(left.event, prepend=-1) != 0)
    begins = np.flatnonzero(is_first)
    others = np.setdiff1d(np.arange(captured.kind.size), rows)
    event = np.concatenate((others, left.event[begins]))
    page = np.concatenate((captured.page[others], left.page[begins]))
    pages = np.concatenate(
        (captured.page_count[others], np.diff(np.append(begins, left.page.size)))
    )
    order = np.argsort(event, kind="stable")
    columns = Captured._make(column[event[order]] for column in captured)
    return columns._replace(page=page[order], page_count=pages[order])
