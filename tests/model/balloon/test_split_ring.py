"""The split ring: what a driver may do to it, what breaks the device, and when it interrupts."""

from __future__ import annotations

import struct

import pytest

from tests.model.balloon.guest import HOLE, PAGE, RAM_STOP, REPORTING, STATS, TOP, Guest
from workbench.model.balloon import pci
from workbench.model.balloon import rules as rule
from workbench.model.balloon.offer import EVENT_IDX, Queue
from workbench.model.balloon.split_ring import F_INDIRECT, F_NEXT, F_WRITE
from workbench.units import PAGE_BYTES

REPORT = 4
"""The number of the reporting queue, where hints are offered too."""
WRITABLE = (PAGE, PAGE_BYTES, F_WRITE, 0)
EVENTS = 1 << EVENT_IDX
ONE = (PAGE, PAGE_BYTES)


def reporter(features=REPORTING, size=0, *, legacy=False):
    return Guest().start(features, Queue.REPORT, size=size, legacy=legacy)


def offer(guest, *descriptors, table=0):
    """Put descriptors (address, length, flags, next) into the ring's table, and kick."""
    guest.do(("chain", REPORT, descriptors, table), ("kick", REPORT))
    return guest


def place(guest, kind, register, address):
    """Place one of the rings of a queue elsewhere."""
    guest.write_register(pci.QUEUE_SELECT, 2, guest.number(kind))
    guest.write_register(register, 4, address & 0xFFFFFFFF)
    guest.write_register(register + 4, 4, address >> 32)
    guest.write_register(pci.QUEUE_ENABLE, 2, 1)


# --- elements


def test_each_element_of_a_kick_is_returned_by_itself():
    guest = reporter()
    for number in range(3):
        guest.add(Queue.REPORT, (PAGE + number * PAGE_BYTES, PAGE_BYTES, 1))
    guest.kick(Queue.REPORT)

    assert guest.used(Queue.REPORT) == [(0, 0), (1, 0), (2, 0)]


def test_the_rings_go_round():
    guest = reporter(size=4)
    for _ in range(11):
        guest.report(ONE, ONE, ONE)

    assert guest.read(guest.ring(Queue.REPORT).used + 2, 2) == 11
    assert len(guest.discards()) == 33


def test_indices_go_round():
    """The index of the available ring has 16 bits."""
    guest = reporter(size=1)
    guest.device.queues[REPORT].last_avail_idx = 0xFFFF
    guest.device.queues[REPORT].used_idx = 0xFFFF
    ring = guest.ring(Queue.REPORT)
    ring.index = 0xFFFF
    guest.report(ONE)

    assert guest.read(ring.used + 2, 2) == 0
    assert len(guest.discards()) == 1


@pytest.mark.parametrize(("jump", "served"), [(32, 32), (33, 33), (40, 40), (0x7FFF, 0x7FFF)])
def test_an_index_that_jumps_too_far_is_not_noticed(jump, served):
    """Entries are served again, modulo the queue's size."""
    guest = reporter()
    offer(guest, WRITABLE)
    guest.device.trace.clear()
    guest.do(("avail_jump", REPORT, jump), ("kick", REPORT))

    assert len(guest.discards()) == served
    assert (guest.device.tally[rule.RING_AVAIL_JUMP] > 0) == (jump > 32)


def test_an_index_that_goes_back_is_one_that_jumps_ahead():
    guest = reporter()
    offer(guest, WRITABLE)
    guest.do(("avail_jump", REPORT, -1), ("kick", REPORT))

    assert len(guest.discards()) == 0x10000


def test_a_kick_without_an_element_does_nothing():
    guest = reporter()
    guest.kick(Queue.REPORT)

    assert (guest.isr(), guest.status()) == (0, 0xF)


