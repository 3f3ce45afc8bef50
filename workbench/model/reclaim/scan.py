"""Which folios reclaim takes: Linux's two lists with a second chance, or what is least recent.

Source: Linux v6.18 mm/vmscan.c (do_try_to_free_pages, shrink_node, prepare_scan_control,
shrink_lruvec, shrink_inactive_list, shrink_active_list, folio_check_references, inactive_is_low).
Other memory of the host, and its page cache, are not there.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Final

from workbench.model.compiled import inlined_kernel, inner_kernel
from workbench.model.host import HUGE_PAGE, MAPPING, PAGES_LEFT
from workbench.model.page_bits import ALL_BITS, IS_ACCESSED, IS_REFERENCED
from workbench.model.reclaim.columns import (
    ACTIVE,
    INACTIVE,
    LEAST_RECENT,
    LIST_PAGES,
    REFAULTS_ACTIVATED,
    REFAULTS_SEEN,
)
from workbench.model.reclaim.evict import take_folio
from workbench.model.reclaim.lists import (
    add_first,
    folio_pages,
    huge_page_of,
    look_ahead,
    remove_last,
)
from workbench.units import GIB, PAGE_BYTES

if TYPE_CHECKING:
    from workbench.model.reclaim.columns import Memory

SWAP_CLUSTER_PAGES: Final = 32
"""Linux v6.18 include/linux/swap.h, SWAP_CLUSTER_MAX: the least that reclaim asks for, and the most
that it looks at in one go."""

FIRST_PRIORITY: Final = 12
"""Linux v6.18 include/linux/mmzone.h, DEF_PRIORITY: reclaim begins with 1/4096 of a list, and
doubles that until it has enough."""

GIB_PAGES: Final = GIB // PAGE_BYTES

_BUT_ACCESSED: Final = ALL_BITS ^ IS_ACCESSED

TAKE: Final = 0
KEEP: Final = 1
ACTIVATE: Final = 2


@inlined_kernel
def judge_folio(folio: int, memory: Memory) -> int:
    """Decide about a folio at the end of the inactive list, changing nothing.

    Every folio bears the access of the fault that made it, so it must be found accessed twice to
    be activated.  Of a huge page that is mapped page by page each page counts as an access.
    """
    host = memory.host
    word = host.pages[folio]
    if memory.rules.policy == LEAST_RECENT or word & IS_ACCESSED == 0:
        return TAKE
    if word & IS_REFERENCED != 0:
        return ACTIVATE
    huge_page = huge_page_of(folio, memory)
    if huge_page >= 0 and host.huge_pages[huge_page, MAPPING] != HUGE_PAGE:
        return ACTIVATE if host.huge_pages[huge_page, PAGES_LEFT] > 1 else KEEP
    return KEEP


@inlined_kernel
def look_at(folio: int, memory: Memory) -> int:
    """Take, keep or activate a folio that has just left the end of the inactive list.

    Returns
    -------
    Pages taken.
    """
    pages = memory.host.pages
    verdict = judge_folio(folio, memory)
    if verdict == TAKE:
        return take_folio(folio, memory)
    pages[folio] = (pages[folio] & _BUT_ACCESSED) | IS_REFERENCED
    add_first(folio, ACTIVE if verdict == ACTIVATE else INACTIVE, memory)
    return 0


@inlined_kernel
def shrink_inactive(scan_pages: int, memory: Memory) -> int:
    """Look at the last folios of the inactive list, no more than there are.

    Returns
    -------
    Pages taken.
    """
    counts = memory.reclaim.counts
    left = min(scan_pages, counts[LIST_PAGES + INACTIVE])
    taken = 0
    while left > 0 and counts[LIST_PAGES + INACTIVE] > 0:
        look_ahead(INACTIVE, memory)
        folio = remove_last(INACTIVE, memory)
        left -= folio_pages(folio, memory)
        taken += look_at(folio, memory)
    return taken


@inner_kernel
def shrink_active(scan_pages: int, memory: Memory) -> None:
    """Move the last folios of the active list to the inactive one, their accesses forgotten."""
    counts = memory.reclaim.counts
    left = min(scan_pages, counts[LIST_PAGES + ACTIVE])
    while left > 0 and counts[LIST_PAGES + ACTIVE] > 0:
        look_ahead(ACTIVE, memory)
        folio = remove_last(ACTIVE, memory)
        left -= folio_pages(folio, memory)
        memory.host.pages[folio] &= _BUT_ACCESSED
        add_first(folio, INACTIVE, memory)


@inner_kernel
def is_inactive_low(memory: Memory) -> bool:
    """Tell whether the inactive list is too short beside the active one."""
    counts = memory.reclaim.counts
    inactive, active = counts[LIST_PAGES + INACTIVE], counts[LIST_PAGES + ACTIVE]
    gib = (inactive + active) // GIB_PAGES
    ratio = int(sqrt(10 * gib)) if gib > 0 else 1
    return bool(inactive * ratio < active)


@inner_kernel
def scan_lists(priority: int, wanted_pages: int, memory: Memory) -> int:
    """Go over both lists in turn, a part of each by priority, until enough is taken.

    Returns
    -------
    Pages taken.
    """
    counts = memory.reclaim.counts
    may_deactivate = counts[REFAULTS_ACTIVATED] != counts[REFAULTS_SEEN] or is_inactive_low(memory)
    inactive_left = counts[LIST_PAGES + INACTIVE] >> priority
    active_left = counts[LIST_PAGES + ACTIVE] >> priority
    taken = 0
    while inactive_left > 0 and taken < wanted_pages:
        taken += shrink_inactive(min(inactive_left, SWAP_CLUSTER_PAGES), memory)
        if may_deactivate:
            shrink_active(min(active_left, SWAP_CLUSTER_PAGES), memory)
        inactive_left -= SWAP_CLUSTER_PAGES
        active_left -= SWAP_CLUSTER_PAGES
    if is_inactive_low(memory):
        shrink_active(SWAP_CLUSTER_PAGES, memory)
    return taken


@inner_kernel
def reclaim_pages(wanted_pages: int, memory: Memory) -> int:
    """Take at least that many pages from memory if that can be, with rising effort.

    Returns
    -------
    Pages taken.
    """
    counts = memory.reclaim.counts
    taken = 0
    if memory.rules.policy == LEAST_RECENT:
        while taken < wanted_pages and counts[LIST_PAGES + INACTIVE] > 0:
            taken += look_at(remove_last(INACTIVE, memory), memory)
        return taken
    priority = FIRST_PRIORITY
    while priority >= 0 and taken < wanted_pages:
        taken += scan_lists(priority, wanted_pages - taken, memory)
        priority -= 1
    counts[REFAULTS_SEEN] = counts[REFAULTS_ACTIVATED]
    return taken
