"""The charts of swap over the host's memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests.plot.drawing import LONG_NAME, quickly, texts
from tests.plot.overlap import assert_legible
from workbench import plot
from workbench.errors import UsageError
from workbench.measure import curve_frame, io_avoided_over_memory, memory_needed
from workbench.plot import chart
from workbench.plot.themes import THEMES
from workbench.replay import Device, curve
from workbench.trace import read_trace
from workbench.units import GIB, MIB

TRACES = Path(__file__).parents[2] / "traces"


@pytest.fixture(scope="module")
def curves():
    made = read_trace(TRACES / "pressure-order0.trace")
    return curve(made), curve(made, device=Device(free_page_reporting=False))


def test_lines_are_named_and_the_answer_stands_above_them(curves):
    figure = plot.swap_over_memory(*map(curve_frame, curves), below=100)

    shown = texts(figure)
    sizes = memory_needed(curves, [100]).iloc[0, 1:]
    off = "with free_page_reporting off"
    assert {"as captured", off, "as captured: free in the guest"} <= set(shown)
    (subject,) = [text for text in shown if text.startswith("pressure: no more than 100 pages")]
    assert subject.endswith(
        f"{chart.round_bytes(sizes.iloc[0])} as captured, {chart.round_bytes(sizes.iloc[1])} {off}"
    )
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


def frame_of(with_reporting, without, *, step_bytes=MIB, label="as captured"):
    """Make a frame of these rates, one for each step of memory."""
    with_reporting = np.array(with_reporting, float)
    without = np.array(without, float)
    frame = pd.DataFrame(
        {
            "memory_bytes": step_bytes * np.arange(1, without.size + 1),
            "with_pages_per_second": with_reporting,
            "without_pages_per_second": without,
            "avoided_share": 1 - with_reporting / np.where(without > 0, without, np.nan),
        }
    )
    frame.attrs = {
        "title": "made",
        "caption": "trace made 12345678, model 9abcdef0",
        "lost_events": 0,
        "recency": "by last fault",
        "with_label": label,
        "without_label": f"{label}, free_page_reporting off",
        "stop_bytes": step_bytes * without.size,
    }
    return frame


AVOIDED = frame_of([40, 30, 5, 0, 0, 0], [40, 20, 10, 10, 0, 0])


def test_what_is_avoided_is_the_distance_of_two_curves_at_every_size(curves):
    frame = io_avoided_over_memory(*curves).set_index("memory_bytes")

    for size_bytes in (1 << 20, 100 << 20, 250 << 20, 320 << 20, 400 << 20):
        row = frame[frame.index <= size_bytes].iloc[-1]
        place = size_bytes // 4096 - 1
        with_reporting, without = (
            (c.counts.swap_in_pages[place] + c.counts.swap_out_pages[place]) / c.duration_s
            for c in curves
        )
        assert row["with_pages_per_second"] == pytest.approx(with_reporting)
        assert row["without_pages_per_second"] == pytest.approx(without)
        if without:
            assert row["avoided_share"] == pytest.approx(1 - with_reporting / without)
        else:
            assert np.isnan(row["avoided_share"])
    assert frame.attrs["with_label"] == "as captured"
    assert frame.attrs["without_label"] == "free_page_reporting off"


def test_curves_of_two_traces_say_nothing_of_reporting(curves):
    other = curve(read_trace(TRACES / "churn-on.trace"))

    with pytest.raises(UsageError, match="churn-on are two traces"):
        io_avoided_over_memory(curves[0], other)


def test_the_shade_lies_between_the_curves():
    rates, _ = plot.io_avoided_over_memory(AVOIDED).axes

    lines = {line.get_label().split(" ")[0]: line for line in rates.lines}
    for name in ("with", "without"):
        at = np.searchsorted(lines[name].get_xdata(), [1.5 * MIB, 2.5 * MIB, 3.5 * MIB, 4.5 * MIB])
        expected = AVOIDED[f"{name}_pages_per_second"][:4].tolist()
        assert lines[name].get_ydata()[at].tolist() == expected
    shades = {shade.get_label(): shade.get_paths() for shade in rates.collections}
    assert set(shades) == {"avoided", "added"}
    (added,) = [path.get_extents() for path in shades["added"]]
    assert (added.x0 / MIB, added.x1 / MIB) == pytest.approx((2, 3), abs=0.01)
    assert (added.y0, added.y1) == (20, 30)
    (avoided,) = [path.get_extents() for path in shades["avoided"]]
    assert (avoided.x0 / MIB, avoided.x1 / MIB) == pytest.approx((3, 5), abs=0.01)
    assert (avoided.y0, avoided.y1) == (0, 10)


def test_the_share_is_that_of_the_frame_and_missing_where_nothing_is_swapped():
    _, shares = plot.io_avoided_over_memory(AVOIDED).axes

    line = shares.lines[0]
    at = np.searchsorted(line.get_xdata(), [1.5 * MIB, 2.5 * MIB, 3.5 * MIB, 4.5 * MIB])
    assert line.get_ydata()[at].tolist() == [0, -0.5, 0.5, 1]
    assert np.isnan(line.get_ydata()[-1])


def test_the_words_say_the_most_that_is_avoided_and_how_old_pages_are():
    shown = texts(plot.io_avoided_over_memory(AVOIDED))

    assert "I/O avoided over the memory of the host, recency by last fault" in shown
    assert "made: at most 10 pages a second, 100 %, with 4.00 MiB" in shown
    assert {"with reporting: as captured", "avoided", "added"} <= set(shown)
    assert "memory of the host for guest RAM (MiB)" in shown


def test_where_reporting_avoids_nothing_it_is_said():
    shown = texts(plot.io_avoided_over_memory(frame_of([5, 5], [5, 0])))

    assert "made: reporting avoids nothing with any memory" in shown


def test_axes_of_the_caller_show_rates():
    figure = Figure()
    axes = figure.subplots()

    assert plot.io_avoided_over_memory(AVOIDED, ax=axes) is figure
    assert axes.get_ylabel() == "swapped in and out (pages a second)"


def test_of_a_real_guest_nothing_overlaps(curves):
    assert_legible(plot.io_avoided_over_memory(io_avoided_over_memory(*curves)))
    assert_legible(plot.swap_over_memory(*map(curve_frame, curves)))


FALLING = np.linspace(1e9, 0, 1_000_000)


@pytest.mark.parametrize(
    "frame",
    [
        frame_of([0], [0]),
        frame_of([1e12], [1e12]),
        frame_of([1e-6, 0], [1e-3, 0]),
        frame_of([1e6, 0], [1, 0]),
        frame_of(FALLING / 3, FALLING, step_bytes=4096),
        frame_of(FALLING[::1000] / 3, FALLING[::1000], step_bytes=GIB, label=LONG_NAME),
    ],
    ids=["nothing", "one row", "tiny", "added", "a million sizes", "a terabyte"],
)
def test_nothing_overlaps_or_is_cut_off_and_nobody_waits(frame):
    assert_legible(quickly(lambda: plot.io_avoided_over_memory(frame)))


def swapping(rate, label="as captured", *, count=1_000_000):
    """Make a frame as `curve_frame` does, that falls from a rate to nothing."""
    pages = np.linspace(rate * 10, 0, count).astype(np.int64)
    columns = {
        f"swap_{way}{dead}_pages": pages // (1 + bool(dead))
        for way in ("in", "out")
        for dead in ("", "_dead")
    }
    frame = pd.DataFrame({"memory_bytes": 4096 * np.arange(1, count + 1), **columns})
    for way in ("in", "out"):
        frame[f"swap_{way}_pages_per_second"] = frame[f"swap_{way}_pages"] / 10
    frame.attrs = {
        "title": "made",
        "label": label,
        "caption": "trace made 12345678, model 9abcdef0",
        "lost_events": 0,
        "recency": "by accesses",
        "stop_bytes": 4096 * count,
    }
    return frame


@pytest.mark.parametrize(
    "frames",
    [
        [swapping(0, count=1)],
        [swapping(10**12)],
        [swapping(1000, f"{LONG_NAME}-{number}", count=200_000) for number in range(5)],
    ],
    ids=["nothing", "huge", "five"],
)
def test_curves_are_legible_and_nobody_waits(frames):
    assert_legible(quickly(lambda: plot.swap_over_memory(*frames)))


@pytest.mark.parametrize("count", [0, 6])
def test_more_curves_than_can_be_told_apart_are_refused(count):
    with pytest.raises(UsageError, match=f"{count} curves, expected 1 to 5"):
        plot.swap_over_memory(*[swapping(1, count=10)] * count)


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_is_legible(theme):
    with plot.theme(theme):
        assert_legible(plot.io_avoided_over_memory(AVOIDED))
        figure = plot.swap_over_memory(swapping(9, count=50), swapping(5, "other", count=50))
    assert_legible(figure)
    colours = {line.get_color() for line in figure.axes[0].lines}
    assert {THEMES[theme].blue, THEMES[theme].vermilion, THEMES[theme].quiet} <= colours
