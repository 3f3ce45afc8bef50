"""The chart of both sides: a line for each run, a colour for each side."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.figure import Figure

from workbench import plot
from workbench.units import MIB


@pytest.fixture
def frame():
    """Two runs of the baseline and three of the candidate."""
    runs = [("baseline", "a"), ("baseline", "b"), *(("candidate", name) for name in "cde")]
    rows = [
        {"side": side, "run": run, "time_s": time_s, "resident_bytes": (time_s + 1) * MIB}
        for side, run in runs
        for time_s in (0, 1, 2)
    ]
    made = pd.DataFrame(rows)
    made.attrs = {"title": "base, and new", "caption": "models x and y", "lost_events": 2}
    return made


def test_every_run_is_a_line_in_the_colour_of_its_side(frame):
    (panel,) = plot.both_sides(frame).axes
    colours = [line.get_color() for line in panel.lines]
    legend = [text.get_text() for text in panel.get_legend().get_texts()]

    assert colours == [colours[0]] * 2 + [colours[2]] * 3
    assert colours[0] != colours[2]
    assert legend == ["baseline (2)", "candidate (3)"]


def test_the_legend_stands_above_the_lines(frame):
    (panel,) = plot.both_sides(frame).axes

    assert panel.get_ylim()[1] > 1.2 * frame["resident_bytes"].max()


def test_lost_events_and_titles_are_in_the_figure_or_at_the_callers_axes(frame):
    own = plot.both_sides(frame)
    panel = Figure().subplots()

    assert plot.both_sides(frame, ax=panel) is panel.figure
    assert panel.get_title(loc="left") == "Resident memory of both sides: base, and new"
    assert any("2 events lost" in text.get_text() for text in own.axes[0].texts)
