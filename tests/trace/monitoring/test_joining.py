"""Tracks at different instants, and gaps between samples, against what is plain to see."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.monitoring_files import BEGIN_S, FREE, matrix, metric, node, write
from workbench.schema import GUEST_SERIES
from workbench.trace import read_monitoring
from workbench.trace.guest_series import interval_of
from workbench.trace.monitoring.gaps import fill_gaps
from workbench.trace.monitoring.joining import last_known
from workbench.units import GIB, MIB, NANOSECONDS, PAGE_BYTES

TIMES = st.lists(st.integers(0, 60), unique=True, max_size=12).map(sorted)


def naive_last_known(at, known, interval):
    """Look back from each time."""
    found = []
    for when in at:
        before = [second for second in known if second <= when]
        is_known = bool(before) and when - before[-1] <= interval
        found.append(known[before[-1]] if is_known else math.nan)
    return found


@given(TIMES, TIMES, st.integers(0, 20))
def test_joining_looks_back_no_further_than_an_interval(at, times, interval):
    known = {when: 1000.0 + when for when in times}
    joined = last_known(
        np.array(at, np.int64), np.array(times, np.int64), np.array(list(known.values())), interval
    )
    expected = naive_last_known(at, known, interval)

    assert np.array_equal(joined.values, np.array(expected, np.float64), equal_nan=True)
    assert joined.is_known.tolist() == [not math.isnan(value) for value in expected]
    ages = [when - (value - 1000) for when, value in zip(at, expected, strict=True)]
    assert joined.oldest_ns == max((age for age in ages if not math.isnan(age)), default=0)


@given(st.lists(st.integers(0, 10**18), unique=True, max_size=9).map(sorted))
def test_the_interval_is_the_median_the_lower_of_two(times):
    intervals = sorted(late - early for early, late in pairwise(times))
    expected = intervals[(len(intervals) - 1) // 2] if intervals else 0
    assert interval_of(np.array(times, np.int64)) == expected


def test_the_interval_of_several_is_the_median_of_all_of_theirs():
    """Of 10, 10, 60, 60 and 60; the steps from one series to the other are none."""
    fast, slow = np.array([0, 10, 20]), np.array([1000, 1060, 1120, 1180])

    assert interval_of(fast, slow) == interval_of(slow, fast) == 60
    assert interval_of(fast) == 10


def as_step_function(columns, when):
    """Give free memory at a time."""
    row = int(np.searchsorted(columns["time_ns"], when, side="right")) - 1
    return int(columns["free_pages"][row]), int(columns["free_huge_pages"][row])


SAMPLES = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 8), st.integers(0, 8)), min_size=2, max_size=12
)


@given(SAMPLES)
def test_in_a_gap_less_of_its_two_ends_is_free_and_elsewhere_nothing_changes(samples):
    steps, free, huge = (np.array(column, np.int64) for column in zip(*samples, strict=True))
    columns = {name: np.full(steps.size, 8 * GIB) for name in GUEST_SERIES.column_names}
    columns |= {"time_ns": np.cumsum(steps), "free_pages": free * 512}
    columns["free_huge_pages"] = np.minimum(huge, free)
    before = dict(columns)
    gaps = fill_gaps(columns)
    time_ns, interval = before["time_ns"], interval_of(before["time_ns"])

    assert (np.diff(columns["time_ns"]) > 0).all()
    is_gap = [int(late - early) > 3 * interval for early, late in pairwise(time_ns)]
    assert gaps.gap_count == sum(is_gap)
    assert gaps.length_ns == int(np.diff(time_ns)[is_gap].sum())
    for row, gap in enumerate(is_gap):
        for when in range(int(time_ns[row]), int(time_ns[row + 1])):
            if gap and when >= time_ns[row] + interval:
                ends = [as_step_function(before, time_ns[end]) for end in (row, row + 1)]
                expected = tuple(min(values) for values in zip(*ends, strict=True))
            else:
                expected = as_step_function(before, when)
            assert as_step_function(columns, when) == expected


def test_the_end_that_uses_more_holds_where_all_memory_changes():
    columns = {name: np.full(4, -1) for name in GUEST_SERIES.column_names}
    columns |= {
        "time_ns": np.array([0, 1, 2, 9]),
        "total_bytes": np.array([2, 2, 2, 8]) * GIB,
        "free_pages": np.array([1, 1, 1, 4]) * (GIB // PAGE_BYTES),
    }
    fill_gaps(columns)
    assert columns["time_ns"].tolist() == [0, 1, 2, 3, 9]
    assert columns["total_bytes"].tolist() == [2 * GIB] * 3 + [8 * GIB] * 2
    assert columns["cached_bytes"].tolist() == [-1] * 5


def test_no_sample_is_put_in_where_both_ends_use_as_much():
    columns = {name: np.full(4, 1) for name in GUEST_SERIES.column_names}
    columns |= {"time_ns": np.array([0, 1, 2, 9]), "total_bytes": np.array([4, 4, 4, 8]) * GIB}
    columns["free_pages"] = np.array([1, 1, 1, 5]) * (GIB // PAGE_BYTES)
    assert fill_gaps(columns).gap_count == 1
    assert columns["time_ns"].tolist() == [0, 1, 2, 9]


def test_a_gap_is_filled_and_said(tmp_path):
    moments = [0, 60, 120, 720, 780, 3000]
    free = [3, 3, 3, 1, 1, 2]
    parts = [(BEGIN_S + when, str(gib * GIB)) for when, gib in zip(moments, free, strict=True)]
    total = [(second, str(4 * GIB)) for second, _ in parts]
    (series,) = read_monitoring(write(tmp_path, matrix(*node(parts, total=total))))

    assert ((series.columns["time_ns"] // NANOSECONDS) - BEGIN_S).tolist() == [
        0, 60, 120, 180, 720, 780, 3000,
    ]  # fmt: skip
    assert (series.columns["free_pages"] * PAGE_BYTES // GIB).tolist() == [3, 3, 3, 1, 1, 1, 2]
    (remark,) = series.remarks
    assert remark.startswith(
        "2 gaps longer than 3 intervals of 60.00 s, together 2,820.00 s: there"
    )


def test_metrics_at_other_instants_are_joined_and_said(tmp_path):
    at = [BEGIN_S + 60 * row for row in range(6)]
    total = [(second - 7.5, str(4 * GIB)) for second in at]
    cached = [(second - 20, str(row * MIB)) for row, second in enumerate(at)][:5]
    free = [(second, str(2 * GIB)) for second in at]
    (series,) = read_monitoring(write(tmp_path, matrix(*node(free, total=total, Cached=cached))))

    assert series.columns["cached_bytes"].tolist() == [row * MIB for row in range(5)]
    unknown, older = series.remarks
    assert unknown == "1 samples were left out: page cache was not known within an interval"
    assert older.startswith("all memory, page cache: sampled at other instants than free memory;")
    assert older.endswith("up to 20.00 s old")


def test_a_column_that_is_hardly_ever_known_is_left_out_rather_than_samples(tmp_path):
    rss = (metric("libvirt_domain_memory_stats_rss_bytes", domain="a"), [GIB])
    prefix = "libvirt_domain_memory_stats"
    named = {f"{prefix}_unused_bytes": FREE, f"{prefix}_available_bytes": [4 * GIB] * 4}
    others = [(metric(name, domain="a"), values) for name, values in named.items()]
    (series,) = read_monitoring(write(tmp_path, matrix(rss, *others)))

    # It is known at the first sample, and for an interval after it.
    assert series.columns["resident_bytes"].tolist() == [-1] * 4
    assert series.remarks == (
        "resident set is known of no more than half of the samples, and was left out",
    )
    short = [(labels, values[:3]) for labels, values in others]
    (series,) = read_monitoring(write(tmp_path, matrix(rss, *short)))
    assert series.columns["resident_bytes"].tolist() == [GIB] * 2
    assert series.remarks[0] == (
        "1 samples were left out: resident set was not known within an interval"
    )
