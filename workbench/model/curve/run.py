"""Swap-ins and swap-outs for every memory size, in one pass over what guests do to their pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.model.compiled import inlined_kernel, inner_kernel, kernel
from workbench.model.curve.columns import (
    DEAD_FROM,
    DIRTY_FROM,
    FETCHED,
    HIGHEST_HOLE,
    IN_SWAP,
    NEXT_SLOT,
    NOWHERE,
    READS,
    SLOT,
    WRITES,
)
from workbench.model.curve.stack import (
    add_hole,
    depth_of,
    empty_slot,
    number_anew,
    remove_highest_hole,
    top_slot,
)
from workbench.schema import Kind

if TYPE_CHECKING:
    from workbench.model.curve.columns import Rules, Stack, Tally, Uses

FETCHED_ROWS: Final = 32
FAULT: Final = int(Kind.FAULT)
DISCARD: Final = int(Kind.DISCARD)
FREE: Final = int(Kind.FREE)


@inlined_kernel
def count_writes(page: int, depth: int, stack: Stack, tally: Tally) -> None:
    """Count that hosts of less than this depth have written the page, if it was dirty there."""
    dirty_from = stack.pages[page, DIRTY_FROM]
    if dirty_from >= depth:
        return
    tally.all[dirty_from, WRITES] += 1
    tally.all[depth, WRITES] -= 1
    if stack.pages[page, DEAD_FROM] == 0:
        return
    dead_from = max(stack.pages[page, DEAD_FROM], dirty_from)
    if dead_from < depth:
        tally.dead[dead_from, WRITES] += 1
        tally.dead[depth, WRITES] -= 1


@inlined_kernel
def count_read(page: int, depth: int, stack: Stack, tally: Tally) -> None:
    """Count that hosts of less than this depth read the page back."""
    tally.all[depth, READS] += 1
    if stack.pages[page, DEAD_FROM] > 0:
        tally.dead[depth, READS] += 1


@inlined_kernel
def move_to_top(page: int, slot: int, stack: Stack) -> None:
    """Put a page on top: the highest hole above where it stood is filled, and it leaves one."""
    if stack.numbers[HIGHEST_HOLE] > slot:
        empty_slot(int(stack.numbers[HIGHEST_HOLE]), stack)
        if slot != NOWHERE:
            add_hole(slot, stack)
        remove_highest_hole(stack)
    elif slot != NOWHERE:
        empty_slot(slot, stack)
    stack.pages[page, SLOT] = NOWHERE
    stack.pages[page, SLOT] = top_slot(stack)


@inlined_kernel
def touch_page(page: int, writes: int, rules: Rules, stack: Stack, tally: Tally) -> None:
    """Touch a page: it is read where it is in swap, and stands on top from now on."""
    slot = int(stack.pages[page, SLOT])
    if slot == NOWHERE:
        stack.pages[page, DIRTY_FROM] = 1
        move_to_top(page, slot, stack)
    elif slot == IN_SWAP:
        count_read(page, tally.all.shape[0] - 1, stack, tally)
        is_dirty = writes or not rules.keeps_copies
        stack.pages[page, DIRTY_FROM] = 1 if is_dirty else tally.all.shape[0] - 1
        move_to_top(page, NOWHERE, stack)
    elif slot == stack.numbers[NEXT_SLOT] - 1:
        if writes:
            stack.pages[page, DIRTY_FROM] = 1
    else:
        depth = depth_of(slot, stack)
        count_read(page, depth, stack, tally)
        count_writes(page, depth, stack, tally)
        if writes or not rules.keeps_copies:
            stack.pages[page, DIRTY_FROM] = 1
        else:
            stack.pages[page, DIRTY_FROM] = max(stack.pages[page, DIRTY_FROM], depth)
        move_to_top(page, slot, stack)
    stack.pages[page, DEAD_FROM] = 0


@inlined_kernel
def discard_page(page: int, stack: Stack, tally: Tally) -> None:
    """Give a page back: a hole is left where it stood, and its copy in swap is freed."""
    slot = int(stack.pages[page, SLOT])
    if slot >= 0:
        count_writes(page, depth_of(slot, stack), stack, tally)
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


@inlined_kernel
def fetch_pages(row: int, uses: Uses, stack: Stack) -> int:
    """Read what is known of the next pages, all at once, for a processor to have it at hand.

    One by one each would be waited for.  The sum is of no use, but that it makes them be read.
    """
    total = 0
    for other in range(row, min(row + FETCHED_ROWS, uses.page.size)):
        total += stack.pages[uses.page[other], SLOT]
    return total


@inner_kernel
def follow_uses(uses: Uses, rules: Rules, stack: Stack, tally: Tally) -> None:
    """Follow what the guests do; see `run_uses`."""
    for row in range(uses.kind.size):
        if row % FETCHED_ROWS == 0:
            stack.numbers[FETCHED] = fetch_pages(row, uses, stack)
        first = uses.page[row]
        kind = uses.kind[row]
        writes = uses.writes[row]
        for page in range(first, first + uses.page_count[row]):
            if kind == DISCARD:
                discard_page(page, stack, tally)
                continue
            if kind == FAULT or (stack.pages[page, SLOT] != NOWHERE and (kind != FREE or writes)):
                touch_page(page, int(writes), rules, stack, tally)
            if kind == FREE:
                free_page(page, stack, tally)


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
    number_anew(stack)
    for page in range(stack.pages.shape[0]):
        slot = int(stack.pages[page, SLOT])
        if slot >= 0:
            # Without empty slots a depth is what is left to the top.
            count_writes(page, int(stack.numbers[NEXT_SLOT]) - slot, stack, tally)


@kernel
def count_final_writes(stack: Stack, tally: Tally) -> None:
    """Count what hosts have written of the pages that nobody touches any more."""
    count_last_writes(stack, tally)
