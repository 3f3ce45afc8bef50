"""Free page hinting: the state machine of the book's 4.7, and what surrounds it."""

from __future__ import annotations

import struct

import pytest

from tests.model.balloon.guest import (
    HINT,
    HOLE,
    PAGE,
    POISON,
    RAM_STOP,
    REPORTING,
    SEAM,
)
from tests.model.balloon.hinter import DONE, FIRST_ID, REQUESTED, START, STOP, Hinter
from workbench.model.balloon.hinting import CMD_ID_MAX, CMD_ID_MIN, HintStatus, Precopy
from workbench.model.balloon.offer import Queue
from workbench.units import PAGE_BYTES

CMD_ID = 8
ONE_PAGE = (PAGE, PAGE_BYTES, 1)
SYNC = (Precopy.BEFORE_BITMAP_SYNC, Precopy.AFTER_BITMAP_SYNC)


def asks(hinter: Hinter) -> None:
    hinter.tell(Precopy.AFTER_BITMAP_SYNC)


def stops(hinter: Hinter) -> None:
    hinter.tell(Precopy.BEFORE_BITMAP_SYNC)


def is_done(hinter: Hinter) -> None:
    hinter.tell(Precopy.CLEANUP)


def sends_the_id(hinter: Hinter) -> None:
    hinter.command(hinter.hinting.cmd_id)


def sends_another_id(hinter: Hinter) -> None:
    hinter.command(0)


def sends_pages(hinter: Hinter) -> None:
    hinter.send(Queue.HINT, ONE_PAGE)


EVENTS = (asks, stops, is_done, sends_the_id, sends_another_id, sends_pages)

TABLE = {
    STOP: (REQUESTED, STOP, DONE, STOP, STOP, STOP),
    REQUESTED: (REQUESTED, STOP, DONE, START, REQUESTED, REQUESTED),
    START: (REQUESTED, STOP, DONE, STOP, STOP, START),
    DONE: (REQUESTED, STOP, DONE, DONE, DONE, DONE),
}
"""4.7: the next state, of each state and event."""

ANNOUNCED = {
    (before, event)
    for before in HintStatus
    for event, quiet_in in ((asks, None), (stops, STOP), (is_done, DONE))
    if before is not quiet_in
}
"""4.7: where a configuration change is announced."""


@pytest.mark.parametrize("before", list(HintStatus), ids=lambda status: status.name)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_the_state_machine(before, event):
    """Every cell: the next state, the announcement, the id, and what is not sent."""
    hinter = Hinter().reach(before)
    generation, cmd_id, returned = (
        hinter.generation(),
        hinter.hinting.cmd_id,
        hinter.returned(Queue.HINT),
    )
    event(hinter)

    assert hinter.hinting.status is TABLE[before][EVENTS.index(event)]
    assert hinter.generation() - generation == ((before, event) in ANNOUNCED)
    assert hinter.hinting.cmd_id - cmd_id == (event is asks)
    assert len(hinter.hinting.hinted) == (before is START and event is sends_pages)
    assert hinter.returned(Queue.HINT) - returned == (event in EVENTS[3:])


@pytest.mark.parametrize(
    ("status", "expected"), [(STOP, 0), (REQUESTED, FIRST_ID), (START, 0), (DONE, 1)]
)
def test_what_the_driver_reads(status, expected):
    """While hinting runs it reads the same as when it is stopped (4.2)."""
    assert Hinter().reach(status).config(CMD_ID) == expected


def test_the_operator_makes_a_driver_believe_that_hinting_stopped():
    """Any announcement while it runs: the driver reads the field anew, and finds 0 (4.2)."""
    hinter = Hinter().reach(START)
    hinter.balloon.set_target(1 << 20)

    assert hinter.config(CMD_ID) == 0
    assert hinter.hinting.status is START


