"""What a guest took and gave back, and when, from the events of its capture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.model.guest import (
    Captured,
    Demand,
    Ownership,
    date_reports,
    group_what_stays,
    new_demand,
    read_demand,
)
from workbench.model.guest.columns import GIVE, NO_GROUP, SAME_PAGE, TAKE
from workbench.replay.captured_pages import each_page, touches
from workbench.schema import Kind
from workbench.units import HUGE_PAGE_ORDER, LARGEST_ORDER

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay.reporting import Reporting


def guest_demand(
    captured: Captured,
    is_free: npt.NDArray[np.bool_],
    is_kept: npt.NDArray[np.bool_],
    before: Reporting,
    *,
    was_reset: npt.NDArray[np.bool_],
    is_reclaimable: npt.NDArray[np.bool_],
    is_sampled: bool,
) -> Demand:
    """Read what changes hands and what is touched, in the order of time.

    Parameters
    ----------
    is_free
        Which pages are free before the first event; afterwards, after the last.  Shape (page,).
    is_kept
        In which pageblocks pages are taken where they were.  Shape (block,).
    was_reset
        Those of them from which the capture's guest took data that another would have taken
        elsewhere.  Shape (block,).
    is_reclaimable
        Pageblocks that the capture's guest took for its kernel, and another would not have needed.
        Shape (block,).
    is_sampled
        Whether accesses were recorded now and then, so that takes may be dated too late.
    """
    free_ns = np.zeros(captured.kind.size, np.int64)
    seen = np.zeros((2, LARGEST_ORDER + 1), np.int64)
    date_reports(captured, before.delay_ns, before.capacity, seen, free_ns)
    _date_after_touches(captured, free_ns)
    _date_after_takes(captured, is_free, free_ns)
    room = int(captured.page_count.sum())
    demand = new_demand(room)
    guest = Ownership(is_free, np.zeros_like(is_free), *np.zeros((2, is_free.size), np.int64))
    rows = read_demand(captured, free_ns, guest, demand)
    if rows > 0:
        group_what_stays(demand, guest)
    by_time = np.lexsort((demand.rank[:rows], demand.time_ns[:rows]))
    demand = Demand._make(column[by_time] for column in demand)
    if not is_sampled:
        _keep_pageblocks(demand, is_kept.size)
    _go_on(demand, is_reclaimable)
    block = demand.page >> HUGE_PAGE_ORDER
    is_same = (demand.action == TAKE) & is_kept[block]
    is_same &= ~(was_reset[block] & _is_bulk(demand))
    return demand._replace(group=np.where(is_same, SAME_PAGE, demand.group))


def _keep_pageblocks(demand: Demand, blocks: int) -> None:
    """Let groups keep their pageblock, from when the capture's was left alone by all others.

    Between two of the group's takes they took as much as a pageblock elsewhere, and nothing of this
    one was given back; and yet something was free in it.  Linux keeps pageblocks for what it cannot
    move, and others take from them last.

    Parameters
    ----------
    demand
        In the order of time; its groups are to be changed.
    blocks
        How many pageblocks there are.

    Source: Linux 6.1 mm/page_alloc.c, __rmqueue() and fallbacks.
    """
    rows = demand.action.size
    own = np.flatnonzero(demand.group != NO_GROUP)
    own = own[np.argsort(demand.group[own], kind="stable")]
    group = demand.group[own]
    places = np.cumsum(demand.action == TAKE)[own]
    gives = np.flatnonzero(demand.action == GIVE)
    given_keys = np.sort((demand.page[gives] >> HUGE_PAGE_ORDER) * rows + gives)
    given = np.searchsorted(given_keys, group * rows + own)
    is_left_alone = (
        (np.diff(group) == 0) & (np.diff(places) > 1 << HUGE_PAGE_ORDER) & (np.diff(given) == 0)
    )
    since = np.full(blocks, rows)
    np.minimum.at(since, group[:-1][is_left_alone], own[:-1][is_left_alone])
    demand.group[own[own >= since[group]]] += blocks


KERNEL: Final = -1
"""The last group is the kernel's: no pageblock has its number, where RAM is whole pageblocks."""


def _go_on(demand: Demand, is_reclaimable: npt.NDArray[np.bool_]) -> None:
    """Let what stays in the kernel's own pageblocks be taken from one, beside what it had.

    Parameters
    ----------
    demand
        Its groups are to be changed.
    """
    blocks = is_reclaimable.size
    is_own = (demand.group != NO_GROUP) & is_reclaimable[demand.group % blocks]
    # The last group of those that keep their pageblock, which are numbered from `blocks` on.
    demand.group[is_own] = 2 * blocks + KERNEL


