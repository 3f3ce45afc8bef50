"""Rings and tables where no memory is: QEMU finds the rest of an access in low memory."""

from __future__ import annotations

import struct

import pytest

from tests.model.balloon.guest import HOLE, PAGE, REPORTING, ROM, Guest
from workbench.model.balloon import pci
from workbench.model.balloon.machine import BAR
from workbench.model.balloon.offer import RING_PACKED, Queue
from workbench.model.balloon.source import Source
from workbench.units import PAGE_BYTES

F_WRITE, F_INDIRECT = 2, 4
PATTERN = b"\x77" * 64


def with_ring(register: int, place: int, features: int = 0, size: int = 8) -> Guest:
    """Put one of the rings of the reporting queue somewhere."""
    guest = Guest().start(REPORTING | features, Queue.REPORT, size=size)
    guest.write_register(register, 4, place)
    guest.write_register(pci.QUEUE_ENABLE, 2, 1)
    return guest


def low_descriptor(guest: Guest, address: int) -> None:
    """Write a descriptor of a page, which the device may write, into low memory."""
    guest.memory.write(0, struct.pack("<QIHH", address, PAGE_BYTES, F_WRITE, 0))


@pytest.mark.parametrize("place", [HOLE, BAR, HOLE + 8])
def test_of_a_descriptor_only_the_first_part_is_zero(place):
    """The rest, its length and flags among it, is that of low memory."""
    guest = with_ring(pci.QUEUE_DESC, place)
    low_descriptor(guest, 0xFFFFFFFF)
    guest.report((PAGE, PAGE_BYTES))

    assert guest.discards() == [("low", 0, PAGE_BYTES)]


@pytest.mark.parametrize(("skew", "zeros"), [(0, 4), (1, 1), (2, 2), (4, 4)])
def test_the_part_is_as_long_as_the_address_is_aligned(skew, zeros):
    """An address of no memory is the rest of the descriptor's."""
    guest = with_ring(pci.QUEUE_DESC, HOLE + skew)
    low_descriptor(guest, 0xFF112233_44556677)
    guest.report((PAGE, PAGE_BYTES))
    expected = bytes(zeros) + struct.pack("<Q", 0xFF112233_44556677)[zeros:]

    assert guest.traced("bad_addr") == [struct.unpack("<Q", expected)]


@pytest.mark.parametrize("features", [0, 1 << RING_PACKED])
def test_a_table_is_found_in_low_memory_too(features):
    guest = Guest().start(REPORTING | features, Queue.REPORT)
    table = struct.pack("<QIHH", 0, PAGE_BYTES, *((0, F_WRITE) if features else (F_WRITE, 0)))
    guest.memory.write(0, table)
    guest.do(("chain", 4, [(HOLE, 16, F_INDIRECT, 0)]), ("kick", 4))

    # A packed ring's table is read field by field, and no field but the address is long enough.
    assert guest.discards() == ([] if features else [("low", 0, PAGE_BYTES)])
    assert guest.is_broken() is bool(features)


@pytest.mark.parametrize("place", [HOLE, ROM, BAR + pci.CONFIG])
def test_half_of_a_used_entry_is_written_to_low_memory(place):
    """The length, which is 0; head and index are lost."""
    guest = with_ring(pci.QUEUE_DEVICE, place)
    guest.memory.write(0, PATTERN)
    source = Source(guest.machine)
    guest.report((PAGE, PAGE_BYTES))
    guest.report((PAGE, PAGE_BYTES))

    assert guest.memory.read(0, 24) == PATTERN[:8] + bytes(4) + PATTERN[:4] + bytes(4) + PATTERN[:4]
    assert ("low", 0) in source.complete().again
    assert not any(guest.memory.read(HOLE, 64))


def test_firmware_is_read_where_it_is():
    """Of a used ring there, the flags."""
    guest = Guest().start(REPORTING, Queue.HINT)
    guest.memory.regions[1].block.content[:2] = b"\1\0"
    guest.write_register(pci.QUEUE_SELECT, 2, guest.number(Queue.HINT))
    guest.write_register(pci.QUEUE_DEVICE, 4, ROM)
    guest.write_register(pci.QUEUE_ENABLE, 2, 1)
    guest.command(5)

    assert guest.memory.read(ROM, 2) == b"\1\0"


def packed_into(place: int) -> Guest:
    """Return an element to a packed ring that was moved where no memory is."""
    guest = Guest().start(1 << RING_PACKED | 2, Queue.STATS)
    guest.say(Queue.STATS, bytes(10))
    guest.write_register(pci.QUEUE_SELECT, 2, guest.number(Queue.STATS))
    guest.write_register(pci.QUEUE_DESC, 4, place)
    guest.write_register(pci.QUEUE_ENABLE, 2, 1)
    guest.memory.write(0, PATTERN)
    statistics, queue = guest.balloon.statistics, guest.balloon.queue_of(Queue.STATS)
    statistics.poll(guest.balloon, queue)
    return guest


def test_fields_of_a_packed_ring_are_short_enough_to_be_lost():
    assert packed_into(HOLE).memory.read(0, 64) == PATTERN


def test_unless_they_are_not_aligned():
    guest = packed_into(HOLE + 2)

    assert guest.memory.read(0, 64) == PATTERN[:10] + bytes(2) + PATTERN[12:]


def test_a_packed_ring_in_firmware_is_read_whole():
    guest = with_ring(pci.QUEUE_DESC, ROM, 1 << RING_PACKED)
    rom = guest.memory.regions[1].block
    rom.content[:16] = struct.pack("<QIHH", PAGE, PAGE_BYTES, 7, F_WRITE | 1 << 7)
    guest.fill()
    guest.kick(Queue.REPORT)

    assert guest.is_zero()
    assert bytes(rom.content[:16]) == struct.pack("<QIHH", PAGE, PAGE_BYTES, 7, F_WRITE | 1 << 7)


@pytest.mark.parametrize(("skew", "says"), [(0, 1), (1, 0)])
def test_an_odd_address_of_a_register_is_not_even_asked(skew, says):
    guest = with_ring(pci.QUEUE_DRIVER, BAR + skew)
    guest.kick(Queue.REPORT)

    assert len(guest.device.errors) == says
