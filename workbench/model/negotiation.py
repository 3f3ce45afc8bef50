"""What becomes of free page reporting when a Linux guest meets a QEMU device.

Sixteen combinations: what the guest does with free pages, times what the device offers.
Sources: Linux v6.1 drivers/virtio/virtio_balloon.c (virtballoon_validate, virtballoon_probe), whose
rule to drop REPORTING is "virtio-balloon: Disable free page reporting if page poison reporting is
not enabled" (in v5.7); include/linux/poison.h; QEMU 7.2 hw/virtio/virtio-balloon.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PAGE_POISON_VAL: Final = 0xAAAAAAAA
"""What a poisoning guest writes to poison_val: the byte 0xaa four times (linux/poison.h)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestPoison:
    """What a guest writes into pages that it frees."""

    init_on_free: bool
    """Zeroes (Linux boot parameter init_on_free=1)."""
    page_poisoning: bool
    """A pattern (Linux boot parameter page_poison=1, CONFIG_PAGE_POISONING)."""
    poisons_with_zero: bool = False
    """Whether the kernel's pattern is zero (CONFIG_PAGE_POISONING_ZERO, gone from Linux 5.11), or
    it lets init_on_free win where both are asked for."""


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
    fills_free_pages = guest.init_on_free or guest.page_poisoning
    page_poison = offers_page_poison and fills_free_pages
    # Without PAGE_POISON the device could not know that a reported page must keep its content.
    reporting = offers_reporting and (page_poison or not fills_free_pages)
    poison_val = None
    if page_poison:
        patterned = guest.page_poisoning and not guest.poisons_with_zero
        poison_val = PAGE_POISON_VAL if patterned else 0
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


def _judge(*, offers_reporting: bool, reporting: bool, poison_val: int | None) -> tuple[bool, str]:
    if not offers_reporting:
        return False, "the device does not offer REPORTING"
    if not reporting:
        return False, "the driver drops REPORTING, because PAGE_POISON is not offered"
    if poison_val:
        return False, "QEMU discards nothing while poison_val is not 0"
    return True, "the driver reports and QEMU discards"
