"""A clean end joins the segments: in order, losing nothing, wherever it is cut off."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.synthetic import manifest, started
from workbench.errors import HostError, InputError
from workbench.schema import TABLES, Kind
from workbench.trace import TraceWriter, read_trace, writer

if TYPE_CHECKING:
    from collections.abc import Callable

TWO_MACHINES = manifest(machines=[started("a"), started("b")])

PRESSURE = Path(__file__).resolve().parents[2] / "traces/pressure-off.trace"

Event = tuple[int, int, int, int, int]
"""time_ns, sequence, vm, ram_block, offset_bytes: what orders a file; a status tells them apart."""

SMALL = st.integers(0, 2)
EVENT_ROWS = st.tuples(SMALL, SMALL, st.integers(0, 1), st.integers(-1, 0), SMALL)
SEGMENTS = st.lists(st.lists(EVENT_ROWS, max_size=6), max_size=5)


def event_columns(rows: list[Event], first: int) -> dict[str, np.ndarray]:
    """Rows as columns, numbered from `first` in their status."""
    names = ("time_ns", "sequence", "vm", "ram_block", "offset_bytes")
    values = np.array(rows, np.int64).reshape(-1, len(names))
    return {
        **{name: values[:, place] for place, name in enumerate(names)},
        "status": np.arange(first, first + len(rows)),
        "kind": np.full(len(rows), int(Kind.MARKER)),
    }


def only_file(folder: Path) -> Path:
    """The one file of a closed table."""
    (path,) = folder.iterdir()
    return path


def write_pieces(path: Path, pieces: int = 3) -> TraceWriter:
    """Write some segments of two tables, and leave them unjoined."""
    made = TraceWriter(path, manifest(complete=False))
    for number in range(pieces):
        made.append("events", event_columns([(number, 0, 0, -1, 0)] * 2, 2 * number))
        made.append("samples", {"time_ns": np.array([number])})
    return made


@given(segments=SEGMENTS, row_group_rows=st.integers(1, 7))
def test_a_joined_file_is_in_order(
    tmp_path_factory: pytest.TempPathFactory, segments: list[list[Event]], row_group_rows: int
) -> None:
    """By time, sequence, machine, block and offset; what is equal stays as it was written."""
    folder = tmp_path_factory.mktemp("trace") / "x.trace"
    made = TraceWriter(folder, TWO_MACHINES)
    count = 0
    for rows in segments:
        made.append("events", event_columns(rows, count))
        count += len(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "ROW_GROUP_ROWS", row_group_rows)
        made.close(TWO_MACHINES)

    rows = list(itertools.chain.from_iterable(segments))
    expected = sorted(range(len(rows)), key=lambda number: rows[number])
    assert pq.read_table(only_file(folder / "events"))["status"].to_pylist() == expected


@given(rows=st.lists(st.lists(st.tuples(SMALL, SMALL), max_size=5), max_size=4))
def test_a_table_without_times_is_joined_by_place(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[tuple[int, int]]]
) -> None:
    folder = tmp_path_factory.mktemp("trace") / "x.trace"
    made = TraceWriter(folder, TWO_MACHINES)
    for part in rows:
        values = np.array(part, np.int64).reshape(-1, 2)
        made.append("state", {"offset_bytes": values[:, 0], "length_bytes": values[:, 1]})
    made.close(TWO_MACHINES)

    found = read_trace(folder).columns("state")
    flat = itertools.chain.from_iterable(rows)
    expected = sorted(flat, key=lambda row: row[0])
    assert list(zip(found["offset_bytes"], found["length_bytes"], strict=True)) == expected


def test_a_joined_file_can_be_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row groups are all of one size but the last."""
    monkeypatch.setattr(writer, "ROW_GROUP_ROWS", 4)
    write_pieces(tmp_path / "x.trace", pieces=5).close(manifest())

    with pq.ParquetFile(only_file(tmp_path / "x.trace/events")) as file:
        groups = [file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)]

    assert groups == [4, 4, 2]


