"""Count elements of the reporting queue, each once, without keeping them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


class Elements:
    """Which elements of one machine there have been: a set of numbers, as runs without gaps.

    Notes
    -----
    A capture numbers the elements of a machine 0, 1, 2 and so on, and so does the model of the
    guest: all of them are one run.  A run more, 16 bytes, comes with each gap, which is an element
    of which nothing was recorded.  Numbers that go back are looked up in the runs, so the count is
    exact whatever the numbers are; only numbers that leave gaps everywhere make it large.
    """

    def __init__(self) -> None:
        self._first = np.zeros(0, np.int64)
        self._last = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return self._first.size + int((self._last - self._first).sum())

    def add(self, numbers: npt.NDArray[np.int64]) -> None:
        """Take the numbers of more ranges.  The ranges of one element mostly follow each other."""
        if not numbers.size:
            return
        numbers = numbers[_starts(numbers[1:] != numbers[:-1])]
        if (numbers[1:] < numbers[:-1]).any():
            numbers = np.unique(numbers)
        self._unite(numbers, numbers)

    def _unite(self, first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]) -> None:
        """Add runs, in order, and join those that touch or overlap."""
        is_later = not self._last.size or first[0] > self._last[-1]
        first = np.concatenate((self._first, first))
        last = np.concatenate((self._last, last))
        if not is_later:
            order = np.argsort(first, kind="stable")
            first, last = first[order], np.maximum.accumulate(last[order])
        # Below the lowest int64 the subtraction wraps; such a run cannot begin after another.
        is_apart = (first[1:] > last[:-1]) & (first[1:] - 1 != last[:-1])
        self._first = first[_starts(is_apart)]
        self._last = last[_starts(is_apart[::-1])[::-1]]


def _starts(differs: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Mark the first of each group of neighbours, given which differ from the one before."""
    return np.concatenate((np.ones(1, np.bool_), differs))
