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
    NO_OUTCOME,
    NO_SURPRISE,
    SWAPPED_IN,
    Fault,
    judge_fault,
    judge_surprise,
    name_fault,
    range_pages,
    serve_fault,
)
from workbench.model.host import (
    HELD_PAGES,
    OCCUPIED_PAGES,
    PAGES_LEFT,
    RESIDENT_PAGES,
    discard_part,
    goes_whole,
    swap_in_page,
)
from workbench.model.page_bits import (
    ALL_BITS,
    HAS_AGE,
    HAS_COPY,
    IS_ACCESSED,
    IS_HUGE,
    IS_LIVE,
    IS_READ_AHEAD,
    IS_REFERENCED,
    IS_ZERO,
    ON_LIST,
    RESIDENT,
    STATE,
    SWAPPED,
    UNBACKED,
)
from workbench.model.plain_fault import back_plain_page, gets_plain_page, is_plain_block
from workbench.model.reclaim.columns import (
    ACTIVE,
    AGE,
    AGE_MASK,
    INACTIVE,
    LEAST_RECENT,
    LIMIT_PAGES,
    LIST_PAGES,
    READ_AHEAD_PAGES,
    REFAULTS_ACTIVATED,
    SLOTS_USED,
    UNMET_PAGES,
    Move,
)
from workbench.model.reclaim.evict import has_room
from workbench.model.reclaim.lists import (
    add_first,
    folio_of,
    folio_of_huge_page,
    move_first,
    remove_folio,
    write_move,
)
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

_BUT_COPY: Final = ALL_BITS ^ HAS_COPY
_BUT_READ_AHEAD: Final = ALL_BITS ^ IS_READ_AHEAD
_BUT_ZERO: Final = ALL_BITS ^ IS_ZERO
_BUT_LIVE: Final = ALL_BITS ^ IS_LIVE
_BUT_REFERENCED: Final = ALL_BITS ^ IS_REFERENCED
_OUT_OF_RECLAIM: Final = ALL_BITS ^ (HAS_AGE | HAS_COPY | IS_READ_AHEAD)

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


@inlined_kernel
def charge_page(memory: Memory) -> None:
    """Make room for one page, or count it as given beyond the limit (Linux would kill)."""
    free = memory.reclaim.counts[LIMIT_PAGES] - held_pages(memory) - 1
    if free < max(memory.rules.low_free_pages, 0) and not charge_pages(1, memory):
        memory.reclaim.counts[UNMET_PAGES] += 1


@inlined_kernel
def list_after_swap(page: int, memory: Memory) -> int:
    """Choose the list for a page that comes from swap.

    If it was evicted so lately that a host with the active list's memory more would have kept it,
    it goes there at once.
    """
    counts = memory.reclaim.counts
    if memory.rules.policy == LEAST_RECENT or memory.host.pages[page] & HAS_AGE == 0:
        return INACTIVE
    distance = (counts[AGE] - memory.reclaim.place[page]) & AGE_MASK
    if distance > counts[LIST_PAGES + ACTIVE]:
        return INACTIVE
    counts[AGE] += 1
    counts[REFAULTS_ACTIVATED] += 1
    return ACTIVE


@inlined_kernel
def free_copy(page: int, memory: Memory) -> None:
    """Give up the copy in swap of a page in memory, if it has one."""
    pages = memory.host.pages
    if pages[page] & HAS_COPY != 0:
        pages[page] &= _BUT_COPY
        memory.reclaim.counts[SLOTS_USED] -= 1


@inlined_kernel
def touched(word: int, status: int, memory: Memory) -> int:
    """Give the word of a page after a touch: what it holds, and that its guest uses it."""
    word |= IS_LIVE
    if status & WRITE != 0:
        word = word | IS_ZERO if memory.rules.writes_zeros else word & _BUT_ZERO
    return word


@inlined_kernel
def touch_if_resident(page: int, status: int, memory: Memory) -> bool:
    """Touch a page if it is mapped, which is what nearly all touches find.  Returns whether.

    Only the processor notices, or who knows every access.
    """
    pages = memory.host.pages
    word = pages[page]
    if word & STATE != RESIDENT:
        return False
    if word & HAS_COPY != 0 and status & WRITE != 0:
        word &= _BUT_COPY
        memory.reclaim.counts[SLOTS_USED] -= 1
    word, folio = touched(word, status, memory), page
    if word & IS_HUGE == 0:
        pages[page] = word | IS_ACCESSED
    else:
        pages[page] = word
        folio = folio_of(page, memory)
        pages[folio] |= IS_ACCESSED
    if memory.rules.policy == LEAST_RECENT:
        move_first(folio, memory)
    return True


