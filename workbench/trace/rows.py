"""Refuse rows that no capture writes: an index into nothing, an unknown code or a wild number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.errors import InputError
from workbench.schema import EVENTS, NO_BLOCK, PAGE_STATE_CODES, STATE, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

    from workbench.schema import Table
    from workbench.trace.manifest import Manifest
    from workbench.trace.reader import Columns

_STOP_NS: Final = 2**62
_STOP_OFFSET_BYTES: Final = 2**62
"""Far beyond any clock or machine, and two of them still add up within an int64."""

_STOP_LENGTH_BYTES: Final = 2**52
"""What an x86-64 processor can address at most (Intel SDM 3A, 4.1.4: MAXPHYADDR is 52)."""

_TIMES: Final = ("time_ns", "guest_time_ns", "duration_ns")
_PLACES: Final = ("ram_block", "offset_bytes", "length_bytes")


def checked_names(table: Table) -> tuple[str, ...]:
    """The columns of a table that `Rows.check` looks at."""
    looked_at = {"vm", *_TIMES}
    if table is EVENTS:
        looked_at |= {*_PLACES, "kind"}
    elif table is STATE:
        looked_at |= {*_PLACES, "page_state"}
    return tuple(name for name in table.column_names if name in looked_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of a table that follow each other; what they hold would mislead a replay, or not.

    Attributes
    ----------
    path
        The table's folder, for the message.
    columns
        At least those of `checked_names`.
    first_row
        The number of the first of these rows in the whole table.
    row_word, advice
        What a row is called where it was read, and what to do about a wrong one.
    """

    path: Path
    columns: Columns
    first_row: int = 0
    row_word: str = "row"
    advice: str = "the trace is damaged, or newer than this workbench"

    def check(self, manifest: Manifest, table: Table) -> None:
        """Refuse the first row that cannot be.

        Raises
        ------
        InputError
            There is one; the message has its number in the whole table.
        """
        block_counts = np.array([len(vm.ram_blocks) for vm in manifest.virtual_machines])
        self._check_range("vm", 0, len(block_counts))
        for name in _TIMES:
            if name in self.columns:
                self._check_range(name, 0, _STOP_NS)
        if table is EVENTS:
            self._check_block(block_counts, NO_BLOCK)
            self._check_codes("kind", Kind, "a kind of event of this format")
            self._check_range("length_bytes", -1, _STOP_LENGTH_BYTES)
        elif table is STATE:
            self._check_block(block_counts, 0)
            self._check_codes("page_state", PAGE_STATE_CODES, "a state of a page of this format")
            self._check_range("length_bytes", 0, _STOP_LENGTH_BYTES)

    def _check_block(self, block_counts: npt.NDArray[np.int64], first: int) -> None:
        """Check the block, and the offset in it; without a block it is any guest address."""
        block, offset = self.columns["ram_block"], self.columns["offset_bytes"]
        if not _are_within(block, first, int(block_counts.min())):
            is_wrong = (block < first) | (block >= block_counts[self.columns["vm"]])
            self._refuse(is_wrong, "ram_block", "a RAM block")
        if not _are_within(offset, 0, _STOP_OFFSET_BYTES):
            is_wrong = (offset < 0) | ((offset >= _STOP_OFFSET_BYTES) & (block != NO_BLOCK))
            self._refuse(is_wrong, "offset_bytes", f"0 to {_STOP_OFFSET_BYTES - 1}")

    def _check_codes(self, name: str, codes: Iterable[int], expected: str) -> None:
        values, known = self.columns[name], sorted(codes)
        has_gaps = known[-1] - known[0] >= len(known)
        if has_gaps or not _are_within(values, known[0], known[-1] + 1):
            self._refuse(~np.isin(values, known), name, expected)

    def _check_range(self, name: str, first: int, stop: int) -> None:
        values = self.columns[name]
        if not _are_within(values, first, stop):
            self._refuse((values < first) | (values >= stop), name, f"{first} to {stop - 1}")

    def _refuse(self, is_wrong: npt.NDArray[np.bool_], name: str, expected: str) -> None:
        if is_wrong.any():
            row = int(np.argmax(is_wrong))
            message = (
                f"{self.path}: {self.row_word} {self.first_row + row} has {name} "
                f"{self.columns[name][row]}, expected {expected}; {self.advice}"
            )
            raise InputError(message)


def _are_within(values: npt.NDArray[np.int64], first: int, stop: int) -> bool:
    """Whether all values are from `first` up to `stop`: quicker than to mark those that are not."""
    return not values.size or bool(values.min() >= first and values.max() < stop)
