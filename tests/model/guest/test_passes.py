"""A pass of free page reporting: which blocks it reports, in what order, and when it stops."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.guest_memory import (
    begin,
    constants_of,
    events_of,
    filled,
    lists_of,
    place,
    scene,
    scenes,
)
from workbench.model.guest import NEXT_PASS_NS, free_pages, new_placed
from workbench.model.guest.buddy import free_page
from workbench.model.guest.columns import NEVER, ROOM, ROW
from workbench.model.guest.passes import isolate_block, report_pass, send_report
from workbench.model.guest.place import run_passes


def one_pass(played):
    """Do one pass at 50.  Gives (element, page, pages) of each reported range, and the guest."""
    guest, constants = begin(played)
    guest.worker[0] = 50
    placed = new_placed(1000)
    report_pass(constants, guest, placed)
    events = events_of(placed, guest.worker[ROW])
    assert all((time, kind) == (50, "report") for time, kind, *_ in events)
    return [(element, page, pages) for _, _, page, pages, element in events], guest


def scattered(count, pages=1):
    """As many blocks, none of which has a free buddy."""
    return [(2 * pages * number, pages) for number in range(count)]


def test_a_report_lists_its_blocks_in_reverse():
    """Linux fills the array from its end: what stood at the head of the list comes last."""
    reported, guest = one_pass(scene(blocks=[(8, 2), (32, 2), (16, 2)], capacity=4))

    assert reported == [(0, 16, 2), (0, 32, 2), (0, 8, 2)]
    assert lists_of(guest)[0][1] == [16, 32, 8]
    assert guest.is_reported.nonzero()[0].tolist() == [8, 16, 32]


def test_a_report_goes_once_it_is_full_and_one_more_block_is_found():
    """What was reported stands behind what was not, so the walk never meets it."""
    reported, guest = one_pass(scene(blocks=scattered(3), capacity=2))

    assert reported == [(0, 2, 1), (0, 0, 1), (1, 4, 1)]
    assert lists_of(guest)[0][0] == [2, 0, 4]
    assert guest.worker[NEXT_PASS_NS] == NEVER


def test_what_does_not_fill_a_report_waits_for_larger_blocks():
    """Small blocks are isolated first, so they come last in a report of mixed sizes."""
    reported, _ = one_pass(scene(blocks=[(0, 8), (32, 2), (16, 1)], capacity=4))

    assert reported == [(0, 0, 8), (0, 32, 2), (0, 16, 1)]


def test_a_full_report_is_carried_to_the_next_list():
    """It goes when a block of that list is found, and takes from that list's budget."""
    blocks = [*scattered(2), (8, 2), (16, 2)]
    reported, _ = one_pass(scene(blocks=blocks, capacity=2))

    assert reported == [(0, 2, 1), (0, 0, 1), (1, 16, 2), (1, 8, 2)]


def test_no_report_holds_blocks_of_two_zones():
    played = scene([(0, 32), (32, 64)], blocks=[(40, 4), (2, 2), (8, 2)], capacity=3)
    reported, _ = one_pass(played)

    assert reported == [(0, 8, 2), (0, 2, 2), (1, 40, 4)]


def test_blocks_smaller_than_the_reporting_order_are_not_reported():
    reported, _ = one_pass(scene(blocks=[(0, 1), (8, 4), (16, 8), (32, 16)], order=3, capacity=2))

    assert reported == [(0, 32, 16), (0, 16, 8)]


def test_a_pass_has_a_budget_and_asks_for_another_one_delay_later():
    """Of 20 blocks, a sixteenth is 2 reports of one block; the third one ends it.

    The next pass begins at the block where this one stopped.
    """
    reported, guest = one_pass(scene(blocks=scattered(20), capacity=1, delay=7))

    assert [page for _, page, _ in reported] == [0, 2, 4]
    assert guest.worker[NEXT_PASS_NS] == 57
    assert lists_of(guest)[0][0] == [*range(6, 40, 2), 0, 2, 4]


def test_a_pass_that_ends_its_budget_with_its_list_asks_for_none():
    """With 3 blocks the second report leaves one, with 2 it would need a third to be sent."""
    _, guest = one_pass(scene(blocks=scattered(2), capacity=1))
    assert guest.worker[NEXT_PASS_NS] == NEVER

    _, guest = one_pass(scene(blocks=scattered(3), capacity=1))
    assert guest.worker[NEXT_PASS_NS] == 150


