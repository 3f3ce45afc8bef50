"""Apply the events of all machines of a trace, and add up what they did instead of writing it down.

What a replay comes to takes no row for each event: counts by kind and outcome, a few sums, and
pages over time.  Each call of a kernel adds to what the calls before it left in the tally.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.model.columns import (
    FIRST_PAGE,
    USED_BYTES,
    Constants,
    DeviceState,
    HostState,
    Int64Array,
    Ledger,
)
from workbench.model.compiled import inlined_kernel, inner_kernel
from workbench.model.device import DISCARDED
from workbench.model.host import HELD_PAGES, RESIDENT_PAGES, SWAPPED_PAGES
from workbench.model.outcomes import Outcome, Surprise
from workbench.model.run import (
    DISCARD,
    REPORT,
    SWAPPED_OUT,
    Event,
)
from workbench.schema import NO_BLOCK, NO_ELEMENT, FaultFlag, Kind, SwapOutFlag

if TYPE_CHECKING:
    from workbench.model.columns import (
        BoolArray,
        Int8Array,
        Int16Array,
        Int32Array,
        UInt32Array,
    )

HINT_RANGE: Final = int(Kind.HINT_RANGE)
SWAPPED_IN: Final = int(Outcome.SWAPPED_IN)
SWAP_IN: Final = int(FaultFlag.SWAP_IN)
WITHOUT_READ: Final = int(FaultFlag.WITHOUT_READ)
IN_DEAD: Final = int(FaultFlag.DEAD)
OUT_DEAD: Final = int(SwapOutFlag.DEAD)
OUT_UNWRITTEN: Final = int(SwapOutFlag.CLEAN | SwapOutFlag.ZEROS)

UNKNOWN_BLOCK: Final = NO_BLOCK - 1
"""A RAM block that the machine of an event does not have."""

KINDS: Final = max(Kind) + 1
OUTCOMES: Final = max(Outcome) + 1

HALF_BITS: Final = 32
HALF_MASK: Final = (1 << HALF_BITS) - 1
"""Lengths may be anything up to 63 bits: their halves are added up apart, upper and lower."""

# Indexes into `Tally.sums`.
REPORTED_HALVES: Final = 0
"""Bytes of reported ranges: the upper halves of the lengths, and behind them the lower ones."""
DISCARDED_HALVES: Final = 2
HINTED_HALVES: Final = 4
RECLAIMED_PAGES: Final = 6
"""Pages that left the resident set with a reported range ..."""
FREED_PAGES: Final = 7
"""... and host pages that this made free."""
INFLATED_PAGES: Final = 8
SWAP_FREED_PAGES: Final = 9
SWAP_IN_PAGES: Final = 10
SWAP_IN_DEAD_PAGES: Final = 11
ASKED_PAGES: Final = 12
"""Pages that came from swap by I/O."""
SWAP_WAITS: Final = 13
SWAP_OUT_PAGES: Final = 14
SWAP_OUT_DEAD_PAGES: Final = 15
SWAP_WRITTEN_PAGES: Final = 16
SWAP_IN_FAULTS: Final = 17
"""Faults that bear SWAP_IN."""
DIFFERING: Final = 18
"""Reports about which the device decided otherwise than QEMU did."""
LAST_NS: Final = 19
"""When the last event was; it is set, not added to."""
SUMS: Final = 20

# Columns of `Tally.pages`.
SINCE_NS: Final = 0
"""Since when there have been as many pages as now."""
PAGE_NS: Final = 1
"""The integral over time up to then."""
PEAK_PAGES: Final = 2
NOW_PAGES: Final = 3


class TraceEvents(NamedTuple):
    """Events of all machines of a trace, as its table has them.  Columns of shape (event,)."""

    time_ns: Int64Array
    vm: Int32Array
    kind: Int8Array
    ram_block: Int16Array
    offset_bytes: Int64Array
    length_bytes: Int64Array
    status: Int64Array
    element: Int64Array
    discard_status: Int64Array
    """For a report: what the host answered to the captured discard of this range; 0 if unknown."""
    discarded: BoolArray
    """For a report: whether QEMU discarded this range."""
    plain_fault: UInt32Array
    """For a fault that got a page of plain memory by itself: twice that page, and one more if it
    writes; else NOT_PLAIN.  To be filled, by `accept_events`."""


class Fleet(NamedTuple):
    """All machines of a trace, in one page space."""

    constants: Constants
    first_block: Int64Array
    """Where the blocks of each machine begin in `constants.blocks`.  Shape (vm,)."""
    block_count: Int64Array
    devices: DeviceState
    """The registers of each machine's device.  Arrays of shape (vm,)."""
    host: HostState


