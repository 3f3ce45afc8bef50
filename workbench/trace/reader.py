"""Read a trace folder into columns, and refuse what is not one in a sentence."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.errors import InputError
from workbench.schema import EVENTS, NO_BLOCK, STATE, TABLES, Kind, PageState
from workbench.trace.manifest import MANIFEST_NAME, Manifest, parse_manifest
from workbench.trace.segments import (
    column_numbers,
    count_missing_segments,
    read_table,
    segment_paths,
)
from workbench.units import format_ns

if TYPE_CHECKING:
    import enum

    import numpy.typing as npt
    import pandas as pd

    Columns = dict[str, npt.NDArray[np.int64]]

_STOP_NS: Final = 2**62
_STOP_OFFSET_BYTES: Final = 2**62
"""Far beyond any clock or machine, and two of them still add up within an int64."""

_STOP_LENGTH_BYTES: Final = 2**52
"""What an x86-64 processor can address at most (Intel SDM 3A, 4.1.4: MAXPHYADDR is 52)."""


@dataclass(frozen=True, eq=False)
class Trace:
    """A trace on disk.  Tables are read when first asked for, and kept.

    Attributes
    ----------
    path
        The folder.
    manifest
        What the trace says of itself.
    """

    path: Path
    manifest: Manifest
    _tables: dict[str, Columns] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The folder's name without ``.trace``."""
        return self.path.name.removesuffix(".trace")

    def has(self, table_name: str) -> bool:
        """Whether the table is there; all but `events` may be missing."""
        return bool(segment_paths(self.path / table_name))

    def columns(self, table_name: str) -> Columns:
        """Give a table's columns, in the order of time and then of the capture.

        Returns
        -------
        Arrays of one length by column name; zero rows where an optional table is missing.

        Raises
        ------
        InputError
            A file is damaged, a column is missing, or a value cannot be.
        """
        if table_name not in self._tables:
            self._tables[table_name] = self._read(table_name)
        return self._tables[table_name]

    def frame(self, table_name: str) -> pd.DataFrame:
        """Give a table as a pandas frame."""
        import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

        return pd.DataFrame(self.columns(table_name))

    @cached_property
    def digest(self) -> str:
        """Name the trace's content: a hash over what a replay reads, so `samples` is left out."""
        digest = hashlib.sha256(self.manifest.model_dump_json().encode())
        for table_name in ("events", "state"):
            for column_name, values in self.columns(table_name).items():
                digest.update(column_name.encode())
                digest.update(values.tobytes())
        return digest.hexdigest()

    @property
    def missing_segments(self) -> int:
        """Segments, over all tables, that a later one shows there were and no file holds."""
        return sum(count_missing_segments(self.path / name) for name in TABLES)

    def _read(self, table_name: str) -> Columns:
        table = TABLES[table_name]
        if not self.has(table_name) and table is not EVENTS:
            return {column.name: np.zeros(0, column.dtype) for column in table.columns}
        content = read_table(self.path / table_name, table)
        columns = {
            column.name: column_numbers(content[column.name], column.dtype)
            for column in table.columns
        }
        order = np.arange(content.num_rows)
        for name in ("sequence", "time_ns"):
            if name in columns:
                order = order[np.argsort(columns[name][order], kind="stable")]
        columns = {name: values[order] for name, values in columns.items()}
        _Rows(self.path / table_name, columns).check(self.manifest, table_name)
        return columns

    def __repr__(self) -> str:
        """Say what the trace is, in one line."""
        manifest = self.manifest
        return (
            f"<Trace {self.name}: {len(self.columns('events')['kind']):,} events over "
            f"{format_ns(manifest.duration_ns)} of {len(manifest.virtual_machines)} guest(s), "
            f"{manifest.lost_events} lost>"
        )

    def _repr_html_(self) -> str:
        """Show the same line in a notebook."""
        return f"<p><b>{self.name}</b> {repr(self)[1:-1].removeprefix('Trace ')}</p>"


@dataclass(frozen=True, slots=True)
class _Rows:
    """A table's rows, to refuse those that no capture writes: they would mislead a replay."""

    path: Path
    columns: Columns

    def check(self, manifest: Manifest, table_name: str) -> None:
        """Refuse the first row with an index into nothing, an unknown code or a wild number."""
        block_counts = np.array([len(vm.ram_blocks) for vm in manifest.virtual_machines])
        machine = self.columns["vm"]
        is_wrong = (machine < 0) | (machine >= len(block_counts))
        self._refuse(is_wrong, "vm", f"0 to {len(block_counts) - 1}")
        for name in ("time_ns", "guest_time_ns", "duration_ns"):
            if name in self.columns:
                self._check_range(name, 0, _STOP_NS)
        if table_name == EVENTS.name:
            self._check_block(block_counts, NO_BLOCK)
            self._check_codes("kind", Kind, "a kind of event of this format")
            self._check_range("length_bytes", -1, _STOP_LENGTH_BYTES)
        elif table_name == STATE.name:
            self._check_block(block_counts, 0)
            self._check_codes("page_state", PageState, "a state of a page of this format")
            self._check_range("length_bytes", 0, _STOP_LENGTH_BYTES)

    def _check_block(self, block_counts: npt.NDArray[np.int64], first: int) -> None:
        """Check the block, and the offset in it; without a block it is any guest address."""
        block, offset = self.columns["ram_block"], self.columns["offset_bytes"]
        is_wrong = (block < first) | (block >= block_counts[self.columns["vm"]])
        self._refuse(is_wrong, "ram_block", "a RAM block")
        is_wrong = (offset < 0) | ((offset >= _STOP_OFFSET_BYTES) & (block != NO_BLOCK))
        self._refuse(is_wrong, "offset_bytes", f"0 to {_STOP_OFFSET_BYTES - 1}")

    def _check_codes(self, name: str, codes: type[enum.IntEnum], expected: str) -> None:
        is_known = np.isin(self.columns[name], [int(code) for code in codes])
        self._refuse(~is_known, name, expected)

    def _check_range(self, name: str, first: int, stop: int) -> None:
        values = self.columns[name]
        self._refuse((values < first) | (values >= stop), name, f"{first} to {stop - 1}")

    def _refuse(self, is_wrong: npt.NDArray[np.bool_], name: str, expected: str) -> None:
        if is_wrong.any():
            row = int(np.argmax(is_wrong))
            message = (
                f"{self.path}: row {row} has {name} {self.columns[name][row]}, expected "
                f"{expected}; the trace is damaged, or newer than this workbench"
            )
            raise InputError(message)


def read_trace(path: str | Path) -> Trace:
    """Open a trace folder.

    Raises
    ------
    InputError
        There is no such folder, or its manifest cannot be used.
    """
    folder = Path(path)
    if not folder.is_dir():
        message = f"{folder}: no such trace folder; `ls traces/` lists the bundled ones"
        raise InputError(message)
    trace = Trace(folder, parse_manifest(folder / MANIFEST_NAME))
    if not trace.has(EVENTS.name):
        message = f"{folder}: table 'events' is missing; copy the whole trace folder again"
        raise InputError(message)
    return trace
