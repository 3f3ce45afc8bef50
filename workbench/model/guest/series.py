"""What a guest that reports has given back, told from samples of its free memory alone.

A sample says how much is free and how much of it in blocks of 2 MiB or more; neither which blocks,
nor what happened between two samples.  What is free, large enough and reported is not in host
memory; everything else that was ever used is.  So the model keeps how much of what is free *waits*
to be reported, by order.

* What is freed waits for a pass, and a pass takes what the budget of each list allows
  (`workbench.model.guest.reporting`).
* What is taken comes from what waits: Linux frees to the head of a list and puts reported blocks
  at its tail (Linux 6.1 mm/page_alloc.c, __putback_isolated_page()).
* Between two samples memory is also taken and freed again.  What was taken is in host memory until
  the next pass, although both samples show it free (`hidden_swing_pages`).
* When in an interval memory moved, and when passes happen, no sample says.  A run takes instants
  for both, and the caller averages over many (`Instants`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.model.compiled import kernel
from workbench.model.guest.reporting import carry_blocks, has_room_to_report, take_unreported
from workbench.units import HUGE_PAGE_ORDER, LARGEST_ORDER

if TYPE_CHECKING:
    from workbench.model.columns import Int64Array

OK: Final = -1
"""Every sample was accepted."""

ORDERS: Final = LARGEST_ORDER + 1

THOUSANDTHS: Final = 1000

NEVER_NS: Final = 2**62

NEXT_PASS: Final = 0
"""Index into the clock: when the next pass begins, NEVER_NS if none is asked for."""
NEXT_READ: Final = 1
"""The sample at which host memory is read next."""
INTERVAL: Final = 2
"""The sample that begins the present interval."""
FREE_ROW: Final = 3
"""The sample that says what is free now."""

_SWING_OF_MEDIAN_THOUSANDTHS: Final = 929
"""The largest swing to expect within an interval, of the median change over one.

sqrt(pi / 8) over 0.6745: the mean of the highest point of a Brownian bridge, whose distribution is
Rayleigh's, over the median size of a step as long (Billingsley, Convergence of Probability
Measures, 1968, section 11).
"""


class SeriesColumns(NamedTuple):
    """The samples.  Columns of shape (sample,)."""

    time_ns: Int64Array
    free_pages: Int64Array
    """Free pages, whatever the size of their block."""
    small_pages: Int64Array
    """Those in blocks below 2 MiB that are large enough to be reported."""
    large_pages: Int64Array
    """Those in blocks of 2 MiB or more that are large enough to be reported."""
    swing_pages: Int64Array
    """Taken and freed again between this sample and the next."""


class FreeShares(NamedTuple):
    """How free memory is spread over the orders of a group.  Columns of shape (order,).

    The orders below 2 MiB are one group, the others another; parts of any whole.
    """

    freed: Int64Array
    """Of what was freed lately."""
    free: Int64Array
    """Of all that is free, which has had time to merge."""


class SeriesConstants(NamedTuple):
    """Numbers that a run does not change."""

    order: int
    """The smallest block that is reported."""
    delay_ns: int
    capacity: int
    low_watermark_pages: int
    lag_ns: int
    """Host memory is read this long after the guest's numbers."""
    shares: FreeShares


class Instants(NamedTuple):
    """What the samples do not tell, as one run takes it."""

    first_pass_ns: int
    """After the first sample."""
    change_thousandths: int
    """Where in each interval the change between its two samples happens."""
    swing_thousandths: int
    """Where in each interval the swing ends."""


class SeriesState(NamedTuple):
    """What a run changes."""

    waiting_pages: Int64Array
    """Free and not reported yet, by order.  Shape (order,)."""
    reported_pages: Int64Array
    """The result: free and reported when host memory was read.  Shape (sample,)."""
    clock: Int64Array
    """NEXT_PASS, NEXT_READ, INTERVAL and FREE_ROW."""


def new_state(sample_count: int) -> SeriesState:
    """Make the state of a guest in which nothing waits."""
    return SeriesState(
        waiting_pages=np.zeros(ORDERS, np.int64),
        reported_pages=np.zeros(sample_count, np.int64),
        clock=np.zeros(4, np.int64),
    )


