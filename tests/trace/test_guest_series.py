"""Samples of free memory: what is read, and what is refused in a sentence."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.synthetic_series import HEADER, LINES, series_of, write_csv
from workbench.errors import InputError
from workbench.schema import GUEST_SERIES, UNKNOWN
from workbench.trace import GuestSeries, Reporting, read_guest_series, write_guest_series
from workbench.trace.segments import arrow_schema


def test_a_csv_becomes_columns_with_units(tmp_path):
    series = read_guest_series(write_csv(tmp_path))
    columns = {name: values.tolist() for name, values in series.columns.items()}

    assert columns == {
        "time_ns": [0, 1_700_000_000, 3_410_000_000],
        "free_pages": [900_000, 899_000, 898_000],
        "free_huge_pages": [1700, 1690, 1690],
        "total_bytes": [4 << 30] * 3,
        "resident_bytes": [900_000_000, 900_100_000, 900_200_000],
        "cached_bytes": [5, 5, 5],
    }
    assert series.name == "samples"
    assert series.is_measured
    assert repr(series).startswith("GuestSeries samples: 3 samples over 3 s\n")
    assert "4.00 GiB" in repr(series)


def test_the_resident_set_may_be_missing_and_columns_stand_in_any_order(tmp_path):
    path = write_csv(tmp_path, "8589934592,0,5,1", "8589934592,1,5,1", header="total,time,huge,x")
    path.write_text(path.read_text().replace("huge,x", "huge,small").replace(",5,1", ",1,600"))
    series = read_guest_series(path)

    assert not series.is_measured
    assert series.columns["resident_bytes"].tolist() == [UNKNOWN, UNKNOWN]
    assert series.columns["free_pages"].tolist() == [600, 600]


@pytest.mark.parametrize("reporting", [None, Reporting(9, 100_000_000, 32)])
def test_a_kept_series_is_read_back_the_same(tmp_path, reporting):
    series = series_of([4, 8, 8], reporting=reporting)
    folder = tmp_path / "kept"
    folder.mkdir()
    write_guest_series(series, folder)
    again = read_guest_series(folder)

    assert again.name == "kept"
    assert again.digest == series.digest
    assert again.reporting == reporting


WHOLE = st.integers(0, 2**51)
SAMPLES = st.lists(
    st.tuples(st.integers(1, 10**15), st.integers(0, 512), st.integers(512, 2**39), WHOLE, WHOLE),
    min_size=2,
    max_size=9,
)


@given(SAMPLES, st.booleans(), st.booleans(), st.lists(st.text(), max_size=3))
def test_columns_and_remarks_are_kept_exactly(samples, knows_huge, is_reported, remarks):
    steps, huge, pages, resident, cached = (
        np.array(column) for column in zip(*samples, strict=True)
    )
    columns = {
        "time_ns": np.cumsum(steps),
        "free_pages": huge * 512 + 3,
        "free_huge_pages": huge if knows_huge else np.full(huge.size, UNKNOWN),
        "total_bytes": (huge * 512 + 3 + pages) * 4096,
        "resident_bytes": resident,
        "cached_bytes": cached,
    }
    reporting = Reporting(0, 5, 1) if is_reported else None
    series = GuestSeries("kept", columns, reporting, tuple(remarks))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kept").mkdir()
        write_guest_series(series, Path(folder) / "kept")
        again = read_guest_series(Path(folder) / "kept")

    assert again.name == series.name
    assert again.reporting == reporting
    assert again.remarks == tuple(remarks)
    assert list(again.columns) == list(columns)
    assert all(again.columns[name].dtype == np.int64 for name in columns)
    assert all((again.columns[name] == columns[name]).all() for name in columns)
    assert again.digest == series.digest


@pytest.mark.parametrize("known", ["what?", '{"a": 1}', "[1]", "3"])
def test_a_file_whose_remarks_are_no_sentences_is_refused(tmp_path, known):
    write_guest_series(series_of([4, 8]), tmp_path)
    path = tmp_path / "guest_series.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata({"remarks": known}), path)

    with pytest.raises(InputError, match="expected a list of sentences; import the series again"):
        read_guest_series(path)


def test_times_since_1970_are_kept_to_the_nanosecond_they_say(tmp_path):
    path = write_csv(
        tmp_path, "1700000000,0,512,1,0,9000000000", "1700000000.5,0,512,1,0,9000000000"
    )
    assert read_guest_series(path).columns["time_ns"].tolist() == [
        1_700_000_000_000_000_000,
        1_700_000_000_500_000_000,
    ]


def test_the_digest_leaves_out_the_yardstick():
    series = series_of([4, 8])

    assert series.digest == series_of([4, 8], resident_bytes=[1, 2]).digest
    assert series.digest != series_of([4, 9]).digest


ROW = "1.70,900100000,899000,1690,5,4294967296"

WRONG = {
    "nothing at all": ([], "", "is empty, expected a header"),
    "no column small": ([ROW], HEADER.replace("small", "tiny"), "expected also small; add"),
    "semicolons": ([ROW], HEADER.replace(",", ";"), "separated by semicolons, expected commas"),
    "tabs": ([ROW], HEADER.replace(",", "\t"), "separated by tabs, expected commas"),
    "huge twice": ([ROW], HEADER.replace("cached", "huge"), "has 'huge' twice"),
    "no samples": ([], HEADER, "has 0 samples, expected at least 2"),
    "one sample": ([LINES[0]], HEADER, "has 1 sample, expected at least 2"),
    "a short line": ([LINES[0], "1.7,5"], HEADER, "line 3: has 2 values, expected 6"),
    "no number": ([LINES[0], ROW.replace("1690", "many")], HEADER, "line 3: huge is 'many'"),
    "NaN": ([LINES[0], ROW.replace("899000", "nan")], HEADER, "line 3: small is 'nan', expected"),
    "negative": ([LINES[0], ROW.replace("1690", "-3")], HEADER, "line 3: huge is -3, expected"),
    "half a page": ([LINES[0], ROW.replace("1690", "16.5")], HEADER, "line 3: huge is 16.5"),
    "infinite": ([LINES[0], ROW.replace("1690", "inf")], HEADER, "line 3: huge is inf"),
    "time goes back": ([LINES[1], LINES[0]], HEADER, "line 3: time is 0.0, expected a later"),
    "time stands": ([LINES[0], LINES[0]], HEADER, "line 3: time is 0.0, expected a later"),
    "no time": ([LINES[0], ROW.replace("1.70", "soon")], HEADER, "line 3: time is 'soon'"),
    "endless time": ([LINES[0], ROW.replace("1.70", "1e300")], HEADER, "line 3: time is 1e300"),
    "free of more": (
        [LINES[0], ROW.replace("899000", "9999999")], HEADER, "line 3: small is 9999999",
    ),
    "huge of more": (
        [LINES[0], ROW.replace("1690", "1800")], HEADER, "line 3: huge is 1800",
    ),
    "no memory": (["0,0,0,0,0,0"] * 2, HEADER, "line 2: total is 0, expected at least 2 MiB"),
    "a long cell": ([LINES[0], ROW.replace("1690", "x" * 9999)], HEADER, "huge is 'xxx"),
    "a long number": ([LINES[0], ROW.replace("1690", "1." + "7" * 9999)], HEADER, "huge is 1.777"),
    "long names": ([LINES[0]], "x" * 9999 + "," + "y" * 9999, "has the columns xxx"),
    "a quote": ([LINES[0], 'x"' + '"' * 200_000], HEADER, "line 3"),
    "an endless field": ([LINES[0], "9" * 200_000], HEADER, "is not CSV"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "header", "expected"), WRONG.values(), ids=WRONG)
def test_a_wrong_csv_is_refused_with_its_line(tmp_path, lines, header, expected):
    path = tmp_path / "samples.csv"
    text = [header, *lines] if header else lines
    if lines == ["0,0,0,0,0,0"] * 2:
        text[-1] = "1,0,0,0,0,0"
    path.write_text("\n".join(text), encoding="utf-8")

    with pytest.raises(InputError) as caught:
        read_guest_series(path)
    assert str(caught.value).startswith(str(path))
    assert expected in str(caught.value)


def test_what_is_no_text_or_not_there_is_refused(tmp_path):
    path = tmp_path / "samples.csv"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(InputError, match="is not text"):
        read_guest_series(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_guest_series(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="cannot be opened"):
        read_guest_series(tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("free_pages", -1, "row 1: free_pages is -1"),
        ("free_pages", 1 << 51, "row 1: free_pages is .* what total_bytes has room for"),
        ("free_huge_pages", -7, "row 1: free_huge_pages is -7"),
        ("resident_bytes", -1, "row 1: resident_bytes is -1, expected a value, as in other"),
        ("resident_bytes", 1 << 60, "row 1: resident_bytes is"),
        ("time_ns", 1 << 62, "row 1: time_ns is"),
    ],
)
def test_a_damaged_parquet_file_is_refused_with_its_row(tmp_path, column, value, expected):
    columns = series_of([4, 8], resident_bytes=[5, 5]).columns
    columns[column][1] = value
    path = tmp_path / "guest_series.parquet"
    pq.write_table(pa.table(columns, schema=arrow_schema(GUEST_SERIES)), path)

    with pytest.raises(InputError, match=expected):
        read_guest_series(path)


def test_a_file_that_does_not_know_how_its_guest_reported_is_refused(tmp_path):
    write_guest_series(series_of([4, 8]), tmp_path)
    path = tmp_path / "guest_series.parquet"
    known = {f"reporting_{name}": "often" for name in Reporting._fields}
    pq.write_table(pq.read_table(path).replace_schema_metadata(known), path)

    with pytest.raises(InputError, match="does not say in numbers how the guest reported"):
        read_guest_series(path)
