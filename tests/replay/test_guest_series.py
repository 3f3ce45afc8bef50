"""Predictions from samples of free memory: the door, its settings, and what it never reads."""

from __future__ import annotations

import numpy as np
import pytest

from tests.synthetic_series import series_of, used_bytes
from workbench.errors import UnidentifiableError, UsageError
from workbench.replay import LINUX_REPORTING, Guest, Sampling, predict_series, reporting_of
from workbench.schema import UNKNOWN
from workbench.trace import Reporting

STEADY = Sampling(own_bytes=0, lag_ns=0, swing_rows=0)


def test_what_nobody_frees_is_resident_from_the_first_sample_on():
    prediction = predict_series(series_of([900, 900, 700]), sampling=STEADY)

    assert prediction.resident_bytes.tolist() == used_bytes([900, 900, 700]).tolist()


def test_what_an_idle_guest_frees_leaves_after_the_delay_and_no_sooner():
    """Freed at some instant of an interval of 1.7 s; the pass comes 2 s after that."""
    free = [100] * 4 + [150] * 3
    resident = predict_series(series_of(free), sampling=STEADY).resident_bytes
    before, after = used_bytes([100, 150])

    assert resident[4] == before
    assert after < resident[5] < before
    assert resident[6] == after


def test_qemus_own_memory_is_added():
    series = series_of([5, 5])
    alone = predict_series(series, sampling=STEADY).resident_bytes
    own = predict_series(series, sampling=Sampling(own_bytes=77, lag_ns=0, swing_rows=0))

    assert (own.resident_bytes - alone).tolist() == [77, 77]


def test_a_longer_delay_keeps_more_in_memory():
    generator = np.random.default_rng(3)
    series = series_of(np.clip(np.cumsum(generator.integers(-40, 41, 300)) + 900, 0, 2000))
    means = [
        predict_series(series, Guest(reporting_delay_ns=delay)).resident_bytes.mean()
        for delay in ("100ms", "2s", "20s")
    ]

    assert means == sorted(means)
    assert means[0] < means[2]


def test_the_yardstick_is_never_read():
    free = [100, 160, 120, 300, 300]
    without = predict_series(series_of(free))
    measured = predict_series(series_of(free, resident_bytes=[1, 10**9, 5, 5, 10**10]))

    assert measured.resident_bytes.tolist() == without.resident_bytes.tolist()
    assert measured.lineage == without.lineage


def test_settings_that_are_not_given_stay_as_sampled_or_are_linuxs():
    sampled = Reporting(9, 100_000_000, 64)

    assert reporting_of(Guest()) == LINUX_REPORTING == Reporting(9, 2_000_000_000, 32)
    assert reporting_of(Guest(reporting_order=3), sampled) == Reporting(3, 100_000_000, 64)


def test_a_prediction_knows_whether_it_is_for_the_guests_own_settings():
    series = series_of([4, 4], reporting=Reporting(9, 100_000_000, 32))

    assert predict_series(series).is_as_sampled
    assert not predict_series(series, Guest(reporting_order=5)).is_as_sampled
    assert predict_series(series_of([4, 4]), Guest(reporting_order=5)).is_as_sampled
    assert repr(predict_series(series)).startswith(
        "SeriesPrediction of made, order 9, delay 100.00 ms, capacity 32\n"
    )


@pytest.mark.parametrize(("order", "note"), [(0, "4 to 7 %"), (4, "an assumption"), (10, "an ass")])
def test_orders_that_samples_do_not_tell_apart_carry_a_note(order, note):
    notes = predict_series(series_of([4, 4]), Guest(reporting_order=order)).notes

    assert len(notes) == 1
    assert note in notes[0]
    assert predict_series(series_of([4, 4])).notes == ()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (lambda: reporting_of(Guest(reporting_delay_ns=999_999)), "at least 1000000"),
        (lambda: reporting_of(Guest(poison_val=1)), "leave it out"),
        (lambda: Sampling(lag_ns=-1), "lag_ns is -1"),
        (lambda: Sampling(free_order_9_tenths=10), "free_order_9_tenths is 10, expected"),
        (lambda: Sampling(freed_order_9_tenths=0), "from 1 to 9"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, expected):
    with pytest.raises(UsageError, match=expected):
        wrong()


def test_a_series_that_does_not_tell_huge_pages_predicts_nothing():
    series = series_of([4, 8])
    series.columns["free_huge_pages"][:] = UNKNOWN
    with pytest.raises(UnidentifiableError, match=r"made: does not tell what is free in blocks of"):
        predict_series(series)
