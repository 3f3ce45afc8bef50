"""Write a trace so that a killed capture leaves everything up to the last segment.

A segment is one complete Parquet file, synced and then renamed into place.  A clean end joins a
table's segments into one file whose name says which it holds, so that a crash between the two
steps leaves nothing twice.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import UsageError
from workbench.schema import TABLES, Table
from workbench.trace.manifest import MANIFEST_NAME, Manifest
from workbench.trace.merge import merge_rows, regroup
from workbench.trace.segments import arrow_schema, segment_name, segment_paths
from workbench.whole_file import cannot_write, replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from workbench.trace.reader import Columns


ROW_GROUP_ROWS: Final = 1 << 18
"""Rows that are read at once: 16 MB of whole events.  Larger ones take longer for each event, as
they leave the processor's cache between one step of decoding and the next."""

_FEW_VALUES: Final = {"vm", "kind", "ram_block", "page_state", "length_bytes", "status", "element"}
"""Columns of few different values, in long runs: numbers into a list of them are smallest."""

_QUICK: Final = {*_FEW_VALUES, "time_ns", "sequence"}
"""Columns that zstd makes smaller than snappy does by a fiftieth of a byte an event at most
(`time_ns`: by an eighth), and takes two or three times as long to read."""

_LONG_TYPES: Final = (pa.int64(), pa.int32())
"""What Parquet can store as differences, which compresses best where neighbours are alike."""


class TraceWriter:
    """Writes one trace folder.  The folder is private to its owner: traces hold guest addresses.

    Raises
    ------
    UsageError
        `path` exists already: a capture never overwrites another.
    WriteError
        `path` cannot be written: no room, no right.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self._next_segment = dict.fromkeys(TABLES, 0)
        self._is_whole = True
        try:
            path.mkdir(parents=True, mode=0o700)
            for name in TABLES:
                (path / name).mkdir(mode=0o700)
        except FileExistsError:
            message = f"{path}: exists already; name another folder or remove it first"
            raise UsageError(message) from None
        except OSError as error:
            raise cannot_write(path, error) from error
        for name in TABLES:
            self.append(name, {})
        self.write_manifest(manifest)

    def append(self, table_name: str, columns: Mapping[str, npt.ArrayLike]) -> None:
        """Write one segment.  Columns that are not given are zero.

        Parameters
        ----------
        table_name
            One of `schema.TABLES`.
        columns
            Arrays of one length; the names and types are those of `schema`.

        Raises
        ------
        WriteError
            It cannot be written.  Its number stays unused, which shows that a segment is missing.
        """
        table = TABLES[table_name]
        length = max((np.size(values) for values in columns.values()), default=0)
        number = self._next_segment[table_name]
        if length == 0 and number > 0:
            return
        arrays = [
            np.ascontiguousarray(columns.get(column.name, np.zeros(length)), dtype=column.dtype)
            for column in table.columns
        ]
        content = dict(zip(table.column_names, arrays, strict=True))
        path = self.path / table_name / segment_name(number, number)
        self._next_segment[table_name] = number + 1
        is_whole, self._is_whole = self._is_whole, False
        write_parquet(_arrow_table(content, table), path)
        self._is_whole = is_whole

    def write_manifest(self, manifest: Manifest) -> None:
        """Put `manifest` in place of the one before, in one step."""
        text = manifest.model_dump_json(indent=1) + "\n"
        with replacing(self.path / MANIFEST_NAME) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def close(self, manifest: Manifest) -> None:
        """Join the segments and write the final manifest.

        Where one could not be written none are joined: the joined file would hide that.
        """
        for name, table in TABLES.items() if self._is_whole else ():
            folder = self.path / name
            old = segment_paths(folder)
            if len(old) > 1:
                joined = segment_name(0, self._next_segment[name] - 1)
                _join(folder, table, folder / joined)
                for path in old:
                    path.unlink()
        self.write_manifest(manifest)


def _join(folder: Path, table: Table, path: Path) -> None:
    """Write all files of a table into one, in order; a few row groups are in memory at a time."""
    wanted = ("time_ns", "sequence", "vm", "ram_block", "offset_bytes")
    keys = [name for name in wanted if name in table.column_names]
    runs = merge_rows(folder, table, table.column_names, keys)
    parts = (_arrow_table(run, table) for run in regroup(runs, ROW_GROUP_ROWS))
    _write_row_groups(parts, arrow_schema(table), path)
    # The name must be on the disk before the segments are taken away.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _arrow_table(columns: Columns, table: Table) -> pa.Table:
    arrays = [pa.array(columns[name]) for name in table.column_names]
    return pa.Table.from_arrays(arrays, schema=arrow_schema(table))


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write one Parquet file, in one step: a reader sees the old file or the whole new one."""
    starts = range(0, table.num_rows, ROW_GROUP_ROWS)
    parts = (table.slice(start, ROW_GROUP_ROWS) for start in starts)
    _write_row_groups(parts, table.schema, path)


def _write_row_groups(parts: Iterable[pa.Table], schema: pa.Schema, path: Path) -> None:
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, schema, **_encodings(schema)) as file,
    ):
        for part in parts:
            file.write_table(part, row_group_size=ROW_GROUP_ROWS)


def _encodings(schema: pa.Schema) -> dict[str, Any]:
    """Choose how each column is stored.

    Durations go into the list of different values too: they repeat, as clocks do not tell
    nanoseconds apart.  Where there are too many, Parquet stores them plain, which zstd makes small.
    """
    listed = {name for name in schema.names if name in _FEW_VALUES or name == "duration_ns"}
    codec = {name: "snappy" if name in _QUICK else "zstd" for name in schema.names}
    return {
        "use_dictionary": sorted(listed) or False,
        "column_encoding": {
            field.name: "DELTA_BINARY_PACKED" if field.type in _LONG_TYPES else "PLAIN"
            for field in schema
            if field.name not in listed
        },
        "compression": codec,
        "compression_level": {name: 9 for name in schema.names if codec[name] == "zstd"},
    }
