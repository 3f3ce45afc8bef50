"""Slots of an LRU stack: which are taken, how deep one is, and where the highest hole is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.model.compiled import inlined_kernel, inner_kernel
from workbench.model.curve.columns import (
    EMPTY,
    FAN,
    FAN_SHIFT,
    HIGHEST_HOLE,
    NEXT_SLOT,
    NOWHERE,
    SLOT,
    WORD_MASK,
    WORD_SHIFT,
    WORD_SLOTS,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.model.curve.columns import Stack


@inlined_kernel
def count_ones(word: int) -> int:
    """Count the ones of a number of 32 bits.

    Written as compilers know it: where a processor has an instruction for it, that is used.
    """
    word -= (word >> 1) & 0x5555555555555555
    word = (word & 0x3333333333333333) + ((word >> 2) & 0x3333333333333333)
    word = (word + (word >> 4)) & 0x0F0F0F0F0F0F0F0F
    return ((word * 0x0101010101010101) >> 56) & 0xFF


@inlined_kernel
def highest_one(word: int) -> int:
    """Give the place of the highest one of a number of 32 bits that is not 0."""
    for shift in (1, 2, 4, 8, 16):
        word |= word >> shift
    return count_ones(word) - 1


@inlined_kernel
def add_after(place: int, counts: npt.NDArray[Any]) -> None:
    """Count one more in all that follows a place in its row of FAN numbers.

    All of the row is looked at, so that a few vector instructions do it.
    """
    first = place & -FAN
    row = counts[first : first + FAN]
    own = np.int32(place - first)
    for other in range(FAN):
        row[other] += np.int32(other) > own


@inlined_kernel
def empty_before(slot: int, stack: Stack) -> int:
    """Count the empty slots before a slot."""
    word = slot >> WORD_SHIFT
    section = word >> FAN_SHIFT
    part = section >> FAN_SHIFT
    lower = (1 << (slot & WORD_MASK)) - 1
    return (
        count_ones(int(stack.empty[word]) & lower)
        + int(stack.before_word[word])
        + int(stack.before_section[section])
        + int(stack.before_part[part])
    )


@inlined_kernel
def depth_of(slot: int, stack: Stack) -> int:
    """Count the slots taken from this one upwards, itself included."""
    empty_above = int(stack.numbers[EMPTY]) - empty_before(slot, stack)
    return int(stack.numbers[NEXT_SLOT]) - slot - empty_above


@inlined_kernel
def empty_slot(slot: int, stack: Stack) -> None:
    """Make a slot empty that was taken."""
    word = slot >> WORD_SHIFT
    section = word >> FAN_SHIFT
    part = section >> FAN_SHIFT
    stack.empty[word] = int(stack.empty[word]) | 1 << (slot & WORD_MASK)
    add_after(word, stack.before_word)
    add_after(section, stack.before_section)
    later_parts = stack.before_part[part + 1 :]
    for other in range(later_parts.size):
        later_parts[other] += 1
    stack.numbers[EMPTY] += 1


@inlined_kernel
def add_hole(slot: int, stack: Stack) -> None:
    """Let a hole stand where a page stood."""
    word = slot >> WORD_SHIFT
    group = word >> WORD_SHIFT
    stack.holes[word] = int(stack.holes[word]) | 1 << (slot & WORD_MASK)
    stack.hole_words[group] = int(stack.hole_words[group]) | 1 << (word & WORD_MASK)
    section = group >> WORD_SHIFT
    stack.hole_groups[section] = int(stack.hole_groups[section]) | 1 << (group & WORD_MASK)
    stack.numbers[HIGHEST_HOLE] = max(stack.numbers[HIGHEST_HOLE], slot)


@inlined_kernel
def remove_highest_hole(stack: Stack) -> None:
    """Forget the highest hole, and find the next one."""
    slot = int(stack.numbers[HIGHEST_HOLE])
    word = slot >> WORD_SHIFT
    group = word >> WORD_SHIFT
    section = group >> WORD_SHIFT
    stack.holes[word] = int(stack.holes[word]) & ~(1 << (slot & WORD_MASK))
    if stack.holes[word] == 0:
        stack.hole_words[group] = int(stack.hole_words[group]) & ~(1 << (word & WORD_MASK))
        if stack.hole_words[group] == 0:
            others = int(stack.hole_groups[section]) & ~(1 << (group & WORD_MASK))
            stack.hole_groups[section] = others
            while section >= 0 and stack.hole_groups[section] == 0:
                section -= 1
            if section < 0:
                stack.numbers[HIGHEST_HOLE] = NOWHERE
                return
            group = section * WORD_SLOTS + highest_one(int(stack.hole_groups[section]))
        word = group * WORD_SLOTS + highest_one(int(stack.hole_words[group]))
    stack.numbers[HIGHEST_HOLE] = word * WORD_SLOTS + highest_one(int(stack.holes[word]))


@inlined_kernel
def top_slot(stack: Stack) -> int:
    """Take a new slot at the top."""
    if stack.numbers[NEXT_SLOT] == stack.empty.size * WORD_SLOTS:
        number_anew(stack)
    slot = int(stack.numbers[NEXT_SLOT])
    stack.numbers[NEXT_SLOT] += 1
    return slot


@inner_kernel
def number_anew(stack: Stack) -> None:
    """Leave out the empty slots.  Depths stay as they are."""
    for page in range(stack.pages.shape[0]):
        slot = int(stack.pages[page, SLOT])
        if slot >= 0:
            stack.pages[page, SLOT] = slot - empty_before(slot, stack)
    move_holes(stack)
    stack.numbers[NEXT_SLOT] -= stack.numbers[EMPTY]
    stack.numbers[EMPTY] = 0
    stack.empty[:] = 0
    stack.before_word[:] = 0
    stack.before_section[:] = 0
    stack.before_part[:] = 0


@inner_kernel
def move_holes(stack: Stack) -> None:
    """Give holes their new numbers: none is higher than its old one, so that none is in the way."""
    stack.hole_words[:] = 0
    stack.hole_groups[:] = 0
    stack.numbers[HIGHEST_HOLE] = NOWHERE
    for word in range(stack.holes.size):
        left = int(stack.holes[word])
        stack.holes[word] = 0
        while left:
            lowest = left & -left
            left -= lowest
            slot = word * WORD_SLOTS + highest_one(lowest)
            add_hole(slot - empty_before(slot, stack), stack)
