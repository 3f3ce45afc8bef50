"""Apply the events of a trace to its machines, one after the other, and tally them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.model.columns import FIRST_PAGE
from workbench.model.compiled import inlined_kernel, inner_kernel, kernel
from workbench.model.device import DISCARDED
from workbench.model.fault import NO_SURPRISE
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
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.model.columns import Ledger
    from workbench.model.tally import Fleet, Tally, TraceEvents


@inlined_kernel
def ask_ahead(row: int, events: TraceEvents, fleet: Fleet) -> int:
    """Ask for the page that a later event is about, and give its number; any number may come."""
    later = min(row + AHEAD_EVENTS, events.kind.size - 1)
    first_page = fleet.constants.blocks[fleet.first_block[events.vm[later]], FIRST_PAGE]
    page = first_page + events.offset_bytes[later] // PAGE_BYTES
    prefetch(fleet.host.pages, page)
    return int(page)


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
def tally_rows(
    rows: tuple[int, int], events: TraceEvents, fleet: Fleet, tally: Tally, ledger: Ledger
) -> int:
    """Apply and tally every event of these rows; see `run_tally`."""
    host = fleet.host
    writes_ledger = ledger.outcome.size > 0
    for row in range(rows[0], rows[1]):
        ask_ahead(row, events, fleet)
        event = trace_event(row, events, fleet)
        if not is_acceptable(event, fleet.constants):
            return row
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
        if writes_ledger:
            write_ledger(row, (outcome, surprise), before, host, ledger)
    return OK


@kernel
def run_tally(
    rows: tuple[int, int], events: TraceEvents, fleet: Fleet, tally: Tally, ledger: Ledger
) -> int:
    """Apply every event of the rows [first, stop) in order, and add up what they did.

    Parameters
    ----------
    rows
        First and stop.  That times pages in one call do not overflow is seen to by the caller.
    ledger
        To be filled, too, if it has any rows: as many as `events` has.

    Returns
    -------
    OK, or the row of the first event that cannot be accepted; those before it are applied.
    """
    # Within this kernel Numba counts references, which would take longer than all it does.
    return tally_rows(rows, events, fleet, tally, ledger)
