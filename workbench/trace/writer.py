"""Write a trace so that a killed capture leaves everything up to the last segment.

A segment is one complete Parquet file, synced and then renamed into place.  A clean end joins a
table's segments into one file whose name says which it holds, so that a crash between the two
steps leaves nothing twice.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import HostError, UsageError
from workbench.schema import TABLES, Table
from workbench.trace.manifest import MANIFEST_NAME, Manifest
from workbench.trace.segments import arrow_schema, read_table, segment_name, segment_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt


_LONG_TYPES = (pa.int64(), pa.int32())
"""What Parquet can store as differences, which compresses best."""


class TraceWriter:
    """Writes one trace folder.  The folder is private to its owner: traces hold guest addresses.

    Raises
    ------
    UsageError
        `path` exists already: a capture never overwrites another.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self._next_segment = dict.fromkeys(TABLES, 0)
        try:
            path.mkdir(parents=True, mode=0o700)
        except FileExistsError:
            message = f"{path}: exists already; name another folder or remove it first"
            raise UsageError(message) from None
        for name in TABLES:
            (path / name).mkdir()
            self.append(name, {})
        self.write_manifest(manifest)

    def append(self, table_name: str, columns: Mapping[str, npt.ArrayLike]) -> None:
        """Write one segment.  Columns that are not given are zero.

        Parameters
        ----------
        columns
            Arrays of one length; the names and types are those of `schema`.
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
        segment = pa.Table.from_arrays([pa.array(a) for a in arrays], schema=arrow_schema(table))
        write_parquet(segment, self.path / table_name / segment_name(number, number))
        self._next_segment[table_name] = number + 1

    def write_manifest(self, manifest: Manifest) -> None:
        """Put `manifest` in place of the one before, in one step."""
        text = manifest.model_dump_json(indent=1) + "\n"
        with _replacing(self.path / MANIFEST_NAME) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def close(self, manifest: Manifest) -> None:
        """Join the segments and write the final manifest."""
        for name, table in TABLES.items():
            folder = self.path / name
            old = segment_paths(folder)
            if len(old) > 1:
                whole = read_table(folder, table).sort_by(_sort_keys(table))
                joined = segment_name(0, self._next_segment[name] - 1)
                write_parquet(whole, folder / joined)
                for path in old:
                    path.unlink()
        self.write_manifest(manifest)


def _sort_keys(table: Table) -> list[tuple[str, Literal["ascending", "descending"]]]:
    wanted = ("time_ns", "sequence", "vm", "ram_block", "offset_bytes")
    return [(name, "ascending") for name in wanted if name in table.column_names]


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write one Parquet file, in one step: a reader sees the old file or the whole new one."""
    with _replacing(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=9,
            use_dictionary=False,
            column_encoding=_encodings(table),
        )


def _encodings(table: pa.Table) -> dict[str, str]:
    return {
        field.name: "DELTA_BINARY_PACKED" if field.type in _LONG_TYPES else "PLAIN"
        for field in table.schema
    }


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Write beside `path`, sync, rename: readers see the old file or the whole new one."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        message = (
            f"{path}: cannot be written ({error.strerror}); free some room or name another folder"
        )
        raise HostError(message) from error
