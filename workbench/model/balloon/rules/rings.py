"""Sections 2.2 to 2.4: rings, what a descriptor is mapped to, errors and interrupts."""

from __future__ import annotations

from typing import Final

from workbench.model.balloon.rules.rule import define

# --- the split ring

RING_AVAIL_JUMP: Final = define(
    "2.2",
    "ring.avail-jump",
    "An available index that jumps by more than the queue's size is not noticed: old entries are "
    "served again.",
)
RING_AVAIL_EVENT: Final = define(
    "2.2",
    "ring.avail-event",
    "With EVENT_IDX the device writes avail_event for each element it takes.",
)
RING_SIZE_EXCEEDED: Final = define(
    "2.2", "ring.size-exceeded", "Taking more than a queue holds breaks the device."
)
RING_BAD_HEAD: Final = define(
    "2.2", "ring.bad-head", "A head index beyond the queue breaks the device."
)
RING_BAD_NEXT: Final = define(
    "2.2", "ring.bad-next", "A next index beyond the table breaks the device."
)
RING_LOOP: Final = define(
    "2.2", "ring.loop", "A chain with more descriptors than its table breaks the device."
)
RING_WRONG_ORDER: Final = define(
    "2.2", "ring.wrong-order", "A readable descriptor behind a writable one breaks the device."
)
RING_INDIRECT: Final = define("2.2", "ring.indirect", "An indirect table is followed.")
RING_INDIRECT_SIZE: Final = define(
    "2.2",
    "ring.indirect-size",
    "An indirect table of no bytes, or not a multiple of 16, breaks the device.",
)
RING_INDIRECT_LONG: Final = define(
    "2.2", "ring.indirect-long", "An indirect table may be longer than the queue."
)
RING_INDIRECT_NOWHERE: Final = define(
    "2.2", "ring.indirect-nowhere", "An indirect table that is no memory reads as zeros."
)
RING_INDIRECT_CUT: Final = define(
    "2.2",
    "ring.indirect-cut",
    "An indirect table that does not lie in one piece of memory breaks the device.",
)
RING_NESTED_INDIRECT: Final = define(
    "2.2", "ring.indirect-nested", "The INDIRECT flag inside an indirect table is ignored."
)
RING_LATE_INDIRECT: Final = define(
    "2.2", "ring.indirect-late", "So is that of a descriptor that another one leads to."
)
RING_ALL_OR_NOTHING: Final = define(
    "2.2", "ring.all-or-nothing", "Of a chain with a fatal descriptor nothing is done."
)
RING_UNMAPPABLE: Final = define(
    "2.2", "ring.unmappable", "Rings that do not lie in one piece of memory break the device."
)
RING_GROWN: Final = define(
    "2.2", "ring.grown", "A queue that was made larger than its mapped rings breaks the device."
)

# --- the packed ring

PACKED_POP: Final = define(
    "2.2", "packed.pop", "Elements of a packed ring are taken and returned by buffer id."
)
PACKED_CHAIN: Final = define(
    "2.2", "packed.chain", "A chain comes back in one place, under the id of its first descriptor."
)
PACKED_WRAP: Final = define(
    "2.2", "packed.wrap", "The wrap counter of a packed ring turns at the ring's end."
)

# --- mapping

