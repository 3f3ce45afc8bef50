"""The chart of predicted against measured: a dot for each sample, where the frame says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests.plot.drawing import LONG_NAME, quickly, texts
from tests.plot.overlap import assert_legible
from tests.synthetic import TWO_BLOCKS, write_trace
from workbench import measure, plot
from workbench.errors import UsageError
from workbench.plot.themes import THEMES
from workbench.replay import replay
from workbench.trace import read_trace
from workbench.units import MIB

TRACES = Path(__file__).parents[2] / "traces"


def frame_of(predicted, measured, *, is_quiet=None, swapped=0, labels=("made",), mean=0.0123):
    """Make a frame with these samples for each run."""
    count = len(predicted)
    part = pd.DataFrame(
        {
            "vm": 0,
            "time_s": np.arange(count, dtype=float),
            "is_quiet": np.ones(count, bool) if is_quiet is None else is_quiet,
            "predicted_resident_bytes": predicted,
            "measured_resident_bytes": measured,
            "predicted_swapped_bytes": swapped,
            "measured_swapped_bytes": swapped,
        }
    )
    frame = pd.concat(
        [part.assign(run=run, label=label) for run, label in enumerate(labels)], ignore_index=True
    )
    error = {"mean": mean, "final": 0.0, "final_pages": -3, "quiet_max": 0.0, "peak_bytes": 1}
    frame.attrs = {
        "title": "made",
        "label": "as captured",
        "caption": "trace made 12345678, model 9abcdef0",
        "lost_events": 0,
        "labels": list(labels),
        "model_error": [{"resident_bytes": error if count else None} for _ in labels],
    }
    return frame


def dots(axes):
    """Give the full and the hollow dots of a panel, as pairs of measured and predicted."""
    found = {"full": [], "hollow": []}
    for line in axes.lines:
        if line.get_linestyle() == "None":
            kind = "hollow" if line.get_markerfacecolor() == "none" else "full"
            found[kind] += zip(line.get_xdata().tolist(), line.get_ydata().tolist(), strict=True)
    return found


def test_each_sample_is_a_dot_and_only_quiet_ones_are_full():
    frame = frame_of(
        [1 * MIB, 20 * MIB, 30 * MIB], [2 * MIB, 20 * MIB, 33 * MIB], is_quiet=[False, True, True]
    )
    (axes,) = plot.predicted_against_measured(frame).axes

    assert dots(axes) == {
        "full": [(20 * MIB, 20 * MIB), (33 * MIB, 30 * MIB)],
        "hollow": [(2 * MIB, 1 * MIB)],
    }


def test_the_diagonal_goes_through_equal_values_and_both_scales_are_one():
    (axes,) = plot.predicted_against_measured(frame_of([MIB, 90 * MIB], [MIB, 80 * MIB])).axes

    (diagonal,) = [line for line in axes.lines if line.get_linestyle() == "-"]
    assert np.array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_aspect() == 1
    low, high = axes.get_xlim()
    assert list(axes.get_xticks()) == [tick for tick in axes.get_yticks() if low <= tick <= high]


def test_the_error_of_the_model_is_the_heading():
    run = replay(read_trace(TRACES / "pressure-order0.trace"))
    figure = plot.predicted_against_measured(measure.predicted_against_measured(run))

    shown = texts(figure)
    assert "Predicted against measured: 1.29 % off, +851 pages at the end" in shown
    assert {"quiet samples (319)", "other samples (204)", "equal"} <= set(shown)
    assert {"predicted in memory (MiB)", "measured in swap (MiB)"} <= set(shown)
    assert "pressure: as captured; off on average, of the measured peak" in shown
    assert len(figure.axes) == 2
    assert_legible(figure)


def test_a_guest_that_never_swapped_has_one_panel():
    assert len(plot.predicted_against_measured(frame_of([MIB], [MIB])).axes) == 1
    assert len(plot.predicted_against_measured(frame_of([MIB], [MIB], swapped=4096)).axes) == 2


def test_what_was_not_measured_is_left_out():
    frame = frame_of([MIB, MIB], [np.nan, 2 * MIB])
    (axes,) = plot.predicted_against_measured(frame).axes

    assert dots(axes)["full"] == [(2 * MIB, MIB)]


def test_a_trace_without_samples_says_so(tmp_path):
    run = replay(write_trace(tmp_path / "bare.trace", TWO_BLOCKS))
    figure = plot.predicted_against_measured(measure.predicted_against_measured(run))

    assert {"Predicted against measured: not measured", "not measured"} <= set(texts(figure))
    assert_legible(figure)


def test_runs_are_told_apart_by_colour_and_shape():
    frame = frame_of([MIB], [MIB], labels=[f"run {number}" for number in range(20)])
    (axes,) = plot.predicted_against_measured(frame).axes

    looks = {
        (line.get_marker(), line.get_markeredgecolor())
        for line in axes.lines
        if line.get_linestyle() == "None" and len(line.get_xdata())
    }
    assert len(looks) == 20


def test_more_runs_than_can_be_told_apart_are_refused():
    frame = frame_of([MIB], [MIB], labels=[str(number) for number in range(21)])

    with pytest.raises(UsageError, match="21 runs, expected 1 to 20"):
        plot.predicted_against_measured(frame)


def test_axes_of_the_caller_show_memory():
    figure = Figure()
    axes = figure.subplots()

    assert plot.predicted_against_measured(frame_of([MIB], [MIB], swapped=1), ax=axes) is figure
    assert dots(axes)["full"] == [(MIB, MIB)]


def test_dots_in_one_place_are_drawn_once_and_none_is_lost():
    generator = np.random.default_rng(3)
    measured = generator.integers(0, 2**40, 1_000_000)
    predicted = np.abs(measured + generator.integers(-(2**36), 2**36, measured.size))
    frame = frame_of(predicted, measured, is_quiet=generator.random(measured.size) < 0.5)
    figure = quickly(lambda: plot.predicted_against_measured(frame))

    (axes,) = figure.axes
    stop = axes.get_ylim()[1]

    def places(points):
        return np.unique((np.array(points, float) * (400 / stop)).astype(int), axis=0)

    for kind, is_quiet in (("full", True), ("hollow", False)):
        rows = frame[frame["is_quiet"] == is_quiet]
        wanted = places(rows[["measured_resident_bytes", "predicted_resident_bytes"]])
        assert np.array_equal(places(dots(axes)[kind]), wanted)
        assert len(dots(axes)[kind]) == len(wanted) < 50_000


@pytest.mark.parametrize(
    "frame",
    [
        frame_of([], []),
        frame_of([0], [0]),
        frame_of([1], [1]),
        frame_of([2**55], [2**55 + 2**50], swapped=2**52, mean=12.5),
        frame_of([MIB] * 10, [2 * MIB] * 10, labels=[LONG_NAME] * 20, swapped=MIB),
    ],
    ids=["none", "zero", "a byte", "huge", "twenty"],
)
def test_nothing_overlaps_or_is_cut_off_and_nobody_waits(frame):
    assert_legible(quickly(lambda: plot.predicted_against_measured(frame)))


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_is_legible(theme):
    with plot.theme(theme):
        assert_legible(
            plot.predicted_against_measured(
                frame_of([MIB, 5 * MIB], [MIB, 6 * MIB], is_quiet=[True, False])
            )
        )
