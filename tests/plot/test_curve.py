"""The chart of swap over the host's memory."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pytest

from workbench import plot
from workbench.measure import curve_frame, memory_needed
from workbench.plot import chart
from workbench.replay import Device, curve
from workbench.trace import read_trace

TRACES = Path(__file__).parents[2] / "traces"


@pytest.fixture(scope="module")
def curves():
    made = read_trace(TRACES / "pressure-order0.trace")
    return curve(made), curve(made, device=Device(free_page_reporting=False))


def texts(figure):
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


def test_lines_are_named_and_the_answer_stands_above_them(curves):
    figure = plot.swap_over_memory(*map(curve_frame, curves), below=100)

    shown = texts(figure)
    sizes = memory_needed(curves, [100]).iloc[0, 1:]
    assert {"as captured", "free_page_reporting off"} <= set(shown)
    (subject,) = [text for text in shown if text.startswith("pressure: no more than 100 pages")]
    assert all(chart.round_bytes(size) in subject for size in sizes)
    assert any("recency by accesses" in text for text in shown)


def test_a_curve_without_accesses_says_so_in_its_title():
    figure = plot.swap_over_memory(curve_frame(curve(read_trace(TRACES / "churn-on.trace"))))

    assert any("recency by last fault" in text for text in texts(figure))


@pytest.mark.parametrize("below", [0, 10, 1e6])
def test_points_stand_where_the_rate_is_first_low_enough(curves, below):
    frame = curve_frame(curves[0])

    (axes,) = plot.swap_over_memory(frame, below=below).axes

    (point,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert point.get_xdata()[0] == curves[0].bytes_for(below)


def test_a_frame_holds_the_curve_at_every_size(curves):
    frame = curve_frame(curves[1]).set_index("memory_bytes")

    for size_bytes in (1 << 20, 100 << 20, 250 << 20, 400 << 20):
        row = frame[frame.index <= size_bytes].iloc[-1]
        counts = curves[1].counts
        place = size_bytes // 4096 - 1
        assert row["swap_in_pages"] == counts.swap_in_pages[place]
        assert row["swap_out_dead_pages"] == counts.swap_out_dead_pages[place]
