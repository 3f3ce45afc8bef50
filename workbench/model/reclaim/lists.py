"""The lists of folios that reclaim works through.

Source: Linux v6.18 include/linux/mm_inline.h (lruvec_add_folio, lruvec_del_folio): a list counts a
huge page with all its pages, also when some of them were given back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.model.compiled import inlined_kernel, inner_kernel
from workbench.model.page_bits import (
    ALL_BITS,
    IS_ACCESSED,
    IS_HUGE,
    IS_REFERENCED,
    ON_ACTIVE,
    ON_INACTIVE,
    ON_LIST,
)
from workbench.model.prefetch import prefetch
from workbench.model.reclaim.columns import (
    ACTIVE,
    CHUNK_ENTRIES,
    CHUNK_MASK,
    CHUNK_SHIFT,
    COUNTS,
    FIRST_ENTRY,
    FREE_CHUNK,
    INACTIVE,
    LAST_ENTRY,
    LIST_PAGES,
    MOVE_GAINED_PAGES,
    MOVE_KIND,
    MOVE_OUTCOME,
    MOVE_PAGE,
    MOVE_PAGES,
    MOVE_REQUEST,
    MOVE_STATUS,
    MOVE_SURPRISE,
    NO_CHUNK,
    NO_ENTRY,
    NO_FOLIO,
    REQUEST,
    ROW,
    Moves,
    ReclaimState,
)

if TYPE_CHECKING:
    from workbench.model.columns import Int64Array
    from workbench.model.reclaim.columns import Memory, Move

AHEAD_ENTRIES: Final = 16
"""How far ahead of its tail a list is read: the memory's latency, in folios looked at."""

_BUT_LIST: Final = ALL_BITS ^ ON_LIST
BUT_MARKS: Final = ALL_BITS ^ (IS_ACCESSED | IS_REFERENCED)


def new_reclaim(folio_count: int, block_count: int) -> ReclaimState:
    """Make the lists of a host that holds nothing.

    There is room for all folios and three in eight more: gaps are closed when that is used up.

    Parameters
    ----------
    folio_count
        Pages and huge pages, as many as `HostState.pages` has words.
    """
    chunks = folio_count * 11 // 8 // CHUNK_ENTRIES + 4
    next_chunk = np.arange(1, chunks + 1, dtype=np.int32)
    next_chunk[-1] = NO_CHUNK
    counts = np.zeros(COUNTS, np.int64)
    # A list has an entry always, if need be a gap.
    for target in (INACTIVE, ACTIVE):
        counts[FIRST_ENTRY + target] = counts[LAST_ENTRY + target] = target * CHUNK_ENTRIES
    counts[FREE_CHUNK] = 2
    return ReclaimState(
        place=np.zeros(folio_count, np.int32),
        entries=np.full(chunks * CHUNK_ENTRIES, NO_FOLIO, np.int32),
        next_chunk=next_chunk,
        readahead=np.zeros((block_count, 3), np.int64),
        counts=counts,
    )


def new_moves(row_count: int) -> Int64Array:
    """Make room for that many moves."""
    return np.zeros((row_count, len(Moves._fields)), np.int64)


def written_moves(memory: Memory) -> Moves:
    """Give what was written down."""
    return Moves._make(memory.moves[: memory.reclaim.counts[ROW]].T)


@inlined_kernel
def write_move(move: Move, memory: Memory) -> None:
    """Write a move down if there is room, and count it."""
    counts, moves = memory.reclaim.counts, memory.moves
    row = counts[ROW]
    counts[ROW] = row + 1
    if row < moves.shape[0]:
        moves[row, MOVE_REQUEST] = counts[REQUEST]
        moves[row, MOVE_KIND] = move.kind
        moves[row, MOVE_PAGE] = move.page
        moves[row, MOVE_PAGES] = move.page_count
        moves[row, MOVE_STATUS] = move.status
        moves[row, MOVE_OUTCOME] = move.outcome
        moves[row, MOVE_SURPRISE] = move.surprise
        moves[row, MOVE_GAINED_PAGES] = move.gained_pages


@inlined_kernel
def folio_of_huge_page(huge_page: int, memory: Memory) -> int:
    """Give the folio of a huge page."""
    host = memory.host
    return int(host.pages.size - host.huge_pages.shape[0] + huge_page)


@inlined_kernel
def folio_of(page: int, memory: Memory) -> int:
    """Give the folio that holds a page in memory."""
    if memory.host.pages[page] & IS_HUGE != 0:
        return folio_of_huge_page(page >> memory.constants.huge_page_shift, memory)
    return page


@inlined_kernel
def huge_page_of(folio: int, memory: Memory) -> int:
    """Give the huge page that a folio is; of a page by itself, a number below 0."""
    host = memory.host
    return int(folio - (host.pages.size - host.huge_pages.shape[0]))


@inlined_kernel
def folio_pages(folio: int, memory: Memory) -> int:
    """Give the number of pages that a list counts for a folio."""
    return memory.constants.huge_page_pages if huge_page_of(folio, memory) >= 0 else 1


