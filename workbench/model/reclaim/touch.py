"""What a touch of a page costs a host that has no memory left, and what a discard gives it.

Source: Linux v6.18 mm/memory.c (do_swap_page, do_anonymous_page, should_try_to_free_swap),
mm/memcontrol.c (try_charge_memcg) and mm/workingset.c (workingset_refault).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.model.compiled import inlined_kernel, inner_kernel
from workbench.model.fault import (
    BACK_HUGE,
    BACK_RANGE,
    LEAVE,
    Fault,
    judge_fault,
    range_pages,
    serve_fault,
)
from workbench.model.host import HELD_PAGES, RESIDENT, SWAPPED, UNBACKED, back_page, discard_pages
from workbench.model.reclaim.columns import (
    ACTIVE,
    AGE,
    INACTIVE,
    LEAST_RECENT,
    LIMIT_PAGES,
    NEVER_EVICTED,
    NO_LIST,
    READ_AHEAD_PAGES,
    REFAULTS_ACTIVATED,
    SLOTS_USED,
    UNMET_PAGES,
)
from workbench.model.reclaim.evict import has_room
from workbench.model.reclaim.lists import add_first, folio_of, move_first, remove_folio, write_move
from workbench.model.reclaim.readahead import note_hit, read_ahead_window
from workbench.model.reclaim.scan import SWAP_CLUSTER_PAGES, reclaim_pages
from workbench.schema import FaultFlag, Kind
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.model.reclaim.columns import Memory

FAULT: Final = int(Kind.FAULT)
READ_AHEAD: Final = int(Kind.READ_AHEAD)
WRITE: Final = int(FaultFlag.WRITE)
SWAP_IN: Final = int(FaultFlag.SWAP_IN)
WITHOUT_READ: Final = int(FaultFlag.WITHOUT_READ)
DEAD: Final = int(FaultFlag.DEAD)

FRUITLESS_MAX: Final = 16
"""Linux v6.18 mm/memcontrol.c, MAX_RECLAIM_RETRIES."""


@inlined_kernel
def held_pages(memory: Memory) -> int:
    """Give the host pages in use: mapped, parts of huge pages given back, and read ahead."""
    return int(memory.host.totals[HELD_PAGES] + memory.reclaim.counts[READ_AHEAD_PAGES])


@inner_kernel
def charge_pages(pages: int, memory: Memory) -> bool:
    """Make room for pages that are about to be given out.

    Returns
    -------
    Whether there is room now.
    """
    rules = memory.rules
    limit_pages = memory.reclaim.counts[LIMIT_PAGES]
    free = limit_pages - held_pages(memory) - pages
    can_reclaim = has_room(memory) or rules.keeps_copies
    if can_reclaim and rules.low_free_pages > 0 and free < rules.low_free_pages:
        reclaim_pages(rules.high_free_pages - free, memory)
    least = 1 if rules.policy == LEAST_RECENT else max(pages, SWAP_CLUSTER_PAGES)
    fruitless = 0
    while held_pages(memory) + pages > limit_pages and fruitless < FRUITLESS_MAX:
        if not has_room(memory) and not memory.rules.keeps_copies:
            break
        if reclaim_pages(least, memory) == 0:
            fruitless += 1
    return bool(held_pages(memory) + pages <= limit_pages)


@inner_kernel
def charge_page(memory: Memory) -> None:
    """Make room for one page, or count it as given beyond the limit (Linux would kill)."""
    if not charge_pages(1, memory):
        memory.reclaim.counts[UNMET_PAGES] += 1


@inlined_kernel
def list_after_swap(page: int, memory: Memory) -> int:
    """Choose the list for a page that comes from swap.

    If it was evicted so lately that a host with the active list's memory more would have kept it,
    it goes there at once.
    """
    counts = memory.reclaim.counts
    evicted_age = memory.reclaim.evicted_age[page]
    if memory.rules.policy == LEAST_RECENT or evicted_age == NEVER_EVICTED:
        return INACTIVE
    if counts[AGE] - evicted_age > memory.reclaim.list_pages[ACTIVE]:
        return INACTIVE
    counts[AGE] += 1
    counts[REFAULTS_ACTIVATED] += 1
    return ACTIVE


@inlined_kernel
def free_copy(page: int, memory: Memory) -> None:
    """Give up the copy in swap of a page in memory, if it has one."""
    reclaim = memory.reclaim
    if reclaim.has_copy[page]:
        reclaim.has_copy[page] = False
        reclaim.counts[SLOTS_USED] -= 1


@inlined_kernel
def touch_resident(page: int, status: int, memory: Memory) -> None:
    """Touch a page that is mapped: only the processor notices, or who knows every access."""
    folio = folio_of(page, memory)
    memory.reclaim.is_accessed[folio] = True
    if status & WRITE != 0:
        free_copy(page, memory)
    if memory.rules.policy == LEAST_RECENT:
        move_first(folio, memory)


@inlined_kernel
def note_touch(page: int, status: int, memory: Memory) -> None:
    """Note what a page in memory holds after a touch, and that its guest uses it."""
    if status & WRITE != 0:
        memory.reclaim.is_zero[page] = memory.rules.writes_zeros
    memory.reclaim.is_live[page] = True


@inlined_kernel
def touch_if_resident(page: int, status: int, memory: Memory) -> bool:
    """Touch a page if it is mapped, which is what nearly all touches find.  Returns whether."""
    if memory.host.page_state[page] != RESIDENT:
        return False
    touch_resident(page, status, memory)
    note_touch(page, status, memory)
    return True


@inner_kernel
def read_ahead(page: int, block: int, memory: Memory) -> None:
    """Read pages around a fault from swap, into memory that nobody maps yet."""
    reclaim = memory.reclaim
    first, stop = read_ahead_window(page, block, memory)
    for other in range(first, stop):
        is_there = reclaim.is_read_ahead[other] or memory.host.page_state[other] != SWAPPED
        if other == page or is_there:
            continue
        charge_page(memory)
        reclaim.is_read_ahead[other] = True
        reclaim.counts[READ_AHEAD_PAGES] += 1
        add_first(other, list_after_swap(other, memory), memory)
        write_move(READ_AHEAD, other, 1, 0, memory)


@inner_kernel
def swap_in(page: int, block: int, status: int, memory: Memory) -> None:
    """Bring a page back from swap, or from where it was read ahead."""
    rules, reclaim, host = memory.rules, memory.reclaim, memory.host
    writes = status & WRITE
    status = SWAP_IN | writes
    was_read = reclaim.is_read_ahead[page]
    if was_read:
        reclaim.is_read_ahead[page] = False
        reclaim.counts[READ_AHEAD_PAGES] -= 1
        note_hit(page, block, memory)
    else:
        if rules.readahead_pages > 1:
            read_ahead(page, block, memory)
        charge_page(memory)
        add_first(page, list_after_swap(page, memory), memory)
    if was_read or (rules.skips_zeros and reclaim.is_zero[page]):
        status |= WITHOUT_READ
    if not reclaim.is_live[page]:
        status |= DEAD
    back_page(page, page // memory.constants.huge_page_pages, host)
    reclaim.is_accessed[page] = True
    reclaim.has_copy[page] = True
    is_half_full = 2 * reclaim.counts[SLOTS_USED] > rules.swap_pages
    if writes != 0 or is_half_full or not rules.keeps_copies:
        free_copy(page, memory)
    write_move(FAULT, page, 0 if was_read else 1, status, memory)


@inner_kernel
def add_backed(first: int, stop: int, memory: Memory) -> None:
    """Put on a list what has just come into memory; it was zeroed, and bears the fault's access."""
    host, reclaim = memory.host, memory.reclaim
    for page in range(first, stop):
        folio = folio_of(page, memory)
        if host.page_state[page] == RESIDENT and reclaim.list_of[folio] == NO_LIST:
            add_first(folio, INACTIVE, memory)
            reclaim.is_accessed[folio] = True
            reclaim.is_referenced[folio] = False
            reclaim.is_zero[page] = True


