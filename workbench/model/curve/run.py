"""Swap-ins and swap-outs for every memory size, in one pass over what guests do to their pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.model.compiled import inlined_kernel, inner_kernel, kernel
from workbench.model.curve.columns import (
    DEAD_FROM,
    DEPTH,
    DIRTY_FROM,
    HIGHEST_HOLE,
    IN_SWAP,
    IS_READ,
    MOST_WAITING,
    NEXT_SLOT,
    NOWHERE,
    READS,
    SLOT,
    WAITING,
    WRITES,
    WRITTEN_FROM,
)
from workbench.model.curve.stack import (
    add_hole,
    depth_of,
    empty_slot,
    remove_highest_hole,
    top_slot,
)
from workbench.model.prefetch import prefetch
from workbench.schema import Kind

if TYPE_CHECKING:
    from workbench.model.curve.columns import Rules, Stack, Tally, Uses

FETCHED_ROWS: Final = 16
"""How many rows ahead what is known of a page is fetched."""

FAULT: Final = int(Kind.FAULT)
DISCARD: Final = int(Kind.DISCARD)
FREE: Final = int(Kind.FREE)


@inlined_kernel
def count_out(page: int, depth: int, is_read: int, stack: Stack, tally: Tally) -> None:
    """Count that hosts of less than this depth have written the page, if it was dirty there.

    And that they read it back, if so.  Most of that waits until memory has come: see
    `count_waiting`.
    """
    dirty_from = min(int(stack.pages[page, DIRTY_FROM]), depth)
    waiting = int(stack.numbers[WAITING])
    prefetch(tally.all, depth)
    prefetch(tally.all, dirty_from)
    stack.waiting[waiting, DEPTH] = depth
    stack.waiting[waiting, WRITTEN_FROM] = dirty_from
    stack.waiting[waiting, IS_READ] = is_read
    stack.numbers[WAITING] = waiting + 1
    if stack.pages[page, DEAD_FROM] > 0:
        dead_from = min(max(int(stack.pages[page, DEAD_FROM]), dirty_from), depth)
        tally.dead[dead_from, WRITES] += 1
        tally.dead[depth, WRITES] -= 1
        tally.dead[depth, READS] += is_read
    if waiting + 1 == MOST_WAITING:
        count_waiting(stack, tally)


@inlined_kernel
def count_waiting(stack: Stack, tally: Tally) -> None:
    """Count all that waits: depths are anywhere, and what is counted there has been fetched."""
    for other in range(stack.numbers[WAITING]):
        depth = stack.waiting[other, DEPTH]
        tally.all[depth, READS] += stack.waiting[other, IS_READ]
        tally.all[depth, WRITES] -= 1
        tally.all[stack.waiting[other, WRITTEN_FROM], WRITES] += 1
    stack.numbers[WAITING] = 0


@inlined_kernel
def move_to_top(page: int, slot: int, stack: Stack) -> None:
    """Put a page on top: the highest hole above where it stood is filled, and it leaves one."""
    hole = int(stack.numbers[HIGHEST_HOLE])
    highest = max(hole, slot)
    if highest != NOWHERE:
        empty_slot(highest, stack)
    if hole > slot:
        if slot != NOWHERE:
            add_hole(slot, stack)
        remove_highest_hole(stack)
    stack.pages[page, SLOT] = NOWHERE
    stack.pages[page, SLOT] = top_slot(stack)


@inlined_kernel
def touch_page(page: int, writes: int, rules: Rules, stack: Stack, tally: Tally) -> None:
    """Touch a page: it is read where it is in swap, and stands on top from now on."""
    slot = int(stack.pages[page, SLOT])
    is_dirty = writes or not rules.keeps_copies
    if slot < 0:
        if slot == IN_SWAP:
            read_from_swap(page, stack, tally)
        stack.pages[page, DIRTY_FROM] = 1 if is_dirty or slot == NOWHERE else tally.all.shape[0] - 1
        move_to_top(page, NOWHERE, stack)
    elif slot == stack.numbers[NEXT_SLOT] - 1:
        if writes:
            stack.pages[page, DIRTY_FROM] = 1
    else:
        depth = depth_of(slot, stack)
        count_out(page, depth, 1, stack, tally)
        dirty_from = max(int(stack.pages[page, DIRTY_FROM]), depth)
        stack.pages[page, DIRTY_FROM] = 1 if is_dirty else dirty_from
        move_to_top(page, slot, stack)
    stack.pages[page, DEAD_FROM] = 0


@inlined_kernel
def read_from_swap(page: int, stack: Stack, tally: Tally) -> None:
    """Count that hosts of every size read the page back."""
    beyond = tally.all.shape[0] - 1
    tally.all[beyond, READS] += 1
    if stack.pages[page, DEAD_FROM] > 0:
        tally.dead[beyond, READS] += 1


@inlined_kernel
def discard_page(page: int, stack: Stack, tally: Tally) -> None:
    """Give a page back: a hole is left where it stood, and its copy in swap is freed."""
    slot = int(stack.pages[page, SLOT])
    if slot >= 0:
        count_out(page, depth_of(slot, stack), 0, stack, tally)
        add_hole(slot, stack)
    stack.pages[page, SLOT] = NOWHERE
    stack.pages[page, DEAD_FROM] = 0


@inlined_kernel
def free_page(page: int, stack: Stack, tally: Tally) -> None:
    """Let a page be of no use from now on, until it is touched."""
    slot = int(stack.pages[page, SLOT])
    if slot == NOWHERE or stack.pages[page, DEAD_FROM] > 0:
        return
    beyond = tally.all.shape[0] - 1
    stack.pages[page, DEAD_FROM] = beyond if slot == IN_SWAP else depth_of(slot, stack)


@inner_kernel
def follow_uses(uses: Uses, rules: Rules, stack: Stack, tally: Tally) -> None:
    """Follow what the guests do; see `run_uses`."""
    has_ranges = uses.page_count.size > 0
    for row in range(uses.kind.size):
        prefetch(stack.pages, uses.page[min(row + FETCHED_ROWS, uses.page.size - 1)])
        first = uses.page[row]
        kind = uses.kind[row]
        writes = uses.writes[row]
        page_count = uses.page_count[row] if has_ranges else 1
        for page in range(first, first + page_count):
            if kind == DISCARD:
                discard_page(page, stack, tally)
                continue
            if kind == FAULT or (stack.pages[page, SLOT] != NOWHERE and (kind != FREE or writes)):
                touch_page(page, int(writes), rules, stack, tally)
            if kind == FREE:
                free_page(page, stack, tally)
    count_waiting(stack, tally)


@kernel
def run_uses(uses: Uses, rules: Rules, stack: Stack, tally: Tally) -> None:
    """Follow what the guests do, and count what it makes hosts of every size read and write.

    Parameters
    ----------
    tally
        Of each depth, the reads of all hosts of less; of each size, how much more it writes than
        the next smaller one.
    """
    # Within this kernel Numba counts references, which would take longer than all it does.
    follow_uses(uses, rules, stack, tally)


@inner_kernel
def count_last_writes(stack: Stack, tally: Tally) -> None:
    """Count what hosts have written; see `count_final_writes`."""
    for page in range(stack.pages.shape[0]):
        slot = int(stack.pages[page, SLOT])
        if slot >= 0:
            count_out(page, depth_of(slot, stack), 0, stack, tally)
    count_waiting(stack, tally)


@kernel
def count_final_writes(stack: Stack, tally: Tally) -> None:
    """Count what hosts have written of the pages that nobody touches any more."""
    count_last_writes(stack, tally)
