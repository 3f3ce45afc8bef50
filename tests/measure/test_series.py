"""Arithmetic on step functions of time."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workbench.measure import series
from workbench.measure.series import Series


def make(*steps):
    """Make a series of (time, value) pairs."""
    time_ns, value = zip(*steps, strict=True)
    return Series(np.array(time_ns, np.int64), np.array(value, np.int64))


SERIES = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), min_size=1, max_size=12).map(
    lambda steps: make(*sorted(steps, key=lambda step: step[0]))
)


def value_by_hand(steps, time_ns):
    """Restate `value_at` for one time with a loop."""
    found = int(steps.value[0])
    for step_ns, value in zip(steps.time_ns, steps.value, strict=True):
        if step_ns <= time_ns:
            found = int(value)
    return found


def test_the_mean_weighs_each_value_by_how_long_it_held():
    assert series.mean(make((0, 0), (1, 2), (4, 8), (5, 8))) == (0 * 1 + 2 * 3 + 8 * 1) / 5


def test_the_mean_of_a_series_without_duration_is_its_last_value():
    assert series.mean(make((3, 1), (3, 7))) == 7


@given(steps=SERIES)
def test_the_integral_is_the_sum_over_every_nanosecond(steps):
    first, last = int(steps.time_ns[0]), int(steps.time_ns[-1])

    assert series.integral(steps) == sum(value_by_hand(steps, t) for t in range(first, last))


@given(parts=st.lists(SERIES, min_size=1, max_size=3))
def test_a_sum_of_series_is_the_sum_of_their_values_at_every_time(parts):
    total = series.add(parts)

    for time_ns in total.time_ns.tolist():
        assert value_by_hand(total, time_ns) == sum(value_by_hand(part, time_ns) for part in parts)


@given(steps=SERIES, bin_count=st.integers(1, 3))
def test_thinning_keeps_ends_and_extremes_and_invents_nothing(steps, bin_count):
    thinned = series.thin(steps, bin_count=bin_count)
    points = list(zip(steps.time_ns.tolist(), steps.value.tolist(), strict=True))

    assert set(zip(thinned.time_ns.tolist(), thinned.value.tolist(), strict=True)) <= set(points)
    assert thinned.value.min() == steps.value.min()
    assert thinned.value.max() == steps.value.max()
    assert (thinned.time_ns[0], thinned.value[-1]) == (steps.time_ns[0], steps.value[-1])
    assert thinned.time_ns.size <= max(4 * bin_count, 4)


def test_the_last_fall_starts_when_the_height_was_last_left():
    fall = series.last_fall(
        make((0, 0), (1, 9), (2, 5), (3, 9), (6, 4), (8, 1), (9, 1)), smallest=2
    )

    assert fall == series.Fall(start_ns=6, height=9, depth=8)


def test_a_swing_smaller_than_the_limit_does_not_end_the_fall():
    fall = series.last_fall(make((0, 9), (3, 3), (4, 4), (5, 1), (9, 1)), smallest=2)

    assert fall == series.Fall(start_ns=3, height=9, depth=8)


@pytest.mark.parametrize(
    "steps",
    [[(0, 5), (9, 5)], [(0, 1), (5, 9), (9, 9)], [(0, 9), (4, 2), (5, 9), (9, 9)], [(0, 3)]],
    ids=["flat", "ends on a rise", "came back up", "one value"],
)
def test_what_does_not_end_lower_has_no_last_fall(steps):
    assert series.last_fall(make(*steps), smallest=2) is None


def falls_by_hand(values, smallest):
    """Walk forward, and turn round where values went back by `smallest`: rows of top and end."""
    found, top, low, way = [], 0, 0, None
    for row, value in enumerate(values):
        if value >= values[top]:
            top = row if way != "down" else top
        if value <= values[low]:
            low = row if way != "up" else low
        if way != "up" and value - values[low] >= smallest:
            if way == "down":
                found.append((top, low))
            way, top = "up", row
        elif way != "down" and values[top] - value >= smallest:
            way, low = "down", row
    if way == "down" and values[top] - values[-1] >= smallest:
        found.append((top, len(values) - 1))
    return found


@given(
    values=st.lists(st.integers(0, 30), min_size=1, max_size=40),
    smallest=st.integers(1, 12),
    rows_at_first=st.sampled_from([1, 4, 4096]),
)
@example(values=[100, 18, 30, 25], smallest=10, rows_at_first=4096)
def test_falls_are_those_that_a_walk_forward_finds(values, smallest, rows_at_first):
    steps = make(*enumerate(values))
    with patch.object(series, "_ROWS_AT_FIRST", rows_at_first):
        found = series.falls(steps, smallest=smallest)
        last = series.last_fall(steps, smallest=smallest)

    expected = [
        series.Fall(start_ns=top + 1, height=values[top], depth=values[top] - values[end])
        for top, end in falls_by_hand(values, smallest)
    ]
    assert found == expected
    assert last is None or last == found[-1]


def test_a_rise_at_the_end_hides_no_fall_before_it():
    steps = make((0, 9), (1, 2), (2, 9))

    assert series.last_fall(steps, smallest=2) is None
    assert series.falls(steps, smallest=2) == [series.Fall(start_ns=1, height=9, depth=7)]
