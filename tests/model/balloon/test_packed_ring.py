"""The packed ring: the same device behind another layout (virtio 1.2, 2.8)."""

from __future__ import annotations

import struct

import pytest

from tests.model.balloon.guest import HINT, HOLE, PAGE, REPORTING, STATS, Guest
from workbench.model.balloon import pci
from workbench.model.balloon import rules as rule
from workbench.model.balloon.hinting import Precopy
from workbench.model.balloon.offer import EVENT_IDX, RING_PACKED, Queue
from workbench.model.balloon.packed_ring import (
    EVENT_DESC,
    EVENT_DISABLE,
    EVENT_ENABLE,
    F_AVAIL,
    F_USED,
)
from workbench.model.balloon.split_ring import F_INDIRECT, F_NEXT, F_WRITE
from workbench.units import PAGE_BYTES

REPORT = 4
PACKED = 1 << RING_PACKED
EVENTS = 1 << EVENT_IDX
ONE = (PAGE, PAGE_BYTES)


def reporter(features=0, size=0):
    return Guest().start(REPORTING | PACKED | features, Queue.REPORT, size=size)


def returned(guest, slot, kind=Queue.REPORT):
    """Read what the device wrote into a descriptor: length, buffer id, flags."""
    place = guest.ring(kind).desc + 16 * slot
    return struct.unpack("<IHH", guest.memory.read(place + 8, 8))


def was_used(guest, slot, wrap=1, kind=Queue.REPORT):
    """Say whether the device returned the descriptor, in this round."""
    return returned(guest, slot, kind)[2] == (F_AVAIL | F_USED) * wrap


def offer(guest, *descriptors, table=0):
    """Put descriptors (address, length, flags) into the ring, and kick."""
    guest.do(("chain", REPORT, [(*one, 0) for one in descriptors], table), ("kick", REPORT))
    return guest


def poll(guest):
    guest.balloon.statistics.poll(guest.balloon, guest.balloon.queue_of(Queue.STATS))


def test_a_chain_comes_back_in_its_first_descriptor_by_its_id():
    guest = reporter()
    guest.report(ONE, ONE)
    guest.report(ONE)

    assert [returned(guest, slot)[:2] for slot in (0, 2)] == [(0, 0), (0, 1)]
    assert [was_used(guest, slot) for slot in (0, 1, 2)] == [True, False, True]
    assert len(guest.discards()) == 3


def test_in_the_next_round_the_flags_are_the_other_way_round():
    guest = reporter(size=3)
    guest.report(ONE, ONE)
    guest.report(ONE, ONE)
    guest.report(ONE)

    assert was_used(guest, 1, wrap=0)
    assert len(guest.discards()) == 5
    assert guest.device.tally[rule.PACKED_WRAP] == 1


@pytest.mark.parametrize("size", [1, 2, 3, 13, 32, 64])
def test_rings_of_any_size_go_round(size):
    guest = reporter(size=size)
    for _ in range(2 * size + 1):
        guest.report(ONE)

    assert len(guest.discards()) == 2 * size + 1
    assert guest.device.errors == []


def test_a_kick_without_an_element_does_nothing():
    guest = reporter()
    guest.kick(Queue.REPORT)

    assert (guest.isr(), guest.status()) == (0, 0xF)


@pytest.mark.parametrize("flags", [0, F_AVAIL | F_USED, F_USED])
def test_a_descriptor_that_is_not_the_devices_is_left_alone(flags):
    """In the first round only AVAIL without USED gives it away."""
    guest = reporter()
    place = guest.ring(Queue.REPORT).desc
    guest.memory.write(place, struct.pack("<QIHH", PAGE, PAGE_BYTES, 0, F_WRITE | flags))
    guest.kick(Queue.REPORT)

    assert guest.discards() == []


def test_a_table_takes_one_place():
    guest = reporter(size=2)
    guest.report(*[ONE] * 64, indirect=1)
    guest.report(ONE)

    assert len(guest.discards()) == 65
    assert was_used(guest, 0)
    assert was_used(guest, 1)


