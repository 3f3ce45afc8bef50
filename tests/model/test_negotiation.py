"""All sixteen meetings of a Linux guest and a QEMU device, each stated here.

From Linux v6.1 virtballoon_validate and QEMU 7.2 virtio_balloon_handle_report.
"""

from __future__ import annotations

import itertools

import pytest

from workbench.model import GuestPoison, negotiate

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
    # Both asked for: from Linux 5.11 the pattern wins.
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
