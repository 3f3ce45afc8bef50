"""How a Linux driver sets the balloon up: every step of it that the device sees, in order.

The modern PCI interface.  Reads are left out, but for those of the config space: QEMU refreshes its
copy of it at each.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.model.balloon.offer import QUEUE_SIZES, Queue
from workbench.model.negotiation import features_written, has
from workbench.model.queue_numbers import driver_queues
from workbench.schema import CONFIG_POISON_OFFSET_BYTES, Feature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.model.balloon.offer import Offer
    from workbench.model.linux_driver import LinuxDriver
    from workbench.model.negotiation import GuestPoison

ACKNOWLEDGE: Final = 1
DRIVER: Final = 2
DRIVER_OK: Final = 4
FEATURES_OK: Final = 8
FAILED: Final = 128
"""Bits of the device status (virtio 1.2, 2.1)."""

HINT_RING_ENTRIES_MIN: Final = 2
"""One is kept free for the command id (Linux virtio_balloon.c, virtballoon_probe)."""

REPORT_RING_ENTRIES_MIN: Final = 32
"""Linux include/linux/page_reporting.h, PAGE_REPORTING_CAPACITY."""

CONFIG_NUM_PAGES_OFFSET_BYTES: Final = 0
CONFIG_FIELD_BYTES: Final = 4
"""All fields of the config space are this long, and read and written whole (virtio 1.2, 5.5.4)."""


class SetStatus(NamedTuple):
    """The driver wrote the device status."""

    value: int


class WriteFeatures(NamedTuple):
    """The driver wrote its features, both halves."""

    bits: int


class SetUpQueue(NamedTuple):
    """The driver chose a queue's size, and then told its addresses."""

    number: int
    entries: int


class EnableQueue(NamedTuple):
    """The driver switched a queue on."""

    number: int


class Kick(NamedTuple):
    """The driver said that there is something in a queue."""

    number: int


class ReadConfig(NamedTuple):
    """The driver read the config space."""

    offset_bytes: int
    length_bytes: int


class WriteConfig(NamedTuple):
    """The driver wrote the config space."""

    offset_bytes: int
    length_bytes: int
    value: int


Step = SetStatus | WriteFeatures | SetUpQueue | EnableQueue | Kick | ReadConfig | WriteConfig


class Probe(NamedTuple):
    """A driver's attempt at a device."""

    steps: tuple[Step, ...]
    error: int
    """0, or why the attempt failed: a negative error number of Linux.  The device is not reset
    then: its queues stay enabled, though their memory is freed (virtio_pci_modern.c, del_vq)."""


def probe_steps(
    guest: GuestPoison,
    offer: Offer,
    *,
    driver: LinuxDriver,
    ring_entries: Mapping[Queue, int] = QUEUE_SIZES,
) -> Probe:
    """List what the driver does, from the reset to the first look at the target size.

    A target other than 0 then starts work, in a thread of its own; the first reports follow 2 s
    after the driver is ready.

    Parameters
    ----------
    ring_entries
        The sizes of the device's rings: powers of two, for the transport takes no others.

    Source: Linux drivers/virtio/virtio_balloon.c, virtballoon_probe(), between what
    drivers/virtio/virtio.c does: register_virtio_device() and virtio_dev_probe().
    """
    written = features_written(guest, offer.features, driver)
    features = written[-1]
    number = {queue: n for n, queue in enumerate(driver_queues(features))}
    # By number: a driver that is mistaken about a queue still finds the ring that is there.
    entries = {queue: ring_entries[offer.queues[n]] for queue, n in number.items()}
    prime = [Kick(number[Queue.STATS])] if Queue.STATS in number else []
    steps: list[Step] = [*_start(written), *_set_up(tuple(entries.values()))]
    failed = SetStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK | FAILED)

    if driver.primes_stats_early:
        steps += prime
    if Queue.HINT in entries and entries[Queue.HINT] < HINT_RING_ENTRIES_MIN:
        return Probe((*steps, failed), -errno.ENOSPC)
    if has(features, Feature.PAGE_POISON):
        poison = WriteConfig(CONFIG_POISON_OFFSET_BYTES, CONFIG_FIELD_BYTES, guest.poison_val)
        steps.append(poison)
    if (
        driver.needs_whole_reports
        and Queue.REPORT in entries
        and entries[Queue.REPORT] < REPORT_RING_ENTRIES_MIN
    ):
        return Probe((*steps, failed), -errno.ENOSPC)
    steps.append(SetStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK))
    if not driver.primes_stats_early:
        steps += prime
    steps.append(ReadConfig(CONFIG_NUM_PAGES_OFFSET_BYTES, CONFIG_FIELD_BYTES))
    return Probe(tuple(steps), 0)


def _start(written: tuple[int, ...]) -> list[Step]:
    """Up to FEATURES_OK: virtio_features_ok() is called after the last features are written."""
    return [
        SetStatus(0),
        SetStatus(ACKNOWLEDGE),
        SetStatus(ACKNOWLEDGE | DRIVER),
        *(WriteFeatures(bits) for bits in written),
        SetStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK),
    ]


def _set_up(entries: tuple[int, ...]) -> list[Step]:
    """All queues are set up before any is enabled (virtio_pci_modern.c, vp_modern_find_vqs)."""
    return [
        *(SetUpQueue(number, size) for number, size in enumerate(entries)),
        *(EnableQueue(number) for number in range(len(entries))),
    ]
