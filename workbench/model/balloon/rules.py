"""The rules of the device, each with an id, so that a run can count which of them it exercised.

The sections are named in docs/conformance.md.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from workbench.model.balloon.migration_rules import *  # noqa: F403 - one name for all rules.
from workbench.model.balloon.migration_rules import SENTENCES


class Rule(NamedTuple):
    """One rule, as a sentence."""

    section: str
    statement: str


class Tally(dict[str, int]):
    """How often each rule was exercised, by id; 0 for those that were not."""

    def __missing__(self, rule: str) -> int:
        return 0


FEATURES_OFFERED: Final = "features.offered"
FEATURES_MASKED: Final = "features.masked"
FEATURES_LATE: Final = "features.late"
STATUS_REFUSED: Final = "status.refused"
RESET_KEEPS: Final = "reset.keeps"
BUS_MASTER_OFF: Final = "status.bus-master"
CONFIG_READ: Final = "config.read"
CONFIG_READ_BEYOND: Final = "config.read-beyond"
CONFIG_WRITE_BEYOND: Final = "config.write-beyond"
CONFIG_NARROW: Final = "config.narrow"
CONFIG_STALE: Final = "config.stale-shadow"
CONFIG_READ_ONLY: Final = "config.read-only"
CONFIG_ACTUAL: Final = "config.actual"
QUEUE_SIZES: Final = "queue.sizes"
QUEUE_SIZE_ODD: Final = "queue.size-odd"
QUEUE_SIZE_REFUSED: Final = "queue.size-refused"
QUEUE_RESET: Final = "queue.reset"
QUEUE_ENABLE_ZERO: Final = "queue.enable-zero"
KICK_NOWHERE: Final = "kick.nowhere"
KICK_BROKEN: Final = "kick.broken"
KICK_EARLY: Final = "kick.early"
LEGACY_RINGS: Final = "legacy.rings"
LEGACY_PFN_RESET: Final = "legacy.pfn-reset"
LEGACY_CONFIG: Final = "legacy.config"
LEGACY_BAD_FEATURE: Final = "legacy.bad-feature"
RING_AVAIL_JUMP: Final = "ring.avail-jump"
RING_AVAIL_EVENT: Final = "ring.avail-event"
RING_BAD_HEAD: Final = "ring.bad-head"
RING_BAD_NEXT: Final = "ring.bad-next"
RING_LOOP: Final = "ring.loop"
RING_WRONG_ORDER: Final = "ring.wrong-order"
RING_INDIRECT: Final = "ring.indirect"
RING_INDIRECT_SIZE: Final = "ring.indirect-size"
RING_INDIRECT_LONG: Final = "ring.indirect-long"
RING_NESTED_INDIRECT: Final = "ring.indirect-nested"
RING_UNMAPPABLE: Final = "ring.unmappable"
MAP_SPLITS: Final = "map.splits"
MAP_ZERO: Final = "map.zero-sized"
MAP_BOGUS: Final = "map.bogus"
MAP_TOO_MANY: Final = "map.too-many"
PACKED_POP: Final = "packed.pop"
PACKED_WRAP: Final = "packed.wrap"
PACKED_NOTIFY: Final = "packed.notify"
PACKED_SUPPRESSED: Final = "packed.suppressed"
PACKED_EVENT: Final = "packed.event"
NOTIFY_PLAIN: Final = "notify.plain"
NOTIFY_SUPPRESSED: Final = "notify.suppressed"
NOTIFY_ON_EMPTY: Final = "notify.on-empty"
NOTIFY_EVENT_FIRST: Final = "notify.event-first"
NOTIFY_EVENT_PASSED: Final = "notify.event-passed"
NOTIFY_EVENT_WAITS: Final = "notify.event-waits"
NOTIFY_CONFIG: Final = "notify.config"
NOTIFY_CONFIG_EARLY: Final = "notify.config-early"
ERROR_MODERN: Final = "error.modern"
ERROR_LEGACY: Final = "error.legacy"
REPORT_DISCARDS: Final = "report.discards"
REPORT_ELEMENTS: Final = "report.elements"
REPORT_READABLE: Final = "report.readable"
REPORT_MANY: Final = "report.many"
REPORT_BAD_ADDRESS: Final = "report.bad-address"
REPORT_UNALIGNED: Final = "report.unaligned"
REPORT_UNALIGNED_HUGE: Final = "report.unaligned-huge"
REPORT_INHIBITED: Final = "report.inhibited"
REPORT_POISONED: Final = "report.poisoned"
REPORT_POISON_ZERO: Final = "report.poison-zero"
REPORT_NOT_NEGOTIATED: Final = "report.not-negotiated"
POISON_SET: Final = "poison.set"
POISON_CLEARED: Final = "poison.cleared"
POISON_NOT_NEGOTIATED: Final = "poison.not-negotiated"
POISON_RESET: Final = "poison.reset"
INFLATE_DISCARDS: Final = "inflate.discards"
INFLATE_POISONED: Final = "inflate.poisoned"
INFLATE_INHIBITED: Final = "inflate.inhibited"
INFLATE_BAD_ADDRESS: Final = "inflate.bad-address"
INFLATE_TRAILING: Final = "inflate.trailing"
INFLATE_WRITABLE: Final = "inflate.writable"
INFLATE_HUGE_PART: Final = "inflate.huge-part"
INFLATE_HUGE_WHOLE: Final = "inflate.huge-whole"
INFLATE_HUGE_WARNS: Final = "inflate.huge-warns"
DEFLATE: Final = "deflate"
STATS_HELD: Final = "stats.held"
STATS_SECOND: Final = "stats.second"
STATS_STORED: Final = "stats.stored"
STATS_UNKNOWN_TAG: Final = "stats.unknown-tag"
STATS_TRUNCATED: Final = "stats.truncated"
STATS_POLLED: Final = "stats.polled"
STATS_NOTHING_TO_RETURN: Final = "stats.nothing-to-return"
STATS_INTERVAL_STARTS: Final = "stats.interval-starts"
STATS_INTERVAL_REFUSED: Final = "stats.interval-refused"
STATS_RESET: Final = "stats.reset"
STATS_TAKEN_UP: Final = "stats.taken-up"
QMP_BALLOON: Final = "qmp.balloon"
QMP_BALLOON_REFUSED: Final = "qmp.balloon-refused"
HINT_NOT_NEGOTIATED: Final = "hint.not-negotiated"
HINT_POSTCOPY: Final = "hint.postcopy"
HINT_STARTS: Final = "hint.starts"
HINT_WRAPS: Final = "hint.wraps"
HINT_STOPS: Final = "hint.stops"
HINT_DONE: Final = "hint.done"
HINT_READS_ID: Final = "hint.reads-id"
HINT_READS_ZERO_IN_START: Final = "hint.reads-zero"
HINT_READS_DONE: Final = "hint.reads-done"
HINT_ACCEPTED: Final = "hint.accepted"
HINT_DRIVER_STOPS: Final = "hint.driver-stops"
HINT_IGNORED_COMMAND: Final = "hint.ignored-command"
HINT_IGNORED_PAGES: Final = "hint.ignored-pages"
HINT_SHORT_COMMAND: Final = "hint.short-command"
HINT_PAGES: Final = "hint.pages"
HINT_UNALIGNED: Final = "hint.unaligned"
HINT_BAD_ADDRESS: Final = "hint.bad-address"
HINT_BLOCKED: Final = "hint.blocked"
MIGRATE_STATE: Final = "migrate.state"
MIGRATE_RINGS: Final = "migrate.rings"
MIGRATE_REFUSED: Final = "migrate.refused"
DISCARD_UNMAPS: Final = "discard.unmaps"
DISCARD_PUNCHES: Final = "discard.punches"
DISCARD_PUNCHES_HUGE: Final = "discard.punches-huge"
DISCARD_FAILS: Final = "discard.fails"

MAP_PROBLEMS: Final = {
    "virtio: zero sized buffers are not allowed": MAP_ZERO,
    "virtio: bogus descriptor or out of resources": MAP_BOGUS,
    "virtio: too many write descriptors in indirect table": MAP_TOO_MANY,
}
"""The rule behind each message of the mapping layer."""

RULES: Final[dict[str, Rule]] = {
    FEATURES_OFFERED: Rule(
        "1.1",
        "A modern driver is shown the features by property and machine type, without the "
        "legacy ones.",
    ),
    FEATURES_MASKED: Rule(
        "1.1",
        "Features that were not offered are dropped in silence; FEATURES_OK is not "
        "refused for them.",
    ),
    FEATURES_LATE: Rule("1.1", "Features written after FEATURES_OK have no effect."),
    STATUS_REFUSED: Rule(
        "1.1",
        "The one refusal: FEATURES_OK without ACCESS_PLATFORM where that was offered.",
    ),
    RESET_KEEPS: Rule(
        "1.2",
        "A reset keeps num_pages, actual, the generation, the command id and the shadow "
        "of the config space.",
    ),
    BUS_MASTER_OFF: Rule(
        "1.3",
        "Without the right to access memory, DRIVER_OK is cleared and no queue is served.",
    ),
    CONFIG_READ: Rule("1.2", "A read refreshes the whole shadow, then returns from it."),
    CONFIG_READ_BEYOND: Rule("1.2", "A read that does not fit into the config space returns ones."),
    CONFIG_WRITE_BEYOND: Rule("1.2", "A write that does not fit into the config space is dropped."),
    CONFIG_NARROW: Rule(
        "1.2",
        "Every width is accepted; an unaligned access is split into aligned ones.",
    ),
    CONFIG_STALE: Rule(
        "3.1",
        "A write without a read since the reset brings back the poison_val of before the reset.",
    ),
    CONFIG_READ_ONLY: Rule("1.2", "What is written to num_pages and the command id has no effect."),
    CONFIG_ACTUAL: Rule("5.6", "A changed `actual` is kept, and announced by BALLOON_CHANGE."),
    QUEUE_SIZES: Rule(
        "1.3",
        "The queues are 128, 128, 128, then 1024 for hints and 32 for reports, where offered.",
    ),
    QUEUE_SIZE_ODD: Rule("1.3", "A size above the default, or no power of two, is accepted."),
    QUEUE_SIZE_REFUSED: Rule("1.3", "A size of 0 or above 1024 is ignored."),
    QUEUE_RESET: Rule("1.1", "A single queue can be reset and set up again."),
    QUEUE_ENABLE_ZERO: Rule("2.3", "Writing anything but 1 to queue_enable breaks the device."),
    KICK_NOWHERE: Rule("1.3", "A kick of a queue that is not there, or not set up, is ignored."),
    KICK_BROKEN: Rule("2.3", "A broken device ignores every kick until it is reset."),
    KICK_EARLY: Rule("1.3", "A queue is served before DRIVER_OK."),
    LEGACY_RINGS: Rule("1.3", "The legacy interface takes one address for all three rings."),
    LEGACY_PFN_RESET: Rule("2.3", "Page 0 as the address of a legacy queue resets the device."),
    LEGACY_CONFIG: Rule("1.2", "The config space is little endian on the legacy interface too."),
    LEGACY_BAD_FEATURE: Rule(
        "1.1",
        "A legacy driver that takes feature bit 30 gets no features at all.",
    ),
    RING_AVAIL_JUMP: Rule(
        "2.2",
        "An available index that jumps by more than the queue's size is not noticed: old "
        "entries are served again.",
    ),
    RING_AVAIL_EVENT: Rule(
        "2.2",
        "With EVENT_IDX the device writes avail_event for each element it takes.",
    ),
    RING_BAD_HEAD: Rule("2.2", "A head index beyond the queue breaks the device."),
    RING_BAD_NEXT: Rule("2.2", "A next index beyond the table breaks the device."),
    RING_LOOP: Rule("2.2", "A chain with more descriptors than its table breaks the device."),
    RING_WRONG_ORDER: Rule("2.2", "A readable descriptor behind a writable one breaks the device."),
    RING_INDIRECT: Rule("2.2", "An indirect table is followed."),
    RING_INDIRECT_SIZE: Rule(
        "2.2",
        "An indirect table of no bytes, or not a multiple of 16, breaks the device.",
    ),
    RING_INDIRECT_LONG: Rule("2.2", "An indirect table may be longer than the queue."),
    RING_NESTED_INDIRECT: Rule("2.2", "The INDIRECT flag inside an indirect table is ignored."),
    RING_UNMAPPABLE: Rule("2.2", "Rings that do not lie in one piece of memory break the device."),
    MAP_SPLITS: Rule("2.2", "A descriptor is split where a RAM block or its mapping ends."),
    MAP_ZERO: Rule(
        "2.2",
        "A descriptor of no bytes breaks the device, and nothing of its chain is done.",
    ),
    MAP_BOGUS: Rule("2.2", "A second stretch of a chain that is no memory breaks the device."),
    MAP_TOO_MANY: Rule("2.2", "More than 1024 pieces break the device."),
    PACKED_POP: Rule("2.2", "Elements of a packed ring are taken and returned by buffer id."),
    PACKED_WRAP: Rule("2.2", "The wrap counter of a packed ring turns at the ring's end."),
    PACKED_NOTIFY: Rule("2.4", "A packed ring's driver is interrupted when it enables that."),
    PACKED_SUPPRESSED: Rule(
        "2.4",
        "A packed ring's driver is not interrupted when it disables that.",
    ),
    PACKED_EVENT: Rule("2.4", "A packed ring's driver can ask for one interrupt at one place."),
    NOTIFY_PLAIN: Rule("2.4", "Every completed element interrupts."),
    NOTIFY_SUPPRESSED: Rule("2.4", "NO_INTERRUPT suppresses the interrupt."),
    NOTIFY_ON_EMPTY: Rule("2.4", "With NOTIFY_ON_EMPTY an emptied queue interrupts all the same."),
    NOTIFY_EVENT_FIRST: Rule("2.4", "With EVENT_IDX the first completion interrupts."),
    NOTIFY_EVENT_PASSED: Rule(
        "2.4",
        "With EVENT_IDX the completion that passes used_event interrupts.",
    ),
    NOTIFY_EVENT_WAITS: Rule("2.4", "With EVENT_IDX no other completion interrupts."),
    NOTIFY_CONFIG: Rule(
        "4.7",
        "A configuration change sets both ISR bits and counts the generation up.",
    ),
    NOTIFY_CONFIG_EARLY: Rule("5.6", "Before DRIVER_OK a configuration change is not announced."),
    ERROR_MODERN: Rule("2.3", "An error sets NEEDS_RESET and announces a configuration change."),
    ERROR_LEGACY: Rule("2.3", "Without VERSION_1 an error shows in no register."),
    REPORT_DISCARDS: Rule("2.1", "An aligned range of memory is discarded, and reads as zeros."),
    REPORT_ELEMENTS: Rule(
        "2.1",
        "Each element of a kick gets its own used entry and interrupt decision.",
    ),
    REPORT_READABLE: Rule("2.1", "Readable descriptors of a report are ignored."),
    REPORT_MANY: Rule("2.1", "An element may hold more than 32 ranges."),
    REPORT_BAD_ADDRESS: Rule("2.1", "One stretch of at most a page that is no memory is skipped."),
    REPORT_UNALIGNED: Rule("2.1", "A range that is not whole pages of the block is skipped."),
    REPORT_UNALIGNED_HUGE: Rule(
        "2.1",
        "Alignment is that of the block's own pages and of the offset in the block.",
    ),
    REPORT_INHIBITED: Rule(
        "2.1",
        "While discards are forbidden, elements are returned without effect.",
    ),
    REPORT_POISONED: Rule(
        "2.1",
        "With a poison_val other than 0, elements are returned without effect.",
    ),
    REPORT_POISON_ZERO: Rule(
        "2.1",
        "With PAGE_POISON and a poison_val of 0, ranges are discarded.",
    ),
    REPORT_NOT_NEGOTIATED: Rule(
        "1.3",
        "The reporting queue works although REPORTING was not negotiated.",
    ),
    POISON_SET: Rule(
        "3.1",
        "poison_val is taken at any time once PAGE_POISON is among the driver's features.",
    ),
    POISON_CLEARED: Rule(
        "3.1",
        "poison_val can be cleared again; only when all bytes are zero are ranges discarded.",
    ),
    POISON_NOT_NEGOTIATED: Rule("3.1", "Without PAGE_POISON poison_val stays 0."),
    POISON_RESET: Rule("3.1", "A reset clears poison_val."),
    INFLATE_DISCARDS: Rule("5.1", "Each page frame number is discarded on its own."),
    INFLATE_POISONED: Rule("3.1", "Inflating ignores poison_val."),
    INFLATE_INHIBITED: Rule("5.1", "While discards are forbidden, inflating has no effect."),
    INFLATE_BAD_ADDRESS: Rule(
        "5.1",
        "A page frame number that is no writable memory is skipped, any number of them.",
    ),
    INFLATE_TRAILING: Rule("5.1", "Trailing bytes that make no page frame number are ignored."),
    INFLATE_WRITABLE: Rule("5.1", "Writable descriptors of the inflate queue are ignored."),
    INFLATE_HUGE_PART: Rule("5.2", "A part of a huge page is kept in mind, within one element."),
    INFLATE_HUGE_WHOLE: Rule(
        "5.2",
        "A huge page is discarded when one element has named all of it.",
    ),
    INFLATE_HUGE_WARNS: Rule("5.2", "QEMU warns once about pages larger than 4 KiB."),
    DEFLATE: Rule("5.3", "Deflating changes no content."),
    STATS_HELD: Rule("5.5", "The statistics element is kept."),
    STATS_SECOND: Rule("5.5", "A second element returns the first."),
    STATS_STORED: Rule("5.5", "Numbers with a known tag are stored, the others are unset."),
    STATS_UNKNOWN_TAG: Rule("5.5", "Tags from 10 on are ignored."),
    STATS_TRUNCATED: Rule("5.5", "A truncated record is ignored."),
    STATS_POLLED: Rule("5.5", "The timer returns the element."),
    STATS_NOTHING_TO_RETURN: Rule(
        "5.5",
        "The timer returns nothing where nothing is held or STATS_VQ was not negotiated.",
    ),
    STATS_INTERVAL_STARTS: Rule("5.5", "Switching polling on polls at once."),
    STATS_INTERVAL_REFUSED: Rule("5.5", "An interval below 0 or above 32 bits is refused."),
    STATS_RESET: Rule("5.5", "A reset drops the held element and keeps the numbers."),
    STATS_TAKEN_UP: Rule("5.5", "An element that was in use when the VM stopped is taken again."),
    QMP_BALLOON: Rule("5.6", "`balloon` sets num_pages and announces it every time."),
    QMP_BALLOON_REFUSED: Rule("5.6", "`balloon` refuses 0 and less."),
    HINT_NOT_NEGOTIATED: Rule("4.3", "Without FREE_PAGE_HINT a migration changes nothing."),
    HINT_POSTCOPY: Rule("4.3", "With the capability postcopy-ram a migration changes nothing."),
    HINT_STARTS: Rule("4.3", "After each bitmap sync a new command id is requested."),
    HINT_WRAPS: Rule("4.1", "The command id wraps to 0x80000000."),
    HINT_STOPS: Rule("4.3", "Before a bitmap sync, and at a reset, hinting stops."),
    HINT_DONE: Rule(
        "4.3",
        "When a migration ends in any way, or the VM is stopped, the driver reads DONE.",
    ),
    HINT_READS_ID: Rule("4.2", "While hints are requested the driver reads the command id."),
    HINT_READS_ZERO_IN_START: Rule(
        "4.2",
        "While hinting runs the driver reads 0, as when it is stopped.",
    ),
    HINT_READS_DONE: Rule("4.2", "When it is done the driver reads 1."),
    HINT_ACCEPTED: Rule("4.5", "The requested id starts hinting."),
    HINT_DRIVER_STOPS: Rule(
        "4.5",
        "Any command ends hinting, and the same id does not start it again.",
    ),
    HINT_IGNORED_COMMAND: Rule("4.5", "A command that was not requested is ignored."),
    HINT_IGNORED_PAGES: Rule("4.5", "Pages are ignored unless hinting runs."),
    HINT_SHORT_COMMAND: Rule(
        "4.5",
        "A command of fewer than four bytes breaks the device, and is not returned.",
    ),
    HINT_PAGES: Rule("4.6", "Hinted pages are not sent."),
    HINT_UNALIGNED: Rule("4.6", "An unaligned hint is rounded down, at both ends."),
    HINT_BAD_ADDRESS: Rule("4.6", "A hint that is no memory is reported once, and skipped."),
    HINT_BLOCKED: Rule("4.4", "While the VM is stopped the hint queue waits."),
    MIGRATE_STATE: Rule(
        "3.2",
        "num_pages, actual, poison_val, the hint state and the shadow arrive.",
    ),
    MIGRATE_RINGS: Rule("3.2", "The destination goes on where the source was in its rings."),
    MIGRATE_REFUSED: Rule("3.2", "A destination that lacks a negotiated feature refuses."),
    DISCARD_UNMAPS: Rule("6.1", "Memory without a descriptor is unmapped."),
    DISCARD_PUNCHES: Rule("6.1", "A file or memfd is punched and unmapped."),
    DISCARD_PUNCHES_HUGE: Rule("6.1", "Huge pages are only punched."),
    DISCARD_FAILS: Rule(
        "6.1",
        "Where memory is locked the discard fails, and the element is returned.",
    ),
    **{name: Rule(*sentence) for name, sentence in SENTENCES.items()},
}
"""Every rule, by id."""

UNPROVED: Final = (
    "The levels v22 and 5.1: no binary is at hand; they are tested against tables only.",
    "Inhibitors that need hardware: VFIO, vDPA, SEV, RDMA.",
    "Targets of big-endian order or with pages other than 4 KiB.",
    "Transports other than PCI (MMIO, CCW), MSI-X, and hot-unplug.",
    "Discards that fail for other reasons than locked memory.",
    "Memory of 1 GiB pages.",
    "The device's own registers as its memory, other than in a kick that it serves at once.",
)
"""What the model says without ground truth here."""
