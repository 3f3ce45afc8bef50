"""What the order in which a pass reports free blocks tells of the pageblocks they are in.

A pass goes over the orders from the smallest up, and over the free lists of each: what cannot be
moved, what can, and what can be reclaimed, which comes last.

Source: Linux 6.1 mm/page_reporting.c, page_reporting_process_zone(); include/linux/mmzone.h,
enum migratetype.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.replay.captured_pages import pass_numbers
from workbench.schema import Kind
from workbench.units import HUGE_PAGE_ORDER

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.model.guest import Captured, GuestConstants

_LEAST_ORDERS: Final = 4
"""In so many orders a pageblock has to be last; by chance one of four is in one case of 256."""

_LEAST_BLOCKS: Final = 4
"""So many pageblocks there have to be in an order, or it says nothing who is last."""


def reclaimable_blocks(
    captured: Captured,
    is_shared: npt.NDArray[np.bool_],
    constants: GuestConstants,
    delay_ns: int,
) -> npt.NDArray[np.bool_]:
    """Tell which pageblocks the kernel has taken for what it can reclaim.  Shape (block,).

    In some pass they are the last ones of each order that have anything free in it.

    Parameters
    ----------
    is_shared
        Pageblocks that were in use in part when the driver came; they are left out: parts of one
        may be on lists of several kinds.  Shape (block,).
    constants
        Of the guest: a pass does one zone after the other.
    delay_ns
        Of reporting, in the capture.
    """
    reports = np.flatnonzero(captured.kind == Kind.REPORT)
    # The ranges of an element are in reverse: Linux fills the array from its end.
    reports = reports[np.lexsort((-reports, captured.element[reports]))]
    pass_number = pass_numbers(captured, reports, delay_ns)
    pages = captured.page_count[reports]
    block = captured.page[reports] >> HUGE_PAGE_ORDER
    zone = np.searchsorted(constants.zone_first, captured.page[reports], side="right")
    rows = np.flatnonzero((pages < 1 << HUGE_PAGE_ORDER) & ~is_shared[block])
    rows = rows[np.lexsort((pages[rows], zone[rows], pass_number[rows]))]
    is_reclaimable = np.zeros_like(is_shared)
    for of_zone in _runs(rows, pass_number * (constants.zone_first.size + 1) + zone):
        lists = [block[of_order].tolist() for of_order in _runs(of_zone, pages)]
        is_reclaimable[_always_last(lists)] = True
    return is_reclaimable


def _runs(rows: npt.NDArray[np.intp], key: npt.NDArray[np.int64]) -> list[npt.NDArray[np.intp]]:
    """Cut rows where the key changes."""
    return np.split(rows, np.flatnonzero(np.diff(key[rows])) + 1)


def _always_last(lists: list[list[int]]) -> list[int]:
    """Give what is last in each list it is in, one after the other, in enough lists to tell.

    What is found is taken off the ends of the lists.
    """
    found: list[int] = []
    while True:
        for each in lists:
            while each and each[-1] in found:
                each.pop()
        telling = [each for each in lists if len(set(each)) >= _LEAST_BLOCKS]
        last = [each[-1] for each in telling]
        is_in = [block for each in telling for block in set(each)]
        more = [
            block for block in set(last) if last.count(block) == is_in.count(block) >= _LEAST_ORDERS
        ]
        if not more:
            return found
        found += more
