"""The device's own registers in the place of memory: it is kept from them, as from a hole."""

from __future__ import annotations

import pytest

from tests.model.balloon.guest import PAGE, REPORTING, Guest
from workbench.model.balloon import pci
from workbench.model.balloon.machine import BAR
from workbench.model.balloon.offer import Queue
from workbench.model.balloon.pci import CONFIG, STRUCTURE_BYTES
from workbench.units import PAGE_BYTES

REGISTERS = BAR + CONFIG


def warnings(guest):
    return [text for text in guest.device.errors if text.startswith("Blocked")]


def test_the_devices_registers_read_as_zeros_and_qemu_says_so_once():
    guest = Guest().start(REPORTING)
    guest.send(Queue.INFLATE, (REGISTERS + 8, 8, 0))
    guest.send(Queue.INFLATE, (BAR - 2, 4, 0))

    assert guest.traced("handle_output") == [("low", 0)] * 3
    assert warnings(guest) == [
        "Blocked re-entrant IO on MemoryRegion: virtio-pci-device-virtio-balloon at addr: 0x8"
    ]


def test_what_begins_before_the_registers_meets_their_first():
    guest = Guest().start(REPORTING)
    guest.send(Queue.INFLATE, (BAR - 2, 4, 0))

    assert warnings(guest)[0].endswith("virtio-pci-common-virtio-balloon at addr: 0x0")


def test_nothing_is_read_of_registers_that_the_device_may_write():
    guest = Guest().start(REPORTING)
    guest.report((REGISTERS, PAGE_BYTES))

    assert guest.traced("bad_addr") == [(REGISTERS,)]
    assert warnings(guest) == []


def test_a_table_in_registers_holds_zeros():
    guest = Guest().start(REPORTING)
    guest.do(("chain", 4, [(REGISTERS, 32, 4, 0)]), ("kick", 4))

    assert guest.device.errors[1:] == ["virtio: zero sized buffers are not allowed"]


@pytest.mark.parametrize(("room", "fits"), [(16 * 32, True), (16 * 32 - 1, False)])
def test_rings_may_not_go_on_in_another_kind_of_registers(room, fits):
    guest = Guest().start(REPORTING, Queue.REPORT)
    guest.write_register(pci.QUEUE_DESC, 4, REGISTERS + STRUCTURE_BYTES - room)
    guest.write_register(pci.QUEUE_DESC + 4, 4, 0)
    guest.write_register(pci.QUEUE_ENABLE, 2, 1)

    assert guest.device.errors == ([] if fits else ["Cannot map desc"])


def test_what_is_written_to_a_ring_in_registers_is_lost():
    guest = Guest().start(REPORTING, Queue.REPORT)
    guest.write_register(pci.QUEUE_DEVICE, 4, REGISTERS)
    guest.write_register(pci.QUEUE_ENABLE, 2, 1)
    guest.report((PAGE, PAGE_BYTES))

    assert len(guest.discards()) == 1
    assert warnings(guest)[0].endswith("at addr: 0x4")
    assert guest.isr() == 1
