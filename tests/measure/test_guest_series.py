"""What a prediction says in numbers, each worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.synthetic_series import TOTAL_BYTES, series_of, used_bytes
from workbench.measure import drains, series_document, series_error, series_frame
from workbench.replay import Guest, Sampling, predict_series
from workbench.trace import Reporting
from workbench.units import HUGE_PAGE_BYTES, MIB

STEADY = Sampling(own_bytes=0, lag_ns=0, swing_rows=0)
FREE = [100] * 4 + [200] * 8
"""200 MiB are freed at once."""


def predict(free=FREE, resident_bytes=None, reporting=None, **guest):
    """Predict a made series."""
    series = series_of(free, resident_bytes=resident_bytes, reporting=reporting)
    return predict_series(series, Guest(**guest), sampling=STEADY)


def test_memory_is_summed_up_like_that_of_a_replay():
    document = series_document(predict([100, 100, 100]))
    used = TOTAL_BYTES - 100 * HUGE_PAGE_BYTES

    assert document["metrics"] == {
        "resident_bytes_mean": {"value": used, "unit": "bytes"},
        "resident_bytes_peak": {"value": used, "unit": "bytes"},
        "resident_bytes_final": {"value": used, "unit": "bytes"},
        "resident_byte_seconds": {
            "value": pytest.approx(3.4 * used),
            "unit": "byte-seconds",
        },
    }
    assert document["samples"] == 3
    assert document["settings"]["reporting"] == {
        "order": 9,
        "delay_ns": 2_000_000_000,
        "capacity": 32,
    }


def test_the_error_is_the_mean_distance_and_the_difference_of_the_integrals():
    measured = predict().resident_bytes + np.array([3 * MIB, -MIB] * 6)
    error = series_error(predict(resident_bytes=measured))
    added = MIB * (3 * 6 - 5) / measured[:-1].sum()  # The last sample has no duration.

    assert error["mean_absolute_bytes"] == 2 * MIB
    assert error["byte_seconds"] == pytest.approx(-added)


def test_there_is_no_error_without_a_yardstick():
    assert series_error(predict()) == {
        "mean_absolute_bytes": None,
        "byte_seconds": None,
        "reason": "the series has no column rss",
    }
    assert series_error(predict(resident_bytes=[0] * 12))["reason"] == "nothing was resident"


def test_a_large_free_drains_after_the_delay():
    used = used_bytes([100, 200])
    measured = [used[0]] * 8 + [used[1]] * 4
    (drain,) = drains(predict(resident_bytes=measured))

    assert drain == {
        "time_s": pytest.approx(6.8),
        "freed_bytes": 100 * HUGE_PAGE_BYTES,
        "predicted_s": pytest.approx(3.4),
        "measured_s": pytest.approx(6.8),
        "samples_apart": -2,
    }


def test_a_free_that_is_taken_back_has_no_drain_time():
    (drain,) = drains(predict([100] * 4 + [200, 100, 100]))

    assert drain["predicted_s"] is None
    assert drain["samples_apart"] is None


def test_small_frees_are_no_drains():
    """Less than a 32nd of 4 GiB: 64 huge pages."""
    assert drains(predict([100, 163])) == []
    assert len(drains(predict([100, 164]))) == 1


def test_a_what_if_is_compared_with_nothing_and_carries_the_error_as_sampled():
    reporting = Reporting(9, 2_000_000_000, 32)
    measured = predict().resident_bytes + MIB
    sampled = series_document(predict(resident_bytes=measured, reporting=reporting))
    what_if = series_document(
        predict(resident_bytes=measured, reporting=reporting, reporting_delay_ns="100ms")
    )

    assert sampled["model_error"]["mean_absolute_bytes"] == MIB
    assert what_if["model_error"] == sampled["model_error"]
    assert "measured_resident_bytes_mean" in sampled["metrics"]
    assert "measured_resident_bytes_mean" not in what_if["metrics"]
    assert what_if["drains"][0]["measured_s"] is None


def test_the_frame_has_the_measurement_only_where_it_belongs():
    reporting = Reporting(9, 2_000_000_000, 32)
    frame = series_frame(predict(resident_bytes=[7] * 12, reporting=reporting))
    what_if = series_frame(
        predict(resident_bytes=[7] * 12, reporting=reporting, reporting_order=10)
    )

    assert list(frame) == ["time_s", "resident_bytes", "measured_resident_bytes"]
    assert list(what_if) == ["time_s", "resident_bytes"]
    assert frame.attrs["label"] == "order 9, delay 2.00 s, capacity 32"
    assert frame["time_s"].iloc[-1] == pytest.approx(11 * 1.7)
