"""The kernels that replay captures decide exactly as the complete device.

They see less: a capture has no event for a read of the config space, which refreshes the shadow.
So they agree until the config space is read while the shadow holds a poison_val that is not the
device's; that takes a reset, or a write without PAGE_POISON, and no write of poison_val since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.model.balloon.elements import (
    DESCRIPTORS,
    HUGE_PAGES,
    HUGE_PARTS,
    MEMORY,
    REPORTS,
    SPLIT,
    UNALIGNED,
    Element,
    weighted,
)
from tests.model.balloon.guest import HOLE, HUGE, PAGE, POISON, REPORTING, SEAM, Guest
from tests.model.balloon.recording import (
    BLOCKS,
    INHIBITORS,
    Recorded,
    Recorder,
    as_bytes,
    fill_memory,
    gone_pages,
)
from tests.strategies import block, columns, constants, host_for, lay_out
from workbench.model import (
    OK,
    Outcome,
    new_device,
    new_ledger,
    page_states,
    run_events,
    set_pages,
    settle_mappings,
)
from workbench.model.balloon.offer import RING_PACKED, Properties, Queue
from workbench.model.page_bits import UNBACKED
from workbench.schema import PageState
from workbench.units import HUGE_PAGE_BYTES, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workbench.model import DeviceState, HostState

OFFERS = {
    "default": Properties(free_page_reporting=True),
    "hints too": Properties(free_page_reporting=True, free_page_hint=True),
    "8 bytes": Properties(free_page_reporting=True, page_poison=False),
    "12 bytes": Properties(free_page_reporting=True, free_page_hint=True, page_poison=False),
    "packed": Properties(free_page_reporting=True, packed=True),
}
PACKED = 1 << RING_PACKED
"""Taken at every start where it is offered; a ring cannot change its form later."""
ACTUAL, POISON_VAL = 4, 12
PATTERN = 0xAAAAAAAA

GOOD = weighted((6, MEMORY), (2, SPLIT), (2, UNALIGNED), (2, HUGE_PAGES), (1, HUGE_PARTS))
LONG = st.builds(
    lambda ranges, last, indirect: [
        Element((*((*one, 1) for one in ranges), (*last[:2], 1)), indirect or len(ranges) > 31)
    ],
    st.lists(GOOD, min_size=6, max_size=40),
    DESCRIPTORS,
    st.sampled_from([0, 1]),
)
"""More ranges than most reports have: as many as there are places, or more in a table."""
REPORTED = st.tuples(st.just("report"), weighted((5, REPORTS), (1, LONG)))
TOUCHED = st.tuples(
    st.just("touch"),
    st.one_of(
        st.integers(0, 24).map(lambda page: PAGE + page * PAGE_BYTES),
        st.integers(-4, 4).map(lambda page: SEAM + page * PAGE_BYTES),
        st.sampled_from([HUGE, HUGE + HUGE_PAGE_BYTES]),
    ),
)
CONFIG_WRITES = st.tuples(
    st.just("config_write"),
    st.one_of(st.integers(0, 20), st.integers(12, 15), st.just(POISON_VAL)),
    st.sampled_from([1, 1, 2, 4, 4, 8]),
    st.sampled_from([0, 0, PATTERN, 0xAA, 0xAA00, 0xAA << 32, PATTERN << 32 | PATTERN]),
)
CONFIG_READS = st.tuples(st.just("config_read"), st.integers(0, 17), st.sampled_from([1, 2, 4]))
FEATURES = st.sampled_from([0, REPORTING, POISON, REPORTING | POISON, (1 << 64) - 1 & ~PACKED])
STARTS = st.tuples(st.just("start"), FEATURES, st.booleans())
OTHERS = st.one_of(
    st.tuples(st.just("features"), FEATURES),
    st.tuples(st.just("status"), st.sampled_from([0, 0, 3, 0xB, 0xF, 0x4F])),
    st.tuples(st.just("inhibit"), st.sampled_from(INHIBITORS), st.booleans()),
    st.tuples(st.just("lock"), st.booleans()),
)
STEPS = ((6, REPORTED), (4, CONFIG_WRITES), (2, STARTS), (3, OTHERS), (2, TOUCHED))
UNREAD = st.lists(weighted(*STEPS), min_size=1, max_size=15)
PROGRAMS = st.lists(weighted(*STEPS, (3, CONFIG_READS)), min_size=1, max_size=15)

ONE_PAGE = ("report", [Element(((PAGE, PAGE_BYTES, 1),), 0)])
ACROSS = Element(((SEAM - PAGE_BYTES, 2 * PAGE_BYTES, 1), (HOLE - PAGE_BYTES, 6144, 1)), 0)
HUGE_ONES = Element(((HUGE, HUGE_PAGE_BYTES, 1), (HUGE, PAGE_BYTES, 1)), 1)
FORBIDDEN = {
    cause: [
        ("inhibit", cause, True),
        ONE_PAGE,
        ("start", POISON, False),
        ONE_PAGE,
        ("inhibit", cause, False),
        ONE_PAGE,
    ]
    for cause in INHIBITORS
}
"""A reset does not end what forbids discards."""
TWENTY = tuple((PAGE + page * PAGE_BYTES, PAGE_BYTES, 1) for page in range(20))
STALE = [
    ("start", POISON, False),
    ("config_write", POISON_VAL, 4, PATTERN),
    ("start", POISON, False),
    ONE_PAGE,
    ("config_write", ACTUAL, 4, 1),
    ONE_PAGE,
]


def do(guest: Guest, recorder: Recorder, step: tuple[Any, ...]) -> None:
    """Do one step of a program."""
    name, *operands = step
    if name == "report":
        before = len(recorder.events)
        for element in operands[0]:
            guest.add(Queue.REPORT, *element.descriptors, indirect=element.indirect)
        guest.kick(Queue.REPORT)
        if len(recorder.events) > before:
            recorder.look()
    elif name == "start":
        features, legacy = operands
        start(guest, features, legacy=legacy)
    elif name == "inhibit":
        cause, forbidden = operands
        recorder.inhibit(cause, forbidden=forbidden)
    elif name == "touch":
        recorder.touch(*operands)
    elif name == "lock":
        guest.memory.locked = operands[0]
    else:
        guest.do(step)


def start(guest: Guest, features: int, *, legacy: bool = False) -> None:
    """Negotiate, and set up the reporting queue; it is packed where that is offered."""
    packed = 0 if legacy else guest.device.offer.features & PACKED
    guest.start(features | packed, Queue.REPORT, legacy=legacy)


def record(guest: Guest, program: Sequence[tuple[Any, ...]]) -> list[Recorded]:
    """Do a program on the complete device.  Returns what happened."""
    with Recorder(guest) as recorder:
        for step in program:
            do(guest, recorder, step)
    return recorder.events


def started(offer: str) -> Guest:
    """Make a guest that has used all its memory, and whose driver took everything."""
    guest = Guest(OFFERS[offer])
    fill_memory(guest)
    start(guest, REPORTING | POISON)
    return guest


class Captured(NamedTuple):
    """What the kernels begin with."""

    device: DeviceState
    host: HostState


def captured(guest: Guest) -> Captured:
    """Read the device's registers and where the pages are, as the capture does when it begins."""
    device = guest.device
    poison_val = 0
    if guest.balloon.has_page_poison():
        poison_val = int.from_bytes(device.config[POISON_VAL:], "little")
    return Captured(new_device(device.guest_features, poison_val), host_of(guest))


