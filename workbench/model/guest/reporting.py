"""How much of its free lists a guest may report in one pass.

Source: Linux 6.1 mm/page_reporting.c.  The rule is stated on numbers of blocks, so that it serves
counts as well as lists of blocks: the caller says how many blocks a list holds and how many of
them are unreported, and is told how many of these go.
"""

from __future__ import annotations

import math
from typing import Final

from workbench.model.compiled import kernel
from workbench.units import HUGE_PAGE_ORDER, KIB, PAGE_BYTES

LIST_PARTS: Final = 16
"""A pass may report this part of a list, and one report more.

Source: Linux 6.1 mm/page_reporting.c, page_reporting_cycle().
"""

_LEAST_MIN_FREE_KIB: Final = 128
_MOST_MIN_FREE_KIB: Final = 262_144

_ZONES: Final = 3
"""DMA, DMA32 and Normal: what an x86-64 guest of more than 4 GiB has."""

_MIGRATE_PCPTYPES: Final = 3
"""Linux 6.1 include/linux/mmzone.h: unmovable, movable, reclaimable."""


@kernel
def full_reports(free_blocks: int, capacity: int) -> int:
    """Say how many full reports one pass may make of a list of `free_blocks` blocks.

    Linux makes the last of them when its budget is 0, so there is one more than the budget.

    Source: Linux 6.1 mm/page_reporting.c, page_reporting_cycle().
    """
    return -(-free_blocks // (LIST_PARTS * capacity)) + 1


@kernel
def take_unreported(
    unreported_blocks: int, free_blocks: int, carried_blocks: int, capacity: int
) -> int:
    """Say how many blocks one pass takes from a list to report them.

    Parameters
    ----------
    unreported_blocks
        Blocks of this list that are not reported yet.
    free_blocks
        Blocks of this order on all lists of the zone (nr_free).
    carried_blocks
        Blocks of earlier lists of this pass that wait for their report to become full.
    capacity
        Blocks of one report.

    Notes
    -----
    If it takes fewer than are unreported, Linux asks for another pass.

    Source: Linux 6.1 mm/page_reporting.c, page_reporting_cycle().
    """
    room = full_reports(free_blocks, capacity) * capacity - carried_blocks
    return min(unreported_blocks, room)


@kernel
def carry_blocks(taken_blocks: int, carried_blocks: int, capacity: int) -> int:
    """Say how many blocks wait in the array after a list that was taken whole.

    A full array is sent when one more block is found, so it may stay full.

    Source: Linux 6.1 mm/page_reporting.c, page_reporting_cycle().
    """
    waiting = carried_blocks + taken_blocks
    if waiting == 0:
        return 0
    return (waiting - 1) % capacity + 1


@kernel
def has_room_to_report(
    free_pages: int, low_watermark_pages_: int, order: int, capacity: int
) -> bool:
    """Tell whether a zone has enough free memory to isolate a report from it.

    Source: Linux 6.1 mm/page_reporting.c, page_reporting_process_zone(); mm/page_alloc.c,
    __zone_watermark_ok() for order 0.
    """
    return free_pages > low_watermark_pages_ + (capacity << order)


def low_watermark_pages(total_pages: int) -> int:
    """Say how little free memory wakes a guest's reclaim, if all of it is one zone.

    The larger of what memory asks for and of what huge pages do, which distributions switch on.

    Source: Linux 6.1 mm/page_alloc.c, calculate_min_free_kbytes() and __setup_per_zone_wmarks();
    mm/khugepaged.c, set_recommended_min_free_kbytes().
    """
    page_kib = PAGE_BYTES // KIB
    by_memory_kib = math.isqrt(total_pages * page_kib * 16)
    by_memory_kib = min(max(by_memory_kib, _LEAST_MIN_FREE_KIB), _MOST_MIN_FREE_KIB)
    by_huge_pages = (1 << HUGE_PAGE_ORDER) * _ZONES * (2 + _MIGRATE_PCPTYPES**2)
    min_pages = max(by_memory_kib // page_kib, min(by_huge_pages, total_pages // 20))
    return min_pages + max(min_pages // 4, total_pages // 1000)
