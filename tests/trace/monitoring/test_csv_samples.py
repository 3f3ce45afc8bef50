"""CSV of Prometheus' samples, wide and long: as the JSON of the same samples."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.monitoring_files import BEGIN_S, FREE, STEP_S, matrix, metric, node, pairs, write
from workbench.errors import InputError
from workbench.trace import read_guest_series, read_monitoring, write_guest_series
from workbench.trace.monitoring.series_name import labels_of
from workbench.units import GIB, NANOSECONDS

SERIES = [
    *node(FREE, instance="b:9100", Cached=[GIB] * 4, Buffers=[5] * 4),
    (metric("node_buddyinfo_blocks", "b:9100", node="0", zone="Normal", size="9"), [9, 8, 7, 6]),
    (metric("node_buddyinfo_blocks", "b:9100", node="0", zone="DMA32", size="10"), [3, 2, 1, 1]),
    *node(FREE[::-1], instance='a, "the first"\\', total=8 * GIB),
    (metric("up", "b:9100"), [1, 1, 1, 1]),
]


def legend(labels, separator=","):
    """Name a series as Prometheus does."""
    inside = separator.join(
        '{}="{}"'.format(name, text.replace("\\", "\\\\").replace('"', '\\"'))
        for name, text in labels.items()
        if name != "__name__"
    )
    return f"{labels['__name__']}{{{inside}}}"


def text_of(rows):
    paper = io.StringIO()
    csv.writer(paper, lineterminator="\n").writerows(rows)
    return paper.getvalue()


def wide(series, *, time=int, head="Time", separator=","):
    rows = [[head, *(legend(labels, separator) for labels, _ in series)]]
    columns = [pairs(values) for _, values in series]
    for row in range(len(columns[0])):
        second = columns[0][row][0]
        rows.append([time(second), *(column[row][1] for column in columns)])
    return text_of(rows)


def long(series, *, by_time=False, time=int):
    labels = sorted({name for each, _ in series for name in each} - {"__name__"})
    rows = [
        [time(second), each["__name__"], *(each.get(name, "") for name in labels), text]
        for each, values in series
        for second, text in pairs(values)
    ]
    if by_time:
        rows.sort(key=lambda row: row[0])
    return text_of([["timestamp", "metric", *labels, "value"], *rows])


def iso(second):
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%d %H:%M:%S}"


FORMS = {
    "wide": (wide(SERIES), False),
    "wide, in ms": (wide(SERIES, time=lambda s: s * 1000), False),
    "wide, with dates": (wide(SERIES, time=iso), True),
    "wide, with T and Z": (wide(SERIES, time=lambda s: iso(s).replace(" ", "T") + "Z"), False),
    "wide, as Grafana spaces it": (wide(SERIES, separator=", "), False),
    "wide, for Excel": ("sep=,\n" + wide(SERIES), False),
    "long": (long(SERIES), False),
    "long, by time": (long(SERIES, by_time=True), False),
    "long, with dates": (long(SERIES, time=iso), True),
}


@pytest.mark.parametrize(("text", "has_no_zone"), FORMS.values(), ids=FORMS)
def test_a_csv_is_as_the_json_of_the_same_samples(tmp_path, text, has_no_zone):
    expected = read_monitoring(write(tmp_path, matrix(*SERIES)))
    found = read_monitoring(write(tmp_path, text, "export.csv"))

    assert [series.name for series in found] == ['a, "the first"\\', "b"]
    for series, other in zip(found, expected, strict=True):
        assert series.digest == other.digest
        zone = ("its times have no zone, and were taken for UTC",) if has_no_zone else ()
        assert series.remarks == (*other.remarks, *zone)


def test_empty_cells_are_left_out_and_counted(tmp_path):
    text = wide(node(["", FREE[1], "NaN", FREE[3]]))
    (series,) = read_monitoring(write(tmp_path, text))

    assert series.columns["time_ns"].tolist() == [
        (BEGIN_S + STEP_S * row) * NANOSECONDS for row in (1, 3)
    ]
    assert series.remarks == (
        "values that are NaN or missing were left out: node_memory_MemFree_bytes 2",
    )


def test_bare_names_are_of_the_guest_that_the_file_is_named_after(tmp_path):
    text = (
        f"Time,node_memory_MemTotal_bytes,node_memory_MemFree_bytes\n1,{GIB},{GIB}\n2,{GIB},5e8\n"
    )
    (series,) = read_monitoring(write(tmp_path, text, "db.csv"))
    assert series.name == "db"
    assert series.columns["free_pages"].tolist() == [GIB // 4096, 500_000_000 // 4096]


def test_a_csv_of_ones_own_goes_through_the_same_door(tmp_path):
    text = "time,small,huge,total\n1,900000,1700,4294967296\n2,900000,1700,4294967296\n"
    (series,) = read_monitoring(write(tmp_path, text, "own.csv"), clock_offset_ns=NANOSECONDS)
    assert series.name == "own"
    assert series.columns["time_ns"].tolist() == [2 * NANOSECONDS, 3 * NANOSECONDS]
    assert series.remarks == ("clock offset: 1.00 s were added to all times",)


def test_empty_lines_are_passed_over_and_lines_keep_their_numbers(tmp_path):
    text = f"Time,{MEM}\n\n1,{ROW}\n\n\n2,{ROW}\n3,5,-5\n\n"
    with pytest.raises(InputError, match="line 7: node_memory_MemFree_bytes is -5"):
        read_monitoring(write(tmp_path, text))
    (series,) = read_monitoring(write(tmp_path, text.replace("3,5,-5", "")))
    assert series.columns["time_ns"].tolist() == [NANOSECONDS, 2 * NANOSECONDS]


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]\w{0,8}", fullmatch=True), st.text(max_size=9), max_size=3
    )
)
def test_names_are_read_as_they_are_written(labels):
    named = {"__name__": "node_load1", **labels, "last": "x"}
    shown = legend(named).replace("\n", "\\n")
    assert labels_of(shown) == named


@pytest.mark.parametrize("text", ["web memory", "{}", 'x{a="b}', "x{a=b}", 'x{a="b" c="d"}', "{a}"])
def test_what_is_no_name_of_a_series_is_none(text):
    assert labels_of(text) is None


MEM = "node_memory_MemTotal_bytes,node_memory_MemFree_bytes"
ROW = f"{4 * GIB},{2 * GIB}"

WRONG = {
    "units behind numbers": (
        f"Time,{MEM}\n1,4 GiB,2 GiB\n", "line 2: node_memory_MemTotal_bytes is '4 GiB', expected",
    ),
    "a unit in a header": (
        f"Time,{MEM} (kB)\n1,{ROW}\n", "line 1: column 'node_memory_MemFree_bytes (kB)' is not the",
    ),
    "a sum": (
        "Time,sum(node_memory_MemFree_bytes)\n1,5\n", "is not the name of a series, expected",
    ),
    "no time": (f"when,{MEM}\n1,{ROW}\n", "line 1: has the columns when, node_memory_MemTotal_"),
    "semicolons": (f"Time;{MEM.replace(',', ';')}\n1;2;3\n", "columns are separated by semicol"),
    "twice": (f"Time,{MEM},node_memory_MemFree_bytes\n", "has 'node_memory_MemFree_bytes' twice"),
    "a short line": (f"Time,{MEM}\n1,{ROW}\n2,5\n", "line 3: has 2 values, expected 3"),
    "no samples": (f"Time,{MEM}\n", "has a header and no samples, expected them"),
    "one sample": (f"Time,{MEM}\n1,{ROW}\n", "it has 1 sample, and a series needs 2"),
    "out of order": (
        f"Time,{MEM}\n2,{ROW}\n1,{ROW}\n", "line 3: node_memory_MemTotal_bytes: time is 1.000 s",
    ),
    "seconds and milliseconds": (
        f"Time,{MEM}\n{BEGIN_S},{ROW}\n{BEGIN_S}000,{ROW}\n", "line 3: time is 1700000000000,",
    ),
    "a time in words": (f"Time,{MEM}\n1,{ROW}\nnoon,{ROW}\n", "line 3: time is 'noon', expected"),
    "two kinds of time": (
        f"Time,{MEM}\n2026-01-31 12:00:00,{ROW}\n17,{ROW}\n", "line 3: time is '17', expected",
    ),
    "a year that is none": (
        f"Time,{MEM}\n2026-01-31T00:00:00Z,{ROW}\n0026-01-31T00:00:00Z,{ROW}\n",
        "line 3: time is 0026-01-31 00:00:00Z, expected seconds",
    ),
    "an endless name": (f"Time,{MEM},{'x' * 200_000}\n1,{ROW},1\n", "is not CSV"),
    "an empty time": (f"Time,{MEM}\n1,{ROW}\n,{ROW}\n", "line 3: time is none, expected"),
    "a negative time": (f"Time,{MEM}\n-5,{ROW}\n1,{ROW}\n", "line 2: time is -5, expected"),
    "negative": (f"Time,{MEM}\n1,{ROW}\n2,5,-5\n", "line 3: node_memory_MemFree_bytes is -5"),
    "infinite": (f"Time,{MEM}\n1,{ROW}\n2,{GIB},inf\n", "line 3: node_memory_MemFree_bytes is inf"),
    "free of more": (f"Time,{MEM}\n1,{ROW}\n2,{GIB},{2 * GIB}\n", "line 3: node_memory_MemFree_"),
    "nothing of memory": (
        "time,metric,value\n1,up,1\n", "no metric of a guest's memory (1 series of metrics that",
    ),
    "long: a word": (
        "time,metric,value\n1,node_memory_MemFree_bytes,lots\n", "line 2: value is 'lots', exp",
    ),
    "long: two values": (
        "time,metric,value\n1,node_memory_MemFree_bytes,5\n1,node_memory_MemFree_bytes,6\n",
        "line 3: node_memory_MemFree_bytes is 6 and 5 at 1.000 s, expected one value at each time",
    ),
    "something else": ("a,b\n1,2\n", "line 1: has the columns a, b, expected also time, small"),
    "prose": ("It was a dark night.\n", "begins with 'It was a dark night.', expected an answer"),
    "a quote": (f'Time,{MEM}\n1,"{ROW}\n', "line 2: has 2 values, expected 3"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_refused_with_its_line(tmp_path, text, expected):
    path = write(tmp_path, text, "export.csv")

    with pytest.raises(InputError) as caught:
        read_monitoring(path)
    assert str(caught.value).startswith(str(path))
    assert expected in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"Time,a\n1,\x00\n", b"{\x00"])
def test_what_is_no_text_is_refused(tmp_path, content):
    path = tmp_path / "export.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not text, expected"):
        read_monitoring(path)


def test_long_files_keep_the_order_of_many_guests(tmp_path):
    rng = np.random.default_rng(7)
    guests = [f"guest-{number:03}" for number in rng.permutation(50)]
    free = {name: (rng.integers(1, 4, 6) * GIB // 4).tolist() for name in guests}
    series = [part for name in guests for part in node(free[name], instance=name)]
    found = read_monitoring(write(tmp_path, long(series, by_time=True), "many.csv"))

    assert [each.name for each in found] == sorted(guests)
    for each in found:
        assert (each.columns["free_pages"] * 4096).tolist() == free[each.name]


OWN = "time,small,huge,total\n"


def test_gaps_in_a_csv_of_ones_own_are_mended_and_said(tmp_path):
    """An hour at each end of eleven days is no record of eleven days."""
    lines = [
        f"{at},{900_000 - at // 60},1500,4294967296\n" for at in (0, 60, 120, 950_400, 950_460)
    ]
    path = write(tmp_path, OWN + "".join(lines), "own.csv")
    (series,) = read_monitoring(path)

    (remark,) = series.remarks
    assert remark == (
        "1 gap longer than 3 intervals of 60.00 s, together 950,280.00 s: there the end with less "
        "free memory holds"
    )
    assert series.columns["time_ns"].tolist() == [
        at * NANOSECONDS for at in (0, 60, 120, 180, 950_400, 950_460)
    ]
    assert series.columns["free_pages"].tolist()[3:5] == [900_000 - 15_840] * 2

    kept = tmp_path / "kept"
    kept.mkdir()
    write_guest_series(read_guest_series(path), kept)
    (as_sampled,) = read_monitoring(kept)
    assert (as_sampled.digest, as_sampled.remarks) == (series.digest, series.remarks)
    write_guest_series(series, kept)
    (again,) = read_monitoring(kept)
    assert (again.digest, again.remarks) == (series.digest, series.remarks)
    (of_many,) = read_monitoring(tmp_path)
    assert (of_many.digest, of_many.remarks) == (series.digest, series.remarks)


def test_memory_that_changes_in_a_csv_of_ones_own_is_said(tmp_path):
    totals = (2 * GIB, 4 * GIB, 2 * GIB)
    lines = [f"{60 * row},400000,700,{total}\n" for row, total in enumerate(totals)]
    (series,) = read_monitoring(write(tmp_path, OWN + "".join(lines), "own.csv"))

    assert series.remarks == ("all memory changes 2 times, between 2.00 GiB and 4.00 GiB",)
