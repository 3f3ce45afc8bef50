"""`workbench demo`: one table, charts, an executed notebook, and where everything is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.synthetic import (
    OFF,
    TWO_BLOCKS,
    off_samples,
    started,
    two_block_samples,
    write_off,
    write_trace,
    write_two_blocks,
)
from workbench.cli.app import run

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "02_memory_returned.ipynb"


@pytest.fixture
def traces(tmp_path):
    """Write a pair, and a second pair under memory pressure."""
    write_two_blocks(tmp_path / "traces")
    write_off(tmp_path / "traces")
    facts = {"scenario": "pressure", "swap": ("zram0",)}
    write_trace(
        tmp_path / "traces" / "pressure.trace",
        TWO_BLOCKS,
        samples=two_block_samples(swap_out_pages=95, swap_in_pages=19),
        **facts,
    )
    write_trace(
        tmp_path / "traces" / "pressure-off.trace",
        OFF,
        machines=[started(reporting=False)],
        samples=off_samples(swap_out_pages=190, swap_in_pages=38),
        **facts,
    )
    return tmp_path / "traces"


def demo(traces, output, *arguments):
    """Run the demo without a notebook."""
    return run(
        ["demo", "--traces", str(traces), "-o", str(output), "--notebook", "none.ipynb", *arguments]
    )


def test_the_table_has_replays_pairs_and_what_they_saved(traces, tmp_path, capsys):
    code = demo(traces, tmp_path / "out")
    shown = capsys.readouterr()
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]

    assert code == 0
    assert "as captured 3 4 2 4 2/3 0 replay ±0.00 %" in lines
    assert "poison_val 0xaaaaaaaa 3 4 4 0 0/3 0 replay ±0.00 %" in lines
    assert "reporting off 3 4 4 - - 228 measured pair" in lines
    assert "pressure: 1 of 3 MiB on average (22 %); 114 of 228 pages of swap I/O (50 %)" in lines
    assert max(len(line) for line in shown.out.splitlines() if str(tmp_path) not in line) <= 100
    assert "none.ipynb is not there" in shown.err


def test_what_cannot_be_answered_is_a_row_with_its_reason(tmp_path, capsys):
    write_two_blocks(tmp_path / "traces")
    code = demo(tmp_path / "traces", tmp_path / "out")
    shown = capsys.readouterr().out

    assert code == 0
    assert "refused (1)" in shown
    assert "(1) captured with free_page_reporting on" in shown


def test_the_charts_are_written_for_what_there_is(traces, tmp_path, capsys):
    demo(traces, tmp_path / "out", "--json")
    document = json.loads(capsys.readouterr().out)
    names = {path.name for path in (tmp_path / "out").iterdir()}

    assert names == {
        "two-blocks.resident_memory.png",
        "two-blocks-off.resident_memory.png",
        "pressure.resident_memory.png",
        "pressure-off.resident_memory.png",
        "two-blocks.memory_reclaimed.png",
        "pressure.memory_reclaimed.png",
        "pressure.io_avoided.png",
        "skip_reasons.png",
    }
    assert {Path(path).name for path in document["charts"]} == names
    assert document["saved"]["pressure"]["swap_pages"] == 114
    assert {answer["answered_by"] for answer in document["answers"]} == {"replay", "measured pair"}


def test_lost_events_stand_in_the_row(tmp_path, capsys):
    write_trace(tmp_path / "traces" / "lossy.trace", TWO_BLOCKS, lost=12)
    demo(tmp_path / "traces", tmp_path / "out")

    assert "12 lost" in capsys.readouterr().out


def test_a_folder_without_traces_is_bad_input(tmp_path, capsys):
    assert demo(tmp_path, tmp_path / "out") == 3
    assert "--traces" in capsys.readouterr().err


def test_the_notebook_is_executed_and_kept_as_a_page(tmp_path, capsys):
    write_two_blocks(tmp_path / "traces")
    arguments = ["--traces", str(tmp_path / "traces"), "-o", str(tmp_path / "out")]
    code = run(["demo", *arguments, "--notebook", str(NOTEBOOK), "--json"])
    page = Path(json.loads(capsys.readouterr().out)["notebook"])

    assert code == 0
    assert "How much memory comes back" in page.read_text(encoding="utf-8")


def test_where_nothing_came_back_the_notebook_is_left_out(tmp_path, capsys):
    write_off(tmp_path / "traces")
    arguments = ["--traces", str(tmp_path / "traces"), "-o", str(tmp_path / "out")]
    code = run(["demo", *arguments, "--notebook", str(NOTEBOOK)])

    assert code == 0
    assert "in none of the traces did memory come back" in capsys.readouterr().err


def test_the_table_fits_on_a_small_terminal(traces, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    demo(traces, tmp_path / "out")
    lines = [line for line in capsys.readouterr().out.splitlines() if str(tmp_path) not in line]

    assert max(len(line) for line in lines) <= 80
    assert any("poison_val 0xaaaaaaaa" in line for line in lines)
