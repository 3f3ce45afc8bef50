"""Read a trace folder into columns, and refuse what is not one in a sentence."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import InputError
from workbench.schema import EVENTS, TABLES, Kind
from workbench.trace.manifest import MANIFEST_NAME, Manifest, parse_manifest
from workbench.trace.segments import read_table
from workbench.units import format_ns

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    Columns = dict[str, npt.NDArray[np.int64]]


@dataclass(frozen=True)
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
        return (self.path / table_name).is_dir()

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

    def _read(self, table_name: str) -> Columns:
        table = TABLES[table_name]
        if not self.has(table_name) and table is not EVENTS:
            return {column.name: np.zeros(0, column.dtype) for column in table.columns}
        content = read_table(self.path / table_name, table)
        columns = {
            column.name: content[column.name].to_numpy().astype(column.dtype, copy=False)
            for column in table.columns
        }
        order = np.arange(content.num_rows)
        for name in ("sequence", "time_ns"):
            if name in columns:
                order = order[np.argsort(columns[name][order], kind="stable")]
        columns = {name: values[order] for name, values in columns.items()}
        if table is EVENTS:
            self._check_events(columns)
        return columns

    def _check_events(self, columns: Columns) -> None:
        """Refuse rows that no capture writes: they would be read as something else."""
        block_counts = [len(vm.ram_blocks) for vm in self.manifest.virtual_machines]
        machine = columns["vm"]
        wrong_machine = (machine < 0) | (machine >= len(block_counts))
        self._refuse(wrong_machine, columns, "vm", f"0 to {len(block_counts) - 1}")
        blocks_of_row = np.asarray(block_counts or [0])[np.where(wrong_machine, 0, machine)]
        block = columns["ram_block"]
        self._refuse((block < -1) | (block >= blocks_of_row), columns, "ram_block", "a RAM block")
        known = np.isin(columns["kind"], [int(kind) for kind in Kind])
        self._refuse(~known, columns, "kind", "a kind of event of this format")

    def _refuse(
        self, wrong: npt.NDArray[np.bool_], columns: Columns, name: str, expected: str
    ) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            message = (
                f"{self.path / 'events'}: row {row} has {name} {columns[name][row]}, expected "
                f"{expected}; the trace is damaged, or newer than this workbench"
            )
            raise InputError(message)

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
