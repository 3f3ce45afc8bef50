"""The arrays of an LRU stack that answers for every memory size at once.

Pages stand in the stack by recency: the page at depth d is in memory in every host of d pages or
more.  What a discard leaves is a hole, a free frame of every host that is large enough.  A stack is
kept as numbered slots, the top with the highest number; a slot is empty, or taken by a page or a
hole.  Depth is the number of slots taken from there upwards.

Source: R. L. Mattson et al., "Evaluation techniques for storage hierarchies", IBM Systems Journal
9(2), 1970; J. G. Thompson and A. J. Smith, "Efficient (stack) algorithms for analysis of write-back
and sector memories", ACM TOCS 7(1), 1989, for deletions and writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.model.columns import BoolArray, Int8Array, Int64Array

# Columns of `Stack.pages`.
SLOT: Final = 0
"""Where the page stands: its slot, or NOWHERE, or IN_SWAP."""
DIRTY_FROM: Final = 1
"""The smallest memory at which what the page holds has no copy in swap."""
DEAD_FROM: Final = 2
"""The smallest memory at which the page was there as its guest freed it; 0 of one in use."""

NOWHERE: Final = -1
IN_SWAP: Final = -2
"""A page that is in swap whatever memory there is, as the capture began with it there."""

# Columns of `Tally.all` and `Tally.dead`.
READS: Final = 0
WRITES: Final = 1

# Entries of `Stack.numbers`.
NEXT_SLOT: Final = 0
HIGHEST_HOLE: Final = 1
"""The slot of the hole nearest to the top, or NOWHERE."""

EMPTY: Final = 2
"""How many slots were made empty since they were numbered last."""

WAITING: Final = 3
"""How many touches and discards wait to be counted."""
MOST_WAITING: Final = 64

# Columns of `Stack.waiting`.
DEPTH: Final = 0
"""Where the page stood."""
WRITTEN_FROM: Final = 1
"""The smallest memory that has written it; its depth if none has."""
IS_READ: Final = 2
"""1 if smaller memory than its depth reads it back, 0 if nobody does."""

WORD_SHIFT: Final = 5
WORD_SLOTS: Final = 1 << WORD_SHIFT
"""Slots of one word: bits of an unsigned number that has room in a signed one of 64."""
WORD_MASK: Final = WORD_SLOTS - 1
FAN_SHIFT: Final = 6
FAN: Final = 1 << FAN_SHIFT
"""Words of a section, sections of a part: as many numbers are changed in a few vector
instructions."""
PART_SLOTS: Final = WORD_SLOTS * FAN * FAN


class Uses(NamedTuple):
    """What guests do to their pages, in order.  Columns of shape (use,)."""

    kind: Int8Array
    """FAULT: these pages are touched, the last one last, and those brought into memory that are
    nowhere; ACCESS: those are touched that are somewhere; DISCARD: they are given back; FREE: they
    are of no use from now on."""
    page: Int64Array
    """The first page."""
    page_count: Int64Array
    """Of shape (0,) if each use is of one page."""
    writes: BoolArray
    """Whether a touch writes, or a FREE clears."""


class Rules(NamedTuple):
    """What the host's swap is like."""

    keeps_copies: bool
    """Whether a page that was read keeps its copy in swap until it is written, as on disks; zram
    frees it."""


class Stack(NamedTuple):
    """The pages of all guests, by recency."""

    pages: npt.NDArray[np.int32]
    """Shape (page, 3): SLOT, DIRTY_FROM, DEAD_FROM."""
    empty: npt.NDArray[np.uint32]
    """A bit for each slot that was made empty.  Shape (word,)."""
    before_word: npt.NDArray[np.int16]
    """How many of its section were, before each word.  Shape (word,)."""
    before_section: npt.NDArray[np.int32]
    """How many of its part were, before each section."""
    before_part: npt.NDArray[np.int32]
    holes: npt.NDArray[np.uint32]
    """A bit for each slot that is taken by a hole.  Shape (word,)."""
    hole_words: npt.NDArray[np.uint32]
    """A bit for each word of `holes` that has any."""
    hole_groups: npt.NDArray[np.uint32]
    """A bit for each word of `hole_words` that has any."""
    waiting: npt.NDArray[np.int32]
    """What waits to be counted: DEPTH, WRITTEN_FROM, IS_READ.  Shape (MOST_WAITING, 3)."""
    numbers: Int64Array


def new_stack(page_count: int) -> Stack:
    """Make an empty stack for that many pages.

    There are about twice as many slots, so that they are numbered anew as often as all pages were
    touched.
    """
    parts = max(-(-2 * page_count // PART_SLOTS), 1)
    words = parts * PART_SLOTS // WORD_SLOTS
    hole_words = words // WORD_SLOTS
    pages = np.zeros((page_count, 3), np.int32)
    pages[:, SLOT] = NOWHERE
    return Stack(
        pages=pages,
        empty=np.zeros(words, np.uint32),
        before_word=np.zeros(words, np.int16),
        before_section=np.zeros(words // FAN, np.int32),
        before_part=np.zeros(parts, np.int32),
        holes=np.zeros(words, np.uint32),
        hole_words=np.zeros(hole_words, np.uint32),
        hole_groups=np.zeros(hole_words // WORD_SLOTS, np.uint32),
        waiting=np.zeros((MOST_WAITING, 3), np.int32),
        numbers=np.array([0, NOWHERE, 0, 0], np.int64),
    )


class Tally(NamedTuple):
    """What was counted, by depth or size; the last row is beyond every memory asked for.

    A read counts at the depth where the page stood: all hosts of less memory read it.  A write
    counts at the smallest memory that writes it, and is taken back at the smallest larger one that
    does not.
    """

    all: Int64Array
    """Shape (page + 2, 2): READS, WRITES."""
    dead: Int64Array
    """Those of pages that were free in their guest when they were read, or written."""


def new_tally(page_count: int) -> Tally:
    """Make room to count for memory of up to that many pages."""
    shape = (page_count + 2, 2)
    return Tally(np.zeros(shape, np.int64), np.zeros(shape, np.int64))
