"""What is written comes back, in order, whatever happens in between; what is damaged says so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.synthetic import manifest
from workbench.errors import InputError, UsageError
from workbench.schema import EVENTS, SAMPLES, TABLES, UNKNOWN, Kind
from workbench.trace import TraceWriter, read_trace

if TYPE_CHECKING:
    from pathlib import Path

MARKER = int(Kind.MARKER)


def columns(times: list[int], first_sequence: int = 0) -> dict[str, np.ndarray]:
    """Markers at the given times."""
    return {
        "time_ns": np.array(times),
        "sequence": np.arange(len(times)) + first_sequence,
        "kind": np.full(len(times), MARKER),
        "ram_block": np.full(len(times), -1),
    }


def write(path: Path, segments: list[list[int]], *, close: bool = True) -> None:
    """Write markers, one segment for each list of times."""
    unfinished = manifest().model_copy(update={"complete": False})
    writer = TraceWriter(path, unfinished)
    sequence = 0
    for times in segments:
        writer.append("events", columns(times, sequence))
        sequence += len(times)
    if close:
        writer.close(manifest())


@given(segments=st.lists(st.lists(st.integers(0, 2**62 - 1), max_size=8), max_size=5))
def test_events_come_back_in_the_order_of_time(
    tmp_path_factory: pytest.TempPathFactory, segments: list[list[int]]
) -> None:
    """Every event comes back once, sorted by time and then by the capture's order."""
    path = tmp_path_factory.mktemp("trace") / "x.trace"
    write(path, segments)

    events = read_trace(path).columns("events")

    numbered = enumerate(time for times in segments for time in times)
    expected = sorted((time, sequence) for sequence, time in numbered)
    assert expected == list(
        zip(events["time_ns"].tolist(), events["sequence"].tolist(), strict=True)
    )


def test_every_column_keeps_its_type(tmp_path: Path) -> None:
    """The schema's types are the file's types and the reader's types."""
    write(tmp_path / "x.trace", [[3, 1, 2]])

    events = read_trace(tmp_path / "x.trace").columns("events")

    assert {column.name: column.dtype for column in EVENTS.columns} == {
        name: str(values.dtype) for name, values in events.items()
    }


def test_a_killed_capture_leaves_its_segments(tmp_path: Path) -> None:
    """Without a clean end, everything up to the last segment is there, and marked as cut off."""
    write(tmp_path / "x.trace", [[1, 2], [3]], close=False)
    (tmp_path / "x.trace/events/.000003-000003.parquet.partial").write_bytes(b"half a segm")

    trace = read_trace(tmp_path / "x.trace")

    assert trace.columns("events")["time_ns"].tolist() == [1, 2, 3]
    assert not trace.manifest.complete


def test_a_crash_while_segments_are_joined_leaves_nothing_twice(tmp_path: Path) -> None:
    """A joined file and the segments it was made of are read once."""
    write(tmp_path / "cut.trace", [[1, 2], [3]], close=False)
    write(tmp_path / "whole.trace", [[1, 2], [3]])
    joined = next((tmp_path / "whole.trace/events").iterdir())

    (tmp_path / "cut.trace/events" / joined.name).write_bytes(joined.read_bytes())

    assert read_trace(tmp_path / "cut.trace").columns("events")["time_ns"].tolist() == [1, 2, 3]


def test_a_closed_trace_has_one_file_for_each_table(tmp_path: Path) -> None:
    """Segments are joined at a clean end."""
    write(tmp_path / "x.trace", [[1], [2], [3]])

    counts = {name: len(list((tmp_path / "x.trace" / name).iterdir())) for name in TABLES}

    assert counts == dict.fromkeys(TABLES, 1)


def test_a_trace_is_never_overwritten(tmp_path: Path) -> None:
    """A second capture to the same folder is refused."""
    write(tmp_path / "x.trace", [[1]])

    with pytest.raises(UsageError, match="exists already"):
        TraceWriter(tmp_path / "x.trace", manifest())


