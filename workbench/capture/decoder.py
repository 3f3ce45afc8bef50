"""Turn what the probes recorded into the events of a trace.

Records arrive in the order of time.  A fault is finished when its thread faults again or has been
silent for a while: only then is it known what the host allocated for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from workbench.capture.records import Record, Source
from workbench.schema import EVENTS, NO_BLOCK, UNKNOWN, FaultFlag, Kind
from workbench.units import HUGE_PAGE_BYTES, HUGE_PAGE_ORDER, NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from workbench.capture.frames import FrameTable
    from workbench.capture.guest import Guest

DONE_PATIENCE_NS = NANOSECONDS // 4
"""How long a fault that was served may still turn out to have come from swap: microseconds do."""

OPEN_PATIENCE_NS = 10 * NANOSECONDS
"""How long a fault may wait to be served; behind a throttled or failing disk that takes seconds."""

_WRITE_FAULT = 1 << 1
"""Linux arch/x86/include/asm/trap_pf.h, X86_PF_WRITE."""

_PRECOPY_SETUP, _PRECOPY_COMPLETE, _PRECOPY_CLEANUP = 0, 3, 4
"""QEMU 7.2 include/migration/misc.h, PrecopyNotifyReason."""


@dataclass(slots=True)
class _OpenFault:
    """A fault whose outcome is not known yet."""

    record: Record
    block: int
    offset_bytes: int
    served_ns: int = 0
    """When its last sign came; 0 while there is none."""
    frame: int = UNKNOWN
    order: int = 0
    allocations: int = 0
    tried_huge: bool = False
    is_done: bool = False
    swapped_in: bool = False


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
    late_outcomes
        Signs of faults that had been given up.
    """

    guests: dict[int, Guest]
    frames: FrameTable
    frame_of: Callable[[int, int], int | None] = lambda _process, _address: None
    counts_are_exact: bool = True
    unattributed_swap_outs: int = 0
    late_outcomes: int = 0
    _rows: list[tuple[int, ...]] = field(default_factory=list)
    _sequence: int = 0
    _open_faults: dict[int, _OpenFault] = field(default_factory=dict)
    _given_up: set[int] = field(default_factory=set)

    def feed(self, records: npt.NDArray[np.void]) -> None:
        """Decode a batch."""
        actions = _ACTIONS
        for values in records.tolist():
            record = Record(*values)
            actions[record.source](self, record)

    def finish_faults(self, now_ns: int) -> None:
        """Close the faults that nothing more is to be expected of, or that took too long."""
        for thread, fault in list(self._open_faults.items()):
            is_settled = fault.is_done and fault.served_ns < now_ns - DONE_PATIENCE_NS
            if is_settled or fault.record.time_ns < now_ns - OPEN_PATIENCE_NS:
                if not fault.is_done:
                    self._given_up.add(thread)
                self._close_fault(self._open_faults.pop(thread))

    def finish(self) -> None:
        """Close every fault: the capture is over."""
        for fault in self._open_faults.values():
            self._close_fault(fault)
        self._open_faults.clear()

    def take_columns(self) -> dict[str, npt.NDArray[np.int64]]:
        """Give the events decoded since the last call, as columns of the trace."""
        rows = np.array(self._rows, dtype=np.int64).reshape(-1, len(EVENTS.columns))
        self._rows.clear()
        return {
            column.name: rows[:, number].astype(column.dtype)
            for number, column in enumerate(EVENTS.columns)
        }

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
        self._sequence += 1
        self._rows.append(
            (
                record.time_ns,
                self._sequence,
                vm,
                kind,
                block,
                offset_bytes,
                length_bytes,
                status,
                record.element,
                record.duration_ns,
            )
        )

    def on_report_range(self, record: Record) -> None:
        """A range of a reported element: at its place in RAM, or at its guest address."""
        guest = self.guests[record.process]
        block, offset_bytes = guest.locate(record.address)
        if block == NO_BLOCK:  # QEMU's bounce buffer stands in for memory that is not RAM.
            offset_bytes = record.value
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
        block, offset_bytes = guest.locate(record.address)
        self._emit_range(Kind.HINT_RANGE, record, guest.vm, block, offset_bytes)

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
            completed = int(guest.migration_completed)
            self.emit(Kind.MIGRATION_END, record, guest.vm, status=completed)

    def on_collapse(self, record: Record) -> None:
        """A huge page was put together, for nobody knows whom: every guest hears of it."""
        for guest in self.guests.values():
            self.emit(Kind.COLLAPSE, record, guest.vm)

    def on_fault(self, record: Record) -> None:
        """A fault on guest RAM; it ends the thread's one before."""
        guest = self.guests[record.process]
        self._open(record, *guest.locate(record.address))

    def on_guest_fault(self, record: Record) -> None:
        """A fault that hardware virtualisation reports by guest address."""
        guest = self.guests[record.process]
        block, offset_bytes = guest.locate_guest_address(record.address)
        if block != NO_BLOCK:
            self._open(record, block, offset_bytes)

    def _open(self, record: Record, block: int, offset_bytes: int) -> None:
        page_bytes = self.guests[record.process].page_bytes(block)
        if page_bytes > PAGE_BYTES:
            # From hugetlbfs: its pages are set aside, so that no allocation and no counter tells of
            # a fault.  It always brings a whole page, or finds that another thread just did.
            self.emit(
                Kind.FAULT,
                record,
                self.guests[record.process].vm,
                block=block,
                offset_bytes=offset_bytes - offset_bytes % page_bytes,
                length_bytes=page_bytes,
                status=int(_access_flags(record)),
            )
            return
        previous = self._open_faults.get(record.thread)
        if previous is not None:
            self._close_fault(previous)
        self._given_up.discard(record.thread)
        self._open_faults[record.thread] = _OpenFault(
            record, block, offset_bytes - offset_bytes % PAGE_BYTES
        )

    def on_allocation(self, record: Record) -> None:
        """Frames for an open fault; a failed attempt carries no frame."""
        fault = self._open_faults.get(record.thread)
        if fault is None or fault.is_done:
            return
        fault.tried_huge |= record.length >= HUGE_PAGE_ORDER
        fault.frame = record.address
        fault.order = record.length
        fault.allocations += record.address >= 0
        if not self.counts_are_exact:
            fault.served_ns = record.time_ns

    def on_fault_done(self, record: Record) -> None:
        """The process has more pages than before: the open fault has been served."""
        fault = self._open_faults.get(record.thread)
        if fault is None:
            self.late_outcomes += record.thread in self._given_up
        elif not fault.is_done:
            self._serve(fault, record.time_ns)

    def _serve(self, fault: _OpenFault, served_ns: int) -> None:
        fault.is_done = True
        fault.served_ns = served_ns
        vm = self.guests[fault.record.process].vm
        if fault.frame >= 0 and (fault.allocations == 1 or fault.order > 0):
            self.frames.put(fault.frame, fault.order, vm, fault.block, fault.offset_bytes)
        elif fault.block != NO_BLOCK:
            self._look_up(fault, vm)

    def _look_up(self, fault: _OpenFault, vm: int) -> None:
        """Ask for the frame of a page that no single allocation tells.

        What is answered is how things are now: a frame that is known to hold another page has only
        come to this one since.
        """
        block = self.guests[fault.record.process].blocks[fault.block]
        address = block.host_address + fault.offset_bytes
        frame = self.frame_of(fault.record.process, address)
        if frame is not None and not self.frames.holds(frame):
            self.frames.put(frame, 0, vm, fault.block, fault.offset_bytes)

    def on_swap_in(self, record: Record) -> None:
        """The process has fewer swap entries: the open fault brought a page back."""
        fault = self._open_faults.get(record.thread)
        if fault is None:
            self.late_outcomes += record.thread in self._given_up
        else:
            fault.swapped_in = True
            fault.served_ns = record.time_ns

    def on_swap_out(self, record: Record) -> None:
        """A frame went to swap: if it held guest RAM, that part of it is gone."""
        place = self.frames.take(record.address)
        if place is None:
            self.unattributed_swap_outs += 1
            return
        self._emit_range(
            Kind.SWAP_OUT,
            record._replace(length=place.length_bytes),
            place.vm,
            place.block,
            place.offset_bytes,
        )

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

    def _close_fault(self, fault: _OpenFault) -> None:
        if not self.counts_are_exact and not fault.is_done and fault.frame >= 0:
            self._serve(fault, fault.served_ns)
        flags = _access_flags(fault.record)
        length_bytes = 0
        if fault.is_done:
            length_bytes = PAGE_BYTES << fault.order if fault.frame >= 0 else UNKNOWN
            if fault.tried_huge and length_bytes < HUGE_PAGE_BYTES:
                flags |= FaultFlag.HUGE_REFUSED
        if fault.swapped_in:
            flags |= FaultFlag.SWAP_IN
        began_ns = fault.record.time_ns
        served_ns = max(fault.served_ns, began_ns)
        self.emit(
            Kind.FAULT,
            fault.record._replace(time_ns=served_ns, duration_ns=served_ns - began_ns),
            self.guests[fault.record.process].vm,
            block=fault.block,
            offset_bytes=fault.offset_bytes,
            length_bytes=length_bytes,
            status=int(flags),
        )


def _access_flags(record: Record) -> FaultFlag:
    """Whether a fault was a write."""
    return FaultFlag.WRITE if record.value & _WRITE_FAULT else FaultFlag(0)


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
    Source.FAULT: Decoder.on_fault,
    Source.ALLOCATION: Decoder.on_allocation,
    Source.FAULT_DONE: Decoder.on_fault_done,
    Source.SWAP_IN: Decoder.on_swap_in,
    Source.SWAP_OUT: Decoder.on_swap_out,
    Source.COLLAPSE: Decoder.on_collapse,
    Source.GUEST_FAULT: Decoder.on_guest_fault,
    Source.INFLATE: Decoder.on_inflate,
    Source.DEFLATE: Decoder.on_deflate,
    Source.STATISTIC: Decoder.on_statistic,
    Source.INHIBIT: _with_status(Kind.INHIBIT),
    Source.RECLAIM: Decoder.on_reclaim,
}
