"""Sums beyond 64 bits, and integrals of step functions that are made of them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from workbench.measure import series
from workbench.measure.series import Series
from workbench.measure.sums import total, weighted_total

LOWEST, HIGHEST = -(2**63), 2**63 - 1
NUMBER = st.one_of(st.integers(-9, 9), st.integers(LOWEST, HIGHEST))
NUMBERS = st.lists(NUMBER, max_size=20)
TIME_NS = st.one_of(st.integers(0, 50), st.integers(0, 2**62))
STEPS = st.lists(st.tuples(TIME_NS, NUMBER), min_size=1, max_size=20).map(
    lambda steps: sorted(steps, key=lambda step: step[0])
)


@given(numbers=NUMBERS)
@example(numbers=[LOWEST, LOWEST])
@example(numbers=[HIGHEST] * 3)
def test_a_total_is_pythons(numbers):
    assert total(np.array(numbers, np.int64)) == sum(numbers)


@given(pairs=st.lists(st.tuples(NUMBER, st.integers(0, 2**58)), max_size=20))
@example(pairs=[(LOWEST, HIGHEST)])
@example(pairs=[(-1, HIGHEST - 1), (1, 1)])
def test_a_weighted_total_is_pythons(pairs):
    values, weights = np.array(pairs, np.int64).reshape(-1, 2).T

    assert weighted_total(values, weights) == sum(value * weight for value, weight in pairs)


@given(steps=STEPS)
def test_integral_and_mean_are_exact_fractions_rounded_once(steps):
    times, values = zip(*steps, strict=True)
    over_time = Series(np.array(times, np.int64), np.array(values, np.int64))
    pairs = zip(steps, times[1:], strict=False)
    exact = sum((Fraction(value) * (until - since) for (since, value), until in pairs), Fraction(0))
    duration_ns = times[-1] - times[0]

    assert series.integral(over_time) == exact
    assert series.mean(over_time) == float(exact / duration_ns if duration_ns else values[-1])


@given(steps=STEPS, row=st.integers(0, 19))
def test_the_integrals_of_two_parts_add_up(steps, row):
    times, values = (np.array(column, np.int64) for column in zip(*steps, strict=True))
    parts = Series(times[: row + 1], values[: row + 1]), Series(times[row:], values[row:])
    whole = series.integral(Series(times, values))

    assert whole == sum(series.integral(part) for part in parts if part.time_ns.size)
