"""Place the demand of a capture anew: in a guest that reports otherwise, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.model.compiled import kernel
from workbench.model.guest.buddy import (
    give_page,
    put_back,
    take_grouped_page,
    take_page,
    take_this_page,
)
from workbench.model.guest.columns import (
    GIVE,
    NEXT_PASS_NS,
    NO_PAGE,
    NOT_FREE,
    NOW_NS,
    READ,
    ROW,
    SAME_PAGE,
    TAKE,
)
from workbench.model.guest.demand import order_of
from workbench.model.guest.events import write_touch
from workbench.model.guest.passes import report_pass
from workbench.schema import Kind

if TYPE_CHECKING:
    from workbench.model.columns import BoolArray, Int64Array
    from workbench.model.guest.columns import Demand, GuestConstants, GuestState, Placed

FAULT: Final = int(Kind.FAULT)
ACCESS: Final = int(Kind.ACCESS)
FREE: Final = int(Kind.FREE)


def free_pages(guest: GuestState) -> BoolArray:
    """Tell which pages are free.  Shape (page,)."""
    is_free = np.zeros(guest.place.size, np.bool_)
    for page in np.flatnonzero(guest.block_order != NOT_FREE):
        is_free[page : page + (1 << int(guest.block_order[page]))] = True
    return is_free


@kernel
def free_blocks(
    page: Int64Array,
    page_count: Int64Array,
    is_free: BoolArray,
    constants: GuestConstants,
    guest: GuestState,
) -> None:
    """Begin with these blocks free, on their lists in this order, and nobody's touch on them.

    Parameters
    ----------
    page, page_count
        Blocks, aligned to their size.  Columns of shape (block,).
    is_free
        Which pages are free, or may not be; a block with any such page is left out.
    """
    for block in range(page.size):
        first = page[block]
        stop = first + page_count[block]
        if is_free[first:stop].any():
            continue
        is_free[first:stop] = True
        guest.is_touched[first:stop] = False
        guest.place[first:stop] = NO_PAGE
        put_back(first, order_of(page_count[block]), constants, guest)


@kernel
def touch_page(
    page: int,
    writes: int,
    constants: GuestConstants,
    guest: GuestState,
    placed: Placed,
) -> None:
    """Write down the fault of a page that was not touched since it was reported, or its access.

    Whether it really faults is the host's matter: a huge page may back it already.
    """
    if not guest.is_touched[page]:
        guest.is_touched[page] = True
        write_touch(FAULT, page, writes, guest, placed)
    elif constants.follows_touches:
        write_touch(ACCESS, page, writes, guest, placed)


@kernel
def take_for(captured_page: int, group: int, constants: GuestConstants, guest: GuestState) -> int:
    """Take a page for one of the capture: the same if it is free, or for its group, or any."""
    if group >= 0:
        return take_grouped_page(group, constants, guest)
    if group == SAME_PAGE:
        page = take_this_page(captured_page, constants, guest)
        if page != NO_PAGE:
            return page
    return take_page(constants, guest)


@kernel
def free_page(page: int, constants: GuestConstants, guest: GuestState, placed: Placed) -> None:
    """Let the guest give a page back."""
    give_page(page, constants, guest)
    if constants.follows_touches:
        write_touch(FREE, page, 0, guest, placed)


@kernel
def run_passes(until_ns: int, constants: GuestConstants, guest: GuestState, placed: Placed) -> None:
    """Do the passes that are due by then, each at its time."""
    while guest.worker[NEXT_PASS_NS] <= until_ns:
        guest.worker[NOW_NS] = guest.worker[NEXT_PASS_NS]
        report_pass(constants, guest, placed)
    guest.worker[NOW_NS] = until_ns


@kernel
def place_demand(
    demand: Demand, stop_ns: int, constants: GuestConstants, guest: GuestState, placed: Placed
) -> int:
    """Take and give back as the demand says, and report until `stop_ns`.

    A take that finds no free page is left out, and so is the giving back of it.

    Returns
    -------
    How many events there are; `placed` holds only as many as it has room for.
    """
    for index in range(demand.time_ns.size):
        run_passes(demand.time_ns[index], constants, guest, placed)
        captured_page = demand.page[index]
        action = demand.action[index]
        if action == TAKE:
            guest.place[captured_page] = take_for(
                captured_page, demand.group[index], constants, guest
            )
        page = guest.place[captured_page]
        if page == NO_PAGE:
            continue
        if action == GIVE:
            free_page(page, constants, guest, placed)
            guest.place[captured_page] = NO_PAGE
        else:
            touch_page(page, int(action != READ), constants, guest, placed)
    run_passes(stop_ns, constants, guest, placed)
    return int(guest.worker[ROW])
