"""Section 3.2: what a migration sends, and what arrives at its destination."""

from __future__ import annotations

from typing import Final

from workbench.model.balloon.rules.rule import define

MIGRATE_TARGET: Final = define("3.2", "migrate.target", "num_pages arrives.")
MIGRATE_ACTUAL: Final = define("3.2", "migrate.actual", "`actual` arrives.")
MIGRATE_POISON: Final = define("3.2", "migrate.poison", "poison_val arrives.")
MIGRATE_HINTS: Final = define(
    "3.2", "migrate.hints", "Command id and state of hinting arrive, if hints were negotiated."
)
MIGRATE_SHADOW: Final = define(
    "3.2", "migrate.shadow", "The shadow arrives, with the poison_val of before a reset."
)
MIGRATE_RINGS: Final = define(
    "3.2", "migrate.rings", "The destination goes on where the source was in its rings."
)
MIGRATE_BROKEN: Final = define("3.2", "migrate.broken", "A broken device arrives broken.")
MIGRATE_CONFIG_LENGTH: Final = define(
    "3.2",
    "migrate.config-length",
    "A destination accepts a source whose config space has another length.",
)
MIGRATE_MORE_OFFERED: Final = define(
    "3.2", "migrate.more-offered", "It may offer more than was negotiated at the source."
)
MIGRATE_REFUSED: Final = define(
    "3.2", "migrate.refused", "A destination that lacks a negotiated feature refuses."
)
MIGRATE_RENUMBERED: Final = define(
    "3.2",
    "migrate.renumbered",
    "A queue keeps number and size, also where another handler stands behind that number.",
)
MIGRATE_UNSERVED: Final = define(
    "3.2", "migrate.unserved", "A queue that the destination does not have is served by nobody."
)
MIGRATE_SAVED: Final = define(
    "3.2",
    "migrate.saved",
    "Registers, rings, features and the interrupt line travel, and what is as usual does not.",
)
MIGRATE_WRITTEN: Final = define(
    "3.2",
    "migrate.written",
    "Pages that were written while a migration ran are sent again, rings among them, and those "
    "that a returned range begins within.",
)
MIGRATE_STALE: Final = define(
    "3.2", "migrate.stale", "What was sent stays there as it was, discarded here or not."
)
MIGRATE_DISCARDED: Final = define(
    "3.2", "migrate.discarded", "A discard during a migration is no write."
)
