"""Faults that got a page of plain memory by itself: nearly all there are where nothing is huge.

That an event is one can be told from its columns alone, and is told where it is accepted, in a loop
that needs little else: what follows reads four bytes of nearly every event, not all its columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.model.columns import BLOCK_PAGE_BYTES, IS_SHARED
from workbench.model.compiled import inlined_kernel, inner_kernel, kernel
from workbench.model.fault import FIRST_TOUCH, REFAULT, WRITE
from workbench.model.host import MAPPING, PAGE_TABLE, back_page
from workbench.model.page_bits import RESIDENT, STATE, UNBACKED, WAS_DISCARDED
from workbench.model.prefetch import prefetch
from workbench.model.run import FAULT, OK, is_acceptable
from workbench.model.tally import NOWHERE, Extent, extent_at, trace_event
from workbench.units import PAGE_BYTES, PAGE_SHIFT

if TYPE_CHECKING:
    from workbench.model.columns import Constants, HostState, UInt16Array
    from workbench.model.tally import Fleet, TraceEvents

NOT_PLAIN: Final = (1 << 32) - 1
"""In `TraceEvents.plain_fault`: another event."""

_PAGES_MAX: Final = NOT_PLAIN >> 1
"""Pages whose numbers fit beside a bit: 8 TiB; faults beyond are served like all others."""

AHEAD_EVENTS: Final = 16
"""How far ahead events are read: the memory's latency, in touches of pages that are mapped."""


@inlined_kernel
def is_plain_block(block: int, constants: Constants) -> bool:
    """Tell whether a RAM block is private memory in pages of 4 KiB."""
    blocks = constants.blocks
    return bool(blocks[block, BLOCK_PAGE_BYTES] == PAGE_BYTES and blocks[block, IS_SHARED] == 0)


@inlined_kernel
def _plain_extent_at(row: int, events: TraceEvents, fleet: Fleet, last: Extent) -> Extent:
    """Give the RAM block of an event, as `extent_at`; one of other memory has no bytes."""
    extent = extent_at(row, events, fleet, last)
    if extent.block < 0 or extent.block == last.block:
        return extent
    if is_plain_block(extent.block, fleet.constants):
        return extent
    return Extent(extent.vm, extent.ram_block, extent.block, extent.first_page, 0)


@inner_kernel
def _accept(events: TraceEvents, fleet: Fleet) -> int:
    extent = NOWHERE
    for row in range(events.kind.size):
        found, status = NOT_PLAIN, events.status[row]
        if (
            events.kind[row] == FAULT
            and events.length_bytes[row] == PAGE_BYTES
            and status | WRITE == WRITE
        ):
            extent = _plain_extent_at(row, events, fleet, extent)
            offset_bytes = events.offset_bytes[row]
            page = extent.first_page + (offset_bytes >> PAGE_SHIFT)
            if 0 <= offset_bytes < extent.used_bytes and page < _PAGES_MAX:
                found = 2 * page + (status & WRITE != 0)
        event = trace_event(row, events, fleet)
        if found == NOT_PLAIN and not is_acceptable(event, fleet.constants):
            return row
        events.plain_fault[np.uint64(row)] = found
    return OK


@kernel
def accept_events(events: TraceEvents, fleet: Fleet) -> int:
    """Look at every event before any is applied, and fill `events.plain_fault`.

    Returns
    -------
    OK, or the row of the first event that cannot be accepted.
    """
    # Within this kernel Numba counts references, which would take longer than all it does.
    return _accept(events, fleet)


@inlined_kernel
def plain_fault_at(row: int, events: TraceEvents) -> int:
    """Give what `events.plain_fault` says of an event."""
    # Numba looks whether a signed index is below 0, and makes no int64 of a uint32 by itself.
    return int(np.int64(events.plain_fault[np.uint64(row)]))


@inlined_kernel
def page_ahead(row: int, events: TraceEvents) -> int:
    """Give the page of a later plain fault, to ask for it; of another event any number may come."""
    return plain_fault_at(min(row + AHEAD_EVENTS, events.kind.size - 1), events) >> 1


@inlined_kernel
def pass_hits(row: int, events: TraceEvents, pages: UInt16Array) -> int:
    """Pass over plain faults of one machine that find their page, which changes nothing at all.

    Returns
    -------
    The row of the next other event.
    """
    vm = events.vm[row]
    while row < events.kind.size:
        prefetch(pages, page_ahead(row, events))
        plain = plain_fault_at(row, events)
        if (
            plain == NOT_PLAIN
            or events.vm[row] != vm
            or pages[np.uint64(plain >> 1)] & STATE != RESIDENT
        ):
            break
        row += 1
    return row


@inlined_kernel
def gets_plain_page(page: int, constants: Constants, host: HostState) -> bool:
    """Tell whether a page of a plain fault is nowhere, and has a page table.

    Then nothing but a single page was to be had, and nothing is surprising about it.
    """
    huge_page = page >> constants.huge_page_shift
    is_nowhere = host.pages[page] & STATE == UNBACKED
    return bool(is_nowhere and host.huge_pages[huge_page, MAPPING] == PAGE_TABLE)


@inlined_kernel
def back_plain_page(page: int, constants: Constants, host: HostState) -> int:
    """Put the page of such a fault into memory.  Returns the outcome."""
    outcome = REFAULT if host.pages[page] & WAS_DISCARDED != 0 else FIRST_TOUCH
    back_page(page, page >> constants.huge_page_shift, host)
    return outcome
