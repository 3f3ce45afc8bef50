"""`workbench curve`: the table, the document, the files, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.synthetic import write_off, write_two_blocks
from workbench.cli.app import run
from workbench.replay import curve
from workbench.trace import read_trace

PRESSURE = str(Path(__file__).parents[2] / "traces" / "pressure-order0.trace")


def run_curve(capsys, *arguments):
    code = run(["curve", *arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_the_table_says_how_much_memory_each_rate_takes_with_and_without_reporting(capsys):
    code, out, err = run_curve(capsys, PRESSURE, "--below", "100", "--below", "0")

    assert code == 0
    head, _, first, second = out.strip().splitlines()
    assert head.split("  ")[0].strip() == "pages a second"
    assert "as captured" in head
    assert "free_page_reporting off" in head
    made = curve(read_trace(PRESSURE))
    assert f"{made.bytes_for(100) / 2**20:.2f} MiB" in first
    assert f"{made.bytes_for(0) / 2**20:.2f} MiB" in second
    assert "recency: accesses recorded" in err
    assert "a model of Linux's allocator placed" in err


def test_the_document_and_the_files_hold_both_curves(tmp_path, capsys):
    folder = tmp_path / "result"

    code, out, _ = run_curve(capsys, PRESSURE, "--json", "-o", str(folder))

    document = json.loads(out)
    assert code == 0
    assert document == json.loads((folder / "result.json").read_text())
    assert document["recency"] == "by accesses"
    assert [each["label"] for each in document["curves"]] == [
        "as captured",
        "free_page_reporting off",
    ]
    for each in document["curves"]:
        assert each["swap_in_pages"][-1] == 0
        assert len(each["memory_bytes"]) == len(each["swap_out_dead_pages"])
    needed = document["memory_needed"]
    assert [row["pages_per_second"] for row in needed] == [1000, 100, 10, 1, 0]
    frame = pd.read_parquet(folder / "as-captured.parquet")
    assert frame["swap_in_pages"].is_monotonic_decreasing
    assert int(frame["memory_bytes"].iloc[-1]) == needed[-1]["memory_bytes"][0]
    assert (folder / "swap_over_memory.png").read_bytes().startswith(b"\x89PNG")


def test_a_guest_that_never_reported_has_one_curve(tmp_path, capsys):
    code, out, _ = run_curve(capsys, str(write_off(tmp_path).path), "--json")

    assert code == 0
    assert len(json.loads(out)["curves"]) == 1


def test_why_there_is_no_curve_without_reporting_is_said(tmp_path, capsys):
    code, out, err = run_curve(capsys, str(write_two_blocks(tmp_path).path), "--json")

    assert code == 0
    assert len(json.loads(out)["curves"]) == 1
    assert "no curve without reporting: " in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "host.memory_bytes=1G"], "a curve is of every memory size"),
        (["--set", "host.swop=zram"], "did you mean 'swap'"),
        (["--below", "-1"], "greater than or equal to 0"),
        (["--below", "nan"], "greater than or equal to 0"),
        (["--below", "inf"], "--below is infinite"),
        (["--set", "cost.swap_read_latency_ns=1ms"], "cost.swap_read_latency_ns is 1000000"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(arguments, said, capsys):
    code, out, err = run_curve(capsys, PRESSURE, *arguments)

    assert code == 2
    assert out == ""
    assert said in err
