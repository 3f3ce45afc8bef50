"""The kernels that replay captures decide exactly as the complete device.

They see less: a capture has no event for a read of the config space, which refreshes the shadow.
So they agree until the config space is read while the shadow holds a poison_val that is not the
device's; that takes a reset, or a write without PAGE_POISON, and no write of poison_val since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.model.balloon.elements import ELEMENTS, Element, weighted
from tests.model.balloon.guest import HOLE, HUGE, PAGE, POISON, REPORTING, SEAM, Guest
from tests.model.balloon.recording import BLOCKS, Recorded, Recorder
from tests.strategies import block, columns, constants, host_for, lay_out
from workbench.model import OK, Outcome, new_device, new_ledger, run_events
from workbench.model.balloon.offer import Properties, Queue
from workbench.units import HUGE_PAGE_BYTES, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workbench.model import DeviceState

OFFERS = {
    "default": Properties(free_page_reporting=True),
    "hints too": Properties(free_page_reporting=True, free_page_hint=True),
    "8 bytes": Properties(free_page_reporting=True, page_poison=False),
    "12 bytes": Properties(free_page_reporting=True, free_page_hint=True, page_poison=False),
}
ACTUAL, POISON_VAL = 4, 12
PATTERN = 0xAAAAAAAA

REPORTED = ELEMENTS.map(lambda element: ("report", element))
CONFIG_WRITES = st.tuples(
    st.just("config_write"),
    st.one_of(st.integers(0, 20), st.integers(12, 15), st.just(POISON_VAL)),
    st.sampled_from([1, 1, 2, 4, 4, 8]),
    st.sampled_from([0, 0, PATTERN, 0xAA, 0xAA00, 0xAA << 32, PATTERN << 32 | PATTERN]),
)
CONFIG_READS = st.tuples(st.just("config_read"), st.integers(0, 17), st.sampled_from([1, 2, 4]))
FEATURES = st.sampled_from([0, REPORTING, POISON, REPORTING | POISON, (1 << 64) - 1 & ~(1 << 34)])
STARTS = st.tuples(st.just("start"), FEATURES, st.booleans())
OTHERS = st.one_of(
    st.tuples(st.just("features"), FEATURES),
    st.tuples(st.just("status"), st.sampled_from([0, 0, 3, 0xB, 0xF, 0x4F])),
    st.tuples(st.just("inhibit"), st.booleans()),
    st.tuples(st.just("lock"), st.booleans()),
)
STEPS = ((6, REPORTED), (4, CONFIG_WRITES), (2, STARTS), (3, OTHERS))
UNREAD = st.lists(weighted(*STEPS), min_size=1, max_size=15)
PROGRAMS = st.lists(weighted(*STEPS, (3, CONFIG_READS)), min_size=1, max_size=15)

ONE_PAGE = ("report", Element(((PAGE, PAGE_BYTES, 1),), 0))
ACROSS = Element(((SEAM - PAGE_BYTES, 2 * PAGE_BYTES, 1), (HOLE - PAGE_BYTES, 6144, 1)), 0)
HUGE_PAGES = Element(((HUGE, HUGE_PAGE_BYTES, 1), (HUGE, PAGE_BYTES, 1)), 1)
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
        element = operands[0]
        guest.send(Queue.REPORT, *element.descriptors, indirect=element.indirect)
    elif name == "start":
        features, legacy = operands
        guest.start(features, Queue.REPORT, legacy=legacy)
    elif name == "inhibit":
        recorder.inhibit(forbidden=operands[0])
    elif name == "lock":
        guest.memory.locked = operands[0]
    else:
        guest.do(step)


def record(guest: Guest, program: Sequence[tuple[Any, ...]]) -> list[Recorded]:
    """Do a program on the complete device.  Returns what happened."""
    with Recorder(guest) as recorder:
        for step in program:
            do(guest, recorder, step)
    return recorder.events


def started(offer: str) -> Guest:
    """Make a guest whose driver took everything."""
    return Guest(OFFERS[offer]).start(REPORTING | POISON, Queue.REPORT)


def captured(guest: Guest) -> DeviceState:
    """Read the device's registers, as the capture does when it begins."""
    device = guest.device
    poison_val = 0
    if guest.balloon.has_page_poison():
        poison_val = int.from_bytes(device.config[POISON_VAL:], "little")
    return new_device(device.guest_features, poison_val)


