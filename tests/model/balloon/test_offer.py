"""What the driver is offered: features, config space, queues (the book's 1.1 to 1.4)."""

from __future__ import annotations

import pytest

from tests.model.balloon.guest import MODERN, Guest
from workbench.errors import UsageError
from workbench.model.balloon import pci
from workbench.model.balloon.level import Level
from workbench.model.balloon.offer import (
    RING_RESET,
    Properties,
    Queue,
    machine_version,
    make_offer,
    refusal,
    with_compat,
)
from workbench.schema import Feature

INFLATE, DEFLATE, STATS = (Queue.INFLATE, 128), (Queue.DEFLATE, 128), (Queue.STATS, 128)
HINT, REPORT = (Queue.HINT, 1024), (Queue.REPORT, 32)
ALWAYS = (INFLATE, DEFLATE, STATS)

DEFAULT = Properties()
REPORTING = Properties(free_page_reporting=True)
HINTING = Properties(free_page_hint=True)
BOTH = Properties(free_page_reporting=True, free_page_hint=True)
NO_POISON = Properties(page_poison=False)


def balloon_bits(properties, version=(7, 2), level=Level.QEMU_7_2):
    features = make_offer(properties, version, level).features
    return {bit for bit in range(24) if features >> bit & 1}


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        (DEFAULT, {1, 4}),
        (NO_POISON, {1}),
        (Properties(deflate_on_oom=True), {1, 2, 4}),
        (HINTING, {1, 3, 4}),
        (REPORTING, {1, 4, 5}),
        (BOTH, {1, 3, 4, 5}),
        (Properties(page_poison=False, free_page_reporting=True), {1, 5}),
    ],
)
def test_features_follow_the_properties(properties, expected):
    """STATS_VQ always, MUST_TELL_HOST never, PAGE_POISON unless switched off."""
    assert balloon_bits(properties) == expected


@pytest.mark.parametrize(
    ("properties", "version", "expected"),
    [
        (DEFAULT, (7, 2), 0x10130000012),
        (DEFAULT, (7, 1), 0x130000012),
        (DEFAULT, (7, 0), 0x130000012),
        (DEFAULT, (6, 2), 0x130000012),
        (DEFAULT, (5, 1), 0x130000012),
        (REPORTING, (5, 0), 0x130000022),
        (Properties(packed=True), (7, 2), 0x10530000012),
        (Properties(event_idx=False), (7, 2), 0x10110000012),
        (Properties(indirect_desc=False), (7, 2), 0x10120000012),
        (Properties(iommu_platform=True), (7, 2), 0x10330000012),
    ],
)
def test_a_modern_driver_is_shown_the_transports_bits_too(properties, version, expected):
    guest = Guest(properties, version=version)
    halves = []
    for half in (0, 1):
        guest.write_register(pci.DEVICE_FEATURE_SELECT, 4, half)
        halves.append(guest.register(pci.DEVICE_FEATURE, 4))

    assert halves == [expected & 0xFFFFFFFF, expected >> 32]


def test_there_are_no_more_features_than_64():
    guest = Guest()
    guest.write_register(pci.DEVICE_FEATURE_SELECT, 4, 2)

    assert guest.register(pci.DEVICE_FEATURE, 4) == 0


def test_a_legacy_driver_is_shown_the_legacy_bits():
    assert Guest(DEFAULT).do(("port_read", pci.LEGACY_HOST_FEATURES, 4)) == [0x79000012]


@pytest.mark.parametrize(
    ("properties", "version", "expected"),
    [
        (DEFAULT, (7, 2), 16),
        (NO_POISON, (7, 2), 8),
        (Properties(page_poison=False, free_page_hint=True), (7, 2), 12),
        (Properties(page_poison=False, free_page_reporting=True), (7, 2), 8),
        (Properties(page_poison=False, qemu_4_0_config_size=True), (7, 2), 16),
        (
            Properties(page_poison=False, free_page_hint=True, qemu_4_0_config_size=True),
            (7, 2),
            16,
        ),
        (DEFAULT, (5, 1), 16),
        (DEFAULT, (5, 0), 8),
        (DEFAULT, (4, 2), 8),
        (DEFAULT, (4, 1), 8),
        (DEFAULT, (4, 0), 16),
        (DEFAULT, (3, 1), 8),
        (DEFAULT, (2, 12), 8),
        (REPORTING, (5, 0), 8),
        (HINTING, (5, 0), 12),
    ],
)
def test_the_config_space_is_as_long_as_what_is_offered(properties, version, expected):
    """Each field can be read if it is there as a whole."""
    guest = Guest(properties, version=version)
    there = [offset for offset in range(0, 20, 4) if guest.config(offset) != 0xFFFFFFFF]

    assert make_offer(properties, version).config_bytes == expected
    assert there == list(range(0, expected, 4))


@pytest.mark.parametrize(
    ("version", "page_poison", "size_of_4_0"),
    [
        ((7, 2), True, False),
        ((5, 1), True, False),
        ((5, 0), False, False),
        ((4, 2), False, False),
        ((4, 1), False, False),
        ((4, 0), False, True),
        ((3, 1), False, False),
        ((2, 12), False, False),
    ],
)
def test_machine_types_decide_what_nobody_chose(version, page_poison, size_of_4_0):
    chosen = with_compat(DEFAULT, version)

    assert chosen.page_poison is page_poison
    assert chosen.qemu_4_0_config_size is size_of_4_0


