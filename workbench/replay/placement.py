"""The events of a machine as its guest would have made them under other settings of reporting.

The addresses of a capture are a product of its settings: Linux puts freed blocks at the head of its
free lists and reported ones at the tail.  So what is replayed is the demand, what the guest takes
and gives back and when, and an allocator places it anew (`workbench.model.guest`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.model.guest import (
    NEXT_PASS_NS,
    NO_REPORTING,
    Demand,
    GuestConstants,
    GuestState,
    Placed,
    free_pages,
    low_watermark_pages,
    new_guest,
    new_placed,
    place_demand,
)
from workbench.model.guest.columns import CAPTURE, GIVE, NO_PAGE
from workbench.replay.accesses import with_accesses
from workbench.replay.captured_pages import (
    FIRST_USABLE_PAGE,
    NEVER_NS,
    captured_events,
    first_backed_ns,
    without_untaken,
)
from workbench.replay.demand import KERNEL, guest_demand
from workbench.replay.first_free import (
    free_first_reported,
    free_unbacked,
    halves_free,
    resets,
    shared_blocks,
)
from workbench.replay.list_order import reclaimable_blocks
from workbench.replay.reporting import clears_anew, reporting_under
from workbench.replay.settings import Settings
from workbench.schema import NO_ELEMENT, UNKNOWN, FaultFlag, Kind
from workbench.units import GIB, HUGE_PAGE_ORDER, MIB, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from workbench.replay.facts import MachineFacts, TraceFacts
    from workbench.replay.reporting import Reporting
    from workbench.trace import Trace
    from workbench.trace.reader import Columns

_ZONE_BYTES: Final = (0, 16 * MIB, 3 * GIB)
"""Where DMA, DMA32 and Normal begin in the RAM block (Linux 6.1 arch/x86/mm/init.c,
zone_sizes_init; QEMU 7.2 hw/i386/pc_piix.c, pc_init1: what is above 3 GiB is above the hole)."""


def place_trace(
    trace: Trace, facts: TraceFacts, settings: Settings, *, follows_touches: bool = False
) -> Columns | None:
    """Give the events of all machines under settings that a guest notices.

    Parameters
    ----------
    follows_touches
        Whether to write down what the guests access and free as well, for the model of the host.

    Returns
    -------
    The columns of the table of events; None where no guest notices, and all stays as captured.
    """
    changes = _changes(facts, settings, follows_touches=follows_touches)
    if not any(change.is_noticed for change in changes):
        return None
    return _of_each_machine(
        trace.columns("events"),
        [
            partial(_place_machine, trace, vm, change) if change.is_noticed else _unchanged
            for vm, change in enumerate(changes)
        ],
    )


def with_touches(trace: Trace, facts: TraceFacts, settings: Settings, columns: Columns) -> Columns:
    """Add what guests access and free, for the model of the host, where addresses are as captured.

    What is free is known of guests that report, as their demand is.

    Parameters
    ----------
    columns
        The events; those of guests that notice the settings have all of that already.

    Returns
    -------
    The columns of the table of events.
    """
    changes = _changes(facts, settings, follows_touches=True)
    noticed = any(change.is_noticed for change in changes)
    if not noticed and not any(map(knows_what_is_free, facts.machines)):
        return with_accesses(trace, columns)
    return _of_each_machine(
        columns,
        [
            _unchanged if change.is_noticed else partial(_add_touches, trace, vm, change, machine)
            for vm, (change, machine) in enumerate(zip(changes, facts.machines, strict=True))
        ],
    )


def _unchanged(events: Columns) -> Columns:
    return events


def _of_each_machine(events: Columns, makers: Sequence[Callable[[Columns], Columns]]) -> Columns:
    """Make each machine's events out of its own, and put them together by time."""
    parts: list[Columns] = []
    for vm, make in enumerate(makers):
        rows = np.flatnonzero(events["vm"] == vm)
        parts.append(make({name: values[rows] for name, values in events.items()}))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in events}
    by_time = np.argsort(columns["time_ns"], kind="stable")
    columns = {name: values[by_time] for name, values in columns.items()}
    columns["sequence"] = np.arange(by_time.size, dtype=columns["sequence"].dtype)
    return columns


def knows_what_is_free(machine: MachineFacts) -> bool:
    """Tell whether a guest's events say what is free in it, where addresses are as captured."""
    reports = reporting_under(machine, Settings()).order != NO_REPORTING
    return reports and _shows_demand(machine)


def _shows_demand(machine: MachineFacts) -> bool:
    """Tell whether what the guest takes and gives back can be read from its events."""
    return (
        machine.ranges > 0
        and machine.ram_blocks == 1
        and machine.page_bytes == PAGE_BYTES
        and machine.inflated == machine.hinted == 0
    )


