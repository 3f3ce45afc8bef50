"""Serve the events of a trace with the memory there is, and tally what comes of it.

What the model of the host decides is applied to the machines as a captured host's events are, in
the order in which it was decided: the same kernels, without a row for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.model.columns import FIRST_PAGE
from workbench.model.compiled import inlined_kernel, inner_kernel, kernel
from workbench.model.device import DISCARDED
from workbench.model.fault import NO_OUTCOME, NO_SURPRISE
from workbench.model.host import discard_pages
from workbench.model.page_bits import IS_ZERO
from workbench.model.prefetch import prefetch
from workbench.model.reclaim.columns import (
    MOVE_KIND,
    MOVE_PAGE,
    MOVE_PAGES,
    MOVE_REQUEST,
    MOVE_STATUS,
    REQUEST,
    ROW,
)
from workbench.model.reclaim.touch import WRITE, discard, free_pages, touch_one, touch_page
from workbench.model.run import (
    ACCESS,
    DISCARD,
    FAULT,
    OK,
    REPORT,
    SWAP_OUT,
    SWAPPED_OUT,
    Event,
    apply_fault,
    apply_register_event,
    apply_swap_out,
    first_page_of,
    is_within,
    judge_discard,
    judge_report,
    stop_page_of,
)
from workbench.model.tally import (
    before_event,
    device_of,
    tally_change,
    tally_ranges,
    tally_swap,
    trace_event,
)
from workbench.model.tally_run import ask_ahead
from workbench.schema import NO_ELEMENT, UNKNOWN, FaultFlag, Kind
from workbench.units import PAGE_BYTES, PAGE_SHIFT

if TYPE_CHECKING:
    from workbench.model.reclaim.columns import Memory
    from workbench.model.tally import Fleet, Tally, TraceEvents

FREE: Final = int(Kind.FREE)
READ_AHEAD: Final = int(Kind.READ_AHEAD)
SWAP_IN: Final = int(FaultFlag.SWAP_IN)

MOVES_AT_ONCE: Final = 1 << 10
"""Moves that wait to be applied: few enough for the processor's first cache."""

AHEAD_MOVES: Final = 8


@inlined_kernel
def tally_move(
    number: int, events: TraceEvents, memory: Memory, fleet: Fleet, tally: Tally
) -> None:
    """Apply one move, and tally it."""
    move = memory.moves[number]
    kind, page, pages = move[MOVE_KIND], move[MOVE_PAGE], move[MOVE_PAGES]
    row, host = move[MOVE_REQUEST], fleet.host
    vm = events.vm[row]
    # Of a fault, the block of the request; where other pages lie, nothing asks.
    block = fleet.first_block[vm] + events.ram_block[row]
    offset_bytes = (page - fleet.constants.blocks[block, FIRST_PAGE]) * PAGE_BYTES
    length_bytes, status = pages * PAGE_BYTES, move[MOVE_STATUS]
    event = Event(kind, block, offset_bytes, length_bytes, status, NO_ELEMENT, 0)
    before = before_event(host)
    outcome, surprise = NO_OUTCOME, NO_SURPRISE
    if kind == FAULT:
        outcome, surprise = apply_fault(event, fleet.constants, host)
    elif kind == SWAP_OUT:
        outcome = SWAPPED_OUT
        surprise = apply_swap_out(page, page + pages, fleet.constants, host)
    tally_swap(event, outcome, before, host, tally)
    tally_change(events.time_ns[row], before, host, tally)
    tally.occurrences[vm, kind, outcome] += 1
    if surprise != NO_SURPRISE:
        tally.surprises[surprise] += 1


@inner_kernel
def tally_moves(events: TraceEvents, memory: Memory, fleet: Fleet, tally: Tally) -> None:
    """Apply what was written down, and tally it."""
    moves, count = memory.moves, memory.reclaim.counts[ROW]
    for number in range(count):
        prefetch(fleet.host.pages, moves[min(number + AHEAD_MOVES, count - 1), MOVE_PAGE])
        tally_move(number, events, memory, fleet, tally)
    memory.reclaim.counts[ROW] = 0


@inlined_kernel
def tally_if_many(events: TraceEvents, memory: Memory, fleet: Fleet, tally: Tally) -> None:
    """Apply what was written down before it takes more room than a touch may leave."""
    if memory.reclaim.counts[ROW] >= MOVES_AT_ONCE:
        tally_moves(events, memory, fleet, tally)


@inner_kernel
def touch_pages(
    event: Event, events: TraceEvents, memory: Memory, fleet: Fleet, tally: Tally
) -> None:
    """Let a guest access all whole pages of a range."""
    for page in range(first_page_of(event, fleet.constants), stop_page_of(event, fleet.constants)):
        touch_one(page, event.block, UNKNOWN, event.status, memory)
        tally_if_many(events, memory, fleet, tally)


@inner_kernel
def serve_free(
    event: Event, events: TraceEvents, memory: Memory, fleet: Fleet, tally: Tally
) -> None:
    """Let the pages of a range be free in their guest, which may clear them."""
    first, stop = first_page_of(event, fleet.constants), stop_page_of(event, fleet.constants)
    clears = event.status & WRITE != 0
    if clears:
        touch_pages(event, events, memory, fleet, tally)
    free_pages(first, max(first, stop), memory)
    for page in range(first, stop if clears else first):
        memory.host.pages[page] |= IS_ZERO


