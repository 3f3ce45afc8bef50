"""A trace as CSV and back: nothing is lost, and what is wrong is named by its line."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.synthetic import REPORTED, machine, sample, trace, write_two_blocks
from workbench.errors import InputError, UsageError
from workbench.schema import EVENTS, NO_BLOCK, NO_ELEMENT, TABLES, Kind
from workbench.trace import Trace, csv_import, read_trace
from workbench.trace.csv_export import export_csv
from workbench.trace.csv_import import CsvOptions, import_csv
from workbench.units import MIB

BUNDLED = sorted((Path(__file__).resolve().parents[2] / "traces").glob("*.trace"))

HEADER = "time_ns,kind,offset_bytes,length_bytes"
GUEST = CsvOptions(memory_bytes=8 * MIB)
NUMBER = st.integers(-(2**63), 2**63 - 1)
SMALL = st.integers(0, 2**62 - 1)


@st.composite
def event(draw):
    """Any event that a trace may hold, of one of two guests."""
    return {
        "time_ns": draw(SMALL),
        "vm": draw(st.integers(0, 1)),
        "kind": int(draw(st.sampled_from(Kind))),
        "ram_block": draw(st.sampled_from([NO_BLOCK, 0])),
        "offset_bytes": draw(SMALL),
        "length_bytes": draw(st.integers(-1, 2**52 - 1)),
        "status": draw(NUMBER),
        "element": draw(NUMBER),
        "duration_ns": draw(SMALL),
    }


def assert_equal_tables(found: Trace, expected: Trace) -> None:
    """Every column of every table."""
    for name in TABLES:
        for column, values in expected.columns(name).items():
            assert found.columns(name)[column].tolist() == values.tolist(), (name, column)


def there_and_back(of: Trace, folder: Path) -> Trace:
    """Export it, and import that."""
    export_csv(of, folder / "x.csv")
    import_csv(folder / "x.csv", folder / "x.trace", CsvOptions())
    return read_trace(folder / "x.trace")


@settings(max_examples=40)
@given(
    events=st.lists(event(), max_size=30),
    sampled=st.booleans(),
    piece_bytes=st.integers(300, 2000),
)
def test_what_is_exported_is_imported_to_the_bit(tmp_path_factory, events, sampled, piece_bytes):
    """The same digest, and samples too, however small the pieces are that are read."""
    of = trace(
        events,
        machines=[machine("a"), machine("b, with a comma")],
        samples=[sample(1, 5), sample(2, 6, vm=1)] if sampled else [],
        state=[{"ram_block": 0, "length_bytes": 4096, "page_state": 2}] if sampled else [],
        lost=3,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_import, "PIECE_BYTES", piece_bytes)
        back = there_and_back(of, tmp_path_factory.mktemp("csv"))

    assert back.digest == of.digest
    assert_equal_tables(back, of)


@pytest.mark.parametrize("path", [BUNDLED[0], *(p for p in BUNDLED if "two" in p.stem)], ids=str)
def test_bundled_traces_come_back(path, tmp_path):
    """Those of several guests and of a state too."""
    of = read_trace(path)
    back = there_and_back(of, tmp_path)

    assert back.digest == of.digest
    assert_equal_tables(back, of)


def test_any_reader_of_csv_reads_it(tmp_path):
    """Names of kinds, and a unit in the name of each column that has one."""
    of = trace(REPORTED)
    export_csv(of, tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="") as file:
        found = list(csv.DictReader(file))

    events = of.columns("events")
    assert list(found[0]) == list(EVENTS.column_names)
    assert [row["kind"] for row in found] == [Kind(k).name.lower() for k in events["kind"]]
    assert [int(row["offset_bytes"]) for row in found] == events["offset_bytes"].tolist()


def written(folder: Path, *lines: str) -> Path:
    """A CSV of these lines."""
    path = folder / "own.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def imported(folder: Path, *lines: str, options: CsvOptions = GUEST) -> Trace:
    """What is made of these lines."""
    import_csv(written(folder, *lines), folder / "own.trace", options)
    return read_trace(folder / "own.trace")


def test_four_columns_are_enough(tmp_path):
    """The others are what they mostly are; a kind is a name, in any case, or its code."""
    lines = ["30,FAULT,0,4096", "10,report,4096,4096", "20,7,12,4", "20,reset,0,0"]
    found = imported(tmp_path, HEADER, *lines)
    events = {name: values.tolist() for name, values in found.columns("events").items()}

    assert events["kind"] == [Kind.REPORT, Kind.CONFIG_WRITE, Kind.RESET, Kind.FAULT]
    assert events["ram_block"] == [0, NO_BLOCK, NO_BLOCK, 0]
    assert events["element"] == [NO_ELEMENT] * 4
    assert events["sequence"] == [1, 2, 3, 0]
    assert events["vm"] == events["status"] == events["duration_ns"] == [0] * 4
    assert (found.manifest.start_time_ns, found.manifest.duration_ns) == (10, 20)
    assert found.manifest.saw_faults
    assert found.manifest.virtual_machines[0].name == "own"


def test_columns_may_stand_in_any_order(tmp_path):
    found = imported(tmp_path, "kind,length_bytes,time_ns,offset_bytes", "swap_out,8192,5,4096")

    assert found.columns("events")["offset_bytes"].tolist() == [4096]
    assert found.columns("events")["length_bytes"].tolist() == [8192]


def test_without_faults_memory_is_not_known(tmp_path):
    """Somebody logged discards only."""
    assert not imported(tmp_path, HEADER, "1,discard,0,4096").manifest.saw_faults


def test_a_header_alone_is_a_trace_without_events(tmp_path):
    assert imported(tmp_path, HEADER).event_count == 0


def test_each_name_is_a_guest(tmp_path):
    options = CsvOptions(memory_bytes=8 * MIB, names=("a", "b"))
    found = imported(tmp_path, HEADER + ",vm", "1,fault,0,4096,1", options=options)

    assert [guest.name for guest in found.manifest.virtual_machines] == ["a", "b"]


BAD_LINES = [
    ("", "line 1 has no column 'time_ns'"),
    ("time_ns,kind,offset,length_bytes", "line 1 has a column 'offset'"),
    ("time_ns,kind,offset,length_bytes", "did you mean 'offset_bytes'?"),
    ("time_ns,time_ns,kind,offset_bytes", "line 1 has two columns 'time_ns'"),
    ("time_ns,kind,offset_bytes", "line 1 has no column 'length_bytes'"),
    ("time_ns;kind;offset_bytes;length_bytes", "separated by semicolons, expected commas"),
    (f"{HEADER}\n1,fault,0,1\n2,falt,0,1", "line 3 has kind 'falt'; did you mean 'fault'?"),
    (f"{HEADER}\n1,fault,0,1\n2,99,0,1", "line 3 has kind '99'"),
    (f"{HEADER}\n1,fault,0,1\n2,fault,0", "line 3 has 3 cells, expected 4"),
    (f"{HEADER}\n1,fault,0,1\n2,fault,0,1,5", "line 3 has 5 cells, expected 4"),
    (f"{HEADER}\n1,fault,0,1\n\n2,fault,0,1", "line 3 has 0 cells, expected 4"),
    (f"{HEADER}\n1,fault,0,\n", "line 2 has length_bytes '', expected a whole number"),
    (f"{HEADER}\n1,fault,0,4k", "line 2 has length_bytes '4k'"),
    (f"{HEADER}\n1.5,fault,0,1", "line 2 has time_ns '1.5'"),
    (f"{HEADER}\n-1,fault,0,1", "line 2 has time_ns -1, expected 0 to"),
    (f"{HEADER}\n{2**64},fault,0,1", f"line 2 has time_ns '{2**64}'"),
    (f"{HEADER},vm\n1,fault,0,1,0\n1,fault,0,1,1", "line 3 has vm 1, expected 0 to 0"),
    (f'{HEADER}\n1,fault,0,"1\n2"', "expected a whole number"),
]


@pytest.mark.parametrize(("text", "words"), BAD_LINES)
def test_a_wrong_line_is_named_and_leaves_nothing(tmp_path, text, words):
    with pytest.raises(InputError, match=re.escape(words)):
        imported(tmp_path, text)
    assert [path.name for path in tmp_path.iterdir()] == ["own.csv"]


def test_a_wrong_line_far_behind_is_named_by_its_number(tmp_path):
    """In another piece than the first."""
    lines = [f"{number},fault,0,4096" for number in range(300_000)]
    with pytest.raises(InputError, match="line 300002 has offset_bytes 'x'"):
        imported(tmp_path, HEADER, *lines, "1,fault,x,4096")
    with pytest.raises(InputError, match="line 300002 has kind 'x'"):
        imported(tmp_path, HEADER, *lines, "1,x,0,4096")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "own.csv").write_bytes(b"\xff\xfe\0t")
    with pytest.raises(InputError, match="is not text"):
        import_csv(tmp_path / "own.csv", tmp_path / "x.trace", GUEST)


def test_memory_is_needed_where_no_manifest_is_and_only_there(tmp_path):
    with pytest.raises(UsageError, match=re.escape("no own.manifest.json is beside it")):
        imported(tmp_path, HEADER, options=CsvOptions())
    export_csv(trace(REPORTED), tmp_path / "x.csv")
    with pytest.raises(UsageError, match="leave out --memory"):
        import_csv(tmp_path / "x.csv", tmp_path / "x.trace", GUEST)


def test_a_damaged_side_file_is_named(tmp_path):
    export_csv(trace(REPORTED, samples=[sample(1, 5)]), tmp_path / "x.csv")
    samples = tmp_path / "x.samples.csv"
    samples.write_text(samples.read_text().replace("resident_bytes", "resident"))
    with pytest.raises(InputError, match=r"x\.samples\.csv: line 1 has a column 'resident'"):
        import_csv(tmp_path / "x.csv", tmp_path / "x.trace", CsvOptions())


@pytest.mark.parametrize("name", ["x.csv", "x.manifest.json", "x.samples.csv"])
def test_an_export_writes_over_nothing(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        export_csv(write_two_blocks(tmp_path), tmp_path / "x.csv")
    assert (tmp_path / name).read_text() == "mine"