def _changes(facts: TraceFacts, settings: Settings, *, follows_touches: bool) -> list[_Change]:
    return [
        _Change(
            before=reporting_under(machine, Settings()),
            after=reporting_under(machine, settings),
            clears=clears_anew(machine, settings),
            frees_zeroed=clears_anew(machine, settings) or machine.init_on_free is True,
            follows_touches=follows_touches,
        )
        for machine in facts.machines
    ]


class _Change(NamedTuple):
    """What a guest does otherwise than in the capture."""

    before: Reporting
    """How it reported in the capture."""
    after: Reporting
    clears: bool
    """Whether it clears its memory at boot and on free, as it did not in the capture."""
    frees_zeroed: bool
    """Whether it clears what it frees."""
    follows_touches: bool

    @property
    def is_noticed(self) -> bool:
        """Whether the guest's addresses or faults are not those of the capture."""
        return self.before != self.after or self.clears


class _Life(NamedTuple):
    """The life of one guest, as its capture tells it."""

    is_moved: npt.NDArray[np.bool_]
    """Which of its events the model of the guest makes anew.  Shape (event,)."""
    first_ns: int
    """When the first report came.  Before it addresses are as captured, if the driver came then."""
    demand: Demand
    begin: Callable[[], GuestState]
    """Makes the guest as it was when the capture, or its driver, began."""
    constants: GuestConstants


def _read_life(trace: Trace, vm: int, change: _Change, own: Columns) -> _Life:
    """Read from the events of one machine, some of them reports, how its guest lived."""
    before, after = change.before, change.after
    first_ns = int(own["time_ns"][own["kind"] == Kind.REPORT][0])
    came_before = _driver_came_before(trace, own, first_ns)
    is_memory = np.isin(own["kind"], (Kind.FAULT, Kind.REPORT, Kind.DISCARD, Kind.ACCESS))
    is_moved = is_memory if came_before else is_memory & (own["time_ns"] >= first_ns)
    page_count = trace.manifest.virtual_machines[vm].ram_blocks[0].used_bytes // PAGE_BYTES
    captured = captured_events(own, page_count, is_moved)
    is_sampled = trace.manifest.access_interval_ns is not None
    if not is_sampled:
        captured = without_untaken(captured, before.delay_ns)
    backed_ns = first_backed_ns(captured_events(own, page_count, is_memory), page_count)
    # The driver registers one delay before its first pass.  What was free then only accesses can
    # tell that were recorded: others are taken to be of all that a fault brings.
    since_driver = own["time_ns"] >= first_ns - before.delay_ns
    if not is_sampled:
        since_driver &= own["kind"] != Kind.ACCESS
    with_driver = captured_events(own, page_count, since_driver)
    constants = _constants(page_count, change)
    blocks = (page_count >> HUGE_PAGE_ORDER) + 1
    is_kept, was_reset, is_reclaimable = np.zeros((3, blocks), np.bool_)

    def begin() -> GuestState:
        guest = new_guest(page_count, constants)
        guest.kept_for[is_kept] = CAPTURE
        guest.group_block[KERNEL] = next(iter(np.flatnonzero(was_reset)), NO_PAGE)
        if came_before:
            free_unbacked(trace, vm, constants, guest)
            return guest
        free_first_reported(with_driver, before, backed_ns, constants, guest)
        guest.is_touched[(backed_ns >= first_ns) & (backed_ns < NEVER_NS)] = False
        if change.clears:
            guest.is_touched[:] = True
        if after.order != NO_REPORTING:
            guest.worker[NEXT_PASS_NS] = first_ns - before.delay_ns + after.delay_ns
        return guest

    guest = begin()
    is_free = free_pages(guest)
    if not came_before:
        is_kept[:] = shared_blocks(is_free)
    if not came_before and resets(before) and not resets(after):
        was_reset[:] = is_kept & halves_free(guest)
        is_reclaimable = reclaimable_blocks(captured, is_kept, constants, before.delay_ns)
    demand = guest_demand(
        captured,
        is_free,
        is_kept,
        before,
        was_reset=was_reset,
        is_reclaimable=is_reclaimable,
        is_sampled=is_sampled,
    )
    return _Life(is_moved, first_ns, demand, begin, constants)


def _driver_came_before(trace: Trace, own: Columns, first_ns: int) -> bool:
    """Tell whether the driver was at work when the capture began.

    A capture may begin in mid-life and before the driver: while the guest boots.
    """
    is_ready = (own["kind"] == Kind.FEATURES) & (own["time_ns"] <= first_ns)
    return trace.manifest.mid_life and not bool(is_ready.any())


