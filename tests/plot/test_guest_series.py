"""The chart of a prediction from samples of free memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.plot.drawing import LONG_NAME, quickly, texts
from tests.plot.overlap import assert_legible
from tests.synthetic_series import series_of, used_bytes
from workbench import plot
from workbench.measure import series_frame
from workbench.plot.themes import THEMES
from workbench.replay import predict_series


def chart_of(count, *, is_measured, spread_bytes=10**7):
    """Draw a series of so many samples."""
    generator = np.random.default_rng(5)
    free = np.clip(np.cumsum(generator.integers(-30, 31, count)) + 1000, 0, 2000)
    noise = generator.integers(-spread_bytes, spread_bytes + 1, count)
    measured = used_bytes(free) + noise if is_measured else None
    return plot.guest_series(series_frame(predict_series(series_of(free, resident_bytes=measured))))


@pytest.mark.parametrize("count", [2, 30, 3000])
def test_it_names_series_settings_and_model_and_says_how_wrong_it_is(count):
    figure = chart_of(count, is_measured=True)
    shown = texts(figure)

    assert len(figure.axes) == 2
    assert {"predicted", "measured", "QEMU's resident set (GiB)"} <= set(shown)
    assert any(text.startswith("made: order 9, delay 2.00 s, capacity 32") for text in shown)
    assert any(text.startswith("series made ") and ", model " in text for text in shown)
    assert any(text.startswith("Predicted minus measured: ") for text in shown)
    assert any(text.startswith("time since the series began") for text in shown)


def test_without_a_measurement_there_is_one_panel_and_no_error():
    figure = chart_of(30, is_measured=False)

    assert len(figure.axes) == 1
    assert "measured" not in texts(figure)
    assert "Resident memory, predicted from samples of free memory" in texts(figure)


def test_errors_of_gibibytes_are_written_in_gibibytes():
    figure = chart_of(300, is_measured=True, spread_bytes=3 * 10**9)

    assert "error (GiB)" in texts(figure)


def test_samples_beyond_the_scale_are_counted():
    free = [100] * 400
    measured = used_bytes(free) + 10**8
    measured[7] += 4 * 10**9
    frame = series_frame(predict_series(series_of(free, resident_bytes=measured)))
    shown = texts(plot.guest_series(frame))

    assert any("1 of 400 samples are beyond this scale" in text for text in shown)


def test_lines_and_dots_are_those_of_the_frame():
    free = [100, 900, 300, 500]
    measured = used_bytes(free) + np.array([5, -5, 0, 50]) * 2**20
    frame = series_frame(predict_series(series_of(free, resident_bytes=measured)))
    memory, error = plot.guest_series(frame).axes

    by_hand = {line.get_linestyle(): line.get_ydata().tolist() for line in memory.lines}
    assert by_hand == {
        "-": frame["resident_bytes"].tolist(),
        "None": frame["measured_resident_bytes"].tolist(),
    }
    difference = frame["resident_bytes"] - frame["measured_resident_bytes"]
    assert error.get_ylabel() == "error (GiB)"
    assert error.lines[1].get_ydata().tolist() == (difference / 2**30).tolist()


def long_frame(count, scale, name):
    """Make a frame of a long series, as `series_frame` does."""
    generator = np.random.default_rng(7)
    resident = generator.integers(0, scale, count)
    frame = pd.DataFrame(
        {
            "time_s": np.arange(count) * 1.7,
            "resident_bytes": resident,
            "measured_resident_bytes": resident + generator.integers(0, scale // 4 + 1, count),
        }
    )
    frame.attrs = {"title": name, "label": name, "caption": f"series {name} 1, model 2"}
    return frame


@pytest.mark.parametrize(
    "frame",
    [
        long_frame(1, 1, "one"),
        long_frame(10, 2**50, LONG_NAME),
        long_frame(1_000_000, 2**33, "a-fleet"),
    ],
    ids=["one sample", "huge", "a million samples"],
)
def test_nothing_overlaps_or_is_cut_off_and_nobody_waits(frame):
    assert_legible(quickly(lambda: plot.guest_series(frame)))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("is_measured", [False, True])
def test_every_theme_is_legible(theme, is_measured):
    with plot.theme(theme):
        figure = chart_of(30, is_measured=is_measured)

    assert_legible(figure)
    assert figure.axes[0].lines[-1].get_color() == THEMES[theme].blue