def constants_of(guest: Guest) -> Any:
    """Describe the guest's memory to the kernels."""
    blocks = {one.name: one for one in guest.memory.blocks}
    sizes = [(blocks[name].length_bytes // PAGE_BYTES, blocks[name].page_bytes) for name in BLOCKS]
    return lay_out([block(pages, page_bytes=page_bytes) for pages, page_bytes in sizes])


def replay(guest: Guest, device: DeviceState, events: Sequence[Recorded]) -> Iterator[Recorded]:
    """Replay events one by one.  Gives each as the kernels have it."""
    blocks = constants_of(guest)
    known, host, ledger = constants(blocks), host_for(blocks), new_ledger(1)
    for event in events:
        if event.row is not None:
            assert run_events(columns([event.row]), known, device, host, ledger) == OK
            outcome = Outcome(int(ledger.outcome[0])).name.lower()
            registers = int(device.features[0]), int(device.poison_val[0])
            yield Recorded(event.row, outcome, *registers)


def until_a_read_matters(
    replayed: Iterator[Recorded], device: DeviceState, events: Sequence[Recorded]
) -> Iterator[tuple[Recorded, Recorded]]:
    """Pair events with replayed ones, until a read refreshes a shadow that needs it."""
    for event in events:
        if event.row is not None:
            yield event, next(replayed)
        elif device.shadow_poison_val[0] != device.poison_val[0]:
            return


def compare(guest: Guest, device: DeviceState, events: Sequence[Recorded]) -> None:
    """Each event has the recorded outcome, and leaves the same registers."""
    replayed = replay(guest, device, events)
    for event, ours in until_a_read_matters(replayed, device, events):
        assert ours == event


@pytest.mark.parametrize("offer", OFFERS)
@settings(max_examples=150)
@given(UNREAD)
@example([("report", ACROSS), ("report", HUGE_PAGES)])
@example([("lock", True), ("report", ACROSS), ("report", HUGE_PAGES)])
@example(
    [("inhibit", True), ONE_PAGE, ("start", POISON, False), ONE_PAGE, ("inhibit", False), ONE_PAGE]
)
@example(STALE)
def test_the_kernels_decide_as_the_device_where_nobody_reads_the_config_space(offer, program):
    guest = started(offer)
    device = captured(guest)

    compare(guest, device, record(guest, program))


@settings(max_examples=200)
@given(PROGRAMS)
@example([*STALE[:2], ("config_read", 0, 4), *STALE[2:]])
@example([("start", 0, False), ("config_write", POISON_VAL, 4, 1), ("config_read", 0, 4), ONE_PAGE])
def test_the_kernels_decide_as_the_device_while_reads_change_nothing(program):
    guest = started("default")
    device = captured(guest)

    compare(guest, device, record(guest, program))


@given(before=PROGRAMS, after=UNREAD)
def test_a_capture_may_begin_at_any_time(before, after):
    """Unless stale bytes are in the shadow then: the capture takes them for poison_val."""
    guest = started("default")
    record(guest, before)
    guest.balloon.discard_disabled = 0
    device = captured(guest)
    assume(device.poison_val[0] == guest.balloon.poison_val)
    assume(device.poison_val[0] == int.from_bytes(guest.device.config[POISON_VAL:], "little"))

    compare(guest, device, record(guest, after))


def test_a_read_that_no_event_tells_of():
    """A driver that reads after a reset loses the stale bytes, and the kernels keep them.

    Linux writes poison_val whenever it took PAGE_POISON, so that they differ for other drivers.
    """
    guest = started("default")
    device = captured(guest)
    events = record(guest, [*STALE[:3], ("config_read", 0, 4), *STALE[3:]])
    outcomes = [one.outcome for one in events if one.outcome != "no_outcome"]
    ours = [one.outcome for one in replay(guest, device, events) if one.outcome != "no_outcome"]

    assert outcomes == ["discarded", "discarded"]
    assert ours == ["discarded", "skipped_poisoned"]


@given(ELEMENTS)
def test_what_the_device_maps_never_reaches_beyond_its_block(element):
    """So that the kernels' check for that, QEMU's own, never fires on what was captured."""
    guest = started("default")
    events = record(guest, [("report", element)])
    sizes = [one["pages"] * PAGE_BYTES for one in constants_of(guest)]

    for event in events:
        _, number, offset, length, *_ = event.row
        assert number < 0 or offset + length <= sizes[number]
        assert event.outcome != "skipped_overrun"
