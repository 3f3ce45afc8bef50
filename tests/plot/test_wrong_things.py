"""What is given in place of a chart's frame is answered with how that frame is made."""

from __future__ import annotations

import inspect
import re

import pandas as pd
import pytest

import workbench
from tests.synthetic import write_two_blocks
from workbench import measure, plot
from workbench.errors import UsageError, WriteError
from workbench.measure import report_sizes
from workbench.replay import replay

CHARTS = sorted(set(plot.__all__) - {"save", "theme"})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Replay a small trace as captured."""
    return replay(write_two_blocks(tmp_path_factory.mktemp("charts")))


def refusal(call, *arguments):
    """Give the one sentence with which a call is refused."""
    with pytest.raises(UsageError) as refused:
        call(*arguments)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_says_which_frame_it_takes_and_who_makes_it(run, name):
    chart, what = getattr(plot, name), run.trace if name == "resident_memory" else run

    said = refusal(chart, what)
    assert said.startswith(f"{name} takes ")
    assert said.endswith(f", got a {type(what).__name__}")
    (maker,) = re.findall(r"of ((?:measure|gate|wb)[.\w]*)\(", said)
    room, _, function = maker.partition(".")
    if room == "measure":
        assert function in measure.__all__
    if room == "wb":
        assert function in dir(workbench)


@pytest.mark.parametrize("name", CHARTS)
def test_a_frame_of_something_else_is_refused_by_the_columns_it_lacks(name):
    assert "got a frame without " in refusal(getattr(plot, name), pd.DataFrame({"x": [1]}))


def test_the_sentence_is_whole(run):
    assert refusal(plot.address_map, run) == (
        "address_map takes a frame of measure.address_map_frame(run), got a Replay"
    )
    assert refusal(plot.address_map, report_sizes(run)) == (
        "address_map takes a frame of measure.address_map_frame(run), got a frame without "
        "ram_block, offset_bytes, held_bytes"
    )
    assert refusal(plot.resident_memory, run.trace) == (
        "resident_memory takes runs, or frames of measure.memory_over_time(run), got a Trace"
    )


def test_a_frame_given_by_name_and_each_of_several_is_looked_at(run):
    drains = measure.drain_after_free(run)

    assert "got a Replay" in refusal(plot.drain, drains, run)
    with pytest.raises(UsageError, match="got a Replay"):
        plot.report_sizes(frame=run)
    with pytest.raises(UsageError, match=r"measured_over_time\(trace\), got a Trace"):
        plot.resident_memory(run, measured=run.trace)


def test_a_chart_keeps_the_parameters_it_shows():
    assert list(inspect.signature(plot.address_map).parameters) == ["frame", "ax"]


@pytest.mark.parametrize(
    "name",
    [
        "address_map_frame", "drain_after_free", "memory_over_time", "metrics",
        "predicted_against_measured", "refaults_over_time", "report_outcomes", "report_sizes",
    ],
)  # fmt: skip
def test_a_trace_in_the_place_of_a_run_is_answered_with_what_was_meant(run, name):
    expected = "a Trace was given, expected a run: replay(trace)"

    assert refusal(getattr(measure, name), run.trace) == expected


def test_a_run_in_the_place_of_a_curve_is_answered_with_what_was_meant(run):
    expected = "a Replay was given, expected a curve: curve(trace)"

    assert refusal(measure.curve_frame, run) == expected
    assert refusal(measure.io_avoided_over_memory, run, run) == expected
    assert refusal(measure.memory_needed, [run], [100]) == expected


@pytest.mark.parametrize("name", ["is_pair", "measured_pair", "reclaimed_over_time", "savings"])
def test_runs_in_the_place_of_a_measured_pair_are_answered_with_what_was_meant(run, name):
    assert refusal(getattr(measure, name), run, run).startswith(
        "a Replay was given, expected a trace: read_trace("
    )


@pytest.mark.parametrize("name", ["measured_metrics", "measured_over_time"])
def test_a_run_in_the_place_of_a_trace_is_answered_with_what_was_meant(run, name):
    assert "expected a trace: read_trace(" in refusal(getattr(measure, name), run)


def test_what_is_saved_is_a_chart_in_a_folder_that_is_there(run, tmp_path):
    assert refusal(plot.save, run, tmp_path / "m.png") == (
        "save takes a chart and then its path, got a Replay"
    )
    path = tmp_path / "nowhere" / "m.png"
    with pytest.raises(WriteError) as refused:
        plot.save(plot.resident_memory(run), path)
    assert str(refused.value) == (
        f"{path}: cannot be written (No such file or directory); name another folder"
    )
