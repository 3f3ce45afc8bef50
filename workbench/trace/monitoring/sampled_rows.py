"""Rows of one time with several values, made into tracks: what logs and tables have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.trace.monitoring.tracks import LINE, Quantity, Sampled, Track, times_ns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Column(NamedTuple):
    """What a value of each row is of."""

    quantity: Quantity
    key: str
    unit: float
    rank: int = 0


class Rows:
    """Collects the rows of one guest."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = columns
        self._seconds: list[float] = []
        self._lines: list[int] = []
        self._values: dict[str, list[float]] = {name: [] for name in columns}

    def __len__(self) -> int:
        return len(self._seconds)

    def add(self, second: float, line: int, values: Mapping[str, float]) -> None:
        """Take a row; what it has no value for is not known."""
        self._seconds.append(second)
        self._lines.append(line)
        for name, column in self._values.items():
            column.append(values.get(name, np.nan))

    def sampled(self, path: Path, name: str, numbered: str = LINE) -> Sampled:
        """Make the guest's tracks; a column without any value is none."""
        time_ns = times_ns(path, "time", self._seconds)
        lines = np.array(self._lines, np.int64)
        tracks = []
        for key, column in self._columns.items():
            values = np.array(self._values[key], np.float64)
            if not np.isnan(values).all():
                track = Track(
                    quantity=column.quantity,
                    key=column.key,
                    place=column.key,
                    time_ns=time_ns,
                    values=values,
                    unit=column.unit,
                    rank=column.rank,
                    lines=lines,
                    numbered=numbered,
                )
                tracks.append(track)
        return Sampled(name=name, tracks=tracks)
