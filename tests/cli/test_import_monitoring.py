"""`workbench import monitoring`: what it keeps, prints and refuses."""

from __future__ import annotations

import json

import pytest

from tests.monitoring_files import BEGIN_S, FREE, matrix, metric, node, write
from workbench.cli.app import run
from workbench.trace import read_guest_series, read_monitoring
from workbench.units import GIB, MIB

BLOCKS = metric("node_buddyinfo_blocks", "db:9100", node="0", zone="Normal", size="9")
EXPORT = [
    *node([*FREE[:3], "NaN"], instance="web:9100"),
    *node(FREE, instance="db:9100", total=8 * GIB, Cached=[GIB, GIB, GIB, 3 * GIB]),
    (BLOCKS, [9] * 4),
]


def imported(*arguments):
    return run(["import", "monitoring", *map(str, arguments)])


def test_each_guest_has_a_folder_that_reads_back_the_same(tmp_path, capsys):
    path, output = write(tmp_path, matrix(*EXPORT)), tmp_path / "series"
    assert imported(path, "-o", output, "--json") == 0
    document = json.loads(capsys.readouterr().out)

    assert [guest["folder"] for guest in document["guests"]] == ["db", "web"]
    for guest, series in zip(document["guests"], read_monitoring(path), strict=True):
        kept = read_guest_series(output / guest["folder"])
        assert kept.digest == series.digest
        assert kept.remarks == series.remarks == tuple(guest["remarks"])
        assert read_monitoring(output / guest["folder"])[0].digest == series.digest
    assert [series.name for series in read_monitoring(output)] == ["db", "web"]
    database, web = document["guests"]
    assert database == {
        "name": "db",
        "folder": "db",
        "samples": 4,
        "begin_ns": BEGIN_S * 10**9,
        "span_ns": 180 * 10**9,
        "interval_ns": 60 * 10**9,
        "memory_bytes": 8 * GIB,
        "cached_bytes_mean": 1.5 * GIB,
        "knows_huge_pages": True,
        "knows_resident_set": False,
        "remarks": [],
    }
    assert web["cached_bytes_mean"] is None
    assert {tuple(each["guests"]) for each in document["missing"]} == {("web",), ("db", "web")}


def test_the_table_says_what_is_known_and_the_notes_what_is_not(tmp_path, capsys):
    assert imported(write(tmp_path, matrix(*EXPORT)), "-o", tmp_path / "series") == 0
    shown = capsys.readouterr()

    rows = [line.split() for line in shown.out.splitlines()]
    assert [
        "db",
        "4",
        "180.00",
        "s",
        "60.00",
        "s",
        "8.00",
        "GiB",
        "1.50",
        "GiB",
        "known",
        "0",
    ] in rows
    assert f"2 series: {tmp_path / 'series'}" in shown.out
    assert (
        "web: values that are NaN or missing were left out: node_memory_MemFree_bytes 1"
        in shown.err
    )
    assert "web: what is free in blocks of 2 MiB or more is not known: `import series`" in shown.err
    assert "all 2 guests: the resident set was not measured" in shown.err


def test_a_kept_series_is_predicted_from_with_its_remarks_if_it_knows_huge_pages(tmp_path, capsys):
    assert imported(write(tmp_path, matrix(*EXPORT)), "-o", tmp_path / "series") == 0
    capsys.readouterr()
    assert run(["import", "series", str(tmp_path / "series" / "db")]) == 0
    assert "resident_bytes_peak" in capsys.readouterr().out
    assert run(["import", "series", str(tmp_path / "series" / "web")]) == 8
    assert "web: does not tell what is free in blocks of 2 MiB" in capsys.readouterr().err

    blocks = (metric("node_buddyinfo_blocks", "web:9100", size="9"), [9] * 4)
    path = write(tmp_path, matrix(*EXPORT[:2], blocks))
    assert imported(path, "-o", tmp_path / "known") == 0
    capsys.readouterr()
    assert run(["import", "series", str(tmp_path / "known" / "web")]) == 0
    assert "NaN or missing were left out: node_memory_MemFree_bytes 1" in capsys.readouterr().err


def test_long_spans_are_said_in_days_and_hours(tmp_path, capsys):
    moments = [(BEGIN_S + 3600 * hour, str(GIB)) for hour in range(49)]
    total = [(second, str(2 * GIB)) for second, _ in moments]
    short, all_memory = moments[:3], total[:3]
    text = matrix(*node(moments, total=total), *node(short, total=all_memory, instance="a"))
    assert imported(write(tmp_path, text), "-o", tmp_path / "series") == 0
    out = capsys.readouterr().out
    assert "2.00 days" in out
    assert "2.00 h" in out


def test_names_that_are_no_names_of_folders_stay_inside(tmp_path, capsys):
    text = matrix(*node(FREE, instance="../../etc"), *node(FREE, instance="-rf\n*"))
    assert imported(write(tmp_path, text), "-o", tmp_path / "series", "--json") == 0
    folders = [guest["folder"] for guest in json.loads(capsys.readouterr().out)["guests"]]

    assert sorted(path.name for path in (tmp_path / "series").iterdir()) == folders
    assert all("/" not in name and not name.startswith((".", "-")) for name in folders)


def test_one_name_in_two_files_is_refused_and_nothing_is_left(tmp_path, capsys):
    one = write(tmp_path, matrix(*node(FREE)), "one.json")
    two = write(tmp_path, matrix(*node(FREE)), "two.json")
    assert imported(one, two, "-o", tmp_path / "series") == 3
    said = capsys.readouterr().err
    assert f"{two}: has a guest 'web', and {one} has 'web', expected names that differ" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.json", "two.json"]


def test_a_folder_that_is_there_is_not_touched(tmp_path, capsys):
    path = write(tmp_path, matrix(*node(FREE)))
    assert imported(path, "-o", tmp_path) == 2
    assert "exists already; name another folder" in capsys.readouterr().err


def test_what_cannot_be_is_refused(tmp_path, capsys):
    path = write(tmp_path, matrix(*node([GIB, 5 * GIB + MIB])))
    assert imported(path, "-o", tmp_path / "series") == 3
    assert "data.result[1].values[1]: node_memory_MemFree_bytes" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["-o", "series"], ["export.json"]])
def test_files_and_a_folder_are_needed(arguments):
    assert imported(*arguments) == 2


def test_a_long_name_is_cut_in_the_table_and_not_in_its_folder(tmp_path, capsys):
    name = "w" * 180
    path = write(tmp_path, matrix(*node(FREE, instance=name)))
    assert imported(path, "-o", tmp_path / "series") == 0
    assert (tmp_path / "series" / name).is_dir()
    assert max(map(len, capsys.readouterr().out.splitlines())) < 180
