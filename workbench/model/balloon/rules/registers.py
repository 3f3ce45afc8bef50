"""Section 1: the registers of queues, kicks, and the right to access memory."""

from __future__ import annotations

from typing import Final

from workbench.model.balloon.rules.rule import define

# --- which queues there are

QUEUE_COUNT: Final = define(
    "1.3", "queue.count", "num_queues tells how many queues are offered: 3, 4 or 5."
)
QUEUE_SIZES: Final = define(
    "1.3",
    "queue.sizes",
    "The queues are 128, 128, 128, then 1024 for hints and 32 for reports, where offered.",
)
QUEUE_ABSENT: Final = define("1.3", "queue.absent", "A queue that is not there has a size of 0.")
QUEUE_SELECT_DROPPED: Final = define(
    "1.3", "queue.select-dropped", "Queue 1024, or a later one, cannot be selected."
)
QUEUE_REPORTS_THIRD: Final = define(
    "1.3", "queue.reports-third", "Where no hints are offered, queue 3 is that of reports."
)
QUEUE_REPORTS_FOURTH: Final = define(
    "1.3", "queue.reports-fourth", "Where hints are offered, queue 4 is that of reports."
)
QUEUE_NUMBERS: Final = define(
    "1.3",
    "queue.numbers",
    "Queues are numbered by what is offered: queue 3 is that of hints for a driver that took "
    "reports alone.",
)
REPORT_NOT_NEGOTIATED: Final = define(
    "1.3",
    "report.not-negotiated",
    "The reporting queue works although REPORTING was not negotiated.",
)
HINT_QUEUE_NOT_NEGOTIATED: Final = define(
    "1.3",
    "hint.queue-not-negotiated",
    "The hint queue works although FREE_PAGE_HINT was not negotiated.",
)
STATS_NOT_NEGOTIATED: Final = define(
    "1.3",
    "stats.not-negotiated",
    "The statistics queue works although STATS_VQ was not negotiated.",
)

# --- sizes and resets of queues

QUEUE_SIZE_ODD: Final = define(
    "1.3", "queue.size-odd", "A size above the default, or no power of two, is accepted."
)
QUEUE_SIZE_REFUSED: Final = define(
    "1.3", "queue.size-refused", "A size of 0 or above 1024 is ignored."
)
QUEUE_SIZE_DEFAULT: Final = define(
    "1.3", "queue.size-default", "A reset of the device or of the queue brings the default back."
)
QUEUE_RESET: Final = define("1.1", "queue.reset", "A single queue can be reset and set up again.")
QUEUE_SIZE_LEFT: Final = define(
    "1.1",
    "queue.size-left",
    "Enabling a queue after its reset brings back the size that was written before.",
)
QUEUE_ENABLE_ZERO: Final = define(
    "2.3", "queue.enable-zero", "Writing anything but 1 to queue_enable breaks the device."
)

# --- kicks

KICK_NOWHERE: Final = define(
    "1.3", "kick.nowhere", "A kick of a queue that is not there is ignored."
)
KICK_NOT_SET_UP: Final = define(
    "1.3", "kick.not-set-up", "A kick of a queue that has no rings is ignored."
)
KICK_BROKEN: Final = define(
    "2.3", "kick.broken", "A broken device ignores every kick until it is reset."
)
KICK_EARLY: Final = define("1.3", "kick.early", "A queue is served before DRIVER_OK.")
KICK_BEFORE_FEATURES: Final = define(
    "1.3", "kick.before-features", "A queue is served although FEATURES_OK was never set."
)
KICK_ANY_WIDTH: Final = define("1.3", "kick.any-width", "A kick may be a byte, or four bytes.")
KICK_BY_ADDRESS: Final = define(
    "1.3", "kick.by-address", "The address of a kick tells which queue is meant, not its value."
)

# --- the legacy interface

LEGACY_QUEUE_SIZE: Final = define(
    "1.3", "legacy.queue-size", "A legacy driver reads the size of a queue; it cannot change it."
)
LEGACY_RINGS: Final = define(
    "1.3", "legacy.rings", "The legacy interface takes one address for all three rings."
)
LEGACY_KICK: Final = define(
    "1.3", "legacy.kick", "A legacy driver writes the queue's number to kick it."
)

# --- the right to access memory

BUS_MASTER_OFF: Final = define(
    "1.3",
    "status.bus-master",
    "Without the right to access memory, DRIVER_OK is cleared and no queue is served.",
)
BUS_MASTER_BACK: Final = define(
    "1.3",
    "status.bus-master-back",
    "With it again, queues are served; DRIVER_OK does not come back.",
)
LEGACY_BUS_MASTER: Final = define(
    "1.3",
    "legacy.bus-master",
    "A legacy driver that writes ACKNOWLEDGE and DRIVER gives the device that right.",
)
KICK_STARTS: Final = define("1.3", "kick.starts", "A legacy driver's early kick starts the device.")