@inner_kernel
def read_ahead(page: int, block: int, memory: Memory) -> None:
    """Read pages around a fault from swap, into memory that nobody maps yet."""
    pages = memory.host.pages
    first, stop = read_ahead_window(page, block, memory)
    for other in range(first, stop):
        if other == page or pages[other] & (STATE | IS_READ_AHEAD) != SWAPPED:
            continue
        charge_page(memory)
        memory.reclaim.counts[READ_AHEAD_PAGES] += 1
        add_first(other, list_after_swap(other, memory), memory)
        pages[other] |= IS_READ_AHEAD
        write_move(Move(READ_AHEAD, other, 1, 0, NO_OUTCOME, NO_SURPRISE, 0), memory)


@inlined_kernel
def swap_in(page: int, block: int, status: int, memory: Memory) -> None:
    """Bring a page back from swap, or from where it was read ahead."""
    rules, counts, pages = memory.rules, memory.reclaim.counts, memory.host.pages
    writes = status & WRITE
    word = pages[page]
    was_read = word & IS_READ_AHEAD != 0
    if was_read:
        pages[page] &= _BUT_READ_AHEAD
        counts[READ_AHEAD_PAGES] -= 1
        note_hit(page, block, memory)
    else:
        if rules.readahead_pages > 1:
            read_ahead(page, block, memory)
        charge_page(memory)
        add_first(page, list_after_swap(page, memory), memory)
    status = SWAP_IN | writes
    if was_read or (rules.skips_zeros and word & IS_ZERO != 0):
        status |= WITHOUT_READ
    if word & IS_LIVE == 0:
        status |= DEAD
    swap_in_page(page, memory.host)
    pages[page] |= IS_ACCESSED | HAS_COPY
    is_half_full = 2 * counts[SLOTS_USED] > rules.swap_pages
    if writes != 0 or is_half_full or not rules.keeps_copies:
        free_copy(page, memory)
    taken = 0 if was_read else 1
    write_move(Move(FAULT, page, taken, status, SWAPPED_IN, NO_SURPRISE, 1), memory)


@inlined_kernel
def add_backed(folio: int, memory: Memory) -> None:
    """Put on a list what has just come into memory; it bears the fault's access."""
    pages = memory.host.pages
    add_first(folio, INACTIVE, memory)
    pages[folio] = (pages[folio] & _BUT_REFERENCED) | IS_ACCESSED


@inlined_kernel
def add_backed_pages(first: int, stop: int, memory: Memory) -> None:
    """Put on a list what has just come into memory of these pages, all of them zeroed."""
    pages = memory.host.pages
    for page in range(first, stop):
        if pages[page] & STATE == RESIDENT and pages[page] & (IS_HUGE | ON_LIST) == 0:
            add_backed(page, memory)
            pages[page] |= IS_ZERO


@inner_kernel
def add_backed_huge_page(huge_page: int, memory: Memory) -> None:
    """Put a huge page that has just come into memory on a list; it was zeroed."""
    huge_page_pages = memory.constants.huge_page_pages
    first = huge_page * huge_page_pages
    add_backed(folio_of_huge_page(huge_page, memory), memory)
    pages = memory.host.pages[first : first + huge_page_pages]
    for index in range(pages.size):
        pages[index] |= IS_ZERO


