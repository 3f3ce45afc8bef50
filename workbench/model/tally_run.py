"""Apply the events of a trace to its machines, one after the other, and tally them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.model.columns import FIRST_PAGE, USED_BYTES
from workbench.model.compiled import inlined_kernel, inner_kernel, kernel
from workbench.model.device import DISCARDED
from workbench.model.fault import NO_SURPRISE, RESIDENT_ALREADY
from workbench.model.page_bits import RESIDENT, STATE
from workbench.model.prefetch import prefetch
from workbench.model.run import (
    DISCARD_FAILED,
    FAULT,
    OK,
    REPORT,
    Event,
    apply_fault,
    apply_other,
    is_acceptable,
)
from workbench.model.tally import (
    AHEAD_EVENTS,
    DIFFERING,
    LAST_NS,
    OUTCOME_SHIFT,
    SWAP_IN,
    SWAP_IN_FAULTS,
    before_event,
    device_of,
    tally_change,
    tally_ranges,
    tally_swap,
    trace_event,
    write_ledger,
)
from workbench.units import PAGE_SHIFT

if TYPE_CHECKING:
    from workbench.model.columns import Ledger
    from workbench.model.tally import Fleet, Tally, TraceEvents


@inlined_kernel
def ask_ahead(row: int, events: TraceEvents, fleet: Fleet) -> int:
    """Ask for the page that a later event is about, and give its number; any number may come."""
    later = min(row + AHEAD_EVENTS, events.kind.size - 1)
    page = fleet.first_page[events.vm[later]] + (events.offset_bytes[later] >> PAGE_SHIFT)
    prefetch(fleet.host.pages, page)
    return int(page)


@inlined_kernel
def is_plain_hit(row: int, events: TraceEvents, fleet: Fleet) -> bool:
    """Tell whether an event is a fault on a page that is there, which changes nothing at all."""
    vm, block = events.vm[row], events.ram_block[row]
    offset_bytes = events.offset_bytes[row]
    if events.kind[row] != FAULT or events.status[row] & SWAP_IN != 0:
        return False
    if block < 0 or block >= fleet.block_count[vm] or offset_bytes < 0:
        return False
    blocks, own = fleet.constants.blocks, fleet.first_block[vm] + block
    if offset_bytes >= blocks[own, USED_BYTES]:
        return False
    page = blocks[own, FIRST_PAGE] + (offset_bytes >> PAGE_SHIFT)
    return bool(fleet.host.pages[page] & STATE == RESIDENT)


@inner_kernel
def tally_other(
    row: int, events: TraceEvents, event: Event, fleet: Fleet, tally: Tally
) -> tuple[int, int]:
    """Apply an event other than a fault, and tally what is about ranges.

    Returns
    -------
    The outcome, and what was surprising.
    """
    before = before_event(fleet.host)
    device = device_of(events.vm[row], fleet.devices)
    outcome, surprise = apply_other(event, fleet.constants, device, fleet.host)
    tally_ranges(event, outcome, before, fleet.host, tally)
    if event.kind == REPORT:
        asked = outcome in (DISCARDED, DISCARD_FAILED)
        was_discarded = events.discarded.size > 0 and bool(events.discarded[row])
        tally.sums[DIFFERING] += asked != was_discarded
    return outcome, surprise


@inner_kernel
def tally_row(row: int, events: TraceEvents, event: Event, fleet: Fleet, tally: Tally) -> int:
    """Apply and tally one event that can be accepted.

    Returns
    -------
    What was surprising, and above it the outcome: see `OUTCOME_SHIFT`.
    """
    host = fleet.host
    before = before_event(host)
    if event.kind == FAULT:
        outcome, surprise = apply_fault(event, fleet.constants, host)
        tally.sums[SWAP_IN_FAULTS] += event.status & SWAP_IN != 0
    else:
        outcome, surprise = tally_other(row, events, event, fleet, tally)
    tally_swap(event, outcome, before, host, tally)
    tally_change(events.time_ns[row], before, host, tally)
    tally.occurrences[events.vm[row], event.kind, outcome] += 1
    if surprise != NO_SURPRISE:
        tally.surprises[surprise] += 1
    return int(outcome << OUTCOME_SHIFT | surprise)


@inner_kernel
def tally_events(events: TraceEvents, fleet: Fleet, tally: Tally, ledger: Ledger) -> int:
    """Apply and tally every event; see `run_tally`."""
    writes_ledger = ledger.outcome.size > 0
    for row in range(events.kind.size):
        ask_ahead(row, events, fleet)
        if not writes_ledger and is_plain_hit(row, events, fleet):
            tally.occurrences[events.vm[row], FAULT, RESIDENT_ALREADY] += 1
            tally.sums[LAST_NS] = max(tally.sums[LAST_NS], events.time_ns[row])
            continue
        event = trace_event(row, events, fleet)
        if not is_acceptable(event, fleet.constants):
            return row
        before = before_event(fleet.host)
        became = tally_row(row, events, event, fleet, tally)
        if writes_ledger:
            write_ledger(row, became, before, fleet.host, ledger)
    return OK


@kernel
def run_tally(events: TraceEvents, fleet: Fleet, tally: Tally, ledger: Ledger) -> int:
    """Apply every event in order, and add up what they did.

    Parameters
    ----------
    events
        As many that pages times their nanoseconds do not overflow.
    ledger
        To be filled, too, if it has any rows: as many as `events` has.

    Returns
    -------
    OK, or the row of the first event that cannot be accepted; those before it are applied.
    """
    # Within this kernel Numba counts references, which would take longer than all it does.
    return tally_events(events, fleet, tally, ledger)
