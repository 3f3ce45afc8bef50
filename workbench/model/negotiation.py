"""What becomes of the features of a QEMU balloon when a Linux guest meets it.

Sixteen combinations decide about free page reporting: what the guest does with free pages, times
what the device offers.
Sources: Linux v6.1 drivers/virtio/virtio_balloon.c (virtballoon_validate, virtballoon_probe), whose
rule to drop REPORTING is "virtio-balloon: Disable free page reporting if page poison reporting is
not enabled" (in v5.7); include/linux/poison.h; QEMU 7.2 hw/virtio/virtio-balloon.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workbench.model.balloon.offer import ACCESS_PLATFORM, INDIRECT_DESC
from workbench.model.linux_driver import LINUX_5_7, LinuxDriver
from workbench.schema import Feature

PAGE_POISON_VAL: Final = 0xAAAAAAAA
"""What a poisoning guest writes to poison_val: the byte 0xaa four times (linux/poison.h)."""

DRIVER_FEATURES: Final = sum(1 << bit for bit in Feature)
"""The driver knows every feature of the device (features[] in virtio_balloon.c)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestPoison:
    """What a guest writes into pages that it frees."""

    init_on_free: bool
    """Zeroes are asked for (Linux boot parameter init_on_free=1)."""
    page_poisoning: bool
    """A pattern is asked for (Linux boot parameter page_poison=1, CONFIG_PAGE_POISONING)."""
    poisons_with_zero: bool = False
    """Whether the kernel's pattern is zero (CONFIG_PAGE_POISONING_ZERO, which commit f289041ed4cf
    removed in v5.11)."""
    checks_pattern: bool = True
    """Whether the kernel expects to find its pattern again.  Before 5.11 it could be built not to
    (CONFIG_PAGE_POISONING_NO_SANITY, which commit 8f424750baaa removed)."""
    zeroes_beside_pattern: bool = False
    """Whether init_on_free stays on beside a pattern: only Linux 5.13, where
    CONFIG_INIT_ON_FREE_DEFAULT_ON is set ("mm: page_alloc: fix page_poison=1 /
    INIT_ON_ALLOC_DEFAULT_ON interaction" mended it)."""

    @property
    def wants_zeroes(self) -> bool:
        """Whether the guest counts on zeroes: a pattern takes precedence.

        Source: Linux include/linux/mm.h, want_init_on_free(), which asks for it up to 5.10; from
        commit 04013513cc84 (in v5.11) on mm/page_alloc.c, init_mem_debugging_and_hardening().
        """
        return self.init_on_free and (not self.page_poisoning or self.zeroes_beside_pattern)

    @property
    def needs_content(self) -> bool:
        """Whether a free page must keep what is in it.

        Source: Linux drivers/virtio/virtio_balloon.c, virtballoon_validate().
        """
        return self.wants_zeroes or (self.page_poisoning and self.checks_pattern)

    @property
    def poison_val(self) -> int:
        """What the driver tells a device that asks for the content of free pages.

        Source: Linux drivers/virtio/virtio_balloon.c, virtballoon_probe().
        """
        return 0 if self.wants_zeroes or self.poisons_with_zero else PAGE_POISON_VAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiated:
    """What the driver keeps of the offer, and what QEMU does with the reports that follow."""

    page_poison: bool
    reporting: bool
    poison_val: int | None
    """What the driver writes to poison_val; None: it writes nothing."""
    discards: bool
    reason: str


def negotiate(
    guest: GuestPoison, *, offers_page_poison: bool, offers_reporting: bool
) -> Negotiated:
    """Let a Linux driver of 5.7 or later answer an offer."""
    offered = offers_page_poison << Feature.PAGE_POISON | offers_reporting << Feature.REPORTING
    kept = validate(guest, offered, LINUX_5_7)
    page_poison, reporting = has(kept, Feature.PAGE_POISON), has(kept, Feature.REPORTING)
    poison_val = guest.poison_val if page_poison else None
    discards, reason = _judge(
        offers_reporting=offers_reporting, reporting=reporting, poison_val=poison_val
    )
    return Negotiated(
        page_poison=page_poison,
        reporting=reporting,
        poison_val=poison_val,
        discards=discards,
        reason=reason,
    )


def features_written(guest: GuestPoison, offered: int, driver: LinuxDriver) -> tuple[int, ...]:
    """List what the driver writes as its features, in order; the last is in force.

    Parameters
    ----------
    offered
        All feature bits of the device; `Offer.features`.

    Source: Linux drivers/virtio/virtio.c, virtio_dev_probe().
    """
    known = offered & (DRIVER_FEATURES | driver.transport_features)
    kept = validate(guest, known, driver)
    if driver.writes_before_validate and kept != known:
        return known, kept
    return (kept,)


def validate(guest: GuestPoison, features: int, driver: LinuxDriver) -> int:
    """Drop what cannot be had with this guest's memory.  Returns the features that are left.

    Source: Linux drivers/virtio/virtio_balloon.c, virtballoon_validate().
    """
    dropped = 1 << ACCESS_PLATFORM
    if not driver.keeps_indirect:
        dropped |= 1 << INDIRECT_DESC
    if not guest.needs_content:
        dropped |= 1 << Feature.PAGE_POISON
    elif not has(features, Feature.PAGE_POISON):
        # The device could not know that a reported page must keep its content.
        dropped |= 1 << Feature.REPORTING
    return features & ~dropped


def has(features: int, bit: int) -> bool:
    """Whether a feature bit is among these."""
    return bool(features >> bit & 1)


def _judge(*, offers_reporting: bool, reporting: bool, poison_val: int | None) -> tuple[bool, str]:
    if not offers_reporting:
        return False, "the device does not offer REPORTING"
    if not reporting:
        return False, "the driver drops REPORTING, because PAGE_POISON is not offered"
    if poison_val:
        return False, "QEMU discards nothing while poison_val is not 0"
    return True, "the driver reports and QEMU discards"
