"""Serve the events of a trace with the memory there is, and tally what comes of it.

What the model of the host decides is written down in the order in which it was decided, a little
at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.model.compiled import inlined_kernel, inner_kernel, kernel
from workbench.model.device import DISCARDED
from workbench.model.fault import NO_OUTCOME, NO_SURPRISE
from workbench.model.page_bits import (
    HAS_COPY,
    IS_ACCESSED,
    IS_HUGE,
    IS_ZERO,
    RESIDENT,
    STATE,
)
from workbench.model.plain_fault import NOT_PLAIN, page_ahead, plain_fault_at
from workbench.model.prefetch import prefetch
from workbench.model.reclaim.columns import (
    LEAST_RECENT,
    MOVE_GAINED_PAGES,
    MOVE_KIND,
    MOVE_OUTCOME,
    MOVE_PAGES,
    MOVE_REQUEST,
    MOVE_STATUS,
    MOVE_SURPRISE,
    REQUEST,
    ROW,
)
from workbench.model.reclaim.touch import (
    WRITE,
    discard,
    free_pages,
    touch_one,
    touch_page,
    touched,
)
from workbench.model.run import (
    ACCESS,
    DISCARD,
    FAULT,
    OK,
    REPORT,
    SWAP_OUT,
    SWAPPED_OUT,
    Event,
    apply_register_event,
    first_page_of,
    is_within,
    judge_discard,
    judge_report,
    stop_page_of,
)
from workbench.model.tally import (
    NOWHERE,
    SWAPPED_IN,
    before_event,
    device_of,
    extent_at,
    follow,
    keep_over_time,
    over_time,
    tally_change,
    tally_gained,
    tally_ranges,
    tally_swap,
    tally_time,
    trace_event,
)
from workbench.schema import NO_ELEMENT, UNKNOWN, FaultFlag, Kind
from workbench.units import PAGE_BYTES, PAGE_SHIFT

if TYPE_CHECKING:
    from workbench.model.columns import DeviceState
    from workbench.model.reclaim.columns import Memory
    from workbench.model.tally import Extent, Fleet, Tally, TraceEvents

FREE: Final = int(Kind.FREE)
READ_AHEAD: Final = int(Kind.READ_AHEAD)
SWAP_IN: Final = int(FaultFlag.SWAP_IN)

MOVES_AT_ONCE: Final = 1 << 7
"""Moves that wait to be tallied: few enough for the processor's first cache."""

AHEAD_MOVES: Final = 8
"""How far ahead moves are read: the memory's latency, in moves that are tallied."""


class Served(NamedTuple):
    """A replay by the model of the host, and to be filled what comes of it."""

    memory: Memory
    """The host that decides, with LIMIT_PAGES set.  Its `moves` have room for what one touch may
    cause on top of MOVES_AT_ONCE."""
    devices: DeviceState
    """As in `Fleet`."""
    tally: Tally
    records_accesses: bool
    """Whether the capture recorded accesses: else what a fault brings is accessed at once."""


@inner_kernel
def tally_moves(events: TraceEvents, served: Served) -> None:
    """Tally what was written down."""
    moves, tally, counts = served.memory.moves, served.tally, served.memory.reclaim.counts
    resident, swapped = over_time(0, tally), over_time(1, tally)
    count, row = counts[ROW], -1
    for number in range(count):
        prefetch(events.time_ns, moves[min(number + AHEAD_MOVES, count - 1), MOVE_REQUEST])
        row, kind = moves[number, MOVE_REQUEST], moves[number, MOVE_KIND]
        outcome, surprise = moves[number, MOVE_OUTCOME], moves[number, MOVE_SURPRISE]
        gained_pages, taken_pages = moves[number, MOVE_GAINED_PAGES], moves[number, MOVE_PAGES]
        tally_swap(outcome, moves[number, MOVE_STATUS], gained_pages, taken_pages, tally)
        is_swap = outcome in (SWAPPED_IN, SWAPPED_OUT)
        resident = follow(resident, gained_pages, events.time_ns[row])
        swapped = follow(swapped, -gained_pages if is_swap else 0, events.time_ns[row])
        tally.occurrences[events.vm[row], kind, outcome] += 1
        if surprise != NO_SURPRISE:
            tally.surprises[surprise] += 1
    if row >= 0:
        keep_over_time(0, resident, tally)
        keep_over_time(1, swapped, tally)
        tally_time(events.time_ns[row], tally)
    counts[ROW] = 0


@inlined_kernel
def tally_if_many(events: TraceEvents, served: Served) -> None:
    """Tally what was written down before it takes more room than a touch may leave."""
    if served.memory.reclaim.counts[ROW] >= MOVES_AT_ONCE:
        tally_moves(events, served)


@inner_kernel
def touch_pages(event: Event, events: TraceEvents, served: Served) -> None:
    """Let a guest access all whole pages of a range."""
    memory = served.memory
    first, stop = first_page_of(event, memory.constants), stop_page_of(event, memory.constants)
    for page in range(first, stop):
        touch_one(page, event.block, UNKNOWN, event.status, memory)
        tally_if_many(events, served)


@inner_kernel
def serve_free(event: Event, events: TraceEvents, served: Served) -> None:
    """Let the pages of a range be free in their guest, which may clear them."""
    memory = served.memory
    first, stop = first_page_of(event, memory.constants), stop_page_of(event, memory.constants)
    clears = event.status & WRITE != 0
    if clears:
        touch_pages(event, events, served)
    free_pages(first, max(first, stop), memory)
    for page in range(first, stop if clears else first):
        memory.host.pages[page] |= IS_ZERO


