"""Step functions of time, in NumPy: each value holds from its time until the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.measure.sums import weighted_total

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_ROWS_AT_FIRST: Final = 4096
"""Looked at from the end; then twice as many, until there are enough: rarely all are needed."""


class Series(NamedTuple):
    """A step function.  The last value holds until the last time.

    Attributes
    ----------
    time_ns
        When each value begins, never decreasing; equal times: the last one counts.
    value
        One value per time.
    """

    time_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.int64]


def mean(series: Series) -> float:
    """Average over time; of a series without duration, its last value."""
    duration_ns = int(series.time_ns[-1]) - int(series.time_ns[0])
    return average(integral(series), duration_ns, int(series.value[-1]))


def average(integral_ns: int, duration_ns: int, last_value: int) -> float:
    """Give the mean that an integral comes to; without a duration, the last value."""
    return integral_ns / duration_ns if duration_ns else float(last_value)


def integral(series: Series) -> int:
    """Integrate over time, in (unit of the value) nanoseconds: exactly, so that parts add up."""
    return weighted_total(series.value[:-1], np.diff(series.time_ns))


def value_at(series: Series, time_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Give the value in force at each time; before the first time, the first value."""
    row = np.searchsorted(series.time_ns, time_ns, side="right") - 1
    return series.value[np.maximum(row, 0)]


def add(parts: Sequence[Series]) -> Series:
    """Sum step functions over the union of their times."""
    # Each moves the sum by what it moves itself: that takes one sort, however many there are.
    times_ns = np.concatenate([part.time_ns for part in parts])
    moves = np.concatenate([np.diff(part.value, prepend=part.value[:1]) for part in parts])
    order = np.argsort(times_ns, kind="stable")
    total = sum(int(part.value[0]) for part in parts) + np.cumsum(moves[order])
    times_ns = times_ns[order]
    is_last = np.diff(times_ns, append=times_ns[-1] + 1) != 0
    return Series(times_ns[is_last], total[is_last])


class Fall(NamedTuple):
    """A lasting fall of a series."""

    start_ns: int
    height: int
    """The value before."""
    depth: int
    """How far it fell by the end."""


def last_fall(series: Series, *, smallest: float) -> Fall | None:
    """Find the last fall of at least `smallest`, ignoring every swing smaller than that.

    The fall starts when the series last stood at its height.  None if the series ends on a rise,
    or never moves that much.
    """
    fall, _ = _fall_at_the_end(series, max(smallest, 1))
    return fall


def falls(series: Series, *, smallest: float) -> list[Fall]:
    """Find every fall of at least `smallest`, the oldest first; the last is that of `last_fall`.

    Those before it end where memory stood lowest before it rose by as much again.
    """
    smallest = max(smallest, 1)
    found = []
    fall, before = _fall_at_the_end(series, smallest)
    while True:
        if fall is not None:
            found.append(fall)
        if before < 0:
            return found[::-1]
        lowest, _ = _highest(-series.value[: before + 1], smallest)
        part = Series(series.time_ns[: lowest + 1], series.value[: lowest + 1])
        fall, before = _fall_at_the_end(part, smallest)


def _fall_at_the_end(series: Series, smallest: float) -> tuple[Fall | None, int]:
    """Give the fall that a series ends with, and the row from which it had risen (-1: none)."""
    row, before = _highest(series.value, smallest)
    height = int(series.value[row])
    depth = height - int(series.value[-1])
    if depth < smallest:
        return None, before
    # The height holds until the next row.
    return Fall(start_ns=int(series.time_ns[row + 1]), height=height, depth=depth), before


def _highest(value: npt.NDArray[np.int64], smallest: float) -> tuple[int, int]:
    """Give the latest row at the height from which values went to the last one.

    And the last row before it that lies `smallest` below; -1 if there is none.
    """
    size = _ROWS_AT_FIRST
    while True:
        start = max(value.size - size, 0)
        backward = value[start:][::-1]
        height_so_far = np.maximum.accumulate(backward)
        # Going back in time the values rise towards the height, and then fall again: the first
        # value that lies `smallest` below the highest one seen belongs to the time before.
        before = np.flatnonzero(height_so_far - backward >= smallest)
        if before.size or start == 0:
            break
        size *= 2
    tail = backward[: before[0]] if before.size else backward
    last = value.size - 1
    # `argmax` of the reversed values is the latest row at the height.
    return last - int(np.argmax(tail)), last - int(before[0]) if before.size else -1


def thin(series: Series, *, bin_count: int) -> Series:
    """Keep the first, lowest, highest and last value of each of `bin_count` slices of time.

    For drawing: a line through what is left covers the same pixels.
    """
    if series.time_ns.size <= 4 * bin_count:
        return series
    edges = np.linspace(series.time_ns[0], series.time_ns[-1], bin_count + 1)[1:-1]
    first = np.concatenate(([0], np.searchsorted(series.time_ns, edges)))
    first = np.unique(first[first < series.time_ns.size])
    last = np.append(first[1:], series.time_ns.size) - 1
    bin_of_row = np.repeat(np.arange(first.size), last - first + 1)
    extremes = [
        np.flatnonzero(series.value == extreme.reduceat(series.value, first)[bin_of_row])
        for extreme in (np.minimum, np.maximum)
    ]
    # Of rows that are as low, or as high, the first of each slice.
    firsts = [rows[np.diff(bin_of_row[rows], prepend=-1) != 0] for rows in extremes]
    rows = np.unique(np.concatenate((first, last, *firsts)))
    return Series(series.time_ns[rows], series.value[rows])


def ending_at(series: Series, stop_ns: int) -> Series:
    """Let the last value hold until `stop_ns`."""
    return Series(
        np.append(series.time_ns, max(stop_ns, int(series.time_ns[-1]))),
        np.append(series.value, series.value[-1]),
    )
