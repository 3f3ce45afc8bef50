"""Make a trace of events in a CSV, piece by piece.

What is beside it, as `csv_export` writes it, is used; without, the caller says what a manifest
needs.
"""

from __future__ import annotations

import csv
import itertools
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from workbench import __version__
from workbench.errors import InputError, UsageError
from workbench.schema import EVENTS, NO_BLOCK, NO_ELEMENT, STATE, TABLES, Kind, Table
from workbench.spelling import suggestion
from workbench.trace.csv_export import NAMED, side_files
from workbench.trace.guest_series import SEPARATORS
from workbench.trace.imported import NOT_KNOWN, UNKNOWN_HOST, taking_place, unseen_memory
from workbench.trace.manifest import (
    MANIFEST_NAME,
    Manifest,
    RamBlock,
    VirtualMachine,
    parse_manifest,
)
from workbench.trace.qemu_blocks import DEFAULT_BLOCK
from workbench.trace.rows import Rows
from workbench.trace.segments import column_numbers
from workbench.trace.writer import TraceWriter
from workbench.units import NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from workbench.trace.reader import Columns

CLOCK: Final = "as the CSV has it"

NEEDED: Final = {
    EVENTS.name: ("time_ns", "kind", "offset_bytes", "length_bytes"),
    STATE.name: STATE.column_names,
}
"""Columns that have no default; of other tables that is the time only."""

PIECE_BYTES: Final = 4 << 20
"""What is read at once; no line may be longer."""

ADVICE: Final = "correct the line, and import again"

_IN_RAM: Final = [
    int(kind)
    for kind in (
        *(Kind.REPORT, Kind.DISCARD, Kind.FAULT, Kind.SWAP_OUT),
        *(Kind.HINT_RANGE, Kind.ACCESS),
    )
]
"""Kinds whose place is in guest RAM; `ram_block` is 0 there, if the CSV has no such column."""


class CsvOptions(NamedTuple):
    """What a manifest needs, where there is none beside the CSV.

    Attributes
    ----------
    memory_bytes
        Of each guest; None where there is a manifest.
    names
        Of the guests.
    command
        The command line that asks for the import.
    """

    memory_bytes: int | None = None
    names: Sequence[str] = ()
    command: str = ""


