"""What a device sees of a Linux driver that sets it up."""

import errno

import pytest

from workbench.model import GuestPoison
from workbench.model.balloon.offer import QUEUE_SIZES, Offer, Properties, Queue, make_offer
from workbench.model.linux_driver import LINUX_5_7, LINUX_6_1_188, LINUX_MM_2026
from workbench.model.probe_order import (
    EnableQueue,
    Kick,
    ReadConfig,
    SetStatus,
    SetUpQueue,
    WriteConfig,
    WriteFeatures,
    probe_steps,
)

PLAIN = GuestPoison(init_on_free=False, page_poisoning=False)
ZEROING = GuestPoison(init_on_free=True, page_poisoning=False)
PATTERNED = GuestPoison(init_on_free=False, page_poisoning=True)
EVERYTHING = make_offer(Properties(free_page_reporting=True, free_page_hint=True))
EARLY_PRIME = Kick(2)
READY, FAILED = SetStatus(0x0F), SetStatus(0x8B)


def steps_of(guest=PLAIN, offer=EVERYTHING, driver=LINUX_5_7, **entries):
    """List the steps of a probe, which must end with the error that is given."""
    error = entries.pop("error", 0)
    sizes = {**QUEUE_SIZES, **{Queue[name]: size for name, size in entries.items()}}
    probe = probe_steps(guest, offer, driver=driver, ring_entries=sizes)
    assert probe.error == error
    return list(probe.steps)


def test_a_debian_guest_with_everything():
    """Word for word what a live guest did (Debian 6.1.192, init_on_free=1, QEMU 7.2)."""
    assert steps_of(ZEROING, driver=LINUX_6_1_188) == [
        SetStatus(0),
        SetStatus(1),
        SetStatus(3),
        WriteFeatures(0x101_3000003A),
        WriteFeatures(0x101_2000003A),
        SetStatus(0x0B),
        SetUpQueue(0, 128),
        SetUpQueue(1, 128),
        SetUpQueue(2, 128),
        SetUpQueue(3, 1024),
        SetUpQueue(4, 32),
        EnableQueue(0),
        EnableQueue(1),
        EnableQueue(2),
        EnableQueue(3),
        EnableQueue(4),
        Kick(2),
        WriteConfig(12, 4, 0),
        SetStatus(0x0F),
        ReadConfig(0, 4),
    ]


def test_a_kernel_of_5_7_writes_its_features_once():
    written = [step for step in steps_of() if isinstance(step, WriteFeatures)]

    assert written == [WriteFeatures(0x1_3000002A)]


@pytest.mark.parametrize(
    ("guest", "writes"),
    [
        (PLAIN, []),
        (ZEROING, [WriteConfig(12, 4, 0)]),
        (PATTERNED, [WriteConfig(12, 4, 0xAAAAAAAA)]),
    ],
)
def test_poison_val_is_written_before_the_device_is_live(guest, writes):
    steps = steps_of(guest)

    assert [step for step in steps if isinstance(step, WriteConfig)] == writes
    assert all(steps.index(EARLY_PRIME) < steps.index(step) < steps.index(READY) for step in writes)


def test_a_guest_that_drops_reporting_sets_up_no_queue_for_it():
    offer = make_offer(Properties(page_poison=False, free_page_reporting=True))
    queues = [step for step in steps_of(ZEROING, offer) if isinstance(step, SetUpQueue)]

    assert queues == [SetUpQueue(0, 128), SetUpQueue(1, 128), SetUpQueue(2, 128)]


def test_newer_drivers_send_the_first_statistics_when_the_device_is_live():
    early, late = steps_of(), steps_of(driver=LINUX_MM_2026)

    assert early.index(Kick(2)) < early.index(READY)
    assert late[late.index(READY) :] == [READY, Kick(2), ReadConfig(0, 4)]


@pytest.mark.parametrize("driver", [LINUX_5_7, LINUX_MM_2026])
def test_without_a_stats_queue_nothing_is_kicked(driver):
    """QEMU always has one; others need not."""
    offer = Offer(features=1 << 32, config_bytes=8, queues=(Queue.INFLATE, Queue.DEFLATE))
    steps = steps_of(offer=offer, driver=driver)

    assert [step for step in steps if isinstance(step, Kick)] == []
    assert steps[-2:] == [READY, ReadConfig(0, 4)]


def test_a_hint_ring_without_room_for_a_page_beside_the_command_id():
    """The statistics are sent by then, poison_val is not."""
    steps = steps_of(ZEROING, HINT=1, error=-errno.ENOSPC)

    assert steps[-2:] == [Kick(2), FAILED]
    assert steps_of(ZEROING, HINT=2)[-2:] == [READY, ReadConfig(0, 4)]


def test_a_newer_driver_needs_two_entries_for_hints_too():
    steps = steps_of(driver=LINUX_MM_2026, HINT=1, error=-errno.ENOSPC)

    assert steps[-2:] == [EnableQueue(4), FAILED]


def test_a_reporting_ring_that_cannot_hold_a_whole_report():
    """poison_val is written by then."""
    steps = steps_of(PATTERNED, REPORT=16, error=-errno.ENOSPC)

    assert steps[-2:] == [WriteConfig(12, 4, 0xAAAAAAAA), FAILED]
    assert SetUpQueue(4, 16) in steps


def test_newer_drivers_make_do_with_a_small_reporting_ring():
    assert READY in steps_of(driver=LINUX_MM_2026, REPORT=16)


def test_small_rings_do_not_matter_to_who_does_not_negotiate_them():
    offer = make_offer(Properties(page_poison=False, free_page_reporting=True))

    assert READY in steps_of(ZEROING, offer, HINT=1, REPORT=1)


def test_a_mistaken_driver_finds_the_ring_that_is_there():
    """Nobody declines FREE_PAGE_HINT; this device has the two queues the other way round."""
    queues = (Queue.INFLATE, Queue.DEFLATE, Queue.STATS, Queue.REPORT, Queue.HINT)
    offer = Offer(features=EVERYTHING.features, config_bytes=16, queues=queues)
    steps = steps_of(offer=offer)

    assert SetUpQueue(3, 32) in steps
    assert SetUpQueue(4, 1024) in steps
