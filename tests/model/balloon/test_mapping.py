"""Mapping descriptors into host memory, piece by piece (the book's 2.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.balloon.guest import (
    HOLE,
    HOLE_STOP,
    PAGE,
    RAM_STOP,
    REPORTING,
    ROM,
    ROM_STOP,
    SEAM,
    STATS,
    TOP,
    Guest,
    small_memory,
)
from workbench.model.balloon import rules as rule
from workbench.model.balloon.element import Element, map_descriptor
from workbench.model.balloon.offer import Queue
from workbench.units import HUGE_PAGE_BYTES, PAGE_BYTES

BOGUS = "virtio: bogus descriptor or out of resources"
TOO_MANY = "virtio: too many write descriptors in indirect table"


def report(*ranges, indirect=0):
    """Report ranges of a guest that has something everywhere."""
    guest = Guest().start(REPORTING | STATS)
    guest.report(*ranges, indirect=indirect)
    return guest


def test_a_descriptor_is_split_where_a_block_ends():
    guest = report((SEAM - PAGE_BYTES, 3 * PAGE_BYTES))

    assert guest.discards() == [
        ("low", SEAM - PAGE_BYTES, PAGE_BYTES),
        ("next", 0, 2 * PAGE_BYTES),
    ]
    assert guest.device.tally[rule.MAP_SPLITS] == 1


@pytest.mark.parametrize("address", [ROM, HOLE, RAM_STOP, 1 << 63, TOP - PAGE_BYTES])
def test_one_page_that_is_no_memory_is_tolerated(address):
    guest = report((PAGE, PAGE_BYTES), (address, PAGE_BYTES), (PAGE + PAGE_BYTES, PAGE_BYTES))

    assert len(guest.discards()) == 2
    assert guest.traced("bad_addr") == [(address,)]
    assert guest.used(Queue.REPORT) == [(0, 0)]


@pytest.mark.parametrize(
    "ranges",
    [
        [(HOLE, PAGE_BYTES + 1)],
        [(HOLE, 2 * PAGE_BYTES)],
        [(HOLE, 1), (RAM_STOP, 1)],
        [(HOLE, PAGE_BYTES), (HOLE, PAGE_BYTES)],
        [(RAM_STOP - HUGE_PAGE_BYTES, HUGE_PAGE_BYTES + 2 * PAGE_BYTES)],
        [(ROM, 1), (ROM + 1, 1)],
    ],
)
def test_a_second_stretch_that_is_no_memory_breaks_the_device(ranges):
    """There is one bounce buffer, of one page.  Nothing of the chain is done."""
    guest = report((PAGE, PAGE_BYTES), *ranges)

    assert guest.device.errors == [BOGUS]
    assert guest.is_broken()
    assert guest.device.trace == []
    assert not guest.memory.bounce.in_use


def test_a_range_over_the_end_of_memory_is_memory_and_at_most_a_page():
    guest = report((HOLE - PAGE_BYTES, 2 * PAGE_BYTES))

    assert guest.discards() == [("next", HOLE - SEAM - PAGE_BYTES, PAGE_BYTES)]
    assert guest.traced("bad_addr") == [(HOLE,)]


def test_firmware_ends_a_bounce_buffer():
    """What follows is memory again: half a page here, which is skipped in silence."""
    guest = report((ROM_STOP - 0x800, PAGE_BYTES))

    assert guest.traced("bad_addr") == [(ROM_STOP - 0x800,)]
    assert guest.device.tally[rule.REPORT_UNALIGNED] == 1


def test_a_hole_does_not_end_a_bounce_buffer():
    """It takes a page, though memory begins within it."""
    guest = report((HOLE_STOP - 0x800, PAGE_BYTES))

    assert guest.traced("bad_addr") == [(HOLE_STOP - 0x800,)]
    assert guest.device.trace == [("bad_addr", HOLE_STOP - 0x800)]


def test_a_range_over_the_top_goes_on_at_the_bottom():
    guest = report((TOP - PAGE_BYTES, 2 * PAGE_BYTES))

    assert guest.traced("bad_addr") == [(TOP - PAGE_BYTES,)]
    assert guest.discards() == [("low", 0, PAGE_BYTES)]


def test_each_element_has_the_bounce_buffer_anew():
    guest = Guest().start()
    for _ in range(3):
        guest.add(Queue.REPORT, (HOLE, PAGE_BYTES, 1))
    guest.kick(Queue.REPORT)

    assert guest.returned(Queue.REPORT) == 3


def test_a_statistics_element_keeps_the_bounce_buffer():
    """The device holds it, so that the next address that is no memory is one too many."""
    guest = Guest().start(REPORTING | STATS)
    guest.send(Queue.STATS, (HOLE, 10, 0))
    guest.report((PAGE, PAGE_BYTES))
    works = guest.discards()
    guest.report((RAM_STOP, PAGE_BYTES))

    assert works == [("low", PAGE, PAGE_BYTES)]
    assert guest.device.errors == [BOGUS]
    assert guest.memory.bounce.in_use


@pytest.mark.parametrize("give_back", ["poll", "second", "reset"])
def test_the_bounce_buffer_comes_back_with_the_statistics_element(give_back):
    guest = Guest().start(REPORTING | STATS)
    guest.send(Queue.STATS, (HOLE, 10, 0))
    if give_back == "poll":
        guest.balloon.statistics.poll(guest.balloon, guest.balloon.queue_of(Queue.STATS))
    elif give_back == "second":
        guest.statistics((0, 1))
    else:
        guest.start(REPORTING)
    guest.report((RAM_STOP, PAGE_BYTES))

    assert not guest.memory.bounce.in_use
    assert guest.traced("bad_addr") == [(RAM_STOP,)]


def test_a_chain_that_fails_leaves_anothers_bounce_buffer_alone():
    guest = Guest().start(REPORTING | STATS)
    guest.send(Queue.STATS, (HOLE, 10, 0))
    guest.report((HOLE, 1))

    assert guest.is_broken()
    assert guest.memory.bounce.in_use


@pytest.mark.parametrize(("count", "fits"), [(1024, True), (1025, False)])
def test_an_element_has_at_most_1024_pieces(count, fits):
    guest = report(*[(PAGE, PAGE_BYTES)] * count, indirect=1)

    assert len(guest.discards()) == (count if fits else 0)
    assert guest.device.errors == ([] if fits else [TOO_MANY])


def test_readable_pieces_count_too():
    """They leave less room for writable ones, but a chain of them alone may be as long."""
    guest = Guest().start()
    mixed = [(PAGE, 1, 0)] * 1000 + [(PAGE, PAGE_BYTES, 1)] * 25
    guest.send(Queue.REPORT, *mixed, indirect=1)
    readable = Guest().start()
    readable.send(Queue.REPORT, *[(PAGE, 1, 0)] * 1024, indirect=1)

    assert guest.device.errors == [TOO_MANY]
    assert readable.returned(Queue.REPORT) == 1


def test_a_piece_too_many_may_be_the_rest_of_a_descriptor():
    guest = report(*[(PAGE, PAGE_BYTES)] * 1023, (SEAM - PAGE_BYTES, 2 * PAGE_BYTES), indirect=1)

    assert guest.device.errors == [TOO_MANY]


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    offset=st.integers(0, 12),
    count=st.integers(1, 12),
)
def test_the_pieces_of_an_element_read_as_one_text(lengths, offset, count):
    """Wherever they lie: here on both sides of a border, and one of them in firmware."""
    memory = small_memory()
    memory.find(ROM).region.block.content[:] = b"\xee" * (ROM_STOP - ROM)
    element = Element()
    whole = b""
    for number, length in enumerate(lengths):
        address = [SEAM - 3, PAGE, ROM_STOP - 9][number % 3]
        data = bytes(range(16 * number, 16 * number + length))
        memory.write(address, data)
        map_descriptor(element, address, length, memory, rule.Tally(), device_writes=False)
        whole = b"".join(
            memory.read(piece.address, piece.length_bytes) for piece in element.out_pieces
        )

    assert element.read_out(offset, count) == whole[offset : offset + count]


def test_an_element_is_read_as_it_is_now():
    """A driver may write after it made it available; only what bounced was read at once."""
    guest = Guest().start(STATS)
    guest.memory.write(PAGE, b"old")
    element = Element()
    for address in (PAGE, HOLE):
        map_descriptor(element, address, 3, guest.memory, rule.Tally(), device_writes=False)
    guest.memory.write(PAGE, b"new")

    assert element.read_out(0, 6) == b"new\0\0\0"
