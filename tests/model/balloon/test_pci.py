"""The device's registers: modern ones in memory, legacy ones in ports."""

from __future__ import annotations

import pytest

from tests.model.balloon.guest import HOLE, MODERN, PAGE, POISON, REPORTING, Guest
from workbench.model.balloon import pci
from workbench.model.balloon import rules as rule
from workbench.model.balloon.machine import BAR, PCI_ADDRESS_PORT, PCI_DATA_PORT, PORTS
from workbench.model.balloon.offer import BAD_FEATURE, EVENT_IDX, Properties, Queue
from workbench.units import PAGE_BYTES

REPORT = 4
ALL_ONES = 0xFFFFFFFF


# --- accesses of any width


@pytest.mark.parametrize(
    ("offset", "width", "expected"),
    [
        (0, 4, [(0, 4)]),
        (0, 8, [(0, 4), (4, 4)]),
        (2, 4, [(2, 2), (4, 2)]),
        (1, 4, [(1, 1), (2, 2), (4, 1)]),
        (3, 2, [(3, 1), (4, 1)]),
        (6, 8, [(6, 2), (8, 4), (12, 2)]),
        (5, 1, [(5, 1)]),
        (3, 4, [(3, 1), (4, 2), (6, 1)]),
    ],
)
def test_an_access_is_split_into_aligned_ones_of_four_bytes_at_most(offset, width, expected):
    assert pci.split_access(offset, width) == expected


def test_a_register_can_be_read_in_part():
    """A part that does not begin where a register does reads as nothing."""
    guest = Guest().start(POISON)
    guest.write_register(pci.QUEUE_SELECT, 2, 3)

    assert guest.register(pci.QUEUE_SIZE, 1) == 1024 & 0xFF
    assert guest.register(pci.QUEUE_SIZE + 1, 1) == 0
    assert guest.register(pci.STATUS, 2) == 0xF
    assert guest.register(pci.DEVICE_FEATURE_SELECT + 1, 4) == 0x3A << 24


def test_memory_is_accessed_in_any_width():
    guest = Guest()
    guest.machine.execute([("writeq", PAGE, 0x0807060504030201), ("writeb", PAGE, 0x1FF)])
    reads = [("readb", PAGE), ("readw", PAGE), ("readl", PAGE), ("readq", PAGE)]

    assert guest.machine.execute(reads) == [0xFF, 0x2FF, 0x40302FF, 0x8070605040302FF]
    assert guest.machine.execute([("memset", PAGE, 3, 7), ("read", PAGE, 4)])[1] == b"\7\7\7\4"


def test_ports_of_nobody_read_as_ones():
    assert Guest().machine.execute([("inw", 0x80), ("inl", PCI_DATA_PORT)]) == [0xFFFF, ALL_ONES]


@pytest.mark.parametrize(
    "accesses",
    [
        [("outw", PCI_DATA_PORT, 0)],
        [("outl", PCI_ADDRESS_PORT, 0x80000004), ("outw", PCI_DATA_PORT, 0)],
        [("outw", 0x80, 0)],
    ],
)
def test_the_command_register_of_another_device_is_not_the_balloons(accesses):
    guest = Guest().start()
    guest.machine.execute(accesses)

    assert guest.status() == 0xF


# --- the modern interface


def test_what_is_written_can_be_read():
    """Selections, and for each queue the places of its rings."""
    guest = Guest()
    guest.write_register(pci.DEVICE_FEATURE_SELECT, 4, 1)
    guest.write_register(pci.DRIVER_FEATURE_SELECT, 4, 7)
    guest.write_register(pci.QUEUE_SELECT, 2, REPORT)
    guest.write_register(pci.QUEUE_DESC, 8, 0x1122334455667788)
    guest.write_register(pci.QUEUE_DEVICE + 4, 4, 9)

    assert guest.register(pci.DEVICE_FEATURE_SELECT, 4) == 1
    assert guest.register(pci.DRIVER_FEATURE_SELECT, 4) == 7
    assert guest.register(pci.QUEUE_SELECT, 2) == guest.register(pci.QUEUE_NOTIFY_OFF, 2) == REPORT
    assert guest.register(pci.QUEUE_DESC, 8) == 0x1122334455667788
    assert guest.register(pci.QUEUE_DEVICE, 8) == 9 << 32
    assert guest.register(pci.QUEUE_DRIVER, 8) == 0


