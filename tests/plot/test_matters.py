"""Charts of what settings change: how fast memory comes back, and what matters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from tests.plot.drawing import LONG_NAME, quickly, texts
from tests.plot.overlap import assert_legible
from workbench import plot
from workbench.errors import UsageError
from workbench.plot.themes import THEMES

ATTRIBUTES = {"title": LONG_NAME, "caption": "study spring 1a2b3c4d, model 9abcdef0"}

CHANGES = ("guests", "byte_seconds", "drain_seconds", "refault_cpu_seconds")


def drain_frame(*ways):
    """Make a frame of orders and delays, and how long until 90 % and all came back."""
    frame = pd.DataFrame(
        ways,
        columns=["reporting_order", "reporting_delay_ns", "drain_90_seconds", "drain_all_seconds"],
    )
    frame = frame.assign(reporting_capacity=32, reporting=frame["reporting_order"].notna())
    frame.attrs = dict(ATTRIBUTES)
    return frame


def sensitivity_frame(*rows):
    """Make a frame of settings, and what each changes."""
    columns = ["setting", "values", *(f"{name}_change_largest" for name in CHANGES), "matters"]
    frame = pd.DataFrame(rows, columns=columns)
    frame.attrs = dict(ATTRIBUTES)
    return frame


def test_drains_are_told_in_seconds_and_what_never_comes_back_is_never():
    figure = plot.drain_times(
        drain_frame(
            (np.nan, np.nan, np.nan, np.nan),
            (9, 2_000_000_000, 30, 34),
            (9, 2_000_000_000, 30, 34),
            (0, 250_000_000, 12.345, np.inf),
            (1, 250_000_000, 1, 1),
        )
    )

    assert {"30 s, all 34 s", "12.3 s, all never", "1 s"} <= set(texts(figure))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "order 9, delay 2 s, capacity 32",
        "order 0, delay 250 ms, capacity 32",
        "order 1, delay 250 ms, capacity 32",
    ]


def test_where_nothing_reports_there_is_no_drain():
    with pytest.raises(UsageError, match="nothing that is compared reports"):
        plot.drain_times(drain_frame((np.nan, np.nan, np.nan, np.nan)))


def test_each_change_is_told_with_its_unit_and_what_hardly_matters_is_grey():
    figure = plot.sensitivity(
        sensitivity_frame(
            ("the order", "0, 9", 17, 0.51, 0, 7.76, True),
            ("the delay", "250 ms, 2 s", 0, 0.0003, 7, np.nan, False),
        )
    )
    colours = [to_hex(bar.get_facecolor()) for bar in figure.axes[0].patches]
    light = THEMES["light"]

    assert {"17", "0", "51 %", "0.03 %", "7 s", "7.76 s", "-"} <= set(texts(figure))
    assert {"the order: 0, 9", "the delay: 250 ms, 2 s"} <= set(texts(figure))
    assert colours == [light.blue.lower(), light.measured]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("count", [1, 5, 20])
def test_charts_are_legible_whatever_they_show(theme, count):
    ways = [(order % 10, 10**6 * order, 2.0 * order, 3e5 * order) for order in range(count)]
    settings = [
        (LONG_NAME[row:], "250 ms, 2 s, 1,234,567 s", 10**row, 10.0 ** (row - 9), 1e9, row, True)
        for row in range(min(count, 8))
    ]
    with plot.theme(theme):
        assert_legible(quickly(lambda: plot.drain_times(drain_frame(*ways))))
        assert_legible(quickly(lambda: plot.sensitivity(sensitivity_frame(*settings))))


def test_of_one_value_each_nothing_can_be_said():
    with pytest.raises(UsageError, match="no setting has two values"):
        plot.sensitivity(sensitivity_frame())


@pytest.mark.parametrize("draw", [plot.sensitivity, plot.drain_times])
def test_another_frame_is_answered_with_where_the_right_one_is(draw):
    with pytest.raises(UsageError, match=r"takes a frame of wb\.plan\(study\)\."):
        draw(pd.DataFrame({"x": [1]}))
