"""The chart of a prediction from samples of free memory."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

from tests.synthetic_series import series_of, used_bytes
from workbench import plot
from workbench.measure import series_frame
from workbench.replay import predict_series


def texts(figure):
    """Collect every text of a figure."""
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


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
