"""Intervals of the mean and the median by resampling, the same at every run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

SEED: Final = 20
"""Any number does; this one is fixed so that a table can be made again."""
RESAMPLES: Final = 10_000
LEVEL: Final = 0.95
RUNS_MIN: Final = 2
"""Of a single run nothing can be resampled."""


class Interval(NamedTuple):
    """Where the mean, or the median, of the live runs lies with 95 % confidence."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies in it."""
        return self.low <= value <= self.high


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Give the percentile interval of the mean; None where there are too few values."""
    return _interval(values, lambda drawn: drawn.mean(axis=1))


def median_interval(values: Sequence[float]) -> Interval | None:
    """Give the percentile interval of the median; None where there are too few values."""
    return _interval(values, lambda drawn: np.median(drawn, axis=1))


def median_difference_interval(values: Sequence[float], others: Sequence[float]) -> Interval | None:
    """Give the percentile interval of one median minus another, of independent runs."""
    if min(len(values), len(others)) < RUNS_MIN:
        return None
    random = np.random.default_rng(SEED)
    medians = [np.median(_resampled(runs, random), axis=1) for runs in (values, others)]
    return _between(medians[0] - medians[1])


def _interval(
    values: Sequence[float],
    sum_up: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
) -> Interval | None:
    """Draw as many values as there are, again and again (Efron, Ann. Statist. 7 (1979) 1-26)."""
    if len(values) < RUNS_MIN:
        return None
    return _between(sum_up(_resampled(values, np.random.default_rng(SEED))))


def _resampled(values: Sequence[float], random: np.random.Generator) -> npt.NDArray[np.float64]:
    # In order, so that the order in which the runs were named does not matter.
    ordered = np.sort(np.array(values, np.float64))
    return ordered[random.integers(0, ordered.size, (RESAMPLES, ordered.size))]


def _between(drawn: npt.NDArray[np.float64]) -> Interval:
    rest = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [rest, 1 - rest])
    return Interval(float(low), float(high))
