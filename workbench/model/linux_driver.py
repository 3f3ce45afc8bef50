"""How Linux's balloon drivers differ, as far as a device notices.

Behaviours, not version numbers: distributions carry changes back.  Debian's 6.1, from 6.1.188 on,
drops a feature that the 6.1 of its first day kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from workbench.model.balloon.offer import (
    ACCESS_PLATFORM,
    EVENT_IDX,
    INDIRECT_DESC,
    RING_PACKED,
    RING_RESET,
    VERSION_1,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinuxDriver:
    """The driver of one Linux."""

    transport_features: int
    """Features of the transport that it takes wherever they are offered, out of those QEMU has.

    Source: drivers/virtio/virtio_ring.c, vring_transport_features(); RING_RESET:
    drivers/virtio/virtio_pci_modern.c, vp_transport_features().
    """
    writes_before_validate: bool
    """Whether it writes the features that it knows before it thinks about its memory, and, where
    that drops any, once more after.  Otherwise it writes only what is left.

    Source: drivers/virtio/virtio.c, virtio_dev_probe(); "virtio: acknowledge all features before
    access" (in v5.17, and carried back).
    """
    keeps_indirect: bool
    """Whether it takes INDIRECT_DESC.  Without, a report of 32 ranges fills the ring of 32.

    Source: virtballoon_validate(); "virtio_balloon: disable indirect descriptors" (2026; in
    v6.1.188 and others of the stable series).
    """
    primes_stats_early: bool
    """Whether it sends the first buffer of the stats queue before DRIVER_OK.

    Source: init_vqs(); later setup_vqs(), "virtio_balloon: prime stats vq after
    virtio_device_ready()" (2026).
    """
    needs_whole_reports: bool
    """Whether it gives up where the reporting ring cannot hold 32 ranges at once.

    Source: virtballoon_probe(); no longer from "mm: page_reporting: allow driver to set batch
    capacity" (2026) on.
    """


LINUX_5_7: Final = LinuxDriver(
    transport_features=1 << INDIRECT_DESC
    | 1 << EVENT_IDX
    | 1 << VERSION_1
    | 1 << ACCESS_PLATFORM
    | 1 << RING_PACKED,
    writes_before_validate=False,
    keeps_indirect=True,
    primes_stats_early=True,
    needs_whole_reports=True,
)
"""The first with free page reporting.  Read: 5.8.18 and 5.10.13, which are the same here."""

LINUX_5_17: Final = replace(LINUX_5_7, writes_before_validate=True)

LINUX_6_0: Final = replace(
    LINUX_5_17, transport_features=LINUX_5_17.transport_features | 1 << RING_RESET
)
"""Linux commit 04ca0b0b16f1 ("virtio_pci: support VIRTIO_F_RING_RESET") (in v6.0)."""

LINUX_6_1_188: Final = replace(LINUX_6_0, keeps_indirect=False)
"""Held against a live guest: Debian 12's 6.1.192 (tests/live/test_live_negotiation.py)."""

LINUX_MM_2026: Final = replace(LINUX_6_0, primes_stats_early=False, needs_whole_reports=False)
"""The tree of Linux's memory developers, commit a885b5113566, which lacks the change of 6.1.188."""
