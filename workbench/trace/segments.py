"""The Parquet files of one table: `FIRST-LAST.parquet`, numbered by the segments they hold."""

from __future__ import annotations

import contextlib
import re
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import InputError
from workbench.trace.room import require_memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from workbench.schema import Table
    from workbench.trace.reader import Columns

_COPIES = 3
"""Of a row while it is read: Arrow's, the array's, and one in order."""

_NAME = re.compile(r"([0-9]{6,})-([0-9]{6,})\.parquet")


class Span(NamedTuple):
    """A file, and the segments [first, stop) it holds."""

    first: int
    stop: int
    path: Path


def arrow_schema(table: Table) -> pa.Schema:
    """Render a table's columns for Parquet; unit and meaning travel in the file."""
    return pa.schema(
        [
            pa.field(
                column.name,
                pa.from_numpy_dtype(np.dtype(column.dtype)),
                nullable=False,
                metadata={"unit": column.unit, "meaning": column.meaning},
            )
            for column in table.columns
        ]
    )


def column_numbers(column: pa.ChunkedArray, dtype: str) -> npt.NDArray[Any]:
    """Give a column of numbers, none of them missing, as an array.

    By DLPack, because `to_numpy` imports pandas, which takes longer than to replay a short trace.
    """
    parts = [np.from_dlpack(chunk) for chunk in column.chunks]
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype, copy=False)


def column_view(column: pa.ChunkedArray, dtype: str) -> npt.NDArray[Any]:
    """Give such a column without a copy if it is in one piece; nobody may write to it then."""
    if column.num_chunks == 1:
        return np.from_dlpack(column.chunk(0)).astype(dtype, copy=False)
    return column_numbers(column, dtype)


def segment_name(first: int, last: int) -> str:
    """Name the file that holds the segments from `first` to `last`, both included."""
    return f"{first:06d}-{last:06d}.parquet"


def segment_paths(folder: Path) -> list[Path]:
    """List the files to read, in order, without those that a joined file already holds.

    Raises
    ------
    InputError
        The folder is there and cannot be listed.
    """
    return [span.path for span in _read_spans(all_spans(folder))]


def count_missing_segments(folder: Path) -> int:
    """Count the segments before the last that no file holds; a capture numbers them from 0."""
    spans = all_spans(folder)
    held = sum(span.stop - span.first for span in _read_spans(spans))
    return max((span.stop for span in spans), default=0) - held


def all_spans(folder: Path) -> list[Span]:
    """List the table's files, those that begin first and hold most before the others."""
    try:
        paths = list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror})") from None
    spans = [
        Span(int(match[1]), int(match[2]) + 1, path)
        for path in paths
        if (match := _NAME.fullmatch(path.name)) and int(match[1]) <= int(match[2])
    ]
    return sorted(spans, key=lambda span: (span.first, -span.stop, span.path.name))


def _read_spans(spans: list[Span]) -> list[Span]:
    chosen: list[Span] = []
    for span in spans:
        if not chosen or span.first >= chosen[-1].stop:
            chosen.append(span)
    return chosen


def read_table(folder: Path, table: Table) -> pa.Table:
    """Read every segment of a table, with exactly the columns of the schema.

    Raises
    ------
    InputError
        A file is damaged or cannot be opened, or a column is not what the schema says.
    HostError
        There are more rows than fit into this host's memory.
    """
    paths, advice = table_files(folder, table)
    refuse_large(folder, table, _count_rows(paths, table, advice))
    return pa.concat_tables([read_segment(path, table, advice) for path in paths])


def count_rows(folder: Path, table: Table) -> int:
    """Count the rows of a table by what its files say of themselves.

    Raises
    ------
    InputError
        A file is damaged or cannot be opened, or a column is not what the schema says.
    """
    paths, advice = table_files(folder, table)
    return _count_rows(paths, table, advice)


def _count_rows(paths: list[Path], table: Table, advice: str) -> int:
    count = 0
    for path in paths:
        with open_segment(path, table, advice) as file:
            count += file.metadata.num_rows
    return count


def refuse_large(path: Path, table: Table, row_count: int) -> None:
    """Refuse to have so many rows in memory at once, where they do not fit.

    Raises
    ------
    HostError
        They do not.
    """
    row_bytes = sum(np.dtype(column.dtype).itemsize for column in table.columns)
    require_memory(
        _COPIES * row_count * row_bytes,
        f"{path}: to have {row_count:,} rows at once",
        "`workbench replay --totals` reads row group by row group, which are to be smaller",
    )


