"""Intervals by resampling: worked out by hand where that can be done, and laws for the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.validation.validate.bootstrap import (
    Interval,
    mean_interval,
    median_difference_interval,
    median_interval,
)

VALUES = st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=12)
SMALLEST = np.finfo(np.float64).tiny


def test_of_one_run_nothing_is_resampled():
    assert mean_interval([]) is mean_interval([5.0]) is median_interval([5.0]) is None


def test_two_runs_reach_from_one_to_the_other():
    """Of the means of two draws from 0 and 1, a quarter are 0, a half 0.5 and a quarter 1."""
    assert mean_interval([1.0, 0.0]) == median_interval([0.0, 1.0]) == Interval(0.0, 1.0)


def test_the_median_of_many_does_not_hear_of_one_outlier():
    """It takes six draws of the outlier in eleven, each with one chance in eleven: 1 in 5,000."""
    values = [0.0] * 10 + [9.0]

    assert median_interval(values) == Interval(0.0, 0.0)
    assert mean_interval(values).high == pytest.approx(27 / 11, abs=9 / 11)


def test_the_mean_of_many_has_the_interval_of_the_normal_distribution():
    """1.96 standard errors to each side, within a twentieth."""
    values = np.random.default_rng(1).normal(100, 10, 400)
    low, high = mean_interval(values.tolist())
    half_width = 1.96 * values.std() / 20

    assert low == pytest.approx(values.mean() - half_width, abs=half_width / 20)
    assert high == pytest.approx(values.mean() + half_width, abs=half_width / 20)


@given(values=VALUES)
def test_an_interval_lies_between_the_least_and_the_most(values):
    slack = 1e-12 * max(map(abs, values)) + SMALLEST
    for interval in (mean_interval(values), median_interval(values)):
        assert min(values) - slack <= interval.low <= interval.high <= max(values) + slack


@given(values=VALUES)
def test_the_same_runs_in_any_order_have_the_same_interval(values):
    assert mean_interval(values) == mean_interval(values[::-1])
    assert median_interval(values) == median_interval(sorted(values))


@given(value=st.integers(0, 10**12), count=st.integers(2, 8))
def test_equal_runs_have_an_interval_of_one_value(value, count):
    assert median_interval([float(value)] * count) == Interval(value, value)


def test_the_difference_of_two_medians():
    """Of equal runs it is one number; of pairs it reaches from the least to the most."""
    assert median_difference_interval([7.0] * 3, [5.0] * 4) == Interval(2.0, 2.0)
    assert median_difference_interval([0.0, 10.0], [1.0, 2.0]) == Interval(-2.0, 9.0)
    assert median_difference_interval([0.0], [1.0, 2.0]) is None
