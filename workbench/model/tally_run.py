"""Apply the events of a trace to its machines, one after the other, and tally them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.model.compiled import inlined_kernel, inner_kernel, kernel
from workbench.model.device import DISCARDED
from workbench.model.fault import NO_SURPRISE, RESIDENT_ALREADY
from workbench.model.host import RESIDENT_PAGES
from workbench.model.plain_fault import (
    NOT_PLAIN,
    back_plain_page,
    gets_plain_page,
    pass_hits,
    plain_fault_at,
)
from workbench.model.run import (
    DISCARD_FAILED,
    FAULT,
    REPORT,
    Event,
    apply_fault,
    apply_other,
)
from workbench.model.tally import (
    DIFFERING,
    SWAP_IN,
    SWAP_IN_FAULTS,
    Became,
    before_event,
    device_of,
    tally_change,
    tally_gained,
    tally_ranges,
    tally_swap,
    tally_time,
    trace_event,
    write_ledger,
)

if TYPE_CHECKING:
    from workbench.model.tally import Captured, Fleet, Tally, TraceEvents


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


@inlined_kernel
def tally_row(row: int, events: TraceEvents, event: Event, captured: Captured) -> None:
    """Apply and tally one event."""
    fleet, tally, ledger = captured.fleet, captured.tally, captured.ledger
    vm, host = events.vm[row], fleet.host
    before = before_event(host)
    if event.kind == FAULT:
        outcome, surprise = apply_fault(event, fleet.constants, host)
        tally.sums[SWAP_IN_FAULTS] += event.status & SWAP_IN != 0
    else:
        outcome, surprise = tally_other(row, events, event, fleet, tally)
    gained_pages = host.totals[RESIDENT_PAGES] - before.resident_pages
    tally_swap(outcome, event.status, gained_pages, event.length_bytes, tally)
    tally_gained(events.time_ns[row], before, host, tally)
    tally.occurrences[vm, event.kind, outcome] += 1
    if surprise != NO_SURPRISE:
        tally.surprises[surprise] += 1
    if ledger.outcome.size > 0:
        write_ledger(row, Became(outcome, surprise), before, host, ledger)


@inlined_kernel
def tally_plain(row: int, events: TraceEvents, captured: Captured) -> int:
    """Apply and tally plain faults that find their page, or get one where a page table is.

    Returns
    -------
    The row of the next other event.
    """
    fleet, tally = captured.fleet, captured.tally
    constants, host = fleet.constants, fleet.host
    while row < events.kind.size:
        first, vm = row, events.vm[row]
        row = pass_hits(row, events, host.pages)
        tally.occurrences[vm, FAULT, RESIDENT_ALREADY] += row - first
        if row == events.kind.size or plain_fault_at(row, events) == NOT_PLAIN:
            break
        page = plain_fault_at(row, events) >> 1
        if gets_plain_page(page, constants, host):
            outcome = back_plain_page(page, constants, host)
            tally_change(events.time_ns[row], 1, 0, tally)
            tally.occurrences[events.vm[row], FAULT, outcome] += 1
            row += 1
        elif row == first:
            break
    return row


@inner_kernel
def tally_events(events: TraceEvents, captured: Captured) -> None:
    """Apply and tally events; see `run_tally`."""
    count = events.kind.size
    writes_ledger = captured.ledger.outcome.size > 0
    row = 0
    while row < count:
        if plain_fault_at(row, events) != NOT_PLAIN and not writes_ledger:
            row = tally_plain(row, events, captured)
            if row == count:
                break
        tally_row(row, events, trace_event(row, events, captured.fleet), captured)
        row += 1
    if count > 0:
        tally_time(events.time_ns[count - 1], captured.tally)


@kernel
def run_tally(events: TraceEvents, captured: Captured) -> None:
    """Apply every event in order, and add up what they did.

    Parameters
    ----------
    events
        Those that `accept_events` has accepted, as many that pages times their nanoseconds do not
        overflow.
    captured
        A ledger of it that has any rows has as many as `events`.
    """
    # Within this kernel Numba counts references, which would take longer than all it does.
    tally_events(events, captured)
