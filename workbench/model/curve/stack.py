"""Slots of an LRU stack: which are taken, how deep one is, and where the highest hole is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.model.compiled import inlined_kernel, inner_kernel
from workbench.model.curve.columns import (
    FAN,
    GROUP_SHIFT,
    GROUP_SLOTS,
    HIGHEST_HOLE,
    NEXT_SLOT,
    NOWHERE,
    PART_SLOTS,
    SECTION_SLOTS,
    SLOT,
    WORD_MASK,
    WORD_SHIFT,
    WORD_SLOTS,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.model.curve.columns import Stack

GROUP_WORDS: Final = GROUP_SLOTS // WORD_SLOTS
ALL_ONES: Final = (1 << WORD_SLOTS) - 1


@inlined_kernel
def ones_by_byte(word: int) -> int:
    """Count the ones of each byte of a number of 32 bits.  Returns four counts, a byte each."""
    word -= (word >> 1) & 0x55555555
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    return (word + (word >> 4)) & 0x0F0F0F0F


@inlined_kernel
def count_ones(word: int) -> int:
    """Count the ones of a number of 32 bits."""
    return ((ones_by_byte(word) * 0x01010101) >> 24) & 0xFF


@inlined_kernel
def highest_one(word: int) -> int:
    """Give the place of the highest one of a number of 32 bits that is not 0."""
    place = (word >> 16 > 0) << 4
    place += (word >> place >> 8 > 0) << 3
    place += (word >> place >> 4 > 0) << 2
    place += (word >> place >> 2 > 0) << 1
    return place + (word >> place >> 1 > 0)


@inlined_kernel
def sum_after(place: int, counts: npt.NDArray[Any]) -> int:
    """Add up what stands behind a place in its row of FAN numbers.

    All of the row is looked at, so that a few vector instructions do it.
    """
    first = place // FAN * FAN
    row = counts[first : first + FAN]
    own = np.int32(place - first)
    total = np.int32(0)
    for other in range(FAN):
        if np.int32(other) > own:
            total = np.int32(total + row[other])
    return int(total)


@inlined_kernel
def ones_from(slot: int, taken: npt.NDArray[np.uint32]) -> int:
    """Count the slots taken from this one to the end of its group, likewise all of them at once."""
    first = slot >> GROUP_SHIFT << GROUP_SHIFT - WORD_SHIFT
    row = taken[first : first + GROUP_WORDS]
    own = (slot >> WORD_SHIFT) - first
    upper = ALL_ONES >> (slot & WORD_MASK) << (slot & WORD_MASK)
    total = 0
    for other in range(GROUP_WORDS):
        word = int(row[other])
        word &= upper if other == own else ALL_ONES
        word = word if other >= own else 0
        total += ones_by_byte(word)
    total = (total & 0x00FF00FF) + ((total >> 8) & 0x00FF00FF)
    return (total & 0xFFFF) + (total >> 16)


@inlined_kernel
def depth_of(slot: int, stack: Stack) -> int:
    """Count the slots taken from this one upwards, itself included."""
    group = slot >> GROUP_SHIFT
    section = group // FAN
    depth = ones_from(slot, stack.taken)
    depth += sum_after(group, stack.group_taken)
    depth += sum_after(section, stack.section_taken)
    for part in range(section // FAN + 1, stack.part_taken.size):
        depth += stack.part_taken[part]
    return depth


@inlined_kernel
def take_slot(slot: int, stack: Stack) -> None:
    """Take a slot that is empty."""
    word = slot >> WORD_SHIFT
    stack.taken[word] = int(stack.taken[word]) | 1 << (slot & WORD_MASK)
    count_slot(slot, 1, stack)


@inlined_kernel
def empty_slot(slot: int, stack: Stack) -> None:
    """Make a slot empty that was taken."""
    word = slot >> WORD_SHIFT
    stack.taken[word] = int(stack.taken[word]) & ~(1 << (slot & WORD_MASK))
    count_slot(slot, -1, stack)


@inlined_kernel
def count_slot(slot: int, change: int, stack: Stack) -> None:
    """Count a slot that was taken, or was made empty."""
    stack.group_taken[slot >> GROUP_SHIFT] += change
    stack.section_taken[slot // SECTION_SLOTS] += change
    stack.part_taken[slot // PART_SLOTS] += change


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
    if stack.numbers[NEXT_SLOT] == stack.taken.size * WORD_SLOTS:
        number_anew(stack)
    slot = int(stack.numbers[NEXT_SLOT])
    stack.numbers[NEXT_SLOT] += 1
    take_slot(slot, stack)
    return slot


@inlined_kernel
def slot_anew(slot: int, stack: Stack) -> int:
    """Give the number of a taken slot if there were no empty ones."""
    word = slot >> WORD_SHIFT
    lower = (1 << (slot & WORD_MASK)) - 1
    return int(stack.below[word]) + count_ones(int(stack.taken[word]) & lower)


@inner_kernel
def number_anew(stack: Stack) -> None:
    """Leave out the empty slots.  Depths stay as they are."""
    count = 0
    for word in range(stack.taken.size):
        stack.below[word] = count
        count += count_ones(int(stack.taken[word]))
    for page in range(stack.pages.shape[0]):
        slot = int(stack.pages[page, SLOT])
        if slot >= 0:
            stack.pages[page, SLOT] = slot_anew(slot, stack)
    move_holes(stack)
    fill_slots(count, stack)


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
            add_hole(slot_anew(word * WORD_SLOTS + highest_one(lowest), stack), stack)


@inner_kernel
def fill_slots(count: int, stack: Stack) -> None:
    """Take the first slots, and no others."""
    stack.numbers[NEXT_SLOT] = count
    for word in range(stack.taken.size):
        stack.taken[word] = ALL_ONES >> (WORD_SLOTS - taken_of(word, WORD_SLOTS, count))
    for group in range(stack.group_taken.size):
        stack.group_taken[group] = taken_of(group, GROUP_SLOTS, count)
    for section in range(stack.section_taken.size):
        stack.section_taken[section] = taken_of(section, SECTION_SLOTS, count)
    for part in range(stack.part_taken.size):
        stack.part_taken[part] = taken_of(part, PART_SLOTS, count)


@inlined_kernel
def taken_of(place: int, size: int, count: int) -> int:
    """Say how many of the slots in a place of that size are among the first so many."""
    return min(max(count - place * size, 0), size)