MAP_SPLITS: Final = define(
    "2.2", "map.splits", "A descriptor is split where a RAM block or its mapping ends."
)
MAP_RUNS_OUT: Final = define(
    "2.2",
    "map.runs-out",
    "Of a descriptor that runs out of memory by at most a page, the part in memory counts.",
)
MAP_RUNS_IN: Final = define(
    "2.2", "map.runs-in", "So it does where a descriptor begins up to a page before memory."
)
MAP_ZERO: Final = define("2.2", "map.zero-sized", "A descriptor of no bytes breaks the device.")
MAP_BOGUS: Final = define(
    "2.2", "map.bogus", "A second stretch of a chain that is no memory breaks the device."
)
MAP_BOGUS_LONG: Final = define(
    "2.2", "map.bogus-long", "A stretch of more than a page that is no memory breaks the device."
)
MAP_BOUNCE_HELD: Final = define(
    "2.2",
    "map.bounce-held",
    "There is one bounce buffer: while statistics hold it, any stretch that is no memory breaks "
    "the device.",
)
MAP_BOUNCE_CLIPPED: Final = define(
    "2.2", "map.bounce-clipped", "A stretch of firmware ends where the firmware does."
)
MAP_BOUNCE_UNCLIPPED: Final = define(
    "2.2",
    "map.bounce-unclipped",
    "A stretch where nothing is takes in what follows, up to a page.",
)
MAP_BOUNCE_READ: Final = define(
    "2.2", "map.bounce-read", "What is read where no memory is reads as zeros."
)
MAP_FIRMWARE: Final = define("2.2", "map.firmware", "Firmware is no memory that can be written.")
MAP_FIRMWARE_READ: Final = define(
    "2.2", "map.firmware-read", "Firmware is memory that can be read."
)
MAP_LAST_PAGE: Final = define(
    "2.2", "map.last-page", "The last page of all addresses is a stretch like any other."
)
MAP_WRAPS: Final = define("2.2", "map.wraps", "Behind the last address comes the first.")
MAP_MOST: Final = define("2.2", "map.most", "An element of 1024 pieces is taken.")
MAP_TOO_MANY: Final = define("2.2", "map.too-many", "More than 1024 pieces break the device.")

# --- errors

ERROR_MODERN: Final = define(
    "2.3", "error.modern", "An error sets NEEDS_RESET and announces a configuration change."
)
ERROR_EARLY: Final = define(
    "2.3", "error.early", "Before DRIVER_OK it sets NEEDS_RESET and announces nothing."
)
ERROR_LEGACY: Final = define(
    "2.3", "error.legacy", "Without VERSION_1 an error shows in no register."
)
ERROR_NOT_RETURNED: Final = define(
    "2.3", "error.not-returned", "A broken device returns no element."
)

# --- interrupts

NOTIFY_PLAIN: Final = define("2.4", "notify.plain", "Every completed element interrupts.")
NOTIFY_SUPPRESSED: Final = define(
    "2.4", "notify.suppressed", "NO_INTERRUPT suppresses the interrupt."
)
NOTIFY_ON_EMPTY: Final = define(
    "2.4",
    "notify.on-empty",
    "With NOTIFY_ON_EMPTY an emptied queue interrupts in spite of NO_INTERRUPT.",
)
NOTIFY_ON_EMPTY_LATER: Final = define(
    "2.4",
    "notify.on-empty-later",
    "It does not before the queue is empty and nothing of it is in use.",
)
NOTIFY_EVENT_FIRST: Final = define(
    "2.4", "notify.event-first", "With EVENT_IDX the first completion interrupts."
)
NOTIFY_EVENT_PASSED: Final = define(
    "2.4",
    "notify.event-passed",
    "With EVENT_IDX the completion that passes used_event interrupts.",
)
NOTIFY_EVENT_WAITS: Final = define(
    "2.4", "notify.event-waits", "With EVENT_IDX no other completion interrupts."
)
PACKED_NOTIFY: Final = define(
    "2.4", "packed.notify", "A packed ring's driver is interrupted when it enables that."
)
PACKED_SUPPRESSED: Final = define(
    "2.4", "packed.suppressed", "A packed ring's driver is not interrupted when it disables that."
)
PACKED_EVENT: Final = define(
    "2.4", "packed.event", "A packed ring's driver can ask for one interrupt at one place."
)
NOTIFY_CONFIG: Final = define(
    "4.7",
    "notify.config",
    "A configuration change sets both ISR bits and counts the generation up.",
)
NOTIFY_CONFIG_EARLY: Final = define(
    "5.6", "notify.config-early", "Before DRIVER_OK a configuration change is not announced."
)
RING_REMAPPED: Final = define(
    "2.2",
    "ring.remapped",
    "Rings are mapped for a changed size when the map of memory changes, and when a migration "
    "begins or ends.",
)
RING_ASTRAY: Final = define(
    "2.2",
    "ring.astray",
    "Of an access to a ring or a table where no memory is, what is beyond the first four bytes "
    "goes to the guest address that is the offset in the ring.",
)
MAP_REGISTERS: Final = define(
    "2.2",
    "map.registers",
    "While it serves a kick, the device finds zeros in its own registers, and QEMU warns once.",
)
NOTIFY_LINE_STAYS: Final = define(
    "2.4",
    "notify.line-stays",
    "A broken device, or one without the right to access memory, sets the ISR and does not raise "
    "its line.",
)