@inner_kernel
def fault_in(fault: Fault, memory: Memory) -> None:
    """Serve a fault on a page that is neither in memory nor in swap."""
    constants, host = memory.constants, memory.host
    pages = constants.huge_page_pages
    action = judge_fault(fault, constants, host)
    if action == LEAVE:
        return
    first, stop = fault.page, fault.page
    if action == BACK_HUGE and charge_pages(pages, memory):
        first = fault.page // pages * pages
        stop = first + pages
    elif action == BACK_HUGE:
        # A huge page that cannot be paid for is no reason to kill: Linux tries a single one.
        fault = Fault(fault.page, fault.block, PAGE_BYTES, fault.flags)
        action = BACK_RANGE
    if action == BACK_RANGE:
        first, stop = range_pages(fault, constants)
        for page in range(first, stop):
            if host.page_state[page] == UNBACKED or page == fault.page:
                charge_page(memory)
    serve_fault(fault, action, constants, host)
    add_backed(first, stop, memory)
    if action == BACK_HUGE:
        memory.reclaim.is_zero[first:stop] = True
    write_move(FAULT, fault.page, stop - first, fault.flags, memory)


@inner_kernel
def touch_page(page: int, block: int, allocated_bytes: int, status: int, memory: Memory) -> None:
    """Let a guest read or write a page."""
    if touch_if_resident(page, status, memory):
        return
    if memory.host.page_state[page] == SWAPPED:
        swap_in(page, block, status, memory)
    else:
        fault_in(Fault(page, block, allocated_bytes, status), memory)
    note_touch(page, status, memory)


@inner_kernel
def give_up_page(page: int, memory: Memory) -> None:
    """Forget what reclaim knows of a page that is about to be discarded."""
    host, reclaim = memory.host, memory.reclaim
    reclaim.evicted_age[page] = NEVER_EVICTED
    state = host.page_state[page]
    if state == SWAPPED:
        reclaim.counts[SLOTS_USED] -= 1
        if reclaim.is_read_ahead[page]:
            reclaim.is_read_ahead[page] = False
            reclaim.counts[READ_AHEAD_PAGES] -= 1
            remove_folio(page, memory)
    elif state == RESIDENT:
        free_copy(page, memory)
        if not host.is_huge[page]:
            remove_folio(page, memory)


@inner_kernel
def discard(first: int, stop: int, memory: Memory) -> None:
    """Give pages back to the host: out of memory, or out of swap."""
    constants, host = memory.constants, memory.host
    pages = constants.huge_page_pages
    for page in range(first, stop):
        give_up_page(page, memory)
    discard_pages(first, stop, constants, host)
    for huge_page in range(first // pages, -(-stop // pages)):
        folio = host.page_state.size + huge_page
        if host.huge_pages_left[huge_page] == 0 and memory.reclaim.list_of[folio] != NO_LIST:
            remove_folio(folio, memory)
