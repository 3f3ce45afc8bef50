"""Tracks that were sampled at different instants, put beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


class Joined(NamedTuple):
    """Values of one track at the times of another.

    Attributes
    ----------
    values
        Shape (time,); where nothing is known, NaN.
    is_known
        Whether there is a value at or before that time, no more than one interval older.
    oldest_ns
        By how much the oldest value that was taken is older.
    """

    values: npt.NDArray[np.float64]
    is_known: npt.NDArray[np.bool_]
    oldest_ns: int


def last_known(
    at_ns: npt.NDArray[np.int64],
    time_ns: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    interval_ns: int,
) -> Joined:
    """Give the last value at or before each time, if it is no more than one interval old.

    Parameters
    ----------
    at_ns
        When values are wanted; rising.
    time_ns, values
        What is known; rising times.
    """
    if not time_ns.size:
        return Joined(np.full(at_ns.size, np.nan), np.zeros(at_ns.size, np.bool_), 0)
    row = np.searchsorted(time_ns, at_ns, side="right") - 1
    is_before = row >= 0
    row = np.maximum(row, 0)
    age_ns = at_ns - time_ns[row]
    is_known = is_before & (age_ns <= interval_ns)
    oldest_ns = int(age_ns[is_known].max()) if is_known.any() else 0
    return Joined(np.where(is_known, values[row], np.nan), is_known, oldest_ns)
