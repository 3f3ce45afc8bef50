"""Import QEMU's own trace log, for those who may not use eBPF: no root is needed to ask for it.

It tells every discard, the elements of the reporting queue, pages of the balloon, resets.  It does
not tell what a guest touches, so nothing about memory that is resident or in swap; nor where ranges
were that QEMU did not discard.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench import __version__
from workbench.errors import UsageError
from workbench.schema import EVENTS, NO_BLOCK, NO_ELEMENT, Kind
from workbench.trace.imported import NOT_KNOWN, ROWS_AT_ONCE, UNKNOWN_HOST, taking_place
from workbench.trace.manifest import BalloonProperties, Manifest, RamBlock, VirtualMachine
from workbench.trace.qemu_blocks import Block, named, place_blocks
from workbench.trace.qemu_lines import ConfigWrite, Discard, LogLines, Output, Pop, Status
from workbench.trace.qemu_probes import Counts, probes
from workbench.trace.qemu_survey import Seen, Survey
from workbench.trace.writer import TraceWriter
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from workbench.trace.qemu_lines import Line

CLOCK: Final = "CLOCK_REALTIME, in microseconds (gettimeofday, as QEMU's log has it)"

LONGEST_ELEMENT: Final = 1024
"""QEMU 7.2 include/hw/virtio/virtio.h, VIRTQUEUE_MAX_SIZE."""

ACTUAL_OFFSET_BYTES: Final = 4
ACTUAL_BYTES: Final = 4
"""Where `actual` stands in the device's config space, and its width (virtio 1.2, 5.5.4)."""


class LogOptions(NamedTuple):
    """What the log does not say.

    Attributes
    ----------
    memory_bytes, host_bases
        Size of RAM blocks and where they begin in QEMU's memory, by name; or by `ONLY`.
    name
        Of the guest.
    command
        The command line that asks for the import, for the manifest.
    """

    memory_bytes: Mapping[str, int] = {}
    host_bases: Mapping[str, int] = {}
    name: str = ""
    command: str = ""