def import_csv(
    path: Path,
    output: Path,
    options: CsvOptions,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Make the trace folder `output` of the events in `path`.

    Parameters
    ----------
    progress
        Called with the number of bytes that were read since the last call.

    Raises
    ------
    InputError
        The CSV is not one of events; the message has the line.
    UsageError
        The memory is missing, or was given beside a manifest; or `output` is there already.
    """
    beside = side_files(path)
    has_manifest = beside[MANIFEST_NAME].exists()
    if has_manifest:
        _refuse_options(options, beside[MANIFEST_NAME])
        manifest = parse_manifest(beside[MANIFEST_NAME])
    else:
        manifest = _new_manifest(path, options)
    with taking_place(output) as folder:
        writer = TraceWriter(folder, manifest)
        seen = _Seen()
        for columns in _read(_Csv(path, EVENTS), manifest, progress):
            seen.add(columns)
            writer.append(EVENTS.name, columns)
        if has_manifest:
            for name in TABLES.keys() & beside.keys():
                if beside[name].exists():
                    for columns in _read(_Csv(beside[name], TABLES[name]), manifest, progress):
                        writer.append(name, columns)
        writer.close(manifest if has_manifest else seen.described(manifest))


def _refuse_options(options: CsvOptions, manifest: Path) -> None:
    if options.memory_bytes is not None or options.names:
        raise UsageError(
            f"{manifest} says what the guests are: leave out --memory and --name, or move it away"
        )


def _new_manifest(path: Path, options: CsvOptions) -> Manifest:
    if options.memory_bytes is None:
        raise UsageError(
            f"{path}: no {side_files(path)[MANIFEST_NAME].name} is beside it, so its guest's "
            "memory is unknown: give --memory SIZE"
        )
    block = RamBlock(
        name=DEFAULT_BLOCK,
        used_bytes=options.memory_bytes,
        page_bytes=PAGE_BYTES,
        shared=False,
        transparent_huge_page=False,
    )
    return Manifest(
        tool_version=__version__,
        command=options.command,
        created="",
        clock=CLOCK,
        start_time_ns=0,
        mid_life=True,
        host=UNKNOWN_HOST,
        virtual_machines=tuple(
            VirtualMachine(
                name=name,
                qemu_version=NOT_KNOWN,
                machine_type=NOT_KNOWN,
                accelerator=NOT_KNOWN,
                memory_bytes=options.memory_bytes,
                ram_blocks=(block,),
            )
            for name in options.names or (path.name.removesuffix(".csv"),)
        ),
    )


@dataclass(slots=True)
class _Seen:
    """What all events together say, for a manifest that nobody wrote."""

    first_ns: int | None = None
    last_ns: int = 0
    has_faults: bool = False

    def add(self, columns: Columns) -> None:
        """Take more events."""
        time_ns = columns["time_ns"]
        first_ns = int(time_ns.min())
        self.first_ns = first_ns if self.first_ns is None else min(first_ns, self.first_ns)
        self.last_ns = max(self.last_ns, int(time_ns.max()))
        self.has_faults = self.has_faults or bool((columns["kind"] == Kind.FAULT).any())

    def described(self, manifest: Manifest) -> Manifest:
        """Complete the manifest."""
        first_ns = self.first_ns or 0
        created = datetime.fromtimestamp(first_ns // NANOSECONDS, UTC)
        return manifest.model_copy(
            update={
                "created": created.isoformat(timespec="seconds"),
                "start_time_ns": first_ns,
                "duration_ns": self.last_ns - first_ns,
                "complete": True,
                "probes": () if self.has_faults else unseen_memory("the CSV"),
            }
        )


class _Csv:
    """One CSV of a table, whose header is right.

    Raises
    ------
    InputError
        It cannot be read, or its header has what the table has not, or lacks what it needs.
    """

    def __init__(self, path: Path, table: Table) -> None:
        self.path = path
        self.table = table
        self.names = self._header()

    def _header(self) -> list[str]:
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                line = file.readline(PIECE_BYTES)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise InputError(
                f"{self.path}: is not text, expected a CSV of {self.table.name}"
            ) from None
        if "," not in line:
            for separator, what in SEPARATORS.items():
                if separator in line:
                    raise InputError(f"{self.path}: line 1 is separated by {what}, expected commas")
        names = [name.strip() for name in next(csv.reader([line]), [])]
        for number, name in enumerate(names):
            self._check_name(name, is_repeated=name in names[:number])
        needed = NEEDED.get(self.table.name, ("time_ns",))
        missing = [name for name in needed if name not in names]
        if missing:
            raise InputError(
                f"{self.path}: line 1 has no column {missing[0]!r}; needed are {', '.join(needed)}"
            )
        return names

    def _check_name(self, name: str, *, is_repeated: bool) -> None:
        known = self.table.column_names
        if name not in known:
            hint = suggestion(name, known, otherwise=f"there are {', '.join(known)}")
            raise InputError(
                f"{self.path}: line 1 has a column {name!r}, which is none of "
                f"{self.table.name}{hint}"
            )
        if is_repeated:
            raise InputError(f"{self.path}: line 1 has two columns {name!r}, expected one")

    def batches(self, progress: Callable[[int], None]) -> Iterator[pa.RecordBatch]:
        """Give the rows piece by piece, as they are written.

        Raises
        ------
        InputError
            A line has too few or too many cells, or one that is no whole number.
        """
        types = {name: pa.string() if name in NAMED else pa.int64() for name in self.names}
        try:
            with (
                self.path.open("rb") as file,
                pa_csv.open_csv(
                    _Told(file, progress),
                    read_options=pa_csv.ReadOptions(
                        block_size=PIECE_BYTES, column_names=self.names, skip_rows=1
                    ),
                    parse_options=pa_csv.ParseOptions(ignore_empty_lines=False),
                    convert_options=pa_csv.ConvertOptions(column_types=types, null_values=[]),
                ) as reader,
            ):
                yield from reader
        except pa.ArrowInvalid as error:
            self._explain()
            raise InputError(f"{self.path}: {error}; {ADVICE}") from None

    def _explain(self) -> None:
        """Find the first line that is wrong: slower, but by its number."""
        with self.path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            rows = csv.reader(file)
            for cells in itertools.islice(rows, 1, None):
                self._explain_line(rows.line_num, cells)

    def _explain_line(self, line: int, cells: list[str]) -> None:
        if len(cells) != len(self.names):
            raise InputError(
                f"{self.path}: line {line} has {len(cells)} cells, expected {len(self.names)}; "
                f"{ADVICE}"
            )
        for name, cell in zip(self.names, cells, strict=True):
            if name not in NAMED and not _is_number(cell.strip()):
                raise InputError(
                    f"{self.path}: line {line} has {name} {cell!r}, expected a whole number; "
                    f"{ADVICE}"
                )


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?[0-9]{1,19}", text)) and -(2**63) <= int(text) < 2**63


class _Told:
    """A file that tells how much of it was read."""

    closed = False

    def __init__(self, file: Any, progress: Callable[[int], None]) -> None:  # noqa: ANN401 - any file.
        self._file = file
        self._progress = progress

    def read(self, size: int) -> bytes:
        """Read, and tell."""
        content: bytes = self._file.read(size)
        self._progress(len(content))
        return content

    def close(self) -> None:
        """Leave it to who opened the file."""


def _read(source: _Csv, manifest: Manifest, progress: Callable[[int], None]) -> Iterator[Columns]:
    """Give the columns of a table, whole and checked."""
    first_row = 0
    for batch in source.batches(progress):
        if not batch.num_rows:
            continue
        line = first_row + 2
        columns = {
            name: _codes(source, name, column, line)
            if name in NAMED
            else column_numbers(pa.chunked_array([column]), "int64")
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
        columns = _with_defaults(columns, source.table, first_row)
        Rows(
            path=source.path, columns=columns, first_row=line, row_word="line", advice=ADVICE
        ).check(manifest, source.table)
        first_row += batch.num_rows
        yield columns


def _codes(source: _Csv, name: str, column: pa.Array, first_line: int) -> Any:  # noqa: ANN401 - int64.
    """Give the codes of a column of names; a code may stand for itself."""
    codes = NAMED[name]
    known = {each.name.lower(): int(each) for each in codes}
    known |= {str(int(each)): int(each) for each in codes}
    distinct = pc.dictionary_encode(column)
    found = [known.get(text.strip().lower()) for text in distinct.dictionary.to_pylist()]
    indices = column_numbers(pa.chunked_array([distinct.indices]), "int64")
    if None in found:
        is_wrong = np.array([code is None for code in found])[indices]
        row = int(np.argmax(is_wrong))
        text = column[row].as_py()
        names = [each.name.lower() for each in codes]
        hint = suggestion(text.strip(), names, otherwise=f"there are {', '.join(names)}")
        raise InputError(f"{source.path}: line {first_line + row} has {name} {text!r}{hint}")
    return np.array(found, np.int64)[indices]


def _with_defaults(columns: Columns, table: Table, first_row: int) -> Columns:
    """Add what a CSV of events need not have; in other tables that is 0."""
    count = len(next(iter(columns.values())))
    defaults = {name: np.zeros(count, np.int64) for name in table.column_names}
    if table is EVENTS:
        defaults["sequence"] = np.arange(first_row, first_row + count)
        defaults["element"][:] = NO_ELEMENT
        in_ram = np.isin(columns["kind"], _IN_RAM)
        defaults["ram_block"] = np.where(in_ram, 0, NO_BLOCK)
    return {name: columns.get(name, defaults[name]) for name in table.column_names}