def reportable_pages(
    free_pages: Int64Array, free_large_pages: Int64Array, order: int, shares: FreeShares
) -> tuple[Int64Array, Int64Array]:
    """Say how much of what is free is in blocks that are reported: below 2 MiB, and from there.

    Exact for orders 0 and 9, which samples tell apart; the others follow from the shares.
    """
    smaller = free_pages - free_large_pages
    parts = shares.free
    small_parts, large_parts = parts[:HUGE_PAGE_ORDER], parts[HUGE_PAGE_ORDER:]
    small = smaller * small_parts[order:].sum() // small_parts.sum()
    large_order = max(order - HUGE_PAGE_ORDER, 0)
    large = free_large_pages * large_parts[large_order:].sum() // large_parts.sum()
    return small, large


def hidden_swing_pages(pages: Int64Array, window_rows: int) -> Int64Array:
    """Say how much is taken and freed again in each interval, judged by the changes around it.

    A random walk that both ends of an interval pin down still swings within it.  The median over
    `window_rows` intervals leaves out single large frees; 0 rows: there are no swings.
    """
    if window_rows == 0 or pages.size < 2:  # noqa: PLR2004 - an interval has two ends.
        return np.zeros(pages.size, np.int64)
    changes = np.abs(np.diff(pages))
    half = window_rows // 2
    around = np.pad(changes, half, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(around, 2 * half + 1)
    median = np.median(windows, axis=1).astype(np.int64)
    return np.append(median * _SWING_OF_MEDIAN_THOUSANDTHS // THOUSANDTHS, 0)


@kernel
def spread_pages(pages: int, parts: Int64Array, first: int, stop: int, lists: Int64Array) -> None:
    """Add pages to the lists of orders [first, stop) by their parts; the last takes the rest."""
    whole = 0
    for order in range(first, stop):
        whole += parts[order]
    left = pages
    for order in range(first, stop - 1):
        share = pages * parts[order] // whole
        lists[order] += share
        left -= share
    lists[stop - 1] += left


@kernel
def take_waiting(pages: int, first: int, stop: int, waiting: Int64Array) -> None:
    """Take from what waits in orders [first, stop), smallest blocks first, as far as it goes."""
    left = pages
    for order in range(first, stop):
        taken = min(waiting[order], left)
        waiting[order] -= taken
        left -= taken


@kernel
def put_waiting(
    small: int, large: int, columns: SeriesColumns, constants: SeriesConstants, state: SeriesState
) -> None:
    """Let freed pages wait; and where blocks were split or merged, wait with their new order.

    No more waits in a group of orders than is free in it.
    """
    waiting, freed = state.waiting_pages, constants.shares.freed
    edge, row = HUGE_PAGE_ORDER, state.clock[FREE_ROW]
    first_large = max(constants.order, edge)
    if small > 0:
        spread_pages(small, freed, constants.order, edge, waiting)
    if large > 0:
        spread_pages(large, freed, first_large, ORDERS, waiting)
    excess = waiting[:edge].sum() - columns.small_pages[row]
    if excess > 0:
        take_waiting(excess, 0, edge, waiting)
        spread_pages(excess, freed, first_large, ORDERS, waiting)
    excess = waiting[edge:].sum() - columns.large_pages[row]
    if excess > 0:
        take_waiting(excess, edge, ORDERS, waiting)
        spread_pages(excess, freed, constants.order, edge, waiting)


@kernel
def change_pages(columns: SeriesColumns, constants: SeriesConstants, state: SeriesState) -> bool:
    """Move to the next sample's free pages.  Returns whether pages were freed."""
    row = state.clock[INTERVAL]
    state.clock[FREE_ROW] = row + 1
    small = columns.small_pages[row + 1] - columns.small_pages[row]
    large = columns.large_pages[row + 1] - columns.large_pages[row]
    net = max(small + large, 0)
    taken = max(-(small + large), 0)
    take_waiting(taken, 0, ORDERS, state.waiting_pages)
    freed_large = min(max(large, 0), net)
    put_waiting(net - freed_large, freed_large, columns, constants, state)
    return bool(net > 0)


@kernel
def swing_back(columns: SeriesColumns, constants: SeriesConstants, state: SeriesState) -> bool:
    """Take pages and free them again: at least as many wait then.  Returns whether any did."""
    row = state.clock[FREE_ROW]
    small = columns.small_pages[row]
    free = small + columns.large_pages[row]
    swing = min(columns.swing_pages[state.clock[INTERVAL]], free)
    more = swing - state.waiting_pages.sum()
    if more > 0:
        from_small = more * small // free
        put_waiting(from_small, more - from_small, columns, constants, state)
    return bool(swing > 0)


@kernel
def report_pass(columns: SeriesColumns, constants: SeriesConstants, state: SeriesState) -> bool:
    """Report what one pass may.  Returns whether it asks for another.

    All memory is taken to be one zone with one free list for each order.

    Source: Linux 6.1 mm/page_reporting.c, page_reporting_process_zone().
    """
    order, capacity = constants.order, constants.capacity
    waiting, free = state.waiting_pages, constants.shares.free
    row = state.clock[FREE_ROW]
    low_watermark_pages = constants.low_watermark_pages
    if not has_room_to_report(columns.free_pages[row], low_watermark_pages, order, capacity):
        return False
    carried_blocks = 0
    is_spent = False
    for list_order in range(order, ORDERS):
        if list_order < HUGE_PAGE_ORDER:
            group_pages = columns.small_pages[row]
            whole = free[order:HUGE_PAGE_ORDER].sum()
        else:
            group_pages = columns.large_pages[row]
            whole = free[max(order, HUGE_PAGE_ORDER) :].sum()
        unreported_blocks = -(-waiting[list_order] >> list_order)
        free_blocks = group_pages * free[list_order] // whole >> list_order
        free_blocks = max(free_blocks, unreported_blocks)
        taken_blocks = take_unreported(unreported_blocks, free_blocks, carried_blocks, capacity)
        waiting[list_order] -= min(taken_blocks << list_order, waiting[list_order])
        if taken_blocks < unreported_blocks:
            is_spent = True
            carried_blocks = 0
        else:
            carried_blocks = carry_blocks(taken_blocks, carried_blocks, capacity)
    return is_spent


@kernel
def advance(
    until_ns: int, columns: SeriesColumns, constants: SeriesConstants, state: SeriesState
) -> None:
    """Let passes happen and host memory be read, in the order of time, until an instant.

    Where memory swings all the time, a pass is always followed by another.
    """
    clock, time_ns = state.clock, columns.time_ns
    while True:
        read_ns = NEVER_NS
        if clock[NEXT_READ] < time_ns.size:
            read_ns = time_ns[clock[NEXT_READ]] + constants.lag_ns
        if min(read_ns, clock[NEXT_PASS]) >= until_ns:
            return
        if read_ns <= clock[NEXT_PASS]:
            row = clock[FREE_ROW]
            free = columns.small_pages[row] + columns.large_pages[row]
            state.reported_pages[clock[NEXT_READ]] = free - state.waiting_pages.sum()
            clock[NEXT_READ] += 1
        elif report_pass(columns, constants, state) or columns.swing_pages[clock[INTERVAL]] > 0:
            clock[NEXT_PASS] += constants.delay_ns
        else:
            clock[NEXT_PASS] = NEVER_NS


@kernel
def is_acceptable(row: int, columns: SeriesColumns) -> bool:
    """Tell whether a sample can be: time goes on, and no more is reportable than free."""
    small, large = columns.small_pages[row], columns.large_pages[row]
    if small < 0 or large < 0 or columns.swing_pages[row] < 0:
        return False
    if small + large > columns.free_pages[row]:
        return False
    return bool(row == 0 or columns.time_ns[row] > columns.time_ns[row - 1])


@kernel
def run_series(
    columns: SeriesColumns, constants: SeriesConstants, instants: Instants, state: SeriesState
) -> int:
    """Follow the samples; `state.reported_pages` is the result.

    Returns
    -------
    OK, or the first row that cannot be accepted; nothing was done then.
    """
    time_ns, clock = columns.time_ns, state.clock
    for row in range(time_ns.size):
        if not is_acceptable(row, columns):
            return row
    clock[NEXT_READ] = 0
    clock[FREE_ROW] = 0
    clock[NEXT_PASS] = time_ns[0] + instants.first_pass_ns
    for row in range(time_ns.size - 1):
        clock[INTERVAL] = row
        length_ns = time_ns[row + 1] - time_ns[row]
        change_ns = time_ns[row] + length_ns * instants.change_thousandths // THOUSANDTHS
        swing_ns = time_ns[row] + length_ns * instants.swing_thousandths // THOUSANDTHS
        for step in range(2):
            is_change = (step == 0) == (change_ns <= swing_ns)
            now_ns = change_ns if is_change else swing_ns
            advance(now_ns, columns, constants, state)
            if is_change:
                is_freed = change_pages(columns, constants, state)
            else:
                is_freed = swing_back(columns, constants, state)
            if is_freed and clock[NEXT_PASS] == NEVER_NS:
                clock[NEXT_PASS] = now_ns + constants.delay_ns
        advance(time_ns[row + 1], columns, constants, state)
    clock[INTERVAL] = time_ns.size - 1
    advance(time_ns[time_ns.size - 1] + constants.lag_ns + 1, columns, constants, state)
    return OK
