"""What a guest takes and gives back, read from the events of its capture.

A fault on a page that was reported takes it; a report of a page that was taken, or in use since
before the capture, gives it back.  A page that is given back and taken again before a pass reports
it shows in neither, and need not: under every setting it comes from the head of its list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.model.compiled import kernel
from workbench.model.guest.columns import GIVE, NO_GROUP, READ, TAKE, WRITE, Demand
from workbench.model.guest.events import REPORT
from workbench.model.guest.reporting import full_reports
from workbench.schema import Kind
from workbench.units import HUGE_PAGE_ORDER, LARGEST_ORDER

if TYPE_CHECKING:
    from workbench.model.columns import Int64Array
    from workbench.model.guest.columns import Captured, Ownership

FAULT: Final = int(Kind.FAULT)


@kernel
def order_of(page_count: int) -> int:
    """Give the order of a block of that many pages; of other numbers, the next smaller one's."""
    order = 0
    while order < LARGEST_ORDER and 2 << order <= page_count:
        order += 1
    return order


@kernel
def date_reports(
    captured: Captured, delay_ns: int, capacity: int, seen: Int64Array, free_ns: Int64Array
) -> None:
    """Say since when each reported range was free: one delay before the pass that reports it.

    A free asks for a pass one delay later.  But a pass may report a part only of what is free of an
    order; what the next pass then reports of that order counts as free since the first of them.

    Parameters
    ----------
    seen
        Zeros, to be used: for each order the ranges of this pass, and when what it reports was
        freed.  Shape (2, order).
    free_ns
        To be filled where an event is a report.  Shape (event,).
    """
    pass_ns = -1
    for event in range(captured.kind.size):
        if captured.kind[event] != REPORT:
            continue
        time_ns = captured.time_ns[event]
        order = order_of(captured.page_count[event])
        if pass_ns < 0 or time_ns - pass_ns > delay_ns // 2:
            follows = pass_ns >= 0 and time_ns - pass_ns < delay_ns + delay_ns // 2
            for each in range(LARGEST_ORDER + 1):
                count = seen[0, each]
                was_cut = count >= (full_reports(count, capacity) - 1) * capacity
                if not (follows and count > 0 and was_cut):
                    seen[1, each] = time_ns - delay_ns
                seen[0, each] = 0
            pass_ns = time_ns
        seen[0, order] += 1
        free_ns[event] = seen[1, order]


def new_demand(row_count: int) -> Demand:
    """Make room for that many rows."""
    return Demand(
        time_ns=np.zeros(row_count, np.int64),
        action=np.zeros(row_count, np.int8),
        page=np.zeros(row_count, np.int64),
        rank=np.zeros(row_count, np.int64),
        group=np.full(row_count, NO_GROUP, np.int64),
    )


def group_what_stays(demand: Demand, guest: Ownership) -> None:
    """Let what stays in use to the end lie together as it did: by the pageblocks of the capture.

    Linux takes what it cannot move, and what it can reclaim, from pageblocks of their own.  No
    trace shows which pages these are; but where they lie when the work is over, it does.

    Parameters
    ----------
    demand
        As `read_demand` has filled it, not sorted; its groups are to be filled.
    guest
        As it has left it.

    Source: Linux 6.1 mm/page_alloc.c, __rmqueue and steal_suitable_fallback.
    """
    page = np.flatnonzero(~guest.is_free)
    row = guest.taken_row[page]
    is_taken = (demand.action[row] == TAKE) & (demand.page[row] == page)
    demand.group[row[is_taken]] = page[is_taken] >> HUGE_PAGE_ORDER


@kernel
def read_demand(captured: Captured, free_ns: Int64Array, guest: Ownership, demand: Demand) -> int:
    """Write down what changes hands, page by page, and what else is touched.

    Who takes a reported page faults on it, or accesses it after a fault beside it has backed it.
    What was taken first is given back first, of all that one pass reports: so files are freed, and
    the memory of processes.

    Parameters
    ----------
    captured
        Faults, accesses and reported ranges of one machine, in order.
    free_ns
        As `date_reports` gives it.
    guest
        What is free; the rest zeros, to be used.
    demand
        Room for one row per page of every event, to be filled; not in the order of time.

    Returns
    -------
    How many rows were filled.
    """
    row = 0
    for event in range(captured.kind.size):
        gives = captured.kind[event] == REPORT
        faults = captured.kind[event] == FAULT
        first = captured.page[event]
        for page in range(first, first + captured.page_count[event]):
            if faults or gives:
                guest.is_backed[page] = faults
            # An access to what is free and not backed was made before it was given back: accesses
            # are sampled, and date from some time before.
            is_over = guest.is_free[page] and not guest.is_backed[page]
            if is_over or (faults and page != captured.touched[event]):
                continue
            demand.page[row] = page
            demand.rank[row] = row
            if gives:
                demand.action[row] = GIVE
                demand.rank[row] = guest.taken_row[page]
                demand.time_ns[row] = max(guest.taken_ns[page], free_ns[event])
            else:
                demand.action[row] = WRITE if captured.writes[event] else READ
                demand.time_ns[row] = captured.time_ns[event]
                guest.taken_ns[page] = captured.time_ns[event]
                if guest.is_free[page]:
                    demand.action[row] = TAKE
                    guest.taken_row[page] = row
            guest.is_free[page] = gives
            row += 1
    return row
