"""Read a trace folder into columns, and refuse what is not one in a sentence."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.card import Card, Shown
from workbench.errors import InputError, UsageError
from workbench.schema import EVENTS, TABLES
from workbench.spelling import Named, suggestion
from workbench.trace.batches import ROWS_AT_ONCE, asked_table, cut, read_batches, table_named
from workbench.trace.frames import table_frame
from workbench.trace.manifest import MANIFEST_NAME, Manifest, parse_manifest
from workbench.trace.merge import is_in_order, order_names
from workbench.trace.rows import Rows
from workbench.trace.segments import (
    check_is_file,
    column_numbers,
    count_missing_segments,
    count_rows,
    read_table,
    segment_paths,
)
from workbench.trace.summary import trace_card

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    import pandas as pd

    Columns = dict[str, npt.NDArray[np.int64]]


@dataclass(frozen=True, eq=False, repr=False)
class Trace(Shown):
    """A trace on disk.  Tables are read when first asked for, and kept.

    Attributes
    ----------
    path
        The folder.
    manifest
        What the trace says of itself.
    is_made
        Whether it was made in memory: then nothing in its folder is of it, even if there is one.
    """

    path: Path
    manifest: Manifest
    _tables: dict[str, Columns] = field(default_factory=dict, repr=False, compare=False)
    is_made: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Tell a trace that is given its tables from one that reads them."""
        object.__setattr__(self, "is_made", EVENTS.name in self._tables)

    @property
    def name(self) -> str:
        """The folder's name without ``.trace``."""
        return self.path.name.removesuffix(".trace")

    def has(self, table_name: str) -> bool:
        """Whether the table is there; all but `events` may be missing.

        Parameters
        ----------
        table_name
            One of `events`, `state`, `samples` and `guest_samples`.

        Raises
        ------
        UsageError
            No trace has a table of this name.
        """
        return bool(segment_paths(self.path / table_named(table_name).name))

    def columns(self, table_name: str) -> Columns:
        """Give a table's columns, in the order of time and then of the capture.

        Parameters
        ----------
        table_name
            One of `events`, `state`, `samples` and `guest_samples`.

        Returns
        -------
        Arrays of shape (row,) by column name, whose unit the name ends with; zero rows where an
        optional table is missing.

        Raises
        ------
        UsageError
            There is no such table; of the columns, no such column.
        InputError
            A file is damaged, a column is missing, or a value cannot be.
        """
        if table_name not in self._tables:
            self._tables[table_name] = self._read(table_name)
        return self._tables[table_name]

    def batches(
        self, table_name: str, column_names: Sequence[str], *, row_count: int = ROWS_AT_ONCE
    ) -> Iterator[Columns]:
        """Give some columns of a table piece by piece, in the order of `columns`.

        A table that was read already is cut; any other is read as it is asked for, and not kept.

        Parameters
        ----------
        table_name
            One of `events`, `state`, `samples` and `guest_samples`.
        column_names
            The columns to give, in this order.
        row_count
            Rows of every batch but the last, which may have fewer.

        Returns
        -------
        Arrays of one length by column name; no batch at all where the table has no rows.  Where
        there are several rows that cannot be, it is another's turn to be named than in `columns`.

        Raises
        ------
        UsageError
            There is no such table or column, none was asked for, or `row_count` is below 1.
        InputError
            A file is damaged, a column is missing, a value cannot be, or the files are too far out
            of the order of time.  It comes with the batch that cannot be given; those before it are
            right.

        Notes
        -----
        Memory: one batch, and a row group of what was asked for, is checked or gives the order, in
        each file that overlaps in time.  Batches that fit the processor's cache (2**16 rows) are
        given a third quicker than those of a million rows.
        """
        table = asked_table(table_name, column_names, row_count)
        if table_name in self._tables:
            return cut(self._tables[table_name], column_names, row_count)
        if not self.has(table_name) and table is not EVENTS:
            return iter(())
        return read_batches(self.path / table_name, self.manifest, table, column_names, row_count)

    @property
    def event_count(self) -> int:
        """How many events there are, without reading them.

        Raises
        ------
        InputError
            A file is damaged.
        """
        if EVENTS.name in self._tables:
            return len(self._tables[EVENTS.name]["time_ns"])
        return count_rows(self.path / EVENTS.name, EVENTS)

    def frame(
        self, table_name: str, *, first_row: int = 0, stop_row: int | None = None
    ) -> pd.DataFrame:
        """Give rows of a table as a pandas frame, for people.

        Parameters
        ----------
        table_name
            One of `events`, `state`, `samples` and `guest_samples`.
        first_row, stop_row
            Which rows, in the order of `columns`: from the first up to the one before the stop, or
            to the end.  With a stop no more is read than up to there, and nothing is kept.

        Returns
        -------
        One row per row of the table, numbered as in the table: time_s (since the capture began,
        where rows have a time), then all columns of the table, whose unit the name ends with.
        `kind` and `page_state` are categories, by name.

        Raises
        ------
        UsageError
            There is no such table, or no such range of rows.
        InputError
            The trace is damaged.
        """
        return table_frame(self, table_name, first_row, stop_row)

    @cached_property
    def digest(self) -> str:
        """Name the trace's content: a hash over what a replay reads, so `samples` is left out."""
        digest = hashlib.sha256(self.manifest.model_dump_json().encode())
        for table_name in ("events", "state"):
            for column_name, values in self.columns(table_name).items():
                digest.update(column_name.encode())
                digest.update(values.tobytes())
        return digest.hexdigest()

    @cached_property
    def files_digest(self) -> str:
        """Name the files that a replay reads: equal files have equal content, not the reverse.

        For traces that are larger than memory, of which `digest` would take too much.  One that
        was made in memory has no files: it is named by its content.

        Raises
        ------
        InputError
            One of them cannot be read.
        """
        if self.is_made or not self.has(EVENTS.name):
            return self.digest
        digest = hashlib.sha256(self.manifest.model_dump_json().encode())
        for table_name in ("events", "state"):
            for path in segment_paths(self.path / table_name):
                check_is_file(path)
                try:
                    with path.open("rb") as file:
                        digest.update(hashlib.file_digest(file, "sha256").digest())
                except OSError as error:
                    raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        return digest.hexdigest()

    @property
    def missing_segments(self) -> int:
        """Segments, over all tables, that a later one shows there were and no file holds."""
        return sum(count_missing_segments(self.path / name) for name in TABLES)

    def _read(self, table_name: str) -> Columns:
        table = table_named(table_name)
        what = f"column of {table_name}"
        if not self.has(table_name) and table is not EVENTS:
            return Named({each.name: np.zeros(0, each.dtype) for each in table.columns}, what)
        content = read_table(self.path / table_name, table)
        columns = {
            column.name: column_numbers(content[column.name], column.dtype)
            for column in table.columns
        }
        keys = [columns[name] for name in order_names(table)]
        if not is_in_order(keys):
            order = np.lexsort(keys[::-1])
            columns = {name: values[order] for name, values in columns.items()}
        Rows(path=self.path / table_name, columns=columns).check(self.manifest, table)
        return Named(columns, what)

    def _card(self) -> Card:
        return trace_card(self)


