"""The arrays and numbers of a host that runs out of memory.

The machines of a host share one page space.  A folio is what a list holds: a page by itself, whose
number it bears, or a huge page, whose number follows after all pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from workbench.model.columns import (
        BoolArray,
        Constants,
        HostState,
        Int8Array,
        Int64Array,
    )

NO_FOLIO: Final = -1
"""The end of a list."""

NO_LIST: Final = -1
"""`list_of` a folio that is on none."""
INACTIVE: Final = 0
ACTIVE: Final = 1

NEVER_EVICTED: Final = -1
"""`evicted_age` of a page that reclaim has not taken from memory since it was last given back."""

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


class Moves(NamedTuple):
    """What the host does about the requests, in order.  Columns of shape (move,), to be filled."""

    request: Int64Array
    """The request that caused it."""
    kind: Int8Array
    """FAULT, SWAP_OUT or READ_AHEAD, as in a trace."""
    page: Int64Array
    page_count: Int64Array
    """Of a fault: the pages allocated."""
    status: Int64Array
    """FaultFlag or SwapOutFlag bits."""


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


class ReclaimState(NamedTuple):
    """Lists, marks and counts.  Columns of shape (folio,), (page,), (list,), or small."""

    next_folio: Int64Array
    previous_folio: Int64Array
    list_of: Int8Array
    """INACTIVE, ACTIVE or NO_LIST.  Shape (folio,)."""
    is_accessed: BoolArray
    """The accessed bit of the page table.  Shape (folio,)."""
    is_referenced: BoolArray
    """PG_referenced: found accessed once.  Shape (folio,)."""
    first_folio: Int64Array
    last_folio: Int64Array
    list_pages: Int64Array
    """Head, tail and size of the two lists.  Shape (list,)."""
    has_copy: BoolArray
    """Whether what is in memory is in swap as well, unchanged.  Shape (page,)."""
    is_read_ahead: BoolArray
    """Whether a page in swap was read into memory ahead of its fault.  Shape (page,)."""
    is_live: BoolArray
    """Whether the guest uses the page; a free page is dead.  Shape (page,)."""
    is_zero: BoolArray
    """Whether the page holds zeros.  Shape (page,)."""
    evicted_age: Int64Array
    """The host's age when reclaim took the page, or NEVER_EVICTED.  Shape (page,)."""
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
COUNTS: Final = 9


class Memory(NamedTuple):
    """All of a host: what the kernels of this package take."""

    constants: Constants
    rules: ReclaimConstants
    host: HostState
    reclaim: ReclaimState
    moves: Moves
