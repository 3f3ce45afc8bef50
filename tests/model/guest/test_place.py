"""A demand placed anew: the kernels against the naive guest, and the laws that both obey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.guest_memory import (
    all_lists_of,
    begin,
    demand_of,
    events_of,
    filled,
    lists_of,
    place,
    place_naively,
    scene,
    scenes,
)
from workbench.model.guest import NOT_FREE, free_pages, new_placed, place_demand
from workbench.model.guest.columns import GROUP, NO_PAGE, NOBODY, ROW, SAME_PAGE

TAKE, GIVE = 1, 0

LARGE_BLOCKS = [(number << 10, 1 << 10) for number in range(4)]


@settings(max_examples=300)
@given(played=scenes())
@example(scene([(0, 4096)], blocks=LARGE_BLOCKS, order=10, capacity=1, delay=5, first_pass=0))
@example(  # A block of order 9 whose next larger buddy is free.
    scene(
        [(0, 4096)],
        blocks=[(512, 512), (1024, 1024)],
        demand=[(1, GIVE, page) for page in range(511)] + [(50, GIVE, 511)],
        first_pass=20,
    )
)
@example(  # Many more blocks than one pass may report, and takes between the passes.
    scene(
        [(0, 100), (100, 300)],
        blocks=[(page, 1) for page in range(0, 300, 2)],
        demand=[(10 * step, TAKE, 2 * step) for step in range(100)],
        delay=7,
        first_pass=3,
    )
)
def test_the_kernels_match_the_naive_guest(played):
    """Event by event, list by list in their order, and page by page."""
    count, events, guest = place(played)
    naive = place_naively(played)

    assert events == naive.events
    assert count == len(naive.events)
    assert all_lists_of(guest) == naive.lists
    assert set(guest.is_reported.nonzero()[0].tolist()) == naive.reported
    assert set((~guest.is_touched).nonzero()[0].tolist()) == naive.untouched
    places = [None if page == NO_PAGE else page for page in guest.place.tolist()]
    assert places == [naive.places[page] for page in range(played.pages)]


@given(played=scenes())
def test_every_page_is_free_or_in_use_and_never_both(played):
    _, _, guest = place(played)
    used = guest.place[guest.place != NO_PAGE]

    assert np.unique(used).size == used.size
    assert not free_pages(guest)[used].any()
    assert guest.free_pages.sum() == free_pages(guest).sum() == played.pages - used.size


@given(played=scenes())
def test_no_two_free_blocks_are_buddies(played):
    """They would have merged."""
    _, _, guest = place(played)

    lists = all_lists_of(guest)
    for number, zone in enumerate(played.zones):
        by_order = [a + b for a, b in zip(*lists[2 * number : 2 * number + 2], strict=True)]
        for order, pages in enumerate(by_order[:-1]):
            buddies = {page ^ (1 << order) for page in pages}
            assert buddies.isdisjoint(pages)
        assert all(page in zone for pages in by_order for page in pages)


@given(played=scenes(), room=st.integers(0, 40))
def test_events_that_have_no_room_are_counted(played, room):
    """And those that have are the same, as is what the guest becomes."""
    count, events, guest = place(played)
    cut_count, cut_events, cut_guest = place(played, room)

    assert cut_count == count
    assert cut_events == events[:room]
    assert all_lists_of(cut_guest) == all_lists_of(guest)


@given(played=scenes(), cut=st.integers(0, 700))
def test_the_past_does_not_depend_on_the_future(played, cut):
    """A part of the demand gives a part of the events."""
    count, events, _ = place(played)
    part = played.demand[:cut]
    stop = max((row[0] for row in part), default=0)
    part_count, part_events, _ = place(played._replace(demand=part, stop=stop))

    assert part_count <= count
    assert part_events == events[:part_count]


@settings(max_examples=50)
@given(played=scenes(follows=False))
def test_what_is_reported_is_free_and_what_faults_was_reported_or_free_from_the_start(played):
    """Seen row by row, which also gives the same events as all rows at once."""
    _, expected, _ = place(played)
    guest, constants = begin(played)
    placed = new_placed(20_000)
    is_untouched = free_pages(guest)
    seen = 0
    for row in [*played.demand, (played.stop, None, None)]:
        place_demand(demand_of([]), row[0], constants, guest, placed)
        reports = events_of(placed, guest.worker[ROW])[seen:]
        for _, kind, page, pages, _ in reports:
            assert kind == "report"
            assert free_pages(guest)[page : page + pages].all()
            is_untouched[page : page + pages] = True
        seen += len(reports)
        if row[1] is None:
            break
        place_demand(demand_of([row]), row[0], constants, guest, placed)
        for _, kind, page, pages, _ in events_of(placed, guest.worker[ROW])[seen:]:
            assert (kind, pages, row[1]) == ("fault", 1, TAKE)
            assert is_untouched[page]
            assert guest.place[row[2]] == page
            is_untouched[page] = False
            seen += 1

    assert events_of(placed, seen) == expected


@given(played=scenes(order=None, follows=False))
def test_a_guest_that_does_not_report_faults_on_each_page_once(played):
    _, events, _ = place(played)
    pages = [page for _, _, page, _, _ in events]

    assert {kind for _, kind, *_ in events} <= {"fault"}
    assert len(set(pages)) == len(pages)


def test_a_page_faults_again_only_after_it_was_reported():
    rows = [(1, TAKE, 9), (2, GIVE, 9), (3, TAKE, 9), (4, GIVE, 9), (20, TAKE, 9)]
    _, events, _ = place(scene(blocks=[(8, 4)], demand=rows, delay=10, stop=20))

    assert events == [
        (1, "fault", 8, 1, -1),
        (12, "report", 8, 4, 0),
        (20, "fault", 8, 1, -1),
    ]


def test_a_page_of_the_capture_is_given_back_where_it_was_placed():
    """Page 20 of the capture was placed on page 8, and page 3 was in use from the start."""
    rows = [(1, TAKE, 20), (2, TAKE, 21), (3, GIVE, 20), (4, GIVE, 3)]
    played = scene(blocks=[(8, 2), (20, 1), (21, 1)], demand=rows, order=None)
    guest, _ = begin(played)
    assert free_pages(guest).nonzero()[0].tolist() == [8, 9, 20, 21]

    _, _, guest = place(played)
    assert guest.place[[3, 20, 21]].tolist() == [NO_PAGE, NO_PAGE, 9]
    assert guest.place[4] == 4


def test_a_take_that_finds_nothing_free_is_left_out_and_so_is_giving_it_back():
    rows = [(1, TAKE, 8), (2, TAKE, 40), (3, GIVE, 40), (4, GIVE, 8)]
    count, events, guest = place(scene(blocks=[(8, 1)], barred=[40], demand=rows, order=None))

    assert count == 1
    assert events == [(1, "fault", 8, 1, -1)]
    assert filled(lists_of(guest)[0]) == {0: [8]}


@pytest.mark.parametrize(("stop", "times"), [(19, []), (20, [20]), (26, [20]), (27, [20, 27])])
def test_passes_are_done_at_their_time_until_the_stop(stop, times):
    """And one that asks for another has it one delay later."""
    blocks = [(2 * number, 1) for number in range(4)]
    _, events, _ = place(scene(blocks=blocks, first_pass=20, delay=7, capacity=1, stop=stop))

    assert sorted({time for time, *_ in events}) == times


def test_a_pass_that_is_due_at_the_time_of_a_take_comes_before_it():
    _, events, _ = place(scene(blocks=[(8, 4)], demand=[(20, TAKE, 9)], first_pass=20, stop=20))

    assert [kind for _, kind, *_ in events] == ["report", "fault"]


def test_a_free_asks_for_a_pass_one_delay_later_and_others_join_it():
    rows = [(10, GIVE, 4), (15, GIVE, 8), (18, GIVE, 12)]
    _, events, _ = place(scene(demand=rows, delay=20, capacity=2))

    assert [(time, page) for time, _, page, _, _ in events] == [(30, 8), (30, 12), (30, 4)]
    assert [element for *_, element in events] == [0, 0, 1]


def test_blocks_that_overlap_or_may_not_be_free_are_left_out():
    """Blocks of 4 at 10 overlap pages 8 to 11; page 33 is in use."""
    blocks = [(8, 4), (10, 2), (16, 2), (32, 4), (16, 4), (0, 2)]
    guest, _ = begin(scene(blocks=blocks, barred=[33]))

    assert filled(lists_of(guest)[0]) == {1: [16, 0], 2: [8]}
    pages = [0, 1, 8, 9, 10, 11, 16, 17]
    assert free_pages(guest).nonzero()[0].tolist() == pages
    assert (~guest.is_touched).nonzero()[0].tolist() == pages
    assert (guest.place == NO_PAGE).nonzero()[0].tolist() == pages


def test_blocks_stand_on_their_lists_in_their_order_and_merge():
    guest, _ = begin(scene(blocks=[(24, 1), (8, 1), (40, 1), (9, 1)]))

    assert filled(lists_of(guest)[0]) == {0: [24, 40], 1: [8]}


def test_free_pages_are_those_of_every_block_on_a_list():
    guest, _ = begin(scene([(0, 2048)], blocks=[(1024, 1024), (6, 2), (3, 1)]))

    assert free_pages(guest).nonzero()[0].tolist() == [3, 6, 7, *range(1024, 2048)]
    assert (guest.block_order != NOT_FREE).nonzero()[0].tolist() == [3, 6, 1024]


def test_pages_of_a_group_are_taken_from_one_pageblock_as_far_as_it_goes():
    """Any other page is taken from the smallest block: here from the second pageblock."""
    demand = [(1, TAKE, 1022, 7), (2, TAKE, 1021), (3, TAKE, 1023, 7), (4, TAKE, 1020, 7)]
    played = scene([(0, 1024)], blocks=[(508, 2), (512, 1), (1020, 4)], demand=demand, order=None)
    pages = begin(played)[0].group_block.size
    demand = [(*row[:3], row[3] % pages) if len(row) > 3 else row for row in demand]
    _, _, guest = place(played._replace(demand=demand))

    assert pages == 3
    assert [guest.place[page] for page in (1022, 1021, 1023, 1020)] == [512, 508, 1020, 1021]


def test_a_group_that_finds_nothing_goes_without_a_page():
    demand = [(1, TAKE, 1, 0), (2, TAKE, 2, 0), (3, TAKE, 3, 0)]
    _, _, guest = place(scene([(0, 64)], blocks=[(0, 2)], demand=demand, order=None))

    assert [guest.place[page] for page in (1, 2, 3)] == [0, 1, NO_PAGE]


def test_who_took_a_page_of_a_kept_pageblock_gets_the_same_one():
    """And nobody else gets one there, though the smallest free block is."""
    rows = [(1, TAKE, 519, SAME_PAGE), (2, TAKE, 1400), (3, GIVE, 519), (4, TAKE, 519, SAME_PAGE)]
    played = scene([(0, 1536)], blocks=[(512, 16), (1024, 512)], demand=rows, order=None, kept=[1])
    _, _, guest = place(played)

    assert [guest.place[page] for page in (519, 1400)] == [519, 1024]
    assert filled(all_lists_of(guest)[1]) == {0: [518], 1: [516], 2: [512], 3: [520]}


def test_who_finds_it_gone_gets_any_other():
    """A block of 4 MiB of which one half is kept is for everybody."""
    rows = [(1, TAKE, 600), (2, TAKE, 0, SAME_PAGE), (3, TAKE, 1, SAME_PAGE)]
    _, _, guest = place(scene([(0, 1024)], blocks=[(0, 1024)], demand=rows, order=None, kept=[0]))

    assert [guest.place[page] for page in (600, 0, 1)] == [0, 512, 1]


def test_a_take_is_left_out_if_only_kept_pageblocks_have_free_pages():
    rows = [(1, TAKE, 600), (2, TAKE, 601)]
    played = scene([(0, 1024)], blocks=[(0, 4), (600, 1), (601, 1)], demand=rows, kept=[0])
    _, _, guest = place(played._replace(barred=[601]))

    assert [guest.place[page] for page in (600, 601)] == [600, NO_PAGE]


KEEPING = 3
"""Group 0 of a guest of two pageblocks, which keeps what it takes from."""


def test_a_group_keeps_its_pageblock_of_the_largest_block_for_itself():
    """Others get what is small elsewhere, and nothing of that pageblock."""
    rows = [(1, TAKE, 0, KEEPING), (2, TAKE, 1), (3, TAKE, 2), (4, TAKE, 3), (5, TAKE, 4, KEEPING)]
    blocks = [(8, 2), (512, 512)]
    _, _, guest = place(scene([(0, 1024)], blocks=blocks, demand=rows, order=None))

    assert [guest.place[page] for page in (0, 1, 2, 3, 4)] == [512, 8, 9, NO_PAGE, 513]
    assert guest.kept_for.tolist() == [NOBODY, GROUP, NOBODY]


def test_a_group_keeps_from_when_it_says_so():
    """Up to then it is taken from like any other; what was reported stays reported."""
    rows = [(1, TAKE, 600, 0), (2, TAKE, 601), (31, TAKE, 602, KEEPING), (32, TAKE, 603)]
    _, events, guest = place(
        scene(
            [(0, 1024)],
            blocks=[(512, 256)],
            demand=rows,
            order=6,
            first_pass=30,
            stop=32,
            capacity=1,
        )
    )

    assert [guest.place[page] for page in (600, 601, 602, 603)] == [512, 513, 514, NO_PAGE]
    assert {page for _, kind, page, _, _ in events if kind == "report"} == {576, 640}
    assert guest.is_reported.nonzero()[0].tolist() == [576, 640]


@pytest.mark.parametrize(("order", "is_kept"), [(9, True), (8, False), (0, False)])
def test_a_kept_pageblock_is_for_everybody_again_when_half_of_it_is_reported(order, is_kept):
    """At order 9 nothing less than all of it is."""
    rows = [(1, TAKE, 600, KEEPING), (41, TAKE, 601)]
    played = scene([(0, 1024)], blocks=[(512, 512)], demand=rows, order=order, capacity=1)
    _, _, guest = place(played._replace(first_pass=40, delay=1000, stop=41))

    assert guest.place[601] == (NO_PAGE if is_kept else 513)
    assert guest.kept_for[1] == (GROUP if is_kept else NOBODY)


def test_what_a_group_keeps_is_where_it_lies_already():
    rows = [(1, TAKE, 0, 0), (2, TAKE, 1, KEEPING), (3, TAKE, 2)]
    _, _, guest = place(scene([(0, 1024)], blocks=[(0, 8)], demand=rows, order=None))

    assert [guest.place[page] for page in (0, 1, 2)] == [0, 1, NO_PAGE]
    assert guest.kept_for[0] == GROUP
