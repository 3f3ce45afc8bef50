"""Gaps between samples, in which the end with less free memory holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.trace.guest_series import interval_of
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

GAP_INTERVALS: Final = 3
"""Intervals beyond which samples are missing rather than late: two in a row were lost at least."""


class Gaps(NamedTuple):
    """How many there are, how long together, and what an interval is."""

    gap_count: int
    length_ns: int
    interval_ns: int


def fill_gaps(columns: dict[str, npt.NDArray[np.int64]]) -> Gaps:
    """Put one sample into each gap after which less is free, so that a step function says so.

    It stands one interval after the sample before the gap, which holds for that long.  It is the
    end at which more memory is in use, with no more free huge pages than either end has.
    """
    time_ns = columns["time_ns"]
    interval_ns = interval_of(time_ns)
    lengths = np.diff(time_ns)
    before = np.flatnonzero(lengths > GAP_INTERVALS * interval_ns)
    gaps = Gaps(before.size, int(lengths[before].sum()), interval_ns)
    used = columns["total_bytes"] - columns["free_pages"] * PAGE_BYTES
    chosen = np.where(used[before + 1] > used[before], before + 1, before)
    huge = np.minimum(columns["free_huge_pages"][before], columns["free_huge_pages"][before + 1])
    is_new = (chosen != before) | (huge < columns["free_huge_pages"][before])
    before, chosen, huge = before[is_new], chosen[is_new], huge[is_new]
    added = {name: values[chosen] for name, values in columns.items()}
    added["time_ns"] = time_ns[before] + interval_ns
    added["free_huge_pages"] = huge
    for name, values in columns.items():
        columns[name] = np.insert(values, before + 1, added[name])
    return gaps