@pytest.mark.parametrize("version", [(7, 2), (5, 0), (4, 0)])
def test_a_choice_overrides_the_machine_type(version):
    given = Properties(page_poison=True, qemu_4_0_config_size=False)

    assert with_compat(given, version) == given


@pytest.mark.parametrize(
    ("properties", "level", "expected"),
    [
        (DEFAULT, Level.QEMU_7_2, ALWAYS),
        (REPORTING, Level.QEMU_7_2, (*ALWAYS, REPORT)),
        (HINTING, Level.QEMU_7_2, (*ALWAYS, HINT)),
        (BOTH, Level.QEMU_7_2, (*ALWAYS, HINT, REPORT)),
        (BOTH, Level.QEMU_5_1, (*ALWAYS, HINT, REPORT)),
        (BOTH, Level.V22, (*ALWAYS, REPORT, HINT)),
        (REPORTING, Level.V22, (*ALWAYS, REPORT)),
        (HINTING, Level.V22, (*ALWAYS, HINT)),
    ],
)
def test_queues_are_numbered_by_what_is_offered(properties, level, expected):
    """A driver finds their sizes by selecting them, and none beyond the last."""
    guest = Guest(properties, level=level)
    sizes = []
    for number in range(len(expected) + 1):
        guest.write_register(pci.QUEUE_SELECT, 2, number)
        sizes.append(guest.register(pci.QUEUE_SIZE, 2))

    assert make_offer(properties, level=level).queue_sizes() == expected
    assert guest.register(pci.NUM_QUEUES, 2) == len(expected)
    assert sizes == [*(size for _, size in expected), 0]


def test_negotiating_less_does_not_renumber_the_queues():
    """A driver that takes reporting but not hints finds reports in queue 4 all the same."""
    guest = Guest(BOTH).start(1 << Feature.REPORTING)
    guest.fill()
    guest.report((0x480000, 4096))

    assert guest.number(Queue.REPORT) == 4
    assert guest.is_zero()


def test_a_device_without_the_legacy_interface_does_not_answer_in_ports():
    guest = Guest(Properties(disable_legacy=True))
    guest.machine.execute([("outb", 0xC000 + pci.LEGACY_STATUS, 1)])

    assert guest.machine.execute([("inb", 0xC000 + pci.LEGACY_STATUS)]) == [0xFF]
    assert guest.status() == 0


@pytest.mark.parametrize(
    ("properties", "level", "refused"),
    [
        (HINTING, Level.QEMU_7_2, False),
        (Properties(free_page_hint=True, iothread=False), Level.QEMU_7_2, True),
        (Properties(free_page_hint=True, iothread=False), Level.QEMU_5_1, True),
        (Properties(free_page_hint=True, iothread=False), Level.V22, False),
        (Properties(iothread=False), Level.QEMU_7_2, False),
    ],
)
def test_hints_need_a_thread(properties, level, refused):
    objection = refusal(properties, level)

    assert (objection == "'free-page-hint' requires 'iothread' to be set") is refused
    assert (objection is None) is not refused


def test_a_platform_device_has_no_legacy_interface():
    """With ACCESS_PLATFORM QEMU starts the device only without the legacy interface."""
    assert refusal(Properties(iommu_platform=True)) is not None
    assert refusal(Properties(iommu_platform=True, disable_legacy=True)) is None


def test_a_device_of_an_old_machine_type_does_not_stop_when_it_may_not_access_memory():
    assert make_offer(DEFAULT, (5, 0)).uses_disabled_flag
    assert not make_offer(DEFAULT, (4, 2)).uses_disabled_flag


@pytest.mark.parametrize(
    ("machine_type", "version"),
    [("pc-i440fx-7.2", (7, 2)), ("pc-q35-2.12", (2, 12)), ("pc-i440fx-2.8", (2, 8))],
)
def test_a_machine_type_names_its_version(machine_type, version):
    assert machine_version(machine_type) == version


@pytest.mark.parametrize("machine_type", ["pc", "microvm", ""])
def test_a_machine_type_without_a_version_is_refused(machine_type):
    with pytest.raises(UsageError, match=r"names no version, as in pc-i440fx-7\.2"):
        machine_version(machine_type)


@pytest.mark.parametrize("machine_type", ["pc-i440fx-2.7", "pc-q35-2.4", "pc-i440fx-1.7"])
def test_a_machine_type_with_other_registers_is_refused(machine_type):
    with pytest.raises(UsageError, match=f"'{machine_type}' is too old.*choose version 2.8 or"):
        machine_version(machine_type)


@pytest.mark.parametrize(
    ("level", "offered"), [(Level.V22, False), (Level.QEMU_5_1, False), (Level.QEMU_7_2, True)]
)
def test_without_a_version_the_newest_of_the_level_decides(level, offered):
    """A queue can be reset on its own since 7.2; poison is offered since 5.1."""
    features = make_offer(DEFAULT, level=level).features

    assert bool(features >> RING_RESET & 1) is offered
    assert features >> Feature.PAGE_POISON & 1


def test_version_1_is_always_offered():
    assert make_offer(DEFAULT).features & MODERN
