"""A trace that is made from another: written aside, and put in place when it is whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.errors import HostError, InputError, UsageError
from workbench.schema import TABLES
from workbench.trace.writer import TraceWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workbench.trace.manifest import Manifest
    from workbench.trace.reader import Columns, Trace

ROWS_AT_ONCE: Final = 1 << 18
"""Rows that are copied at once: 16 MB of whole events."""


@contextlib.contextmanager
def fresh_trace(path: Path, manifest: Manifest) -> Iterator[TraceWriter]:
    """Give a writer; its trace is at `path` after the `with` if nothing went wrong, else nothing.

    Raises
    ------
    UsageError
        Something is at `path` already.
    HostError
        It cannot be written.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - a link in it is to stay one.
    if os.path.lexists(path):
        raise UsageError(f"{path}: exists already; name another folder or remove it first")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        message = f"{path}: cannot be written ({error.strerror}); name another folder"
        raise HostError(message) from error
    try:
        writer = TraceWriter(aside / "made.trace", manifest)
        yield writer
        writer.path.rename(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def copy_tables(
    trace: Trace, writer: TraceWriter, change: Callable[[str, Columns], Columns]
) -> None:
    """Copy every row of a trace, piece by piece, as `change` gives it.

    Parameters
    ----------
    change
        Takes a table's name and some of its rows, and gives the rows to write.
    """
    for name, table in TABLES.items():
        for columns in trace.batches(name, table.column_names, row_count=ROWS_AT_ONCE):
            writer.append(name, change(name, columns))


def refuse_missing_segments(trace: Trace) -> None:
    """Refuse a trace of which segments are missing: what is made from it would not show that.

    Raises
    ------
    InputError
        Some are.
    """
    missing = trace.missing_segments
    if missing:
        raise InputError(
            f"{trace.path}: {missing} of its segments are missing; `workbench repair` makes a "
            "trace of what is there, which counts what is lost"
        )
