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

from workbench.model.columns import FIRST_PAGE, PAGE_COUNT, TAKES_HUGE_PAGES, HostState
from workbench.model.compiled import inlined_kernel, inner_kernel, kernel
from workbench.model.page_bits import (
    ALL_BITS,
    IS_HUGE,
    RESIDENT,
    STATE,
    SWAPPED,
    UNBACKED,
    WAS_DISCARDED,
    ZERO_PAGE,
)
from workbench.schema import PageFlag

if TYPE_CHECKING:
    from workbench.model.columns import Constants, Int8Array

# Columns of `HostState.huge_pages`.
MAPPING: Final = 0
"""How it is mapped: NO_TABLE and so on."""
OCCUPIED_PAGES: Final = 1
"""Pages of it where something is mapped or in swap."""
PAGES_LEFT: Final = 2
"""Pages of the huge page itself that are still mapped; 0: there is no huge page."""

NO_TABLE: Final = 0
"""Nothing is mapped in this huge page of address space, and no page table is there."""
HUGE_ZERO_PAGE: Final = 1
PAGE_TABLE: Final = 2
HUGE_PAGE: Final = 3

RESIDENT_PAGES: Final = 0
SWAPPED_PAGES: Final = 1
HELD_PAGES: Final = 2
"""Index into the totals: host pages in use, which a partly discarded huge page still is."""

HAS_TABLE: Final = int(PageFlag.TABLE)
"""Of a state that `set_pages` is given."""

_BUT_STATE: Final = ALL_BITS ^ STATE
_BUT_HUGE: Final = ALL_BITS ^ IS_HUGE
_RECLAIM_BITS: Final = ALL_BITS ^ (STATE | WAS_DISCARDED | IS_HUGE)
"""What a page keeps that comes or goes: bits of `workbench.model.reclaim`."""