def test_there_are_no_interrupt_vectors():
    guest = Guest()

    assert guest.register(pci.MSIX_CONFIG, 2) == guest.register(pci.QUEUE_MSIX, 2) == 0xFFFF


def test_features_beyond_the_second_half_cannot_be_taken():
    guest = Guest()
    guest.write_register(pci.DRIVER_FEATURE_SELECT, 4, 2)
    guest.write_register(pci.DRIVER_FEATURE, 4, POISON)

    assert guest.register(pci.DRIVER_FEATURE, 4) == 0
    assert guest.device.guest_features == 0


def test_what_the_driver_took_reads_back_after_a_reset():
    """Only the device has forgotten."""
    guest = Guest().start(POISON)
    guest.do(("reset",))
    guest.write_register(pci.DRIVER_FEATURE_SELECT, 4, 0)

    assert guest.register(pci.DRIVER_FEATURE, 4) == POISON
    assert guest.device.guest_features == 0


def test_a_queue_that_cannot_be_is_not_selected():
    guest = Guest()
    guest.write_register(pci.QUEUE_SELECT, 2, REPORT)
    guest.write_register(pci.QUEUE_SELECT, 2, 1024)

    assert guest.register(pci.QUEUE_SELECT, 2) == REPORT


def test_a_read_of_the_isr_clears_it():
    guest = Guest().start()
    guest.report((PAGE, PAGE_BYTES))

    assert [guest.isr(), guest.isr()] == [1, 0]


@pytest.mark.parametrize("offset", [pci.STATUS + 1, pci.NUM_QUEUES, pci.ISR, 0x100, 0x3F])
def test_what_cannot_be_written_is_not(offset):
    guest = Guest().start()
    guest.write_register(offset, 1, 0xFF)

    assert (guest.status(), guest.register(pci.NUM_QUEUES, 2), guest.isr()) == (0xF, 5, 0)


@pytest.mark.parametrize("queue", [0, REPORT])
def test_the_notify_registers_read_as_nothing(queue):
    assert Guest().start().register(pci.NOTIFY + 4 * queue, 4) == 0


@pytest.mark.parametrize(("offset", "width"), [(0, 1), (0, 2), (0, 4), (3, 1), (2, 2)])
def test_a_kick_is_where_it_is_written_not_what(offset, width):
    guest = Guest().start()
    guest.add(Queue.REPORT, (PAGE, PAGE_BYTES, 1))
    guest.write_register(pci.NOTIFY + 4 * REPORT + offset, width, 0x77)

    assert guest.returned(Queue.REPORT) == 1


def test_a_kick_of_eight_bytes_is_two():
    guest = Guest().start()
    guest.add(Queue.STATS, (PAGE, 10, 0))
    guest.add(Queue.REPORT, (PAGE, PAGE_BYTES, 1))
    guest.write_register(pci.NOTIFY + 4 * (REPORT - 1), 8, 0)

    assert guest.returned(Queue.REPORT) == 1
    assert guest.balloon.statistics.held is None


# --- queues


@pytest.mark.parametrize("size", [1, 3, 31, 33, 64, 1024])
def test_a_queue_may_have_any_size_up_to_1024(size):
    guest = Guest().start(REPORTING, Queue.REPORT, size=size)
    for _ in range(size + 1):
        guest.report((PAGE, PAGE_BYTES))

    assert guest.register(pci.QUEUE_SIZE, 2) == size
    assert len(guest.discards()) == size + 1


@pytest.mark.parametrize("size", [0, 1025, 2048, 0xFFFF])
def test_a_queue_cannot_have_no_size_or_a_larger_one(size):
    guest = Guest()
    guest.write_register(pci.QUEUE_SELECT, 2, REPORT)
    guest.write_register(pci.QUEUE_SIZE, 2, size)

    assert guest.register(pci.QUEUE_SIZE, 2) == 32