def import_qemu_log(
    log: Path,
    output: Path,
    options: LogOptions,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Make a trace of a log.  It is read twice, a line at a time.

    Parameters
    ----------
    output
        The trace folder to make.
    progress
        Called with the number of bytes that were read since the last call.

    Raises
    ------
    InputError
        The log cannot be read, is none, or has no times.
    UsageError
        An option does not fit the log, or one is missing; or `output` is there already.
    """
    with taking_place(output) as folder:
        lines = LogLines(log, progress)
        survey = Survey()
        survey.read(lines)
        guests = _placed(survey, options)
        manifest = _manifest(lines, guests, options)
        writer = TraceWriter(folder, manifest)
        importer = _Importer(guests, writer)
        importer.read(lines)
        writer.close(
            manifest.model_copy(
                update={
                    "duration_ns": lines.last_ns - lines.first_ns,
                    "complete": not lines.is_cut,
                    "probes": probes(lines, importer.counts, [g.blocks for g in guests]),
                }
            )
        )


@dataclass(slots=True)
class _Element:
    """An element of the reporting queue that is being served."""

    number: int
    time_ns: int
    in_count: int
    discards: list[tuple[int, ...]] = field(default_factory=list)
    """Time, block, offset, length and status."""
    elsewhere: int = 0
    """Discards that were not in guest RAM."""


@dataclass(slots=True)
class _Guest:
    """A guest while its log is read."""

    vm: int
    seen: Seen
    blocks: tuple[Block, ...]
    next_element: int = 0
    is_reset: bool = False

    def locate(self, discard: Discard) -> tuple[int, int]:
        """Give the RAM block and offset of a discard; NO_BLOCK if it has none."""
        for number, block in enumerate(self.blocks):
            if block.name == discard.block:
                return number, discard.address - block.base
        return NO_BLOCK, 0


def _placed(survey: Survey, options: LogOptions) -> list[_Guest]:
    names = survey.block_names
    sizes = named(options.memory_bytes, names, "--memory")
    bases = named(options.host_bases, names, "--host-base")
    found = survey.guests(sizes) or [Seen(set(), {})]
    if bases and len(found) > 1:
        threads = ", ".join(str(min(guest.threads)) for guest in found)
        raise UsageError(
            f"--host-base: the log is of {len(found)} guests (threads {threads}), whose memory "
            "begins at different addresses; give a log for each, as `grep ^THREAD@` makes it"
        )
    return [_Guest(vm, seen, place_blocks(seen, sizes, bases)) for vm, seen in enumerate(found)]


def _manifest(lines: LogLines, guests: Sequence[_Guest], options: LogOptions) -> Manifest:
    created = datetime.fromtimestamp(lines.first_ns // NANOSECONDS, UTC)
    return Manifest(
        tool_version=__version__,
        command=options.command,
        created=created.isoformat(timespec="seconds"),
        clock=CLOCK,
        start_time_ns=lines.first_ns,
        duration_ns=lines.last_ns - lines.first_ns,
        mid_life=True,
        host=UNKNOWN_HOST,
        virtual_machines=tuple(_machine(guest, options.name, len(guests)) for guest in guests),
    )


def _machine(guest: _Guest, name: str, count: int) -> VirtualMachine:
    if not name:
        name = f"qemu-{min(guest.seen.threads, default=guest.vm)}"
    elif count > 1:
        name = f"{name}-{guest.vm}"
    return VirtualMachine(
        name=name,
        qemu_version=NOT_KNOWN,
        machine_type=NOT_KNOWN,
        accelerator=NOT_KNOWN,
        memory_bytes=sum(block.size_bytes for block in guest.blocks),
        ram_blocks=tuple(
            RamBlock(
                name=block.name,
                used_bytes=block.size_bytes,
                page_bytes=block.page_bytes,
                shared=block.is_punched,
                transparent_huge_page=False,
            )
            for block in guest.blocks
        ),
        # Who reports was offered to.
        device=BalloonProperties(free_page_reporting=True if guest.seen.queue else None),
    )


class _Importer:
    """Turns lines into events."""

    def __init__(self, guests: Sequence[_Guest], writer: TraceWriter) -> None:
        self.counts = Counts()
        self._writer = writer
        self._guests = guests
        self._of_thread = {thread: guest for guest in guests for thread in guest.seen.threads}
        self._of_device = {device: guest for guest in guests for device in guest.seen.devices}
        self._open: dict[int, _Element] = {}
        self._outputs: set[int] = set()
        self._rows: list[tuple[int, ...]] = []
        self._sequence = 0

    def read(self, lines: LogLines) -> None:
        """Read all lines, and write all events."""
        for line in lines:
            said = line.said
            if isinstance(said, Discard):
                self._on_discard(line, said)
            elif isinstance(said, Pop):
                self._on_pop(line, said)
            elif isinstance(said, Output):
                self._end_turn(line.thread)
                self._outputs.add(line.thread)
            elif isinstance(said, Status):
                self._on_status(line, said)
            elif isinstance(said, ConfigWrite):
                self._on_config_write(line, said)
            if len(self._rows) >= ROWS_AT_ONCE:
                self._flush()
        for thread in [*self._open, *self._outputs]:
            self._end_turn(thread)
        self._flush()

    def _guest(self, thread: int) -> _Guest | None:
        return self._guests[0] if len(self._guests) == 1 else self._of_thread.get(thread)

    def _end_turn(self, thread: int) -> None:
        """A thread begins something new: what it was about is complete."""
        if thread in self._outputs:
            # Deflated, or part of a huge page, or discards were inhibited: which, no line says.
            self._outputs.discard(thread)
            self.counts.without_discard += 1
        element = self._open.pop(thread, None)
        guest = self._guest(thread)
        if element is None or guest is None:
            return
        for _, *place, _ in element.discards:
            self._emit(guest, Kind.REPORT, element.time_ns, place=place, element=element.number)
        for time_ns, *place, status in element.discards:
            self._emit(
                guest, Kind.DISCARD, time_ns, place=place, status=status, element=element.number
            )
        self.counts.ranges += len(element.discards)
        self.counts.not_discarded += element.in_count - len(element.discards) - element.elsewhere

    def _on_pop(self, line: Line, pop: Pop) -> None:
        self._end_turn(line.thread)
        guest = self._guest(line.thread)
        if guest is None or pop.in_count > LONGEST_ELEMENT:
            return
        if not guest.seen.queue:
            self.counts.of_unknown_queues += pop.in_count > 0 and pop.out_count == 0
        if pop.queue != guest.seen.queue:
            return
        self._open[line.thread] = _Element(guest.next_element, line.time_ns, pop.in_count)
        guest.next_element += 1
        self.counts.elements += 1

    def _on_discard(self, line: Line, discard: Discard) -> None:
        guest = self._guest(line.thread)
        if guest is None:
            return
        block, offset_bytes = guest.locate(discard)
        element = self._open.get(line.thread)
        if block == NO_BLOCK:
            self.counts.elsewhere += 1
            if element is not None:
                element.elsewhere += 1
            return
        self.counts.discards += 1
        row = (line.time_ns, block, offset_bytes, discard.length_bytes, discard.status)
        if line.thread in self._outputs:
            self._outputs.discard(line.thread)
            self.counts.inflated += 1
            place = row[1:4]
            self._emit(guest, Kind.INFLATE, line.time_ns, place=place)
            self._emit(guest, Kind.DISCARD, line.time_ns, place=place, status=discard.status)
            return
        if element is None:
            element = self._open[line.thread] = _Element(guest.next_element, line.time_ns, 1)
            guest.next_element += 1
            self.counts.lone_discards += 1
        element.discards.append(row)
        if len(element.discards) + element.elsewhere >= element.in_count:
            self._end_turn(line.thread)

    def _on_status(self, line: Line, status: Status) -> None:
        guest = self._of_device.get(status.device)
        if guest is None:
            self.counts.other_status += 1
            return
        if status.value == 0 and not guest.is_reset:
            self._emit(guest, Kind.RESET, line.time_ns)
        guest.is_reset = status.value == 0
        self._emit(guest, Kind.STATUS, line.time_ns, status=status.value)
        self.counts.status += 1

    def _on_config_write(self, line: Line, write: ConfigWrite) -> None:
        guest = self._guest(line.thread)
        if guest is None or write.actual == write.old_actual:
            self.counts.unclear_writes += 1
            return
        place = (NO_BLOCK, ACTUAL_OFFSET_BYTES, ACTUAL_BYTES)
        self._emit(guest, Kind.CONFIG_WRITE, line.time_ns, place=place, status=write.actual)
        self.counts.config_writes += 1

    def _emit(
        self,
        guest: _Guest,
        kind: Kind,
        time_ns: int,
        *,
        place: Sequence[int] = (NO_BLOCK, 0, 0),
        status: int = 0,
        element: int = NO_ELEMENT,
    ) -> None:
        """Add one event; its place is block, offset and length."""
        self._sequence += 1
        self._rows.append((time_ns, self._sequence, guest.vm, kind, *place, status, element, 0))

    def _flush(self) -> None:
        rows = np.array(self._rows, dtype=np.int64).reshape(-1, len(EVENTS.columns))
        self._rows.clear()
        columns = {name: rows[:, number] for number, name in enumerate(EVENTS.column_names)}
        self._writer.append(EVENTS.name, columns)
