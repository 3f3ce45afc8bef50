"""Sections 2.1, 3.1 and 6.1: reports, poison, and what a discard does."""

from __future__ import annotations

from typing import Final

from workbench.model.balloon.rules.rule import define

# --- reports

REPORT_DISCARDS: Final = define(
    "2.1", "report.discards", "An aligned range of memory is discarded, and reads as zeros."
)
REPORT_ELEMENTS: Final = define(
    "2.1",
    "report.elements",
    "Each element of a kick gets its own used entry and interrupt decision.",
)
REPORT_LENGTH: Final = define(
    "2.1", "report.length", "Elements of reports come back with a length of 0."
)
REPORT_READABLE: Final = define(
    "2.1", "report.readable", "Readable descriptors of a report are ignored."
)
REPORT_NOTHING: Final = define(
    "2.1",
    "report.nothing",
    "An element of readable descriptors alone is returned without effect.",
)
REPORT_MANY: Final = define("2.1", "report.many", "An element may hold more than 32 ranges.")
REPORT_GOES_ON: Final = define(
    "2.1", "report.goes-on", "A range that is skipped does not stop those that follow."
)
REPORT_AGAIN: Final = define(
    "2.1", "report.again", "What an element names twice is discarded twice."
)
REPORT_OWN_RING: Final = define(
    "2.1",
    "report.own-ring",
    "The page of the used ring can be reported: it is emptied, and the used entry written then.",
)
REPORT_STOPPED: Final = define(
    "2.1", "report.stopped", "Reports are served while the VM is stopped."
)
REPORT_MIGRATING: Final = define(
    "2.1", "report.migrating", "Reports are served during an outgoing migration."
)
REPORT_BAD_ADDRESS: Final = define(
    "2.1", "report.bad-address", "One stretch of at most a page that is no memory is skipped."
)
REPORT_UNALIGNED: Final = define(
    "2.1", "report.unaligned", "A range that is not whole pages of the block is skipped."
)
REPORT_UNALIGNED_HUGE: Final = define(
    "2.1", "report.unaligned-huge", "The pages are the block's own, be they huge."
)
REPORT_OFFSET: Final = define(
    "2.1",
    "report.offset",
    "Alignment is that of the offset in the block, not of the guest's address.",
)
REPORT_INHIBITED: Final = define(
    "2.1",
    "report.inhibited",
    "While discards are forbidden, elements are returned without effect.",
)
REPORT_POISONED: Final = define(
    "2.1",
    "report.poisoned",
    "With a poison_val other than 0, elements are returned without effect.",
)
REPORT_POISONED_IN_PART: Final = define(
    "3.1", "report.poisoned-in-part", "One byte of poison_val is enough for that."
)
REPORT_POISON_ZERO: Final = define(
    "2.1", "report.poison-zero", "With PAGE_POISON and a poison_val of 0, ranges are discarded."
)

# --- poison

POISON_SET: Final = define(
    "3.1",
    "poison.set",
    "poison_val is taken at any time once PAGE_POISON is among the driver's features.",
)
POISON_BEFORE_FEATURES_OK: Final = define(
    "3.1", "poison.before-features-ok", "FEATURES_OK is not needed for that."
)
POISON_CHANGED: Final = define(
    "3.1", "poison.changed", "poison_val can be changed, also a byte of it."
)
POISON_CLEARED: Final = define(
    "3.1",
    "poison.cleared",
    "poison_val can be cleared again; only when all bytes are zero are ranges discarded.",
)
POISON_NOT_NEGOTIATED: Final = define(
    "3.1", "poison.not-negotiated", "Without PAGE_POISON poison_val stays 0."
)
POISON_KEPT: Final = define(
    "3.1", "poison.kept", "A write to another field keeps poison_val, by way of the shadow."
)
POISON_RESET: Final = define("3.1", "poison.reset", "A reset clears poison_val.")
CONFIG_STALE: Final = define(
    "3.1",
    "config.stale-shadow",
    "A write without a read since the reset brings back the poison_val of before the reset.",
)
CONFIG_ANY_FIELD: Final = define(
    "3.1",
    "config.any-field",
    "Any write does that, even one to a field that cannot be written.",
)

# --- what forbids discards

INHIBIT_COUNTED: Final = define(
    "5.4", "inhibit.counted", "Any part of QEMU can forbid discards, as an incoming COLO stream."
)
INHIBIT_POSTCOPY: Final = define(
    "5.4", "inhibit.postcopy", "An incoming postcopy migration forbids discards."
)
INHIBIT_SNAPSHOT: Final = define(
    "5.4", "inhibit.snapshot", "A background snapshot forbids discards while it lasts."
)

# --- discards

DISCARD_UNMAPS: Final = define(
    "6.1", "discard.unmaps", "Private memory without a descriptor is unmapped."
)
DISCARD_REMOVES: Final = define(
    "6.1", "discard.removes", "Shared memory without a descriptor is removed."
)
DISCARD_PUNCHES: Final = define(
    "6.1", "discard.punches", "A shared file or memfd is punched and unmapped."
)
DISCARD_PUNCHES_PRIVATE: Final = define(
    "6.1", "discard.punches-private", "A private file or memfd is punched and unmapped too."
)
DISCARD_PUNCHES_HUGE: Final = define("6.1", "discard.punches-huge", "Huge pages are only punched.")
DISCARD_FAILS: Final = define(
    "6.1",
    "discard.fails",
    "Where memory is locked the discard fails, and the element is returned.",
)
DISCARD_FAILS_PUNCHED: Final = define(
    "6.1", "discard.fails-punched", "By then the content of a shared file or memfd is gone."
)
