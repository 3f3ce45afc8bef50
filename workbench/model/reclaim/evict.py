"""Take a folio from memory: into swap, or out of the swap cache.

Source: Linux v6.18 mm/vmscan.c (shrink_folio_list, __remove_mapping), mm/page_io.c (swap_writeout),
mm/workingset.c (workingset_eviction) and mm/huge_memory.c (split_folio_to_list).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.model.compiled import inlined_kernel, inner_kernel
from workbench.model.fault import NO_SURPRISE
from workbench.model.host import (
    HELD_PAGES,
    MAPPING,
    PAGE_TABLE,
    PAGES_LEFT,
    RESIDENT_PAGES,
    SWAPPED_PAGES,
    split_huge_page,
    swap_out_pages,
)
from workbench.model.outcomes import Outcome
from workbench.model.page_bits import (
    ALL_BITS,
    HAS_AGE,
    HAS_COPY,
    IS_ACCESSED,
    IS_LIVE,
    IS_READ_AHEAD,
    IS_REFERENCED,
    IS_ZERO,
    ON_LIST,
    RESIDENT,
    STATE,
    SWAPPED,
)
from workbench.model.reclaim.columns import (
    ACTIVE,
    AGE,
    AGE_MASK,
    READ_AHEAD_PAGES,
    SLOTS_USED,
    Move,
)
from workbench.model.reclaim.lists import (
    BUT_MARKS,
    add_first,
    folio_of_huge_page,
    huge_page_of,
    write_move,
)
from workbench.schema import Kind, SwapOutFlag

if TYPE_CHECKING:
    from workbench.model.reclaim.columns import Memory

SWAP_OUT: Final = int(Kind.SWAP_OUT)
SWAPPED_OUT: Final = int(Outcome.SWAPPED_OUT)
ZEROS: Final = int(SwapOutFlag.ZEROS)
CLEAN: Final = int(SwapOutFlag.CLEAN)
DEAD: Final = int(SwapOutFlag.DEAD)

_KEPT: Final = ALL_BITS ^ (STATE | HAS_COPY | IS_READ_AHEAD | IS_ACCESSED | IS_REFERENCED)
"""What is known of a page that is taken from memory, besides that."""


@inlined_kernel
def has_room(memory: Memory) -> bool:
    """Tell whether swap has room for anything."""
    return bool(memory.reclaim.counts[SLOTS_USED] < memory.rules.swap_pages)


@inlined_kernel
def swap_out_status(word: int, memory: Memory) -> int:
    """Give the SwapOutFlag bits of a page."""
    status = CLEAN if word & HAS_COPY != 0 else 0
    if word & IS_ZERO != 0 and memory.rules.skips_zeros:
        status |= ZEROS
    return status if word & IS_LIVE != 0 else status | DEAD


@inlined_kernel
def swap_out(first: int, pages: int, status: int) -> Move:
    """Say that pages go to swap, all of which are in memory."""
    return Move(SWAP_OUT, first, pages, status, SWAPPED_OUT, NO_SURPRISE, -pages)


@inlined_kernel
def note_age(page: int, memory: Memory) -> None:
    """Note of a page that is on no list any more when that was, by the host's age."""
    memory.reclaim.place[page] = memory.reclaim.counts[AGE] & AGE_MASK


@inlined_kernel
def evict_page(page: int, memory: Memory) -> int:
    """Take a page by itself, which is on no list, from memory; without room in swap activate it.

    Returns
    -------
    How many pages that freed.
    """
    host, counts = memory.host, memory.reclaim.counts
    word = host.pages[page]
    if word & STATE != RESIDENT:
        # Read ahead, and not wanted since: its copy is in swap.
        counts[READ_AHEAD_PAGES] -= 1
    else:
        if word & HAS_COPY == 0:
            if not has_room(memory):
                add_first(page, ACTIVE, memory)
                return 0
            counts[SLOTS_USED] += 1
        write_move(swap_out(page, 1, swap_out_status(word, memory)), memory)
        host.huge_pages[page >> memory.constants.huge_page_shift, MAPPING] = PAGE_TABLE
        host.totals[RESIDENT_PAGES] -= 1
        host.totals[HELD_PAGES] -= 1
        host.totals[SWAPPED_PAGES] += 1
    host.pages[page] = (word & _KEPT) | SWAPPED | HAS_AGE
    note_age(page, memory)
    counts[AGE] += 1
    return 1


@inner_kernel
def write_swap_outs(first: int, stop: int, memory: Memory) -> None:
    """Write down that the pages of a huge page go to swap: live and dead ones apart."""
    pages = memory.host.pages
    is_zero = memory.rules.skips_zeros
    for page in range(first, stop):
        is_zero = is_zero and pages[page] & IS_ZERO != 0
    begin = first
    for page in range(first, stop):
        if page + 1 == stop or (pages[page + 1] ^ pages[page]) & IS_LIVE != 0:
            status = ZEROS if is_zero else 0
            if pages[page] & IS_LIVE == 0:
                status |= DEAD
            write_move(swap_out(begin, page + 1 - begin, status), memory)
            begin = page + 1


@inner_kernel
def evict_huge_page(huge_page: int, memory: Memory) -> int:
    """Take a huge page, which is on no list and has all its pages, from memory as a whole.

    Returns
    -------
    How many pages that freed.
    """
    host, counts = memory.host, memory.reclaim.counts
    pages = memory.constants.huge_page_pages
    first = huge_page * pages
    write_swap_outs(first, first + pages, memory)
    counts[SLOTS_USED] += pages
    swap_out_pages(first, first + pages, memory.constants, host)
    host.pages[folio_of_huge_page(huge_page, memory)] &= BUT_MARKS
    for page in range(first, first + pages):
        host.pages[page] |= HAS_AGE
        note_age(page, memory)
    counts[AGE] += pages
    return pages


@inner_kernel
def take_huge_page(huge_page: int, memory: Memory) -> int:
    """Take a huge page that is on no list from memory, as far as swap has room.

    As long as swap has any room, one of which some was given back is split first, which frees that
    part for good; so is one that does not fit as a whole.  Without any it stays what it is.

    Returns
    -------
    How many pages that freed, other than those.
    """
    host, counts = memory.host, memory.reclaim.counts
    pages = memory.constants.huge_page_pages
    folio = folio_of_huge_page(huge_page, memory)
    is_complete = host.huge_pages[huge_page, PAGES_LEFT] == pages
    if is_complete and counts[SLOTS_USED] + pages <= memory.rules.swap_pages:
        return evict_huge_page(huge_page, memory)
    if not has_room(memory):
        add_first(folio, ACTIVE, memory)
        return 0
    split_huge_page(huge_page, memory.constants, host)
    host.pages[folio] &= BUT_MARKS
    freed = 0
    for page in range(huge_page * pages, (huge_page + 1) * pages):
        word = host.pages[page]
        if word & STATE == RESIDENT and word & ON_LIST == 0:
            freed += evict_page(page, memory)
    return freed


@inlined_kernel
def take_folio(folio: int, memory: Memory) -> int:
    """Take a folio that is on no list from memory.  Returns how many pages that freed."""
    huge_page = huge_page_of(folio, memory)
    if huge_page >= 0:
        return take_huge_page(huge_page, memory)
    return evict_page(folio, memory)
