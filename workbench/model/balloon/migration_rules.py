"""Rules of what a migration sends and maps, of registers as memory, and of the timer's clock."""

from __future__ import annotations

from typing import Final

KICK_STARTS: Final = "kick.starts"
RING_REMAPPED: Final = "ring.remapped"
RING_ASTRAY: Final = "ring.astray"
MAP_REGISTERS: Final = "map.registers"
NOTIFY_LINE_STAYS: Final = "notify.line-stays"
STATS_INTERVAL_SAME: Final = "stats.interval-same"
STATS_INTERVAL_CHANGES: Final = "stats.interval-changes"
STATS_CLOCK_STOPPED: Final = "stats.clock-stopped"
STATS_PUT_OFF: Final = "stats.put-off"
MIGRATE_SAVED: Final = "migrate.saved"
MIGRATE_WRITTEN: Final = "migrate.written"
MIGRATE_STALE: Final = "migrate.stale"
MIGRATE_DISCARDED: Final = "migrate.discarded"

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    KICK_STARTS: ("1.3", "A legacy driver's early kick starts the device."),
    RING_REMAPPED: (
        "2.2",
        (
            "Rings are mapped for a changed size when the map of memory changes, and when a "
            "migration begins or ends."
        ),
    ),
    RING_ASTRAY: (
        "2.2",
        (
            "Of an access to a ring or a table where no memory is, what is beyond the first four "
            "bytes goes to the guest address that is the offset in the ring."
        ),
    ),
    MAP_REGISTERS: (
        "2.2",
        "While it serves a kick, the device finds zeros in its own registers, and QEMU warns once.",
    ),
    NOTIFY_LINE_STAYS: (
        "2.4",
        (
            "A broken device, or one without the right to access memory, sets the ISR and does not "
            "raise its line."
        ),
    ),
    STATS_INTERVAL_SAME: ("5.5", "The same interval again changes nothing."),
    STATS_INTERVAL_CHANGES: (
        "5.5",
        "Another interval, or none, forgets a poll that was due.",
    ),
    STATS_CLOCK_STOPPED: ("5.5", "While the VM is stopped the timer waits."),
    STATS_PUT_OFF: ("5.5", "A kick puts off a poll that was due, by a whole interval."),
    MIGRATE_SAVED: (
        "3.2",
        "Registers, rings, features and the interrupt line travel, and what is as usual does not.",
    ),
    MIGRATE_WRITTEN: (
        "3.2",
        (
            "Pages that were written while a migration ran are sent again, rings among them, and "
            "those that a returned range begins within."
        ),
    ),
    MIGRATE_STALE: ("3.2", "What was sent stays there as it was, discarded here or not."),
    MIGRATE_DISCARDED: ("3.2", "A discard during a migration is no write."),
}
"""Section and sentence of each."""
