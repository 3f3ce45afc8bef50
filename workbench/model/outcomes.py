"""What can become of an event, and what in a captured run can surprise the model, by name."""

from __future__ import annotations

import enum


class Outcome(enum.IntEnum):
    """What the model did with an event."""

    NO_OUTCOME = 0
    """The event moves no page, or nothing had to be decided."""
    DISCARDED = 1
    SKIPPED_INHIBITED = 2
    SKIPPED_POISONED = 3
    SKIPPED_BAD_ADDRESS = 4
    SKIPPED_UNALIGNED = 5
    SKIPPED_OVERRUN = 6
    DISCARD_FAILED = 7
    """QEMU asked for the discard and the host refused, for example because the memory is locked."""
    FIRST_TOUCH = 8
    REFAULT = 9
    """The page had been backed, and a discard had taken it away."""
    SWAPPED_IN = 10
    RESIDENT_ALREADY = 11
    ZERO_PAGE_MAPPED = 12
    SWAPPED_OUT = 13


class Surprise(enum.IntEnum):
    """How what the host did contradicts what the model believed just before.

    The model follows the host and counts.  In a replay as captured, none of them happens where
    every event was seen, the capture began with the guest and no page was swapped.
    """

    NO_SURPRISE = 0
    HUGE_PAGE_NOT_HAD = 1
    """By the rule the host backs 2 MiB; it allocated less, and did not say that it had tried."""
    HUGE_PAGE_UNEXPECTED = 2
    """The host allocated 2 MiB where, by the rule, it cannot."""
    NOTHING_ALLOCATED = 3
    """A write to a page that is not backed made the host allocate nothing."""
    SWAP_OUT_MISSED = 4
    """A page came back from swap that the model held resident."""
    FIRST_TOUCH_MISSED = 5
    """A page came back from swap that the model held never backed."""
    SWAP_IN_MISSED = 6
    """A page in swap was touched, and the host did not say that it came from there."""
    SWAP_OUT_OF_ABSENT = 7
    """The host wrote pages to swap, none of which the model held resident."""
