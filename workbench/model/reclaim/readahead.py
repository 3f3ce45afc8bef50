"""How much Linux reads from swap around a fault, by the addresses of the faults before.

Source: Linux v6.18 mm/swap_state.c (swap_vma_ra_win, __swapin_nr_pages, swap_update_readahead),
which is what devices without seek times get.  The window of a mapping is kept per RAM block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.model.columns import FIRST_PAGE, PAGE_COUNT
from workbench.model.compiled import inner_kernel

if TYPE_CHECKING:
    from workbench.model.reclaim.columns import Memory

LAST_PAGE: Final = 0
WINDOW_PAGES: Final = 1
HITS: Final = 2

HITS_MAX: Final = 63
"""Linux v6.18 mm/swap_state.c, SWAP_RA_HITS_MAX with pages of 4 KiB."""


@inner_kernel
def window_pages(
    page: int, last_page: int, last_window_pages: int, hits: int, largest_pages: int
) -> int:
    """Give the size of the next window.

    Two pages more than were found read ahead since the last one, rounded up; without any, two
    where the fault is beside the last.  It shrinks by no more than half at a time.
    """
    if hits == 0:
        pages = 2 if abs(page - last_page) == 1 else 1
    else:
        pages = 4
        while pages < hits + 2:
            pages *= 2
    return max(min(pages, largest_pages), last_window_pages // 2)


@inner_kernel
def note_hit(page: int, block: int, memory: Memory) -> None:
    """Remember that a page which was read ahead is wanted."""
    readahead = memory.reclaim.readahead
    readahead[block, LAST_PAGE] = page
    readahead[block, HITS] = min(readahead[block, HITS] + 1, HITS_MAX)


@inner_kernel
def read_ahead_window(page: int, block: int, memory: Memory) -> tuple[int, int]:
    """Give the pages [first, stop) to read for a fault, and remember it.

    It lies before, behind or around the fault, as the faults move, and within one huge page of
    address space.
    """
    readahead = memory.reclaim.readahead
    last_page = readahead[block, LAST_PAGE]
    pages = window_pages(
        page,
        last_page,
        readahead[block, WINDOW_PAGES],
        readahead[block, HITS],
        memory.rules.readahead_pages,
    )
    readahead[block, LAST_PAGE] = page
    readahead[block, WINDOW_PAGES] = pages
    readahead[block, HITS] = 0
    if page == last_page + 1:
        first = page
    elif last_page == page + 1:
        first = page - pages + 1
    else:
        first = page - (pages - 1) // 2
    huge_page_pages = memory.constants.huge_page_pages
    blocks = memory.constants.blocks
    own_first = page // huge_page_pages * huge_page_pages
    block_first = blocks[block, FIRST_PAGE]
    low = max(first, own_first, block_first)
    high = min(
        first + pages,
        own_first + huge_page_pages,
        block_first + blocks[block, PAGE_COUNT],
    )
    return low, high
