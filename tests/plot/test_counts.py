"""The charts of counts: bars as long as the frame says, with their numbers on them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests.plot.drawing import LONG_NAME, quickly, texts
from tests.plot.overlap import assert_legible
from tests.synthetic import discard, report, started, trace, write_off, write_two_blocks
from workbench import measure, plot
from workbench.measure import REPORT_OUTCOMES
from workbench.plot import scales
from workbench.plot.themes import THEMES
from workbench.replay import Guest, replay

COLUMNS = [f"{outcome.replace(' ', '_')}_ranges" for outcome in REPORT_OUTCOMES.values()]


def outcomes_of(*rows, label="run"):
    """Make a frame as `report_outcomes` does: numbers in the order of the outcomes."""
    filled = [(*row, *[0] * (len(COLUMNS) - len(row))) for row in rows]
    frame = pd.DataFrame(filled, columns=COLUMNS)
    frame.insert(0, "label", [f"{label} {number}" for number in range(len(rows))])
    frame.attrs = {"caption": "trace made 12345678, model 9abcdef0", "lost_events": 0}
    return frame


def pair_of(out_off, out_on, in_off, in_on, *, title="made"):
    """Make a frame as `measured_pair` does."""
    frame = pd.DataFrame(
        {
            "metric": ["measured_swap_out_pages", "measured_swap_in_pages"],
            "reporting_off": [out_off, in_off],
            "reporting_on": [out_on, in_on],
        }
    )
    frame["saved"] = frame["reporting_off"] - frame["reporting_on"]
    caption = f"measured pair: {title} and {title}-off, one live run each"
    frame.attrs = {"title": title, "caption": caption, "lost_events": 0}
    return frame


def widths(axes):
    """Give the length of each bar, by its row."""
    return [(round(bar.get_y() + bar.get_height() / 2, 2), bar.get_width()) for bar in axes.patches]


def test_bars_stand_end_to_end():
    (axes,) = plot.skip_reasons(outcomes_of((5, 0, 0, 2), (1,))).axes

    assert widths(axes) == [(0, 5), (1, 1), (0, 2), (1, 0)]
    assert [bar.get_x() for bar in axes.patches] == [0, 0, 5, 1]
    assert {"5", "2", "discarded", "skipped: poisoned"} <= set(texts(axes.figure))
    assert "skipped: inhibited" not in texts(axes.figure)


def test_a_discard_that_the_host_refused_is_counted_too():
    reported = report(1, 0)
    made = trace([reported, discard(reported, status=-22)], machines=[started()])
    frame = measure.report_outcomes(replay(made))

    assert frame["discard_failed_ranges"].tolist() == [1]
    assert frame[COLUMNS].to_numpy().sum() == 1
    assert "discard failed" in texts(plot.skip_reasons(frame))


def test_of_real_replays_it_is_the_frame(tmp_path):
    run = replay(write_two_blocks(tmp_path))
    poisoned = replay(run.trace, guest=Guest(poison_val=0xAAAAAAAA))
    frame = measure.report_outcomes(run, poisoned, replay(write_off(tmp_path)))
    (axes,) = plot.skip_reasons(frame).axes

    for row, expected in enumerate(frame[COLUMNS].to_numpy().sum(axis=1)):
        assert sum(width for place, width in widths(axes) if place == row) == expected
    assert "no reports" in texts(axes.figure)


def test_pairs_of_bars_are_what_was_measured():
    (axes,) = plot.io_avoided(pair_of(100, 60, 50, 20)).axes

    assert widths(axes) == [(-0.19, 100), (0.19, 60), (0.81, 50), (1.19, 20)]
    shown = texts(axes.figure)
    assert "I/O avoided: 70 pages, 47 % of reporting off" in shown
    assert "reporting on: 60 pages (240 KiB)" in shown


def test_what_the_host_does_not_count_is_no_zero():
    shown = texts(plot.io_avoided(pair_of(np.nan, np.nan, 50, 20)))

    assert "reporting off: the host did not count it" in shown
    assert "I/O avoided: 30 pages, 60 % of reporting off" in shown
    unknown = texts(plot.io_avoided(pair_of(np.nan, np.nan, np.nan, np.nan)))
    assert "I/O avoided: not measured" in unknown


@pytest.mark.parametrize("make", [plot.skip_reasons, plot.io_avoided])
def test_axes_of_the_caller_are_drawn_in(make):
    figure = Figure()
    axes = figure.subplots()
    frame = outcomes_of((1,)) if make is plot.skip_reasons else pair_of(1, 1, 1, 1)

    assert make(frame, ax=axes) is figure
    assert axes.patches


@pytest.mark.parametrize(
    "frame",
    [
        outcomes_of((0,)),
        outcomes_of((1,)),
        outcomes_of([10**17] * 7),
        outcomes_of(*[[1, 10, 100, 1000, 10_000, 100_000, 1_000_000]] * 20, label=LONG_NAME),
    ],
    ids=["none", "one", "huge", "twenty"],
)
def test_reasons_do_not_overlap_and_nobody_waits(frame):
    assert_legible(quickly(lambda: plot.skip_reasons(frame)))


@pytest.mark.parametrize(
    "frame",
    [
        pair_of(0, 0, 0, 0),
        pair_of(1, 0, 10**15, 10**14, title=LONG_NAME),
        pair_of(123_456_789, 987_654_321, 999_999, 999_999),
    ],
    ids=["none", "huge", "more with reporting"],
)
def test_pairs_do_not_overlap_and_nobody_waits(frame):
    assert_legible(quickly(lambda: plot.io_avoided(frame)))


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_is_legible_and_in_its_colours(theme):
    with plot.theme(theme):
        reasons = plot.skip_reasons(outcomes_of((50, 4, 3, 20, 10, 30, 10)))
        pair = plot.io_avoided(pair_of(100, 60, 50, 20))

    for figure in (reasons, pair):
        assert_legible(figure)
    hatches = {bar.get_hatch() or "" for bar in reasons.axes[0].patches}
    assert len(hatches) == (7 if theme == "print" else 1)


@pytest.mark.parametrize("dots_per_inch", [72, 150, 300])
def test_what_fits_on_the_page_fits_at_every_resolution(dots_per_inch):
    """Files have more dots than pages, and hinted letters would be wider in them."""
    figure = plot.io_avoided(pair_of(1, 1, 1, 1, title=f"{LONG_NAME} {LONG_NAME}"))
    figure.set_dpi(dots_per_inch)

    assert_legible(figure)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999_999, "999,999"),
        (1_234_567, "1.23 M"),
        (2 * 10**10, "20 G"),
        (3 * 10**12, "3 T"),
    ],
)
def test_counts_are_in_full_up_to_a_million(count, text):
    assert scales.count_text(count) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(0, "0"), (0.0012, "0.0012"), (2.345, "2.3"), (2597.4, "2,597")]
)
def test_small_rates_are_no_zeros(rate, text):
    assert scales.rate_text(rate) == text


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("short", "short"),
        ("churn-on, as captured", "churn-on,\nas captured"),
        ("as captured: order 9, delay 2.00 s", "as captured:\norder 9,\ndelay 2.00 s"),
        ("a-name-without-any-break", "a-name…break"),
    ],
)
def test_names_are_broken_at_commas_and_then_cut(name, lines):
    assert scales.named(name, 12, 3) == lines
