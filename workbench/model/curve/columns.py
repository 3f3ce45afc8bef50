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

FETCHED: Final = 2
"""Of no meaning: it keeps a compiler from leaving out what reads ahead."""

WORD_SHIFT: Final = 5
WORD_SLOTS: Final = 1 << WORD_SHIFT
"""Slots of one word: bits of an unsigned number that has room in a signed one of 64."""
WORD_MASK: Final = WORD_SLOTS - 1
GROUP_SHIFT: Final = WORD_SHIFT + 3
GROUP_SLOTS: Final = 1 << GROUP_SHIFT
"""Slots of a group, 8 words: a vector of 64-bit numbers, or two."""
FAN: Final = 64
"""Groups of a section, sections of a part: as many are added up in a few vector instructions."""
SECTION_SLOTS: Final = GROUP_SLOTS * FAN
PART_SLOTS: Final = SECTION_SLOTS * FAN


class Uses(NamedTuple):
    """What guests do to their pages, in order.  Columns of shape (use,)."""

    kind: Int8Array
    """FAULT: these pages are touched, the last one last, and those brought into memory that are
    nowhere; ACCESS: those are touched that are somewhere; DISCARD: they are given back; FREE: they
    are of no use from now on."""
    page: Int64Array
    """The first page."""
    page_count: Int64Array
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
    taken: npt.NDArray[np.uint32]
    """A bit for each slot that is taken.  Shape (word,)."""
    group_taken: npt.NDArray[np.int32]
    """How many slots of each group are.  Shape (group,)."""
    section_taken: npt.NDArray[np.int32]
    part_taken: npt.NDArray[np.int32]
    holes: npt.NDArray[np.uint32]
    """A bit for each slot that is taken by a hole.  Shape (word,)."""
    hole_words: npt.NDArray[np.uint32]
    """A bit for each word of `holes` that has any."""
    hole_groups: npt.NDArray[np.uint32]
    """A bit for each word of `hole_words` that has any."""
    below: npt.NDArray[np.int32]
    """To be used: taken slots below each word.  Shape (word,)."""
    numbers: Int64Array


def new_stack(page_count: int) -> Stack:
    """Make an empty stack for that many pages.

    There are about twice as many slots, so that they are numbered anew as often as all pages were
    touched.
    """
    parts = max(-(-2 * page_count // PART_SLOTS), 1)
    groups = parts * FAN * FAN
    words = groups * GROUP_SLOTS // WORD_SLOTS
    hole_words = words // WORD_SLOTS
    pages = np.zeros((page_count, 3), np.int32)
    pages[:, SLOT] = NOWHERE
    return Stack(
        pages=pages,
        taken=np.zeros(words, np.uint32),
        group_taken=np.zeros(groups, np.int32),
        section_taken=np.zeros(parts * FAN, np.int32),
        part_taken=np.zeros(parts, np.int32),
        holes=np.zeros(words, np.uint32),
        hole_words=np.zeros(hole_words, np.uint32),
        hole_groups=np.zeros(hole_words // WORD_SLOTS, np.uint32),
        below=np.zeros(words, np.int32),
        numbers=np.array([0, NOWHERE, 0], np.int64),
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
