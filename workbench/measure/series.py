"""Step functions of time, in NumPy: each value holds from its time until the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.measure.sums import weighted_total

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


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
    time_ns = np.unique(np.concatenate([part.time_ns for part in parts]))
    return Series(time_ns, np.sum([value_at(part, time_ns) for part in parts], axis=0))


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
    backward = series.value[::-1]
    height_so_far = np.maximum.accumulate(backward)
    # Going back in time the values rise towards the height, and then fall again: the first value
    # that lies `smallest` below the highest one seen belongs to the time before the fall.
    before = np.flatnonzero(height_so_far - backward >= max(smallest, 1))
    tail = backward[: before[0]] if before.size else backward
    height_row = int(np.argmax(tail))
    height = int(tail[height_row])
    depth = height - int(backward[0])
    if depth < smallest or depth == 0:
        return None
    # `argmax` of the reversed values is the latest row at the height; it holds until the next.
    row = series.value.size - 1 - height_row
    return Fall(start_ns=int(series.time_ns[row + 1]), height=height, depth=depth)


def thin(series: Series, *, bin_count: int) -> Series:
    """Keep the first, lowest, highest and last value of each of `bin_count` slices of time.

    For drawing: a line through what is left covers the same pixels.
    """
    if series.time_ns.size <= 4 * bin_count:
        return series
    edges = np.linspace(series.time_ns[0], series.time_ns[-1], bin_count + 1)[1:-1]
    first = np.concatenate(([0], np.searchsorted(series.time_ns, edges)))
    first = np.unique(first[first < series.time_ns.size])
    lengths = np.diff(np.append(first, series.time_ns.size))
    bin_of_row = np.repeat(np.arange(first.size), lengths)
    by_value = np.lexsort((series.value, bin_of_row))
    rows = np.unique(
        np.concatenate((first, first + lengths - 1, by_value[first], by_value[first + lengths - 1]))
    )
    return Series(series.time_ns[rows], series.value[rows])


def ending_at(series: Series, stop_ns: int) -> Series:
    """Let the last value hold until `stop_ns`."""
    return Series(
        np.append(series.time_ns, max(stop_ns, int(series.time_ns[-1]))),
        np.append(series.value, series.value[-1]),
    )
