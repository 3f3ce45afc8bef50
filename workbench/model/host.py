"""The host: which guest pages are in memory, in swap, or nowhere, with the rules of huge pages.

Sources: Linux v6.18 mm/huge_memory.c (do_huge_pmd_anonymous_page, do_huge_pmd_wp_page,
zap_huge_pmd, __split_huge_pmd_locked), mm/memory.c (do_anonymous_page, do_swap_page, zap_pte_range
with CONFIG_PT_RECLAIM, try_to_free_pte), mm/vmscan.c (shrink_folio_list).
Folios between one page and a huge page are kept page by page, khugepaged is not modelled, and a
partly discarded huge page is taken to survive until its last page goes or the host swaps from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.model.columns import HostState
from workbench.model.compiled import kernel
from workbench.schema import PageState

if TYPE_CHECKING:
    from workbench.model.columns import Constants

UNBACKED: Final = int(PageState.UNBACKED)
RESIDENT: Final = int(PageState.RESIDENT)
SWAPPED: Final = int(PageState.SWAPPED)
ZERO_PAGE: Final = int(PageState.ZERO_PAGE)

NO_TABLE: Final = 0
"""Nothing is mapped in this huge page of address space, and no page table is there."""
HUGE_ZERO_PAGE: Final = 1
PAGE_TABLE: Final = 2
HUGE_PAGE: Final = 3

RESIDENT_PAGES: Final = 0
SWAPPED_PAGES: Final = 1
HELD_PAGES: Final = 2
"""Index into the totals: host pages in use, which a partly discarded huge page still is."""


def new_host(page_count: int, huge_page_pages: int) -> HostState:
    """Make a host that holds nothing of a page space of `page_count` pages."""
    huge_page_count = -(-page_count // huge_page_pages)
    return HostState(
        page_state=np.full(page_count, UNBACKED, np.int8),
        was_discarded=np.zeros(page_count, np.bool_),
        is_huge=np.zeros(page_count, np.bool_),
        mapping=np.full(huge_page_count, NO_TABLE, np.int8),
        occupied_pages=np.zeros(huge_page_count, np.int64),
        huge_pages_left=np.zeros(huge_page_count, np.int64),
        totals=np.zeros(3, np.int64),
    )


@kernel
def is_whole(huge_page: int, block: int, constants: Constants) -> bool:
    """Tell whether this huge page of address space lies in the block with all its pages."""
    pages = constants.huge_page_pages
    first = constants.blocks.first_page[block]
    stop = first + constants.blocks.page_count[block]
    return bool(first <= huge_page * pages and (huge_page + 1) * pages <= stop)


@kernel
def back_page(page: int, huge_page: int, host: HostState) -> None:
    """Put one page into memory, from wherever it is."""
    state = host.page_state[page]
    if state == RESIDENT:
        return
    if state == SWAPPED:
        host.totals[SWAPPED_PAGES] -= 1
    elif state == UNBACKED:
        host.occupied_pages[huge_page] += 1
    host.page_state[page] = RESIDENT
    host.was_discarded[page] = False
    host.totals[RESIDENT_PAGES] += 1
    host.totals[HELD_PAGES] += 1


@kernel
def back_pages(first: int, stop: int, constants: Constants, host: HostState) -> None:
    """Put what is unbacked of [first, stop) into memory page by page, which takes a page table."""
    for page in range(first, stop):
        if host.page_state[page] == UNBACKED:
            huge_page = page // constants.huge_page_pages
            back_page(page, huge_page, host)
            host.mapping[huge_page] = PAGE_TABLE


@kernel
def back_huge_page(huge_page: int, constants: Constants, host: HostState) -> None:
    """Put a huge page where nothing is mapped, or only zero pages are."""
    pages = constants.huge_page_pages
    for page in range(huge_page * pages, (huge_page + 1) * pages):
        back_page(page, huge_page, host)
        host.is_huge[page] = True
    host.huge_pages_left[huge_page] = pages
    host.mapping[huge_page] = HUGE_PAGE


@kernel
def map_zero_page(page: int, huge_page: int, host: HostState) -> None:
    """Map the page of zeros that all processes share, where nothing is mapped."""
    host.page_state[page] = ZERO_PAGE
    host.occupied_pages[huge_page] += 1


@kernel
def map_huge_zero_page(huge_page: int, constants: Constants, host: HostState) -> None:
    """Map the huge page of zeros where nothing is mapped and no page table is there."""
    pages = constants.huge_page_pages
    for page in range(huge_page * pages, (huge_page + 1) * pages):
        map_zero_page(page, huge_page, host)
    host.mapping[huge_page] = HUGE_ZERO_PAGE


@kernel
def drop_page(page: int, huge_page: int, constants: Constants, host: HostState) -> None:
    """Take one page out of memory or swap, and remember that it held something."""
    state = host.page_state[page]
    if state == UNBACKED:
        return
    if state == RESIDENT:
        host.totals[RESIDENT_PAGES] -= 1
        host.was_discarded[page] = True
        if host.is_huge[page]:
            host.is_huge[page] = False
            host.huge_pages_left[huge_page] -= 1
            if host.huge_pages_left[huge_page] == 0:
                host.totals[HELD_PAGES] -= constants.huge_page_pages
        else:
            host.totals[HELD_PAGES] -= 1
    elif state == SWAPPED:
        host.totals[SWAPPED_PAGES] -= 1
        host.was_discarded[page] = True
    host.page_state[page] = UNBACKED
    host.occupied_pages[huge_page] -= 1


@kernel
def discard_pages(first: int, stop: int, constants: Constants, host: HostState) -> None:
    """Give the pages [first, stop) back, as one madvise(MADV_DONTNEED) or hole punched does.

    A huge mapping that goes in one call leaves no page table behind.  So does a page table that
    goes in one call where the host frees empty ones.  Anything less splits a huge mapping.
    """
    pages = constants.huge_page_pages
    if first >= stop:
        return
    for huge_page in range(first // pages, (stop - 1) // pages + 1):
        own_first = huge_page * pages
        low = max(first, own_first)
        high = min(stop, own_first + pages)
        for page in range(low, high):
            drop_page(page, huge_page, constants, host)
        mapping = host.mapping[huge_page]
        if high - low == pages:
            if mapping != PAGE_TABLE or constants.frees_empty_page_tables:
                host.mapping[huge_page] = NO_TABLE
        elif mapping != NO_TABLE:
            host.mapping[huge_page] = PAGE_TABLE


@kernel
def split_huge_page(huge_page: int, constants: Constants, host: HostState) -> None:
    """Split the huge page that is there into pages, which frees those that nobody maps any more."""
    left = host.huge_pages_left[huge_page]
    pages = constants.huge_page_pages
    for page in range(huge_page * pages, (huge_page + 1) * pages):
        host.is_huge[page] = False
    host.huge_pages_left[huge_page] = 0
    host.totals[HELD_PAGES] -= pages - left


@kernel
def swap_out_pages(first: int, stop: int, constants: Constants, host: HostState) -> None:
    """Move what is resident of [first, stop) to swap.

    Linux splits a huge page before it swaps out a part of it, and maps swap entries one by one.
    """
    for page in range(first, stop):
        if host.page_state[page] == RESIDENT:
            huge_page = page // constants.huge_page_pages
            if host.is_huge[page]:
                split_huge_page(huge_page, constants, host)
            host.mapping[huge_page] = PAGE_TABLE
            host.page_state[page] = SWAPPED
            host.totals[RESIDENT_PAGES] -= 1
            host.totals[HELD_PAGES] -= 1
            host.totals[SWAPPED_PAGES] += 1


@kernel
def swap_in_pages(first: int, stop: int, constants: Constants, host: HostState) -> None:
    """Bring what is in swap of [first, stop) back into memory."""
    for page in range(first, stop):
        if host.page_state[page] == SWAPPED:
            back_page(page, page // constants.huge_page_pages, host)


@kernel
def set_pages(first: int, stop: int, state: int, constants: Constants, host: HostState) -> None:
    """Put pages of a host that holds nothing of [first, stop) into a state.

    The mappings are left to `settle_mappings`.
    """
    for page in range(first, stop):
        huge_page = page // constants.huge_page_pages
        if host.page_state[page] != UNBACKED:
            continue
        if state == RESIDENT:
            back_page(page, huge_page, host)
        elif state == SWAPPED:
            host.page_state[page] = SWAPPED
            host.occupied_pages[huge_page] += 1
            host.totals[SWAPPED_PAGES] += 1
        elif state == ZERO_PAGE:
            map_zero_page(page, huge_page, host)


@kernel
def settle_mappings(block: int, constants: Constants, host: HostState) -> None:
    """Say how a block is mapped, of which only the pages' states are known.

    Where all pages of a huge page of address space are resident, or all are zero pages, the
    mapping is taken to be huge if the block may have huge pages; where there is nothing at all,
    no page table is taken to be there.
    """
    blocks = constants.blocks
    pages = constants.huge_page_pages
    first = blocks.first_page[block]
    stop = first + blocks.page_count[block]
    for huge_page in range(first // pages, (stop - 1) // pages + 1):
        if host.occupied_pages[huge_page] == 0:
            continue
        host.mapping[huge_page] = PAGE_TABLE
        if blocks.takes_huge_pages[block] and is_whole(huge_page, block, constants):
            resident = 0
            zero = 0
            for page in range(huge_page * pages, (huge_page + 1) * pages):
                resident += host.page_state[page] == RESIDENT
                zero += host.page_state[page] == ZERO_PAGE
            if resident == pages:
                back_huge_page(huge_page, constants, host)
            elif zero == pages:
                host.mapping[huge_page] = HUGE_ZERO_PAGE
