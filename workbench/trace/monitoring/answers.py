"""Answers of a guest's balloon driver, which stay as they are until the guest answers again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import InputError
from workbench.trace.monitoring.sampled_rows import Column, Rows
from workbench.trace.monitoring.tracks import Quantity, Sampled

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Answers:
    """Collects the answers of one guest, each once.

    Parameters
    ----------
    columns
        What the names in an answer are of.
    advice
        How a guest is made to answer, for the message if it never did.
    """

    def __init__(self, path: Path, columns: Mapping[str, Column], advice: str) -> None:
        self._path = path
        self._columns = columns
        self._advice = advice
        self._rows = Rows(columns)
        self._last_second = 0.0
        self._stale = 0
        self._empty = 0
        self._first_line = 0

    def add(self, line: int, last_update: float, values: Mapping[str, float]) -> None:
        """Take an answer, unless it is the one before, or says nothing."""
        self._first_line = self._first_line or line
        if not last_update or not any(
            column.quantity is Quantity.FREE and name in values
            for name, column in self._columns.items()
        ):
            self._empty += 1
        elif last_update == self._last_second:
            self._stale += 1
        else:
            self._last_second = last_update
            self._rows.add(last_update, line, values)

    def sampled(self) -> Sampled:
        """Make the guest's tracks.

        Raises
        ------
        InputError
            It never answered.
        """
        free = next(n for n, c in self._columns.items() if c.quantity is Quantity.FREE)
        if not len(self._rows):
            raise InputError(
                f"{self._path}, line {self._first_line}: none of {self._empty:,} answers has both "
                f"{free} and the time of an update, expected them of a guest whose balloon driver "
                f"answers; {self._advice}"
            )
        sampled = self._rows.sampled(self._path, self._path.stem)
        if self._stale:
            sampled.remarks.append(
                f"{self._stale:,} answers were those before again, and were not taken"
            )
        if self._empty:
            sampled.remarks.append(f"{self._empty:,} answers have no {free} or no time")
        return sampled
