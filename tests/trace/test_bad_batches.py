"""What is wrong with a table is said in pieces as it is of the whole; what is unusual is read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.segments import joined, markers, one_by_one, write_segments
from tests.synthetic import TWO_BLOCKS, manifest, started, write_trace
from workbench.errors import InputError, UsageError
from workbench.schema import TABLES
from workbench.trace import Trace, TraceWriter, batches, merge, read_trace, writer

if TYPE_CHECKING:
    from pathlib import Path


def rewrite(path: Path, content: pa.Table, **options: object) -> None:
    """Write a file with row groups of two rows."""
    pq.write_table(content, path, row_group_size=2, **options)


def test_without_events_there_is_no_trace(tmp_path: Path) -> None:
    written = write_segments(tmp_path / "x.trace", [[1]])
    for path in (written.path / "events").iterdir():
        path.unlink()

    with pytest.raises(InputError, match="table 'events' is missing"):
        list(written.batches("events", ["vm"]))
    with pytest.raises(InputError, match="table 'events' is missing"):
        _ = written.event_count


@pytest.mark.parametrize(
    ("table_name", "names", "row_count", "message"),
    [
        ("event", ["vm"], 1, "no table is called 'event'; did you mean 'events'"),
        ("events", ["vm", "pid"], 1, "'events' has no column 'pid'; there are time_ns"),
        ("events", ["lenght"], 1, "no column 'lenght'; did you mean 'length_bytes'"),
        ("events", [], 1, "no column of table 'events' was asked for; there are time_ns"),
        ("events", ["vm"], 0, "batches of 0 rows cannot be given"),
        ("samples", ["kind"], 1, "'samples' has no column 'kind'"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_at_once(
    tmp_path: Path, table_name: str, names: list[str], row_count: int, message: str
) -> None:
    """Before the first batch is taken."""
    written = write_segments(tmp_path / "x.trace", [[1]])

    with pytest.raises(UsageError, match=message):
        written.batches(table_name, names, row_count=row_count)


@pytest.mark.parametrize("row_count", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vm", 7),
        ("vm", -1),
        ("kind", 99),
        ("kind", 0),
        ("ram_block", 3),
        ("offset_bytes", -1),
        ("length_bytes", -2),
        ("length_bytes", 2**52),
        ("duration_ns", -1),
    ],
)
def test_a_row_that_cannot_be_is_named_as_in_the_whole_table(
    tmp_path: Path, name: str, value: int, row_count: int
) -> None:
    """By its number there, whatever is asked for; the batches before it are given."""
    made = TraceWriter(tmp_path / "x.trace", manifest())
    for first in (0, 3, 6):
        columns = markers([first, first + 1, first + 2], first)
        if first == 3:
            columns[name] = columns.get(name, np.zeros(3, np.int64)).astype(np.int64)
            columns[name][1] = value
        made.append("events", columns)
    with pytest.raises(InputError) as whole:
        read_trace(tmp_path / "x.trace").columns("events")

    given: list[int] = []
    found = read_trace(tmp_path / "x.trace").batches("events", ["status"], row_count=row_count)
    with pytest.raises(InputError) as caught:
        given.extend(one_by_one(found, "status"))

    assert str(caught.value) == str(whole.value)
    assert f"row 4 has {name} {value}" in str(caught.value)
    assert given == list(range(3 // row_count * row_count))


@pytest.mark.parametrize("path", ["state", "samples", "guest_samples"])
def test_rows_of_other_tables_are_checked(tmp_path: Path, path: str) -> None:
    """A machine that is not there, in the second row."""
    made = TraceWriter(tmp_path / "x.trace", manifest())
    made.append(path, {"vm": np.array([0, 1])})
    (name, *_) = TABLES[path].column_names

    with pytest.raises(InputError, match=rf"x\.trace/{path}: row 1 has vm 1, expected 0 to 0"):
        list(read_trace(tmp_path / "x.trace").batches(path, [name]))


def test_damage_in_the_middle_is_met_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes before is given, then the file is named, never the rows after it."""
    monkeypatch.setattr(writer, "ROW_GROUP_ROWS", 2)
    written = write_segments(tmp_path / "x.trace", [[0, 1, 2, 3, 4], [5, 6, 7]], close=True)
    (path,) = (written.path / "events").iterdir()
    with pq.ParquetFile(path) as file:
        chunk = file.metadata.row_group(2).column(0)
    content = bytearray(path.read_bytes())
    content[chunk.data_page_offset : chunk.data_page_offset + 4] = b"\xff" * 4
    path.write_bytes(content)

    given: list[int] = []
    found = written.batches("events", ["time_ns"], row_count=1)
    with pytest.raises(InputError, match=r"000000-000002\.parquet: not a whole Parquet file"):
        given.extend(one_by_one(found, "time_ns"))

    assert given == [0, 1, 2, 3]


