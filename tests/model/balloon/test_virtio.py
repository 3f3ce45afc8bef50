"""What every virtio device of QEMU does: negotiation, config space, kicks, errors, resets."""

from __future__ import annotations

import pytest

from tests.model.balloon.guest import (
    HINT,
    HOLE,
    MODERN,
    PAGE,
    POISON,
    REPORTING,
    STATS,
    Guest,
)
from workbench.model.balloon import pci
from workbench.model.balloon.offer import ACCESS_PLATFORM, EVENT_IDX, Properties, Queue
from workbench.units import PAGE_BYTES

ALL_ONES = 0xFFFFFFFF
NEEDS_RESET = 0x40
NUM_PAGES, ACTUAL, CMD_ID, POISON_VAL = 0, 4, 8, 12
TARGET = 4 << 20


# --- features and status (1.1)


def test_what_was_not_offered_is_dropped_in_silence():
    """FEATURES_OK is not refused for it; the register reads back what was written."""
    guest = Guest()
    guest.do(("status", 3), ("features", MODERN | 1 | REPORTING), ("status", 0xB))
    guest.write_register(pci.DRIVER_FEATURE_SELECT, 4, 0)

    assert guest.status() == 0xB
    assert guest.device.guest_features == MODERN | REPORTING
    assert guest.register(pci.DRIVER_FEATURE, 4) == 1 | REPORTING


def test_features_after_features_ok_have_no_effect():
    guest = Guest().start(REPORTING)
    guest.do(("features", POISON | MODERN))
    guest.write_config(POISON_VAL, 1)

    assert guest.device.guest_features == MODERN | REPORTING
    assert guest.config(POISON_VAL) == 0


@pytest.mark.parametrize(("taken", "status"), [(False, 3), (True, 0xB)])
def test_a_driver_must_take_the_platforms_access(taken, status):
    """The one refusal: FEATURES_OK without ACCESS_PLATFORM where that was offered."""
    guest = Guest(Properties(iommu_platform=True, disable_legacy=True))
    features = MODERN | (1 << ACCESS_PLATFORM if taken else 0)
    guest.do(("status", 3), ("features", features), ("status", 0xB))

    assert guest.status() == status


@pytest.mark.parametrize("status", [3, 0x4F, 0x80, 0xFF])
def test_any_status_is_stored(status):
    guest = Guest().start()
    guest.do(("status", status))
    guest.report((PAGE, PAGE_BYTES))

    assert guest.status() == status
    assert guest.returned(Queue.REPORT) == 1


def test_a_feature_that_lengthens_the_rings_places_them_anew():
    """With EVENT_IDX a ring that ended where memory ends no longer fits, at each half written."""
    guest = Guest()
    guest.write_register(pci.QUEUE_SELECT, 2, guest.number(Queue.REPORT))
    for offset, address in ((pci.QUEUE_DESC, PAGE), (pci.QUEUE_DEVICE, HOLE - 4 - 8 * 32)):
        guest.write_register(offset, 4, address)
    guest.write_register(pci.QUEUE_DRIVER, 4, PAGE + PAGE_BYTES)
    guest.write_register(pci.QUEUE_ENABLE, 2, 1)
    fits = guest.device.errors == []
    guest.do(("features", 1 << EVENT_IDX | MODERN))

    assert fits
    assert guest.device.errors == ["Cannot map used"] * 2


# --- the config space (1.2)


def test_a_read_returns_what_is_there_in_any_width():
    guest = Guest().start(POISON)
    guest.write_config(POISON_VAL, 0x04030201)

    assert [guest.config(12 + n, 1) for n in range(4)] == [1, 2, 3, 4]
    assert [guest.config(12, 2), guest.config(14, 2), guest.config(12)] == [
        0x0201,
        0x0403,
        0x04030201,
    ]


@pytest.mark.parametrize(("offset", "width"), [(16, 1), (16, 4), (20, 4)])
def test_a_read_that_does_not_fit_returns_ones(offset, width):
    assert Guest().config(offset, width) == (1 << 8 * width) - 1


def test_an_unaligned_read_is_split_into_aligned_ones():
    """Each part is answered, or not, on its own (readl at 6, with 8 bytes there)."""
    guest = Guest(Properties(page_poison=False))

    assert guest.config(6) == 0xFFFF0000


