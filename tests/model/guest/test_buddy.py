"""The page allocator: its single rules, and that it gives back a whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.guest_memory import begin, filled, lists_of, scene, zones
from workbench.model.guest import NEXT_PASS_NS, free_pages
from workbench.model.guest.buddy import free_page, give_page, make_first, put_back, take_page
from workbench.model.guest.columns import NEVER, NO_PAGE


def freed(pages, **changes):
    """A guest of 64 pages in which these were freed one by one."""
    guest, constants = begin(scene(**changes))
    for page in pages:
        free_page(page, constants, guest)
    return guest, constants


def test_a_new_guest_has_nothing_free():
    guest, _ = begin(scene())

    assert filled(lists_of(guest)[0]) == {}
    assert guest.is_touched.all()
    assert guest.place.tolist() == list(range(64))
    assert guest.worker[NEXT_PASS_NS] == NEVER


@pytest.mark.parametrize("pages", [1 << 18, (1 << 18) + 1])
def test_state_is_at_most_twelve_bytes_a_page(pages):
    guest, _ = begin(scene([(0, pages)]))

    assert sum(column.nbytes for column in guest) <= 12 * pages


def test_a_freed_page_goes_to_the_head():
    """So that it is taken again soon, while the processor's caches still hold it."""
    guest, constants = freed([8, 16, 40])

    assert filled(lists_of(guest)[0]) == {0: [40, 16, 8]}
    assert take_page(constants, guest) == 40


def test_a_freed_page_goes_to_the_tail_where_the_next_larger_buddy_is_free():
    """Pages 2 and 3 are free: were 1 free too, 0 would make it a block of four."""
    guest, _ = freed([40, 2, 3, 0])

    assert filled(lists_of(guest)[0]) == {0: [40, 0], 1: [2]}


def test_the_next_larger_buddy_must_be_free_as_one_block_of_that_order():
    """Page 2 alone is no block of two; pages 4 to 7 are no buddy of pages 0 and 1."""
    guest, _ = freed([40, 2, 4, 5, 6, 7, 0])

    assert filled(lists_of(guest)[0]) == {0: [0, 2, 40], 2: [4]}


@pytest.mark.parametrize(("order", "is_last"), [(7, True), (8, True), (9, False)])
def test_likely_merges_are_looked_for_up_to_order_eight(order, is_last):
    """From MAX_ORDER - 2 on buddy_merge_likely does not look, though the buddy is free."""
    guest, constants = begin(scene([(0, 4096)]))
    size = 1 << order
    put_back(2 * size, order + 1, constants, guest)
    put_back(3 * 1024, order, constants, guest)
    put_back(1, 0, constants, guest)
    for above in range(1, order):
        put_back(1 << above, above, constants, guest)
    free_page(0, constants, guest)

    assert lists_of(guest)[0][order] == ([3 * 1024, 0] if is_last else [0, 3 * 1024])


def test_a_likely_merge_is_not_seen_across_the_end_of_a_zone():
    """Pages 6 and 7 are free, but of the next zone."""
    guest, _ = freed([6, 7, 0, 4], zones=[(0, 6), (6, 64)])

    assert [filled(lists) for lists in lists_of(guest)] == [{0: [4, 0]}, {1: [6]}]


def test_buddies_merge_as_far_as_they_are_free():
    guest, _ = freed([0, 2, 3, 4, 5, 6, 7, 1])

    assert filled(lists_of(guest)[0]) == {3: [0]}


def test_buddies_do_not_merge_across_the_end_of_a_zone():
    """Linux asks whether a buddy is of the same zone."""
    guest, _ = freed([4, 5, 6, 7, 8, 9, 10, 11], zones=[(0, 6), (6, 64)])

    assert [filled(lists) for lists in lists_of(guest)] == [{1: [4]}, {1: [6], 2: [8]}]


def test_no_block_is_larger_than_the_largest_order():
    guest, constants = begin(scene([(0, 2048)]))
    put_back(0, 10, constants, guest)
    order = put_back(1024, 10, constants, guest)

    assert order == 10
    assert filled(lists_of(guest)[0]) == {10: [0, 1024]}


def test_what_is_put_back_goes_to_the_tail_and_merges():
    guest, constants = freed([1, 8])
    order = put_back(16, 0, constants, guest)
    merged = put_back(0, 0, constants, guest)

    assert (order, merged) == (0, 1)
    assert filled(lists_of(guest)[0]) == {0: [8, 16], 1: [0]}


def test_a_split_takes_the_first_page_and_frees_the_upper_halves():
    """Each half goes to its own list, so the next page taken is the neighbour."""
    guest, constants = begin(scene(blocks=[(32, 16)]))

    assert take_page(constants, guest) == 32
    assert filled(lists_of(guest)[0]) == {0: [33], 1: [34], 2: [36], 3: [40]}
    assert [take_page(constants, guest) for _ in range(3)] == [33, 34, 35]