def test_a_file_cut_short_is_named_before_anything_is_given(tmp_path: Path) -> None:
    written = write_segments(tmp_path / "x.trace", [[0, 1], [2, 3], [4]])
    path = written.path / "events/000001-000001.parquet"
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(InputError, match=rf"{re.escape(str(path))}: .*remove it to read the"):
        next(written.batches("events", ["time_ns"], row_count=1))
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}: not a whole"):
        _ = written.event_count


@pytest.mark.parametrize("asked", ["vm", "status"])
def test_a_column_that_is_not_there_is_named(tmp_path: Path, asked: str) -> None:
    """Also where it was not asked for: the table is not one of a trace."""
    written = write_segments(tmp_path / "x.trace", [[1]], close=True)
    (path,) = (written.path / "events").glob("*1.parquet")
    rewrite(path, pq.read_table(path).drop_columns(["vm"]))

    with pytest.raises(InputError, match=r"has no column 'vm'; capture the trace again"):
        next(written.batches("events", [asked]))


def test_gaps_are_refused(tmp_path: Path) -> None:
    """In the third row group of a file, after the rows before it."""
    written = write_trace(tmp_path / "x.trace", TWO_BLOCKS)
    (path,) = (written.path / "events").iterdir()
    content = pq.read_table(path)
    values = pa.array([*[0] * 5, None, *[0] * 5], pa.int64())
    place = content.schema.get_field_index("status")
    rewrite(path, content.set_column(place, pa.field("status", pa.int64()), values))

    found = read_trace(written.path).batches("events", ["status"], row_count=4)

    assert len(next(found)["status"]) == 4
    with pytest.raises(InputError, match=r"column 'status' has empty values"):
        next(found)


def test_a_row_group_that_is_not_as_long_as_it_says_is_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = write_segments(tmp_path / "x.trace", [[1, 2, 3]])
    original = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_groups",
        lambda file, numbers, **options: original(file, numbers, **options).slice(1),
    )

    with pytest.raises(InputError, match=r"parquet: not a whole Parquet file \(a row group is not"):
        next(written.batches("events", ["time_ns"]))


def test_a_block_is_one_of_its_own_machine(tmp_path: Path) -> None:
    """A machine with one block has no second one, although another machine has."""
    one = started("one")
    two = one.model_copy(update={"name": "two", "ram_blocks": one.ram_blocks * 2})
    made = TraceWriter(tmp_path / "x.trace", manifest(machines=[one, two]))
    places = {"vm": np.array([1, 1, 0]), "ram_block": np.array([0, 1, 1])}
    made.append("events", {**markers([1, 2, 3]), **places})

    for read in (Trace.columns, lambda found, name: list(found.batches(name, ["vm"]))):
        with pytest.raises(InputError, match="row 2 has ram_block 1, expected a RAM block"):
            read(read_trace(tmp_path / "x.trace"), "events")


def test_statistics_are_not_needed(tmp_path: Path) -> None:
    """Other tools write none; the least values are then looked for."""
    written = write_segments(tmp_path / "x.trace", [[3, 1], [2, 4, 0]])
    for path in (written.path / "events").iterdir():
        rewrite(path, pq.read_table(path), write_statistics=False)

    found = joined(written.batches("events", ["time_ns"]), ["time_ns"])

    assert found == {"time_ns": [0, 1, 2, 3, 4]}


def test_statistics_that_are_wrong_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that comes too late is refused, not given out of order."""
    written = write_segments(tmp_path / "x.trace", [[1, 5], [2, 6]])
    monkeypatch.setattr(merge, "_least", lambda _file, _number, names: [6] * len(names))

    with pytest.raises(InputError, match=r"a row belongs before others .* copy it again"):
        list(written.batches("events", ["time_ns"]))


def test_files_too_far_out_of_order_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where more would have to be held than may be; read whole, the table is in order."""
    monkeypatch.setattr(batches, "HELD_ROWS_MAX", 3)
    written = write_segments(tmp_path / "x.trace", [[0, 8, 8, 8, 8], [1, 2]])

    with pytest.raises(InputError, match=r"more than 3 rows .*; read or replay the trace whole"):
        list(written.batches("events", ["time_ns"]))
    assert written.columns("events")["time_ns"].tolist() == [0, 1, 2, 8, 8, 8, 8]


def test_as_many_rows_as_may_be_held_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "HELD_ROWS_MAX", 4)
    written = write_segments(tmp_path / "x.trace", [[0, 8, 8, 8, 8], [1, 2]])

    found = joined(written.batches("events", ["time_ns"]), ["time_ns"])

    assert found == {"time_ns": [0, 1, 2, 8, 8, 8, 8]}
