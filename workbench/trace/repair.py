"""Make a whole trace of all that can be read of a damaged one, and count what cannot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.errors import InputError
from workbench.schema import EVENTS, NO_BLOCK, SCHEMA_VERSION, STATE, TABLES, Kind
from workbench.trace.derived import fresh_trace
from workbench.trace.manifest import MANIFEST_NAME, Probe, parse_manifest
from workbench.trace.rows import Rows
from workbench.trace.segments import Span, all_spans, open_segment, read_row_group, segment_name
from workbench.trace.writer import ROW_GROUP_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from workbench.schema import Table
    from workbench.trace.manifest import Manifest
    from workbench.trace.reader import Columns
    from workbench.trace.writer import TraceWriter

REPAIR_PROBE: Final = "repair"
"""The name under which the manifest counts what a repair had to drop."""

_IN_MEMORY: Final = (Kind.DISCARD, Kind.FAULT, Kind.SWAP_OUT, Kind.ACCESS)
"""Events about memory that the machine must have."""


class Dropped(NamedTuple):
    """Something that could not be read."""

    table: str
    file: str
    reason: str
    rows: int | None
    """How many rows it had; None where nobody knows."""
    first_ns: int | None
    last_ns: int | None
    """Between which times of rows that were kept it lies; None: before, or after, all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What a repair kept and dropped.

    Attributes
    ----------
    rows
        Kept rows, by table.
    unfinished
        Files that a killed writer had not finished: they were never part of the trace.
    lost_events
        Events (and rows of `state`) that are lost as far as is known; the manifest has them too.
    duration_ns
        How long the repaired trace is.
    """

    rows: dict[str, int]
    dropped: tuple[Dropped, ...]
    unfinished: tuple[str, ...]
    lost_events: int
    was_complete: bool
    duration_ns: int


@dataclass(slots=True)
class _Kept:
    """What was kept of a table so far."""

    rows: int = 0
    last_ns: int | None = None
    last_sequence: int = 0
    end_ns: int = 0
    dropped: list[Dropped] = field(default_factory=list)
    lost: int = 0


def repair_trace(folder: Path, output: Path) -> Repair:
    """Write all that can be read of the trace in `folder` to `output`, as a complete trace.

    Raises
    ------
    InputError
        The manifest cannot be used: nothing else says what guests the rows are about.
    UsageError
        Something is at `output` already.

    Notes
    -----
    Memory: one row group.
    """
    manifest = parse_manifest(folder / MANIFEST_NAME)
    kept: dict[str, _Kept] = {}
    with fresh_trace(output, manifest) as writer:
        for name, table in TABLES.items():
            kept[name] = _Table(folder / name, table, manifest, writer).copy()
        lost = {
            f"{name}: unreadable": kept[name].lost
            for name in (EVENTS.name, STATE.name)
            if kept[name].lost
        }
        end_ns = max(found.end_ns for found in kept.values())
        duration_ns = max(manifest.duration_ns, end_ns - manifest.start_time_ns)
        probe = Probe(name=REPAIR_PROBE, attached=True, lost=lost)
        probes = (*manifest.probes, probe) if lost else manifest.probes
        writer.close(
            manifest.model_copy(
                update={
                    "schema_version": SCHEMA_VERSION,
                    "complete": True,
                    "duration_ns": duration_ns,
                    "probes": probes,
                }
            )
        )
    return Repair(
        rows={name: found.rows for name, found in kept.items()},
        dropped=tuple(one for found in kept.values() for one in found.dropped),
        unfinished=tuple(_unfinished(folder)),
        lost_events=sum(lost.values()),
        was_complete=manifest.complete,
        duration_ns=duration_ns,
    )


def _unfinished(folder: Path) -> list[str]:
    found = [*folder.glob(".*.partial"), *folder.glob("*/.*.partial")]
    return sorted(str(path.relative_to(folder)) for path in found)


class _Damage(NamedTuple):
    """A row group that cannot be read, and its rows; None where it is not known how many."""

    reason: str
    rows: int | None


class _Table:
    """One table on its way from the damaged trace to the whole one."""

    def __init__(self, folder: Path, table: Table, manifest: Manifest, writer: TraceWriter) -> None:
        self._folder = folder
        self._table = table
        self._manifest = manifest
        self._writer = writer
        self._kept = _Kept()
        self._waiting: list[Columns] = []
        self._waiting_rows = 0
        self._open: list[int] = []
        """Of what was dropped since rows were kept last, what has no end yet."""

    def copy(self) -> _Kept:
        """Copy what can be read."""
        stop = 0
        spans = all_spans(self._folder)
        for place, span in enumerate(spans):
            if span.first < stop:
                continue
            overlaps = any(span.first <= other.first < span.stop for other in spans[place + 1 :])
            if overlaps and not self._is_whole(span):
                continue  # A joined file that is damaged: its segments are still there.
            if span.first > stop:
                self._drop(segment_name(stop, span.first - 1), "missing", None)
            self._copy_file(span)
            stop = span.stop
        self._flush()
        return self._kept

    def _is_whole(self, span: Span) -> bool:
        return not any(isinstance(content, _Damage) for content in self._contents(span))

    def _contents(self, span: Span) -> Iterator[Columns | _Damage]:
        """Give the row groups of a file, those that are damaged too.  It is opened few times."""
        number, count = 0, 1
        while number < count:
            try:
                with open_segment(span.path, self._table, "") as file:
                    count = int(file.metadata.num_row_groups)
                    while number < count:
                        yield read_row_group(file, span.path, self._table, number)
                        number += 1
            except InputError as error:
                yield _Damage(_reason(error, span.path), self._row_count(span, number))
                number += 1

    def _row_count(self, span: Span, number: int) -> int | None:
        """Say how many rows a row group has; None where nothing of the file can be read."""
        try:
            with open_segment(span.path, self._table, "") as file:
                return max(int(file.metadata.row_group(number).num_rows), 0)
        except InputError:
            return None

    def _copy_file(self, span: Span) -> None:
        for content in self._contents(span):
            if isinstance(content, _Damage):
                self._drop(span.path.name, content.reason, content.rows)
            else:
                self._keep(span.path.name, content)

    def _keep(self, file: str, columns: Columns) -> None:
        is_wrong = np.zeros(columns["vm"].size, np.bool_)
        self._mark_wrong(columns, is_wrong, 0)
        is_wrong[~is_wrong] = ~_is_in_memory(
            self._table, self._manifest, {name: each[~is_wrong] for name, each in columns.items()}
        )
        right = {name: values[~is_wrong] for name, values in columns.items()}
        count = right["vm"].size
        if count:
            self._end_open(right)
            self._write(right)
            self._kept.rows += count
            if "time_ns" in right:
                self._kept.last_ns = int(right["time_ns"].max())
                self._kept.end_ns = max(self._kept.end_ns, self._kept.last_ns)
            if "sequence" in right:
                sequence = int(right["sequence"].max())
                self._kept.last_sequence = max(self._kept.last_sequence, sequence)
        if count < is_wrong.size:
            self._drop(file, "rows that cannot be", is_wrong.size - count)

    def _write(self, columns: Columns) -> None:
        """Write rows, as soon as there are enough of them."""
        self._waiting.append(columns)
        self._waiting_rows += columns["vm"].size
        if self._waiting_rows >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            names = self._table.column_names
            parts = self._waiting
            joined = {name: np.concatenate([part[name] for part in parts]) for name in names}
            self._writer.append(self._table.name, joined)
        self._waiting, self._waiting_rows = [], 0

    def _mark_wrong(self, columns: Columns, is_wrong: npt.NDArray[np.bool_], first: int) -> None:
        """Mark the rows that no capture writes, by halving what holds one."""
        size = columns["vm"].size
        try:
            Rows(path=self._folder, columns=columns).check(self._manifest, self._table)
        except InputError:
            if size == 1:
                is_wrong[first] = True
                return
            half = size // 2
            self._mark_wrong({name: v[:half] for name, v in columns.items()}, is_wrong, first)
            self._mark_wrong(
                {name: v[half:] for name, v in columns.items()}, is_wrong, first + half
            )

    def _drop(self, file: str, reason: str, rows: int | None) -> None:
        self._open.append(len(self._kept.dropped))
        self._kept.dropped.append(
            Dropped(self._table.name, file, reason, rows, self._kept.last_ns, None)
        )
        # Of rows that nobody can count at least one is lost, until the next rows say more.
        self._kept.lost += 1 if rows is None else rows

    def _end_open(self, columns: Columns) -> None:
        """Say of what was dropped just before these rows when it ended, and how much it was.

        A capture numbers the events that it decodes, so what is between two numbers is missing.
        """
        opened = [self._kept.dropped[place] for place in self._open]
        first_ns = int(columns["time_ns"].min()) if "time_ns" in columns else None
        for place, one in zip(self._open, opened, strict=True):
            self._kept.dropped[place] = one._replace(last_ns=first_ns)
        self._open.clear()
        unknown = sum(one.rows is None for one in opened)
        if unknown and "sequence" in columns:
            numbered = columns["sequence"][columns["sequence"] > 0]
            known = sum(one.rows or 0 for one in opened)
            if numbered.size and self._kept.last_sequence:
                gap = int(numbered.min()) - self._kept.last_sequence - 1 - known
                self._kept.lost += max(gap - unknown, 0)


def _is_in_memory(table: Table, manifest: Manifest, columns: Columns) -> npt.NDArray[np.bool_]:
    """Tell which rows are about memory that the machine has, or about none."""
    is_right = np.ones(columns["vm"].size, np.bool_)
    if table is STATE:
        needs = is_right
    elif table is EVENTS:
        needs = np.isin(columns["kind"], _IN_MEMORY)
        is_right &= (columns["kind"] != Kind.REPORT) | (columns["length_bytes"] >= 0)
    else:
        return is_right
    counts = np.array([len(machine.ram_blocks) for machine in manifest.virtual_machines])
    first_block = np.cumsum(counts) - counts
    used_bytes = np.array(
        [block.used_bytes for machine in manifest.virtual_machines for block in machine.ram_blocks]
    )
    block = columns["ram_block"].astype(np.int64)
    used = used_bytes[first_block[columns["vm"]] + np.maximum(block, 0)]
    offset, length = columns["offset_bytes"], columns["length_bytes"]
    fits = (block != NO_BLOCK) & (offset <= used) & (length >= 0) & (length <= used - offset)
    if table is EVENTS:
        is_fault = columns["kind"] == Kind.FAULT
        fits = np.where(is_fault, (block != NO_BLOCK) & (offset < used), fits)
    is_right &= fits | ~needs
    return is_right


def _reason(error: InputError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ").rstrip("; ")