def test_the_digest_names_what_a_replay_reads(tmp_path: Path) -> None:
    """Other samples, same digest; other events, another one."""
    for name, times in (("a", [1, 2]), ("b", [1, 2]), ("c", [1, 3])):
        write(tmp_path / f"{name}.trace", [times])
    for path in (tmp_path / "b.trace/samples").iterdir():
        path.unlink()
    (tmp_path / "b.trace/samples").rmdir()

    digests = [read_trace(tmp_path / f"{name}.trace").digest for name in "abc"]

    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    """A Parquet file without its end is an error that says which file."""
    write(tmp_path / "x.trace", [[1, 2, 3]])
    path = next((tmp_path / "x.trace/events").iterdir())
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(InputError, match=r"000000-.*\.parquet: not a whole Parquet file"):
        read_trace(tmp_path / "x.trace").columns("events")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    """Without events there is no trace; any other table may be missing."""
    write(tmp_path / "x.trace", [[1]])
    for name in ("samples", "events"):
        for path in (tmp_path / "x.trace" / name).iterdir():
            path.unlink()
        (tmp_path / "x.trace" / name).rmdir()
        if name == "samples":
            assert len(read_trace(tmp_path / "x.trace").columns("samples")["time_ns"]) == 0

    with pytest.raises(InputError, match="table 'events' is missing"):
        read_trace(tmp_path / "x.trace")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": "2.0"}, "trace format 2.0.*install a newer workbench"),
        ({"schema_version": None}, "schema_version is None"),
        ({"start_time_ns": "soon"}, "field 'start_time_ns' is wrong"),
        ({"virtual_machines": [{}]}, "field 'virtual_machines.0.name' is wrong"),
        ({"virtual_machines": []}, "field 'virtual_machines' is wrong: .* at least 1 item"),
        ({"schema_version": "1" * 5000}, "schema_version is '1{20}'[.]{3}, expected"),
        ({"schema_version": ["1.0"]}, "schema_version is list, expected"),
        ({"start_time_ns": -1}, "field 'start_time_ns' is wrong"),
        ({"duration_ns": 2**62 + 1}, "field 'duration_ns' is wrong"),
        ({"duration_ns": int("9" * 4000)}, "field 'duration_ns' is wrong"),
        (
            {"probes": [{"name": "p", "attached": True, "lost": {"full": -1}}]},
            "field 'probes.0.lost.full' is wrong",
        ),
    ],
)
def test_a_wrong_manifest_is_refused_by_name(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    """A newer format, or a field that cannot be, is one sentence."""
    write(tmp_path / "x.trace", [[1]])
    path = tmp_path / "x.trace/manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))

    with pytest.raises(InputError, match=message):
        read_trace(tmp_path / "x.trace")


def test_a_newer_minor_version_is_read(tmp_path: Path) -> None:
    """Fields that a newer minor version added are passed over."""
    write(tmp_path / "x.trace", [[1]])
    path = tmp_path / "x.trace/manifest.json"
    newer = {"schema_version": "1.9", "weather": "fine"}
    path.write_text(json.dumps(json.loads(path.read_text()) | newer))

    assert read_trace(tmp_path / "x.trace").manifest.schema_version == "1.9"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("kind", 99, "row 0 has kind 99"),
        ("vm", 7, "row 0 has vm 7"),
        ("vm", -1, "row 0 has vm -1, expected 0 to 0"),
        ("ram_block", 3, "row 0 has ram_block 3"),
        ("ram_block", -2, "row 0 has ram_block -2"),
        ("time_ns", -1, "row 0 has time_ns -1, expected 0 to"),
        ("time_ns", 2**62, f"row 0 has time_ns {2**62}"),
        ("offset_bytes", -1, "row 0 has offset_bytes -1"),
        ("length_bytes", -2, "row 0 has length_bytes -2, expected -1 to"),
        ("length_bytes", 2**52, f"row 0 has length_bytes {2**52}"),
        ("duration_ns", -1, "row 0 has duration_ns -1"),
    ],
)
def test_rows_that_no_capture_writes_are_refused(
    tmp_path: Path, name: str, value: int, message: str
) -> None:
    """An index into nothing is an error here, not a wrong answer later."""
    writer = TraceWriter(tmp_path / "x.trace", manifest())
    writer.append("events", columns([1]) | {name: np.array([value])})

    with pytest.raises(InputError, match=message):
        read_trace(tmp_path / "x.trace").columns("events")


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_a_manifest_that_is_no_document_is_refused(tmp_path: Path, text: str) -> None:
    """Whatever stands in the file, the answer is a sentence."""
    write(tmp_path / "x.trace", [[1]])
    (tmp_path / "x.trace/manifest.json").write_text(text)

    with pytest.raises(InputError, match=r"manifest\.json"):
        read_trace(tmp_path / "x.trace")


def test_a_folder_that_is_no_trace_is_refused(tmp_path: Path) -> None:
    """No folder, and a folder without a manifest, are two different mistakes."""
    with pytest.raises(InputError, match="no such trace folder"):
        read_trace(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no manifest\.json here"):
        read_trace(tmp_path)


def test_a_column_that_an_older_trace_lacks_reads_as_unknown(tmp_path: Path) -> None:
    """Both ways to read it: whole, and in batches.  What it never was without is still missed."""
    write(tmp_path / "x.trace", [[1]], close=False)
    (segment,) = (tmp_path / "x.trace/samples").iterdir()
    samples = pa.table({"time_ns": [5, 7], "vm": pa.array([0, 0], pa.int32())})
    newer = {column.name for column in SAMPLES.columns if column.absent is not None}
    for column in SAMPLES.columns:
        if column.name not in {*samples.column_names, *newer}:
            samples = samples.append_column(column.name, pa.array([1, 2]))
    pq.write_table(samples, segment)

    whole = read_trace(tmp_path / "x.trace").columns("samples")
    (batch,) = read_trace(tmp_path / "x.trace").batches("samples", sorted(newer))

    assert newer == {"swap_read_bytes", "swap_written_bytes"}
    for name in newer:
        assert whole[name].tolist() == batch[name].tolist() == [UNKNOWN, UNKNOWN]
    assert whole["resident_bytes"].tolist() == [1, 2]
    pq.write_table(samples.drop_columns(["resident_bytes"]), segment)
    with pytest.raises(InputError, match="has no column 'resident_bytes'"):
        read_trace(tmp_path / "x.trace").columns("samples")
