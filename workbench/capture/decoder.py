"""Turn what the probes recorded into the events of a trace.

Records arrive in the order of time.  A fault that was served is finished when its thread faults
again or has been silent for a while: only then is it known that its page did not come from swap.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.capture.records import FAULT_ALLOCATIONS_SHIFT, RAW_COLUMNS, FaultBit, Record, Source
from workbench.schema import EVENTS, NO_BLOCK, NO_ELEMENT, UNKNOWN, FaultFlag, Kind
from workbench.units import HUGE_PAGE_BYTES, NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from workbench.capture.frames import FrameTable
    from workbench.capture.guest import Guest

SWAP_IN_PATIENCE_NS = NANOSECONDS // 4
"""How long a fault that was served may still turn out to have come from swap: microseconds do."""

_WRITE_FAULT = 1 << 1
"""Linux arch/x86/include/asm/trap_pf.h, X86_PF_WRITE."""

_LAST_ADDRESS = 2**63 - 1
"""Stands for all guest addresses from there on, which no machine has and no column holds."""

_PRECOPY_SETUP, _PRECOPY_COMPLETE, _PRECOPY_CLEANUP = 0, 3, 4
"""QEMU 7.2 include/migration/misc.h, PrecopyNotifyReason."""


_ROW = (
    *("time_ns", "vm", "kind", "ram_block", "offset_bytes", "length_bytes", "status"),
    *("element", "duration_ns", "sequence"),
)
"""The columns of an event, in the order in which they are put together."""

# A bit of an enumeration costs as much as everything else that is done with a record.
_SERVED, _TRIED_HUGE, _SWAPPED_IN = (
    int(bit) for bit in (FaultBit.SERVED, FaultBit.TRIED_HUGE, FaultBit.SWAPPED_IN)
)
_WRITTEN, _FROM_SWAP, _HUGE_REFUSED = (
    int(flag) for flag in (FaultFlag.WRITE, FaultFlag.SWAP_IN, FaultFlag.HUGE_REFUSED)
)

_Values = tuple[int, ...]
"""One raw record, in the order of `records.RAW_COLUMNS`."""
_TIME, _ADDRESS, _PROCESS, _THREAD, _SOURCE = (
    [column.name for column in RAW_COLUMNS].index(name)
    for name in ("time_ns", "address", "process", "thread", "source")
)


class _Fault(NamedTuple):
    """A fault that was served, but for whether its page came from swap."""

    row: tuple[int, ...]
    """The event, as if it had not."""
    began_ns: int
    process: int


@dataclass(slots=True)
class Decoder:
    """Turns records into event rows.  Feed it batches in the order of time.

    Attributes
    ----------
    guests
        By process id.
    frames
        Which guest page each frame of the host holds, for swap-outs.
    frame_of
        Says in which frame the page at an address of a process is now, or None: for pages that came
        from swap together with others, or that were read ahead before.
    counts_are_exact
        Whether the kernel reports every change of a process's counters.  Where it does not, an
        allocation alone ends a fault.
    unattributed_swap_outs
        Frames that went to swap and were not known to hold guest RAM.
    """

    guests: dict[int, Guest]
    frames: FrameTable
    frame_of: Callable[[int, int], int | None] = lambda _process, _address: None
    counts_are_exact: bool = True
    unattributed_swap_outs: int = 0
    _rows: list[tuple[int, ...]] = field(default_factory=list)
    _sequence: int = 0
    _served_faults: dict[int, _Fault] = field(default_factory=dict)
    """By thread."""

    def feed(self, records: npt.NDArray[np.void]) -> None:
        """Decode a batch."""
        frequent, actions = _FREQUENT, _ACTIONS
        for values in records.tolist():
            action = frequent.get(values[_SOURCE])
            if action is not None:
                action(self, values)
            else:
                actions[values[_SOURCE]](self, Record._make(values))

    def finish_faults(self, now_ns: int) -> None:
        """Close the faults that were served and of which nothing more is to be expected."""
        for thread, fault in list(self._served_faults.items()):
            if fault.row[0] < now_ns - SWAP_IN_PATIENCE_NS:
                del self._served_faults[thread]
                self._add(fault.row)

    def end_guest(self, process: int) -> None:
        """Close the faults of a guest that has ended, and forget it and its frames."""
        for thread, fault in list(self._served_faults.items()):
            if fault.process == process:
                del self._served_faults[thread]
                self._add(fault.row)
        self.frames.forget_guest(self.guests.pop(process).vm)

    def finish(self) -> None:
        """Close every fault: the capture is over."""
        for fault in self._served_faults.values():
            self._add(fault.row)
        self._served_faults.clear()

    def take_columns(self) -> dict[str, npt.NDArray[np.int64]]:
        """Give the events decoded since the last call, as columns of the trace."""
        rows = np.array(self._rows, dtype=np.int64).reshape(-1, len(_ROW))
        self._rows.clear()
        columns = dict(zip(_ROW, rows.T, strict=True))
        return {column.name: columns[column.name].astype(column.dtype) for column in EVENTS.columns}

    def emit(
        self,
        kind: Kind,
        record: Record,
        vm: int,
        *,
        block: int = NO_BLOCK,
        offset_bytes: int = 0,
        length_bytes: int = 0,
        status: int = 0,
    ) -> None:
        """Add one event row."""
        what = (vm, kind, block, offset_bytes, length_bytes, status)
        self._add((record.time_ns, *what, record.element, record.duration_ns))

    def _add(self, row: tuple[int, ...]) -> None:
        """Number an event and add it."""
        self._sequence += 1
        self._rows.append((*row, self._sequence))

    def on_report_range(self, record: Record) -> None:
        """A range of a reported element: at its place in RAM, or at its guest address."""
        guest = self.guests[record.process]
        block, offset_bytes = guest.locate(record.address)
        if block == NO_BLOCK:  # QEMU's bounce buffer stands in for memory that is not RAM.
            offset_bytes = record.value if record.value >= 0 else _LAST_ADDRESS
        self._emit_range(Kind.REPORT, record, guest.vm, block, offset_bytes)

    def on_discard(self, record: Record) -> None:
        """A discard: the frames behind it are free again."""
        guest = self.guests[record.process]
        if record.block < 0 or record.block >= len(guest.blocks):
            return  # Not guest RAM: the video memory of a display, for one.
        if record.value == 0:
            self.frames.forget(guest.vm, record.block, record.address, record.length)
        self._emit_range(
            Kind.DISCARD, record, guest.vm, record.block, record.address, status=record.value
        )

    def on_hint_range(self, record: Record) -> None:
        """A hinted range."""
        guest = self.guests[record.process]
        self._emit_range(Kind.HINT_RANGE, record, guest.vm, *guest.locate(record.address))

    def on_inflate(self, record: Record) -> None:
        """A page for the balloon."""
        self._emit_balloon_page(Kind.INFLATE, record)

    def on_deflate(self, record: Record) -> None:
        """A page out of the balloon."""
        self._emit_balloon_page(Kind.DEFLATE, record)

    def _emit_balloon_page(self, kind: Kind, record: Record) -> None:
        guest = self.guests[record.process]
        block, offset_bytes = guest.locate_guest_address(record.address)
        self._emit_range(kind, record._replace(length=PAGE_BYTES), guest.vm, block, offset_bytes)

    def on_statistic(self, record: Record) -> None:
        """What the guest says of itself."""
        vm = self.guests[record.process].vm
        self.emit(Kind.STATISTIC, record, vm, offset_bytes=record.address, status=record.value)

    def on_reclaim(self, record: Record) -> None:
        """A thread of the guest freed memory of the host."""
        vm = self.guests[record.process].vm
        self.emit(Kind.RECLAIM, record, vm, length_bytes=record.length * PAGE_BYTES)

    def on_config_write(self, record: Record) -> None:
        """A write to the config space."""
        self.emit(
            Kind.CONFIG_WRITE,
            record,
            self.guests[record.process].vm,
            offset_bytes=record.address,
            length_bytes=record.length,
            status=record.value,
        )

    def on_precopy(self, record: Record) -> None:
        """A step of an outgoing migration; what a bitmap sync is, is recorded elsewhere."""
        guest = self.guests[record.process]
        if record.value == _PRECOPY_SETUP:
            guest.migration_completed = False
            self.emit(Kind.MIGRATION_START, record, guest.vm)
        elif record.value == _PRECOPY_COMPLETE:
            guest.migration_completed = True
            self.emit(Kind.PRECOPY_COMPLETE, record, guest.vm)
        elif record.value == _PRECOPY_CLEANUP:
            self.emit(Kind.MIGRATION_END, record, guest.vm, status=int(guest.migration_completed))

    def on_collapse(self, record: Record) -> None:
        """A huge page was put together, for nobody knows whom: every guest hears of it."""
        for guest in self.guests.values():
            self.emit(Kind.COLLAPSE, record, guest.vm)

    def on_fault(self, values: _Values) -> None:
        """A fault on guest RAM."""
        guest = self.guests.get(values[_PROCESS])
        if guest is not None:  # Else it was ours, to try the probes, or has ended.
            self._take_fault(values, guest, *guest.locate(values[_ADDRESS]))

    def on_guest_fault(self, values: _Values) -> None:
        """A fault that hardware virtualisation reports by guest address."""
        guest = self.guests.get(values[_PROCESS])
        if guest is None:
            return
        block, offset_bytes = guest.locate_guest_address(values[_ADDRESS])
        if block != NO_BLOCK:
            self._take_fault(values, guest, block, offset_bytes)

    def _take_fault(self, values: _Values, guest: Guest, block: int, offset_bytes: int) -> None:
        """Keep a fault that was served, for it may turn out to have come from swap."""
        time_ns, _, order, value, frame, duration_ns, process, thread, _, _ = values
        before = self._served_faults.pop(thread, None)
        if before is not None:
            self._add(before.row)
        page_bytes = guest.page_bytes(block)
        offset_bytes -= offset_bytes % page_bytes
        began_ns = time_ns - duration_ns
        status = _status(value)
        if page_bytes > PAGE_BYTES:
            # From hugetlbfs: its pages are set aside, so that no allocation and no counter tells of
            # a fault.  It always brings a whole page, or finds that another thread just did.
            place = (guest.vm, Kind.FAULT, block, offset_bytes, page_bytes)
            self._add((began_ns, *place, status & _WRITTEN, NO_ELEMENT, 0))
            return
        is_served = value & _SERVED or (frame >= 0 and not self.counts_are_exact)
        if not is_served:
            place = (guest.vm, Kind.FAULT, block, offset_bytes, 0)
            self._add((began_ns, *place, status & ~_HUGE_REFUSED, NO_ELEMENT, 0))
            return
        length_bytes = PAGE_BYTES << order if frame >= 0 else UNKNOWN
        if length_bytes >= HUGE_PAGE_BYTES:
            status &= ~_HUGE_REFUSED
        place = (guest.vm, Kind.FAULT, block, offset_bytes, length_bytes)
        row = (time_ns, *place, status, NO_ELEMENT, duration_ns)
        self._served_faults[thread] = _Fault(row, began_ns, process)
        if frame >= 0 and (order > 0 or value >> FAULT_ALLOCATIONS_SHIFT == 1):
            self.frames.put(frame, order, guest.vm, block, offset_bytes)
        elif block != NO_BLOCK:
            self._look_up(process, guest, block, offset_bytes)

    def _look_up(self, process: int, guest: Guest, block: int, offset_bytes: int) -> None:
        """Ask for the frame of a page that no single allocation tells.

        What is answered is how things are now: a frame that is known to hold another page has only
        come to this one since.
        """
        frame = self.frame_of(process, guest.blocks[block].host_address + offset_bytes)
        if frame is not None and not self.frames.holds(frame):
            self.frames.put(frame, 0, guest.vm, block, offset_bytes)

    def on_swap_in(self, values: _Values) -> None:
        """The process has fewer swap entries: its thread's last fault brought a page back."""
        fault = self._served_faults.pop(values[_THREAD], None)
        if fault is not None:
            _, vm, kind, block, offset_bytes, length_bytes, status, element, _ = fault.row
            time_ns = values[_TIME]
            what = (vm, kind, block, offset_bytes, length_bytes, status | _FROM_SWAP, element)
            self._add((time_ns, *what, time_ns - fault.began_ns))

    def on_swap_out(self, values: _Values) -> None:
        """A frame went to swap: if it held guest RAM, that part of it is gone."""
        place = self.frames.take(values[_ADDRESS])
        if place is None:
            self.unattributed_swap_outs += 1
            return
        vm, block, offset_bytes, length_bytes = place
        what = (vm, Kind.SWAP_OUT, block, offset_bytes, length_bytes, 0, NO_ELEMENT)
        self._add((values[_TIME], *what, 0))

    def _emit_range(
        self, kind: Kind, record: Record, vm: int, block: int, offset_bytes: int, *, status: int = 0
    ) -> None:
        self.emit(
            kind,
            record,
            vm,
            block=block,
            offset_bytes=offset_bytes,
            length_bytes=record.length,
            status=status,
        )


