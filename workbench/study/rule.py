"""How long until freed memory can be used by another guest, by Linux's rule alone."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from workbench.errors import UsageError
from workbench.model.guest import (
    carry_blocks,
    has_room_to_report,
    low_watermark_pages,
    take_unreported,
)
from workbench.replay.settings import MAX_REPORTING_ORDER
from workbench.units import LARGEST_ORDER, NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    from workbench.trace import Reporting


def drain_seconds(
    freed_bytes: int, reporting: Reporting, *, free_bytes: int, share: float = 0.9
) -> float:
    """Say how long it takes until a share of what was freed at once has been reported.

    Parameters
    ----------
    freed_bytes
        In one piece, so in blocks that are as large as they can be; of it the whole pages, as no
        other are freed.
    free_bytes
        All that is free then, what was freed included, and in one zone: the more is free, the more
        of it Linux reports in one pass.
    share
        Of what was freed.

    Returns
    -------
    Passes follow each other after the delay, the first of them one delay after the free; infinity
    if it never comes to that: because blocks are too small to be reported, or because less is free
    than the guest needs to isolate a report.

    Raises
    ------
    UsageError
        A value is out of range.

    Source: Linux 6.1 mm/page_reporting.c, page_reporting_process_zone(); see
    `workbench.model.guest.reporting`.
    """
    _check(freed_bytes, reporting, free_bytes, share)
    order, capacity = reporting.order, reporting.capacity
    freed_pages = freed_bytes // PAGE_BYTES
    wanted_pages = Fraction(str(share)) * freed_pages
    free_pages = free_bytes // PAGE_BYTES
    # Of a guest in which all is free; one with more memory has a higher mark.
    watermark = low_watermark_pages(free_pages)
    if wanted_pages == 0:
        return 0.0
    if not has_room_to_report(free_pages, watermark, order, capacity):
        return math.inf
    unreported = _blocks(freed_pages)
    free = _blocks(free_pages)
    reported_pages, passes, taken_pages = 0, 0, -1
    while reported_pages < wanted_pages and taken_pages:
        taken_pages = _report_pass(unreported, free, order, capacity)
        reported_pages += taken_pages
        passes += 1
    if reported_pages < wanted_pages:
        return math.inf
    return passes * reporting.delay_ns / NANOSECONDS


def _blocks(pages: int) -> list[int]:
    """Say how many free blocks of each order so many pages in one piece make."""
    blocks = [pages >> order & 1 for order in range(LARGEST_ORDER)]
    return [*blocks, pages >> LARGEST_ORDER]


def _report_pass(unreported: list[int], free: list[int], order: int, capacity: int) -> int:
    """Take from the lists what one pass takes.  Returns the pages."""
    pages, carried = 0, 0
    for each in range(order, LARGEST_ORDER + 1):
        free_blocks = max(free[each], unreported[each])
        taken = take_unreported(unreported[each], free_blocks, carried, capacity)
        unreported[each] -= taken
        pages += taken << each
        carried = carry_blocks(taken, carried, capacity) if not unreported[each] else 0
    return pages


def _check(freed_bytes: int, reporting: Reporting, free_bytes: int, share: float) -> None:
    if not 0 <= freed_bytes <= free_bytes:
        raise UsageError(
            f"freed_bytes is {freed_bytes}, expected 0 to what is free then ({free_bytes})"
        )
    if not 0 <= reporting.order <= MAX_REPORTING_ORDER:
        raise UsageError(f"order is {reporting.order}, expected 0 to {MAX_REPORTING_ORDER}")
    if reporting.capacity < 1:
        raise UsageError(f"capacity is {reporting.capacity}, expected 1 or more")
    if not 0 <= share <= 1:
        raise UsageError(f"share is {share}, expected 0 to 1")
