"""The migrations of a trace, and the events that are there only because of free page hints."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.schema import FaultFlag, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from workbench.trace.reader import Columns


class Migration(NamedTuple):
    """One migration: its machine, and the rows of its first and its last event."""

    vm: int
    start: int
    end: int


def hint_rows(columns: Columns) -> npt.NDArray[np.bool_]:
    """Find the events that are there only because of hints.

    Those are the commands and ranges, and each first write to a page that is hinted later in the
    same migration: the guest takes pages out of use to hint them.
    """
    kind = columns["kind"]
    found = np.isin(kind, (Kind.HINT_COMMAND, Kind.HINT_RANGE))
    for migration in migrations(columns):
        found |= writes_of_hints(columns, migration)
    return found


def migrations(columns: Columns) -> Iterator[Migration]:
    """Find each migration whose beginning and end are in the trace, in the order of their ends."""
    kind = columns["kind"]
    open_at: dict[int, int] = {}
    for row in np.flatnonzero(np.isin(kind, (Kind.MIGRATION_START, Kind.MIGRATION_END))):
        vm = int(columns["vm"][row])
        if kind[row] == Kind.MIGRATION_START:
            open_at[vm] = int(row)
        elif vm in open_at:
            yield Migration(vm, open_at.pop(vm), int(row))


def writes_of_hints(columns: Columns, migration: Migration) -> npt.NDArray[np.bool_]:
    """Find the first writes to pages that are hinted later in the same migration."""
    rows = np.arange(columns["kind"].size)
    is_inside = (columns["vm"] == migration.vm) & (rows > migration.start) & (rows < migration.end)
    is_write = (columns["kind"] == Kind.FAULT) & (columns["status"] & FaultFlag.WRITE != 0)
    writes = np.flatnonzero(is_inside & is_write)
    offset, block = columns["offset_bytes"][writes], columns["ram_block"][writes]
    served = np.zeros(writes.size, np.bool_)
    for row in np.flatnonzero(is_inside & (columns["kind"] == Kind.HINT_RANGE)):
        first = columns["offset_bytes"][row]
        served |= (
            (writes < row)
            & (block == columns["ram_block"][row])
            & (offset >= first)
            & (offset < first + columns["length_bytes"][row])
        )
    found = np.zeros(rows.size, np.bool_)
    found[writes[served]] = True
    return found


def without_hints(columns: Columns) -> Columns:
    """Give the events of a guest that does the same and hints nothing."""
    kept = ~hint_rows(columns)
    return {name: values[kept] for name, values in columns.items()}