def new_host(page_count: int, huge_page_pages: int) -> HostState:
    """Make a host that holds nothing of a page space of `page_count` pages."""
    huge_page_count = -(-page_count // huge_page_pages)
    return HostState(
        pages=np.full(page_count + huge_page_count, UNBACKED, np.uint16),
        huge_pages=np.zeros((huge_page_count, 3), np.int32),
        totals=np.zeros(3, np.int64),
    )


def page_states(host: HostState) -> Int8Array:
    """Give the PageState of each page.  Shape (page,)."""
    return (host.pages[: host.pages.size - host.huge_pages.shape[0]] & STATE).astype(np.int8)


@inlined_kernel
def is_whole(huge_page: int, block: int, constants: Constants) -> bool:
    """Tell whether this huge page of address space lies in the block with all its pages."""
    pages = constants.huge_page_pages
    first = constants.blocks[block, FIRST_PAGE]
    stop = first + constants.blocks[block, PAGE_COUNT]
    return bool(first <= huge_page * pages and (huge_page + 1) * pages <= stop)


@inlined_kernel
def set_states(first: int, stop: int, state: int, host: HostState) -> None:
    """Put pages that agree into a state, given with WAS_DISCARDED and IS_HUGE."""
    pages = host.pages[first:stop]
    for index in range(pages.size):
        pages[index] = (pages[index] & _RECLAIM_BITS) | state


@inlined_kernel
def back_page(page: int, huge_page: int, host: HostState) -> None:
    """Put one page into memory that is nowhere, or the page of zeros."""
    word = host.pages[page]
    if word & STATE == UNBACKED:
        host.huge_pages[huge_page, OCCUPIED_PAGES] += 1
    host.pages[page] = (word & _RECLAIM_BITS) | RESIDENT
    host.totals[RESIDENT_PAGES] += 1
    host.totals[HELD_PAGES] += 1


@inlined_kernel
def back_pages(first: int, stop: int, constants: Constants, host: HostState) -> None:
    """Put what is unbacked of [first, stop) into memory page by page, which takes a page table."""
    for page in range(first, stop):
        if host.pages[page] & STATE == UNBACKED:
            huge_page = page >> constants.huge_page_shift
            back_page(page, huge_page, host)
            host.huge_pages[huge_page, MAPPING] = PAGE_TABLE


@inner_kernel
def back_huge_page(huge_page: int, constants: Constants, host: HostState) -> None:
    """Put a huge page where nothing is mapped, or only zero pages are, or all its pages."""
    pages = constants.huge_page_pages
    first = huge_page * pages
    gained = 0 if host.pages[first] & STATE == RESIDENT else pages
    set_states(first, first + pages, RESIDENT | IS_HUGE, host)
    host.totals[RESIDENT_PAGES] += gained
    host.totals[HELD_PAGES] += gained
    host.huge_pages[huge_page, OCCUPIED_PAGES] = pages
    host.huge_pages[huge_page, PAGES_LEFT] = pages
    host.huge_pages[huge_page, MAPPING] = HUGE_PAGE


@inner_kernel
def map_zero_page(page: int, huge_page: int, host: HostState) -> None:
    """Map the page of zeros that all processes share, where nothing is mapped."""
    host.pages[page] = (host.pages[page] & _BUT_STATE) | ZERO_PAGE
    host.huge_pages[huge_page, OCCUPIED_PAGES] += 1


@inner_kernel
def map_huge_zero_page(huge_page: int, constants: Constants, host: HostState) -> None:
    """Map the huge page of zeros where nothing is mapped and no page table is there."""
    pages = constants.huge_page_pages
    for page in range(huge_page * pages, (huge_page + 1) * pages):
        map_zero_page(page, huge_page, host)
    host.huge_pages[huge_page, MAPPING] = HUGE_ZERO_PAGE


@inner_kernel
def drop_page(page: int, huge_page: int, constants: Constants, host: HostState) -> None:
    """Take one page out of memory or swap, and remember that it held something."""
    word = host.pages[page]
    state = word & STATE
    if state == UNBACKED:
        return
    if state == RESIDENT:
        host.totals[RESIDENT_PAGES] -= 1
        if word & IS_HUGE != 0:
            host.huge_pages[huge_page, PAGES_LEFT] -= 1
            if host.huge_pages[huge_page, PAGES_LEFT] == 0:
                host.totals[HELD_PAGES] -= constants.huge_page_pages
        else:
            host.totals[HELD_PAGES] -= 1
    elif state == SWAPPED:
        host.totals[SWAPPED_PAGES] -= 1
    if state == ZERO_PAGE:
        host.pages[page] = (word & _BUT_STATE) | UNBACKED
    else:
        host.pages[page] = (word & _RECLAIM_BITS) | UNBACKED | WAS_DISCARDED
    host.huge_pages[huge_page, OCCUPIED_PAGES] -= 1


@inner_kernel
def drop_huge_page(huge_page: int, constants: Constants, host: HostState) -> None:
    """Take a huge page that is there with all its pages out of memory."""
    pages = constants.huge_page_pages
    first = huge_page * pages
    set_states(first, first + pages, UNBACKED | WAS_DISCARDED, host)
    host.totals[RESIDENT_PAGES] -= pages
    host.totals[HELD_PAGES] -= pages
    host.huge_pages[huge_page, OCCUPIED_PAGES] = 0
    host.huge_pages[huge_page, PAGES_LEFT] = 0


@inlined_kernel
def goes_whole(
    first: int, stop: int, huge_page: int, constants: Constants, host: HostState
) -> bool:
    """Tell whether a discard of these pages of a huge page takes one that has all its pages."""
    pages = constants.huge_page_pages
    return bool(stop - first == pages and host.huge_pages[huge_page, PAGES_LEFT] == pages)


@inner_kernel
def discard_part(
    first: int, stop: int, huge_page: int, constants: Constants, host: HostState
) -> None:
    """Discard pages of one huge page of address space.

    Pages that agree go together: where nothing is there to go, or all of a huge page.  A huge
    mapping that goes in one call leaves no page table behind.  So does a page table that goes in
    one call where the host frees empty ones.  Anything less splits a huge mapping.
    """
    if goes_whole(first, stop, huge_page, constants, host):
        drop_huge_page(huge_page, constants, host)
    elif host.huge_pages[huge_page, OCCUPIED_PAGES] > 0:
        for page in range(first, stop):
            drop_page(page, huge_page, constants, host)
    mapping = host.huge_pages[huge_page, MAPPING]
    if stop - first == constants.huge_page_pages:
        if mapping != PAGE_TABLE or constants.frees_empty_page_tables:
            host.huge_pages[huge_page, MAPPING] = NO_TABLE
    elif mapping != NO_TABLE:
        host.huge_pages[huge_page, MAPPING] = PAGE_TABLE


@inner_kernel
def discard_pages(first: int, stop: int, constants: Constants, host: HostState) -> None:
    """Give the pages [first, stop) back, as one madvise(MADV_DONTNEED) or hole punched does."""
    pages = constants.huge_page_pages
    if first >= stop:
        return
    for huge_page in range(first // pages, (stop - 1) // pages + 1):
        own_first = huge_page * pages
        low, high = max(first, own_first), min(stop, own_first + pages)
        discard_part(low, high, huge_page, constants, host)


@inner_kernel
def split_huge_page(huge_page: int, constants: Constants, host: HostState) -> None:
    """Split the huge page that is there into pages, which frees those that nobody maps any more."""
    left = host.huge_pages[huge_page, PAGES_LEFT]
    pages = constants.huge_page_pages
    for page in range(huge_page * pages, (huge_page + 1) * pages):
        host.pages[page] &= _BUT_HUGE
    host.huge_pages[huge_page, PAGES_LEFT] = 0
    host.totals[HELD_PAGES] -= pages - left


@inner_kernel
def swap_out_pages(first: int, stop: int, constants: Constants, host: HostState) -> None:
    """Move what is resident of [first, stop) to swap.

    Linux splits a huge page before it swaps out a part of it, and maps swap entries one by one.
    """
    for page in range(first, stop):
        if host.pages[page] & STATE == RESIDENT:
            huge_page = page >> constants.huge_page_shift
            if host.pages[page] & IS_HUGE != 0:
                split_huge_page(huge_page, constants, host)
            host.huge_pages[huge_page, MAPPING] = PAGE_TABLE
            host.pages[page] = (host.pages[page] & _BUT_STATE) | SWAPPED
            host.totals[RESIDENT_PAGES] -= 1
            host.totals[HELD_PAGES] -= 1
            host.totals[SWAPPED_PAGES] += 1


@inlined_kernel
def swap_in_page(page: int, host: HostState) -> None:
    """Bring one page back into memory that is in swap."""
    host.pages[page] = (host.pages[page] & _RECLAIM_BITS) | RESIDENT
    host.totals[SWAPPED_PAGES] -= 1
    host.totals[RESIDENT_PAGES] += 1
    host.totals[HELD_PAGES] += 1


@inner_kernel
def swap_in_pages(first: int, stop: int, host: HostState) -> None:
    """Bring what is in swap of [first, stop) back into memory."""
    for page in range(first, stop):
        if host.pages[page] & STATE == SWAPPED:
            swap_in_page(page, host)


@kernel
def set_pages(first: int, stop: int, state: int, constants: Constants, host: HostState) -> None:
    """Put pages of a host that holds nothing of [first, stop) into a state.

    The mappings are left to `settle_mappings`, but for what the state's PageFlag bits say.
    """
    for page in range(first, stop):
        huge_page = page >> constants.huge_page_shift
        if host.pages[page] & STATE != UNBACKED:
            continue
        host.pages[page] |= state & WAS_DISCARDED
        if state & HAS_TABLE != 0:
            host.huge_pages[huge_page, MAPPING] = PAGE_TABLE
        if state & STATE == RESIDENT:
            back_page(page, huge_page, host)
            if state & IS_HUGE != 0:
                host.pages[page] |= IS_HUGE
                host.huge_pages[huge_page, PAGES_LEFT] += 1
        elif state & STATE == SWAPPED:
            host.pages[page] = (host.pages[page] & _BUT_STATE) | SWAPPED
            host.huge_pages[huge_page, OCCUPIED_PAGES] += 1
            host.totals[SWAPPED_PAGES] += 1
        elif state & STATE == ZERO_PAGE:
            map_zero_page(page, huge_page, host)


@kernel
def settle_mappings(block: int, constants: Constants, host: HostState) -> None:
    """Say how a block is mapped, of which only the pages' states are known, or a little more.

    Where all pages of a huge page of address space are resident, or all are zero pages, the
    mapping is taken to be huge if the block may have huge pages and no page table is known to be
    there; where there is nothing at all and none is known, there is none.  A huge page of which
    some pages are left is one, and the host still has all of it.
    """
    blocks = constants.blocks
    pages = constants.huge_page_pages
    first = blocks[block, FIRST_PAGE]
    stop = first + blocks[block, PAGE_COUNT]
    for huge_page in range(first // pages, (stop - 1) // pages + 1):
        if host.huge_pages[huge_page, OCCUPIED_PAGES] == 0:
            continue
        left = host.huge_pages[huge_page, PAGES_LEFT]
        if left != 0:
            host.huge_pages[huge_page, MAPPING] = HUGE_PAGE if left == pages else PAGE_TABLE
            host.totals[HELD_PAGES] += pages - left
            continue
        is_known = host.huge_pages[huge_page, MAPPING] == PAGE_TABLE
        host.huge_pages[huge_page, MAPPING] = PAGE_TABLE
        may_be_huge = not is_known and blocks[block, TAKES_HUGE_PAGES] != 0
        if may_be_huge and is_whole(huge_page, block, constants):
            resident = 0
            zero = 0
            for page in range(huge_page * pages, (huge_page + 1) * pages):
                resident += host.pages[page] & STATE == RESIDENT
                zero += host.pages[page] & STATE == ZERO_PAGE
            if resident == pages:
                back_huge_page(huge_page, constants, host)
            elif zero == pages:
                host.huge_pages[huge_page, MAPPING] = HUGE_ZERO_PAGE
