"""All sixteen meetings of a Linux guest and a QEMU device, each stated here.

From Linux v6.1 virtballoon_validate and QEMU 7.2 virtio_balloon_handle_report.
"""

from __future__ import annotations

import itertools

import pytest

from workbench.model import GuestPoison, negotiate
from workbench.model.balloon.offer import Properties, make_offer
from workbench.model.linux_driver import (
    LINUX_5_7,
    LINUX_5_17,
    LINUX_6_0,
    LINUX_6_1_188,
    LINUX_MM_2026,
)
from workbench.model.negotiation import features_written

PATTERN = 0xAAAAAAAA
NOT_WRITTEN = None
ABSENT = "the device does not offer REPORTING"
DROPPED = "the driver drops REPORTING, because PAGE_POISON is not offered"
POISONED = "QEMU discards nothing while poison_val is not 0"
WORKS = "the driver reports and QEMU discards"

# Guest: init_on_free, page_poisoning.  Device: offers PAGE_POISON, offers REPORTING.
# Then: keeps PAGE_POISON, keeps REPORTING, writes poison_val, host discards, why.
CASES = [
    # A guest that leaves free pages alone has no use for PAGE_POISON.
    ((0, 0), (0, 0), (0, 0), NOT_WRITTEN, False, ABSENT),
    ((0, 0), (0, 1), (0, 1), NOT_WRITTEN, True, WORKS),
    ((0, 0), (1, 0), (0, 0), NOT_WRITTEN, False, ABSENT),
    ((0, 0), (1, 1), (0, 1), NOT_WRITTEN, True, WORKS),
    # A guest that fills them with a pattern: QEMU's zeros would break it.
    ((0, 1), (0, 0), (0, 0), NOT_WRITTEN, False, ABSENT),
    ((0, 1), (0, 1), (0, 0), NOT_WRITTEN, False, DROPPED),
    ((0, 1), (1, 0), (1, 0), PATTERN, False, ABSENT),
    ((0, 1), (1, 1), (1, 1), PATTERN, False, POISONED),
    # A guest that zeroes them: QEMU's zeros are what it wants, once it can say so.
    ((1, 0), (0, 0), (0, 0), NOT_WRITTEN, False, ABSENT),
    ((1, 0), (0, 1), (0, 0), NOT_WRITTEN, False, DROPPED),
    ((1, 0), (1, 0), (1, 0), 0, False, ABSENT),
    ((1, 0), (1, 1), (1, 1), 0, True, WORKS),
    # Both asked for: the pattern wins.
    ((1, 1), (0, 0), (0, 0), NOT_WRITTEN, False, ABSENT),
    ((1, 1), (0, 1), (0, 0), NOT_WRITTEN, False, DROPPED),
    ((1, 1), (1, 0), (1, 0), PATTERN, False, ABSENT),
    ((1, 1), (1, 1), (1, 1), PATTERN, False, POISONED),
]


def test_the_sixteen_are_all_there_are():
    stated = {(guest, device) for guest, device, *_ in CASES}

    assert stated == set(itertools.product(itertools.product((0, 1), repeat=2), repeat=2))


@pytest.mark.parametrize(("guest", "device", "kept", "poison_val", "discards", "reason"), CASES)
def test_what_is_kept_written_and_discarded(guest, device, kept, poison_val, discards, reason):
    result = negotiate(
        GuestPoison(init_on_free=bool(guest[0]), page_poisoning=bool(guest[1])),
        offers_page_poison=bool(device[0]),
        offers_reporting=bool(device[1]),
    )

    assert (result.page_poison, result.reporting) == (bool(kept[0]), bool(kept[1]))
    assert result.poison_val == poison_val
    assert result.discards == discards
    assert result.reason == reason