def _place_machine(trace: Trace, vm: int, change: _Change, own: Columns) -> Columns:
    """Give the events of one machine as they would be if its guest did otherwise.

    Parameters
    ----------
    own
        Its events; some are reports.

    Returns
    -------
    The columns of the table of events, in the order of time.
    """
    own = with_accesses(trace, own)
    life = _read_life(trace, vm, change, own)
    stop_ns = trace.manifest.start_time_ns + trace.manifest.duration_ns
    page_count = int(life.constants.zone_stop[-1])
    room = 2 * life.demand.page.size + page_count
    while True:
        placed = new_placed(room)
        room = place_demand(life.demand, stop_ns, life.constants, life.begin(), placed)
        if room <= placed.kind.size:
            break
    placed = Placed._make(column[:room] for column in placed)
    if change.frees_zeroed:
        placed.writes[placed.kind == Kind.FREE] = True
    kept = {name: values[~life.is_moved] for name, values in own.items()}
    if change.clears:
        kept = _merged(vm, kept, _clear_at_boot(kept, life.first_ns, page_count))
    if not change.follows_touches:
        is_event = kept["kind"] != Kind.ACCESS
        kept = {name: values[is_event] for name, values in kept.items()}
    return _merged(vm, kept, placed)


def _add_touches(
    trace: Trace, vm: int, change: _Change, machine: MachineFacts, own: Columns
) -> Columns:
    own = with_accesses(trace, own)
    if not knows_what_is_free(machine):
        return own
    demand = _read_life(trace, vm, change, own).demand
    return _merged(vm, own, _frees(demand, change))


def _frees(demand: Demand, change: _Change) -> Placed:
    """Give what becomes free of a demand, where its pages keep their addresses."""
    row = np.flatnonzero(demand.action == GIVE)
    return Placed(
        time_ns=demand.time_ns[row],
        kind=np.full(row.size, Kind.FREE, np.int8),
        page=demand.page[row],
        page_count=np.ones(row.size, np.int64),
        element=np.full(row.size, NO_ELEMENT, np.int64),
        writes=np.full(row.size, change.frees_zeroed),
    )


def _constants(page_count: int, change: _Change) -> GuestConstants:
    firsts = [first // PAGE_BYTES for first in _ZONE_BYTES]
    zone_first = np.array([first for first in firsts if first < page_count], np.int64)
    zone_stop = np.append(zone_first[1:], page_count)
    # Each zone has a part of the whole by its size (Linux 6.1 mm/page_alloc.c,
    # __setup_per_zone_wmarks).
    watermark = low_watermark_pages(page_count) * (zone_stop - zone_first) // page_count
    return GuestConstants(zone_first, zone_stop, watermark, *change.after, change.follows_touches)


def _clear_at_boot(boot: Columns, stop_ns: int, page_count: int) -> Placed:
    """Touch what the guest's boot did not, as Linux does where it hands memory to its allocator.

    Each fault of the boot is followed by an equal part of it, from the lowest addresses up.  Pages
    that are in memory by then, as parts of huge pages, do not fault again.  Where
    no fault of the boot was seen, all of it happens at `stop_ns`.

    Source: Linux 6.1 mm/page_alloc.c, memblock_free_pages() and free_pages_prepare().
    """
    faults = captured_events(boot, page_count, boot["kind"] == Kind.FAULT)
    is_touched = np.zeros(page_count, np.bool_)
    is_touched[:FIRST_USABLE_PAGE] = True
    for first, pages in zip(faults.page, faults.page_count, strict=True):
        is_touched[first : first + pages] = True
    page = np.flatnonzero(~is_touched)
    fault_ns = faults.time_ns if faults.time_ns.size else np.array([stop_ns])
    fault = np.arange(page.size) * fault_ns.size // max(page.size, 1)
    return Placed(
        time_ns=fault_ns[fault],
        kind=np.full(page.size, Kind.FAULT, np.int8),
        page=page,
        page_count=np.ones(page.size, np.int64),
        element=np.full(page.size, NO_ELEMENT, np.int64),
        writes=np.ones(page.size, np.bool_),
    )


def _merged(vm: int, kept: Columns, placed: Placed) -> Columns:
    """Put what was placed among the events that stay as captured."""
    is_fault = placed.kind == Kind.FAULT
    size = placed.kind.size
    new = {
        "time_ns": placed.time_ns,
        "sequence": np.zeros(size, np.int64),
        "vm": np.full(size, vm),
        "kind": placed.kind,
        "ram_block": np.zeros(size, np.int64),
        "offset_bytes": placed.page * PAGE_BYTES,
        "length_bytes": np.where(is_fault, UNKNOWN, placed.page_count * PAGE_BYTES),
        "status": np.where(placed.writes, int(FaultFlag.WRITE), 0),
        "element": placed.element,
        "duration_ns": np.zeros(size, np.int64),
    }
    columns = {name: np.concatenate((old, new[name])) for name, old in kept.items()}
    by_time = np.argsort(columns["time_ns"], kind="stable")
    return {name: column[by_time].astype(kept[name].dtype) for name, column in columns.items()}
