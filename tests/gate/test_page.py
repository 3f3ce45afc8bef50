"""A comparison as a page: the verdict, both sides over each other, nothing from elsewhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal

from tests.gate.made_runs import write_result
from tests.synthetic import TWO_BLOCKS, two_block_samples, write_trace, write_two_blocks
from workbench.cli.app import run
from workbench.gate import compare_sides, html_page, read_side
from workbench.gate.over_time import memory_of_both


@pytest.fixture
def results(tmp_path):
    """Replay a trace as captured, and with poison: nothing comes back."""
    trace, poison = str(write_two_blocks(tmp_path).path), "guest.poison_val=170"
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    assert run(["replay", trace, "-o", old]) == 0
    assert run(["replay", trace, "-o", new, "--set", poison]) == 0
    return old, new


def test_the_memory_of_both_results_is_over_each_other(results):
    """As the ledgers have it, up to what the metrics say is there at the end."""
    sides = [read_side(each) for each in results]
    frame = memory_of_both(compare_sides(*sides), *sides)
    ends = {side: rows["resident_bytes"].iloc[-1] for side, rows in frame.groupby("side")}
    expected = [side.runs[0].model_figures["resident_bytes_final"] for side in sides]

    assert [ends["baseline"], ends["candidate"]] == expected
    assert frame["resident_bytes"].min() >= 0


def test_the_lines_go_from_the_captures_start_to_its_end(results):
    """Also where nothing happens at the beginning and at the end, as in a guest that idles."""
    sides = [read_side(each) for each in results]
    frame = memory_of_both(compare_sides(*sides), *sides)
    taken_s = json.loads(Path(results[0], "result.json").read_text())["lineage"]["recording"]
    lines = frame.groupby("side")

    assert set(lines["time_s"].min()) == {0.0}
    assert set(lines["time_s"].max()) == {taken_s["duration_ns"] / 1e9}
    assert set(lines["resident_bytes"].first()) == {0}


def test_the_baseline_is_the_same_recording_whatever_the_folders_are_called(tmp_path):
    """The second of two recordings is worse, and first in the order of neither side's folders."""
    traces = {
        "churn": write_trace(tmp_path / "churn.trace", TWO_BLOCKS[:5]),
        "cache": write_trace(tmp_path / "cache.trace", TWO_BLOCKS),
    }
    poison = ["--set", "guest.poison_val=170"]
    for name, folder, settings in (
        ("churn", "old/a", []),
        ("cache", "old/z", []),
        ("churn", "new/churn", []),
        ("cache", "new/cache", poison),
    ):
        path = str(traces[name].path)
        assert run(["replay", path, "-o", str(tmp_path / folder), *settings]) == 0
    old, new = (read_side(str(tmp_path / name)) for name in ("old", "new"))
    alone = [read_side(str(tmp_path / name)) for name in ("old/z", "new/cache")]
    expected = memory_of_both(compare_sides(*alone), *alone)
    frame = memory_of_both(compare_sides(old, new), old, new)

    assert_frame_equal(frame, expected)
    assert frame.attrs["title"].startswith("cache: ")


def test_nothing_is_drawn_of_recordings_that_only_one_side_has(results):
    old, new = (read_side(each) for each in results)
    accepted = replace(old, runs=(replace(old.runs[0], trace="another"),), is_accepted=True)

    assert memory_of_both(compare_sides(accepted, new), accepted, new) is None


def test_every_run_of_repeated_ones_is_a_line(tmp_path):
    """Of traces it is what the host measured: here the same in all of them."""
    for name, stop in (("old-1", 5), ("old-2", 6), ("new-1", 7)):
        path = tmp_path / f"{name}.trace"
        write_trace(path, TWO_BLOCKS[:stop], samples=two_block_samples())
    old, new = (read_side(str(tmp_path / pattern)) for pattern in ("old-*", "new-*"))
    frame = memory_of_both(compare_sides(old, new), old, new)
    lines = frame.groupby(["side", "run"])["resident_bytes"]

    assert len(lines) == 3
    assert set(lines.max()) == {4 << 20}


def test_the_page_needs_nothing_else_and_begins_with_the_verdict(results, tmp_path):
    page = tmp_path / "page.html"
    code = run(["compare", *results, "--html", str(page)])
    text = page.read_text(encoding="utf-8")

    assert code == 5
    assert re.search(r'class="lead">Regression: \w+ of two-blocks is ', text)
    assert text.count("<img") == 2
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)


def test_where_there_is_nothing_to_draw_the_page_says_so(tmp_path):
    sides = [read_side(str(write_result(tmp_path / name))) for name in ("old", "new")]

    assert b"nothing to draw" in html_page(compare_sides(*sides), *sides)


def test_a_name_that_looks_like_mathematics_is_drawn_as_it_is(results):
    old, new = (replace(read_side(each), label=r"$\frac{\x1b") for each in results)

    assert html_page(compare_sides(old, new), old, new).count(b"<img") == 2


def test_what_comes_from_outside_is_only_text(tmp_path):
    worse = {"reclaimed_bytes": {"value": 1, "unit": "bytes"}}
    old = read_side(str(write_result(tmp_path / "old")))
    new = read_side(str(write_result(tmp_path / "<script>x", metrics=worse)))

    assert b"<script" not in html_page(compare_sides(old, new), old, new)
