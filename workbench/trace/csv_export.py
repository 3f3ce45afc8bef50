"""Write a trace as CSV: its events, and beside them what else a replay needs.

Of `NAME.csv` these are `NAME.manifest.json`, and `NAME.TABLE.csv` for each other table that has
rows.  `csv_import` makes the same trace of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv

from workbench.errors import UsageError
from workbench.schema import EVENTS, TABLES, Kind, PageState, Table
from workbench.trace.manifest import MANIFEST_NAME
from workbench.whole_file import replacing

if TYPE_CHECKING:
    import enum
    from collections.abc import Callable
    from pathlib import Path

    from workbench.trace.reader import Columns, Trace

ROWS_AT_ONCE: Final = 1 << 16

NAMED: Final[dict[str, type[enum.IntEnum]]] = {"kind": Kind, "page_state": PageState}
"""Columns of codes, which a CSV has by name."""


def side_file(path: Path, name: str) -> Path:
    """Give the file of this name that belongs to a CSV of events."""
    return path.with_name(f"{path.name.removesuffix('.csv')}.{name}")


def side_files(path: Path) -> dict[str, Path]:
    """Give the files of the other tables, by table, and that of the manifest by its name."""
    others = [table for table in TABLES if table != EVENTS.name]
    return {
        MANIFEST_NAME: side_file(path, MANIFEST_NAME),
        **{table: side_file(path, f"{table}.csv") for table in others},
    }


def export_csv(
    trace: Trace, path: Path, *, progress: Callable[[int], None] = lambda _: None
) -> list[Path]:
    """Write the events of a trace to `path`, and the rest beside it.

    Parameters
    ----------
    progress
        Called with the number of events that were written since the last call.

    Returns
    -------
    The files that were written.

    Raises
    ------
    UsageError
        One of them is there already.
    InputError
        The trace is damaged.
    HostError
        There is no room, or no such folder.
    """
    beside = side_files(path)
    for each in (path, *beside.values()):
        if each.exists():
            raise UsageError(f"{each}: exists already; name another file or remove it first")
    written = [path]
    _write_table(trace, EVENTS, path, progress)
    for name, side in beside.items():
        if name in TABLES and next(trace.batches(name, ["vm"], row_count=1), None):
            _write_table(trace, TABLES[name], side, lambda _: None)
            written.append(side)
    manifest = beside[MANIFEST_NAME]
    with replacing(manifest) as temporary:
        temporary.write_text(trace.manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return [*written, manifest]


def _write_table(trace: Trace, table: Table, path: Path, progress: Callable[[int], None]) -> None:
    schema = pa.schema([(name, _type(name)) for name in table.column_names])
    # Arrow would quote the names of the columns.
    options = pa_csv.WriteOptions(include_header=False, quoting_style="none")
    with replacing(path) as temporary, temporary.open("wb") as sink:
        sink.write((",".join(table.column_names) + "\n").encode())
        file = pa_csv.CSVWriter(sink, schema, write_options=options)
        for batch in trace.batches(table.name, table.column_names, row_count=ROWS_AT_ONCE):
            file.write_batch(_record_batch(batch, schema))
            progress(len(batch["vm"]))
        file.close()


def _type(name: str) -> Any:  # noqa: ANN401 - pyarrow has no types.
    return pa.string() if name in NAMED else pa.int64()


def _record_batch(batch: Columns, schema: pa.Schema) -> pa.RecordBatch:
    arrays = []
    for name in schema.names:
        values = batch[name].astype("int64")
        if name in NAMED:
            arrays.append(_names(NAMED[name]).take(pa.array(values)))
        else:
            arrays.append(pa.array(values))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _names(codes: type[enum.IntEnum]) -> pa.Array:
    """Give the name of each code; a reader of traces lets no other code through."""
    known = {int(code): code.name.lower() for code in codes}
    return pa.array([known.get(code, "") for code in range(max(known) + 1)])
