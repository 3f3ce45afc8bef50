"""Jobs in pairs, one captured and one not: whose turn it is, and what the pairs say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from workbench.units import NANOSECONDS
from workbench.validation.validate.bootstrap import Interval, mean_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

PAIRS_MIN = 30
"""Of fewer an interval may be narrow by chance, and it is looked at again and again."""

LOOK_EVERY = 10
"""Pairs from one look at the interval to the next."""

HALF_WIDTH_MAX = 0.01

SWAP_EVENTS_PER_SECOND = 40_000
"""The rate for which the growth is stated besides the one that the guest reached."""

_QUANTILE = 1.96
"""Of the normal distribution, for 95 % (NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6)."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job: how long it took, and what else went on meanwhile."""

    captured: bool
    late: bool
    """Whether it began before its capture had, or before that of the job before it had ended."""
    duration_ns: int
    guest_processor_ns: int
    """Of all threads of QEMU."""
    capture_processor_ns: int
    """Of all threads of the process that captures, whether it does or waits."""
    swap_events: int
    """Pages of the host swapped in and out."""


class Growth(NamedTuple):
    """By what part something grows with a capture: the middle, and where it lies with 95 %."""

    middle: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Of the interval."""
        return (self.high - self.low) / 2


def is_captured(number: int) -> bool:
    """Whether job `number` is: the second of a pair, the first of the next, and so on.

    So neither goes first more often, a steady drift of the host's speed cancels, and two pairs
    take one attaching and one detaching.
    """
    return number % 4 in (1, 2)


def whole_pairs(jobs: Sequence[Job]) -> list[tuple[Job, Job]]:
    """The pairs of a captured job and one that is not; those with a late one are left out."""
    return [
        (first, second) if first.captured else (second, first)
        for first, second in zip(jobs[::2], jobs[1::2], strict=False)
        if not (first.late or second.late)
    ]


def log_ratios(pairs: Sequence[tuple[Job, Job]], what: str) -> list[float]:
    """Of each pair the logarithm of captured by not captured."""
    return [math.log(getattr(job, what) / getattr(other, what)) for job, other in pairs]


def growth_of_middle(ratios: Sequence[float]) -> Growth:
    """Hodges and Lehmann's estimate, with the interval of Wilcoxon's signed ranks.

    It is the median of the means of all two of them.  A job during which the host was busy with
    something else counts as one, not as much as it is long, and none has to be left out.

    Source: Hollander, Wolfe, Chicken, Nonparametric Statistical Methods (2014), 3.2 and 3.3.
    """
    values = np.array(ratios)
    count = values.size
    first, second = np.triu_indices(count)
    means = np.sort((values[first] + values[second]) / 2)
    deviation = math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
    outside = max(0, math.floor(means.size / 2 - _QUANTILE * deviation))
    low, high = means[outside], means[means.size - 1 - outside]
    return Growth(*(math.expm1(value) for value in (float(np.median(means)), low, high)))


def growth_of_mean(ratios: Sequence[float]) -> Growth:
    """The mean, with the interval of the bootstrap: every job counts by how long it is."""
    found = mean_interval(ratios) or Interval(math.nan, math.nan)
    return Growth(*(math.expm1(value) for value in (float(np.mean(ratios)), *found)))


def growth_at(growth: Growth, swap_rate: float) -> Growth:
    """What it would be at SWAP_EVENTS_PER_SECOND: each page swapped costs what it costs."""
    return Growth(*(part * SWAP_EVENTS_PER_SECOND / swap_rate for part in growth))


def is_enough(jobs: Sequence[Job]) -> bool:
    """Whether the growth of the run time is known well enough; looked at every tenth pair."""
    if len(jobs) % (2 * LOOK_EVERY):
        return False
    pairs = whole_pairs(jobs)
    if len(pairs) < PAIRS_MIN:
        return False
    return growth_of_middle(log_ratios(pairs, "duration_ns")).half_width < HALF_WIDTH_MAX


def figures(jobs: Sequence[Job]) -> dict[str, Any]:
    """What the pairs say."""
    pairs = whole_pairs(jobs)
    durations = log_ratios(pairs, "duration_ns")
    captured, plain = [job for job, _ in pairs], [job for _, job in pairs]
    captured_ns = sum(job.duration_ns for job in captured)
    plain_ns = sum(job.duration_ns for job in plain)
    growth = growth_of_middle(durations)
    swap_rate = sum(job.swap_events for job in plain) * NANOSECONDS / plain_ns
    return {
        "pairs": len(pairs),
        "late_jobs": sum(job.late for job in jobs),
        "job_seconds": float(np.median([job.duration_ns for job in plain])) / NANOSECONDS,
        "growth": growth._asdict(),
        "growth_at_swap_rate": growth_at(growth, swap_rate)._asdict() if swap_rate else None,
        "growth_of_mean": growth_of_mean(durations)._asdict(),
        "growth_of_guest_processor_time": growth_of_middle(
            log_ratios(pairs, "guest_processor_ns")
        )._asdict(),
        "capture_processors": sum(job.capture_processor_ns for job in captured) / captured_ns,
        "swap_events_per_second": swap_rate,
    }