@inner_kernel
def fault_in(fault: Fault, memory: Memory) -> None:
    """Serve a fault on a page that is neither in memory nor in swap."""
    constants, host = memory.constants, memory.host
    pages = constants.huge_page_pages
    action = judge_fault(fault, constants, host)
    if action == LEAVE:
        return
    first, stop, seen_pages = fault.page, fault.page, 0
    if action == BACK_HUGE and not charge_pages(pages, memory):
        # A huge page that cannot be paid for is no reason to kill: Linux tries a single one.
        fault = Fault(fault.page, fault.block, PAGE_BYTES, fault.flags)
        action = BACK_RANGE
    if action == BACK_RANGE:
        first, stop = range_pages(fault, constants)
        for page in range(first, stop):
            if host.pages[page] & STATE == UNBACKED or page == fault.page:
                charge_page(memory)
        seen_pages = stop - first
        if seen_pages > 1:
            # One that its block cuts off is found again only by the size to which it is aligned.
            seen_pages = max(seen_pages, fault.allocated_bytes // PAGE_BYTES)
    elif action == BACK_HUGE:
        stop, seen_pages = first + pages, pages
    # What is seen of the fault is what the host allocates for it, which may be less than asked.
    seen = Fault(fault.page, fault.block, seen_pages * PAGE_BYTES, fault.flags)
    outcome = name_fault(seen, action, host)
    surprise = judge_surprise(seen, constants, host)
    resident_pages = host.totals[RESIDENT_PAGES]
    serve_fault(fault, action, constants, host)
    if action == BACK_HUGE:
        add_backed_huge_page(fault.page >> constants.huge_page_shift, memory)
    else:
        add_backed_pages(first, stop, memory)
    gained_pages = host.totals[RESIDENT_PAGES] - resident_pages
    move = Move(FAULT, fault.page, seen_pages, fault.flags, outcome, surprise, gained_pages)
    write_move(move, memory)


@inlined_kernel
def back_single_page(page: int, status: int, memory: Memory) -> None:
    """Serve a fault as `fault_in` does where a page by itself is all that can come of it."""
    charge_page(memory)
    outcome = back_plain_page(page, memory.constants, memory.host)
    add_backed(page, memory)
    memory.host.pages[page] |= IS_ZERO
    write_move(Move(FAULT, page, 1, status, outcome, NO_SURPRISE, 1), memory)


@inlined_kernel
def touch_page(page: int, block: int, allocated_bytes: int, status: int, memory: Memory) -> None:
    """Let a guest read or write a page."""
    if touch_if_resident(page, status, memory):
        return
    pages = memory.host.pages
    if pages[page] & STATE == SWAPPED:
        swap_in(page, block, status, memory)
    elif (
        allocated_bytes == PAGE_BYTES
        and is_plain_block(block, memory.constants)
        and gets_plain_page(page, memory.constants, memory.host)
    ):
        back_single_page(page, status, memory)
    else:
        fault_in(Fault(page, block, allocated_bytes, status), memory)
    pages[page] = touched(pages[page], status, memory)


@inner_kernel
def touch_one(page: int, block: int, allocated_bytes: int, status: int, memory: Memory) -> None:
    """Do the same where it need not be as quick: copies of it take long to compile."""
    touch_page(page, block, allocated_bytes, status, memory)


@inlined_kernel
def free_pages(first: int, stop: int, memory: Memory) -> None:
    """Let pages be of no use to their guest from now on."""
    pages = memory.host.pages[first:stop]
    for index in range(pages.size):
        pages[index] &= _BUT_LIVE


@inner_kernel
def give_up_page(page: int, memory: Memory) -> None:
    """Forget what reclaim knows of a page that is about to be discarded."""
    pages, counts = memory.host.pages, memory.reclaim.counts
    word = pages[page]
    state = word & STATE
    if state == SWAPPED:
        counts[SLOTS_USED] -= 1
        if word & IS_READ_AHEAD != 0:
            counts[READ_AHEAD_PAGES] -= 1
            remove_folio(page, memory)
    elif state == RESIDENT:
        free_copy(page, memory)
        if word & IS_HUGE == 0:
            remove_folio(page, memory)
    pages[page] &= _OUT_OF_RECLAIM


@inner_kernel
def give_back_part(first: int, stop: int, huge_page: int, memory: Memory) -> None:
    """Discard pages of one huge page of address space, and forget what reclaim knows of them."""
    constants, host = memory.constants, memory.host
    is_there = host.huge_pages[huge_page, OCCUPIED_PAGES] > 0
    if is_there and not goes_whole(first, stop, huge_page, constants, host):
        for page in range(first, stop):
            give_up_page(page, memory)
    discard_part(first, stop, huge_page, constants, host)
    folio = folio_of_huge_page(huge_page, memory)
    if host.huge_pages[huge_page, PAGES_LEFT] == 0 and host.pages[folio] & ON_LIST != 0:
        remove_folio(folio, memory)


@inner_kernel
def discard(first: int, stop: int, memory: Memory) -> None:
    """Give pages back to the host: out of memory, or out of swap."""
    pages = memory.constants.huge_page_pages
    if first >= stop:
        return
    for huge_page in range(first // pages, -(-stop // pages)):
        own_first = huge_page * pages
        give_back_part(max(first, own_first), min(stop, own_first + pages), huge_page, memory)
