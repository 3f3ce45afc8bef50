"""The arrays and numbers of the guest model.

Pages are numbered within the guest's one RAM block; a zone is a stretch of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from workbench.model.columns import BoolArray, Int8Array, Int32Array, Int64Array

NO_PAGE: Final = -1
"""The end of a list."""

NO_GROUP: Final = -1
"""`group` of a page that is taken from anywhere."""

NOBODY: Final = 0
"""`kept_for` of a pageblock from which anybody may take."""
CAPTURE: Final = 1
"""It is for those who took its pages in the capture."""
GROUP: Final = 2
"""It is for a group, until much of it is reported."""

SAME_PAGE: Final = -2
"""`group` of a page that is taken where it was taken in the capture."""

NOT_FREE: Final = -1
"""`block_order` of a page that begins no free block."""

NO_REPORTING: Final = -1
"""`reporting_order` of a guest that does not report."""


class GuestConstants(NamedTuple):
    """What does not change while a guest runs."""

    zone_first: Int64Array
    zone_stop: Int64Array
    """Zones from the lowest addresses up, which begin at even pages.  Arrays of shape (zone,)."""
    low_watermark_pages: Int64Array
    """A pass leaves a zone alone in which little more is free.  Shape (zone,)."""
    reporting_order: int
    """The smallest block that is reported, or NO_REPORTING."""
    reporting_delay_ns: int
    reporting_capacity: int
    follows_touches: bool
    """Whether to write down what the guest touches and frees besides its faults."""


class GuestState(NamedTuple):
    """The guest's free lists, and which of its pages stand for which of the capture."""

    block_order: Int8Array
    """Order of the free block that begins at a page, or NOT_FREE.  Shape (page,)."""
    is_reported: BoolArray
    """Whether the free block that begins here was reported as it is.  Shape (page,)."""
    links: Int32Array
    """NEXT and PREVIOUS in the free list of the block that begins at one page of a pair.  None
    begins at the other: two buddies that are free are one block.  Shape (pair, 2)."""
    first_page: Int64Array
    last_page: Int64Array
    """Ends of each free list.  Each zone has two sets of them, one after the other: what anybody
    may take, and what is kept.  Shape (lists, order)."""
    block_count: Int64Array
    """Blocks in each free list.  Shape (lists, order)."""
    free_pages: Int64Array
    """Shape (zone,)."""
    place: Int32Array
    """Where a page of the capture is now, or NO_PAGE.  Shape (page,)."""
    kept_for: Int8Array
    """Whom a pageblock is kept for: NOBODY, CAPTURE or GROUP.  Shape (block,)."""
    is_touched: BoolArray
    """Whether the guest has touched a page since it was last reported.  Shape (page,)."""
    group_block: Int64Array
    """The pageblock in which a page of a group was taken last, or NO_PAGE.  Shape (block,)."""
    isolated_page: Int64Array
    isolated_order: Int64Array
    """The report that a pass puts together, filled from its end.  Shape (capacity,)."""
    worker: Int64Array
    """NOW_NS, NEXT_PASS_NS, ELEMENT, ROOM and ROW."""


NEXT: Final = 0
"""Index into `links`: the block that follows in the free list, or NO_PAGE."""
PREVIOUS: Final = 1

NOW_NS: Final = 0
"""Index into `worker`: what time it is."""
NEXT_PASS_NS: Final = 1
"""Index into `worker`: when the next pass is due, or NEVER."""
ELEMENT: Final = 2
"""Index into `worker`: how many elements were sent."""
ROOM: Final = 3
"""Index into `worker`: places left in the report that is being put together."""
ROW: Final = 4
"""Index into `worker`: how many events there are, also where no room was left to write them."""

NEVER: Final = (1 << 63) - 1


class Captured(NamedTuple):
    """Faults and reported ranges of one machine, in order.  Columns of shape (event,)."""

    time_ns: Int64Array
    kind: Int8Array
    page: Int64Array
    page_count: Int64Array
    """Of a fault: the pages that the host backed for it."""
    touched: Int64Array
    """Of a fault: the page that was touched."""
    element: Int64Array
    writes: BoolArray
    """Of a fault or an access: whether the guest wrote."""


class Ownership(NamedTuple):
    """What a guest holds, as its events tell.  Columns of shape (page,)."""

    is_free: BoolArray
    """Which pages are free before the first event; afterwards, after the last."""
    is_backed: BoolArray
    """Of free pages: whether a fault has backed it since it was reported."""
    taken_ns: Int64Array
    """When it was last taken or touched."""
    taken_row: Int64Array
    """The row of the demand in which it was taken; 0 of what was in use before."""


GIVE: Final = 0
"""`action` of a row: the guest gives the page back."""
TAKE: Final = 1
READ: Final = 2
"""It reads a page that it has."""
WRITE: Final = 3


class Demand(NamedTuple):
    """What the guest takes and gives back, in the order of time.  Columns of shape (row,)."""

    time_ns: Int64Array
    action: Int8Array
    """GIVE, TAKE, READ or WRITE."""
    page: Int64Array
    """A page of the capture.  What is given back without having been taken was in use before."""
    rank: Int64Array
    """Orders rows of one time."""
    group: Int64Array
    """Of a TAKE: pages of one group are taken from one pageblock, as far as it goes, and if as many
    as there are pageblocks are added to its number, it keeps that; or SAME_PAGE or NO_GROUP."""


class Placed(NamedTuple):
    """Events of the guest as it would have run.  Columns of shape (row,), to be filled."""

    time_ns: Int64Array
    kind: Int8Array
    page: Int64Array
    page_count: Int64Array
    element: Int64Array
    writes: BoolArray
    """Of a fault or an access: whether the guest writes."""
