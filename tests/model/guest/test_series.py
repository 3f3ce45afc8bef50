"""The sampled guest: the kernel against the naive model, and the laws that both obey."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.guest_strategies import (
    HUGE_PAGES,
    INSTANTS,
    instants,
    run_samples,
    sample,
    series,
    settings,
)
from tests.naive.naive_reporting import NaiveSeries
from workbench.model.guest import (
    OK,
    THOUSANDTHS,
    FreeShares,
    hidden_swing_pages,
    reportable_pages,
)

LARGE = settings()["free"]


def naive(samples, chosen, at):
    """Run the naive model."""
    return NaiveSeries(samples, chosen, at).run()


@given(drawn=series(), at=INSTANTS)
def test_the_kernel_matches_the_naive_model(drawn, at):
    samples, chosen = drawn
    answer, reported, _ = run_samples(samples, chosen, at)

    assert answer == OK
    assert reported == naive(samples, chosen, at)


@given(drawn=series(), at=INSTANTS)
def test_no_more_is_reported_than_free_and_no_less_than_nothing(drawn, at):
    samples, chosen = drawn
    _, reported, waiting = run_samples(samples, chosen, at)
    most = max(row["small"] + row["large"] for row in samples)

    assert all(0 <= pages <= most for pages in reported)
    assert all(pages >= 0 for pages in waiting)
    assert sum(waiting) <= samples[-1]["small"] + samples[-1]["large"]


@given(drawn=series(), at=INSTANTS, cut=st.integers(1, 8))
def test_the_past_does_not_depend_on_the_future(drawn, at, cut):
    """What is read before the next interval's change stays, whatever follows."""
    samples, chosen = drawn
    _, whole, _ = run_samples(samples, chosen | {"lag": 0}, at)
    _, part, _ = run_samples(samples[:cut], chosen | {"lag": 0}, at)

    times = [sample["time"] for sample in samples]
    shortest = min(later - time for time, later in pairwise(times)) if times[1:] else 0
    if min(at["change"], at["swing"]) * shortest >= THOUSANDTHS:
        assert part == whole[: len(part)]


@given(drawn=series(order=9), at=INSTANTS)
def test_a_guest_that_stays_as_it_is_ends_with_everything_reported(drawn, at):
    """Unless so little is free that a pass leaves it alone; nothing asks for another one then."""
    drawn_samples, chosen = drawn
    samples = [sample | {"free": 10**7} for sample in drawn_samples]
    last = samples[-1] | {"swing": 0}
    still = [last | {"time": last["time"] + 700 * step} for step in range(1, 40)]
    _, reported, waiting = run_samples([*samples, *still], chosen | {"lag": 0}, at)

    assert sum(waiting) == 0
    assert reported[-1] == last["large"]


def drain(free_before, free_after, **chosen):
    """Free blocks at once; give how much is reported every tenth of a second after that."""
    samples = [sample(0, free_before)]
    samples += [sample(10 * step, free_after) for step in range(1, 2000)]
    answer, reported, waiting = run_samples(samples, settings(**chosen), instants(first_pass=0))
    assert answer == OK
    assert sum(waiting) == 0
    return reported


def drained_at(reported, share=0.9):
    """The first row at which this share of the last value is there."""
    return next(row for row, pages in enumerate(reported) if pages >= share * reported[-1])


def test_drain_time_is_proportional_to_the_delay():
    once = drained_at(drain(0, 2000, capacity=32, delay=100))
    thrice = drained_at(drain(0, 2000, capacity=32, delay=300))

    assert once == pytest.approx(thrice / 3, abs=1)


def test_a_pass_reports_what_the_budgets_of_its_lists_allow():
    """1,400 of order 9 (3 + 1 reports of 32), 500 of order 10 (1 + 1)."""
    reported = drain(0, 2000, capacity=32, delay=100)

    assert reported[10] == 0
    assert reported[12] == 32 * (4 + 2 * 2) * HUGE_PAGES
    assert reported[22] == 2 * reported[12]