@pytest.mark.parametrize("init_on_free", [False, True])
@pytest.mark.parametrize("offers_reporting", [False, True])
def test_a_kernel_whose_pattern_is_zero_writes_zero(init_on_free, offers_reporting):
    """The cases that depend on the guest's kernel: the pattern of a kernel before 5.11 may be 0."""
    result = negotiate(
        GuestPoison(init_on_free=init_on_free, page_poisoning=True, poisons_with_zero=True),
        offers_page_poison=True,
        offers_reporting=offers_reporting,
    )

    assert result.poison_val == 0
    assert result.discards == offers_reporting


@pytest.mark.parametrize("init_on_free", [False, True])
@pytest.mark.parametrize("offers_page_poison", [False, True])
def test_a_kernel_that_never_checks_its_pattern_needs_no_page_poison(
    init_on_free, offers_page_poison
):
    """It keeps REPORTING and says nothing: also with init_on_free, which the pattern overrules."""
    result = negotiate(
        GuestPoison(init_on_free=init_on_free, page_poisoning=True, checks_pattern=False),
        offers_page_poison=offers_page_poison,
        offers_reporting=True,
    )

    assert not result.page_poison
    assert result.poison_val is None
    assert result.reason == WORKS


@pytest.mark.parametrize(("init_on_free", "poison_val"), [(True, 0), (False, PATTERN)])
def test_linux_5_13_says_zero_while_it_writes_a_pattern(init_on_free, poison_val):
    """Where init_on_free is its default; QEMU's zeroes then are not the pattern it looks for."""
    guest = GuestPoison(init_on_free=init_on_free, page_poisoning=True, zeroes_beside_pattern=True)
    result = negotiate(guest, offers_page_poison=True, offers_reporting=True)

    assert result.poison_val == poison_val
    assert result.discards == (poison_val == 0)


PLAIN = GuestPoison(init_on_free=False, page_poisoning=False)
ZEROING = GuestPoison(init_on_free=True, page_poisoning=False)

INDIRECT, EVENT_IDX = 1 << 28, 1 << 29
VERSION_1, ACCESS_PLATFORM, RING_RESET = 1 << 32, 1 << 33, 1 << 40
OFFERED = make_offer(Properties(free_page_reporting=True, iommu_platform=True)).features
ALWAYS = EVENT_IDX | VERSION_1

# Guest, driver, features written: STATS_VQ is bit 1, PAGE_POISON bit 4, REPORTING bit 5.
WRITTEN = [
    (PLAIN, LINUX_5_7, [0b100010 | ALWAYS | INDIRECT]),
    (
        PLAIN,
        LINUX_5_17,
        [0b110010 | ALWAYS | INDIRECT | ACCESS_PLATFORM, 0b100010 | ALWAYS | INDIRECT],
    ),
    (
        ZEROING,
        LINUX_6_0,
        [
            0b110010 | ALWAYS | INDIRECT | RING_RESET | ACCESS_PLATFORM,
            0b110010 | ALWAYS | INDIRECT | RING_RESET,
        ],
    ),
    (
        ZEROING,
        LINUX_6_1_188,
        [
            0b110010 | ALWAYS | INDIRECT | RING_RESET | ACCESS_PLATFORM,
            0b110010 | ALWAYS | RING_RESET,
        ],
    ),
    (
        PLAIN,
        LINUX_MM_2026,
        [
            0b110010 | ALWAYS | INDIRECT | RING_RESET | ACCESS_PLATFORM,
            0b100010 | ALWAYS | INDIRECT | RING_RESET,
        ],
    ),
]


@pytest.mark.parametrize(("guest", "driver", "written"), WRITTEN)
def test_what_the_driver_writes_as_its_features(guest, driver, written):
    """A driver never takes what it does not know, and since 5.17 may write twice."""
    assert list(features_written(guest, OFFERED, driver)) == written


def test_features_are_written_once_where_nothing_is_dropped():
    offered = make_offer(Properties(free_page_reporting=True)).features
    expected = 0b110010 | ALWAYS | INDIRECT | RING_RESET

    assert features_written(ZEROING, offered, LINUX_6_0) == (expected,)
