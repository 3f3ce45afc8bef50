"""The chart of drains: each drain a line, the median bold, its half-life where it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests.plot.drawing import LONG_NAME, quickly, texts
from tests.plot.overlap import assert_legible
from tests.synthetic import write_off, write_two_blocks
from workbench import measure, plot
from workbench.errors import UsageError
from workbench.plot.themes import THEMES
from workbench.replay import replay
from workbench.trace import read_trace
from workbench.units import MIB

TRACES = Path(__file__).parents[2] / "traces"


def frame_of(drains, *, name="made"):
    """Make a frame of drains, each a list of (seconds, held bytes) that ends with 0."""
    rows = [
        (number, 0, drain[0][1], *step) for number, drain in enumerate(drains) for step in drain
    ]
    columns = ["drain", "vm", "freed_bytes", "seconds_since_free", "held_bytes"]
    frame = pd.DataFrame(rows, columns=columns)

    def until(share):
        return [next(s for s, held in drain if held <= share * drain[0][1]) for drain in drains]

    frame.attrs = {
        "title": name,
        "label": "as captured",
        "run": f"{name}, as captured",
        "caption": f"trace {name} 12345678, model 9abcdef0",
        "lost_events": 0,
        "half_seconds": until(0.5),
        "drained_seconds": until(0.1),
    }
    return frame


THREE = frame_of(
    [
        [(0, 100 * MIB), (1, 60 * MIB), (2, 0)],
        [(0, 10 * MIB), (3, 4 * MIB), (5, 0)],
        [(0, 40 * MIB), (4, 0)],
    ]
)


def test_each_drain_is_a_line_in_bytes_and_as_a_share():
    in_bytes, shares = plot.drain(THREE).axes

    assert [line.get_ydata().tolist() for line in in_bytes.lines] == [
        [100 * MIB, 60 * MIB, 0, 0],
        [10 * MIB, 4 * MIB, 0, 0],
        [40 * MIB, 0, 0],
    ]
    thin = [line for line in shares.lines if line.get_linewidth() < 1]
    assert [line.get_ydata().tolist() for line in thin] == [
        [1, 0.6, 0, 0],
        [1, 0.4, 0, 0],
        [1, 0, 0],
    ]


def test_the_median_is_bold_and_its_half_life_is_marked():
    """Of the three, half is gone after 2, 3 and 4 s."""
    shares = plot.drain(THREE).axes[1]

    (median,) = [line for line in shares.lines if line.get_linewidth() > 2]
    at = dict(zip(np.round(median.get_xdata(), 1), median.get_ydata(), strict=True))
    assert [at[second] for second in (0.5, 1.5, 2.5, 3.5, 4.5)] == [1, 1, 1, 0.4, 0]
    (mark,) = [line for line in shares.lines if line.get_marker() == "o"]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (3, 0.5)


def test_the_words_say_how_long_it_takes():
    shown = texts(plot.drain(THREE))

    assert "Drain after a free: half of it is given back in 3.00 s, 90 % in 4.00 s" in shown
    assert "made: as captured, median of 3 drains" in shown
    assert {"still held (MiB)", "time since the free (s)", "50 %"} <= set(shown)
    assert "trace made 12345678, model 9abcdef0" in shown


def test_of_a_real_guest_it_is_the_frame():
    frame = measure.drain_after_free(replay(read_trace(TRACES / "churn-on.trace")))
    in_bytes = plot.drain(frame).axes[0]

    for line, (_, rows) in zip(in_bytes.lines, frame.groupby("drain"), strict=True):
        assert line.get_ydata()[:-1].tolist() == rows["held_bytes"].tolist()


def test_without_a_drain_the_chart_says_so(tmp_path):
    figure = plot.drain(measure.drain_after_free(replay(write_off(tmp_path))))

    assert "Drain after a free: there is none" in texts(figure)
    assert any(text.startswith("no drain: memory never fell") for text in texts(figure))
    assert_legible(figure)


def test_runs_are_named_with_their_half_lives_and_every_trace_in_the_caption():
    other = frame_of([[(0, 8 * MIB), (7, 0)]], name="other")
    shown = texts(plot.drain(THREE, other))

    assert "made, as captured: half in 3.00 s" in shown
    assert "other, as captured: half in 7.00 s" in shown
    assert "traces made 12345678, other 12345678, model 9abcdef0" in shown


def test_a_run_without_a_drain_stands_beside_one_with(tmp_path):
    off = measure.drain_after_free(replay(write_off(tmp_path)))
    on = measure.drain_after_free(replay(write_two_blocks(tmp_path)))
    figure = plot.drain(on, off)

    assert "Drain after a free: 2 drains of 2 runs" in texts(figure)
    assert_legible(figure)


def test_axes_of_the_caller_show_shares():
    figure = Figure()
    axes = figure.subplots()

    assert plot.drain(THREE, ax=axes) is figure
    assert axes.get_ylabel() == "share still held"


@pytest.mark.parametrize("count", [0, 6])
def test_more_runs_than_can_be_told_apart_are_refused(count):
    with pytest.raises(UsageError, match=f"{count} runs, expected 1 to 5"):
        plot.drain(*[THREE] * count)


def test_what_is_left_of_a_drain_for_long_does_not_squeeze_the_rest():
    frame = frame_of([[(0, 100 * MIB), (1, MIB), (1000, 0)]])

    assert plot.drain(frame).axes[1].get_xlim() == (0, 1.6)


LONG = [[(0.01 * step, (1000 - step) * MIB) for step in range(1001)] for _ in range(100)]


@pytest.mark.parametrize(
    "frames",
    [
        [frame_of([[(0, 4096), (0.0001, 0)]])],
        [frame_of([[(0, 2**50), (90_000, 0)]])],
        [frame_of(LONG)],
        [frame_of(LONG[:20], name=f"{LONG_NAME}-{run}") for run in range(5)],
    ],
    ids=["tiny", "huge", "a hundred drains", "five runs"],
)
def test_nothing_overlaps_or_is_cut_off_and_nobody_waits(frames):
    assert_legible(quickly(lambda: plot.drain(*frames)))


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_is_legible(theme):
    with plot.theme(theme):
        assert_legible(plot.drain(THREE, THREE))
