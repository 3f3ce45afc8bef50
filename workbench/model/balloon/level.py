"""Which QEMU a device is that of, and what its levels do differently: one table.

Source: the patches that the traits name, and QEMU 7.2 hw/virtio/virtio-balloon.c.  Where nothing
is said here all levels are taken to do the same.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Final


class Level(enum.Enum):
    """Which QEMU the device is that of, where they differ."""

    V22 = "v22"
    """The series as posted on 24 April 2020 ("virtio-balloon: Add support for free page
    reporting", version 22); unproved, no binary of it is at hand."""
    QEMU_5_1 = "5.1"
    """The first release with the series; unproved, no binary of it is at hand."""
    QEMU_7_2 = "7.2"
    """Proved against the real device (docs/conformance.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What has changed since the series was posted, in the order in which it did."""

    hint_queue_first: bool = False
    """The hint queue comes before the reporting queue (version 23 of the series)."""
    poison_by_machine_type: bool = False
    """PAGE_POISON is off before machine type 5.1 (version 24, hw_compat_5_0)."""
    hints_need_thread: bool = False
    """Without an iothread a device with hints does not start (5.1, "virtio-balloon: fix free page
    hinting without an iothread")."""
    hints_need_request: bool = False
    """An id begins hinting only while it is asked for (5.1, "virtio-balloon: Prevent guest from
    starting a report when we didn't request one")."""
    migration_ends_done: bool = False
    """A migration's cleanup says DONE, and DONE is said once; it was STOP, at completion and at
    cleanup (5.1, "virtio-balloon: always indicate S_DONE when migration fails")."""
    snapshot_inhibits: bool = False
    """A background snapshot forbids discards (6.0, which brought such snapshots)."""
    postcopy_takes_no_hints: bool = False
    """A migration that may become postcopy asks for no hints (6.0.1 and 6.2)."""
    all_pieces_hint: bool = False
    """All pieces of a hint count, not only the first (6.2, "virtio-balloon: process all in sgs for
    free_page_vq")."""
    lengths_are_zero: bool = False
    """What comes back has length 0, as nothing was written.  It was what had been read of pages
    and polled statistics, and 1 of a hint (6.2, "virtio-balloon: correct used length")."""
    poison_section_is_known: bool = False
    """The section of poison_val is named "virtio-balloon-device/page-poison"; it was misspelt
    (6.2, "virtio-balloon: Fix page-poison subsection name")."""


_QEMU_5_1: Final = Traits(
    hint_queue_first=True,
    poison_by_machine_type=True,
    hints_need_thread=True,
    hints_need_request=True,
    migration_ends_done=True,
)

TRAITS: Final = {
    Level.V22: Traits(),
    Level.QEMU_5_1: _QEMU_5_1,
    Level.QEMU_7_2: replace(
        _QEMU_5_1,
        snapshot_inhibits=True,
        postcopy_takes_no_hints=True,
        all_pieces_hint=True,
        lengths_are_zero=True,
        poison_section_is_known=True,
    ),
}
"""What each level does."""
