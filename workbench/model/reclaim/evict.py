"""Take a folio from memory: into swap, or out of the swap cache.

Source: Linux v6.18 mm/vmscan.c (shrink_folio_list, __remove_mapping), mm/page_io.c (swap_writeout),
mm/workingset.c (workingset_eviction) and mm/huge_memory.c (split_folio_to_list).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.model.compiled import inlined_kernel, inner_kernel
from workbench.model.host import RESIDENT, split_huge_page, swap_out_pages
from workbench.model.reclaim.columns import ACTIVE, AGE, NO_LIST, READ_AHEAD_PAGES, SLOTS_USED
from workbench.model.reclaim.lists import (
    add_first,
    first_page_of,
    folio_pages,
    is_huge_folio,
    write_move,
)
from workbench.schema import Kind, SwapOutFlag

if TYPE_CHECKING:
    from workbench.model.reclaim.columns import Memory

SWAP_OUT: Final = int(Kind.SWAP_OUT)
ZEROS: Final = int(SwapOutFlag.ZEROS)
CLEAN: Final = int(SwapOutFlag.CLEAN)
DEAD: Final = int(SwapOutFlag.DEAD)


@inlined_kernel
def has_room(memory: Memory) -> bool:
    """Tell whether swap has room for anything."""
    return bool(memory.reclaim.counts[SLOTS_USED] < memory.rules.swap_pages)


@inlined_kernel
def has_swap(folio: int, memory: Memory) -> bool:
    """Tell whether swap has room for what is not there yet of a folio."""
    reclaim = memory.reclaim
    page = first_page_of(folio, memory)
    if reclaim.is_read_ahead[page] or reclaim.has_copy[page]:
        return True
    pages = folio_pages(folio, memory)
    return bool(reclaim.counts[SLOTS_USED] + pages <= memory.rules.swap_pages)


@inner_kernel
def swap_out_status(first: int, stop: int, memory: Memory) -> int:
    """Give the SwapOutFlag bits that all pages of a folio share."""
    reclaim = memory.reclaim
    status = CLEAN if reclaim.has_copy[first] else 0
    if memory.rules.skips_zeros:
        for page in range(first, stop):
            if not reclaim.is_zero[page]:
                return status
        status |= ZEROS
    return status


@inner_kernel
def write_swap_outs(first: int, stop: int, memory: Memory) -> None:
    """Write down that the pages of a folio go to swap: live and dead ones apart."""
    is_live = memory.reclaim.is_live
    status = swap_out_status(first, stop, memory)
    begin = first
    for page in range(first, stop):
        if page + 1 == stop or is_live[page + 1] != is_live[page]:
            of_run = status if is_live[page] else status | DEAD
            write_move(SWAP_OUT, begin, page + 1 - begin, of_run, memory)
            begin = page + 1


@inner_kernel
def evict_folio(folio: int, memory: Memory) -> int:
    """Take a folio from memory that is on no list, whole, and for which swap has room.

    Returns
    -------
    How many pages that freed.
    """
    host, reclaim = memory.host, memory.reclaim
    first = first_page_of(folio, memory)
    stop = first + folio_pages(folio, memory)
    if host.page_state[first] == RESIDENT:
        write_swap_outs(first, stop, memory)
        if not reclaim.has_copy[first]:
            reclaim.counts[SLOTS_USED] += stop - first
        reclaim.has_copy[first] = False
        swap_out_pages(first, stop, memory.constants, host)
    else:
        # Read ahead, and not wanted since: its copy is in swap.
        reclaim.is_read_ahead[first] = False
        reclaim.counts[READ_AHEAD_PAGES] -= 1
    reclaim.is_accessed[folio] = False
    reclaim.is_referenced[folio] = False
    for page in range(first, stop):
        reclaim.evicted_age[page] = reclaim.counts[AGE]
    reclaim.counts[AGE] += stop - first
    return int(stop - first)


@inner_kernel
def evict_or_keep(folio: int, memory: Memory) -> int:
    """Take a folio that is on no list from memory; without room in swap it is activated."""
    if has_swap(folio, memory):
        return evict_folio(folio, memory)
    add_first(folio, ACTIVE, memory)
    return 0


@inner_kernel
def take_folio(folio: int, memory: Memory) -> int:
    """Take a folio that is on no list from memory, as far as swap has room.

    A huge page of which some was given back is split first, which frees that part for good; so is
    one for which swap has not enough room, as long as it has any.

    Returns
    -------
    How many pages that freed, other than those.
    """
    host, reclaim = memory.host, memory.reclaim
    pages = memory.constants.huge_page_pages
    huge_page = folio - host.page_state.size
    if not is_huge_folio(folio, memory):
        return evict_or_keep(folio, memory)
    is_whole = host.huge_pages_left[huge_page] == pages
    if is_whole and (has_swap(folio, memory) or not has_room(memory)):
        return evict_or_keep(folio, memory)
    split_huge_page(huge_page, memory.constants, host)
    reclaim.is_accessed[folio] = False
    reclaim.is_referenced[folio] = False
    freed = 0
    for page in range(huge_page * pages, (huge_page + 1) * pages):
        if host.page_state[page] == RESIDENT and reclaim.list_of[page] == NO_LIST:
            freed += evict_or_keep(page, memory)
    return freed
