"""Section 5: inflation, statistics, and what the operator asks for."""

from __future__ import annotations

from typing import Final

from workbench.model.balloon.rules.rule import define

# --- inflate and deflate

INFLATE_DISCARDS: Final = define(
    "5.1", "inflate.discards", "Each page frame number is discarded on its own."
)
INFLATE_AGAIN: Final = define(
    "5.1", "inflate.again", "A page that an element names twice is discarded twice."
)
INFLATE_FIRST_PAGE: Final = define("5.1", "inflate.first-page", "Page 0 is a page like any other.")
INFLATE_FAR: Final = define(
    "5.1", "inflate.far", "Page frame numbers reach beyond 4 GiB, without overflow."
)
INFLATE_UNASKED: Final = define(
    "5.1", "inflate.unasked", "Pages can be inflated although the target asks for none."
)
INFLATE_POISONED: Final = define("3.1", "inflate.poisoned", "Inflating ignores poison_val.")
INFLATE_INHIBITED: Final = define(
    "5.1", "inflate.inhibited", "While discards are forbidden, inflating has no effect."
)
INFLATE_BAD_ADDRESS: Final = define(
    "5.1",
    "inflate.bad-address",
    "A page frame number that is no memory is skipped, any number of them.",
)
INFLATE_FIRMWARE: Final = define("5.1", "inflate.firmware", "So is one of firmware.")
INFLATE_TRAILING: Final = define(
    "5.1", "inflate.trailing", "Trailing bytes that make no page frame number are ignored."
)
INFLATE_STRADDLES: Final = define(
    "5.1", "inflate.straddles", "A page frame number may lie in two pieces."
)
INFLATE_WRITABLE: Final = define(
    "5.1", "inflate.writable", "Writable descriptors of the inflate queue are ignored."
)
INFLATE_NOTHING: Final = define(
    "5.1",
    "inflate.nothing",
    "An element of writable descriptors alone is returned without effect.",
)
INFLATE_LENGTH: Final = define(
    "5.1", "inflate.length", "Elements come back with a length of 0, whatever was read of them."
)
INFLATE_HUGE_PART: Final = define(
    "5.2", "inflate.huge-part", "A part of a huge page is kept in mind."
)
INFLATE_HUGE_AGAIN: Final = define(
    "5.2", "inflate.huge-again", "A page of it that is named twice counts once."
)
INFLATE_HUGE_FORGOTTEN: Final = define(
    "5.2", "inflate.huge-forgotten", "It is forgotten when another huge page is named."
)
INFLATE_HUGE_ENDS: Final = define(
    "5.2", "inflate.huge-ends", "It is forgotten at the end of the element."
)
INFLATE_HUGE_WHOLE: Final = define(
    "5.2", "inflate.huge-whole", "A huge page is discarded when one element has named all of it."
)
INFLATE_HUGE_WARNS: Final = define(
    "5.2", "inflate.huge-warns", "QEMU warns once, and no more, about pages larger than 4 KiB."
)
DEFLATE: Final = define("5.3", "deflate", "Deflating changes no content.")
DEFLATE_BAD_ADDRESS: Final = define(
    "5.3", "deflate.bad-address", "Deflating skips what is no memory, as inflating does."
)
DEFLATE_ON_OOM: Final = define(
    "1.4", "deflate.on-oom", "DEFLATE_ON_OOM changes nothing in the device."
)

# --- statistics

