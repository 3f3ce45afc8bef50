"""What a conformance case is, and the words in which the table of them is written.

The table itself is split over the files `cases_*.py`; each case is one of the list "The 96 cases"
of the device's specification, and bears its number.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from struct import pack
from typing import TYPE_CHECKING, Any

from workbench.model.balloon.level import Level
from workbench.model.balloon.offer import VERSION_1, Properties
from workbench.schema import Feature
from workbench.units import MIB, PAGE_BYTES
from workbench.validation.setup import Backend, Setup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.validation.driver import Step

STATS = 1 << Feature.STATS_VQ
HINT = 1 << Feature.FREE_PAGE_HINT
POISON = 1 << Feature.PAGE_POISON
REPORTING = 1 << Feature.REPORTING
MODERN = 1 << VERSION_1
FEATURES = STATS | POISON | REPORTING | MODERN
"""What the driver takes where a case does not say otherwise."""

INFLATE_QUEUE, DEFLATE_QUEUE, STATS_QUEUE = 0, 1, 2
REPORT_QUEUE = 3
"""Of a device that does not offer hints."""

NUM_PAGES, ACTUAL, CMD_ID, POISON_VAL = 0, 4, 8, 12
"""Offsets in the config space (virtio 1.2, 5.5.4)."""

RAM_BYTES = 16 * MIB
P = 0x800000
"""The page that most cases are about, far from the driver's rings; aligned to 2 MiB."""
ROM = 0xF0000
HOLE = 0x20000000
"""An address that leads nowhere."""
FILL = 0xAB

ACKNOWLEDGED, DRIVER, FEATURES_OK, READY = 0x01, 0x03, 0x0B, 0x0F
NEEDS_RESET = 0x40
LEGACY_READY = 0x07
"""Values of the status register."""

MEMORY = (Backend(size_bytes=RAM_BYTES),)
PLAIN = Setup(memory=MEMORY, properties=Properties())
SETUP = Setup(memory=MEMORY, properties=Properties(free_page_reporting=True))
"""The machine that most cases run on."""
HINTING = replace(SETUP, properties=Properties(free_page_reporting=True, free_page_hint=True))

HINT_QUEUE, REPORT_QUEUE_BEHIND = 3, 4
"""Where the device offers hints."""
HINT_FEATURES = FEATURES | HINT
COMMAND = 0x500000
"""Where the driver keeps what it sends: command ids, page frame numbers, statistics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is there to be seen, as compared with the latest time that somebody looked."""

    answers: Sequence[Any] = ()
    """What each step that asks was answered, in order."""
    trace: Sequence[tuple[Any, ...]] = ()
    """Discards, addresses that are no memory, inflated and deflated pages, targets."""
    errors: Sequence[str] = ()
    """What QEMU says on stderr."""
    status: int = READY
    isr: int = 0
    """Reading it clears it."""
    returned: Mapping[int, Sequence[tuple[int, int]]] = field(default_factory=dict)
    """By queue, all entries of its used ring: head and length.  Its index is how many they are."""
    content: Sequence[tuple[int, int, int]] = ()
    """Address, length, and the byte that all of it consists of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case, as it is done on the model and on QEMU."""

    number: str
    says: str
    setup: Setup = SETUP
    steps: Sequence[Step | Expected]
    """What is done, the driver's steps and `moves`; with what must be seen on the way."""
    expects: Expected
    """What must be seen in the end."""
    old: Mapping[Level, Sequence[Expected]] = field(default_factory=dict)
    """By level, where it is known: what would be seen there instead each time that somebody looks,
    as far as such a QEMU can do the steps; nothing in the list: the same."""
    modelled: bool = True
    """Whether the model is of such a machine at all: it is of one with one balloon."""


SAME: Mapping[Level, Sequence[Expected]] = {Level.V22: (), Level.QEMU_5_1: ()}
"""What the balloon itself does, and has always done."""


def before_6_2(*expected: Expected) -> Mapping[Level, Sequence[Expected]]:
    """Tell what is the same in both old levels, and not in 7.2."""
    return {Level.V22: expected, Level.QEMU_5_1: expected}