def table_files(folder: Path, table: Table) -> tuple[list[Path], str]:
    """List the files of a table that must be there, and say what to do where one is damaged.

    Raises
    ------
    InputError
        There is none.
    """
    paths = segment_paths(folder)
    if not paths:
        message = f"{folder}: table {table.name!r} is missing; copy the whole trace folder again"
        raise InputError(message)
    return paths, "remove it to read the others" if len(paths) > 1 else "copy the trace again"


def read_row_group(file: pq.ParquetFile, path: Path, table: Table, number: int) -> Columns:
    """Read one part of an open file, all its columns.

    Raises
    ------
    InputError
        It is damaged, as far as `open_segment` does not say so.
    """
    refuse_large(path, table, file.metadata.row_group(number).num_rows)
    content = file.read_row_group(number, columns=list(table.column_names))
    content = with_absent(content, table)
    content.validate()
    refuse_gaps(path, content)
    return {
        column.name: column_numbers(content[column.name], column.dtype) for column in table.columns
    }


def read_segment(path: Path, table: Table, advice: str) -> pa.Table:
    """Read one file.

    Raises
    ------
    InputError
        It is damaged or cannot be opened, or a column is not what the schema says.
    """
    schema = arrow_schema(table)
    with open_segment(path, table, advice) as file:
        content = with_absent(file.read(columns=schema.names), table)
        content.validate()
    refuse_gaps(path, content)
    return pa.Table.from_arrays([content[name] for name in schema.names], schema=schema)


def with_absent(content: pa.Table, table: Table) -> pa.Table:
    """Give the content of a file from before some columns what stands in their place."""
    for column, field in zip(table.columns, arrow_schema(table), strict=True):
        if column.absent is not None and column.name not in content.column_names:
            values = np.full(content.num_rows, column.absent, column.dtype)
            # As bytes: to look at values Arrow would load pandas.
            buffers = [None, pa.py_buffer(values)]
            array = pa.Array.from_buffers(field.type, values.size, buffers)
            content = content.append_column(column.name, array)
    return content


@contextlib.contextmanager
def open_segment(path: Path, table: Table, advice: str) -> Iterator[pq.ParquetFile]:
    """Open one file that has the columns of the schema, to read it inside the `with` only.

    What Arrow objects to there is damage, unless the system refused the reading.

    Raises
    ------
    InputError
        The file is damaged or cannot be opened, or a column is not what the schema says.
    """
    check_is_file(path)
    try:
        with pq.ParquetFile(path) as file:
            _check_types(path, file.schema_arrow, table)
            yield file
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno:
            raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        message = f"{path}: not a whole Parquet file ({reason}); {advice}"
        raise InputError(message) from None


def refuse_gaps(path: Path, content: pa.Table) -> None:
    """Refuse rows without a value: every column has one in every row.

    Raises
    ------
    InputError
        One has not.
    """
    for name in content.column_names:
        if content[name].null_count:
            message = f"{path}: column {name!r} has empty values, expected none"
            raise InputError(f"{message}; capture the trace again")


def check_is_file(path: Path) -> None:
    """Refuse what cannot be opened, with the system's reason; it may be whole nevertheless.

    Raises
    ------
    InputError
        It cannot, or is no file: a pipe would be waited for without end.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: is not a file, expected a segment of the trace")
        with path.open("rb"):
            pass
    except OSError as error:
        dangling = path.is_symlink() and isinstance(error, FileNotFoundError)
        reason = "a link to a file that is not there" if dangling else error.strerror
        raise InputError(f"{path}: cannot be opened ({reason})") from None


def _check_types(path: Path, found: pa.Schema, table: Table) -> None:
    for field, column in zip(arrow_schema(table), table.columns, strict=True):
        indices = found.get_all_field_indices(field.name)
        if not indices:
            if column.absent is not None:
                continue
            message = f"{path}: has no column {field.name!r}"
        elif len(indices) > 1:
            message = f"{path}: has {len(indices)} columns {field.name!r}, expected one"
        elif found.field(indices[0]).type != field.type:
            kind = found.field(indices[0]).type
            message = f"{path}: column {field.name!r} is {kind}, expected {field.type}"
        else:
            continue
        raise InputError(f"{message}; capture the trace again")
