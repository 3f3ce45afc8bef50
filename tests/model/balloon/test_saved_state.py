"""What a migration saves of the device: its registers, and subsections where they are needed."""

from __future__ import annotations

import pytest

from tests.model.balloon.guest import HINT, PAGE, POISON, REPORTING, STATS, Guest
from workbench.model.balloon import pci
from workbench.model.balloon.machine import BAR
from workbench.model.balloon.migration import load_state, save_state
from workbench.model.balloon.offer import Level, Properties, Queue
from workbench.model.balloon.pci_config import config_space
from workbench.units import PAGE_BYTES

REPORTS = Properties(free_page_reporting=True)
ALWAYS = ("virtio/64bit_features", "virtio/virtqueues", "virtio/extra_state")


def subsections(guest: Guest) -> tuple[str, ...]:
    return save_state(guest.machine).subsections


# --- subsections


def test_a_new_device_sends_what_is_always_sent():
    assert subsections(Guest(REPORTS)) == ALWAYS


def test_a_used_one_sends_what_is_not_as_usual_in_this_order():
    guest = Guest().start(HINT | POISON | REPORTING, size=8)
    guest.report((PAGE, 0))
    guest.do(("bus_master", 0), ("status", 0x4F))

    assert subsections(guest) == (
        "virtio-balloon-device/free-page-report",
        "virtio-balloon-device/page-poison",
        "virtio/64bit_features",
        "virtio/virtqueues",
        "virtio/ringsize",
        "virtio/broken",
        "virtio/extra_state",
        "virtio/started",
        "virtio/packed_virtqueues",
        "virtio/disabled",
    )


def test_until_6_1_page_poison_had_another_name():
    guest = Guest(level=Level.QEMU_5_1).start(POISON)

    assert "vitio-balloon-device/page-poison" in subsections(guest)


def test_poison_and_hints_travel_only_if_they_were_negotiated():
    guest = Guest().start(STATS)

    assert not any("balloon" in name for name in subsections(guest))


# --- whether it was started


@pytest.mark.parametrize(
    ("version", "steps", "started"),
    [
        ((7, 2), (), True),
        ((4, 1), (), True),
        ((4, 0), (), False),
        ((7, 2), (("status", 0xB),), False),
        ((7, 2), (("reset",),), False),
    ],
)
def test_a_driver_that_is_ready_has_started_the_device(version, steps, started):
    guest = Guest(REPORTS, version=version).start(REPORTING)
    guest.do(*steps)

    assert ("virtio/started" in subsections(guest)) is started


@pytest.mark.parametrize(
    ("version", "features", "queue", "started"),
    [
        ((7, 2), 0, 3, True),
        ((4, 0), 0, 3, False),
        ((7, 2), 1 << 32, 3, True),  # The lower half is written first.
        ((7, 2), 1 << 40 | 1 << 32 | 1 << 20, 3, False),
        ((7, 2), 0, 2, False),
    ],
)
def test_an_early_kick_of_a_legacy_driver_starts_it(version, features, queue, started):
    """Not if it asks for what was not offered; nor if the queue is not set up."""
    guest = Guest(REPORTS, version=version)
    guest.do(("reset",), ("features", features), ("queue", 3, 0), ("kick", queue))

    assert ("virtio/started" in subsections(guest)) is started


def test_a_kick_after_driver_ok_starts_nothing_again():
    guest = Guest(REPORTS).start(0, Queue.REPORT, legacy=True)
    guest.kick(Queue.REPORT)

    assert not guest.device.start.on_kick
    assert guest.device.start.started


def test_a_legacy_drivers_kick_starts_it_where_it_arrives_too():
    source = Guest(REPORTS)
    source.do(("reset", True), ("features", 0), ("queue", 3, 0))
    destination = Guest(REPORTS)
    load_state(destination.machine, save_state(source.machine))
    before = destination.device.start.started
    destination.do(("kick", 3))

    assert (before, destination.device.start.started) == (False, True)


# --- the interrupt line


def line(guest: Guest) -> bool:
    return save_state(guest.machine).irq


@pytest.mark.parametrize("legacy", [False, True])
def test_the_line_goes_up_with_an_interrupt_and_down_when_it_is_read(legacy):
    guest = Guest(REPORTS).start(REPORTING, legacy=legacy)
    guest.report((PAGE, PAGE_BYTES))
    up = line(guest)
    if legacy:
        guest.do(("port_read", pci.LEGACY_ISR, 1))
    else:
        guest.isr()

    assert (up, line(guest)) == (True, False)


def test_a_change_of_the_config_space_raises_it():
    guest = Guest(REPORTS).start(REPORTING)
    guest.balloon.set_target(PAGE_BYTES)

    assert line(guest)


def test_an_error_raises_it_and_what_comes_later_does_not():
    guest = Guest(REPORTS).start(REPORTING)
    guest.report((PAGE, 0))
    up = line(guest)
    guest.isr()
    guest.balloon.set_target(PAGE_BYTES)

    assert (up, line(guest), guest.isr()) == (True, False, 3)


def test_a_reset_lowers_it():
    guest = Guest(REPORTS).start(REPORTING)
    guest.balloon.set_target(PAGE_BYTES)
    guest.do(("reset",))

    assert not line(guest)


def test_it_is_up_where_it_arrives():
    source = Guest(REPORTS).start(REPORTING)
    source.balloon.set_target(PAGE_BYTES)
    destination = Guest(REPORTS)
    load_state(destination.machine, save_state(source.machine))

    assert line(destination)


# --- PCI


def test_the_config_space_says_what_the_device_is():
    space = config_space(Guest(REPORTS).machine.pci)

    assert space[:4] == b"\xf4\x1a\x02\x10"
    assert space[4:6] == b"\7\0"
    assert space[0x20:0x28] == (BAR | 0xC).to_bytes(8, "little")
    assert [space[place] for place in (0x34, 0x84, 0x85, 0x71, 0x61, 0x51, 0x41)] == [
        0x84,
        9,
        0x70,
        0x60,
        0x50,
        0x40,
        0,
    ]


def test_without_the_legacy_interface_it_is_another_device():
    properties = Properties(iommu_platform=True, disable_legacy=True)
    guest = Guest(properties)
    guest.do(("bus_master", 0))
    space = config_space(guest.machine.pci)

    assert space[:9] == b"\xf4\x1a\x45\x10\3\0\x10\0\1"
    assert space[0x10:0x14] == bytes(4)
    assert space[0x2C:0x30] == b"\xf4\x1a\0\x11"
