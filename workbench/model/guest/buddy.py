"""The guest's page allocator: free lists by order, split on taking, merged on giving back.

Source: Linux 6.1 mm/page_alloc.c (__free_one_page, buddy_merge_likely, __rmqueue_smallest,
expand).  Migrate types and per-processor lists are not modelled: every page is movable, and a freed
page is on its free list at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.model.compiled import kernel
from workbench.model.guest.columns import (
    GROUP,
    NEVER,
    NEXT,
    NEXT_PASS_NS,
    NO_PAGE,
    NOBODY,
    NOT_FREE,
    NOW_NS,
    PREVIOUS,
    GuestState,
)
from workbench.units import HUGE_PAGE_ORDER, LARGEST_ORDER

if TYPE_CHECKING:
    from workbench.model.guest.columns import GuestConstants

SETS: Final = 2
"""Sets of free lists of a zone: of what anybody may take, and of what is kept for somebody."""

_LIKELY_STOP: Final = LARGEST_ORDER - 1
"""From this order on buddy_merge_likely does not look: MAX_ORDER - 2."""


def new_guest(page_count: int, constants: GuestConstants) -> GuestState:
    """Make a guest all of whose pages are in use, and were touched."""
    zones = constants.zone_first.size
    lists = (SETS * zones, LARGEST_ORDER + 1)
    blocks = (page_count >> HUGE_PAGE_ORDER) + 1
    return GuestState(
        block_order=np.full(page_count, NOT_FREE, np.int8),
        is_reported=np.zeros(page_count, np.bool_),
        links=np.full((-(-page_count // 2), 2), NO_PAGE, np.int32),
        first_page=np.full(lists, NO_PAGE, np.int64),
        last_page=np.full(lists, NO_PAGE, np.int64),
        block_count=np.zeros(lists, np.int64),
        free_pages=np.zeros(zones, np.int64),
        place=np.arange(page_count, dtype=np.int32),
        group_block=np.full(blocks, NO_PAGE, np.int64),
        kept_for=np.full(blocks, NOBODY, np.int8),
        is_touched=np.ones(page_count, np.bool_),
        isolated_page=np.zeros(constants.reporting_capacity, np.int64),
        isolated_order=np.zeros(constants.reporting_capacity, np.int64),
        worker=np.array([0, NEVER, 0, 0, 0], np.int64),
    )


@kernel
def zone_of(page: int, constants: GuestConstants) -> int:
    """Tell in which zone a page is."""
    zone = constants.zone_first.size - 1
    while zone > 0 and page < constants.zone_first[zone]:
        zone -= 1
    return zone


@kernel
def lists_of(page: int, order: int, zone: int, guest: GuestState) -> int:
    """Tell which set of lists a free block is on: the second if all of it is kept."""
    first_block = page >> HUGE_PAGE_ORDER
    last_block = (page + (1 << order) - 1) >> HUGE_PAGE_ORDER
    is_kept = guest.kept_for[first_block] != NOBODY and guest.kept_for[last_block] != NOBODY
    return SETS * zone + int(is_kept)


@kernel
def add_first(page: int, order: int, zone: int, guest: GuestState) -> None:
    """Put a free block at the head of its list."""
    lists = lists_of(page, order, zone, guest)
    first = guest.first_page[lists, order]
    guest.links[page >> 1, PREVIOUS] = NO_PAGE
    guest.links[page >> 1, NEXT] = first
    guest.first_page[lists, order] = page
    if first == NO_PAGE:
        guest.last_page[lists, order] = page
    else:
        guest.links[first >> 1, PREVIOUS] = page
    count_block(page, order, zone, guest)


@kernel
def add_last(page: int, order: int, zone: int, guest: GuestState) -> None:
    """Put a free block at the tail of its list."""
    lists = lists_of(page, order, zone, guest)
    last = guest.last_page[lists, order]
    guest.links[page >> 1, PREVIOUS] = last
    guest.links[page >> 1, NEXT] = NO_PAGE
    guest.last_page[lists, order] = page
    if last == NO_PAGE:
        guest.first_page[lists, order] = page
    else:
        guest.links[last >> 1, NEXT] = page
    count_block(page, order, zone, guest)


@kernel
def count_block(page: int, order: int, zone: int, guest: GuestState) -> None:
    """Count a block that has come onto a list."""
    guest.block_order[page] = order
    guest.block_count[lists_of(page, order, zone, guest), order] += 1
    guest.free_pages[zone] += 1 << order


@kernel
def remove_block(page: int, zone: int, guest: GuestState) -> int:
    """Take a free block off its list, which also makes it unreported.  Returns its order."""
    order = int(guest.block_order[page])
    lists = lists_of(page, order, zone, guest)
    previous_page = guest.links[page >> 1, PREVIOUS]
    next_page = guest.links[page >> 1, NEXT]
    if previous_page == NO_PAGE:
        guest.first_page[lists, order] = next_page
    else:
        guest.links[previous_page >> 1, NEXT] = next_page
    if next_page == NO_PAGE:
        guest.last_page[lists, order] = previous_page
    else:
        guest.links[next_page >> 1, PREVIOUS] = previous_page
    guest.block_order[page] = NOT_FREE
    guest.is_reported[page] = False
    guest.block_count[lists, order] -= 1
    guest.free_pages[zone] -= 1 << order
    return order


@kernel
def make_first(page: int, zone: int, order: int, guest: GuestState) -> None:
    """Turn a list round so that this block is its head, and what stood before it is at its end."""
    previous_page = guest.links[page >> 1, PREVIOUS]
    if previous_page == NO_PAGE:
        return
    lists = lists_of(page, order, zone, guest)
    first = guest.first_page[lists, order]
    last = guest.last_page[lists, order]
    guest.links[last >> 1, NEXT] = first
    guest.links[first >> 1, PREVIOUS] = last
    guest.links[previous_page >> 1, NEXT] = NO_PAGE
    guest.links[page >> 1, PREVIOUS] = NO_PAGE
    guest.first_page[lists, order] = page
    guest.last_page[lists, order] = previous_page


@kernel
def is_free_block(
    page: int, order: int, zone: int, constants: GuestConstants, guest: GuestState
) -> bool:
    """Tell whether a free block of this order, of this zone, begins at a page."""
    if page < constants.zone_first[zone] or page >= constants.zone_stop[zone]:
        return False
    return bool(guest.block_order[page] == order)


@kernel
def merge_buddies(
    page: int, order: int, zone: int, constants: GuestConstants, guest: GuestState
) -> tuple[int, int]:
    """Take the free buddies of a block off their lists.  Returns the merged block and its order."""
    while order < LARGEST_ORDER:
        buddy = page ^ (1 << order)
        if not is_free_block(buddy, order, zone, constants, guest):
            break
        remove_block(buddy, zone, guest)
        page &= ~(1 << order)
        order += 1
    return page, order


@kernel
def put_back(page: int, order: int, constants: GuestConstants, guest: GuestState) -> int:
    """Free a block to the tail, as a pass does with what it has reported.  Returns its order.

    Source: Linux 6.1 mm/page_alloc.c, __putback_isolated_page.
    """
    zone = zone_of(page, constants)
    page, order = merge_buddies(page, order, zone, constants, guest)
    add_last(page, order, zone, guest)
    return order


@kernel
def free_page(page: int, constants: GuestConstants, guest: GuestState) -> int:
    """Free a page, merged with its buddies as far as they are free.  Returns the block's order.

    The block goes to the head of its list, so that it is taken again soon; but to the tail where
    its next larger buddy is free, because then the two are likely to merge.
    """
    zone = zone_of(page, constants)
    page, order = merge_buddies(page, 0, zone, constants, guest)
    larger = 1 << (order + 1)
    parent = page & ~(larger - 1)
    if order < _LIKELY_STOP and is_free_block(parent ^ larger, order + 1, zone, constants, guest):
        add_last(page, order, zone, guest)
    else:
        add_first(page, order, zone, guest)
    return order


@kernel
def take_page(constants: GuestConstants, guest: GuestState) -> int:
    """Take one page: from the highest zone that has any, out of the smallest block there.

    Not from kept pageblocks.

    Returns
    -------
    The page, or NO_PAGE where none is free.
    """
    for zone in range(constants.zone_first.size - 1, -1, -1):
        for order in range(LARGEST_ORDER + 1):
            page = guest.first_page[SETS * zone, order]
            if page == NO_PAGE:
                continue
            return split_block(int(page), int(page), zone, guest)
    return NO_PAGE


@kernel
def take_this_page(page: int, constants: GuestConstants, guest: GuestState) -> int:
    """Take the page with this address.

    Returns
    -------
    The page, or NO_PAGE where it is not free.
    """
    for order in range(LARGEST_ORDER + 1):
        block = page & -(1 << order)
        if guest.block_order[block] == order:
            return split_block(block, page, zone_of(page, constants), guest)
    return NO_PAGE


@kernel
def take_from_largest(constants: GuestConstants, guest: GuestState) -> int:
    """Take one page: from the highest zone that has any, out of the largest block there.

    Returns
    -------
    The page, or NO_PAGE where none is free.
    """
    for zone in range(constants.zone_first.size - 1, -1, -1):
        for order in range(LARGEST_ORDER, -1, -1):
            page = guest.first_page[SETS * zone, order]
            if page != NO_PAGE:
                return split_block(int(page), int(page), zone, guest)
    return NO_PAGE


@kernel
def keep_block(block: int, whom: int, constants: GuestConstants, guest: GuestState) -> None:
    """Keep a pageblock, of which some is in use, for somebody; what is free there changes lists."""
    before = guest.kept_for[block]
    first = block << HUGE_PAGE_ORDER
    for page in range(first, min(first + (1 << HUGE_PAGE_ORDER), guest.block_order.size)):
        if guest.block_order[page] != NOT_FREE:
            zone = zone_of(page, constants)
            is_reported = guest.is_reported[page]
            guest.kept_for[block] = before
            order = remove_block(page, zone, guest)
            guest.kept_for[block] = whom
            add_last(page, order, zone, guest)
            guest.is_reported[page] = is_reported
    guest.kept_for[block] = whom


@kernel
def give_up_block(page: int, order: int, constants: GuestConstants, guest: GuestState) -> None:
    """Keep a pageblock for no group any more if this block, half of it or more, is reported.

    Source: Linux 6.1 mm/page_alloc.c, __isolate_free_page().
    """
    block = page >> HUGE_PAGE_ORDER
    if order >= HUGE_PAGE_ORDER - 1 and guest.kept_for[block] == GROUP:
        keep_block(block, NOBODY, constants, guest)


@kernel
def split_block(block: int, page: int, zone: int, guest: GuestState) -> int:
    """Take a page out of a free block; the other halves go to the heads of their lists.

    Returns
    -------
    The page.
    """
    half = remove_block(block, zone, guest)
    while half > 0:
        half -= 1
        add_first((page & -(1 << half)) ^ (1 << half), half, zone, guest)
    return page


@kernel
def take_beside(group: int, constants: GuestConstants, guest: GuestState) -> int:
    """Take the lowest free page of the pageblock where a page of this group was taken last.

    Returns
    -------
    The page, or NO_PAGE where none is free there.
    """
    block = guest.group_block[group]
    if block == NO_PAGE:
        return NO_PAGE
    first = block << HUGE_PAGE_ORDER
    for page in range(first, min(first + (1 << HUGE_PAGE_ORDER), guest.block_order.size)):
        if guest.block_order[page] != NOT_FREE:
            return split_block(page, page, zone_of(page, constants), guest)
    return NO_PAGE


@kernel
def take_grouped_page(group: int, constants: GuestConstants, guest: GuestState) -> int:
    """Take a page for a group: beside the last one, else as any other.

    A group that keeps its pageblock takes the other out of the largest block, and what else is free
    in its pageblock is for nobody else from then on.

    Returns
    -------
    The page, or NO_PAGE where none is free at all.

    Source: Linux 6.1 mm/page_alloc.c, __rmqueue_fallback() and steal_suitable_fallback().
    """
    keeps = group >= guest.kept_for.size
    group %= guest.kept_for.size
    page = take_beside(group, constants, guest)
    if page == NO_PAGE:
        page = take_from_largest(constants, guest) if keeps else take_page(constants, guest)
    if page == NO_PAGE:
        guest.group_block[group] = NO_PAGE
        return NO_PAGE
    block = page >> HUGE_PAGE_ORDER
    guest.group_block[group] = block
    if keeps and guest.kept_for[block] == NOBODY:
        keep_block(block, GROUP, constants, guest)
    return page


@kernel
def give_page(page: int, constants: GuestConstants, guest: GuestState) -> None:
    """Give one page back, and ask for a pass if the free block that results is large enough.

    Source: Linux 6.1 mm/page_reporting.h, page_reporting_notify_free.
    """
    order = free_page(page, constants, guest)
    reports = constants.reporting_order >= 0 and order >= constants.reporting_order
    if reports and guest.worker[NEXT_PASS_NS] == NEVER:
        guest.worker[NEXT_PASS_NS] = guest.worker[NOW_NS] + constants.reporting_delay_ns
