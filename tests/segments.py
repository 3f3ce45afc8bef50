"""Traces of markers in segments that may overlap in time, and what batches of them hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.synthetic import manifest
from workbench.schema import Kind
from workbench.trace import Trace, TraceWriter, read_trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def markers(times: list[int], first_sequence: int = 0) -> dict[str, np.ndarray]:
    """Markers at these times, each with a status of its own."""
    sequence = np.arange(len(times)) + first_sequence
    return {
        "time_ns": np.array(times, np.int64),
        "sequence": sequence // 2,  # Also what breaks the ties of time has ties.
        "status": sequence,
        "kind": np.full(len(times), int(Kind.MARKER)),
        "ram_block": np.full(len(times), -1),
    }


def write_segments(path: Path, segments: list[list[int]], *, close: bool = False) -> Trace:
    """Write markers, one segment for each list of times."""
    made = TraceWriter(path, manifest())
    count = 0
    for times in segments:
        made.append("events", markers(times, count))
        count += len(times)
    if close:
        made.close(manifest())
    return read_trace(path)


def joined(parts: Iterable[dict[str, np.ndarray]], names: list[str]) -> dict[str, list[int]]:
    """All batches as one, in plain numbers."""
    columns: dict[str, list[int]] = {name: [] for name in names}
    for part in parts:
        assert list(part) == names
        for name in names:
            columns[name] += part[name].tolist()
    return columns


def one_by_one(parts: Iterable[dict[str, np.ndarray]], name: str) -> Iterator[int]:
    """The values of one column, as long as batches come."""
    for part in parts:
        yield from part[name].tolist()
