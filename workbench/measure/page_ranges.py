"""Which pages the events of a machine are about, as far as they change what a page is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.model import BLOCK_PAGE_BYTES, FIRST_PAGE, IS_SHARED, PAGE_COUNT, USED_BYTES
from workbench.replay import SKIPPED, Outcome
from workbench.schema import NO_BLOCK, Kind
from workbench.units import HUGE_PAGE_BYTES, PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay import Replay

_PAGES_AT_ONCE: Final = 1 << 22
"""Painted together: some 100 MB."""

HUGE_PAGE_PAGES: Final = HUGE_PAGE_BYTES // PAGE_BYTES

_KEPT: Final = (*SKIPPED.values(), Outcome.DISCARD_FAILED)
"""Of a report: its pages stay where they are."""


class Ranges(NamedTuple):
    """Pages [first, stop) of a page space, in the order of the events.  Shape (range,)."""

    first: npt.NDArray[np.int64]
    stop: npt.NDArray[np.int64]
    is_reported: npt.NDArray[np.bool_]
    """Reported and not discarded; otherwise faulted, discarded or swapped out."""


def ranges_of(run: Replay, rows: npt.NDArray[np.intp], blocks: npt.NDArray[np.int64]) -> Ranges:
    """Give the pages that events are about.

    All that they put into memory or took from it; a huge page of zeros by its one page that was
    touched.

    Parameters
    ----------
    rows
        Of the run's events, all of one machine.
    blocks
        How its RAM blocks lie in the page space, as in `Constants.blocks`.
    """
    kind, outcome = run.ledger.kind[rows], run.ledger.outcome[rows]
    is_reported = (kind == Kind.REPORT) & np.isin(outcome, _KEPT)
    tells = is_reported | (outcome == Outcome.DISCARDED)
    tells |= (kind == Kind.FAULT) | (kind == Kind.SWAP_OUT)
    tells &= run.columns["ram_block"][rows] != NO_BLOCK
    rows, is_reported, is_fault = rows[tells], is_reported[tells], kind[tells] == Kind.FAULT
    block = blocks[run.columns["ram_block"][rows].astype(np.int64)]
    # A report may name anything; what ends behind its block is cut, without a sum that could wrap.
    offset_bytes = np.minimum(run.columns["offset_bytes"][rows], block[:, USED_BYTES])
    length_bytes = run.columns["length_bytes"][rows]
    within_bytes = np.minimum(length_bytes, block[:, USED_BYTES] - offset_bytes)
    first = block[:, FIRST_PAGE] - (-offset_bytes // PAGE_BYTES)
    stop = block[:, FIRST_PAGE] + (offset_bytes + within_bytes) // PAGE_BYTES
    page = block[:, FIRST_PAGE] + offset_bytes // PAGE_BYTES
    is_several = np.abs(run.ledger.resident_delta_pages[rows]) > 1
    fault_first, fault_stop = _fault_ranges(page, is_several, length_bytes, block)
    first, stop = np.where(is_fault, fault_first, first), np.where(is_fault, fault_stop, stop)
    some = first < stop
    return Ranges(first[some], stop[some], is_reported[some])


def _fault_ranges(
    page: npt.NDArray[np.int64],
    is_several: npt.NDArray[np.bool_],
    allocated_bytes: npt.NDArray[np.int64],
    block: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Give the pages that faults brought: one, or as many as were allocated, aligned to that.

    See `range_pages` in workbench/model/fault.py.
    """
    count = allocated_bytes // PAGE_BYTES
    is_huge = (count < 1) | ((count >= HUGE_PAGE_PAGES) & (block[:, IS_SHARED] == 0))
    count = np.where(is_huge, HUGE_PAGE_PAGES, count)
    is_of_large_pages = block[:, BLOCK_PAGE_BYTES] > PAGE_BYTES
    count = np.where(is_of_large_pages, block[:, BLOCK_PAGE_BYTES] // PAGE_BYTES, count)
    count = np.where(is_several, count, 1)
    origin = np.where(is_of_large_pages, block[:, FIRST_PAGE], 0)
    first = origin + (page - origin) // count * count
    block_stop = block[:, FIRST_PAGE] + block[:, PAGE_COUNT]
    return np.maximum(first, block[:, FIRST_PAGE]), np.minimum(first + count, block_stop)


def paint(is_reported: npt.NDArray[np.bool_], ranges: Ranges) -> None:
    """Say of each page whether the last event about it was a report.

    Parameters
    ----------
    is_reported
        As it was before these events; changed in place.  Shape (page,).
    """
    # Of ranges that are the same, only the last counts.
    key = ranges.first * (is_reported.size + 1) + ranges.stop
    _, from_the_end = np.unique(key[::-1], return_index=True)
    kept = np.sort(key.size - 1 - from_the_end)
    first, count = ranges.first[kept], (ranges.stop - ranges.first)[kept]
    value = ranges.is_reported[kept]
    behind = np.cumsum(count)
    start = 0
    while start < kept.size:
        before = int(behind[start] - count[start])
        stop = max(int(np.searchsorted(behind, before + _PAGES_AT_ONCE, side="right")), start + 1)
        own = slice(start, stop)
        # Where a page is named more than once, the last value stays (NumPy, "Assigning values to
        # indexed arrays").
        is_reported[_pages(first[own], count[own])] = np.repeat(value[own], count[own])
        start = stop


def touched_huge_pages(ranges: Ranges, huge_page_count: int) -> npt.NDArray[np.intp]:
    """Give the huge pages of address space in which any of the ranges lies."""
    first = ranges.first // HUGE_PAGE_PAGES
    count = (ranges.stop - 1) // HUGE_PAGE_PAGES + 1 - first
    is_touched = np.zeros(huge_page_count, np.bool_)
    is_touched[_pages(first, count)] = True
    return np.flatnonzero(is_touched)


def _pages(first: npt.NDArray[np.int64], count: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Name each page of ranges, one range after the other."""
    behind = np.cumsum(count)
    pages: npt.NDArray[np.int64] = np.repeat(first - (behind - count), count)
    pages += np.arange(pages.size)
    return pages
