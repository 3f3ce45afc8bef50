"""Sums of integers that may exceed 64 bits: exact, and so the same in whatever order they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_STOP: Final = 1 << 63
"""Of what an int64 holds."""


def total(values: npt.NDArray[np.int64]) -> int:
    """Add up.

    Notes
    -----
    NumPy adds wherever no sum of so many values of this size can overflow; if one could, it adds
    the upper and the lower halves of their bits apart.
    """
    largest = _largest(values)
    if largest * values.size < _STOP:
        return int(values.sum())
    half = largest.bit_length() // 2
    lower = (1 << half) - 1
    return (total(values >> half) << half) + total(values & lower)


def weighted_total(values: npt.NDArray[np.int64], weights: npt.NDArray[np.int64]) -> int:
    """Add up values, each times its weight.

    Parameters
    ----------
    weights
        One per value; none below 0, and their sum is below 2**63.

    Notes
    -----
    As `total`.  It ends, because values of one bit never overflow.
    """
    largest = _largest(values)
    if largest * total(weights) < _STOP:
        return int(np.dot(values, weights))
    half = largest.bit_length() // 2
    lower = (1 << half) - 1
    upper_total = weighted_total(values >> half, weights)
    return (upper_total << half) + weighted_total(values & lower, weights)


def _largest(values: npt.NDArray[np.int64]) -> int:
    """The largest magnitude: of Python's integers, as the lowest int64 has no positive partner."""
    return max(-int(values.min()), int(values.max())) if values.size else 0
