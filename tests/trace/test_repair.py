"""What a repair makes of damaged traces: all that can be read, and a count of what cannot."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.synthetic import RAM_BYTES, TWO_BLOCKS, manifest, two_block_samples, write_trace
from workbench.errors import InputError, UsageError
from workbench.replay import identify, replay
from workbench.schema import EVENTS, TABLES, Kind
from workbench.trace import Trace, TraceWriter, read_trace, repair_trace
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.trace import Repair

BUNDLED = Path(__file__).resolve().parents[2] / "traces"


def columns(first: int, stop: int) -> dict[str, list[int]]:
    """Some of the events, numbered from 1 as a capture numbers them."""
    rows = TWO_BLOCKS[first:stop]
    values = {name: [row.get(name, 0) for row in rows] for name in EVENTS.column_names}
    return {**values, "sequence": list(range(first + 1, first + 1 + len(rows)))}


def killed(path: Path, pieces: int = 3) -> Path:
    """A capture of five events a second that was killed after some seconds."""
    writer = TraceWriter(path, manifest(complete=False, seconds=8))
    for number in range(pieces):
        writer.append("events", columns(4 * number, 4 * number + 4))
    writer.append("samples", two_block_samples())
    (path / "events/.000004-000004.parquet.partial").write_bytes(b"half a segm")
    return path


def repaired(folder: Path) -> tuple[Repair, Trace]:
    """Repair a trace, and read what came of it."""
    output = folder.with_name("repaired.trace")
    done = repair_trace(folder, output)
    return done, read_trace(output)


def content(trace: Trace) -> dict[str, Any]:
    """All rows of all tables."""
    return {
        name: {column: values.tolist() for column, values in trace.columns(name).items()}
        for name in TABLES
    }


def test_a_killed_trace_becomes_a_whole_one(tmp_path: Path) -> None:
    """It was readable before; now it is one file a table, and complete."""
    path = killed(tmp_path / "x.trace")
    before = content(read_trace(path))
    done, trace = repaired(path)

    assert content(trace) == before
    assert trace.manifest.complete
    assert trace.manifest.lost_events == done.lost_events == 0
    assert done.unfinished == ("events/.000004-000004.parquet.partial",)
    assert not done.was_complete
    assert [len(list((trace.path / name).iterdir())) for name in TABLES] == [1] * len(TABLES)


@pytest.mark.parametrize("name", ["churn-on", "staircase-two-guests", "staircase-mid-life"])
def test_a_whole_trace_is_repaired_to_itself(tmp_path: Path, name: str) -> None:
    shutil.copytree(BUNDLED / f"{name}.trace", tmp_path / "x.trace")
    before = read_trace(tmp_path / "x.trace")
    done, trace = repaired(tmp_path / "x.trace")
    same = {"schema_version": before.manifest.schema_version}

    assert content(trace) == content(before)
    assert trace.manifest.model_copy(update=same) == before.manifest
    assert done.dropped == ()


def test_a_cut_segment_is_dropped_and_its_events_are_counted(tmp_path: Path) -> None:
    """By the numbers that the capture gave to the events before and after it."""
    path = killed(tmp_path / "x.trace")
    segment = path / "events/000002-000002.parquet"
    segment.write_bytes(segment.read_bytes()[:-20])
    done, trace = repaired(path)
    (dropped,) = done.dropped
    kept = trace.columns("events")

    assert kept["sequence"].tolist() == [1, 2, 3, 4, 9, 10, 11]
    assert (dropped.table, dropped.file) == ("events", "000002-000002.parquet")
    assert "not a whole Parquet file" in dropped.reason
    assert (dropped.first_ns, dropped.last_ns) == (kept["time_ns"][3], kept["time_ns"][4])
    assert done.lost_events == trace.manifest.lost_events == 4
    assert any("4 events were lost" in note for note in identify(trace).notes)


def test_a_missing_segment_is_counted_too(tmp_path: Path) -> None:
    path = killed(tmp_path / "x.trace")
    (path / "events/000001-000001.parquet").unlink()
    (path / "events/000002-000002.parquet").unlink()
    done, trace = repaired(path)

    assert trace.missing_segments == 0
    assert [(one.file, one.reason) for one in done.dropped] == [
        ("000001-000002.parquet", "missing")
    ]
    assert done.lost_events == 1  # Nothing before it says how many there were.


def test_a_damaged_last_segment_counts_as_one_event_at_least(tmp_path: Path) -> None:
    path = killed(tmp_path / "x.trace")
    (path / "events/000003-000003.parquet").write_bytes(b"")
    done, trace = repaired(path)

    assert len(trace.columns("events")["vm"]) == 8
    assert done.lost_events == 1
    assert done.dropped[0].rows is None
    assert done.dropped[0].last_ns is None


def test_samples_that_are_lost_are_told_but_are_no_events(tmp_path: Path) -> None:
    path = killed(tmp_path / "x.trace")
    (path / "samples/000001-000001.parquet").write_bytes(b"PAR1")
    done, trace = repaired(path)

    assert [one.table for one in done.dropped] == ["samples"]
    assert trace.manifest.lost_events == 0


def test_rows_that_cannot_be_are_dropped_one_by_one(tmp_path: Path) -> None:
    """A machine that is not there, a kind that nobody knows, memory that the machine lacks."""
    path = killed(tmp_path / "x.trace", pieces=1)
    wrong = [
        {"vm": 3, "kind": int(Kind.MARKER), "ram_block": -1},
        {"vm": 0, "kind": 99, "ram_block": -1},
        {"vm": 0, "kind": int(Kind.FAULT), "ram_block": 0, "offset_bytes": RAM_BYTES},
        {"vm": 0, "kind": int(Kind.DISCARD), "ram_block": 0, "length_bytes": RAM_BYTES + 1},
        {"vm": 0, "kind": int(Kind.ACCESS), "ram_block": -1},
        {"vm": 0, "kind": int(Kind.REPORT), "ram_block": 0, "length_bytes": -1},
    ]
    right = {"vm": 0, "kind": int(Kind.FAULT), "ram_block": 0, "offset_bytes": RAM_BYTES - 1}
    rows = [*wrong[:3], right, *wrong[3:]]
    writer = TraceWriter(tmp_path / "other.trace", manifest())
    names = ("vm", "kind", "ram_block", "offset_bytes", "length_bytes")
    values = {name: [row.get(name, 0) for row in rows] for name in names}
    writer.append("events", {"time_ns": [2**40] * len(rows), **values})
    segment = "events/000001-000001.parquet"
    shutil.copy(tmp_path / "other.trace" / segment, path / "events/000002-000002.parquet")
    done, trace = repaired(path)

    assert done.lost_events == len(wrong)
    assert trace.columns("events")["offset_bytes"].tolist()[-1] == RAM_BYTES - 1
    assert len(trace.columns("events")["vm"]) == 5
    assert replay(trace).events["total"] == 5


def test_of_a_file_with_one_damaged_row_group_the_others_are_kept(tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "x.trace", TWO_BLOCKS)
    (path,) = (trace.path / "events").iterdir()
    table = pq.read_table(path)
    path.unlink()
    pq.write_table(table, path, row_group_size=4, compression="gzip", use_dictionary=False)
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    damaged = bytearray(path.read_bytes())
    first = column.data_page_offset
    damaged[first : first + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(damaged)
    done, made = repaired(trace.path)

    assert [one.rows for one in done.dropped] == [4]
    assert made.columns("events")["sequence"].tolist() == [0, 1, 2, 3, 8, 9, 10]
    assert made.manifest.lost_events == 4


def test_a_damaged_joined_file_is_made_again_of_its_segments(tmp_path: Path) -> None:
    """A crash between the two steps of a clean end leaves both."""
    path = killed(tmp_path / "x.trace")
    before = content(read_trace(path))
    (path / "events/000000-000003.parquet").write_bytes(b"half a file")
    done, trace = repaired(path)

    assert content(trace) == before
    assert done.lost_events == 0


def test_a_state_row_of_no_memory_is_dropped(tmp_path: Path) -> None:
    path = killed(tmp_path / "x.trace")
    table = pq.read_table(path / "state/000000-000000.parquet")
    lengths = [PAGE_BYTES, 2 * RAM_BYTES]
    rows = {name: np.zeros(2, table.schema.field(name).type.to_pandas_dtype()) for name in
            table.column_names}  # fmt: skip
    rows["length_bytes"][:], rows["page_state"][:] = lengths, 1
    pq.write_table(pa.table(rows, table.schema), path / "state/000000-000000.parquet")
    done, trace = repaired(path)

    assert trace.columns("state")["length_bytes"].tolist() == [PAGE_BYTES]
    assert done.lost_events == 1


def test_without_a_manifest_nothing_can_be_repaired(tmp_path: Path) -> None:
    path = killed(tmp_path / "x.trace")
    (path / "manifest.json").unlink()

    with pytest.raises(InputError, match=r"no manifest\.json here"):
        repaired(path)
    assert not path.with_name("repaired.trace").exists()


def test_nothing_is_overwritten_and_nothing_is_left_aside(tmp_path: Path) -> None:
    path = killed(tmp_path / "x.trace")
    repaired(path)

    with pytest.raises(UsageError, match="exists already"):
        repaired(path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["repaired.trace", "x.trace"]
