"""Section 1: what the device offers, its config space, and its interrupt status."""

from __future__ import annotations

from typing import Final

from workbench.model.balloon.rules.rule import define

# --- features

FEATURES_OFFERED: Final = define(
    "1.1",
    "features.offered",
    "A modern driver is shown the features by property and machine type, without the legacy ones.",
)
FEATURES_OFFERED_LEGACY: Final = define(
    "1.1",
    "features.offered-legacy",
    "A legacy driver is shown the lower half, with the legacy ones.",
)
FEATURES_PACKED: Final = define(
    "1.1", "features.packed", "Packed rings are offered with `packed=on` alone."
)
FEATURES_MASKED: Final = define(
    "1.1",
    "features.masked",
    "Features that were not offered are dropped in silence; FEATURES_OK is not refused for them.",
)
FEATURES_HIDDEN: Final = define(
    "1.1",
    "features.hidden",
    "A modern driver can take what only legacy drivers are shown.",
)
FEATURES_LATE: Final = define(
    "1.1", "features.late", "Features written after FEATURES_OK have no effect."
)
FEATURES_READ_BACK: Final = define(
    "1.1",
    "features.read-back",
    "The register of the driver's features reads back what was written, taken or not.",
)
STATUS_REFUSED: Final = define(
    "1.1",
    "status.refused",
    "The one refusal: FEATURES_OK without ACCESS_PLATFORM where that was offered.",
)
LEGACY_BAD_FEATURE: Final = define(
    "1.1",
    "legacy.bad-feature",
    "A legacy driver that takes feature bit 30 gets no features at all.",
)

# --- properties and machine types

COMPAT_POISON: Final = define(
    "1.4", "compat.poison", "Machine types before 5.1 do not offer PAGE_POISON by themselves."
)
COMPAT_RING_RESET: Final = define(
    "1.1", "compat.ring-reset", "Machine types before 7.2 do not offer RING_RESET."
)
COMPAT_LENGTH: Final = define(
    "1.4",
    "compat.length",
    "Machine type 4.0 has a config space of 16 bytes although it offers no PAGE_POISON.",
)

# --- config space

CONFIG_LENGTH_FULL: Final = define(
    "1.2", "config.length-full", "Where PAGE_POISON is offered the config space has 16 bytes."
)
CONFIG_LENGTH_HINTS: Final = define(
    "1.2", "config.length-hints", "With hints and without PAGE_POISON it has 12 bytes."
)
CONFIG_LENGTH_LEAST: Final = define(
    "1.2",
    "config.length-least",
    "With neither it has 8 bytes, whether reporting is offered or not.",
)
CONFIG_LENGTH_FIXED: Final = define(
    "1.2",
    "config.length-fixed",
    "With `qemu-4-0-config-size=on` it has 16 bytes, whatever is offered.",
)
CONFIG_READ: Final = define(
    "1.2", "config.read", "A read refreshes the whole shadow, then returns from it."
)
CONFIG_READ_BEYOND: Final = define(
    "1.2", "config.read-beyond", "A read that does not fit into the config space returns ones."
)
CONFIG_READ_STRADDLES: Final = define(
    "1.2",
    "config.read-straddles",
    "Of a read that is split, the parts inside the config space return what is there.",
)
CONFIG_WRITE_BEYOND: Final = define(
    "1.2", "config.write-beyond", "A write that does not fit into the config space is dropped."
)
CONFIG_WRITE_STRADDLES: Final = define(
    "1.2",
    "config.write-straddles",
    "Of a write that is split, the parts inside the config space are stored.",
)
CONFIG_NARROW: Final = define("1.2", "config.narrow", "Bytes and words can be read and written.")
CONFIG_SPLIT: Final = define(
    "1.2",
    "config.split",
    "An unaligned access is split into aligned ones, and one of 8 bytes into two.",
)
CONFIG_READ_ONLY: Final = define(
    "1.2",
    "config.read-only",
    "What is written to num_pages and the command id has no effect.",
)
LEGACY_CONFIG: Final = define(
    "1.2",
    "legacy.config",
    "The config space is little endian on the legacy interface too.",
)

# --- interrupt status

ISR_READ: Final = define("2.4", "isr.read", "A read of the ISR clears it.")
LEGACY_ISR: Final = define("2.4", "legacy.isr", "So does one of the legacy ISR.")

# --- resets

RESET_KEEPS_TARGET: Final = define("3.1", "reset.keeps-target", "A reset keeps num_pages.")
RESET_KEEPS_ACTUAL: Final = define("3.1", "reset.keeps-actual", "`actual` survives a reset.")
RESET_KEEPS_GENERATION: Final = define(
    "1.2", "reset.keeps-generation", "A reset keeps the generation."
)
RESET_SYSTEM: Final = define(
    "4.1", "reset.system", "A reset of the machine resets the device, and keeps no more of it."
)
RESET_MENDS: Final = define("2.3", "reset.mends", "A reset mends a broken device.")
LEGACY_PFN_RESET: Final = define(
    "2.3", "legacy.pfn-reset", "Page 0 as the address of a legacy queue resets the device."
)