def test_of_a_table_every_entry_counts():
    """Whether it says that another follows or not."""
    guest = reporter()
    guest.memory.write(PAGE + PAGE_BYTES, struct.pack("<QIHH", PAGE, PAGE_BYTES, 0, F_WRITE) * 3)
    offer(guest, (PAGE + PAGE_BYTES, 48, F_INDIRECT))

    assert len(guest.discards()) == 3


@pytest.mark.parametrize(
    ("descriptors", "message"),
    [
        ([(PAGE, 0, F_WRITE)], "virtio: zero sized buffers are not allowed"),
        (
            [(HOLE, 2 * PAGE_BYTES, F_WRITE)],
            "virtio: bogus descriptor or out of resources",
        ),
        ([(PAGE, 4, F_WRITE | F_NEXT), (PAGE, 4, 0)], "Incorrect order for descriptors"),
        ([(PAGE, 4, F_WRITE | F_NEXT)] * 32, "Looped descriptor"),
        ([(PAGE, 17, F_INDIRECT)], "Invalid size for indirect buffer table"),
        ([(HOLE, 16, F_INDIRECT)], "virtio: zero sized buffers are not allowed"),
        ([(HOLE - 16, 32, F_INDIRECT)], "Cannot map indirect buffer"),
    ],
)
def test_what_breaks_the_device(descriptors, message):
    guest = offer(reporter(), *descriptors)

    assert guest.device.errors == [message]
    assert guest.status() == 0x4F
    assert not was_used(guest, 0)
    assert not guest.memory.bounce.in_use


def test_a_queue_cannot_hold_more_than_its_size():
    guest = Guest().start(STATS | PACKED, Queue.STATS, size=1)
    guest.statistics((0, 1))
    guest.statistics((0, 1))

    assert guest.device.errors == ["Virtqueue size exceeded"]


def test_a_queue_that_grows_after_it_was_enabled_breaks_the_device():
    guest = reporter(size=8)
    guest.write_register(pci.QUEUE_SELECT, 2, REPORT)
    guest.write_register(pci.QUEUE_SIZE, 2, 16)
    guest.report(ONE)

    assert guest.device.errors == ["Cannot map descriptor ring"]


# --- what is held and given back


def test_a_held_element_comes_back_by_its_id():
    guest = Guest().start(STATS | PACKED, Queue.STATS)
    guest.statistics((0, 1))
    held = not was_used(guest, 0, kind=Queue.STATS)
    poll(guest)

    assert held
    assert was_used(guest, 0, kind=Queue.STATS)


def test_without_the_right_to_access_memory_nothing_comes_back():
    guest = Guest().start(STATS | PACKED, Queue.STATS)
    guest.statistics((0, 1))
    guest.device.disabled = True
    poll(guest)

    assert not was_used(guest, 0, kind=Queue.STATS)
    assert guest.device.queues[2].inuse == 0


def test_where_the_rings_are_gone_nothing_comes_back():
    guest = Guest().start(STATS | PACKED, Queue.STATS)
    guest.statistics((0, 1))
    guest.isr()
    guest.write_register(pci.QUEUE_SELECT, 2, guest.number(Queue.STATS))
    guest.write_register(pci.QUEUE_DESC, 4, 0)
    guest.write_register(pci.QUEUE_ENABLE, 2, 1)
    poll(guest)

    assert not was_used(guest, 0, kind=Queue.STATS)
    assert guest.isr() == 0


def test_rings_that_cannot_be_mapped_leave_what_is_held_behind():
    """The index goes on; nothing is written, and nobody is interrupted."""
    guest = Guest().start(STATS | PACKED, Queue.STATS)
    guest.statistics((0, 1))
    guest.isr()
    queue = guest.device.queues[2]
    queue.mapped = False
    poll(guest)

    assert not was_used(guest, 0, kind=Queue.STATS)
    assert (guest.isr(), queue.used_idx, queue.inuse) == (0, 1, 0)


