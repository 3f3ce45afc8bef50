"""Laws that the reporting queue obeys, whatever a driver reports."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.model.balloon.elements import REPORTS, Element
from tests.model.balloon.guest import (
    FILL,
    HOLE,
    HUGE,
    PAGE,
    POISON,
    REPORTING,
    SEAM,
    Guest,
    small_memory,
)
from workbench.model.balloon.machine import BAR
from workbench.model.balloon.offer import RING_PACKED, Queue
from workbench.units import PAGE_BYTES
from workbench.validation.driver import RINGS, STOP

if TYPE_CHECKING:
    from workbench.model.balloon.memory import GuestMemory

KICKS = st.lists(st.booleans(), min_size=5, max_size=5)
"""Whether the driver kicks behind each element; behind the last one it does."""
ALWAYS, NEVER = [True] * 5, [False] * 5

TWO_PIECES = Element(((SEAM - PAGE_BYTES, 2 * PAGE_BYTES, 1),), 0)
A_HOLE = Element(((PAGE, PAGE_BYTES, 1), (HOLE, PAGE_BYTES, 1), (PAGE, PAGE_BYTES, 1)), 0)
TWO_HOLES = Element(((PAGE, PAGE_BYTES, 1), (HOLE, 2 * PAGE_BYTES, 1)), 0)


def fill(memory: GuestMemory) -> None:
    """Write to all memory that is not the driver's."""
    for region in memory.regions:
        memory.write(region.first, bytes((FILL,)) * (region.stop - region.first))
    memory.write(RINGS, bytes(STOP - RINGS))


class Reporter(Guest):
    """A guest that reports, and a copy of its memory that no device writes to."""

    def __init__(self, features: int = REPORTING, *, size: int = 0, legacy: bool = False) -> None:
        super().__init__()
        fill(self.memory)
        self.start(features, Queue.REPORT, size=size, legacy=legacy)
        self.undisturbed = small_memory()
        for mine, copy in zip(self.memory.blocks, self.undisturbed.blocks, strict=True):
            copy.content[:] = mine.content

    def offer(self, element: Element) -> None:
        """Make an element available."""
        number = self.number(Queue.REPORT)
        accesses = self.driver.step_element(number, element.descriptors, element.indirect)
        self.machine.execute(accesses)
        for operation, address, value in accesses:
            assert address < BAR
            data = value if operation == "write" else value.to_bytes(2, "little")
            self.undisturbed.write(address, data)

    def submit(self, elements: list[Element], kicks: list[bool]) -> Reporter:
        """Report, with a kick where it is said, and at the end."""
        for number, element in enumerate(elements):
            self.offer(element)
            if kicks[number] or number == len(elements) - 1:
                self.kick(Queue.REPORT)
        return self

    def contents(self) -> list[bytes]:
        """Say what is in memory, but for the used ring."""
        return without_used_ring(self.memory, self)

    def guests_own(self) -> list[bytes]:
        """Say what is in memory, but for everything that belongs to the rings."""
        low, *others = (bytes(block.content) for block in self.memory.blocks)
        return [low[:RINGS] + low[STOP:], *others]

    def told(self) -> list[tuple[object, ...]]:
        """Say what the device traced and what it complained of."""
        return [*self.device.trace, tuple(self.device.errors)]


def without_used_ring(memory: GuestMemory, reporter: Reporter) -> list[bytes]:
    ring = reporter.ring(Queue.REPORT)
    low, *others = (bytes(block.content) for block in memory.blocks)
    return [low[: ring.used] + low[ring.used + ring.used_bytes :], *others]


def discard(memory: GuestMemory, discards: list[tuple[str, int, int]]) -> None:
    blocks = {block.name: block for block in memory.blocks}
    for name, offset, length in discards:
        blocks[name].content[offset : offset + length] = bytes(length)


@given(REPORTS, KICKS)
@example([TWO_PIECES], ALWAYS)
@example([A_HOLE, TWO_HOLES, A_HOLE], ALWAYS)
def test_the_device_writes_to_the_used_ring_and_to_what_it_discards(elements, kicks):
    """What it discards reads as zeros, and everything else is as the guest left it."""
    reporter = Reporter().submit(elements, kicks)
    discard(reporter.undisturbed, reporter.discards())

    assert reporter.contents() == without_used_ring(reporter.undisturbed, reporter)