@inlined_kernel
def entry_after(entry: int, reclaim: ReclaimState) -> int:
    """Give the entry nearer to the head of a list than this one, which is not its head."""
    if entry & CHUNK_MASK == CHUNK_MASK:
        return int(reclaim.next_chunk[entry >> CHUNK_SHIFT]) << CHUNK_SHIFT
    return entry + 1


@inlined_kernel
def free_chunk(chunk: int, reclaim: ReclaimState) -> None:
    """Let a chunk be used for either list."""
    reclaim.next_chunk[chunk] = reclaim.counts[FREE_CHUNK]
    reclaim.counts[FREE_CHUNK] = chunk


@inner_kernel
def close_gaps(target: int, reclaim: ReclaimState) -> None:
    """Let the folios of a list stand beside each other, and free the chunks that takes less."""
    counts, entries = reclaim.counts, reclaim.entries
    tail, head = counts[LAST_ENTRY + target], counts[FIRST_ENTRY + target]
    read, written = tail, NO_ENTRY
    while True:
        folio = entries[read]
        if folio != NO_FOLIO:
            written = tail if written == NO_ENTRY else entry_after(written, reclaim)
            entries[written] = folio
            reclaim.place[folio] = written
        if read == head:
            break
        read = entry_after(read, reclaim)
    if written == NO_ENTRY:
        written = tail
        entries[written] = NO_FOLIO
    counts[FIRST_ENTRY + target] = written
    kept, last = written >> CHUNK_SHIFT, head >> CHUNK_SHIFT
    while kept != last:
        spare = int(reclaim.next_chunk[kept])
        reclaim.next_chunk[kept] = reclaim.next_chunk[spare]
        last = kept if spare == last else last
        free_chunk(spare, reclaim)


@inner_kernel
def begin_chunk(target: int, reclaim: ReclaimState) -> int:
    """Give the first entry of a chunk more for a list whose last chunk is full.

    Gaps are closed first where no chunk is free; the list may then not need one.
    """
    counts = reclaim.counts
    if counts[FREE_CHUNK] == NO_CHUNK:
        close_gaps(INACTIVE, reclaim)
        close_gaps(ACTIVE, reclaim)
        head = int(counts[FIRST_ENTRY + target])
        if head & CHUNK_MASK != CHUNK_MASK:
            return head + 1
    chunk = int(counts[FREE_CHUNK])
    counts[FREE_CHUNK] = reclaim.next_chunk[chunk]
    reclaim.next_chunk[counts[FIRST_ENTRY + target] >> CHUNK_SHIFT] = chunk
    return chunk << CHUNK_SHIFT


@inlined_kernel
def add_first(folio: int, target: int, memory: Memory) -> None:
    """Put a folio that is on no list at the head of one."""
    reclaim = memory.reclaim
    counts = reclaim.counts
    entry = counts[FIRST_ENTRY + target]
    entry = begin_chunk(target, reclaim) if entry & CHUNK_MASK == CHUNK_MASK else entry + 1
    reclaim.entries[entry] = folio
    reclaim.place[folio] = entry
    counts[FIRST_ENTRY + target] = entry
    counts[LIST_PAGES + target] += folio_pages(folio, memory)
    memory.host.pages[folio] |= ON_ACTIVE if target == ACTIVE else ON_INACTIVE


@inlined_kernel
def remove_folio(folio: int, memory: Memory) -> None:
    """Take a folio off the list on which it is."""
    pages, reclaim = memory.host.pages, memory.reclaim
    target = ACTIVE if pages[folio] & ON_ACTIVE != 0 else INACTIVE
    reclaim.entries[reclaim.place[folio]] = NO_FOLIO
    reclaim.counts[LIST_PAGES + target] -= folio_pages(folio, memory)
    pages[folio] &= _BUT_LIST


@inlined_kernel
def look_ahead(target: int, memory: Memory) -> None:
    """Ask for what reclaim will need of the folio that it looks at some entries later.

    Entries of the next chunk are mostly behind those of this one; if not, nothing is gained.
    """
    entries = memory.reclaim.entries
    ahead = min(memory.reclaim.counts[LAST_ENTRY + target] + AHEAD_ENTRIES, entries.size - 1)
    later = int(entries[ahead])
    prefetch(memory.host.pages, later)
    prefetch(memory.reclaim.place, later)


@inlined_kernel
def remove_last(target: int, memory: Memory) -> int:
    """Take the last folio off a list that has any, and give it."""
    reclaim = memory.reclaim
    counts, entries = reclaim.counts, reclaim.entries
    folio = NO_FOLIO
    while folio == NO_FOLIO:
        entry = counts[LAST_ENTRY + target]
        folio = int(entries[entry])
        if entry == counts[FIRST_ENTRY + target]:
            entries[entry] = NO_FOLIO
        else:
            counts[LAST_ENTRY + target] = entry_after(entry, reclaim)
            if entry & CHUNK_MASK == CHUNK_MASK:
                free_chunk(entry >> CHUNK_SHIFT, reclaim)
    counts[LIST_PAGES + target] -= folio_pages(folio, memory)
    memory.host.pages[folio] &= _BUT_LIST
    return folio


@inner_kernel
def move_first(folio: int, memory: Memory) -> None:
    """Move a folio to the head of the inactive list."""
    remove_folio(folio, memory)
    add_first(folio, INACTIVE, memory)
