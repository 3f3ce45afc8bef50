"""Give a table piece by piece, for traces that are larger than memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.errors import UsageError
from workbench.schema import TABLES
from workbench.spelling import suggestion
from workbench.trace.merge import merge_rows, order_names, regroup
from workbench.trace.rows import Rows, checked_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from workbench.schema import Table
    from workbench.trace.manifest import Manifest
    from workbench.trace.reader import Columns

ROWS_AT_ONCE: Final = 1 << 20
"""Rows of a batch: 62 MB if all columns of `events` are asked for."""

HELD_ROWS_MAX: Final = 1 << 23
"""Rows that may wait for what can still precede them: half a gigabyte of whole events.  A capture
writes a segment a second, and only neighbours overlap."""


def table_named(name: str) -> Table:
    """Give the table of a name.

    Raises
    ------
    UsageError
        There is none.
    """
    if name not in TABLES:
        meant = suggestion(name, TABLES, otherwise=f"there are {', '.join(TABLES)}")
        raise UsageError(f"no table is called {name!r}{meant}")
    return TABLES[name]


def asked_table(table_name: str, column_names: Sequence[str], row_count: int) -> Table:
    """Give the table that is meant.

    Raises
    ------
    UsageError
        There is no such table or column, none was asked for, or `row_count` is below 1.
    """
    table = table_named(table_name)
    there_are = f"there are {', '.join(table.column_names)}"
    for name in column_names:
        if name not in table.column_names:
            meant = suggestion(name, table.column_names, otherwise=there_are)
            raise UsageError(f"table {table_name!r} has no column {name!r}{meant}")
    if not column_names:
        raise UsageError(f"no column of table {table_name!r} was asked for; {there_are}")
    if row_count < 1:
        raise UsageError(f"batches of {row_count} rows cannot be given; ask for 1 or more")
    return table


def cut(columns: Columns, column_names: Sequence[str], row_count: int) -> Iterator[Columns]:
    """Cut columns in memory into batches; they are views, not copies."""
    asked = {name: columns[name] for name in column_names}
    for first in range(0, len(asked[column_names[0]]), row_count):
        yield {name: values[first : first + row_count] for name, values in asked.items()}


def read_batches(
    folder: Path,
    manifest: Manifest,
    table: Table,
    column_names: Sequence[str],
    row_count: int,
) -> Iterator[Columns]:
    """Read the files of a table in batches, and check every row.

    Raises
    ------
    InputError
        A file is damaged, a column is missing, a value cannot be, or the files are too far out of
        the order of time.
    """
    checked = _checked_rows(folder, manifest, table, column_names)
    return regroup(checked, row_count)


def _checked_rows(
    folder: Path, manifest: Manifest, table: Table, column_names: Sequence[str]
) -> Iterator[Columns]:
    """Give runs of rows as they can be read, with what was asked for only."""
    names = dict.fromkeys((*column_names, *checked_names(table)))
    first_row = 0
    runs = merge_rows(folder, table, names, order_names(table), held_rows_max=HELD_ROWS_MAX)
    for run in runs:
        Rows(path=folder, columns=run, first_row=first_row).check(manifest, table)
        first_row += len(run["vm"])
        yield {name: run[name] for name in column_names}