@pytest.mark.parametrize(
    ("descriptors", "table", "message"),
    [
        ([(PAGE, 0, F_WRITE, 0)], 0, "virtio: zero sized buffers are not allowed"),
        (
            [(PAGE, PAGE_BYTES, F_WRITE | F_NEXT, 1), (PAGE, 0, F_WRITE, 0)],
            0,
            "virtio: zero sized buffers are not allowed",
        ),
        (
            [(PAGE, 4, F_WRITE | F_NEXT, 1), (PAGE, 4, 0, 0)],
            0,
            "Incorrect order for descriptors",
        ),
        ([(PAGE, 4, F_WRITE | F_NEXT, 0)], 0, "Looped descriptor"),
        ([(PAGE, 4, F_WRITE | F_NEXT, 32)], 0, "Desc next is 32"),
        ([(PAGE, 4, F_WRITE | F_NEXT, 0xFFFF)], 0, "Desc next is 65535"),
        ([(PAGE, 4, F_WRITE | F_NEXT, 1)], 1, "Desc next is 1"),
        ([(PAGE, 4, F_NEXT, 0)], 1, "Looped descriptor"),
        ([(PAGE, 0, F_INDIRECT, 0)], 0, "Invalid size for indirect buffer table"),
        ([(PAGE, 17, F_INDIRECT, 0)], 0, "Invalid size for indirect buffer table"),
        (
            [(HOLE, 16, F_INDIRECT, 0)],
            0,
            "virtio: zero sized buffers are not allowed",
        ),
        ([(HOLE - 16, 32, F_INDIRECT, 0)], 0, "Cannot map indirect buffer"),
    ],
)
def test_what_breaks_the_device(descriptors, table, message):
    """And nothing of the chain is done."""
    guest = offer(reporter(), *descriptors, table=table)

    assert guest.device.errors == [message]
    assert guest.status() == 0x4F
    assert guest.returned(Queue.REPORT) == 0
    assert guest.discards() == []


def test_a_head_beyond_the_queue_breaks_the_device():
    guest = reporter()
    guest.do(("available", REPORT, 32), ("kick", REPORT))

    assert guest.device.errors == ["Guest says index 32 is available"]


@pytest.mark.parametrize("flags", [F_INDIRECT | F_NEXT, F_INDIRECT | F_WRITE])
def test_other_flags_beside_indirect_are_ignored(flags):
    guest = reporter()
    guest.memory.write(PAGE + PAGE_BYTES, struct.pack("<QIHH", *WRITABLE))
    offer(guest, (PAGE + PAGE_BYTES, 16, flags, 5))

    assert guest.discards() == [("low", PAGE, PAGE_BYTES)]


def test_indirect_inside_an_indirect_table_is_ignored():
    guest = offer(reporter(), (PAGE, PAGE_BYTES, F_WRITE | F_INDIRECT, 0), table=1)

    assert guest.discards() == [("low", PAGE, PAGE_BYTES)]


def test_indirect_behind_the_head_is_ignored():
    first = (PAGE, PAGE_BYTES, F_WRITE | F_NEXT, 1)
    guest = offer(reporter(), first, (PAGE, PAGE_BYTES, F_WRITE | F_INDIRECT, 0))

    assert len(guest.discards()) == 2


def test_a_table_may_be_longer_than_the_queue():
    guest = reporter(size=2)
    guest.report(*[ONE] * 64, indirect=1)

    assert len(guest.discards()) == 64
    assert guest.used(Queue.REPORT) == [(0, 0)]


def test_a_table_may_be_in_any_order():
    """Only what is linked counts."""
    last, unlinked = (PAGE, PAGE_BYTES, F_WRITE, 9), (0, 0, 0, 0)
    first = (PAGE + PAGE_BYTES, PAGE_BYTES, F_WRITE | F_NEXT, 2)
    guest = offer(reporter(), first, unlinked, last, table=1)

    assert [row[1] - PAGE for row in guest.discards()] == [PAGE_BYTES, 0]


def test_a_queue_cannot_hold_more_elements_than_its_size():
    """The device keeps the statistics element, so that a queue of one is full."""
    guest = Guest().start(STATS, Queue.STATS, size=1)
    guest.statistics((0, 1))
    guest.statistics((0, 1))

    assert guest.device.errors == ["Virtqueue size exceeded"]


# --- where the rings are


@pytest.mark.parametrize(
    ("register", "name"),
    [(pci.QUEUE_DESC, "desc"), (pci.QUEUE_DRIVER, "avail"), (pci.QUEUE_DEVICE, "used")],
)
def test_rings_must_lie_in_one_piece_of_memory(register, name):
    guest = reporter()
    place(guest, Queue.REPORT, register, HOLE - 8)

    assert guest.device.errors == [f"Cannot map {name}"]
    assert guest.status() == 0x4F


def test_rings_where_no_memory_is_read_as_zeros():
    """The device finds nothing to do."""
    guest = reporter()
    place(guest, Queue.REPORT, pci.QUEUE_DRIVER, HOLE)
    guest.report(ONE)

    assert (guest.status(), guest.isr(), guest.discards()) == (0xF, 0, [])


