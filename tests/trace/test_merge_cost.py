"""However files overlap in time, rows are put in order, and files opened, a few times at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.segments import joined, write_segments
from workbench.trace import merge

if TYPE_CHECKING:
    from pathlib import Path

SEGMENTS, ROWS = 64, 40


@pytest.mark.parametrize("step", [0, 1], ids=["none is before another", "each begins a bit later"])
def test_rows_of_overlapping_files_are_ordered_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """In a trace made for it, putting all that waits in order once a file would take for ever."""
    times = [
        [number * step, *(1000 + (row * 37 + number) % 91 for row in range(ROWS - 1))]
        for number in range(SEGMENTS)
    ]
    trace = write_segments(tmp_path / "x.trace", times)
    ordered = 0
    inner = np.lexsort

    def counting(keys: list[np.ndarray]) -> np.ndarray:
        nonlocal ordered
        ordered += len(keys[0])
        return inner(keys)

    monkeypatch.setattr(merge, "_ROWS_AT_ONCE", 2 * ROWS)
    monkeypatch.setattr(merge.np, "lexsort", counting)
    found = joined(trace.batches("events", ["time_ns"]), ["time_ns"])["time_ns"]

    assert found == sorted(time for part in times for time in part)
    # Once within its own file, and as often as all that waits doubles: 5 times, each half as much.
    assert SEGMENTS * ROWS <= ordered <= 4 * SEGMENTS * ROWS


def test_files_that_overlap_are_opened_once_for_many_of_their_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what a file says about its row groups would be read as often as it has any."""
    times = [[row * SEGMENTS + number for row in range(ROWS)] for number in range(SEGMENTS)]
    trace = write_segments(tmp_path / "x.trace", times)
    for path in sorted((trace.path / "events").iterdir()):
        pq.write_table(pq.read_table(path), path, row_group_size=1)
    opened = 0
    inner = merge.open_segment

    def counting(*arguments: object) -> object:
        nonlocal opened
        opened += 1
        return inner(*arguments)

    monkeypatch.setattr(merge, "open_segment", counting)
    monkeypatch.setattr(merge, "_ROWS_AT_ONCE", SEGMENTS * ROWS // 2)
    found = joined(trace.batches("events", ["time_ns"]), ["time_ns"])["time_ns"]

    assert found == list(range(SEGMENTS * ROWS))
    # Once to see which row groups there are, and once for each half of them; a first one is empty.
    assert opened == 3 * SEGMENTS + 1
