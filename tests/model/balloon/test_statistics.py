"""The statistics queue, and what the operator asks for (the book's 5.5 and 5.6)."""

from __future__ import annotations

import struct

import pytest

from tests.model.balloon.guest import HOLE, PAGE, RAM_STOP, REPORTING, STATS, Guest
from workbench.model.balloon.offer import Queue
from workbench.model.balloon.statistics import NAMES, UNSET
from workbench.units import PAGE_BYTES

NUM_PAGES, ACTUAL = 0, 4


class Informant(Guest):
    """A guest that took statistics."""

    def __init__(self, features: int = STATS) -> None:
        super().__init__()
        self.start(features)

    def values(self):
        """Say which numbers are set."""
        values = zip(NAMES, self.balloon.statistics.values, strict=True)
        return {name: value for name, value in values if value != UNSET}

    def poll(self):
        self.balloon.statistics.poll(self.balloon, self.balloon.queue_of(Queue.STATS))

    def set_interval(self, value):
        queue = self.balloon.queue_of(Queue.STATS)
        return self.balloon.statistics.set_interval(self.balloon, queue, value)

    def is_held(self):
        return self.balloon.statistics.held is not None


def test_the_names_stand_in_the_order_of_the_tags():
    guest = Informant()
    guest.statistics(*((tag, 100 + tag) for tag in range(10)))

    assert guest.values() == {
        "stat-swap-in": 100,
        "stat-swap-out": 101,
        "stat-major-faults": 102,
        "stat-minor-faults": 103,
        "stat-free-memory": 104,
        "stat-total-memory": 105,
        "stat-available-memory": 106,
        "stat-disk-caches": 107,
        "stat-htlb-pgalloc": 108,
        "stat-htlb-pgfail": 109,
    }


def test_nothing_is_known_at_first():
    assert Informant().values() == {}


def test_later_records_count_and_unknown_tags_do_not():
    guest = Informant()
    guest.statistics((4, 1), (10, 2), (0xFFFF, 3), (4, 5))

    assert guest.values() == {"stat-free-memory": 5}


def test_what_a_driver_no_longer_sends_is_unset():
    guest = Informant()
    guest.statistics((0, 1))
    guest.statistics((1, 2))

    assert guest.values() == {"stat-swap-out": 2}


@pytest.mark.parametrize("length", [0x1, 9, 11, 19])
def test_a_truncated_record_is_ignored(length):
    guest = Informant()
    guest.say(Queue.STATS, struct.pack("<HQHQ", 0, 1, 1, 2)[:length])

    assert guest.values() == ({"stat-swap-in": 1} if length >= 10 else {})


def test_what_the_device_may_write_holds_no_records():
    guest = Informant()
    guest.send(Queue.STATS, (PAGE, PAGE_BYTES, 1))

    assert (guest.values(), guest.is_held()) == ({}, True)


def test_records_where_no_memory_is_are_zeros():
    guest = Informant()
    guest.send(Queue.STATS, (HOLE, 10, 0))

    assert guest.values() == {"stat-swap-in": 0}


def test_the_element_is_kept():
    guest = Informant()
    guest.statistics((0, 1))

    assert (guest.returned(Queue.STATS), guest.isr()) == (0, 0)


def test_a_second_element_returns_the_first():
    guest = Informant()
    guest.statistics((0, 1))
    guest.statistics((0, 2))

    assert guest.used(Queue.STATS) == [(0, 0)]
    assert guest.isr() == 1
    assert guest.values() == {"stat-swap-in": 2}


def test_one_kick_takes_one_element():
    """What else waits is taken at the next one."""
    guest = Informant()
    guest.add(Queue.STATS, (PAGE, 10, 0))
    guest.add(Queue.STATS, (PAGE, 10, 0))
    guest.kick(Queue.STATS)
    after_one = guest.returned(Queue.STATS)
    guest.kick(Queue.STATS)

    assert (after_one, guest.returned(Queue.STATS)) == (0, 1)


def test_a_kick_without_an_element_keeps_what_is_held():
    guest = Informant()
    guest.statistics((0, 1))
    guest.kick(Queue.STATS)

    assert guest.is_held()
    assert guest.values() == {"stat-swap-in": 1}


def test_statistics_are_read_though_they_were_not_negotiated():
    """But they are never asked for again."""
    guest = Informant(REPORTING)
    guest.statistics((0, 1))
    guest.poll()

    assert guest.values() == {"stat-swap-in": 1}
    assert guest.returned(Queue.STATS) == 0


# --- polling


def test_the_timer_returns_what_is_held():
    guest = Informant()
    guest.statistics((0, 1))
    guest.poll()

    assert guest.used(Queue.STATS) == [(0, 0)]
    assert guest.isr() == 1
    assert not guest.is_held()


def test_the_timer_returns_nothing_twice():
    guest = Informant()
    guest.statistics((0, 1))
    guest.poll()
    guest.poll()

    assert guest.returned(Queue.STATS) == 1


def test_switching_polling_on_polls_at_once():
    guest = Informant()
    guest.statistics((0, 1))

    assert guest.set_interval(1) is None
    assert guest.returned(Queue.STATS) == 1


@pytest.mark.parametrize("value", [0, 5, 60])
def test_another_interval_does_not_poll(value):
    """Nor does switching it off."""
    guest = Informant()
    guest.set_interval(5)
    guest.statistics((0, 1))
    guest.set_interval(value)

    assert guest.returned(Queue.STATS) == 0
    assert guest.balloon.statistics.poll_interval_s == value


