"""Figures over time: a plain Parquet file, one row for each metric of each addition.

Whoever adds locks the file beside it, reads, adds and replaces: two jobs that add at once both get
in, and a reader sees the old file or the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import statistics
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.errors import InputError
from workbench.gate.runs import OFF, ON, TRACE_DIGITS
from workbench.measure import BY_NAME
from workbench.whole_file import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from workbench.gate.runs import Number, Run, Side

ANY_MACHINE: Final = "any"
"""Of results: what a replay gives does not depend on the machine that replays."""

_USUAL: Final = {
    "poison": "none",
    "page_poison": ON,
    "free_page_hint": OFF,
    "guest_count": "1",
    "memory_limit_bytes": "-",
    "record_access": OFF,
    "lock_memory": OFF,
}
"""Settings of the lab (workbench/lab/settings.py) that runs of one scenario are told apart by, each
with what it is where nobody asks; memory and processors of guests go with the scenario."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One metric of one addition."""

    branch: str
    machine: str
    subject: str
    """The scenario that ran, or the recording that was replayed, with the replay's settings."""
    metric: str
    unit: str
    value: float
    """The mean of the runs."""
    runs: int
    commit: str
    """What was measured, in the words of whoever added it; may be empty."""
    model: str
    added: str
    """Wall-clock time, ISO 8601, UTC."""


def entries_of(
    side: Side, *, branch: str, machine: str | None, commit: str, added: str
) -> list[Entry]:
    """Sum up a side: runs of one scenario become one row for each metric.

    Parameters
    ----------
    machine
        Its name; None: what the recordings say of it.
    """
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in side.runs:
        groups.setdefault((machine or run.machine or ANY_MACHINE, _subject(run)), []).append(run)
    entries = []
    for (where, subject), runs in groups.items():
        values: dict[str, list[Number]] = {}
        for run in runs:
            for name, value in {**run.model_figures, **(run.measured_figures or {})}.items():
                values.setdefault(name, []).append(value)
        entries += [
            Entry(
                branch=branch,
                machine=where,
                subject=subject,
                metric=name,
                unit=BY_NAME[name].unit,
                value=float(statistics.fmean(own)),
                runs=len(own),
                commit=commit,
                model=", ".join(sorted({run.model for run in runs})),
                added=added,
            )
            for name, own in values.items()
            if name in BY_NAME
        ]
    return entries


def _subject(run: Run) -> str:
    """Name what a run is a repeat of."""
    scenario = (run.work or "").partition("\n")[0]
    order, reports = (run.setup.get(name) for name in ("reporting order", "free page reporting"))
    told = {None: "", ON: f" (order {order})", OFF: " (not reporting)"}.get(
        reports, f" (reporting {reports})"
    )
    # A result is always of the very same recording, whatever its folder is called.
    digest = f" {run.trace[:TRACE_DIGITS]}" if run.work is None else ""
    what = f"{scenario}{told}" if scenario else f"{run.name}{digest}"
    return ", ".join((what, *_lab_settings(run), run.settings))


def _lab_settings(run: Run) -> list[str]:
    """Give what the lab was asked for and does not do of itself."""
    asked = {name: run.setup.get(f"lab {name}", usual) for name, usual in _USUAL.items()}
    return [f"{name} {value}" for name, value in asked.items() if value != _USUAL[name]]


def add_entries(path: Path, entries: Sequence[Entry]) -> int:
    """Add rows to the history, which is made where there is none.  Returns how many it has now.

    Raises
    ------
    InputError
        What is there is no history.
    WriteError
        It cannot be written; it is as it was.
    """
    import pyarrow as pa  # noqa: PLC0415 - not needed to compare.
    import pyarrow.parquet as pq  # noqa: PLC0415 - likewise.

    if path.is_symlink():  # One lock, by whatever name the file is added to.
        path = path.resolve()
    with _locked(path):
        table = _table(entries)
        if path.exists():
            table = pa.concat_tables([_read(path), table])
        with replacing(path) as partial:
            pq.write_table(table, partial, compression="zstd")
    return int(table.num_rows)


def read_entries(path: Path) -> list[Entry]:
    """Read a history, in the order in which it was added to.

    Raises
    ------
    InputError
        There is none, or something else.
    """
    return [Entry(**row) for row in _read(path).to_pylist()]


def _schema() -> Any:  # noqa: ANN401 - pyarrow ships no types.
    import pyarrow as pa  # noqa: PLC0415 - as above.

    types = {"str": pa.string(), "float": pa.float64(), "int": pa.int64()}
    return pa.schema([(field.name, types[str(field.type)]) for field in fields(Entry)])


def _table(entries: Sequence[Entry]) -> Any:  # noqa: ANN401 - as above.
    import pyarrow as pa  # noqa: PLC0415 - as above.

    schema = _schema()
    columns = {name: [getattr(each, name) for each in entries] for name in schema.names}
    return pa.table(columns, schema=schema)


def _read(path: Path) -> Any:  # noqa: ANN401 - as above.
    import pyarrow as pa  # noqa: PLC0415 - as above.
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above.

    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise InputError(
            f"{path}: there is no history; begin one with `workbench history FILE --add RESULT`"
        ) from None
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not readable as Parquet ({error})") from None
    if not table.schema.equals(_schema()):
        found, expected = (", ".join(each.names) for each in (table.schema, _schema()))
        raise InputError(f"{path}: has the columns {found}, expected a history's: {expected}")
    for name, column in zip(table.schema.names, table.columns, strict=True):
        if column.null_count or (name == "value" and not np.isfinite(column.to_numpy()).all()):
            raise InputError(f"{path}: a {name} is missing or no number, expected one in each row")
    return table


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for whoever else adds.  The lock is a file of its own: the history's is replaced."""
    lock = path.with_name(f".{path.name}.lock")
    with lock.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