def test_reported_blocks_are_passed_over():
    """They stay on their list, where they are; those before the one that stops go behind it."""
    guest, constants = begin(scene(blocks=scattered(5), capacity=1))
    guest.is_reported[[0, 4]] = True
    placed = new_placed(10)
    report_pass(constants, guest, placed)

    events = events_of(placed, guest.worker[ROW])
    assert [page for _, _, page, _, _ in events] == [2, 6]
    assert lists_of(guest)[0][0] == [8, 0, 4, 2, 6]
    assert guest.is_reported.nonzero()[0].tolist() == [0, 2, 4, 6]


def test_a_block_that_merges_as_it_is_put_back_does_not_count_as_reported():
    """While the host works, its buddy may be freed; the larger block was never reported."""
    guest, constants = begin(scene(blocks=[(8, 1), (16, 1)], capacity=2))
    guest.worker[ROOM] = 2
    isolate_block(8, 0, 0, guest)
    isolate_block(16, 0, 0, guest)
    free_page(9, constants, guest)
    send_report(constants, guest, new_placed(2))

    assert filled(lists_of(guest)[0]) == {0: [16], 1: [8]}
    assert guest.is_reported.nonzero()[0].tolist() == [16]
    assert guest.worker[ROOM] == 2


def test_what_is_reported_is_no_longer_touched():
    guest, constants = begin(scene(blocks=[(8, 4)], capacity=2))
    guest.is_touched[:] = True
    report_pass(constants, guest, new_placed(2))

    assert (~guest.is_touched).nonzero()[0].tolist() == [8, 9, 10, 11]


@pytest.mark.parametrize(("watermark", "is_left_alone"), [(8, False), (9, False), (10, True)])
def test_a_zone_with_little_free_is_left_alone(watermark, is_left_alone):
    """More must be free than the watermark and a report of the smallest blocks: here 8 of 18."""
    blocks = [(0, 16), (32, 2)]
    reported, guest = one_pass(scene(blocks=blocks, watermarks=[watermark], order=2))

    assert reported == ([] if is_left_alone else [(0, 0, 16)])
    assert guest.is_reported[0] != is_left_alone


def test_each_zone_is_judged_by_itself():
    played = scene([(0, 32), (32, 64)], blocks=[(0, 8), (32, 8)], watermarks=[6, 5], capacity=2)
    reported, _ = one_pass(played)

    assert reported == [(0, 32, 8)]


def test_a_pass_that_finds_too_little_free_asks_for_no_other():
    _, guest = one_pass(scene(blocks=[(0, 2)], first_pass=9))

    assert guest.worker[NEXT_PASS_NS] == NEVER


def test_what_is_kept_is_reported_after_the_others_of_its_size_from_one_budget():
    """Of 20 blocks, 17 of them kept, a sixteenth is 2 reports of one block."""
    blocks = [(2 * number, 1) for number in (*range(17), 256, 257, 258)]
    reported, guest = one_pass(scene([(0, 1024)], blocks=blocks, capacity=1, kept=[0]))

    assert [page for _, page, _ in reported] == [512, 514, 516, 0, 2]
    assert guest.worker[NEXT_PASS_NS] == 150


@given(played=scenes())
def test_a_guest_that_is_left_alone_ends_with_everything_reported(played):
    """Unless a zone has too little free; then nothing more of it is reported."""
    played = played._replace(order=played.order or 0)
    _, _, guest = place(played)
    before = guest.is_reported.copy()
    guest.worker[NEXT_PASS_NS] = played.stop
    run_passes(played.stop + 10**6, constants_of(played), guest, new_placed(0))

    zones = zip(played.zones, guest.free_pages, played.watermarks, strict=True)
    for zone, free_pages_, watermark in zones:
        own = slice(zone.start, zone.stop)
        if free_pages_ > watermark + (played.capacity << played.order):
            assert (guest.is_reported[own] == (guest.block_order[own] >= played.order)).all()
        else:
            assert (guest.is_reported[own] == before[own]).all()


@given(played=scenes())
def test_the_pages_of_a_reported_block_are_free_and_not_touched(played):
    _, _, guest = place(played)
    is_free = free_pages(guest)

    for page in guest.is_reported.nonzero()[0]:
        own = slice(page, page + (1 << int(guest.block_order[page])))
        assert is_free[own].all()
        assert not guest.is_touched[own].any()
