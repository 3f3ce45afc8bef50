"""Small series of free memory, as CSV and as columns."""

from __future__ import annotations

import numpy as np

from workbench.schema import GUEST_SERIES, UNKNOWN
from workbench.trace import GuestSeries
from workbench.units import GIB, HUGE_PAGE_BYTES

TOTAL_BYTES = 4 * GIB
HUGE_PAGE_PAGES = 512

HEADER = "time,rss,small,huge,cached,total"
LINES = (
    "0.00,900000000,900000,1700,5,4294967296",
    "1.70,900100000,899000,1690,5,4294967296",
    "3.41,900200000,898000,1690,5,4294967296",
)


def write_csv(folder, *lines, header=HEADER, name="samples.csv"):
    """Write a CSV; the lines are good ones if none are given."""
    path = folder / name
    path.write_text("\n".join([header, *(lines or LINES)]) + "\n", encoding="utf-8")
    return path


def series_of(free_huge_pages, *, resident_bytes=None, step_s=1.7, reporting=None):
    """Make a series; what is free is free in huge pages."""
    count = len(free_huge_pages)
    huge = np.array(free_huge_pages, np.int64)
    measured = np.full(count, UNKNOWN) if resident_bytes is None else np.array(resident_bytes)
    values = (
        np.rint(np.arange(count) * step_s * 1e9),
        huge * HUGE_PAGE_PAGES,
        huge,
        np.full(count, TOTAL_BYTES),
        measured,
        np.full(count, UNKNOWN),
    )
    columns = {
        name: value.astype(np.int64)
        for name, value in zip(GUEST_SERIES.column_names, values, strict=True)
    }
    return GuestSeries("made", columns, reporting)


def used_bytes(free_huge_pages):
    """What is not free."""
    return TOTAL_BYTES - np.array(free_huge_pages) * HUGE_PAGE_BYTES
