"""The Parquet files of one table: `FIRST-LAST.parquet`, numbered by the segments they hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.schema import Table

_NAME = re.compile(r"(\d{6})-(\d{6})\.parquet")


def segment_name(first: int, last: int) -> str:
    """Name the file that holds the segments from `first` to `last`, both included."""
    return f"{first:06d}-{last:06d}.parquet"


def segment_paths(folder: Path) -> list[Path]:
    """List the files to read, in order, without those that a joined file already holds."""
    spans = sorted(
        (int(match[1]), -int(match[2]), path)
        for path in folder.glob("*.parquet")
        if (match := _NAME.fullmatch(path.name))
    )
    paths = []
    held_to = -1
    for first, negative_last, path in spans:
        if first > held_to:
            paths.append(path)
            held_to = -negative_last
    return paths


def read_table(folder: Path, table: Table) -> pa.Table:
    """Read every segment of a table, with exactly the columns of the schema.

    Raises
    ------
    InputError
        A file is damaged, or lacks a column.
    """
    names = list(table.column_names)
    tables = []
    for path in segment_paths(folder):
        try:
            tables.append(pq.read_table(path, columns=names, partitioning=None))
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            others = len(segment_paths(folder)) - 1
            advice = "remove it to read the others" if others else "copy the trace again"
            message = f"{path}: not a whole Parquet file ({reason}); {advice}"
            raise InputError(message) from None
        missing = set(names) - set(tables[-1].column_names)
        if missing:
            message = f"{path}: has no column {min(missing)!r}; capture the trace again"
            raise InputError(message)
    if not tables:
        message = f"{folder}: table {table.name!r} is missing; copy the whole trace folder again"
        raise InputError(message)
    return pa.concat_tables(tables)