def test_each_bitmap_sync_asks_under_a_new_id():
    hinter = Hinter()
    read = [hinter.tell(*SYNC).config(CMD_ID) for _ in range(3)]

    assert read == [FIRST_ID, FIRST_ID + 1, FIRST_ID + 2]


def test_the_id_wraps_to_the_one_that_never_was_the_first():
    hinter = Hinter()
    hinter.hinting.cmd_id = CMD_ID_MAX - 1

    assert [hinter.tell(*SYNC).config(CMD_ID) for _ in range(3)] == [
        0xFFFFFFFF,
        0x80000000,
        0x80000001,
    ]


def test_ids_go_on_after_resets():
    hinter = Hinter().tell(*SYNC)
    hinter.start(HINT)
    assert hinter.config(CMD_ID) == 0

    assert hinter.tell(*SYNC).config(CMD_ID) == FIRST_ID + 1
    hinter.machine.system_reset()
    assert hinter.start(HINT).hinting.cmd_id == FIRST_ID + 1


def test_a_reset_stops_hinting_until_the_next_sync():
    hinter = Hinter().reach(REQUESTED)
    hinter.start(HINT)
    stopped = hinter.config(CMD_ID)

    assert (stopped, hinter.isr()) == (0, 0)
    assert hinter.tell(Precopy.CLEANUP).config(CMD_ID) == 1


def test_a_reset_leaves_alone_what_was_not_negotiated():
    """Only a driver that took hints can have stopped them."""
    hinter = Hinter().reach(DONE)
    hinter.device.guest_features &= ~HINT
    hinter.do(("reset",))

    assert hinter.hinting.status is DONE


def test_a_migration_begins_and_completes_without_a_word():
    hinter = Hinter().tell(Precopy.SETUP)
    assert hinter.hinting.status is STOP

    assert hinter.reach(START).tell(Precopy.COMPLETE).hinting.status is START


@pytest.mark.parametrize("event", list(Precopy))
def test_without_the_feature_a_migration_changes_nothing(event):
    hinter = Hinter()
    hinter.start(REPORTING)
    hinter.tell(event)

    assert hinter.hinting.status is STOP
    assert hinter.generation() == 0


@pytest.mark.parametrize("event", list(Precopy))
def test_a_migration_that_may_become_postcopy_changes_nothing(event):
    hinter = Hinter().reach(REQUESTED)
    hinter.hinting.postcopy_ram = True

    assert hinter.tell(event).hinting.status is REQUESTED


def test_after_a_sync_of_a_stopped_machine_hints_are_done():
    hinter = Hinter()
    hinter.device.set_running(running=False)

    assert hinter.tell(*SYNC).config(CMD_ID) == 1
    assert hinter.hinting.cmd_id == CMD_ID_MIN


def test_an_early_announcement_is_none():
    """Before DRIVER_OK no configuration change is announced."""
    hinter = Hinter()
    hinter.do(("reset",), ("features", HINT))
    hinter.tell(*SYNC)

    assert (hinter.config(CMD_ID), hinter.isr(), hinter.generation()) == (FIRST_ID, 0, 0)


# --- the queue


