"""What `make cost` concludes from its pairs of jobs, where the truth is known."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from tools.capture_pairs import (
    PAIRS_MIN,
    Job,
    figures,
    growth_of_mean,
    growth_of_middle,
    is_captured,
    is_enough,
    log_ratios,
    whole_pairs,
)

SECOND_NS = 10**9


def job(number: int, seconds: float, *, late: bool = False) -> Job:
    """Job `number`, that takes so long, and QEMU half of that."""
    duration_ns = round(seconds * SECOND_NS)
    return Job(is_captured(number), late, duration_ns, duration_ns // 2, duration_ns // 50, 1000)


def jobs_of(count: int, growth: float, *, drift: float = 0.0, spread: float = 0.0) -> list[Job]:
    """Jobs of a second that grow by what a capture adds, and with the host's drift."""
    noise = np.random.default_rng(7).normal(0, spread, count)
    return [
        job(number, (1 + growth * is_captured(number)) * math.exp(drift * number + noise[number]))
        for number in range(count)
    ]


def test_captured_jobs_are_as_often_first_as_second() -> None:
    """Of four jobs the second and third: two pairs take one attaching and one detaching."""
    turns = [is_captured(number) for number in range(8)]

    assert turns == [False, True, True, False] * 2


def test_a_steady_drift_is_not_taken_for_growth() -> None:
    """The host becomes slower by half a percent with every job; the capture adds two."""
    pairs = whole_pairs(jobs_of(80, 0.02, drift=0.005))
    ratios = log_ratios(pairs, "duration_ns")

    assert growth_of_middle(ratios).middle == pytest.approx(0.02, abs=1e-6)
    assert growth_of_mean(ratios).middle == pytest.approx(0.02, abs=1e-6)


@pytest.mark.parametrize(("count", "critical"), [(10, 8), (20, 52), (30, 137)])
def test_the_interval_is_that_of_wilcoxons_tables(count: int, critical: int) -> None:
    """Their two-sided 5 % value is how many means of two lie outside on either side."""
    values = np.random.default_rng(count).normal(0, 0.05, count)
    means = sorted((a + b) / 2 for i, a in enumerate(values) for b in values[i:])
    found = growth_of_middle(list(values))

    assert found.low == pytest.approx(math.expm1(means[critical]))
    assert found.high == pytest.approx(math.expm1(means[-1 - critical]))
    assert found.low < found.middle < found.high


def test_the_interval_holds_the_truth_nineteen_times_in_twenty() -> None:
    """Also where one job in ten is hit by something else, by up to half of its time."""
    chance = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        noise = chance.normal(0, 0.03, 60) + chance.uniform(-0.5, 0.5, 60) * (
            chance.random(60) < 0.1
        )
        found = growth_of_middle([math.log1p(0.03) + one for one in noise])
        held += found.low <= 0.03 <= found.high

    assert 0.92 <= held / 200 <= 0.99


def test_a_job_that_was_late_takes_its_pair_with_it() -> None:
    """And a last job without its other is not looked at."""
    jobs = [job(number, 1.0, late=number == 3) for number in range(7)]
    pairs = whole_pairs(jobs)

    assert pairs == [(jobs[1], jobs[0]), (jobs[5], jobs[4])]
    assert all(captured.captured and not other.captured for captured, other in pairs)
    assert figures(jobs)["late_jobs"] == 1
    assert figures(jobs)["pairs"] == 2


@pytest.mark.parametrize(
    ("pairs", "spread", "enough"),
    [
        (PAIRS_MIN, 0.001, True),
        (PAIRS_MIN, 0.2, False),
        (PAIRS_MIN - 10, 0.001, False),
        (PAIRS_MIN + 1, 0.001, False),
    ],
)
def test_it_ends_at_a_tenth_pair_once_the_interval_is_narrow(pairs, spread, enough) -> None:
    assert is_enough(jobs_of(2 * pairs, 0.02, spread=spread)) is enough


def test_without_swapping_there_is_no_growth_at_a_swap_rate() -> None:
    jobs = [dataclasses.replace(job(number, 1.0), swap_events=0) for number in range(8)]

    assert figures(jobs)["growth_at_swap_rate"] is None


def test_the_figures_are_those_of_the_jobs() -> None:
    """A fiftieth of a processor, and 1000 pages swapped a second."""
    found = figures(jobs_of(80, 0.04))

    assert found["job_seconds"] == pytest.approx(1.0)
    assert found["capture_processors"] == pytest.approx(0.02)
    assert found["swap_events_per_second"] == pytest.approx(1000)
    assert found["growth_at_swap_rate"]["high"] == pytest.approx(40 * found["growth"]["high"])
    for name in ("growth", "growth_of_mean", "growth_of_guest_processor_time"):
        assert found[name]["middle"] == pytest.approx(0.04, abs=1e-6)