def test_an_unaligned_write_is_split_into_aligned_ones():
    """The half that fits arrives (a write of 4 bytes at 14)."""
    guest = Guest().start(POISON)
    guest.write_config(14, 0x11112222)

    assert guest.config(POISON_VAL) == 0x22220000


def test_a_write_that_does_not_fit_is_dropped():
    guest = Guest().start(POISON)
    guest.write_config(ACTUAL, 7)
    guest.write_config(16, ALL_ONES)

    assert [guest.config(offset) for offset in range(0, 16, 4)] == [0, 7, 0, 0]


def test_of_a_long_write_the_second_half_counts():
    guest = Guest().start(POISON)
    guest.write_config(CMD_ID, 0xAA << 32 | 0xBB, 8)

    assert (guest.config(CMD_ID), guest.config(POISON_VAL)) == (0, 0xAA)
    assert guest.config(CMD_ID, 8) == 0xAA << 32


def test_what_the_device_says_cannot_be_written():
    guest = Guest().start()
    guest.balloon.set_target(TARGET)
    there = guest.config(NUM_PAGES)
    guest.write_config(NUM_PAGES, 1)
    guest.write_config(CMD_ID, 1)

    assert (guest.config(NUM_PAGES), guest.config(CMD_ID)) == (there, 0)


def test_the_config_space_is_little_endian_on_the_legacy_interface_too():
    guest = Guest().start(POISON, legacy=True)
    guest.write_config(POISON_VAL, 0x04030201)

    assert [guest.config(12 + n, 1) for n in range(4)] == [1, 2, 3, 4]


# --- kicks (1.3)


@pytest.mark.parametrize("queue", [5, 100, 1023])
def test_a_kick_of_a_queue_that_is_not_there_is_ignored(queue):
    guest = Guest().start()
    guest.do(("kick", queue))

    assert (guest.status(), guest.isr()) == (0xF, 0)


def test_a_kick_of_a_queue_that_is_not_set_up_is_ignored():
    guest = Guest().start(REPORTING, Queue.INFLATE)
    guest.kick(Queue.REPORT)

    assert (guest.status(), guest.isr()) == (0xF, 0)


@pytest.mark.parametrize("status", [0, 1, 3])
def test_a_queue_is_served_before_the_driver_is_ready(status):
    """And where REPORTING was not negotiated, or nothing was."""
    guest = Guest()
    guest.do(("status", status), ("queue", guest.number(Queue.REPORT)))
    guest.fill()
    guest.report((PAGE, PAGE_BYTES))

    assert guest.is_zero()
    assert guest.returned(Queue.REPORT) == 1


# --- errors (2.3)


def test_an_error_shows_in_the_status_and_is_announced():
    guest = Guest().start()
    guest.report((PAGE, 0))

    assert (guest.status(), guest.isr(), guest.generation()) == (0xF | NEEDS_RESET, 3, 1)
    assert guest.returned(Queue.REPORT) == 0


def test_an_error_before_driver_ok_is_not_announced():
    guest = Guest()
    guest.do(("features", MODERN), ("queue", guest.number(Queue.REPORT)))
    guest.report((PAGE, 0))

    assert (guest.status(), guest.isr(), guest.generation()) == (NEEDS_RESET, 0, 0)


def test_an_error_shows_a_legacy_driver_nothing():
    guest = Guest().start(REPORTING, legacy=True)
    guest.report((PAGE, 0))
    guest.report((PAGE, PAGE_BYTES))

    assert guest.device.errors == ["virtio: zero sized buffers are not allowed"]
    assert guest.do(("port_read", pci.LEGACY_STATUS, 1), ("port_read", pci.LEGACY_ISR, 1)) == [7, 0]
    assert guest.returned(Queue.REPORT) == 0


def test_a_broken_device_ignores_every_queue_until_it_is_reset():
    guest = Guest().start()
    guest.report((PAGE, 0))
    guest.inflate(PAGE)
    ignored = guest.returned(Queue.INFLATE)
    guest.start()
    guest.inflate(PAGE)

    assert (ignored, guest.returned(Queue.INFLATE)) == (0, 1)


def test_elements_before_the_one_that_breaks_the_device_are_served():
    guest = Guest().start()
    guest.add(Queue.REPORT, (PAGE, PAGE_BYTES, 1))
    guest.add(Queue.REPORT, (PAGE, 0, 1))
    guest.add(Queue.REPORT, (PAGE, PAGE_BYTES, 1))
    guest.kick(Queue.REPORT)

    assert len(guest.discards()) == guest.returned(Queue.REPORT) == 1