@pytest.mark.parametrize(
    ("value", "objection"),
    [
        (-1, "timer value must be greater than zero"),
        (1 << 32, "timer value is too big"),
        ((1 << 32) - 1, None),
    ],
)
def test_an_interval_has_32_bits(value, objection):
    guest = Informant()

    assert guest.set_interval(value) == objection
    assert guest.balloon.statistics.poll_interval_s == (0 if objection else value)


# --- the timer's clock, which stops with the machine


def stopped_informant():
    """A guest that is stopped, and whose statistics are held."""
    guest = Informant()
    guest.statistics((0, 1))
    guest.device.set_running(running=False)
    return guest


def goes_on(guest):
    """Say what came back when the machine went on, and before."""
    before = guest.returned(Queue.STATS)
    guest.device.set_running(running=True)
    return before, guest.returned(Queue.STATS)


@pytest.mark.parametrize(
    ("intervals", "polls"),
    [
        ((5,), True),
        ((5, 5), True),
        ((5, 6), False),
        ((5, 0), False),
        ((5, 0, 6), True),
        ((5, 6, 5), False),
        ((5, -1), True),
    ],
)
def test_a_poll_waits_for_the_machine_to_go_on(intervals, polls):
    """Another interval than the one that began it puts it off, and none forgets it."""
    guest = stopped_informant()
    for value in intervals:
        guest.set_interval(value)

    assert goes_on(guest) == (0, int(polls))


@pytest.mark.parametrize("has_element", [False, True])
def test_a_kick_puts_a_poll_off(has_element):
    guest = stopped_informant()
    guest.set_interval(5)
    if has_element:
        guest.add(Queue.STATS, (PAGE, 10, 0))
    guest.kick(Queue.STATS)

    assert goes_on(guest) == (int(has_element), int(has_element))


def test_what_the_driver_writes_does_not_wind_the_clock():
    guest = stopped_informant()
    guest.set_interval(5)
    guest.do(("status", 0xF))

    assert goes_on(guest) == (0, 1)


# --- resets, and a machine that stops


def test_a_reset_drops_what_is_held_and_keeps_the_numbers():
    guest = Informant()
    guest.statistics((0, 1))
    guest.start(STATS)
    guest.poll()

    assert guest.values() == {"stat-swap-in": 1}
    assert guest.returned(Queue.STATS) == 0


def test_what_is_in_use_but_not_held_is_taken_again_when_the_machine_goes_on():
    """As after a migration, which carries the rings and not the element."""
    guest = Informant()
    guest.statistics((0, 1))
    guest.balloon.statistics.held = None
    guest.memory.write(PAGE, struct.pack("<HQ", 0, 2))
    guest.device.set_running(running=False)
    stopped = guest.is_held()
    guest.device.set_running(running=True)

    assert (stopped, guest.is_held()) == (False, True)
    assert guest.values() == {"stat-swap-in": 2}


def test_before_driver_ok_nothing_is_taken_again():
    guest = Informant()
    guest.statistics((0, 1))
    guest.balloon.statistics.held = None
    guest.do(("status", 0xB))

    assert not guest.is_held()


# --- what the operator asks for (5.6)


@pytest.mark.parametrize(
    ("target", "num_pages"),
    [
        (RAM_STOP, 0),
        (RAM_STOP + 1, 0),
        (1 << 40, 0),
        (RAM_STOP // 2, RAM_STOP // 2 // PAGE_BYTES),
        (RAM_STOP // 2 + 1, RAM_STOP // 2 // PAGE_BYTES - 1),
        (RAM_STOP // 2 - 1, RAM_STOP // 2 // PAGE_BYTES),
        (1, RAM_STOP // PAGE_BYTES - 1),
    ],
)
def test_a_target_is_what_the_guest_shall_have(target, num_pages):
    guest = Informant()

    assert guest.balloon.set_target(target) is None
    assert guest.config(NUM_PAGES) == num_pages
    assert guest.isr() == 3
    assert guest.traced("to_target") == [(min(target, RAM_STOP), num_pages)]


@pytest.mark.parametrize("target", [0, -1])
def test_a_target_of_nothing_is_refused(target):
    guest = Informant()

    assert guest.balloon.set_target(target) == "Parameter 'target' expects a size"
    assert (guest.config(NUM_PAGES), guest.isr(), guest.generation()) == (0, 0, 0)


def test_the_same_target_is_announced_again():
    guest = Informant()
    guest.balloon.set_target(RAM_STOP)
    guest.balloon.set_target(RAM_STOP)

    assert guest.generation() == 2


def test_before_driver_ok_a_target_is_kept_and_not_announced():
    guest = Guest()
    guest.balloon.set_target(PAGE_BYTES)

    assert guest.config(NUM_PAGES) == RAM_STOP // PAGE_BYTES - 1
    assert (guest.isr(), guest.generation()) == (0, 0)


def test_the_generation_goes_round():
    """The driver sees eight bits of it."""
    guest = Informant()
    guest.device.generation = 0xFFFFFFFF
    guest.balloon.set_target(1)

    assert guest.device.generation == guest.generation() == 0
    guest.device.generation = 0x1FF
    assert guest.generation() == 0xFF


def test_a_changed_balloon_is_announced_once():
    guest = Informant()
    for pages in (16, 16, 32):
        guest.write_config(ACTUAL, pages)

    sizes = [RAM_STOP - pages * PAGE_BYTES for pages in (16, 32)]
    assert guest.balloon.balloon_changes == sizes
    assert guest.balloon.actual_bytes() == sizes[1]


def test_what_the_driver_claims_is_bounded_by_nothing():
    guest = Informant()
    guest.write_config(ACTUAL, 0xFFFFFFFF)

    assert guest.balloon.actual_bytes() == RAM_STOP - 0xFFFFFFFF * PAGE_BYTES < 0
