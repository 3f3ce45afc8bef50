"""Apply the events of one machine, in order, to its device and its host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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
from workbench.units import PAGE_BYTES

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


@inlined_kernel
def is_acceptable(row: int, events: Events, constants: Constants) -> bool:
    """Tell whether the event can be applied: a known kind, about memory that exists.

    A report may name anything, because it is a request; what it must not be is negative.
    """
    kind = events.kind[row]
    if kind < FIRST_KIND or kind > LAST_KIND:
        return False
    if kind not in (REPORT, DISCARD, FAULT, SWAP_OUT, ACCESS):
        return True
    block = events.ram_block[row]
    offset_bytes = events.offset_bytes[row]
    length_bytes = events.length_bytes[row]
    if block < NO_BLOCK or block >= constants.blocks.shape[0]:
        return False
    if kind == REPORT:
        return bool(length_bytes >= 0 and (offset_bytes >= 0 or block == NO_BLOCK))
    if block == NO_BLOCK or offset_bytes < 0:
        return False
    used_bytes = constants.blocks[block, USED_BYTES]
    if kind == FAULT:
        return bool(offset_bytes < used_bytes)
    # Written without a sum, which a damaged file could make wrap around.
    return bool(offset_bytes <= used_bytes and 0 <= length_bytes <= used_bytes - offset_bytes)


@inlined_kernel
def apply_range(row: int, events: Events, constants: Constants, host: HostState) -> None:
    """Discard, or swap out, the whole pages of the event's range."""
    first_page = constants.blocks[events.ram_block[row], FIRST_PAGE]
    first = first_page + -(-events.offset_bytes[row] // PAGE_BYTES)
    stop = first_page + (events.offset_bytes[row] + events.length_bytes[row]) // PAGE_BYTES
    if events.kind[row] == SWAP_OUT:
        swap_out_pages(first, stop, constants, host)
    else:
        discard_pages(first, stop, constants, host)


@inlined_kernel
def apply_report(
    row: int, events: Events, constants: Constants, device: DeviceState, host: HostState
) -> int:
    """Let the device decide about a reported range anew.  Returns the outcome.

    QEMU ignores the result of the discard; the host's refusal is evidence, like its allocations.
    """
    outcome = judge_range(
        events.offset_bytes[row],
        events.length_bytes[row],
        events.ram_block[row],
        constants,
        device,
    )
    if outcome != DISCARDED:
        return outcome
    if events.discard_status[row] != 0:
        return DISCARD_FAILED
    apply_range(row, events, constants, host)
    return DISCARDED


@inlined_kernel
def apply_discard(row: int, events: Events, constants: Constants, host: HostState) -> int:
    """Apply a discard that no report asked for, as captured.  Returns the outcome.

    QEMU asks whether discards are inhibited before it inflates, and does not ask for poison_val.
    A discard that serves a report only repeats what was decided for the report.
    """
    if events.element[row] != NO_ELEMENT:
        return NO_OUTCOME
    if constants.discard_inhibited == 1:
        return SKIPPED_INHIBITED
    if events.status[row] != 0:
        return DISCARD_FAILED
    apply_range(row, events, constants, host)
    return DISCARDED


@inlined_kernel
def apply_fault(
    row: int, events: Events, constants: Constants, host: HostState, ledger: Ledger
) -> int:
    """Apply a fault, and note what was surprising about it.  Returns the outcome."""
    block = events.ram_block[row]
    page = constants.blocks[block, FIRST_PAGE] + events.offset_bytes[row] // PAGE_BYTES
    fault = Fault(page, block, events.length_bytes[row], events.status[row])
    action = judge_fault(fault, constants, host)
    outcome = name_fault(fault, action, host)
    ledger.surprise[row] = judge_surprise(fault, constants, host)
    serve_fault(fault, action, constants, host)
    return outcome


@inlined_kernel
def apply_register_event(row: int, events: Events, device: DeviceState) -> None:
    """Apply an event that changes the device's registers only."""
    kind = events.kind[row]
    status = events.status[row]
    if kind == FEATURES:
        device.features[0] = status
    elif kind == CONFIG_WRITE:
        write_config(events.offset_bytes[row], events.length_bytes[row], status, device)
    elif kind == RESET:
        reset_device(device)
    elif kind == INHIBIT:
        device.discard_inhibited[0] = status


@inner_kernel
def apply_events(
    events: Events, constants: Constants, device: DeviceState, host: HostState, ledger: Ledger
) -> int:
    """Apply every event in order; see `run_events`."""
    for row in range(events.kind.size):
        if not is_acceptable(row, events, constants):
            return row
        resident_pages = host.totals[RESIDENT_PAGES]
        swapped_pages = host.totals[SWAPPED_PAGES]
        held_pages = host.totals[HELD_PAGES]
        ledger.surprise[row] = NO_SURPRISE
        outcome = NO_OUTCOME

        kind = events.kind[row]
        if kind == REPORT:
            outcome = apply_report(row, events, constants, device, host)
        elif kind == DISCARD:
            outcome = apply_discard(row, events, constants, host)
        elif kind == FAULT:
            outcome = apply_fault(row, events, constants, host, ledger)
        elif kind == SWAP_OUT:
            outcome = SWAPPED_OUT
            apply_range(row, events, constants, host)
            if host.totals[SWAPPED_PAGES] == swapped_pages:
                ledger.surprise[row] = SWAP_OUT_OF_ABSENT
        else:
            apply_register_event(row, events, device)

        ledger.outcome[row] = outcome
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
