"""Apply the events of one machine, in order, to its device and its host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.model.columns import FIRST_PAGE, USED_BYTES, Ledger
from workbench.model.compiled import inlined_kernel, inner_kernel, kernel
from workbench.model.device import (
    DISCARDED,
    SKIPPED_INHIBITED,
    judge_range,
    reset_device,
    write_config,
)
from workbench.model.fault import (
    LEAVE,
    NO_OUTCOME,
    NO_SURPRISE,
    Fault,
    judge_fault,
    judge_surprise,
    name_fault,
    serve_fault,
)
from workbench.model.host import (
    HELD_PAGES,
    RESIDENT_PAGES,
    SWAPPED_PAGES,
    discard_pages,
    swap_out_pages,
)
from workbench.model.outcomes import Outcome, Surprise
from workbench.schema import NO_BLOCK, NO_ELEMENT, Kind
from workbench.units import PAGE_BYTES, PAGE_SHIFT

if TYPE_CHECKING:
    from workbench.model.columns import Constants, DeviceState, Events, HostState

OK: Final = -1
"""Every event was applied."""

DISCARD_FAILED: Final = int(Outcome.DISCARD_FAILED)
SWAPPED_OUT: Final = int(Outcome.SWAPPED_OUT)
SWAP_OUT_OF_ABSENT: Final = int(Surprise.SWAP_OUT_OF_ABSENT)

ACCESS: Final = int(Kind.ACCESS)
REPORT: Final = int(Kind.REPORT)
DISCARD: Final = int(Kind.DISCARD)
FAULT: Final = int(Kind.FAULT)
SWAP_OUT: Final = int(Kind.SWAP_OUT)
CONFIG_WRITE: Final = int(Kind.CONFIG_WRITE)
FEATURES: Final = int(Kind.FEATURES)
RESET: Final = int(Kind.RESET)
INHIBIT: Final = int(Kind.INHIBIT)
FIRST_KIND: Final = min(int(kind) for kind in Kind)
LAST_KIND: Final = max(int(kind) for kind in Kind)


def new_ledger(event_count: int) -> Ledger:
    """Make room for the outcome of `event_count` events."""
    return Ledger(
        outcome=np.zeros(event_count, np.int8),
        surprise=np.zeros(event_count, np.int8),
        resident_delta_pages=np.zeros(event_count, np.int64),
        swapped_delta_pages=np.zeros(event_count, np.int64),
        freed_pages=np.zeros(event_count, np.int64),
    )


class Event(NamedTuple):
    """One event, as in `Events`."""

    kind: int
    block: int
    offset_bytes: int
    length_bytes: int
    status: int
    element: int
    discard_status: int


@inlined_kernel
def event_at(row: int, events: Events) -> Event:
    """Give the event of a row."""
    return Event(
        int(events.kind[row]),
        events.ram_block[row],
        events.offset_bytes[row],
        events.length_bytes[row],
        events.status[row],
        events.element[row],
        events.discard_status[row],
    )


@inlined_kernel
def is_within(event: Event, constants: Constants) -> bool:
    """Tell whether the event's range lies in a RAM block that exists."""
    if event.block < 0 or event.block >= constants.blocks.shape[0] or event.offset_bytes < 0:
        return False
    used_bytes = constants.blocks[event.block, USED_BYTES]
    # Written without a sum, which a damaged file could make wrap around.
    return bool(
        event.offset_bytes <= used_bytes
        and 0 <= event.length_bytes <= used_bytes - event.offset_bytes
    )


@inlined_kernel
def is_acceptable(event: Event, constants: Constants) -> bool:
    """Tell whether the event can be applied: a known kind, about memory that exists.

    A report may name anything, because it is a request; what it must not be is negative.
    """
    kind, block, offset_bytes = event.kind, event.block, event.offset_bytes
    if kind == FAULT:
        if block < 0 or block >= constants.blocks.shape[0] or offset_bytes < 0:
            return False
        return bool(offset_bytes < constants.blocks[block, USED_BYTES])
    if kind < FIRST_KIND or kind > LAST_KIND:
        return False
    if kind == REPORT:
        if block < NO_BLOCK or block >= constants.blocks.shape[0]:
            return False
        return bool(event.length_bytes >= 0 and (offset_bytes >= 0 or block == NO_BLOCK))
    return kind not in (DISCARD, SWAP_OUT, ACCESS) or is_within(event, constants)


