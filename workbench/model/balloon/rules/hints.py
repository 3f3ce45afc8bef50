"""Section 4: free page hinting."""

from __future__ import annotations

from typing import Final

from workbench.model.balloon.rules.rule import define

# --- what a migration does

HINT_NOT_NEGOTIATED: Final = define(
    "4.3", "hint.not-negotiated", "Without FREE_PAGE_HINT a migration changes nothing."
)
HINT_POSTCOPY: Final = define(
    "4.3", "hint.postcopy", "With the capability postcopy-ram a migration changes nothing."
)
HINT_STARTS: Final = define(
    "4.3", "hint.starts", "After a bitmap sync the next command id is requested."
)
HINT_WRAPS: Final = define("4.1", "hint.wraps", "The command id wraps to 0x80000000.")
HINT_COUNTER_KEPT: Final = define(
    "4.1", "hint.counter-kept", "A reset keeps the counter of command ids."
)
HINT_STOPS: Final = define("4.3", "hint.stops", "Before a bitmap sync hinting stops.")
HINT_RESET_STOPS: Final = define("4.4", "hint.reset-stops", "At a reset hinting stops.")
HINT_DONE_STOPPED: Final = define(
    "4.3",
    "hint.done-stopped",
    "After a bitmap sync of a VM that is stopped, for the end or by others, the driver reads DONE.",
)
HINT_DONE: Final = define(
    "4.3", "hint.done", "When a migration fails or is cancelled, the driver reads DONE."
)
HINT_DONE_UNASKED: Final = define(
    "4.3",
    "hint.done-unasked",
    "Nothing must have been requested for that: a reset driver reads DONE, and so does one after "
    "a background snapshot.",
)
HINT_DONE_ALREADY: Final = define(
    "4.3", "hint.done-already", "The end of what is done is not announced again."
)
HINT_EVENT_IGNORED: Final = define(
    "4.3", "hint.event-ignored", "That a migration is set up, or complete, changes nothing."
)

# --- what the driver reads

HINT_READS_STOP: Final = define("4.2", "hint.reads-stop", "When hinting is stopped it reads 0.")
HINT_READS_ID: Final = define(
    "4.2", "hint.reads-id", "While hints are requested the driver reads the command id."
)
HINT_READS_ZERO_IN_START: Final = define(
    "4.2",
    "hint.reads-zero",
    "While hinting runs the driver reads 0, as when it is stopped.",
)
HINT_READS_DONE: Final = define("4.2", "hint.reads-done", "When it is done the driver reads 1.")

# --- commands

HINT_ACCEPTED: Final = define("4.5", "hint.accepted", "The requested id starts hinting.")
HINT_WRONG_ID: Final = define(
    "4.5", "hint.wrong-id", "Another id is ignored, and the request stands."
)
HINT_DRIVER_STOPS: Final = define(
    "4.5", "hint.driver-stops", "Another command ends the hinting that runs."
)
HINT_SAME_ID_STOPS: Final = define(
    "4.5", "hint.same-id-stops", "So does the id that started it, sent again."
)
HINT_NO_RESTART: Final = define(
    "4.5", "hint.no-restart", "An id whose hinting has ended does not start it again."
)
HINT_IGNORED_COMMAND: Final = define(
    "4.5", "hint.ignored-command", "A command is ignored where none was requested."
)
HINT_LONG_COMMAND: Final = define(
    "4.5", "hint.long-command", "Of a longer command the first four bytes count."
)
HINT_GATHERED: Final = define(
    "4.5", "hint.gathered", "A command may be scattered over several pieces."
)
HINT_SHORT_COMMAND: Final = define(
    "4.5",
    "hint.short-command",
    "A command of fewer than four bytes breaks the device, and is not returned.",
)
HINT_WITH_COMMAND: Final = define(
    "4.5",
    "hint.with-command",
    "Pages in the element of the command that starts hinting count.",
)

# --- pages

HINT_IGNORED_PAGES: Final = define(
    "4.5", "hint.ignored-pages", "Pages are ignored unless hinting runs."
)
HINT_NO_MIGRATION: Final = define(
    "4.6", "hint.no-migration", "Pages are ignored where hinting runs without a migration."
)
HINT_PAGES: Final = define("4.6", "hint.pages", "Hinted pages are not sent.")
HINT_EVERY_PIECE: Final = define(
    "4.5", "hint.every-piece", "All pieces of an element are hints, not the first alone."
)
HINT_KEEPS_MEMORY: Final = define(
    "4.6", "hint.keeps-memory", "Hinted memory is not discarded: its content stays."
)
HINT_POISONED: Final = define("4.6", "hint.poisoned", "Hinting ignores poison_val.")
HINT_UNALIGNED: Final = define(
    "4.6", "hint.unaligned", "A hint that begins in a page counts from that page's beginning."
)
HINT_SHORT: Final = define(
    "4.6", "hint.short", "What a hint has beyond whole pages does not count."
)
HINT_BAD_ADDRESS: Final = define(
    "4.6", "hint.bad-address", "A hint that is no memory is reported once, and skipped."
)
HINT_LENGTH: Final = define(
    "4.5", "hint.length", "Elements of the hint queue come back with a length of 0."
)

# --- the worker

HINT_BLOCKED: Final = define("4.4", "hint.blocked", "While the VM is stopped the hint queue waits.")
HINT_RESUMES: Final = define(
    "4.4", "hint.resumes", "When the VM goes on, the hint queue does too, without a kick."
)
HINT_POLLS: Final = define(
    "4.5", "hint.polls", "While hinting runs, elements are found without a kick."
)
HINT_SPARES_KICKS: Final = define(
    "4.5", "hint.spares-kicks", "Meanwhile the driver is asked to spare its kicks."
)