_SLAB_PAGES: Final = 8
"""The kernel takes at most this much at once for its own objects.

Source: Linux 6.1 mm/slub.c, slub_max_order.
"""


def _is_bulk(demand: Demand) -> npt.NDArray[np.bool_]:
    """Tell which pages are taken in runs that are too long for the kernel's own.  Shape (row,)."""
    takes = np.flatnonzero(demand.action == TAKE)
    run = np.cumsum(np.diff(demand.page[takes], prepend=-2) != 1)
    is_bulk = np.zeros(demand.action.size, np.bool_)
    is_bulk[takes] = np.bincount(run)[run] > _SLAB_PAGES
    return is_bulk


_LATER_PART: Final = 0.01
"""Of what passes report together, this much may have been taken, and given back, by itself."""


def _date_after_touches(captured: Captured, free_ns: npt.NDArray[np.int64]) -> None:
    """Let what was freed together be free when nearly all of it had been touched for the last time.

    A pass is asked for by the first free since the last one.  Memory may be freed long after that,
    and just before the pass; but not before it was touched.

    Parameters
    ----------
    free_ns
        As `date_reports` gives it, to be changed.  Shape (event,).
    """
    events = captured.kind.size
    reports = np.flatnonzero(captured.kind == Kind.REPORT)
    touched = touches(captured)
    reported = each_page(captured, reports)
    touch_keys = np.sort(touched.page * events + touched.event)
    keys = reported.page * events + reported.event
    last = (
        touch_keys[np.maximum(np.searchsorted(touch_keys, keys) - 1, 0)]
        if touch_keys.size
        else keys
    )
    was_touched = (last < keys) & (last // events == reported.page)
    row = reported.event[was_touched]
    last_ns = captured.time_ns[last[was_touched] % events]
    order = np.lexsort((last_ns, free_ns[row]))
    together, first, count = np.unique(free_ns[row][order], return_index=True, return_counts=True)
    nearly_all = first + np.ceil((1 - _LATER_PART) * count).astype(np.int64) - 1
    after_ns = last_ns[order][nearly_all] + 1
    dated = dict(zip(together.tolist(), after_ns.tolist(), strict=True))
    for event in reports:
        # A later pass may report the rest of it, but no pass what is not free yet.
        latest_ns = min(dated.get(int(free_ns[event]), 0), int(captured.time_ns[event]))
        free_ns[event] = max(free_ns[event], latest_ns)


def _date_after_takes(
    captured: Captured, is_free: npt.NDArray[np.bool_], free_ns: npt.NDArray[np.int64]
) -> None:
    """Let whole pageblocks be free only after the last faults on other free memory.

    What is freed goes to the heads of the free lists: who takes memory then gets that, and does not
    fault.  Only what is left of the block that was split last comes before it.

    Parameters
    ----------
    is_free
        Which pages are free before the first event.  Shape (page,).
    free_ns
        As `date_reports` gives it, to be changed.  Shape (event,).

    Source: Linux 6.1 mm/page_alloc.c, __free_one_page() and __rmqueue_smallest().
    """
    takes = _takes(captured, is_free)
    taken = np.cumsum(captured.page_count[takes])
    is_large = captured.page_count >= 1 << HUGE_PAGE_ORDER
    reports = np.flatnonzero(is_large & (captured.kind == Kind.REPORT))
    before = np.searchsorted(takes, reports)
    so_far = np.concatenate(([0], taken))[before]
    last = np.searchsorted(taken, so_far - (1 << LARGEST_ORDER), side="right") - 1
    reports, last = reports[last >= 0], last[last >= 0]
    free_ns[reports] = np.maximum(free_ns[reports], captured.time_ns[takes[last]] + 1)


def _takes(captured: Captured, is_free: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Give the faults that take a page: none has touched it since it was reported."""
    faults = np.flatnonzero(captured.kind == Kind.FAULT)
    every = each_page(captured, np.arange(captured.kind.size))
    place = every.page * captured.kind.size + every.event
    own = captured.touched[faults] * captured.kind.size + faults
    order = np.argsort(place)
    last = order[np.searchsorted(place, own, sorter=order) - 1]
    is_same = (every.page[last] == captured.touched[faults]) & (every.event[last] < faults)
    was_reported = captured.kind[every.event[last]] == Kind.REPORT
    return faults[np.where(is_same, was_reported, is_free[captured.touched[faults]])]
