"""The lists of folios that reclaim works through: doubly linked, by number.

Source: Linux v6.18 include/linux/mm_inline.h (lruvec_add_folio, lruvec_del_folio): a list counts a
huge page with all its pages, also when some of them were given back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.model.compiled import inlined_kernel, inner_kernel
from workbench.model.reclaim.columns import (
    COUNTS,
    INACTIVE,
    NEVER_EVICTED,
    NO_FOLIO,
    NO_LIST,
    REQUEST,
    ROW,
    Moves,
    ReclaimState,
)

if TYPE_CHECKING:
    from workbench.model.reclaim.columns import Memory


def new_reclaim(page_count: int, huge_page_count: int, block_count: int) -> ReclaimState:
    """Make the lists of a host that holds nothing."""
    folio_count = page_count + huge_page_count
    return ReclaimState(
        next_folio=np.full(folio_count, NO_FOLIO, np.int64),
        previous_folio=np.full(folio_count, NO_FOLIO, np.int64),
        list_of=np.full(folio_count, NO_LIST, np.int8),
        is_accessed=np.zeros(folio_count, np.bool_),
        is_referenced=np.zeros(folio_count, np.bool_),
        first_folio=np.full(2, NO_FOLIO, np.int64),
        last_folio=np.full(2, NO_FOLIO, np.int64),
        list_pages=np.zeros(2, np.int64),
        has_copy=np.zeros(page_count, np.bool_),
        is_read_ahead=np.zeros(page_count, np.bool_),
        is_live=np.zeros(page_count, np.bool_),
        is_zero=np.zeros(page_count, np.bool_),
        evicted_age=np.full(page_count, NEVER_EVICTED, np.int64),
        readahead=np.zeros((block_count, 3), np.int64),
        counts=np.zeros(COUNTS, np.int64),
    )


def new_moves(row_count: int) -> Moves:
    """Make room for that many moves."""
    return Moves(
        request=np.zeros(row_count, np.int64),
        kind=np.zeros(row_count, np.int8),
        page=np.zeros(row_count, np.int64),
        page_count=np.zeros(row_count, np.int64),
        status=np.zeros(row_count, np.int64),
    )


@inner_kernel
def write_move(kind: int, page: int, page_count: int, status: int, memory: Memory) -> None:
    """Write a move down if there is room, and count it."""
    counts, moves = memory.reclaim.counts, memory.moves
    row = counts[ROW]
    counts[ROW] = row + 1
    if row < moves.kind.size:
        moves.request[row] = counts[REQUEST]
        moves.kind[row] = kind
        moves.page[row] = page
        moves.page_count[row] = page_count
        moves.status[row] = status


@inlined_kernel
def folio_of(page: int, memory: Memory) -> int:
    """Give the folio that holds a page in memory."""
    if memory.host.is_huge[page]:
        return int(memory.host.page_state.size + page // memory.constants.huge_page_pages)
    return page


@inlined_kernel
def is_huge_folio(folio: int, memory: Memory) -> bool:
    """Tell a huge page from a page by its number."""
    return bool(folio >= memory.host.page_state.size)


@inlined_kernel
def folio_pages(folio: int, memory: Memory) -> int:
    """Give the number of pages that a list counts for a folio."""
    return memory.constants.huge_page_pages if is_huge_folio(folio, memory) else 1


@inlined_kernel
def first_page_of(folio: int, memory: Memory) -> int:
    """Give the first page of a folio."""
    if is_huge_folio(folio, memory):
        return int((folio - memory.host.page_state.size) * memory.constants.huge_page_pages)
    return folio


@inlined_kernel
def add_first(folio: int, target: int, memory: Memory) -> None:
    """Put a folio that is on no list at the head of one."""
    reclaim = memory.reclaim
    head = reclaim.first_folio[target]
    reclaim.previous_folio[folio] = NO_FOLIO
    reclaim.next_folio[folio] = head
    if head == NO_FOLIO:
        reclaim.last_folio[target] = folio
    else:
        reclaim.previous_folio[head] = folio
    reclaim.first_folio[target] = folio
    reclaim.list_of[folio] = target
    reclaim.list_pages[target] += folio_pages(folio, memory)


@inlined_kernel
def remove_folio(folio: int, memory: Memory) -> None:
    """Take a folio off the list on which it is."""
    reclaim = memory.reclaim
    target = reclaim.list_of[folio]
    before, after = reclaim.previous_folio[folio], reclaim.next_folio[folio]
    if before == NO_FOLIO:
        reclaim.first_folio[target] = after
    else:
        reclaim.next_folio[before] = after
    if after == NO_FOLIO:
        reclaim.last_folio[target] = before
    else:
        reclaim.previous_folio[after] = before
    reclaim.list_of[folio] = NO_LIST
    reclaim.list_pages[target] -= folio_pages(folio, memory)


@inner_kernel
def move_first(folio: int, memory: Memory) -> None:
    """Move a folio to the head of the inactive list."""
    remove_folio(folio, memory)
    add_first(folio, INACTIVE, memory)
