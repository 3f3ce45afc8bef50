"""Refaults over time are drawn as the frames have them, and named."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests.plot.overlap import assert_legible, written
from workbench import plot
from workbench.errors import UsageError


def refault_frame(refaults, *, label="as captured", trace="churn-on", stop_s=10.0, lost=0):
    """Make a frame like `measure.refaults_over_time` gives."""
    edges_s = np.linspace(0, stop_s, len(refaults) + 1)
    frame = pd.DataFrame(
        {
            "start_s": edges_s[:-1],
            "stop_s": edges_s[1:],
            "refaults": refaults,
            "refaults_per_second": np.array(refaults) / np.diff(edges_s),
        }
    )
    frame.attrs = {
        "title": trace.split("-", maxsplit=1)[0],
        "label": label,
        "run": f"{trace}, {label}",
        "caption": f"trace {trace} 12345678, model 9abcdef0",
        "lost_events": lost,
    }
    return frame


def shown(figure):
    return {text for text, _ in written(figure)}


def test_a_line_is_the_rate_of_each_slice_until_it_ends():
    figure = plot.refaults_over_time(refault_frame([4, 0, 10, 2]))
    (line,) = figure.axes[0].get_lines()

    assert line.get_xdata().tolist() == [0, 2.5, 5, 7.5, 10]
    assert line.get_ydata().tolist() == [1.6, 0, 4, 0.8, 0.8]
    assert line.get_drawstyle() == "steps-post"
    assert {"churn: as captured: 16", "refaults per second"} <= shown(figure)
    assert figure.axes[0].get_legend() is None


def test_each_run_has_a_line_of_its_own_and_its_total():
    frames = [refault_frame([1, 2]), refault_frame([0, 0], label="poison_val 0xaa")]
    figure = plot.refaults_over_time(*frames)

    assert [line.get_ydata().max() for line in figure.axes[0].get_lines()] == [0.4, 0]
    assert {"as captured: 3", "poison_val 0xaa: 0", "churn: 2 runs, 0 to 3 refaults"} <= shown(
        figure
    )


def test_runs_of_several_traces_are_named_by_them_and_all_are_in_the_caption():
    frames = [refault_frame([1], lost=2), refault_frame([2], trace="pressure-on", lost=3)]
    texts = shown(plot.refaults_over_time(*frames))

    assert {"churn-on, as captured: 1", "pressure-on, as captured: 2"} <= texts
    assert "churn and pressure: 2 runs, 1 to 2 refaults" in texts
    assert "traces churn-on 12345678, pressure-on 12345678, model 9abcdef0" in texts
    assert "5 events lost during capture: not exact" in texts


def test_in_print_lines_differ_in_their_strokes():
    with plot.theme("print"):
        figure = plot.refaults_over_time(*[refault_frame([one]) for one in range(5)])
    strokes = [line._unscaled_dash_pattern for line in figure.axes[0].get_lines()]

    assert all(one != other for one, other in itertools.combinations(strokes, 2))


def test_no_run_and_too_many_are_refused():
    for count in (0, 6):
        with pytest.raises(UsageError, match=f"{count} runs, expected 1 to 5"):
            plot.refaults_over_time(*[refault_frame([1])] * count)


@pytest.mark.parametrize("theme", ["light", "print"])
@pytest.mark.parametrize(
    "frames",
    [
        [refault_frame([0], stop_s=1e-9)],
        [refault_frame([0, 1], stop_s=1e6, lost=10**9)],
        [refault_frame([10**10] * 240, label="y" * 300)],
        [
            refault_frame([number], label="free_page_reporting off, " * 3, trace=f"t{number}-" * 30)
            for number in range(5)
        ],
    ],
    ids=["nothing at all", "lost events", "a very long name", "five long names"],
)
def test_nothing_overlaps_or_is_cut_off(frames, theme):
    with plot.theme(theme):
        assert_legible(plot.refaults_over_time(*frames))


def test_axes_of_the_caller_are_drawn_on():
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()

    axes.plot([0, 1], [1, 1])

    assert plot.refaults_over_time(*[refault_frame([1, 2])] * 2, ax=axes) is figure
    assert len(axes.get_lines()) == 3
    assert len(axes.get_legend().get_lines()) == 2
    assert_legible(figure)


def test_drawing_takes_less_than_two_seconds():
    frames = [refault_frame(np.arange(240) * 1000) for _ in range(5)]
    started = time.process_time()
    plot.refaults_over_time(*frames).canvas.draw()

    assert time.process_time() - started < 2