@inlined_kernel
def first_page_of(event: Event, constants: Constants) -> int:
    """Give the first page that lies in the event's range with all its bytes."""
    first_page = constants.blocks[event.block, FIRST_PAGE]
    return int(first_page + -(-event.offset_bytes // PAGE_BYTES))


@inlined_kernel
def stop_page_of(event: Event, constants: Constants) -> int:
    """Give the page before which the event's range ends, as far as it has whole pages."""
    first_page = constants.blocks[event.block, FIRST_PAGE]
    return int(first_page + (event.offset_bytes + event.length_bytes) // PAGE_BYTES)


@inlined_kernel
def judge_report(event: Event, constants: Constants, device: DeviceState) -> int:
    """Let the device decide about a reported range anew.  Returns the outcome.

    QEMU ignores the result of the discard; the host's refusal is evidence, like its allocations.
    """
    outcome = judge_range(event.offset_bytes, event.length_bytes, event.block, constants, device)
    if outcome == DISCARDED and event.discard_status != 0:
        return DISCARD_FAILED
    return outcome


@inlined_kernel
def judge_discard(event: Event, constants: Constants) -> int:
    """Decide about a discard that no report asked for, as captured.  Returns the outcome.

    QEMU asks whether discards are inhibited before it inflates, and does not ask for poison_val.
    A discard that serves a report only repeats what was decided for the report.
    """
    if event.element != NO_ELEMENT:
        return NO_OUTCOME
    if constants.discard_inhibited == 1:
        return SKIPPED_INHIBITED
    return DISCARD_FAILED if event.status != 0 else DISCARDED


@inlined_kernel
def fault_page(event: Event, constants: Constants) -> int:
    """Give the page that a fault is about."""
    return int(constants.blocks[event.block, FIRST_PAGE] + (event.offset_bytes >> PAGE_SHIFT))


@inlined_kernel
def apply_fault(event: Event, constants: Constants, host: HostState) -> tuple[int, int]:
    """Apply a fault.  Returns the outcome, and what was surprising about it."""
    fault = Fault(fault_page(event, constants), event.block, event.length_bytes, event.status)
    action = judge_fault(fault, constants, host)
    outcome = name_fault(fault, action, host)
    surprise = judge_surprise(fault, constants, host)
    if action != LEAVE:
        serve_fault(fault, action, constants, host)
    return outcome, surprise


@inlined_kernel
def apply_register_event(event: Event, device: DeviceState) -> None:
    """Apply an event that changes the device's registers only."""
    kind, status = event.kind, event.status
    if kind == FEATURES:
        device.features[0] = status
    elif kind == CONFIG_WRITE:
        write_config(event.offset_bytes, event.length_bytes, status, device)
    elif kind == RESET:
        reset_device(device)
    elif kind == INHIBIT:
        device.discard_inhibited[0] = status


@inner_kernel
def apply_swap_out(first: int, stop: int, constants: Constants, host: HostState) -> int:
    """Move pages to swap.  Returns what was surprising about it."""
    swapped_pages = host.totals[SWAPPED_PAGES]
    swap_out_pages(first, stop, constants, host)
    return SWAP_OUT_OF_ABSENT if host.totals[SWAPPED_PAGES] == swapped_pages else NO_SURPRISE


@inner_kernel
def apply_other(
    event: Event, constants: Constants, device: DeviceState, host: HostState
) -> tuple[int, int]:
    """Apply an event other than a fault.  Returns the outcome, and what was surprising about it."""
    kind = event.kind
    outcome, surprise = NO_OUTCOME, NO_SURPRISE
    if kind == REPORT:
        outcome = judge_report(event, constants, device)
    elif kind == DISCARD:
        outcome = judge_discard(event, constants)
    elif kind == SWAP_OUT:
        outcome = SWAPPED_OUT
        first, stop = first_page_of(event, constants), stop_page_of(event, constants)
        surprise = apply_swap_out(first, stop, constants, host)
    else:
        apply_register_event(event, device)
    if outcome == DISCARDED:
        first, stop = first_page_of(event, constants), stop_page_of(event, constants)
        discard_pages(first, stop, constants, host)
    return outcome, surprise


@inner_kernel
def apply_events(
    events: Events, constants: Constants, device: DeviceState, host: HostState, ledger: Ledger
) -> int:
    """Apply every event in order; see `run_events`."""
    for row in range(events.kind.size):
        event = event_at(row, events)
        if not is_acceptable(event, constants):
            return row
        resident_pages = host.totals[RESIDENT_PAGES]
        swapped_pages = host.totals[SWAPPED_PAGES]
        held_pages = host.totals[HELD_PAGES]
        if event.kind == FAULT:
            outcome, surprise = apply_fault(event, constants, host)
        else:
            outcome, surprise = apply_other(event, constants, device, host)
        ledger.outcome[row] = outcome
        ledger.surprise[row] = surprise
        ledger.resident_delta_pages[row] = host.totals[RESIDENT_PAGES] - resident_pages
        ledger.swapped_delta_pages[row] = host.totals[SWAPPED_PAGES] - swapped_pages
        ledger.freed_pages[row] = max(held_pages - host.totals[HELD_PAGES], 0)
    return OK


@kernel
def run_events(
    events: Events, constants: Constants, device: DeviceState, host: HostState, ledger: Ledger
) -> int:
    """Apply every event in order, writing one row of `ledger` each.

    Returns
    -------
    OK, or the row of the first event that cannot be accepted; rows before it are applied.
    """
    # Within this kernel Numba counts references, which would take longer than all it does.
    return apply_events(events, constants, device, host, ledger)
