"""The arrays and numbers of a host that runs out of memory.

The machines of a host share one page space.  A folio is what a list holds: a page by itself, whose
number it bears, or a huge page, whose number follows after all pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from workbench.model.columns import (
        Constants,
        HostState,
        Int8Array,
        Int32Array,
        Int64Array,
    )

NO_FOLIO: Final = -1
NO_ENTRY: Final = -1
NO_CHUNK: Final = -1

INACTIVE: Final = 0
ACTIVE: Final = 1

TWO_LISTS: Final = 0
"""Reclaim as Linux does it without MGLRU: an inactive and an active list."""
LEAST_RECENT: Final = 1
"""Reclaim that knows every access and takes what was accessed longest ago."""


class Requests(NamedTuple):
    """What the guests of a host do to their pages, in order.  Columns of shape (request,)."""

    kind: Int8Array
    """FAULT or ACCESS: these pages are touched; DISCARD: given back to the host; FREE: free in the
    guest from now on."""
    page: Int64Array
    """The first page, in the page space of the host."""
    page_count: Int64Array
    status: Int64Array
    """FaultFlag bits: WRITE, and HUGE_REFUSED where a capture saw it.  A FREE that writes leaves
    zeros (Linux, init_on_free)."""
    allocated_bytes: Int64Array
    """What the host was seen to allocate for a fault, or UNKNOWN."""
    block: Int64Array
    """The RAM block in which the pages lie."""
    limit_pages: Int64Array
    """Memory there is for the guests' RAM at that time."""


# Columns of `Memory.moves`, as of `Moves`.
MOVE_REQUEST: Final = 0
MOVE_KIND: Final = 1
MOVE_PAGE: Final = 2
MOVE_PAGES: Final = 3
MOVE_STATUS: Final = 4
MOVE_OUTCOME: Final = 5
MOVE_SURPRISE: Final = 6
MOVE_GAINED_PAGES: Final = 7


class Moves(NamedTuple):
    """What the host does about the requests, in order.  Columns of shape (move,)."""

    request: Int64Array
    """The request that caused it."""
    kind: Int64Array
    """FAULT, SWAP_OUT or READ_AHEAD, as in a trace."""
    page: Int64Array
    page_count: Int64Array
    """Of a fault: the pages allocated."""
    status: Int64Array
    """FaultFlag or SwapOutFlag bits."""
    outcome: Int64Array
    """Outcome and surprise, as in a ledger of these moves as events."""
    surprise: Int64Array
    gained_pages: Int64Array
    """Pages that it put into memory; of a SWAP_OUT below 0."""


class Move(NamedTuple):
    """One of them, as in `Moves`."""

    kind: int
    page: int
    page_count: int
    status: int
    outcome: int
    surprise: int
    gained_pages: int


class ReclaimConstants(NamedTuple):
    """What does not change while a host runs."""

    policy: int
    """TWO_LISTS or LEAST_RECENT."""
    low_free_pages: int
    """Reclaim in the background begins when less is free (0: never, as in a cgroup) ..."""
    high_free_pages: int
    """... and ends when so much is."""
    swap_pages: int
    """Room in swap."""
    keeps_copies: bool
    """Whether a page that was read back stays in swap too, until it is written (Linux: swap
    devices that do not answer at once; zram does)."""
    readahead_pages: int
    """The largest window of readahead, 1 is none (Linux: 2 ** vm.page-cluster)."""
    skips_zeros: bool
    """Whether a folio of zeros leaves memory without I/O (Linux 6.12 and later)."""
    writes_zeros: bool
    """Whether what the guests write is zeros."""


CHUNK_SHIFT: Final = 6
CHUNK_ENTRIES: Final = 1 << CHUNK_SHIFT
CHUNK_MASK: Final = CHUNK_ENTRIES - 1

AGE_MASK: Final = (1 << 31) - 1
"""Ages are noted in 31 bits, as Linux packs them into fewer than it counts with (mm/workingset.c,
EVICTION_MASK): a page that comes back after 8 TiB of others were evicted looks younger."""


class ReclaimState(NamedTuple):
    """The lists of a host, and what it counts; what it knows of a page is in `HostState.pages`.

    A list is a row of entries, in chunks; what leaves it elsewhere than at its end leaves a gap.
    So the folios that reclaim looks at next stand beside each other, and a folio that moves writes
    nothing to its neighbours.
    """

    place: Int32Array
    """Of a folio on a list: where its entry is.  Of a page that reclaim took (HAS_AGE): the age of
    the host then.  Shape (folio,)."""
    entries: Int32Array
    """Folios, or NO_FOLIO of a gap.  Shape (chunk * CHUNK_ENTRIES,)."""
    next_chunk: Int32Array
    """The chunk that goes on where one ends; of a free chunk, another free one.  Shape (chunk,)."""
    readahead: Int64Array
    """Per RAM block: page of the last fault from swap, window, hits.  Shape (block, 3)."""
    counts: Int64Array
    """AGE and so on, below."""


AGE: Final = 0
"""Index into `counts`: pages evicted and activated so far (Linux mm/workingset.c,
nonresident_age)."""
REFAULTS_ACTIVATED: Final = 1
"""Index into `counts`: pages that came back from swap onto the active list."""
REFAULTS_SEEN: Final = 2
"""Index into `counts`: the same when reclaim last ended."""
SLOTS_USED: Final = 3
"""Index into `counts`: pages of swap in use, those of copies included."""
READ_AHEAD_PAGES: Final = 4
"""Index into `counts`: pages of the swap cache that nobody has mapped."""
UNMET_PAGES: Final = 5
"""Index into `counts`: pages given beyond the limit, because nothing could be reclaimed."""
ROW: Final = 6
"""Index into `counts`: how many moves there are, also where no room was left to write them."""
REQUEST: Final = 7
"""Index into `counts`: the request that is being served."""
LIMIT_PAGES: Final = 8
"""Index into `counts`: memory there is for the guests' RAM now."""
LIST_PAGES: Final = 9
"""Index into `counts`: size of the inactive list, and behind it of the active one."""
FIRST_ENTRY: Final = 11
"""Likewise, where the entry is that came onto the list last: its head."""
LAST_ENTRY: Final = 13
"""Likewise, where the entry is at which reclaim looks next: its tail."""
FREE_CHUNK: Final = 15
"""Index into `counts`: a chunk that is free, or NO_CHUNK."""
COUNTS: Final = 16


class Memory(NamedTuple):
    """All of a host: what the kernels of this package take."""

    constants: Constants
    rules: ReclaimConstants
    host: HostState
    reclaim: ReclaimState
    moves: Int64Array
    """To be filled: MOVE_REQUEST to MOVE_GAINED_PAGES.  Shape (room, 8)."""
