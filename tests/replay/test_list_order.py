"""Which pageblocks are the kernel's, by the order in which passes report what is free in them."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import Guest, read_trace
from workbench.model.guest import (
    NO_REPORTING,
    Captured,
    GuestConstants,
    free_pages,
    new_placed,
    place_demand,
)
from workbench.replay.accesses import with_accesses
from workbench.replay.demand import KERNEL
from workbench.replay.door import captured_facts
from workbench.replay.list_order import _always_last, reclaimable_blocks
from workbench.replay.placement import _changes, _read_life
from workbench.replay.settings import Settings
from workbench.schema import Kind
from workbench.units import HUGE_PAGE_ORDER, NANOSECONDS

BLOCKS = 16
HUGE_PAGES = 1 << HUGE_PAGE_ORDER
KERNELS = 9
"""The pageblock whose free blocks are on the list that a pass comes to last."""


def pass_of(lists, *, time_s=2, capacity=32):
    """A pass over these free lists, of orders from 0 up: (time, element, page, pages) by arrival.

    As Linux does it: an array is filled from its end, and goes when it is full.
    """
    blocks = [
        (block * HUGE_PAGES + (1 << order), 1 << order)
        for order, each in enumerate(lists)
        for block in each
    ]
    return [
        (time_s * NANOSECONDS, time_s * 1_000 + start, *block)
        for start in range(0, len(blocks), capacity)
        for block in reversed(blocks[start : start + capacity])
    ]


def kernels(rows, *, shared=(), zone_first=(0,)):
    """Which pageblocks are told to be the kernel's."""
    time_ns, element, page, pages = (np.array(column) for column in zip(*rows, strict=True))
    captured = Captured(
        time_ns=time_ns,
        kind=np.full(page.size, Kind.REPORT, np.int8),
        page=page,
        page_count=pages,
        touched=page,
        element=element,
        writes=np.zeros(page.size, np.bool_),
    )
    zones = np.array(zone_first)
    constants = GuestConstants(
        zones,
        np.append(zones[1:], BLOCKS * HUGE_PAGES),
        zones,
        NO_REPORTING,
        0,
        1,
        follows_touches=False,
    )
    is_shared = np.zeros(BLOCKS + 1, np.bool_)
    is_shared[list(shared)] = True
    found = reclaimable_blocks(captured, is_shared, constants, 2 * NANOSECONDS)
    return np.flatnonzero(found).tolist()


@functools.cache
def life_of(name, *, order):
    """How the guest of a bundled trace lived, as one that reports from that order up sees it."""
    trace = read_trace(f"traces/{name}.trace")
    settings = Settings(guest=Guest(reporting_order=order))
    change = _changes(captured_facts(trace), settings, follows_touches=False)[0]
    events = trace.columns("events")
    own = {column: values[events["vm"] == 0] for column, values in events.items()}
    return _read_life(trace, 0, change, with_accesses(trace, own))


def kernels_pages(name, *, order):
    """The pages that stay in the pageblocks of the kernel's own."""
    life = life_of(name, order=order)
    blocks = life.begin().group_block.size
    return life.demand.page[life.demand.group == 2 * blocks + KERNEL]


NO_ONE_LAST = [[1, 2, 3, 4], [2, 3, 4, 1], [3, 4, 1, 2], [4, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 1]]


@pytest.mark.parametrize("capacity", [1, 7, 32])
def test_what_comes_last_in_every_order_is_the_kernels(capacity):
    lists = [[*each, KERNELS] for each in NO_ONE_LAST]

    assert kernels(pass_of(lists, capacity=capacity)) == [KERNELS]


def test_one_order_in_which_another_comes_later_denies_it():
    lists = [[*each, KERNELS] for each in NO_ONE_LAST]
    lists[3] = [KERNELS, *NO_ONE_LAST[3]]

    assert kernels(pass_of(lists)) == []