@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_reset_pretends_that_the_held_element_was_not_taken(at_the_end):
    """By one place, over the end of the ring if need be."""
    guest = Guest().start(STATS | PACKED, Queue.STATS, size=4)
    for _ in range(4 if at_the_end else 3):
        guest.statistics((0, 1))
    queue = guest.balloon.queue_of(Queue.STATS)
    taken = queue.last_avail_idx, queue.last_avail_wrap_counter
    guest.balloon.statistics.reset(guest.balloon, queue)

    assert taken == ((0, False) if at_the_end else (3, True))
    left = (3, True) if at_the_end else (2, True)
    assert (queue.last_avail_idx, queue.last_avail_wrap_counter) == left


# --- interrupts


def interrupts(guest, count):
    found = []
    for _ in range(count):
        guest.report(ONE)
        found.append(guest.isr())
    return found


@pytest.mark.parametrize(
    ("flags", "expected"), [(EVENT_ENABLE, [1, 1, 1]), (EVENT_DISABLE, [0, 0, 0])]
)
def test_a_driver_enables_interrupts_or_disables_them(flags, expected):
    guest = reporter()
    guest.do(("avail_flags", REPORT, flags))

    assert interrupts(guest, 3) == expected


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (3 | 1 << 15, [1, 0, 0, 1, 1, 0, 0, 0]),
        (1, [1, 0, 0, 0, 1, 0, 1, 0]),
    ],
)
def test_a_driver_asks_for_one_interrupt_at_one_place(event, expected):
    """The completion at that place of that round interrupts, of a ring of five.

    So does the very first one, and each one that ends a round.
    """
    guest = reporter(EVENTS, size=5)
    guest.do(("used_event", REPORT, event), ("avail_flags", REPORT, EVENT_DESC))

    assert interrupts(guest, 8) == expected


def test_the_worker_tells_the_driver_whether_to_kick():
    guest = Guest().start(HINT | PACKED, Queue.HINT)
    guest.device.set_running(running=False)
    guest.command(0)
    place = guest.ring(Queue.HINT).used + 2
    asleep_flags = guest.read(place, 2)
    guest.device.set_running(running=True)

    assert asleep_flags == EVENT_DISABLE
    assert guest.read(place, 2) == EVENT_ENABLE


def test_with_event_idx_the_worker_tells_where_to_kick():
    """Behind the last descriptor that it took, in this round."""
    guest = Guest().start(HINT | PACKED | EVENTS, Queue.HINT)
    guest.command(0)
    place = guest.ring(Queue.HINT).used

    assert guest.read(place + 2, 2) == EVENT_DESC
    assert guest.read(place, 2) == 1 | 1 << 15


def test_a_packed_ring_without_descriptors_is_empty():
    """The driver names address 0 as their place while the worker polls."""
    guest = Guest().start(HINT | PACKED, Queue.HINT)
    guest.balloon.hinting.precopy(guest.balloon, Precopy.AFTER_BITMAP_SYNC)
    guest.command(guest.balloon.hinting.cmd_id)
    guest.add(Queue.HINT, (PAGE, PAGE_BYTES, 1))
    guest.write_register(pci.QUEUE_SELECT, 2, guest.number(Queue.HINT))
    guest.write_register(pci.QUEUE_DESC, 4, 0)
    guest.write_register(pci.QUEUE_ENABLE, 2, 1)
    guest.balloon.hinting.work(guest.balloon)

    assert guest.device.errors == []
    assert not was_used(guest, 1, kind=Queue.HINT)


def test_rings_that_are_gone_are_told_nothing():
    guest = Guest().start(HINT | PACKED, Queue.HINT)
    queue = guest.device.queues[3]
    queue.mapped = False
    guest.device.set_notification(queue, enable=False)

    assert guest.read(guest.ring(Queue.HINT).used + 2, 2) == EVENT_ENABLE