def test_what_is_returned_where_no_memory_is_is_lost():
    guest = reporter()
    place(guest, Queue.REPORT, pci.QUEUE_DEVICE, RAM_STOP)
    guest.report(ONE)

    assert (guest.isr(), len(guest.discards())) == (1, 1)


def test_without_a_used_ring_nothing_is_returned():
    """Address 0: the element stays in use, until the queue is full."""
    guest = reporter(size=1)
    place(guest, Queue.REPORT, pci.QUEUE_DEVICE, 0)
    guest.report(ONE)
    guest.report(ONE)

    assert len(guest.discards()) == 1
    assert guest.device.errors == ["Virtqueue size exceeded"]


def test_without_an_available_ring_there_is_nothing_to_do():
    guest = reporter()
    place(guest, Queue.REPORT, pci.QUEUE_DRIVER, 0)
    guest.report(ONE)

    assert (guest.status(), guest.discards()) == (0xF, [])


def test_rings_that_are_taken_away_can_still_be_asked_for_nothing():
    """A descriptor table at address 0: the queue is not set up, what is held comes back nowhere."""
    guest = Guest().start(STATS)
    guest.statistics((0, 1))
    used = guest.ring(Queue.STATS).used
    place(guest, Queue.STATS, pci.QUEUE_DESC, 0)
    guest.balloon.statistics.poll(guest.balloon, guest.balloon.queue_of(Queue.STATS))

    assert guest.read(used + 2, 2) == 0
    assert guest.isr() == 1


def test_a_report_of_the_used_ring_is_answered_in_it():
    """Nothing protects the rings; the index is the device's own."""
    guest = reporter()
    used = guest.ring(Queue.REPORT).used
    guest.report(ONE)
    guest.report((used, PAGE_BYTES))

    assert guest.used(Queue.REPORT) == [(0, 0), (1, 0)]
    assert guest.discards()[1] == ("low", used, PAGE_BYTES)


def test_a_used_index_of_the_drivers_is_overwritten():
    guest = reporter()
    guest.memory.write(guest.ring(Queue.REPORT).used + 2, b"\x42\x42")
    guest.report(ONE)

    assert guest.read(guest.ring(Queue.REPORT).used + 2, 2) == 1


def test_a_queue_that_grows_after_it_was_enabled_breaks_the_device():
    """QEMU mapped as many descriptors as there were then, and checks before it reads one."""
    guest = reporter(size=8)
    guest.write_register(pci.QUEUE_SELECT, 2, REPORT)
    guest.write_register(pci.QUEUE_SIZE, 2, 16)
    guest.report(ONE)

    assert guest.device.errors == ["Cannot map descriptor ring"]


def test_a_queue_that_shrinks_after_it_was_enabled_goes_on():
    guest = reporter(size=8)
    guest.write_register(pci.QUEUE_SELECT, 2, REPORT)
    guest.write_register(pci.QUEUE_SIZE, 2, 4)
    guest.report(ONE)

    assert guest.used(Queue.REPORT) == [(0, 0)]


def test_rings_do_not_go_over_the_top():
    guest = reporter()
    place(guest, Queue.REPORT, pci.QUEUE_DESC, TOP - 16)

    assert guest.device.errors == ["Cannot map desc"]


def test_a_ring_that_begins_where_no_memory_is_reads_as_zeros_to_its_end():
    """What follows may be memory again; the device does not see it."""
    guest = reporter()
    place(guest, Queue.REPORT, pci.QUEUE_DRIVER, (8 << 20) - 2)
    guest.memory.write(8 << 20, b"\1\0")
    guest.kick(Queue.REPORT)

    assert (guest.isr(), guest.returned(Queue.REPORT)) == (0, 0)


def test_what_is_returned_to_a_queue_that_was_reset_makes_it_look_full():
    """A queue that is reset alone forgets what the device holds; the count goes below none."""
    guest = Guest().start(STATS)
    guest.statistics((0, 1))
    guest.write_register(pci.QUEUE_SELECT, 2, guest.number(Queue.STATS))
    guest.write_register(pci.QUEUE_RESET, 2, 1)
    guest.do(("queue", guest.number(Queue.STATS)))
    guest.balloon.statistics.poll(guest.balloon, guest.balloon.queue_of(Queue.STATS))
    guest.statistics((0, 1))

    assert guest.device.errors == ["Virtqueue size exceeded"]
