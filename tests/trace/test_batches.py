"""A table given piece by piece is the table given whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.segments import joined, write_segments
from tests.synthetic import REPORTED, trace
from workbench.schema import EVENTS, TABLES
from workbench.trace import read_trace, writer

BUNDLED = sorted((Path(__file__).resolve().parents[2] / "traces").glob("*.trace"))

TIMES = st.lists(st.lists(st.integers(0, 9), max_size=7), max_size=5)
"""The times of the events of some segments: they overlap, and many are equal."""


@given(
    segments=TIMES,
    row_count=st.integers(1, 40),
    row_group_rows=st.integers(1, 5),
    close=st.booleans(),
    names=st.lists(st.sampled_from(EVENTS.column_names), min_size=1, unique=True),
)
def test_batches_are_the_columns(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    segments: list[list[int]],
    row_count: int,
    row_group_rows: int,
    close: bool,
    names: list[str],
) -> None:
    """Whatever is asked for, in whatever pieces, of files that follow each other or overlap."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "ROW_GROUP_ROWS", row_group_rows)
        written = write_segments(
            tmp_path_factory.mktemp("trace") / "x.trace", segments, close=close
        )

    found = list(written.batches("events", names, row_count=row_count))

    whole = read_trace(written.path).columns("events")
    sizes = [len(part[names[0]]) for part in found]
    assert joined(found, names) == {name: whole[name].tolist() for name in names}
    assert all(size == row_count for size in sizes[:-1])
    assert all(0 < size <= row_count for size in sizes)


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_batches_of_bundled_traces_are_their_columns(path: Path) -> None:
    """Every table, also of files whose columns are stored in another way than new ones."""
    for name, table in TABLES.items():
        names = list(table.column_names)
        parts = list(read_trace(path).batches(name, names, row_count=10_000))
        whole = read_trace(path).columns(name)

        assert len(parts) == -(-len(whole["vm"]) // 10_000)
        for column in table.columns:
            values = np.concatenate([np.zeros(0, column.dtype), *(p[column.name] for p in parts)])
            assert values.dtype == column.dtype
            assert np.array_equal(values, whole[column.name])


def test_nothing_is_read_before_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row group is read when its rows are asked for, and nothing is kept."""
    monkeypatch.setattr(writer, "ROW_GROUP_ROWS", 10)
    written = write_segments(
        tmp_path / "x.trace", [list(range(50)), list(range(50, 100))], close=True
    )
    read: list[int] = []
    original = pq.ParquetFile.read_row_groups

    def note(file: pq.ParquetFile, numbers: list[int], **options: object) -> Any:
        read.extend(numbers)
        return original(file, numbers, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", note)
    found = written.batches("events", ["time_ns"], row_count=10)

    assert read == []
    assert next(found)["time_ns"].tolist() == list(range(10))
    assert read == [0]
    assert next(found)["time_ns"].tolist() == list(range(10, 20))
    assert read == [0, 1]
    assert written._tables == {}


def test_a_batch_may_be_written_to(tmp_path: Path) -> None:
    """It is nobody else's, as the kernels are compiled for such columns."""
    written = write_segments(tmp_path / "x.trace", [[1, 2], [3]], close=True)

    for part in written.batches("events", ["time_ns", "kind"], row_count=2):
        assert all(values.flags.writeable and values.flags.owndata for values in part.values())


def test_a_table_in_memory_is_cut() -> None:
    """A trace that has no files, or was read already."""
    in_memory = trace(REPORTED)
    expected = in_memory.columns("events")["time_ns"].tolist()

    parts = list(in_memory.batches("events", ["time_ns"], row_count=3))

    assert [len(part["time_ns"]) for part in parts] == [3, 3, 2]
    assert joined(parts, ["time_ns"]) == {"time_ns": expected}
    assert in_memory.event_count == len(expected)


def test_without_rows_there_is_no_batch(tmp_path: Path) -> None:
    """Neither of an empty table, nor of one that is not there."""
    written = write_segments(tmp_path / "x.trace", [[]], close=True)
    (written.path / "samples/000000-000000.parquet").unlink()

    assert list(written.batches("events", ["vm"])) == []
    assert list(written.batches("samples", ["vm"])) == []
    assert written.event_count == 0


@given(segments=TIMES, close=st.booleans())
def test_events_are_counted_without_reading_them(
    tmp_path_factory: pytest.TempPathFactory, *, segments: list[list[int]], close: bool
) -> None:
    written = write_segments(tmp_path_factory.mktemp("trace") / "x.trace", segments, close=close)

    assert written.event_count == sum(len(times) for times in segments)
    assert written._tables == {}


def test_batches_do_without_pandas(tmp_path: Path) -> None:
    """It takes longer to import than many a trace to replay."""
    written = write_segments(tmp_path / "x.trace", [[1, 2], [3]])
    code = (
        "import sys; from workbench.trace import read_trace; "
        f"list(read_trace({str(written.path)!r}).batches('events', ['vm'])); "
        "sys.exit('pandas' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