STATS_HELD: Final = define("5.5", "stats.held", "The statistics element is kept.")
STATS_SECOND: Final = define("5.5", "stats.second", "A second element returns the first.")
STATS_STORED: Final = define("5.5", "stats.stored", "Numbers with a known tag are stored.")
STATS_FORGOTTEN: Final = define(
    "5.5", "stats.forgotten", "A new element unsets all numbers that it does not have."
)
STATS_UNKNOWN_TAG: Final = define("5.5", "stats.unknown-tag", "Tags from 10 on are ignored.")
STATS_TRUNCATED: Final = define("5.5", "stats.truncated", "A truncated record is ignored.")
STATS_NAMES: Final = define(
    "5.5", "stats.names", "The monitor tells ten numbers by name, in the order of their tags."
)
STATS_UNSET: Final = define(
    "5.5", "stats.unset", "A number that is not set reads as the largest of 64 bits."
)
STATS_POLLED: Final = define(
    "5.5", "stats.polled", "The timer returns the element, with a length of 0."
)
STATS_NOTHING_HELD: Final = define(
    "5.5", "stats.nothing-held", "The timer returns nothing where nothing is held."
)
STATS_NOT_POLLED: Final = define(
    "5.5", "stats.not-polled", "The timer returns nothing where STATS_VQ was not negotiated."
)
STATS_INTERVAL_STARTS: Final = define(
    "5.5", "stats.interval-starts", "Switching polling on polls at once."
)
STATS_INTERVAL_CHANGES: Final = define(
    "5.5", "stats.interval-changes", "Another interval does not poll at once."
)
STATS_INTERVAL_SAME: Final = define(
    "5.5", "stats.interval-same", "The same interval again changes nothing."
)
STATS_DUE_FORGOTTEN: Final = define(
    "5.5", "stats.due-forgotten", "Another interval, or none, forgets a poll that was due."
)
STATS_CLOCK_STOPPED: Final = define(
    "5.5", "stats.clock-stopped", "While the VM is stopped the timer waits."
)
STATS_PUT_OFF: Final = define(
    "5.5", "stats.put-off", "A kick puts off a poll that was due, by a whole interval."
)
STATS_INTERVAL_STOPS: Final = define(
    "5.5", "stats.interval-stops", "An interval of 0 switches polling off."
)
STATS_INTERVAL_NEGATIVE: Final = define(
    "5.5", "stats.interval-negative", "An interval below 0 is refused."
)
STATS_INTERVAL_TOO_BIG: Final = define(
    "5.5", "stats.interval-too-big", "An interval of more than 32 bits is refused."
)
STATS_RESET: Final = define("5.5", "stats.reset", "A reset drops the held element.")
STATS_RESET_KEEPS: Final = define("3.1", "stats.reset-keeps", "A reset keeps the numbers.")
STATS_TAKEN_UP: Final = define(
    "5.5", "stats.taken-up", "An element that was in use when the VM stopped is taken again."
)

# --- the monitor

CONFIG_ACTUAL: Final = define(
    "5.6", "config.actual", "A changed `actual` is kept, and announced by BALLOON_CHANGE."
)
CONFIG_ACTUAL_SAME: Final = define(
    "5.6", "config.actual-same", "An `actual` that is the same is not announced."
)
CONFIG_ACTUAL_BYTES: Final = define(
    "5.6", "config.actual-bytes", "Each byte of `actual` counts, and is announced, at once."
)
CONFIG_ACTUAL_EARLY: Final = define(
    "3.1", "config.actual-early", "`actual` is taken before the driver has said anything."
)
QMP_BALLOON: Final = define(
    "5.6", "qmp.balloon", "`balloon` sets num_pages and announces a configuration change."
)
QMP_BALLOON_SAME: Final = define(
    "5.6", "qmp.balloon-same", "It announces that although num_pages stays the same."
)
QMP_BALLOON_CLIPPED: Final = define(
    "5.6", "qmp.balloon-clipped", "A target above the size of the memory is clipped to it."
)
QMP_BALLOON_ROUNDED: Final = define(
    "5.6", "qmp.balloon-rounded", "The size of the balloon is rounded down to pages."
)
QMP_BALLOON_REFUSED: Final = define("5.6", "qmp.balloon-refused", "`balloon` refuses 0 and less.")
QMP_MODULES: Final = define(
    "5.6", "qmp.modules", "The size of the memory includes plugged modules."
)
QMP_QUERY: Final = define(
    "5.6", "qmp.query", "`query-balloon` tells the size of the memory less `actual` pages."
)
QMP_QUERY_SIGNED: Final = define("5.6", "qmp.query-signed", "That may be less than nothing.")