def test_of_a_size_16_bits_count():
    guest = Guest()
    guest.write_register(pci.QUEUE_SELECT, 2, REPORT)
    guest.write_register(pci.QUEUE_SIZE, 4, 0x10010)

    assert guest.register(pci.QUEUE_SIZE, 2) == 16


def test_a_queue_that_is_not_there_has_no_size_and_can_be_enabled_in_vain():
    guest = Guest()
    guest.write_register(pci.QUEUE_SELECT, 2, 9)
    guest.write_register(pci.QUEUE_SIZE, 2, 16)
    guest.write_register(pci.QUEUE_ENABLE, 2, 1)

    assert guest.register(pci.QUEUE_SIZE, 2) == 0
    assert guest.register(pci.QUEUE_ENABLE, 2) == 1
    assert guest.device.errors == []


@pytest.mark.parametrize("value", [0, 2, 0xFFFF])
def test_anything_but_1_in_queue_enable_breaks_the_device(value):
    guest = Guest().start()
    guest.write_register(pci.QUEUE_ENABLE, 2, value)

    assert guest.device.errors == [f"wrong value for queue_enable {value:x}"]
    assert guest.status() == 0x4F


def test_a_queue_can_be_reset_and_set_up_again():
    """Whether RING_RESET was negotiated or not."""
    guest = Guest().start(REPORTING, Queue.REPORT, Queue.INFLATE)
    guest.report((PAGE, PAGE_BYTES))
    guest.write_register(pci.QUEUE_SELECT, 2, REPORT)
    guest.write_register(pci.QUEUE_RESET, 2, 1)
    enabled = guest.register(pci.QUEUE_ENABLE, 2)
    guest.kick(Queue.REPORT)
    guest.do(("queue", REPORT))
    guest.report((PAGE, PAGE_BYTES))
    guest.inflate(PAGE)

    assert enabled == 0
    assert guest.used(Queue.REPORT) == [(0, 0)]
    assert guest.returned(Queue.INFLATE) == 1


@pytest.mark.parametrize("value", [0, 2])
def test_only_1_resets_a_queue(value):
    guest = Guest().start(REPORTING, Queue.REPORT)
    guest.write_register(pci.QUEUE_RESET, 2, value)

    assert guest.register(pci.QUEUE_ENABLE, 2) == 1


def test_a_queue_that_is_not_there_can_be_reset_in_vain():
    guest = Guest().start()
    guest.write_register(pci.QUEUE_SELECT, 2, 9)
    guest.write_register(pci.QUEUE_RESET, 2, 1)

    assert (guest.status(), guest.device.tally[rule.QUEUE_RESET]) == (0xF, 0)


# --- the legacy interface


def port(guest, offset, width):
    return guest.do(("port_read", offset, width))[0]


def test_a_legacy_driver_reports():
    guest = Guest().start(REPORTING, legacy=True)
    guest.fill()
    guest.report((PAGE, PAGE_BYTES))

    assert guest.is_zero()
    assert guest.used(Queue.REPORT) == [(0, 0)]
    assert [port(guest, pci.LEGACY_ISR, 1) for _ in range(2)] == [1, 0]
    assert port(guest, pci.LEGACY_STATUS, 1) == 7
    assert port(guest, pci.LEGACY_GUEST_FEATURES, 4) == REPORTING


def test_legacy_registers_say_which_queue_is_where():
    guest = Guest().start(REPORTING, legacy=True)
    guest.do(("port_write", pci.LEGACY_QUEUE_SELECT, 2, 3))
    there = [
        port(guest, pci.LEGACY_QUEUE_SELECT, 2),
        port(guest, pci.LEGACY_QUEUE_NUM, 2),
        port(guest, pci.LEGACY_QUEUE_PFN, 4) << 12,
    ]
    guest.do(("port_write", pci.LEGACY_QUEUE_SELECT, 2, 9))
    nowhere = [port(guest, offset, 2) for offset in (pci.LEGACY_QUEUE_NUM, pci.LEGACY_QUEUE_PFN)]

    assert there == [3, 1024, guest.ring(Queue.HINT).desc]
    assert nowhere == [0, 0]