def require_trace(trace: object) -> None:
    """Refuse what is given in place of a trace, most often its path.

    Raises
    ------
    UsageError
        It is none.
    """
    if not isinstance(trace, Trace):
        shown = repr(str(trace)) if isinstance(trace, str | Path) else "..."
        raise UsageError(
            f"a {type(trace).__name__} was given, expected a trace: read_trace({shown})"
        )


def read_trace(path: str | Path) -> Trace:
    """Open a trace folder.  Its tables are read when they are first asked for.

    Examples
    --------
    >>> trace = read_trace("traces/churn-on.trace")
    >>> trace.event_count
    1069
    >>> trace.frame("events")["kind"].value_counts()["fault"].item()
    431

    Raises
    ------
    InputError
        There is no such folder, or its manifest cannot be used.
    """
    folder = Path(path)
    if not folder.is_dir():
        beside = [each.name for each in folder.parent.glob("*.trace")]
        meant = suggestion(folder.name, beside, otherwise="`ls traces/` lists the bundled ones")
        raise InputError(f"{folder}: no such trace folder{meant}")
    trace = Trace(folder, parse_manifest(folder / MANIFEST_NAME))
    if not trace.has(EVENTS.name):
        message = f"{folder}: table 'events' is missing; copy the whole trace folder again"
        raise InputError(message)
    return trace