@inner_kernel
def serve_other(row: int, events: TraceEvents, memory: Memory, fleet: Fleet, tally: Tally) -> bool:
    """Serve an event that is neither a fault nor a move of the captured host, and tally it.

    Returns
    -------
    Whether it could be accepted.
    """
    event = trace_event(row, events, fleet)
    constants, host, kind, outcome = fleet.constants, fleet.host, event.kind, NO_OUTCOME
    if kind in (ACCESS, FREE):
        if not is_within(event, constants):
            return False
        if kind == ACCESS:
            touch_pages(event, events, memory, fleet, tally)
        else:
            serve_free(event, events, memory, fleet, tally)
    elif kind == REPORT:
        outcome = judge_report(event, constants, device_of(events.vm[row], fleet.devices))
    elif kind == DISCARD:
        outcome = judge_discard(event, constants)
    else:
        apply_register_event(event, device_of(events.vm[row], fleet.devices))
    if outcome == DISCARDED:
        tally_moves(events, memory, fleet, tally)
    before = before_event(host)
    if outcome == DISCARDED:
        first, stop = first_page_of(event, constants), stop_page_of(event, constants)
        discard(first, stop, memory)
        discard_pages(first, stop, constants, host)
    tally_ranges(event, outcome, before, host, tally)
    tally_change(events.time_ns[row], before, host, tally)
    tally.occurrences[events.vm[row], kind, outcome] += 1
    return True


@inner_kernel
def touch_around(row: int, events: TraceEvents, memory: Memory, fleet: Fleet, tally: Tally) -> bool:
    """Let a guest access at once all of what a fault brings, where no access was recorded.

    Returns
    -------
    Whether it could be accepted.
    """
    fault = trace_event(row, events, fleet)
    length_bytes = fault.length_bytes
    offset_bytes = fault.offset_bytes // length_bytes * length_bytes
    status = fault.status & WRITE
    access = Event(ACCESS, fault.block, offset_bytes, length_bytes, status, NO_ELEMENT, 0)
    if not is_within(access, fleet.constants):
        return False
    touch_pages(access, events, memory, fleet, tally)
    before = before_event(fleet.host)
    tally_change(events.time_ns[row], before, fleet.host, tally)
    tally.occurrences[events.vm[row], ACCESS, NO_OUTCOME] += 1
    return True


@inlined_kernel
def serve_fault_row(row: int, events: TraceEvents, memory: Memory, fleet: Fleet) -> None:
    """Serve a captured fault as a touch of its page.

    What came from swap came alone; that a write took nothing is no evidence of another host.
    """
    block = fleet.first_block[events.vm[row]] + events.ram_block[row]
    first_page = memory.constants.blocks[block, FIRST_PAGE]
    page = first_page + (events.offset_bytes[row] >> PAGE_SHIFT)
    status = events.status[row]
    allocated_bytes = events.length_bytes[row]
    if status & SWAP_IN != 0:
        status &= WRITE
        allocated_bytes = PAGE_BYTES
    elif allocated_bytes == 0:
        allocated_bytes = UNKNOWN
    touch_page(page, block, allocated_bytes, status, memory)


@inner_kernel
def serve_events(
    events: TraceEvents,
    memory: Memory,
    fleet: Fleet,
    tally: Tally,
    records_accesses: bool,  # noqa: FBT001 - kernels take no keywords.
) -> int:
    """Serve and tally every event; see `run_served_tally`."""
    counts = memory.reclaim.counts
    for row in range(events.kind.size):
        page = ask_ahead(row, events, fleet)
        prefetch(memory.host.pages, page)
        prefetch(memory.reclaim.place, page)
        counts[REQUEST] = row
        kind, accepted = events.kind[row], True
        if kind == FAULT:
            serve_fault_row(row, events, memory, fleet)
            if events.length_bytes[row] > PAGE_BYTES and not records_accesses:
                accepted = touch_around(row, events, memory, fleet, tally)
        elif kind not in (SWAP_OUT, READ_AHEAD):
            accepted = serve_other(row, events, memory, fleet, tally)
        if not accepted:
            return row
        tally_if_many(events, memory, fleet, tally)
    tally_moves(events, memory, fleet, tally)
    return OK


@kernel
def run_served_tally(
    events: TraceEvents,
    memory: Memory,
    fleet: Fleet,
    tally: Tally,
    records_accesses: bool,  # noqa: FBT001 - kernels take no keywords.
) -> int:
    """Serve every event in order, and add up what guests and host did then.

    Parameters
    ----------
    events
        As for `run_tally`, which accepted all of them.
    memory
        The host that decides, with `LIMIT_PAGES` set.  Its `moves` have room for what one touch may
        cause on top of MOVES_AT_ONCE.
    fleet
        The machines as the events then leave them.
    records_accesses
        Whether the capture recorded accesses: else what a fault brings is accessed at once.

    Returns
    -------
    OK, or the row of the first event that cannot be accepted.
    """
    # Within this kernel Numba counts references, which would take longer than all it does.
    return serve_events(events, memory, fleet, tally, records_accesses)