class Tally(NamedTuple):
    """What events came to."""

    occurrences: Int64Array
    """Events of each kind and outcome.  Shape (vm, KINDS, OUTCOMES)."""
    surprises: Int64Array
    """Events of each surprise; of NO_SURPRISE none is counted.  Shape (surprise,)."""
    sums: Int64Array
    """REPORTED_HALVES and so on.  Shape (SUMS,)."""
    pages: Int64Array
    """SINCE_NS to NOW_PAGES of what is resident, and of what is in swap.  Shape (2, 4)."""


class Captured(NamedTuple):
    """A replay as captured: its machines, and to be filled what events come to."""

    fleet: Fleet
    tally: Tally
    ledger: Ledger
    """A row for each event, too, if it has any rows."""


def new_tally(machines: int, start_ns: int, host: HostState) -> Tally:
    """Make a tally of no events, of machines that have of a host what they begin with."""
    totals = host.totals[[RESIDENT_PAGES, SWAPPED_PAGES]]
    pages = np.zeros((2, 4), np.int64)
    pages[:, SINCE_NS] = start_ns
    pages[:, PEAK_PAGES] = pages[:, NOW_PAGES] = totals
    return Tally(
        occurrences=np.zeros((machines, KINDS, OUTCOMES), np.int64),
        surprises=np.zeros(max(Surprise) + 1, np.int64),
        sums=np.zeros(SUMS, np.int64),
        pages=pages,
    )


class Extent(NamedTuple):
    """A RAM block of a machine: where it is, and how much of it there is to touch."""

    vm: int
    ram_block: int
    block: int
    """Its number among those of all machines."""
    first_page: int
    used_bytes: int


NOWHERE: Final = Extent(-1, NO_BLOCK, UNKNOWN_BLOCK, 0, 0)


@inlined_kernel
def extent_at(row: int, events: TraceEvents, fleet: Fleet, last: Extent) -> Extent:
    """Give the RAM block of an event: mostly that of the event before.

    One that its machine does not have has no bytes.
    """
    # All of one type, as `NOWHERE` is.
    vm, ram_block = int(np.int64(events.vm[row])), int(np.int64(events.ram_block[row]))
    if vm == last.vm and ram_block == last.ram_block:
        return last
    if ram_block < 0 or ram_block >= fleet.block_count[vm]:
        return Extent(vm, ram_block, UNKNOWN_BLOCK, 0, 0)
    block, blocks = fleet.first_block[vm] + ram_block, fleet.constants.blocks
    return Extent(vm, ram_block, block, blocks[block, FIRST_PAGE], blocks[block, USED_BYTES])


@inlined_kernel
def trace_event(row: int, events: TraceEvents, fleet: Fleet) -> Event:
    """Give the event of a row, about a block of the page space of all machines."""
    vm, block = events.vm[row], int(events.ram_block[row])
    if block >= 0:
        is_known = block < fleet.block_count[vm]
        block = fleet.first_block[vm] + block if is_known else UNKNOWN_BLOCK
    discard_status = events.discard_status[row] if events.discard_status.size > 0 else 0
    return Event(
        int(events.kind[row]),
        block,
        events.offset_bytes[row],
        events.length_bytes[row],
        events.status[row],
        events.element[row],
        discard_status,
    )


@inlined_kernel
def device_of(vm: int, devices: DeviceState) -> DeviceState:
    """Give the device of one machine."""
    return DeviceState(
        devices.features[vm : vm + 1],
        devices.poison_val[vm : vm + 1],
        devices.shadow_poison_val[vm : vm + 1],
        devices.discard_inhibited[vm : vm + 1],
    )


class Before(NamedTuple):
    """What a host held before an event."""

    resident_pages: int
    swapped_pages: int
    held_pages: int


@inlined_kernel
def before_event(host: HostState) -> Before:
    """Note what a host holds."""
    totals = host.totals
    return Before(totals[RESIDENT_PAGES], totals[SWAPPED_PAGES], totals[HELD_PAGES])


class OverTime(NamedTuple):
    """Pages over time: a row of `Tally.pages`."""

    since_ns: int
    page_ns: int
    peak_pages: int
    now_pages: int


@inlined_kernel
def over_time(which: int, tally: Tally) -> OverTime:
    """Give how pages have been over time: what is resident, or what is in swap."""
    row = tally.pages[which]
    return OverTime(row[SINCE_NS], row[PAGE_NS], row[PEAK_PAGES], row[NOW_PAGES])


@inlined_kernel
def follow(pages: OverTime, gained_pages: int, time_ns: int) -> OverTime:
    """Follow pages over time; nothing is older than the capture's beginning."""
    # In this way no branch depends on it, which a processor would often guess wrong.
    later_ns = max(time_ns, pages.since_ns) if gained_pages != 0 else pages.since_ns
    now_pages = pages.now_pages + gained_pages
    page_ns = pages.page_ns + pages.now_pages * (later_ns - pages.since_ns)
    return OverTime(later_ns, page_ns, max(pages.peak_pages, now_pages), now_pages)