# --- steps


def start(*queues: int, features: int = FEATURES, legacy: bool = False) -> Step:
    """Reset the device, negotiate, set up the queues, and be ready."""
    return ("start", features, [(queue, 0) for queue in queues], legacy)


START = start(REPORT_QUEUE)


def fill(address: int, length: int = PAGE_BYTES, byte: int = FILL) -> Step:
    """Write a byte all over a range."""
    return ("fill", address, length, byte)


def element(*ranges: tuple[int, int], queue: int = REPORT_QUEUE, indirect: bool = False) -> Step:
    """Make an element of ranges available that the device may write."""
    return ("element", queue, [(*each, 1) for each in ranges], int(indirect))


def report(*ranges: tuple[int, int], indirect: bool = False) -> list[Step]:
    """Report ranges in one element."""
    return [element(*ranges, indirect=indirect), ("kick", REPORT_QUEUE)]


def read_config(offset: int, width: int = 4) -> Step:
    """Read a field of the config space."""
    return ("config_read", offset, width)


def write_config(offset: int, value: int, width: int = 4) -> Step:
    """Write a field of the config space."""
    return ("config_write", offset, width, value)


def send(queue: int, data: bytes, *cuts: int) -> list[Step]:
    """Send bytes to the device in one element, cut into several pieces at these places."""
    edges = [0, *cuts, len(data)]
    pieces = [(COMMAND + a, b - a, 0) for a, b in pairwise(edges)]
    return [("poke", COMMAND, data.hex()), ("element", queue, pieces), ("kick", queue)]


def inflate(*addresses: int, queue: int = INFLATE_QUEUE) -> list[Step]:
    """Give pages to the balloon, in one element."""
    return send(queue, pfns(*addresses))


def pfns(*addresses: int) -> bytes:
    """Give the page frame numbers of addresses, as the driver sends them."""
    return pack(f"<{len(addresses)}I", *(address // PAGE_BYTES for address in addresses))


START_HINTS = [
    ("start", HINT_FEATURES, [(HINT_QUEUE, 0), (REPORT_QUEUE_BEHIND, 0)]),
    ("avail_flags", HINT_QUEUE, 1),
]
"""Be ready to hint; without interrupts, which would come all the time while hints are wanted."""


def command(cmd_id: int) -> list[Step]:
    """Send a command id to the queue of hints."""
    return [*send(HINT_QUEUE, pack("<I", cmd_id)), ("settle", HINT_QUEUE)]


def hint(*ranges: tuple[int, int]) -> list[Step]:
    """Hint ranges in one element."""
    return [element(*ranges, queue=HINT_QUEUE), ("kick", HINT_QUEUE), ("settle", HINT_QUEUE)]


# --- what must be seen


def discard(
    offset: int, length: int = PAGE_BYTES, block: str = "m0", *, punches: bool = False
) -> tuple[Any, ...]:
    """Tell of a discard, of memory with pages of 4 KiB."""
    return ("discard", block, offset, length, True, punches)


def bad_address(address: int) -> tuple[Any, ...]:
    """Tell of an address that is no memory."""
    return ("bad_addr", address)


def page_named(address: int, block: str = "m0") -> tuple[Any, ...]:
    """Tell of a page that was inflated or deflated."""
    return ("handle_output", block, address)


def zeros(address: int, length: int = PAGE_BYTES) -> tuple[int, int, int]:
    """Content that is gone."""
    return (address, length, 0)


def kept(address: int, length: int = PAGE_BYTES, byte: int = FILL) -> tuple[int, int, int]:
    """Content that is still there."""
    return (address, length, byte)


def ok(
    *heads: int,
    trace: Sequence[tuple[Any, ...]] = (),
    content: Sequence[tuple[int, int, int]] = (),
    **more: Any,
) -> Expected:
    """Elements with these heads came back from the reporting queue, with an interrupt."""
    returned = {REPORT_QUEUE: [(head, 0) for head in heads]}
    seen: dict[str, Any] = {"isr": 1, "returned": returned} | more
    return Expected(trace=trace, content=content, **seen)