@given(REPORTS, KICKS)
@example([A_HOLE, TWO_HOLES, A_HOLE], ALWAYS)
def test_no_more_comes_back_than_was_made_available(elements, kicks):
    """Elements come back in order, with length 0; all of them, unless one breaks the device."""
    reporter = Reporter()
    heads = []
    for number, element in enumerate(elements):
        heads.append(reporter.ring(Queue.REPORT).slot)
        reporter.offer(element)
        if kicks[number]:
            reporter.kick(Queue.REPORT)
        used = reporter.used(Queue.REPORT)
        assert used == [(head, 0) for head in heads[: len(used)]]
    reporter.kick(Queue.REPORT)

    assert reporter.is_broken() == (reporter.returned(Queue.REPORT) < len(elements))


@given(REPORTS, KICKS)
@example([A_HOLE, TWO_HOLES, A_HOLE], NEVER)
def test_it_does_not_matter_when_the_driver_kicks(elements, kicks):
    one, other = Reporter().submit(elements, kicks), Reporter().submit(elements, ALWAYS)

    assert one.told() == other.told()
    assert one.used(Queue.REPORT) == other.used(Queue.REPORT)
    assert one.contents() == other.contents()


@pytest.mark.parametrize("forbids", ["poison_val", "discard_disabled", "incoming_postcopy"])
@given(REPORTS, KICKS)
def test_where_nothing_may_be_discarded_only_the_rings_change(forbids, elements, kicks):
    """The driver sees the same as if ranges had been discarded, or skipped."""
    reporter, allowed = Reporter(REPORTING | POISON), Reporter(REPORTING | POISON)
    if forbids == "poison_val":
        reporter.write_config(12, 0xAA)
    else:
        setattr(reporter.balloon, forbids, True)
    reporter.submit(elements, kicks)
    allowed.submit(elements, kicks)

    assert reporter.device.trace == []
    assert reporter.contents() == without_used_ring(reporter.undisturbed, reporter)
    assert reporter.used(Queue.REPORT) == allowed.used(Queue.REPORT)
    assert reporter.device.errors == allowed.device.errors


@given(REPORTS)
def test_a_table_of_its_own_does_not_matter(elements):
    direct = Reporter().submit([element._replace(indirect=0) for element in elements], ALWAYS)
    indirect = Reporter().submit([element._replace(indirect=1) for element in elements], ALWAYS)

    assert direct.told() == indirect.told()
    assert direct.guests_own() == indirect.guests_own()


@pytest.mark.parametrize("variant", ["packed", "legacy", "small", "large"])
@given(REPORTS, KICKS)
def test_the_kind_of_ring_does_not_matter(variant, elements, kicks):
    """A packed ring, the legacy interface, or a queue of another size."""
    other = {
        "packed": lambda: Reporter(REPORTING | 1 << RING_PACKED),
        "legacy": lambda: Reporter(legacy=True),
        "small": lambda: Reporter(size=31),
        "large": lambda: Reporter(size=64),
    }[variant]()
    other.submit(elements, kicks)
    reporter = Reporter().submit(elements, kicks)

    assert other.told() == reporter.told()
    assert other.guests_own() == reporter.guests_own()


@given(
    first=st.sampled_from([PAGE, SEAM - 2 * PAGE_BYTES, SEAM, HUGE, HUGE + PAGE_BYTES]),
    cuts=st.sets(st.integers(1, 8)),
)
def test_whole_pages_can_be_cut_into_descriptors_anywhere(first, cuts):
    """Of memory with pages of 4 KiB; part of a huge page is skipped whichever way it is cut."""
    places = [0, *sorted(cuts), 9]
    one = Reporter().submit([Element(((first, 9 * PAGE_BYTES, 1),), 0)], ALWAYS)
    ranges = [
        (first + start * PAGE_BYTES, (stop - start) * PAGE_BYTES)
        for start, stop in itertools.pairwise(places)
    ]
    cut = Reporter()
    cut.report(*ranges, indirect=1)

    assert one.guests_own() == cut.guests_own()


@given(REPORTS)
def test_reporting_again_discards_again(elements):
    """The device does not remember what it discarded."""
    reporter = Reporter().submit(elements[:2], ALWAYS)
    if not reporter.is_broken():
        before = reporter.discards()
        reporter.submit(elements[:2], ALWAYS)

        assert reporter.discards() == 2 * before
