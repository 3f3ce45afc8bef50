"""What a guest had free when its driver came, as its first passes tell."""

from __future__ import annotations

import numpy as np
import pytest

from tests.synthetic import HUGE, RAM_BYTES, START_NS, report, touch, trace
from workbench.model.guest import NO_REPORTING, GuestConstants, free_blocks, free_pages, new_guest
from workbench.replay.captured_pages import captured_events, first_backed_ns
from workbench.replay.first_free import (
    _cut_blocks,
    free_first_reported,
    halves_free,
    resets,
    shared_blocks,
)
from workbench.replay.reporting import Reporting
from workbench.schema import Kind
from workbench.units import NANOSECONDS, PAGE_BYTES

PAGES = RAM_BYTES // PAGE_BYTES
HUGE_PAGES = HUGE // PAGE_BYTES


def captured_of(rows):
    """The faults and reports among rows."""
    events = trace(rows).columns("events")
    wanted = np.isin(events["kind"], (Kind.FAULT, Kind.REPORT))
    return captured_events(events, PAGES, wanted)


def free_at_first(rows, *, capacity=1, since_s=0.0):
    """Which huge pages are free as a whole when the first pass comes, of a driver of that time."""
    every = captured_of(rows)
    late = every.time_ns >= START_NS + since_s * NANOSECONDS
    captured = type(every)._make(column[late] for column in every)
    before = Reporting(order=0, delay_ns=2 * NANOSECONDS, capacity=capacity)
    constants = GuestConstants(
        np.array([0]), np.array([PAGES]), np.array([0]), *before, follows_touches=False
    )
    guest = new_guest(PAGES, constants)
    free_first_reported(captured, before, first_backed_ns(every, PAGES), constants, guest)
    free = free_pages(guest).reshape(-1, HUGE_PAGES)
    assert (free.all(axis=1) == free.any(axis=1)).all()
    return np.flatnonzero(free.all(axis=1)).tolist()


CUT = [report(2, 3 * HUGE), report(2, 2 * HUGE, element=1)]
"""A pass of one range at a time, which may have left others of their size."""


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ([touch(1, 0), touch(1, HUGE)], [2, 3]),  # Both had been backed.
        ([touch(3, 0), touch(3.5, HUGE)], [0, 1, 2, 3]),
        ([touch(3, 0), touch(4.5, HUGE)], [0, 2, 3]),  # The pass at 4 s did not report it.
    ],
)
def test_what_a_pass_left_may_be_taken_before_the_next_one_comes_to_it(taken, expected):
    """The pass at 2 s may have left something, and the next one would be at 4 s."""
    assert free_at_first([*CUT, *taken]) == expected


def test_a_pass_that_left_nothing_shows_all_that_was_free():
    assert free_at_first([*CUT, touch(3, 0)], capacity=4) == [2, 3]


def test_what_is_taken_page_by_page_of_a_block_that_was_left_was_free_as_a_whole():
    """A few pages of a block that others hold in part were not: the pass would have shown them."""
    whole = [touch(3, page * PAGE_BYTES, PAGE_BYTES) for page in range(HUGE_PAGES)]

    assert free_at_first([*CUT, *whole]) == [0, 2, 3]
    assert free_at_first([*CUT, *whole[:-1]]) == [2, 3]


def test_what_was_touched_before_its_report_was_not_free_throughout():
    assert free_at_first([*CUT, touch(3, HUGE), report(4, HUGE, element=2)], since_s=0) == [1, 2, 3]
    rows = [touch(1, HUGE), *CUT, report(4, HUGE, element=2)]
    assert free_at_first(rows, since_s=0) == [2, 3]


def test_what_a_later_pass_reports_of_what_the_boot_had_backed_was_given_back_only_now():
    """Memory that nothing had backed would stand beside it, had the list not been used up."""
    boot = touch(0.5, HUGE)
    later = [report(4, HUGE, element=2)]

    assert free_at_first([boot, *CUT, *later], since_s=1) == [2, 3]
    # Of one element the last row is what stood first.
    new_first = [report(4, 0, element=2), report(4, HUGE, element=3)]
    assert free_at_first([boot, *CUT, *new_first], since_s=1) == [0, 1, 2, 3]
    assert free_at_first([boot, *CUT, *new_first[::-1]], since_s=1) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("ranges", "capacity", "expected"),
    [
        ([(HUGE, 0)], 2, []),
        ([(HUGE, 0), (HUGE, 0)], 2, [512]),
        ([(HUGE, 0), (HUGE, 0), (HUGE, 1)], 2, []),  # The second report was not full.
        ([(HUGE, 0), (HUGE, 1), (2 * HUGE, 2)], 1, [512, 1024]),
        # Of a single block no pass leaves any.
        ([(4 * PAGE_BYTES, 0), (2 * HUGE, 0), (HUGE, 1), (HUGE, 1)], 2, [512]),
    ],
)
def test_a_pass_may_have_left_blocks_of_the_size_that_a_full_report_ends_with(
    ranges, capacity, expected
):
    """A report's rows are in reverse, and what goes on with the same size was not cut there."""
    rows = [report(2, 0, length, element) for length, element in ranges]
    captured = captured_of(rows)

    assert _cut_blocks(captured, np.arange(len(rows)), capacity) == expected


def test_a_capture_without_reports_tells_nothing():
    assert free_at_first([touch(1, 0)]) == []


@pytest.mark.parametrize(
    ("free", "shared"), [([], []), ([5], [0]), (range(512), []), ([0, 511, 512], [0, 1])]
)
def test_shared_pageblocks_are_those_that_are_free_in_part(free, shared):
    is_free = np.isin(np.arange(1024), list(free))

    assert np.flatnonzero(shared_blocks(is_free)).tolist() == shared


@pytest.mark.parametrize(
    ("first", "pages", "halves"), [(512, 256, [1]), (768, 256, [1]), (512, 128, []), (512, 512, [])]
)
def test_a_half_of_a_pageblock_is_one_free_block_or_not(first, pages, halves):
    constants = GuestConstants(
        np.array([0]), np.array([PAGES]), np.array([0]), 0, 1, 1, follows_touches=False
    )
    guest = new_guest(PAGES, constants)
    nothing = np.zeros(PAGES, np.bool_)
    free_blocks(np.array([first]), np.array([pages]), nothing, constants, guest)

    assert np.flatnonzero(halves_free(guest)).tolist() == halves


@pytest.mark.parametrize(
    ("order", "does"), [(NO_REPORTING, False), (0, True), (8, True), (9, False)]
)
def test_reporting_of_less_than_a_pageblock_makes_them_movable(order, does):
    assert resets(Reporting(order=order, delay_ns=1, capacity=1)) is does
