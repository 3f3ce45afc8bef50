"""What is wrong with a trace's files is said by name; what is only unusual is read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.synthetic import REPORTED, TWO_BLOCKS, manifest, trace, two_block_samples, write_trace
from workbench.errors import InputError
from workbench.schema import EVENTS, Kind, PageState
from workbench.trace import Trace, TraceWriter, read_trace


@pytest.fixture
def written(tmp_path: Path) -> Trace:
    """A small trace that is whole."""
    return write_trace(tmp_path / "x.trace", TWO_BLOCKS, samples=two_block_samples())


def only_file(folder: Path) -> Path:
    """The one segment of a closed table."""
    (path,) = folder.iterdir()
    return path


def replace_column(path: Path, name: str, values: pa.Array) -> None:
    """Write the file again, with other values in one column."""
    content = pq.read_table(path)
    place = content.schema.get_field_index(name)
    pq.write_table(content.set_column(place, pa.field(name, values.type), values), path)


def segments(folder: Path, *seconds: int) -> Path:
    """Write a marker each into a segment of its own, and leave them unjoined.  0 is empty."""
    writer = TraceWriter(folder, manifest())
    for sequence, time_ns in enumerate(seconds):
        writer.append("events", markers(time_ns=time_ns, sequence=sequence))
    return folder


def markers(**changes: Any) -> dict[str, np.ndarray]:
    """One marker, as columns."""
    columns = {"time_ns": 1, "kind": int(Kind.MARKER), "ram_block": -1, **changes}
    return {name: np.array([value]) for name, value in columns.items()}


ROWS = len(TWO_BLOCKS)
WRONG_COLUMNS = {
    "another number": (pa.array([1] * ROWS, pa.int64()), "column 'kind' is int64, expected int8"),
    "text": (pa.array(["a"] * ROWS), "column 'kind' is string, expected int8"),
    "a fraction": (pa.array([1.0] * ROWS), "column 'kind' is double, expected int8"),
    "gaps": (pa.array([1] * (ROWS - 1) + [None], pa.int8()), "column 'kind' has empty values"),
}


@pytest.mark.parametrize(("values", "message"), WRONG_COLUMNS.values(), ids=WRONG_COLUMNS)
def test_a_column_of_another_type_is_named(written: Trace, values: pa.Array, message: str) -> None:
    path = only_file(written.path / "events")
    replace_column(path, "kind", values)

    with pytest.raises(InputError, match=rf"{re.escape(str(path))}: {message}"):
        read_trace(written.path).columns("events")


def test_a_column_that_is_not_there_is_named(written: Trace) -> None:
    path = only_file(written.path / "samples")
    pq.write_table(pq.read_table(path).drop_columns(["vm"]), path)

    with pytest.raises(InputError, match=r"parquet: has no column 'vm'"):
        read_trace(written.path).columns("samples")


def test_a_column_that_is_there_twice_is_named(written: Trace) -> None:
    path = only_file(written.path / "events")
    content = pq.read_table(path)
    pq.write_table(content.append_column("vm", content["vm"]), path)

    with pytest.raises(InputError, match=r"has 2 columns 'vm', expected one"):
        read_trace(written.path).columns("events")


def test_types_that_differ_between_segments_name_the_segment(tmp_path: Path) -> None:
    folder = segments(tmp_path / "x.trace", 1, 2)
    path = folder / "events/000002-000002.parquet"
    replace_column(path.with_name("000001-000001.parquet"), "vm", pa.array([0], pa.int64()))

    with pytest.raises(InputError, match=r"000001-000001\.parquet: column 'vm' is int64"):
        read_trace(folder).columns("events")


def test_columns_in_another_order_and_more_of_them_are_read(written: Trace) -> None:
    """A newer minor version may add columns, and the order and nullability say nothing."""
    expected = written.columns("events")
    path = only_file(written.path / "events")
    content = pq.read_table(path)
    shuffled = {name: content[name] for name in reversed(content.column_names)}
    pq.write_table(pa.table({"weather": pa.array(["fine"] * ROWS), **shuffled}), path)

    found = read_trace(written.path).columns("events")

    assert list(found) == list(EVENTS.column_names)
    assert all((found[name] == expected[name]).all() for name in found)


def test_segments_past_a_million_are_read(tmp_path: Path) -> None:
    folder = segments(tmp_path / "x.trace", 1)
    path = folder / "events/000001-000001.parquet"
    path.rename(path.with_name("000001-1000000.parquet"))

    assert read_trace(folder).columns("events")["time_ns"].tolist() == [1]


def test_an_empty_folder_is_a_missing_table(written: Trace) -> None:
    """Without samples there are none; without events there is no trace."""
    only_file(written.path / "samples").unlink()

    assert not read_trace(written.path).has("samples")
    assert read_trace(written.path).columns("samples")["vm"].size == 0

    only_file(written.path / "events").unlink()
    with pytest.raises(InputError, match="table 'events' is missing"):
        read_trace(written.path)


def test_a_dangling_link_is_not_called_damage(tmp_path: Path) -> None:
    folder = segments(tmp_path / "x.trace", 1, 2)
    path = folder / "events/000001-000001.parquet"
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")

    with pytest.raises(InputError, match="a link to a file that is not there") as caught:
        read_trace(folder).columns("events")
    assert "remove" not in str(caught.value)


def test_a_folder_in_place_of_a_segment_is_not_called_damage(tmp_path: Path) -> None:
    folder = segments(tmp_path / "x.trace", 1)
    (folder / "events/000002-000002.parquet").mkdir()

    with pytest.raises(InputError, match=r"000002\.parquet: is not a file"):
        read_trace(folder).columns("events")


def test_what_may_not_be_read_says_so(written: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(InputError, match=r"cannot be opened \(Permission denied\)$"):
            Trace(written.path, written.manifest).columns("events")
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match=r"samples: cannot be listed \(Permission denied\)$"):
        Trace(written.path, written.manifest).columns("samples")


def test_a_damaged_segment_among_others_may_be_removed(tmp_path: Path) -> None:
    """And then its number is missing."""
    folder = segments(tmp_path / "x.trace", 1, 2, 3)
    path = folder / "events/000001-000001.parquet"
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(InputError, match="remove it to read the others"):
        read_trace(folder).columns("events")
    path.unlink()
    assert read_trace(folder).missing_segments == 1


@pytest.mark.parametrize("place", range(0, 4000, 97))
def test_a_flipped_byte_is_read_or_refused(written: Trace, place: int) -> None:
    """Whatever the byte says to Arrow, there is an answer or a sentence."""
    path = only_file(written.path / "events")
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 0xFF
    path.write_bytes(content)

    try:
        read_trace(written.path).columns("events")
    except InputError as error:
        assert str(written.path) in str(error)  # noqa: PT017 - a flipped byte may also be read.


@pytest.mark.parametrize(
    ("removed", "missing"),
    [((), 0), ((0,), 1), ((1,), 1), ((0, 1), 2), ((1, 2), 2), ((3,), 0)],
)
def test_a_hole_in_the_segments_is_counted(
    tmp_path: Path, removed: tuple[int, ...], missing: int
) -> None:
    """Numbers begin at 0 and have no gaps; what is missing at the end cannot be known."""
    folder = segments(tmp_path / "x.trace", 1, 2, 3)
    for number in removed:
        (folder / f"events/{number:06d}-{number:06d}.parquet").unlink()

    assert read_trace(folder).missing_segments == missing


def test_holes_are_counted_over_the_tables(tmp_path: Path) -> None:
    folder = segments(tmp_path / "x.trace", 1, 2)
    (folder / "events/000000-000000.parquet").unlink()
    path = folder / "samples/000000-000000.parquet"
    path.rename(path.with_name("000002-000003.parquet"))

    assert read_trace(folder).missing_segments == 3


def test_whole_traces_and_those_in_memory_miss_nothing(written: Trace) -> None:
    assert written.missing_segments == 0
    assert trace(REPORTED).missing_segments == 0


def test_a_joined_file_holds_the_numbers_of_its_name(tmp_path: Path) -> None:
    """Also beside the segments it was made of; what only overlaps it is not read, and missing."""
    folder = segments(tmp_path / "x.trace", 1, 2)
    joined = folder / "events/000000-000001.parquet"
    joined.write_bytes((folder / "events/000000-000000.parquet").read_bytes())
    assert read_trace(folder).missing_segments == 0

    (folder / "events/000002-000002.parquet").unlink()
    joined.with_name("000001-000004.parquet").write_bytes(joined.read_bytes())  # Holds 2 to 4.
    assert read_trace(folder).missing_segments == 3


def test_the_largest_values_are_read(tmp_path: Path) -> None:
    """Without a block the offset is a guest address, which may be anything."""
    writer = TraceWriter(tmp_path / "x.trace", manifest())
    writer.append("events", markers(time_ns=2**62 - 1, offset_bytes=2**63 - 1, length_bytes=-1))
    writer.append("events", markers(ram_block=0, offset_bytes=2**62 - 1, length_bytes=2**52 - 1))

    assert read_trace(tmp_path / "x.trace").columns("events")["vm"].size == 2


STATE_ROW = {"vm": 0, "length_bytes": 4096, "page_state": int(PageState.RESIDENT)}
WRONG_ROWS = {
    "a block's offset": ("events", markers(ram_block=0, offset_bytes=2**62), "offset_bytes"),
    "a range's machine": ("state", {**STATE_ROW, "vm": 1}, "vm 1, expected 0 to 0"),
    "a range's block": ("state", {**STATE_ROW, "ram_block": 1}, "ram_block 1"),
    "a range without a block": ("state", {**STATE_ROW, "ram_block": -1}, "ram_block -1"),
    "a range's offset": ("state", {**STATE_ROW, "offset_bytes": -1}, "offset_bytes -1"),
    "a range's length": ("state", {**STATE_ROW, "length_bytes": -1}, "length_bytes -1"),
    "a range's state": ("state", {**STATE_ROW, "page_state": 6}, "page_state 6"),
    "a sample's machine": ("samples", {"vm": -1}, "vm -1"),
    "a sample's time": ("samples", {"time_ns": 2**62}, f"time_ns {2**62}"),
    "a guest sample's machine": ("guest_samples", {"vm": 1}, "vm 1"),
    "a guest sample's time": ("guest_samples", {"time_ns": -1}, "time_ns -1"),
    "a guest's own time": ("guest_samples", {"guest_time_ns": -5}, "guest_time_ns -5"),
}


@pytest.mark.parametrize(("table", "row", "message"), WRONG_ROWS.values(), ids=WRONG_ROWS)
def test_rows_of_every_table_are_checked(
    tmp_path: Path, table: str, row: dict[str, Any], message: str
) -> None:
    writer = TraceWriter(tmp_path / "x.trace", manifest())
    writer.append(table, {name: np.atleast_1d(value) for name, value in row.items()})

    with pytest.raises(InputError, match=rf"x\.trace/{table}: row 0 has {message}"):
        read_trace(tmp_path / "x.trace").columns(table)


MACHINE_CHANGES = {
    "features below": (("features",), -1, False),
    "features above": (("features",), 2**63, False),
    "features at most": (("features",), 2**63 - 1, True),
    "poison_val above": (("poison_val",), 2**32, False),
    "poison_val at most": (("poison_val",), 2**32 - 1, True),
    "memory below": (("memory_bytes",), -1, False),
    "no blocks": (("ram_blocks",), [], False),
    "a delay below": (("guest", "reporting_delay_ns"), -1, False),
    "an order below": (("guest", "reporting_order"), -1, False),
    "a capacity above": (("guest", "reporting_capacity"), 2**31, False),
    "no size": (("ram_blocks", 0, "used_bytes"), 0, False),
    "size at most": (("ram_blocks", 0, "used_bytes"), 2**46, True),
    "size above": (("ram_blocks", 0, "used_bytes"), 2**46 + 1, False),
    "small pages": (("ram_blocks", 0, "page_bytes"), 2048, False),
    "odd pages": (("ram_blocks", 0, "page_bytes"), 12288, False),
    "large pages": (("ram_blocks", 0, "page_bytes"), 2**31, False),
    "gigantic pages": (("ram_blocks", 0, "page_bytes"), 2**30, True),
    "an offset within": (("ram_blocks", 0, "huge_page_offset_bytes"), 2**21 - 4096, True),
    "an offset beyond": (("ram_blocks", 0, "huge_page_offset_bytes"), 2**21, False),
}


@pytest.mark.parametrize(
    ("place", "value", "is_read"), MACHINE_CHANGES.values(), ids=MACHINE_CHANGES
)
def test_numbers_of_a_machine_have_limits(
    written: Trace,
    place: tuple[str | int, ...],
    value: object,
    is_read: bool,  # noqa: FBT001 - from the table above.
) -> None:
    path = written.path / "manifest.json"
    document = json.loads(path.read_text())
    part = document["virtual_machines"][0]
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = value
    path.write_text(json.dumps(document))

    if is_read:
        assert read_trace(written.path).manifest.virtual_machines
    else:
        field = re.escape(".".join(str(step) for step in place))
        with pytest.raises(InputError, match=rf"field 'virtual_machines\.0\.{field}' is wrong"):
            read_trace(written.path)


@pytest.mark.parametrize(
    "member",
    [
        '"weather": ' + "9" * 5000,
        '"weather": ' + "[" * 100_000 + "]" * 100_000,
        '"scenario": "\\ud800"',
        '"lab_settings": {"\\udfff": "1"}',
        '"weather": "\\ud800"',
    ],
    ids=["huge number", "deep nesting", "half a character", "in a name", "in what is passed over"],
)
def test_json_that_python_cannot_hold_is_refused(written: Trace, member: str) -> None:
    path = written.path / "manifest.json"
    path.write_text(f"{path.read_text().rstrip()[:-1]}, {member}}}")

    with pytest.raises(InputError, match=r"manifest\.json: not readable as JSON") as caught:
        read_trace(written.path)
    assert str(caught.value).encode()


def test_a_manifest_that_cannot_be_opened_is_not_called_wrong(written: Trace) -> None:
    path = written.path / "manifest.json"
    path.unlink()
    path.mkdir()

    with pytest.raises(InputError, match=r"manifest\.json: cannot be read \(Is a directory\)"):
        read_trace(written.path)


def test_a_file_that_fails_when_it_is_read_has_no_digest(tmp_path: Path) -> None:
    """Our own memory at address 0 is a file that opens, and is an error of the disk to read."""
    trace = write_trace(tmp_path / "x.trace", [])
    (path,) = (trace.path / "events").glob("*.parquet")
    path.unlink()
    path.symlink_to("/proc/self/mem")

    with pytest.raises(InputError, match="cannot be read"):
        _ = trace.files_digest