def test_the_smallest_block_is_taken_first():
    guest, constants = begin(scene(blocks=[(0, 16), (32, 2), (40, 4)]))

    assert take_page(constants, guest) == 32


def test_the_highest_zone_is_taken_from_first():
    """Even where only a large block is free there, and a single page below."""
    guest, constants = begin(scene([(0, 32), (32, 64)], blocks=[(0, 1), (32, 8)]))
    taken = [take_page(constants, guest) for _ in range(9)]

    assert taken == [*range(32, 40), 0]


def test_there_is_no_page_where_none_is_free():
    guest, constants = begin(scene([(0, 32), (32, 64)], blocks=[(4, 1)]))

    assert take_page(constants, guest) == 4
    assert take_page(constants, guest) == NO_PAGE


def test_a_merged_block_is_not_reported_even_if_both_halves_were():
    guest, constants = begin(scene(blocks=[(0, 1), (2, 2), (8, 4)]))
    guest.is_reported[[0, 2, 8]] = True
    free_page(1, constants, guest)

    assert filled(lists_of(guest)[0]) == {2: [0, 8]}
    assert guest.is_reported.nonzero()[0].tolist() == [8]


def test_what_remains_of_a_split_block_is_not_reported():
    guest, constants = begin(scene(blocks=[(8, 4), (16, 8)]))
    guest.is_reported[[8, 16]] = True

    assert take_page(constants, guest) == 8
    assert filled(lists_of(guest)[0]) == {0: [9], 1: [10], 3: [16]}
    assert guest.is_reported.nonzero()[0].tolist() == [16]


def test_a_list_is_turned_round_to_begin_at_a_block():
    guest, _ = freed([8, 16, 24, 32])
    make_first(16, 0, 0, guest)
    assert lists_of(guest)[0][0] == [16, 8, 32, 24]

    make_first(16, 0, 0, guest)
    assert lists_of(guest)[0][0] == [16, 8, 32, 24]

    make_first(24, 0, 0, guest)
    assert lists_of(guest)[0][0] == [24, 16, 8, 32]


@pytest.mark.parametrize(
    ("order", "pages", "next_pass"),
    [(1, [0], NEVER), (1, [0, 1], 107), (0, [0], 107), (None, [0, 1], NEVER)],
)
def test_a_free_asks_for_a_pass_if_its_block_is_large_enough(order, pages, next_pass):
    """What counts is the block after merging; a guest that does not report never asks."""
    guest, constants = begin(scene(order=order))
    guest.worker[0] = 7
    for page in pages:
        give_page(page, constants, guest)

    assert guest.worker[NEXT_PASS_NS] == next_pass


def test_a_pass_that_is_asked_for_already_is_not_put_off():
    guest, constants = begin(scene(first_pass=30))
    guest.worker[0] = 7
    give_page(0, constants, guest)

    assert guest.worker[NEXT_PASS_NS] == 30


def whole(zone):
    """A zone of which every page is free: the largest aligned blocks, by order."""
    blocks = {}
    page = zone.start
    while page < zone.stop:
        order = 10
        while page % (1 << order) or page + (1 << order) > zone.stop:
            order -= 1
        blocks.setdefault(order, []).append(page)
        page += 1 << order
    return blocks


@given(chosen=zones(), seed=st.integers(0, 1000), share=st.sampled_from([1, 2, 5]))
def test_giving_everything_back_in_any_order_restores_one_merged_whole(chosen, seed, share):
    """Whatever was taken, no page is free twice, and none is lost."""
    played = scene([(zone.start, zone.stop) for zone in chosen])
    guest, constants = begin(played)
    shuffle = np.random.default_rng(seed).permutation
    for page in shuffle(played.pages).tolist():
        free_page(page, constants, guest)
    taken = [take_page(constants, guest) for _ in range(-(-played.pages // share))]

    assert len(set(taken)) == len(taken)
    assert not free_pages(guest)[taken].any()
    assert free_pages(guest).sum() == played.pages - len(taken)

    for page in shuffle(taken).tolist():
        free_page(page, constants, guest)

    merged = [filled([sorted(pages) for pages in lists]) for lists in lists_of(guest)]
    assert merged == [whole(zone) for zone in chosen]
    assert guest.free_pages.tolist() == [len(zone) for zone in chosen]


@given(chosen=zones())
def test_pages_are_taken_from_the_last_zone_until_it_is_empty(chosen):
    played = scene([(zone.start, zone.stop) for zone in chosen])
    guest, constants = begin(played)
    for page in range(played.pages):
        free_page(page, constants, guest)
    taken = [take_page(constants, guest) for _ in range(played.pages)]

    last = chosen[-1]
    assert set(taken[: len(last)]) == set(last)
    assert set(taken) == set(range(played.pages))
    assert take_page(constants, guest) == NO_PAGE
