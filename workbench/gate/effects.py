"""Two sets of runs: the effect with its interval, and a rank test.  SciPy is imported here only.

The run is the unit: what is sampled within one run shares its boot, its addresses and its host, so
that pooled samples would find changes where there are none.
"""

from __future__ import annotations

import math
import warnings
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

SEED: Final = 20
"""Any number does; this one is fixed so that a comparison can be made again."""

RESAMPLES: Final = 9999
"""SciPy's own number: the ends of the interval move by less than a tenth of its width."""

LEVEL: Final = 0.95

ALPHA: Final = 1 - LEVEL

RUNS_MIN: Final = 5
"""A side.  Of four runs and four, the smallest p of a rank test is 0.029 (2 / C(8, 4)), which is
none any more when it is corrected for a second metric."""

RUNS_DEFAULT: Final = 12
"""A side.  With so many a loss of 10 % is found where a budget of 5 % does not cry wolf (measured:
docs/gate.md)."""

RUNS_MAX: Final = 200
"""A side.  More are never asked for: an hour of the lab's shortest scenario."""


class Effect(NamedTuple):
    """How far the candidate's mean is from the baseline's."""

    change: float
    """As a fraction of the baseline's, or in the unit of the metric; see `is_ratio`."""
    low: float
    high: float
    """Where it lies with 95 % confidence."""
    is_ratio: bool
    """False where the baseline has values of 0 or less, of which nothing is a fraction."""
    p: float
    """Mann-Whitney, two-sided, not corrected."""


def effects(
    baseline: Sequence[Sequence[float]],
    candidate: Sequence[Sequence[float]],
    *,
    resamples: int = RESAMPLES,
) -> list[Effect]:
    """Compare metrics, each of so many runs a side.

    Parameters
    ----------
    baseline, candidate
        For each metric its values, one of each run: of shape (metric, run).

    Notes
    -----
    The interval is the percentile bootstrap of the ratio, or the difference, of the means
    (Efron, Ann. Statist. 7 (1979) 1-26): the bias-corrected one has no value where runs are equal.
    Means, because runs of one guest differ by whole blocks within a narrow range, where the median
    of so few jumps: it needs more than twice the runs (docs/gate.md).
    """
    if not baseline:
        return []
    # In order, so that the order in which the runs were named does not matter.
    first = np.sort(np.array(baseline, np.float64), axis=1)
    second = np.sort(np.array(candidate, np.float64), axis=1)
    found: list[Effect | None] = [None] * len(first)
    has_ratio = (first > 0).all(axis=1)
    p_values = _rank_test(first, second)
    for is_ratio in (True, False):
        (rows,) = np.nonzero(has_ratio == is_ratio)
        if not rows.size:
            continue
        change = _ratio if is_ratio else _difference
        low, high = _interval(first[rows], second[rows], is_ratio=is_ratio, resamples=resamples)
        middle = change(first[rows], second[rows])
        for place, row in enumerate(rows.tolist()):
            found[row] = Effect(
                float(middle[place]),
                float(low[place]),
                float(high[place]),
                is_ratio,
                float(p_values[row]),
            )
    return [effect for effect in found if effect is not None]


def corrected(p_values: Sequence[float]) -> list[float]:
    """Correct for how many there are (Benjamini and Hochberg, J. R. Statist. Soc. B 57 (1995))."""
    from scipy import stats  # noqa: PLC0415 - SciPy takes a second to import.

    return [float(p) for p in stats.false_discovery_control(p_values)] if p_values else []


def runs_that_decide(
    effect: Effect, threshold: float, run_count: int, test_count: int
) -> int | None:
    """Say how many runs a side would decide, if the effect is what it seems to be.

    Parameters
    ----------
    effect
        Of `run_count` runs a side.
    threshold
        The edge of the budget, signed and in the effect's own terms.

    Returns
    -------
    None where it lies so close to the edge that there is no use in more.

    Notes
    -----
    An interval narrows with the square root of the runs, and what a rank test finds in a normal
    approximation grows with it.
    """
    distance = effect.change - threshold
    half = effect.high - effect.change if distance < 0 else effect.change - effect.low
    if distance == 0:
        return None
    narrower = abs(half / distance)
    if distance * threshold > 0:  # Beyond the budget the rank test has a say too.
        found = _deviations(effect.p)
        if found == 0:
            return None
        narrower = max(narrower, _deviations(ALPHA) / found)
    needed = math.ceil(run_count * narrower**2)
    fewest = max(fewest_runs(test_count), run_count + 1)
    return max(needed, fewest) if needed <= RUNS_MAX else None


def _deviations(p: float) -> float:
    """Give how many standard deviations a two-sided p stands for."""
    return NormalDist().inv_cdf(1 - p / 2) if p > 0 else math.inf


def fewest_runs(test_count: int) -> int:
    """Say how few runs a side can be significant at all, one among so many tests.

    The smallest two-sided p of an exact Mann-Whitney test of n and n is 2 / C(2n, n).
    """
    count = RUNS_MIN
    while 2 / math.comb(2 * count, count) * test_count >= ALPHA:
        count += 1
    return count


def _ratio(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], axis: int = -1
) -> npt.NDArray[np.float64]:
    result: npt.NDArray[np.float64] = second.mean(axis=axis) / first.mean(axis=axis) - 1
    return result


def _difference(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], axis: int = -1
) -> npt.NDArray[np.float64]:
    result: npt.NDArray[np.float64] = second.mean(axis=axis) - first.mean(axis=axis)
    return result


def _interval(
    first: npt.NDArray[np.float64],
    second: npt.NDArray[np.float64],
    *,
    is_ratio: bool,
    resamples: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    from scipy import stats  # noqa: PLC0415 - as above.

    found = stats.bootstrap(
        (first, second),
        _ratio if is_ratio else _difference,
        n_resamples=resamples,
        vectorized=True,
        axis=-1,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return np.atleast_1d(found.low), np.atleast_1d(found.high)


def _rank_test(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    from scipy import stats  # noqa: PLC0415 - as above.

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # Of values that are all equal.
        # One by one: ties in one metric would cost all others the exact test.
        p_values = np.array(
            [stats.mannwhitneyu(*rows).pvalue for rows in zip(first, second, strict=True)]
        )
    # Where all are equal nothing speaks for a difference, and the test's variance is 0.
    return np.where(np.isnan(p_values), 1.0, p_values)