@inner_kernel
def serve_other(row: int, event: Event, events: TraceEvents, served: Served) -> bool:
    """Serve an event that is neither a fault nor a move of the captured host, and tally it.

    Returns
    -------
    Whether it could be accepted.
    """
    memory, tally = served.memory, served.tally
    constants, host, kind, outcome = memory.constants, memory.host, event.kind, NO_OUTCOME
    device = device_of(events.vm[row], served.devices)
    if kind in (ACCESS, FREE):
        if not is_within(event, constants):
            return False
        if kind == ACCESS:
            touch_pages(event, events, served)
        else:
            serve_free(event, events, served)
    elif kind == REPORT:
        outcome = judge_report(event, constants, device)
    elif kind == DISCARD:
        outcome = judge_discard(event, constants)
    else:
        apply_register_event(event, device)
    if outcome == DISCARDED:
        tally_moves(events, served)
    before = before_event(host)
    if outcome == DISCARDED:
        discard(first_page_of(event, constants), stop_page_of(event, constants), memory)
    tally_ranges(event, outcome, before, host, tally)
    tally_gained(events.time_ns[row], before, host, tally)
    tally.occurrences[events.vm[row], kind, outcome] += 1
    return True


@inner_kernel
def touch_around(row: int, fault: Event, events: TraceEvents, served: Served) -> bool:
    """Let a guest access at once all of what a fault brings, where no access was recorded.

    Returns
    -------
    Whether it could be accepted.
    """
    length_bytes = fault.length_bytes
    offset_bytes = fault.offset_bytes // length_bytes * length_bytes
    status = fault.status & WRITE
    access = Event(ACCESS, fault.block, offset_bytes, length_bytes, status, NO_ELEMENT, 0)
    if not is_within(access, served.memory.constants):
        return False
    touch_pages(access, events, served)
    tally_change(events.time_ns[row], 0, 0, served.tally)
    served.tally.occurrences[events.vm[row], ACCESS, NO_OUTCOME] += 1
    return True


@inlined_kernel
def serve_fault(row: int, events: TraceEvents, extent: Extent, memory: Memory) -> None:
    """Serve a captured fault as a touch of its page.

    What came from swap came alone; that a write took nothing is no evidence of another host.
    """
    plain = plain_fault_at(row, events)
    page, status, allocated_bytes = plain >> 1, WRITE * (plain & 1), PAGE_BYTES
    if plain == NOT_PLAIN:
        page = extent.first_page + (events.offset_bytes[row] >> PAGE_SHIFT)
        status, allocated_bytes = events.status[row], events.length_bytes[row]
        if status & SWAP_IN != 0:
            status &= WRITE
            allocated_bytes = PAGE_BYTES
        elif allocated_bytes == 0:
            allocated_bytes = UNKNOWN
    touch_page(page, extent.block, allocated_bytes, status, memory)


@inlined_kernel
def brings_more(row: int, events: TraceEvents, served: Served) -> bool:
    """Tell whether a fault brought more than its page, all of which counts as accessed with it."""
    if plain_fault_at(row, events) != NOT_PLAIN or served.records_accesses:
        return False
    return bool(events.length_bytes[row] > PAGE_BYTES)


@inlined_kernel
def pass_touches(row: int, events: TraceEvents, memory: Memory) -> int:
    """Pass over plain faults that find their page, of which only the page's word is to be changed.

    Returns
    -------
    The row of the next other event.
    """
    pages, place = memory.host.pages, memory.reclaim.place
    if memory.rules.policy == LEAST_RECENT:
        return row
    while row < events.kind.size:
        ahead = page_ahead(row, events)
        prefetch(pages, ahead)
        prefetch(place, ahead)
        plain = plain_fault_at(row, events)
        if plain == NOT_PLAIN:
            break
        page = np.uint64(plain >> 1)  # As in `plain_fault_at`.
        word = pages[page]
        if word & (STATE | IS_HUGE | HAS_COPY) != RESIDENT:
            break
        pages[page] = touched(word, WRITE * (plain & 1), memory) | IS_ACCESSED
        row += 1
    return row


@inner_kernel
def serve_events(events: TraceEvents, fleet: Fleet, served: Served) -> int:
    """Serve and tally events; see `run_served_tally`."""
    memory, extent, row = served.memory, NOWHERE, 0
    while row < events.kind.size:
        row = pass_touches(row, events, memory)
        if row == events.kind.size:
            break
        memory.reclaim.counts[REQUEST] = row
        kind, accepted = events.kind[row], True
        if kind == FAULT:
            extent = extent_at(row, events, fleet, extent)
            serve_fault(row, events, extent, memory)
            if brings_more(row, events, served):
                accepted = touch_around(row, trace_event(row, events, fleet), events, served)
        elif kind not in (SWAP_OUT, READ_AHEAD):
            accepted = serve_other(row, trace_event(row, events, fleet), events, served)
        if not accepted:
            return row
        tally_if_many(events, served)
        row += 1
    tally_moves(events, served)
    return OK


@kernel
def run_served_tally(events: TraceEvents, fleet: Fleet, served: Served) -> int:
    """Let the model of the host serve events, and add up what comes of it.

    Parameters
    ----------
    events
        As for `run_tally`, which may run at the same time.
    fleet
        Their machines, of which only what does not change is looked at.

    Returns
    -------
    OK, or the row of the first event that cannot be accepted.
    """
    # Within this kernel Numba counts references, which would take longer than all it does.
    return serve_events(events, fleet, served)