@inlined_kernel
def keep_over_time(which: int, pages: OverTime, tally: Tally) -> None:
    """Write down how pages have been over time."""
    row = tally.pages[which]
    row[SINCE_NS], row[PAGE_NS] = pages.since_ns, pages.page_ns
    row[PEAK_PAGES], row[NOW_PAGES] = pages.peak_pages, pages.now_pages


@inlined_kernel
def tally_time(time_ns: int, tally: Tally) -> None:
    """Note when an event was."""
    tally.sums[LAST_NS] = max(tally.sums[LAST_NS], time_ns)


@inlined_kernel
def tally_bytes(which: int, length_bytes: int, tally: Tally) -> None:
    """Add up a length, in halves."""
    tally.sums[which] += length_bytes >> HALF_BITS
    tally.sums[which + 1] += length_bytes & HALF_MASK


@inner_kernel
def tally_ranges(event: Event, outcome: int, before: Before, host: HostState, tally: Tally) -> None:
    """Add up what is about a range that a guest names."""
    totals, sums = host.totals, tally.sums
    gone_pages = before.resident_pages - totals[RESIDENT_PAGES]
    swap_freed_pages = before.swapped_pages - totals[SWAPPED_PAGES]
    if event.kind == REPORT:
        tally_bytes(REPORTED_HALVES, event.length_bytes, tally)
        if outcome == DISCARDED:
            tally_bytes(DISCARDED_HALVES, event.length_bytes, tally)
            sums[RECLAIMED_PAGES] += gone_pages
            sums[FREED_PAGES] += max(before.held_pages - totals[HELD_PAGES], 0)
            sums[SWAP_FREED_PAGES] += swap_freed_pages
    elif event.kind == DISCARD and event.element == NO_ELEMENT:
        sums[INFLATED_PAGES] += gone_pages
        sums[SWAP_FREED_PAGES] += swap_freed_pages
    elif event.kind == HINT_RANGE:
        tally_bytes(HINTED_HALVES, event.length_bytes, tally)


@inlined_kernel
def tally_swap(
    outcome: int, flags: int, gained_pages: int, length_bytes: int, tally: Tally
) -> None:
    """Add up what went to swap, or came from there.

    A page that comes from swap though nobody saw it go changes nothing, and is one page.
    """
    sums = tally.sums
    if outcome == SWAPPED_IN:
        pages = max(gained_pages, 1)
        sums[SWAP_IN_PAGES] += pages
        if flags & IN_DEAD != 0:
            sums[SWAP_IN_DEAD_PAGES] += pages
        if flags & WITHOUT_READ == 0:
            sums[ASKED_PAGES] += pages
            # One that took no memory found its page in the swap cache, and waited for nobody.
            sums[SWAP_WAITS] += length_bytes > 0
    elif outcome == SWAPPED_OUT:
        sums[SWAP_OUT_PAGES] -= gained_pages
        if flags & OUT_DEAD != 0:
            sums[SWAP_OUT_DEAD_PAGES] -= gained_pages
        if flags & OUT_UNWRITTEN == 0:
            sums[SWAP_WRITTEN_PAGES] -= gained_pages


@inlined_kernel
def tally_change(time_ns: int, resident_pages: int, swapped_pages: int, tally: Tally) -> None:
    """Follow over time what an event put into memory and into swap, or took from there."""
    if resident_pages != 0:
        keep_over_time(0, follow(over_time(0, tally), resident_pages, time_ns), tally)
    if swapped_pages != 0:
        keep_over_time(1, follow(over_time(1, tally), swapped_pages, time_ns), tally)
    tally_time(time_ns, tally)


@inlined_kernel
def tally_gained(time_ns: int, before: Before, host: HostState, tally: Tally) -> None:
    """Follow over time what a host holds more or less of since."""
    resident_pages = host.totals[RESIDENT_PAGES] - before.resident_pages
    swapped_pages = host.totals[SWAPPED_PAGES] - before.swapped_pages
    tally_change(time_ns, resident_pages, swapped_pages, tally)


class Became(NamedTuple):
    """What became of an event."""

    outcome: int
    surprise: int


@inlined_kernel
def write_ledger(row: int, became: Became, before: Before, host: HostState, ledger: Ledger) -> None:
    """Write down what an event did: its outcome and surprise, and what it changed."""
    ledger.outcome[row] = became.outcome
    ledger.surprise[row] = became.surprise
    ledger.resident_delta_pages[row] = host.totals[RESIDENT_PAGES] - before.resident_pages
    ledger.swapped_delta_pages[row] = host.totals[SWAPPED_PAGES] - before.swapped_pages
    ledger.freed_pages[row] = max(before.held_pages - host.totals[HELD_PAGES], 0)
