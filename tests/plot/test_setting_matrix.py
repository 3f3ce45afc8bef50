"""The chart of the matrix: each cell has its number, or says why it has none."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests.plot.drawing import LONG_NAME, quickly, texts
from tests.plot.overlap import assert_legible
from workbench import measure, plot
from workbench.errors import UsageError
from workbench.measure import MATRIX_METRICS
from workbench.measure.setting_matrix import POISONS, REPORTINGS
from workbench.plot.themes import THEMES
from workbench.trace import read_trace
from workbench.units import GIB, MIB

TRACES = Path(__file__).parents[2] / "traces"
WHY = "the trace does not say whether the guest had init_on_free, nor anything else of that kind"


def frame_of(values, *, poisons=None, reportings=None, reason="captured with reporting_order 9"):
    """Make a frame of rows of numbers; None is a cell that is refused, NaN one without a number."""
    poisons = poisons or [f"poison {row}" for row in range(len(values))]
    reportings = reportings or [f"order {column}" for column in range(len(values[0]))]
    rows = []
    for poison, row in zip(poisons, values, strict=True):
        for reporting, value in zip(reportings, row, strict=True):
            number = np.nan if value is None else float(value)
            refused = "" if value is not None else reason
            rows.append(
                {
                    "poison": poison,
                    "reporting": reporting,
                    "answerable": value is not None,
                    "reason": refused and f"{refused}: it is not in the trace",
                    "short_reason": refused,
                    **dict.fromkeys(MATRIX_METRICS, number),
                }
            )
    frame = pd.DataFrame(rows)
    frame.attrs = {
        "title": "made",
        "label": "as captured",
        "caption": "trace made 12345678, model 9abcdef0",
        "lost_events": 0,
        "model_error": {"resident_bytes": {"mean": 0.0123}},
    }
    return frame


TWO_BY_TWO = frame_of([[100 * MIB, 50 * MIB], [None, 0]])


def test_the_picture_is_the_numbers_and_what_is_refused_has_no_colour():
    (axes,) = plot.setting_matrix(TWO_BY_TWO).axes
    (picture,) = axes.images

    shown = picture.get_array()
    assert shown.tolist() == [[100 * MIB, 50 * MIB], [None, 0]]
    assert shown.mask.tolist() == [[False, False], [True, False]]
    assert picture.get_clim() == (0, 100 * MIB)


def test_each_cell_is_written_with_its_unit_and_beside_what_was_captured():
    shown = texts(plot.setting_matrix(TWO_BY_TWO))

    assert {"100 MiB", "50.0 MiB", "0 KiB", "as captured", "-50 %", "-100 %"} <= set(shown)
    assert {"poison 0", "poison 1", "order 0", "order 1"} <= set(shown)
    assert "reclaimed_bytes by how the guest poisons and reports" in shown
    assert (
        "made: % against as captured; as captured 1.23 % off on average; hatched: refused (1)"
        in shown
    )
    assert "trace made 12345678, model 9abcdef0" in shown


def test_only_a_refused_cell_is_hatched_and_it_says_why():
    (axes,) = plot.setting_matrix(TWO_BY_TWO).axes

    hatched = [patch.get_xy() for patch in axes.patches if patch.get_hatch()]
    assert hatched == [(-0.5, 0.5)]
    (reason,) = [text for text in axes.texts if text.get_text().startswith("refused")]
    assert reason.get_text() == "refused:\ncaptured with\nreporting_order 9"
    assert reason.xy == (0, 1)


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ("refaults", "1,234 faults"),
        ("swap_out_pages", "1,234 pages"),
        ("resident_bytes_mean", "1.21 KiB"),
        ("discards", "1,234 ranges"),
    ],
)
def test_every_metric_of_the_matrix_can_be_drawn(metric, text):
    shown = texts(plot.setting_matrix(frame_of([[1234]]), metric))

    assert {text, f"{metric} by how the guest poisons and reports"} <= set(shown)


def test_a_metric_that_is_not_there_is_answered_with_the_closest():
    with pytest.raises(UsageError, match="no metric 'refault'; did you mean 'refaults'"):
        plot.setting_matrix(TWO_BY_TWO, "refault")


def test_a_number_that_nobody_knows_is_no_zero():
    shown = texts(plot.setting_matrix(frame_of([[np.nan, 5 * MIB]])))

    assert "not known" in shown
    assert "0 KiB" not in shown


def test_an_answer_that_changes_nothing_says_so():
    assert "the same" in texts(plot.setting_matrix(frame_of([[MIB, MIB]])))


def test_of_a_real_guest_it_is_the_frame():
    trace = read_trace(TRACES / "churn-on.trace")
    frame = measure.setting_matrix(trace, poisons=POISONS[2:], reportings=REPORTINGS[:2])
    figure = plot.setting_matrix(frame)

    (picture,) = figure.axes[0].images
    values = picture.get_array().filled(np.nan)
    assert np.array_equal(values.ravel(), frame["reclaimed_bytes"], equal_nan=True)
    assert {"744 MiB", "as captured:\norder 9,\ndelay 2.00 s"} <= set(texts(figure))
    assert_legible(figure)


def test_axes_of_the_caller_are_drawn_in():
    figure = Figure()
    axes = figure.subplots()

    assert plot.setting_matrix(TWO_BY_TWO, ax=axes) is figure
    assert len(axes.images) == 1


@pytest.mark.parametrize("theme", THEMES)
def test_numbers_stand_out_from_their_cells(theme):
    with plot.theme(theme):
        figure = plot.setting_matrix(frame_of([[share * GIB for share in range(11)]]))
    (axes,) = figure.axes
    (picture,) = axes.images

    for column, text in enumerate(t for t in axes.texts if t.get_fontweight() == "bold"):
        fill = picture.cmap(picture.norm(column * GIB))
        weights = np.array([0.2126, 0.7152, 0.0722])
        ink = np.array(mpl.colors.to_rgb(text.get_color()))
        assert abs(weights @ ink - weights @ np.array(fill[:3])) > 0.35


@pytest.mark.parametrize(
    "frame",
    [
        frame_of([[0]]),
        frame_of([[1, None]]),
        frame_of([[2**60, 1], [None, 2**60]], reason=WHY),
        frame_of(
            [[None] * 8] * 3,
            poisons=[f"{LONG_NAME} {row}" for row in range(3)],
            reportings=[f"{LONG_NAME} {column}" for column in range(8)],
            reason=WHY,
        ),
        frame_of([[MIB] * 6] * 20),
    ],
    ids=["one", "a byte", "huge", "all refused", "twenty rows"],
)
@pytest.mark.parametrize("metric", ["reclaimed_bytes", "swap_out_pages"])
def test_nothing_overlaps_or_is_cut_off_and_nobody_waits(frame, metric):
    assert_legible(quickly(lambda: plot.setting_matrix(frame, metric)))


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_is_legible(theme):
    with plot.theme(theme):
        assert_legible(plot.setting_matrix(TWO_BY_TWO))
