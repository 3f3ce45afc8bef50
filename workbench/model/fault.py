"""What a page fault does, from what the host was seen to allocate or else from its rules.

The capture says how much memory the host allocated for a fault.  That is evidence of what a huge
page allocator did at that moment, which no rule can know; the rules fill in where it is unknown.

Source: Linux v6.18 mm/memory.c (__handle_mm_fault, do_anonymous_page, do_wp_page, do_swap_page) and
mm/huge_memory.c (do_huge_pmd_anonymous_page, do_huge_pmd_wp_page).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.model.columns import (
    BLOCK_PAGE_BYTES,
    FIRST_PAGE,
    IS_SHARED,
    PAGE_COUNT,
    TAKES_HUGE_PAGES,
)
from workbench.model.compiled import inlined_kernel
from workbench.model.host import (
    HUGE_ZERO_PAGE,
    MAPPING,
    NO_TABLE,
    OCCUPIED_PAGES,
    PAGE_TABLE,
    back_huge_page,
    back_page,
    back_pages,
    is_whole,
    map_huge_zero_page,
    map_zero_page,
    swap_in_pages,
)
from workbench.model.outcomes import Outcome, Surprise
from workbench.model.page_bits import RESIDENT, STATE, SWAPPED, UNBACKED, WAS_DISCARDED, ZERO_PAGE
from workbench.schema import UNKNOWN, FaultFlag
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.model.columns import Constants, HostState

WRITE: Final = int(FaultFlag.WRITE)
SWAP_IN: Final = int(FaultFlag.SWAP_IN)
HUGE_REFUSED: Final = int(FaultFlag.HUGE_REFUSED)

NO_OUTCOME: Final = int(Outcome.NO_OUTCOME)
FIRST_TOUCH: Final = int(Outcome.FIRST_TOUCH)
REFAULT: Final = int(Outcome.REFAULT)
SWAPPED_IN: Final = int(Outcome.SWAPPED_IN)
RESIDENT_ALREADY: Final = int(Outcome.RESIDENT_ALREADY)
ZERO_PAGE_MAPPED: Final = int(Outcome.ZERO_PAGE_MAPPED)

NO_SURPRISE: Final = int(Surprise.NO_SURPRISE)
HUGE_PAGE_NOT_HAD: Final = int(Surprise.HUGE_PAGE_NOT_HAD)
HUGE_PAGE_UNEXPECTED: Final = int(Surprise.HUGE_PAGE_UNEXPECTED)
NOTHING_ALLOCATED: Final = int(Surprise.NOTHING_ALLOCATED)
SWAP_OUT_MISSED: Final = int(Surprise.SWAP_OUT_MISSED)
FIRST_TOUCH_MISSED: Final = int(Surprise.FIRST_TOUCH_MISSED)
SWAP_IN_MISSED: Final = int(Surprise.SWAP_IN_MISSED)

LEAVE: Final = 0
MAP_ZERO: Final = 1
MAP_HUGE_ZERO: Final = 2
BACK_RANGE: Final = 3
BACK_HUGE: Final = 4
BRING_BACK: Final = 5


class Fault(NamedTuple):
    """One fault, as the host model sees it."""

    page: int
    block: int
    allocated_bytes: int
    """What the host allocated; UNKNOWN where nobody saw."""
    flags: int
    """FaultFlag bits."""


@inlined_kernel
def may_map_huge(fault: Fault, constants: Constants, host: HostState) -> bool:
    """Tell whether, by the rule, the host serves this fault with a huge page (or a huge zero page).

    Nothing of it is backed, no page table is there, the block may have huge pages, and the host
    did not say that it could not have one.
    """
    huge_page = fault.page >> constants.huge_page_shift
    mapping = host.huge_pages[huge_page, MAPPING]
    return bool(
        mapping in (NO_TABLE, HUGE_ZERO_PAGE)
        and fault.flags & HUGE_REFUSED == 0
        and constants.blocks[fault.block, TAKES_HUGE_PAGES] != 0
        and is_whole(huge_page, fault.block, constants)
    )


@inlined_kernel
def can_hold_huge(fault: Fault, constants: Constants, host: HostState) -> bool:
    """Tell whether a huge page fits: nothing but the huge zero page is where it would go."""
    huge_page = fault.page >> constants.huge_page_shift
    is_free = host.huge_pages[huge_page, OCCUPIED_PAGES] == 0
    is_zero = host.huge_pages[huge_page, MAPPING] == HUGE_ZERO_PAGE
    return bool((is_free or is_zero) and is_whole(huge_page, fault.block, constants))


@inlined_kernel
def judge_fault(fault: Fault, constants: Constants, host: HostState) -> int:
    """Decide what the host does about a fault, changing nothing."""
    state = host.pages[fault.page] & STATE
    allocated_bytes = fault.allocated_bytes
    if fault.flags & SWAP_IN != 0 or state == SWAPPED:
        return BRING_BACK
    if state == RESIDENT:
        return LEAVE
    if constants.blocks[fault.block, BLOCK_PAGE_BYTES] > PAGE_BYTES:
        return BACK_RANGE
    if constants.blocks[fault.block, IS_SHARED] != 0:
        # Shared memory has no zero page; with nothing allocated the page was in the file already.
        return BACK_RANGE

    writes = fault.flags & WRITE != 0
    if allocated_bytes == UNKNOWN and writes:
        return BACK_HUGE if may_map_huge(fault, constants, host) else BACK_RANGE
    if allocated_bytes > 0:
        is_huge = allocated_bytes >= constants.huge_page_pages * PAGE_BYTES
        return BACK_HUGE if is_huge and can_hold_huge(fault, constants, host) else BACK_RANGE
    if writes or state == ZERO_PAGE:
        return LEAVE
    return MAP_HUGE_ZERO if may_map_huge(fault, constants, host) else MAP_ZERO


@inlined_kernel
def name_fault(fault: Fault, action: int, host: HostState) -> int:
    """Name the outcome of an action that is still to be done."""
    state = host.pages[fault.page] & STATE
    if action == BRING_BACK:
        return SWAPPED_IN
    if action in (BACK_RANGE, BACK_HUGE):
        return REFAULT if host.pages[fault.page] & WAS_DISCARDED != 0 else FIRST_TOUCH
    if action in (MAP_ZERO, MAP_HUGE_ZERO) or state == ZERO_PAGE:
        return ZERO_PAGE_MAPPED
    return RESIDENT_ALREADY if state == RESIDENT else NO_OUTCOME


@inlined_kernel
def judge_surprise(fault: Fault, constants: Constants, host: HostState) -> int:
    """Say how the fault contradicts what is believed of its page, changing nothing."""
    state = host.pages[fault.page] & STATE
    if fault.flags & SWAP_IN != 0:
        if state == SWAPPED:
            return NO_SURPRISE
        return SWAP_OUT_MISSED if state == RESIDENT else FIRST_TOUCH_MISSED
    if state == SWAPPED:
        return SWAP_IN_MISSED
    is_single = constants.blocks[fault.block, BLOCK_PAGE_BYTES] == PAGE_BYTES
    is_plain = is_single and constants.blocks[fault.block, IS_SHARED] == 0
    if state == RESIDENT or not is_plain:
        return NO_SURPRISE

    allocated_bytes = fault.allocated_bytes
    if allocated_bytes == 0:
        return NOTHING_ALLOCATED if fault.flags & WRITE != 0 else NO_SURPRISE
    follows_rule = may_map_huge(fault, constants, host)
    if allocated_bytes >= constants.huge_page_pages * PAGE_BYTES:
        return NO_SURPRISE if follows_rule else HUGE_PAGE_UNEXPECTED
    # Older kernels answer a write to the huge zero page with a single page: no surprise there.
    if allocated_bytes > 0 and state == UNBACKED and follows_rule:
        return HUGE_PAGE_NOT_HAD
    return NO_SURPRISE


@inlined_kernel
def range_pages(fault: Fault, constants: Constants) -> tuple[int, int]:
    """Give the pages [first, stop) that one allocation for this fault backs.

    They are aligned to their own size, and end where the block ends.  An allocation of a huge page
    that does not fit stands for the one page that was touched.
    """
    blocks = constants.blocks
    block_first = blocks[fault.block, FIRST_PAGE]
    block_stop = block_first + blocks[fault.block, PAGE_COUNT]
    page_bytes = blocks[fault.block, BLOCK_PAGE_BYTES]
    if page_bytes <= PAGE_BYTES and fault.allocated_bytes < 2 * PAGE_BYTES:
        return fault.page, fault.page + 1
    if page_bytes > PAGE_BYTES:
        pages = page_bytes // PAGE_BYTES
        first = block_first + (fault.page - block_first) // pages * pages
    else:
        pages = max(fault.allocated_bytes // PAGE_BYTES, 1)
        if pages >= constants.huge_page_pages and blocks[fault.block, IS_SHARED] == 0:
            huge_page = fault.page >> constants.huge_page_shift
            pages = 1 if is_whole(huge_page, fault.block, constants) else constants.huge_page_pages
        first = fault.page // pages * pages
    return max(first, block_first), min(first + pages, block_stop)


@inlined_kernel
def back_one_page(page: int, constants: Constants, host: HostState) -> None:
    """Put one page into memory by itself, which splits a huge zero page around it."""
    if host.pages[page] & STATE != RESIDENT:
        huge_page = page >> constants.huge_page_shift
        back_page(page, huge_page, host)
        host.huge_pages[huge_page, MAPPING] = PAGE_TABLE


@inlined_kernel
def serve_fault(fault: Fault, action: int, constants: Constants, host: HostState) -> None:
    """Do what `judge_fault` decided, if that is anything."""
    if action == BRING_BACK:
        first, stop = range_pages(fault, constants)
        swap_in_pages(first, stop, host)
        # The page itself comes back even where the model had not believed it to be in swap.
        if host.pages[fault.page] & STATE != RESIDENT:
            back_one_page(fault.page, constants, host)
    elif action == BACK_RANGE:
        first, stop = range_pages(fault, constants)
        back_pages(first, stop, constants, host)
        back_one_page(fault.page, constants, host)
    else:
        huge_page = fault.page >> constants.huge_page_shift
        if action == BACK_HUGE:
            back_huge_page(huge_page, constants, host)
        elif action == MAP_ZERO:
            map_zero_page(fault.page, huge_page, host)
            host.huge_pages[huge_page, MAPPING] = PAGE_TABLE
        else:
            map_huge_zero_page(huge_page, constants, host)