def test_the_id_comes_before_the_pages_of_its_element():
    hinter = Hinter().reach(REQUESTED)
    place = PAGE + PAGE_BYTES
    hinter.memory.write(place, struct.pack("<I", FIRST_ID))
    hinter.send(Queue.HINT, (place, 4, 0), ONE_PAGE)

    assert hinter.hinting.hinted == [("low", PAGE // PAGE_BYTES, 1)]


def test_a_stop_comes_before_the_pages_of_its_element():
    hinter = Hinter().reach(START)
    hinter.memory.write(PAGE + PAGE_BYTES, bytes(4))
    hinter.send(Queue.HINT, (PAGE + PAGE_BYTES, 4, 0), ONE_PAGE)

    assert hinter.hinting.hinted == []


def test_an_id_may_come_in_pieces_and_with_more_behind_it():
    hinter = Hinter().reach(REQUESTED)
    hinter.memory.write(PAGE, struct.pack("<IQ", FIRST_ID, 4711))
    hinter.send(Queue.HINT, (PAGE, 1, 0), (PAGE + 1, 11, 0))

    assert hinter.hinting.status is START


def test_a_short_id_breaks_the_device_and_is_not_returned():
    hinter = Hinter().reach(REQUESTED)
    hinter.say(Queue.HINT, b"\1\0")

    assert hinter.device.errors == ["received an incorrect cmd id"]
    assert hinter.is_broken()
    assert hinter.returned(Queue.HINT) == 0


def test_pages_behind_a_short_id_are_not_hinted():
    hinter = Hinter().reach(START)
    hinter.send(Queue.HINT, (PAGE, 3, 0), ONE_PAGE)

    assert hinter.hinting.hinted == []
    assert hinter.hinting.status is START


def test_hinted_pages_keep_their_content():
    hinter = Hinter().reach(START)
    hinter.fill()
    hinter.send(Queue.HINT, ONE_PAGE)

    assert hinter.is_kept()
    assert hinter.discards() == []


def test_hints_ignore_poison_val():
    hinter = Hinter()
    hinter.start(HINT | POISON)
    hinter.write_config(12, 0xAAAAAAAA)
    hinter.reach(START).send(Queue.HINT, ONE_PAGE)

    assert len(hinter.hinting.hinted) == 1


def test_hints_are_for_migrations():
    """Without one they are consumed all the same."""
    hinter = Hinter().reach(START)
    hinter.hinting.migrating = False
    hinter.send(Queue.HINT, ONE_PAGE, (HOLE, PAGE_BYTES, 1))

    assert hinter.hinting.hinted == []
    assert hinter.device.errors == []
    assert hinter.returned(Queue.HINT) == 2


@pytest.mark.parametrize(
    ("offset", "length", "first", "count"),
    [
        (0, 3 * PAGE_BYTES, 0, 3),
        (0x800, PAGE_BYTES, 0, 1),
        (0x800, 2 * PAGE_BYTES, 0, 2),
        (0, PAGE_BYTES + 0x800, 0, 1),
        (0, 0x800, 0, 0),
        (PAGE_BYTES - 1, 1, 0, 0),
    ],
)
def test_an_unaligned_hint_is_rounded_down_at_both_ends(offset, length, first, count):
    hinter = Hinter().reach(START)
    hinter.send(Queue.HINT, (PAGE + offset, length, 1))

    assert hinter.hinting.hinted == [("low", PAGE // PAGE_BYTES + first, count)]


def test_a_hint_over_the_end_of_a_block_goes_on_in_the_next():
    hinter = Hinter().reach(START)
    hinter.send(Queue.HINT, (SEAM - PAGE_BYTES, 3 * PAGE_BYTES, 1))

    assert hinter.hinting.hinted == [("low", SEAM // PAGE_BYTES - 1, 1), ("next", 0, 2)]


def test_a_hint_that_is_no_memory_is_reported_once_and_skipped():
    hinter = Hinter().reach(START)
    for _ in range(2):
        hinter.send(Queue.HINT, (RAM_STOP, PAGE_BYTES, 1), ONE_PAGE)

    assert hinter.device.errors == ["qemu_guest_free_page_hint unexpected error"]
    assert len(hinter.hinting.hinted) == 2


def test_a_range_that_begins_within_a_page_counts_as_written_when_it_comes_back():
    """A migration sends that page (invalidate_and_set_dirty, of no bytes)."""
    hinter = Hinter().reach(START)
    hinter.memory.dirty = set()
    hinter.send(Queue.HINT, ONE_PAGE, (PAGE + 3 * PAGE_BYTES + 1, 7, 1), (HOLE + 1, 7, 1))

    own = {page for _, page in hinter.memory.dirty if page >= PAGE}
    assert own == {PAGE + 3 * PAGE_BYTES}