@given(first=st.integers(0, 9), more=st.integers(1, 10))
def test_a_coarser_order_reports_no_more(first, more):
    """Of one and the same free memory, when there was time enough."""
    finals = []
    for order in (first, min(first + more, 10)):
        shares = FreeShares(np.array(settings()["freed"]), np.array(LARGE))
        free = np.array([40_000, 40_000])
        small, large = reportable_pages(free, free // 2, order, shares)
        samples = [
            sample(1 + 200_000 * row, 0, small=int(small[row])) | {"large": int(large[row])}
            for row in range(2)
        ]
        _, reported, _ = run_samples(samples, settings(order=order, capacity=32), instants())
        finals.append(reported[-1])

    assert finals[0] >= finals[1]


def test_what_is_taken_comes_from_what_waits():
    """Two blocks are freed and one taken before the pass: one is reported, none comes back."""
    samples = [sample(0, 4), sample(10, 6), sample(20, 5), sample(400, 5)]
    _, reported, _ = run_samples(samples, settings(), instants(first_pass=0))

    assert [pages // HUGE_PAGES for pages in reported] == [4, 4, 4, 5]


def test_a_swing_is_in_memory_until_the_next_pass():
    samples = [
        sample(0, 4, swing=2 * HUGE_PAGES),
        sample(100, 4),
        sample(400, 4),
    ]
    _, reported, _ = run_samples(samples, settings(delay=150), instants(first_pass=150, swing=500))

    assert [pages // HUGE_PAGES for pages in reported] == [4, 2, 4]


def test_a_block_that_is_split_waits_as_smaller_blocks():
    """At order 0: 512 pages wait in a huge page; then they are free one by one."""
    samples = [sample(0, 0), sample(10, 1), sample(20, 0, small=512), sample(2000, 0, small=512)]
    chosen = settings(order=0, delay=1000, capacity=32)
    _, reported, _ = run_samples(samples, chosen, instants(first_pass=1))

    assert reported == [0, 0, 0, 512]


def test_nothing_is_reported_below_the_watermark():
    samples = [sample(0, 0), sample(10, 8), sample(900, 8)]
    samples = [row | {"free": 8 * HUGE_PAGES} for row in samples]
    _, reported, _ = run_samples(samples, settings(low_watermark=6 * HUGE_PAGES), instants())
    _, allowed, _ = run_samples(samples, settings(low_watermark=HUGE_PAGES), instants())

    assert reported == [0, 0, 0]
    assert allowed == [0, 0, 8 * HUGE_PAGES]


@pytest.mark.parametrize(
    "wrong",
    [{"small": -1}, {"large": -1}, {"swing": -1}, {"free": 100}, {"time": 10}, {"time": 9}],
)
def test_a_sample_that_cannot_be_is_named_by_its_row(wrong):
    samples = [sample(0, 4), sample(10, 4), sample(20, 4) | wrong]
    answer, reported, _ = run_samples(samples, settings(), instants())

    assert answer == 2
    assert reported == [0, 0, 0]


def test_orders_0_and_9_are_exact_and_the_others_follow_from_shares():
    shares = FreeShares(np.array(LARGE), np.array([1] * 9 + [3, 1]))
    free, large = np.array([10_000]), np.array([1_000])

    def both(order):
        small, huge = reportable_pages(free, large, order, shares)
        return int(small[0]), int(huge[0])

    assert [both(order) for order in (0, 3, 9, 10)] == [
        (9_000, 1_000),
        (6_000, 1_000),
        (0, 1_000),
        (0, 250),
    ]


class TestHiddenSwings:
    """What is taken and freed again between two samples."""

    def test_a_quiet_guest_has_none(self):
        assert hidden_swing_pages(np.full(10, 500), 5).tolist() == [0] * 10

    def test_they_are_0_93_of_the_median_change_around_them(self):
        pages = np.cumsum([0, 1000, -1000, 1000, -1000, 1000])

        assert hidden_swing_pages(pages, 3).tolist() == [929] * 5 + [0]

    def test_one_large_free_makes_none(self):
        pages = np.array([0] * 5 + [100_000] * 5)

        assert hidden_swing_pages(pages, 5).tolist() == [0] * 10

    @pytest.mark.parametrize(("pages", "rows"), [([5, 9], 0), ([5], 61)])
    def test_there_are_none_without_a_window_or_an_interval(self, pages, rows):
        assert hidden_swing_pages(np.array(pages), rows).tolist() == [0] * len(pages)

    def test_they_are_those_of_a_random_walk(self):
        """Sampled every 1,024th step: the largest fall below the line between samples."""
        generator = np.random.default_rng(7)
        steps = generator.normal(0, 1000, (2000, 1024))
        walk = np.concatenate((np.zeros((2000, 1)), np.cumsum(steps, axis=1)), axis=1)
        line = walk[:, -1:] * np.linspace(0, 1, 1025)
        largest = (line - walk).max(axis=1).mean()
        sampled = np.cumsum(walk[:, -1]).astype(np.int64)

        assert hidden_swing_pages(sampled, 1999).mean() == pytest.approx(largest, rel=0.05)