def test_joining_holds_a_few_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row group is written as soon as nothing can come before it."""
    made = write_pieces(tmp_path / "x.trace", pieces=6)
    monkeypatch.setattr(writer, "ROW_GROUP_ROWS", 2)
    steps: list[str] = []
    read, write = pq.ParquetFile.read_row_groups, pq.ParquetWriter.write_table

    def note(step: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **options: Any) -> Any:
            steps.append(step)
            return call(*arguments, **options)

        return noted

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", note("read", read))
    monkeypatch.setattr(pq.ParquetWriter, "write_table", note("write", write))
    made.close(manifest())

    assert steps[:12] == ["read", "write"] * 6


class Killed(BaseException):
    """The process ends here."""


def die_at(patch: pytest.MonkeyPatch, deadline: int) -> list[int]:
    """End at the step with this number of those that change what is on the disk."""
    steps = [0]

    def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            steps[0] += 1
            if steps[0] > deadline:
                raise Killed
            return call(*arguments, **options)

        return step

    patch.setattr(os, "fsync", wrapped(os.fsync))
    patch.setattr(Path, "replace", wrapped(Path.replace))
    patch.setattr(Path, "unlink", wrapped(Path.unlink))
    patch.setattr(pq.ParquetWriter, "write_table", wrapped(pq.ParquetWriter.write_table))
    return steps


def content(folder: Path) -> dict[str, dict[str, list[int]]]:
    """All that a reader finds, whole and in batches."""
    found = {}
    for name, table in TABLES.items():
        columns = read_trace(folder).columns(name)
        (*parts,) = read_trace(folder).batches(name, table.column_names)
        for column in columns:
            in_parts = [value for part in parts for value in part[column].tolist()]
            assert in_parts == columns[column].tolist()
        found[name] = {column: values.tolist() for column, values in columns.items()}
    return found


def test_a_crash_at_any_step_loses_nothing_and_leaves_nothing_twice(tmp_path: Path) -> None:
    """A reader finds the same rows, once, after every step of joining."""
    write_pieces(tmp_path / "whole.trace")
    expected = content(tmp_path / "whole.trace")
    for deadline in itertools.count():
        folder = tmp_path / f"{deadline}.trace"
        made = write_pieces(folder)
        with pytest.MonkeyPatch.context() as patch:
            steps = die_at(patch, deadline)
            try:
                made.close(manifest())
            except Killed:
                assert content(folder) == expected
            else:
                break
    assert content(folder) == expected
    assert deadline == steps[0] > 20


def test_the_joined_file_is_on_the_disk_before_a_segment_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its content, then its name: where the host goes down, a later step may be kept alone."""
    made = write_pieces(tmp_path / "x.trace", pieces=2)
    steps: list[str] = []
    fsync, replace, unlink = os.fsync, Path.replace, Path.unlink

    def note_fsync(descriptor: int) -> None:
        steps.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def note_replace(path: Path, target: Path) -> Path:
        steps.append(f"name {target.name}")
        return replace(path, target)

    def note_unlink(path: Path, **options: bool) -> None:
        if path.suffix == ".parquet":
            steps.append(f"remove {path.name}")
        unlink(path, **options)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    monkeypatch.setattr(Path, "unlink", note_unlink)
    made.close(manifest())

    assert steps[:6] == [
        "sync .000000-000002.parquet.partial",
        "name 000000-000002.parquet",
        "sync events",
        "remove 000000-000000.parquet",
        "remove 000001-000001.parquet",
        "remove 000002-000002.parquet",
    ]


def test_a_damaged_segment_stays_beside_the_others(tmp_path: Path) -> None:
    """Joining refuses it by name; nothing is removed, and no half of a file stays."""
    made = write_pieces(tmp_path / "x.trace")
    before = sorted(path.name for path in (tmp_path / "x.trace/events").iterdir())
    path = tmp_path / "x.trace/events/000002-000002.parquet"
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(InputError, match=r"000002-000002\.parquet: not a whole Parquet file"):
        made.close(manifest())

    assert sorted(path.name for path in (tmp_path / "x.trace/events").iterdir()) == before
    assert not read_trace(tmp_path / "x.trace").manifest.complete


def test_a_full_disk_leaves_the_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = write_pieces(tmp_path / "x.trace")
    expected = content(tmp_path / "x.trace")

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", refuse)
        with pytest.raises(HostError, match=r"No space left on device.*free some room"):
            made.close(manifest())

    assert content(tmp_path / "x.trace") == expected
    assert not list((tmp_path / "x.trace/events").glob(".*"))


def test_a_trace_that_swaps_takes_under_five_bytes_an_event(tmp_path: Path) -> None:
    """A real one, written anew in segments: with all its tables, and smaller than before."""
    captured = read_trace(PRESSURE)
    made = TraceWriter(tmp_path / "x.trace", captured.manifest)
    for name in TABLES:
        columns = captured.columns(name)
        for rows in np.array_split(np.arange(len(columns["vm"])), 5):
            made.append(name, {key: values[rows] for key, values in columns.items()})
    made.close(captured.manifest)
    copy = read_trace(tmp_path / "x.trace")

    assert copy.digest == captured.digest
    assert size_bytes(copy.path) < 5 * copy.event_count
    assert size_bytes(copy.path) < size_bytes(PRESSURE)


def size_bytes(folder: Path) -> int:
    """What a trace takes on the disk."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    """However they came in segments."""
    write_pieces(tmp_path / "a.trace").close(manifest())
    shutil.copytree(tmp_path / "a.trace", tmp_path / "b.trace")
    columns = read_trace(tmp_path / "b.trace").columns("events")
    made = TraceWriter(tmp_path / "c.trace", manifest())
    made.append("events", columns)
    made.close(manifest())

    names = [only_file(tmp_path / f"{name}.trace/events") for name in "ac"]
    assert names[0].read_bytes() == names[1].read_bytes()