# --- resets (1.2)


def test_a_reset_keeps_what_the_book_says():
    """num_pages, actual and the generation stay; features, poison_val and the rings go."""
    guest = Guest().start(POISON)
    guest.balloon.set_target(TARGET)
    guest.write_config(ACTUAL, 7)
    guest.write_config(POISON_VAL, 0xAA)
    guest.isr()
    kept = [guest.config(NUM_PAGES), guest.config(ACTUAL), guest.generation()]
    guest.do(("reset",))

    assert kept == [2048, 7, 1]
    assert [guest.config(NUM_PAGES), guest.config(ACTUAL), guest.generation()] == kept
    assert guest.config(POISON_VAL) == 0
    assert (guest.status(), guest.isr(), guest.device.guest_features) == (0, 0, 0)
    assert [queue.desc for queue in guest.device.queues] == [0] * 5


def test_a_system_reset_is_one_too():
    guest = Guest().start(POISON)
    guest.write_config(POISON_VAL, 0xAA)
    guest.machine.system_reset()

    assert (guest.status(), guest.balloon.poison_val) == (0, 0)


def test_a_queue_has_its_own_size_again_after_a_reset():
    guest = Guest().start(REPORTING, Queue.REPORT, size=8)
    guest.do(("reset",))
    guest.write_register(pci.QUEUE_SELECT, 2, guest.number(Queue.REPORT))

    assert guest.register(pci.QUEUE_SIZE, 2) == 32


# --- the right to access memory


def test_without_the_right_to_access_memory_nothing_is_served():
    guest = Guest().start()
    guest.do(("bus_master", 0))
    guest.report((PAGE, PAGE_BYTES))
    waiting = guest.returned(Queue.REPORT)
    status = guest.status()
    guest.do(("bus_master", 1), ("status", 0xF))
    guest.kick(Queue.REPORT)

    assert (waiting, status) == (0, 0xB)
    assert guest.returned(Queue.REPORT) == 1


def test_what_is_held_is_not_returned_without_the_right_to_access_memory():
    guest = Guest().start(STATS)
    guest.statistics((0, 1))
    guest.do(("bus_master", 0))
    guest.balloon.statistics.poll(guest.balloon, guest.balloon.queue_of(Queue.STATS))

    assert guest.returned(Queue.STATS) == 0
    assert guest.device.queues[2].inuse == 0


def test_a_device_of_an_old_machine_type_goes_on():
    """Before 5.0 a device was not stopped; one that is no platform device needs no right."""
    guest = Guest(Properties(free_page_reporting=True), version=(4, 2)).start()
    guest.do(("bus_master", 0))
    guest.report((PAGE, PAGE_BYTES))

    assert guest.returned(Queue.REPORT) == 1


PLATFORM = Properties(free_page_reporting=True, iommu_platform=True, disable_legacy=True)


def test_a_platform_device_sees_no_memory_without_the_right_to_access_it():
    """Its rings read as zeros then; a reset clears what stopped the device, and not that."""
    guest = Guest(PLATFORM)
    guest.do(("bus_master", 0))
    guest.start(1 << ACCESS_PLATFORM | REPORTING)
    guest.report((PAGE, PAGE_BYTES))

    assert (guest.status(), guest.isr(), guest.returned(Queue.REPORT)) == (0xF, 0, 0)


def test_a_platform_device_of_an_old_machine_type_breaks_without_the_right_to_access_memory():
    """It goes on, and reads an index of 0 behind the one it knows."""
    guest = Guest(PLATFORM, version=(4, 2)).start(1 << ACCESS_PLATFORM | REPORTING)
    guest.report((PAGE, PAGE_BYTES))
    guest.do(("bus_master", 0))
    guest.report((PAGE, PAGE_BYTES))

    assert guest.status() == 0xB | NEEDS_RESET
    assert guest.returned(Queue.REPORT) == 1


# --- the machine stops


def test_reports_are_served_while_the_machine_is_stopped():
    guest = Guest().start()
    guest.device.set_running(running=False)
    guest.report((PAGE, PAGE_BYTES))

    assert guest.discards() == [("low", PAGE, PAGE_BYTES)]


def test_stopping_leaves_the_status_alone():
    guest = Guest().start(HINT)
    guest.device.set_running(running=False)
    guest.device.set_running(running=True)

    assert guest.status() == 0xF