def test_legacy_rings_lie_behind_one_another():
    """Descriptors, available ring, and the used ring at the next page."""
    guest = Guest().start(REPORTING | 1 << EVENT_IDX, legacy=True)
    queue = guest.device.queues[REPORT]

    assert queue.avail == queue.desc + 16 * 32
    assert queue.used == queue.desc + PAGE_BYTES


def test_an_unaligned_legacy_access_is_two():
    """A long word at the selection: its halves select a queue, and kick another."""
    guest = Guest().start(REPORTING, legacy=True)
    guest.add(Queue.REPORT, (PAGE, PAGE_BYTES, 1))
    guest.do(("port_write", pci.LEGACY_QUEUE_SELECT, 4, REPORT << 16 | 2))

    assert port(guest, pci.LEGACY_QUEUE_SELECT, 2) == 2
    assert guest.returned(Queue.REPORT) == 1


def test_page_0_as_the_place_of_a_queue_resets_the_device():
    guest = Guest().start(REPORTING, legacy=True)
    guest.do(("port_write", pci.LEGACY_QUEUE_PFN, 4, 0))

    assert port(guest, pci.LEGACY_STATUS, 1) == 0
    assert [queue.desc for queue in guest.device.queues] == [0] * 5


def test_a_legacy_queue_that_is_not_there_is_placed_in_vain():
    guest = Guest().start(REPORTING, legacy=True)
    guest.do(
        ("port_write", pci.LEGACY_QUEUE_SELECT, 2, 9),
        ("port_write", pci.LEGACY_QUEUE_PFN, 4, PAGE >> 12),
        ("port_write", pci.LEGACY_QUEUE_SELECT, 2, 2000),
    )

    assert port(guest, pci.LEGACY_QUEUE_PFN, 4) == 0
    assert port(guest, pci.LEGACY_QUEUE_SELECT, 2) == 9


def test_legacy_rings_must_lie_in_memory_too():
    guest = Guest().start(REPORTING, Queue.REPORT, legacy=True)
    guest.do(
        ("port_write", pci.LEGACY_QUEUE_SELECT, 2, 3),
        ("port_write", pci.LEGACY_QUEUE_PFN, 4, (HOLE >> 12) - 2),
    )

    assert guest.device.errors == ["Cannot map desc"]


def test_a_legacy_driver_that_takes_bit_30_gets_no_features():
    guest = Guest()
    guest.do(("port_write", pci.LEGACY_GUEST_FEATURES, 4, REPORTING | 1 << BAD_FEATURE))

    assert guest.device.guest_features == 0


def test_a_modern_driver_that_takes_bit_30_gets_it():
    guest = Guest().start(1 << BAD_FEATURE)

    assert guest.device.guest_features == MODERN | 1 << BAD_FEATURE


@pytest.mark.parametrize(
    ("offset", "width", "expected"),
    [
        (pci.LEGACY_HOST_FEATURES + 1, 1, 0xFF),
        (pci.LEGACY_QUEUE_NOTIFY, 2, 0xFFFF),
        (pci.LEGACY_STATUS, 2, 0),
        (pci.LEGACY_CONFIG + 16, 4, ALL_ONES),
    ],
)
def test_legacy_registers_that_are_not_there_read_as_ones(offset, width, expected):
    """A part that does not begin where a register does, too."""
    assert port(Guest(), offset, width) == expected


@pytest.mark.parametrize("offset", [pci.LEGACY_HOST_FEATURES, pci.LEGACY_QUEUE_NUM, pci.LEGACY_ISR])
def test_legacy_registers_that_cannot_be_written_are_not(offset):
    guest = Guest().start(REPORTING, legacy=True)
    guest.do(("port_write", offset, 1, 0xFF))

    assert port(guest, pci.LEGACY_STATUS, 1) == 7


def test_both_interfaces_are_of_one_device():
    guest = Guest(Properties(free_page_reporting=True))
    guest.machine.execute([("outb", PORTS + pci.LEGACY_STATUS, 3)])

    assert guest.machine.execute([("readb", BAR + pci.STATUS)]) == [3]