def test_several_of_the_kernels_are_found_one_after_the_other():
    """10 is behind 9 wherever it has anything free, but not in every order."""
    lists = [[*each, KERNELS] for each in NO_ONE_LAST]
    lists = [each if order == 2 else [*each, 10] for order, each in enumerate(lists)]

    assert kernels(pass_of(lists)) == [KERNELS, 10]


def test_few_orders_or_few_pageblocks_do_not_tell():
    lists = [[*each, KERNELS] for each in NO_ONE_LAST]

    assert kernels(pass_of(lists[:4])) == [KERNELS]
    assert kernels(pass_of(lists[:3])) == []
    assert kernels(pass_of([[1, 2, KERNELS], [2, 1, KERNELS]] * 3)) == []


def test_pageblocks_that_were_shared_when_the_driver_came_are_left_out():
    """Parts of them may be on lists of several kinds, so that they say nothing of others."""
    lists = [[*each, KERNELS, 7] for each in NO_ONE_LAST]

    assert kernels(pass_of(lists), shared=[7]) == [KERNELS]


def test_passes_and_zones_are_looked_at_one_by_one():
    """In the second pass the kernel's pageblock has been made movable; the first one said it."""
    lists = [[*each, KERNELS] for each in NO_ONE_LAST]
    later = [[KERNELS, *each] for each in NO_ONE_LAST]
    higher = [[block + 10 for block in each if block < 3] for each in NO_ONE_LAST]
    both_zones = pass_of(lists) + pass_of(higher)

    assert kernels(pass_of(lists) + pass_of(later, time_s=9)) == [KERNELS]
    assert kernels(both_zones, zone_first=[0, 10 * HUGE_PAGES]) == [KERNELS]


@given(st.lists(st.lists(st.integers(0, 6), max_size=8), max_size=8))
def test_behind_what_was_found_is_nothing_else_where_enough_others_are(lists):
    found = _always_last([list(each) for each in lists])

    for each in lists:
        others = [index for index, block in enumerate(each) if block not in found]
        if found and len({each[index] for index in others}) >= 4:
            latest = {block: index for index, block in enumerate(each) if block in found}
            assert all(index > others[-1] for index in latest.values())


@pytest.mark.parametrize(
    ("name", "pages"), [("churn", 16), ("fragment", 2), ("pressure", 16), ("staircase", 16)]
)
def test_what_stays_in_the_kernels_pageblocks_lies_in_pairs(name, pages):
    """It is what is left of the tree nodes of files, which Linux takes two pages at a time.

    Its pairs are no part of how the pageblocks are found: the two say the same by themselves.
    """
    stays = np.sort(kernels_pages(f"{name}-order0", order=9))

    assert stays.size == pages
    assert (stays[::2] % 2 == 0).all()
    assert (stays[1::2] == stays[::2] + 1).all()


def test_only_a_guest_that_does_not_lose_its_pageblocks_goes_on_with_them():
    assert kernels_pages("churn-order0", order=8).size == 0
    assert kernels_pages("churn-order0", order=9).size > 0
    assert kernels_pages("churn-on", order=10).size == 0  # Captured at order 9: nothing was lost.


def test_the_kernel_goes_on_in_a_pageblock_it_had():
    """The bundled trace's pages that were in three pageblocks of their own hold back none."""
    life = life_of("churn-order0", order=9)
    guest = life.begin()
    before = free_pages(guest)
    is_whole = before[: before.size // HUGE_PAGES * HUGE_PAGES].reshape(-1, HUGE_PAGES).all(axis=1)
    placed = new_placed(4 * life.demand.page.size)
    place_demand(life.demand, 2**62, life.constants, guest, placed)
    place = guest.place[kernels_pages("churn-order0", order=9)]

    assert np.unique(place >> HUGE_PAGE_ORDER).size == 1
    assert not is_whole[place >> HUGE_PAGE_ORDER].any()