def constants_of(guest: Guest) -> Any:
    """Describe the guest's memory to the kernels."""
    blocks = {one.name: one for one in guest.memory.blocks}
    sizes = [(blocks[name].length_bytes // PAGE_BYTES, blocks[name].page_bytes) for name in BLOCKS]
    return lay_out([block(pages, page_bytes=page_bytes, thp=False) for pages, page_bytes in sizes])


def host_of(guest: Guest) -> HostState:
    """Put into memory what the guest has not lost."""
    blocks = constants_of(guest)
    known, host = constants(blocks), host_for(blocks)
    for one, gone in zip(blocks, gone_pages(guest).values(), strict=True):
        edges = one["start"] + np.flatnonzero(np.diff(~gone, prepend=False, append=False))
        for first, stop in edges.reshape(-1, 2).tolist():
            set_pages(first, stop, int(PageState.RESIDENT), known, host)
    for number in range(len(blocks)):
        settle_mappings(number, known, host)
    return host


def lost_pages(host: HostState, blocks: Any) -> bytes:
    """Say which pages the kernels have taken away."""
    state = page_states(host)
    states = [state[one["start"] : one["start"] + one["pages"]] for one in blocks]
    return as_bytes({name: one == UNBACKED for name, one in zip(BLOCKS, states, strict=True)})


def replay(guest: Guest, begin: Captured, events: Sequence[Recorded]) -> Iterator[Recorded]:
    """Replay events one by one.  Gives each as the kernels have it."""
    blocks = constants_of(guest)
    device, host = begin
    known, ledger = constants(blocks), new_ledger(1)
    for event in events:
        if event.row is not None:
            assert run_events(columns([event.row]), known, device, host, ledger) == OK
            outcome = Outcome(int(ledger.outcome[0])).name.lower()
            if event.row[0] == "fault":
                outcome = "no_outcome"
            registers = int(device.features[0]), int(device.poison_val[0])
            gone = lost_pages(host, blocks) if event.gone else b""
            yield Recorded(event.row, outcome, *registers, gone)


def until_a_read_matters(
    replayed: Iterator[Recorded], device: DeviceState, events: Sequence[Recorded]
) -> Iterator[tuple[Recorded, Recorded]]:
    """Pair events with replayed ones, until a read refreshes a shadow that needs it."""
    for event in events:
        if event.row is not None:
            yield event, next(replayed)
        elif device.shadow_poison_val[0] != device.poison_val[0]:
            return


def compare(guest: Guest, begin: Captured, events: Sequence[Recorded]) -> None:
    """Each event has the recorded outcome, and leaves the same registers and the same memory."""
    replayed = replay(guest, begin, events)
    for event, ours in until_a_read_matters(replayed, begin.device, events):
        assert ours == event


@pytest.mark.parametrize("offer", OFFERS)
@settings(max_examples=150)
@given(UNREAD)
@example([("report", [ACROSS]), ("report", [HUGE_ONES])])
@example([("lock", True), ("report", [ACROSS]), ("report", [HUGE_ONES])])
@example(FORBIDDEN["discard_disabled"])
@example(FORBIDDEN["incoming_postcopy"])
@example(FORBIDDEN["background_snapshot"])
@example([("report", [Element(TWENTY, 0)]), ("touch", PAGE), ("report", [Element(TWENTY * 2, 1)])])
@example([("report", [Element(TWENTY[:1], 0), Element(TWENTY[1:3], 1), Element(TWENTY[3:4], 0)])])
@example(STALE)
def test_the_kernels_decide_as_the_device_where_nobody_reads_the_config_space(offer, program):
    guest = started(offer)
    begin = captured(guest)

    compare(guest, begin, record(guest, program))


@settings(max_examples=200)
@given(PROGRAMS)
@example([*STALE[:2], ("config_read", 0, 4), *STALE[2:]])
@example([("start", 0, False), ("config_write", POISON_VAL, 4, 1), ("config_read", 0, 4), ONE_PAGE])
def test_the_kernels_decide_as_the_device_while_reads_change_nothing(program):
    guest = started("default")
    begin = captured(guest)

    compare(guest, begin, record(guest, program))


@given(before=PROGRAMS, after=UNREAD)
def test_a_capture_may_begin_at_any_time(before, after):
    """Unless stale bytes are in the shadow then: the capture takes them for poison_val."""
    guest = started("default")
    record(guest, before)
    for cause in INHIBITORS:
        setattr(guest.balloon, cause, 0)
    begin = captured(guest)
    assume(begin.device.poison_val[0] == guest.balloon.poison_val)
    assume(begin.device.poison_val[0] == int.from_bytes(guest.device.config[POISON_VAL:], "little"))

    compare(guest, begin, record(guest, after))


def test_a_read_that_no_event_tells_of():
    """A driver that reads after a reset loses the stale bytes, and the kernels keep them.

    Linux writes poison_val whenever it took PAGE_POISON, so that they differ for other drivers.
    """
    guest = started("default")
    begin = captured(guest)
    events = record(guest, [*STALE[:3], ("config_read", 0, 4), *STALE[3:]])
    outcomes = [one.outcome for one in events if one.outcome != "no_outcome"]
    ours = [one.outcome for one in replay(guest, begin, events) if one.outcome != "no_outcome"]

    assert outcomes == ["discarded", "discarded"]
    assert ours == ["discarded", "skipped_poisoned"]


@given(REPORTS)
def test_what_the_device_maps_never_reaches_beyond_its_block(elements):
    """So that the kernels' check for that, QEMU's own, never fires on what was captured."""
    guest = started("default")
    events = record(guest, [("report", elements)])
    sizes = [one["pages"] * PAGE_BYTES for one in constants_of(guest)]

    for event in events:
        _, number, offset, length, *_ = event.row
        assert number < 0 or offset + length <= sizes[number]
        assert event.outcome != "skipped_overrun"