def _status(value: int) -> int:
    """What a fault's `value` says, as bits of an event's `status`."""
    status = _WRITTEN if value & _WRITE_FAULT else 0
    if value & _TRIED_HUGE:
        status |= _HUGE_REFUSED
    if value & _SWAPPED_IN:
        status |= _FROM_SWAP
    return status


def _with_status(kind: Kind) -> Callable[[Decoder, Record], None]:
    """An event whose record carries nothing but a value."""

    def on_record(decoder: Decoder, record: Record) -> None:
        decoder.emit(kind, record, decoder.guests[record.process].vm, status=record.value)

    return on_record


_ACTIONS: dict[int, Callable[[Decoder, Record], None]] = {
    Source.REPORT_RANGE: Decoder.on_report_range,
    Source.DISCARD: Decoder.on_discard,
    Source.HINT_COMMAND: _with_status(Kind.HINT_COMMAND),
    Source.HINT_RANGE: Decoder.on_hint_range,
    Source.CONFIG_WRITE: Decoder.on_config_write,
    Source.FEATURES: _with_status(Kind.FEATURES),
    Source.STATUS: _with_status(Kind.STATUS),
    Source.RESET: _with_status(Kind.RESET),
    Source.PRECOPY: Decoder.on_precopy,
    Source.BITMAP_SYNC: _with_status(Kind.BITMAP_SYNC),
    Source.COLLAPSE: Decoder.on_collapse,
    Source.INFLATE: Decoder.on_inflate,
    Source.DEFLATE: Decoder.on_deflate,
    Source.STATISTIC: Decoder.on_statistic,
    Source.INHIBIT: _with_status(Kind.INHIBIT),
    Source.RECLAIM: Decoder.on_reclaim,
}

_FREQUENT: dict[int, Callable[[Decoder, _Values], None]] = {
    Source.FAULT: Decoder.on_fault,
    Source.GUEST_FAULT: Decoder.on_guest_fault,
    Source.SWAP_IN: Decoder.on_swap_in,
    Source.SWAP_OUT: Decoder.on_swap_out,
}
"""Of these there are tens of thousands a second: they take the values as they are."""
