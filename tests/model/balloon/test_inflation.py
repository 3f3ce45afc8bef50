"""Inflating and deflating, and giving memory back to the host (the book's 5.1 to 5.3 and 6.1)."""

from __future__ import annotations

import random
import struct

import pytest

from tests.model.balloon.guest import (
    HOLE,
    HUGE,
    PAGE,
    RAM_STOP,
    REPORTING,
    ROM,
    SEAM,
    Guest,
)
from workbench.model.balloon import rules as rule
from workbench.model.balloon.offer import Queue
from workbench.units import HUGE_PAGE_BYTES, PAGE_BYTES

FRAMES = HUGE_PAGE_BYTES // PAGE_BYTES
A_HUGE_PAGE = [HUGE + number * PAGE_BYTES for number in range(FRAMES)]
NEXT_HUGE_PAGE = [address + HUGE_PAGE_BYTES for address in A_HUGE_PAGE]
WARNING = "Balloon used with backing page size > 4kiB, this may not be reliable"
LIST = 0x1000
"""Where a driver keeps long lists of frames."""


def inflater():
    guest = Guest().start(REPORTING)
    guest.fill(SEAM - 4 * PAGE_BYTES, 8 * PAGE_BYTES)
    return guest


def send(guest, addresses, kind=Queue.INFLATE):
    """Send one element with any number of frames."""
    frames = [address // PAGE_BYTES for address in addresses]
    guest.say(kind, struct.pack(f"<{len(frames)}I", *frames), place=LIST)
    return guest


def test_each_frame_is_discarded_by_itself():
    """Also the one at 0, the same one again, and in any order."""
    guest = inflater()
    addresses = [SEAM, SEAM - PAGE_BYTES, SEAM + PAGE_BYTES, SEAM, 0]
    send(guest, addresses)

    assert guest.discards() == [
        ("next", 0, PAGE_BYTES),
        ("low", SEAM - PAGE_BYTES, PAGE_BYTES),
        ("next", PAGE_BYTES, PAGE_BYTES),
        ("next", 0, PAGE_BYTES),
        ("low", 0, PAGE_BYTES),
    ]
    assert guest.is_zero(SEAM - PAGE_BYTES, 3 * PAGE_BYTES)
    assert guest.used(Queue.INFLATE) == [(0, 0)]
    assert guest.isr() == 1


def test_each_frame_is_traced():
    guest = send(inflater(), [PAGE, SEAM])

    assert guest.traced("handle_output") == [("low", PAGE), ("next", SEAM)]


@pytest.mark.parametrize("kind", [Queue.INFLATE, Queue.DEFLATE])
def test_any_number_of_frames_that_are_no_memory_is_skipped(kind):
    """They are data: nothing of them is mapped, and nothing breaks the device."""
    nowhere = [HOLE, ROM, RAM_STOP, 0xFFFFFFFF * PAGE_BYTES, HOLE]
    guest = send(inflater(), [PAGE, *nowhere, PAGE], kind)

    assert guest.traced("bad_addr") == [(address,) for address in nowhere]
    assert len(guest.traced("handle_output")) == 2
    assert guest.status() == 0xF


@pytest.mark.parametrize(("data", "frames"), [(b"\0\0", 0), (bytes(6), 1), (bytes(11), 2)])
def test_trailing_bytes_are_ignored(data, frames):
    guest = inflater()
    guest.say(Queue.INFLATE, data)

    assert len(guest.discards()) == frames
    assert guest.returned(Queue.INFLATE) == 1


def test_a_frame_may_lie_in_two_pieces():
    guest = inflater()
    guest.memory.write(PAGE, struct.pack("<II", SEAM // PAGE_BYTES, PAGE // PAGE_BYTES))
    guest.send(Queue.INFLATE, (PAGE, 1, 0), (PAGE + 1, 5, 0), (PAGE + 6, 2, 0))

    assert [row[0] for row in guest.discards()] == ["next", "low"]


def test_what_the_device_may_write_is_ignored():
    guest = inflater()
    guest.send(Queue.INFLATE, (PAGE, PAGE_BYTES, 1))

    assert guest.discards() == []
    assert guest.device.tally[rule.INFLATE_NOTHING] == 1
    assert guest.returned(Queue.INFLATE) == 1


def test_nobody_asks_how_large_the_balloon_was_to_be():
    guest = inflater()
    guest.balloon.set_target(RAM_STOP)
    send(guest, [PAGE])

    assert len(guest.discards()) == 1


@pytest.mark.parametrize("what", ["discard_disabled", "incoming_postcopy", "background_snapshot"])
def test_while_discards_are_forbidden_frames_are_only_traced(what):
    guest = inflater()
    setattr(guest.balloon, what, True)
    send(guest, [PAGE])

    assert guest.device.trace == [("handle_output", "low", PAGE)]
    assert guest.returned(Queue.INFLATE) == 1


def test_deflating_changes_no_content():
    """Whether the frame was inflated or not."""
    guest = inflater()
    guest.fill(PAGE + PAGE_BYTES)
    send(guest, [PAGE + PAGE_BYTES, HUGE], Queue.DEFLATE)

    assert guest.is_kept(PAGE + PAGE_BYTES)
    assert guest.discards() == []
    assert guest.device.errors == []
    assert guest.used(Queue.DEFLATE) == [(0, 0)]


# --- huge pages (5.2)


@pytest.mark.parametrize("order", ["forward", "backward", "shuffled", "with duplicates"])
def test_a_huge_page_is_discarded_when_one_element_has_named_all_of_it(order):
    frames = list(A_HUGE_PAGE)
    if order == "backward":
        frames.reverse()
    elif order == "shuffled":
        random.Random(7).shuffle(frames)
    elif order == "with duplicates":
        frames = frames[:9] + frames
    guest = send(inflater(), frames)

    assert guest.discards() == [("huge", 0, HUGE_PAGE_BYTES)]


def test_two_huge_pages_one_after_the_other_are_discarded():
    guest = send(inflater(), A_HUGE_PAGE + NEXT_HUGE_PAGE)

    assert [row[1] for row in guest.discards()] == [0, HUGE_PAGE_BYTES]


def test_a_huge_page_that_is_named_twice_is_discarded_twice():
    guest = send(inflater(), A_HUGE_PAGE * 2)

    assert len(guest.discards()) == 2


@pytest.mark.parametrize(
    "frames",
    [
        A_HUGE_PAGE[:-1],
        A_HUGE_PAGE[:256] + NEXT_HUGE_PAGE[:1] + A_HUGE_PAGE[256:],
        [frame for pair in zip(A_HUGE_PAGE, NEXT_HUGE_PAGE, strict=True) for frame in pair],
    ],
    ids=["one is missing", "one of another between", "in turns"],
)
def test_part_of_a_huge_page_is_kept_until_another_one_is_named(frames):
    assert send(inflater(), frames).discards() == []


def test_frames_of_ordinary_memory_between_do_not_matter():
    frames = [*A_HUGE_PAGE[:256], SEAM, *A_HUGE_PAGE[256:]]

    assert [row[0] for row in send(inflater(), frames).discards()] == ["next", "huge"]


def test_part_of_a_huge_page_is_forgotten_with_its_element():
    """Linux sends 256 frames at most, so that it never gives back a huge page."""
    guest = send(inflater(), A_HUGE_PAGE[:256])
    send(guest, A_HUGE_PAGE[256:])

    assert guest.discards() == []
    assert guest.returned(Queue.INFLATE) == 2


def test_huge_pages_are_warned_of_once():
    guest = send(inflater(), A_HUGE_PAGE)
    send(guest, A_HUGE_PAGE)

    assert guest.device.errors == [WARNING]


# --- giving back (6.1)


@pytest.mark.parametrize(
    ("address", "length", "methods"),
    [
        (PAGE, PAGE_BYTES, (True, False)),
        (SEAM, PAGE_BYTES, (True, True)),
        (HUGE, HUGE_PAGE_BYTES, (False, True)),
    ],
    ids=["private memory is unmapped", "a file is punched too", "huge pages are only punched"],
)
def test_how_memory_is_given_back(address, length, methods):
    guest = inflater()
    guest.fill(address, length)
    guest.report((address, length))

    assert [entry[3:] for entry in guest.traced("discard")] == [methods]
    assert guest.is_zero(address, length)


def test_where_memory_is_locked_the_discard_fails_and_the_element_is_returned():
    """Its content stays; nothing is traced."""
    guest = inflater()
    guest.memory.locked = True
    guest.fill()
    guest.report((PAGE, PAGE_BYTES))
    guest.inflate(SEAM - PAGE_BYTES)

    assert guest.is_kept(SEAM - PAGE_BYTES)
    assert guest.discards() == []
    failed = "ram_block_discard_range: Failed to discard range low"
    assert guest.device.errors == [
        f"{failed}:{PAGE:x} +1000 (-22)",
        f"{failed}:{SEAM - PAGE_BYTES:x} +1000 (-22)",
    ]
    assert guest.returned(Queue.REPORT) == guest.returned(Queue.INFLATE) == 1


@pytest.mark.parametrize("shared", [False, True])
def test_where_memory_is_locked_a_file_is_punched_all_the_same(shared):
    """Shared memory is gone then; a private mapping still has what the guest wrote."""
    guest = inflater()
    guest.memory.locked = True
    guest.memory.find(SEAM).region.block.shared = shared
    guest.report((SEAM, PAGE_BYTES))

    assert guest.is_zero(SEAM) is shared
    assert guest.is_kept(SEAM) is not shared
    assert len(guest.device.errors) == 1


def test_locked_huge_pages_are_given_back():
    guest = inflater()
    guest.memory.locked = True
    guest.report((HUGE, HUGE_PAGE_BYTES))

    assert len(guest.discards()) == 1


def test_a_long_range_is_given_back_as_a_whole():
    """Longer than any huge page."""
    guest = inflater()
    guest.fill(HUGE, RAM_STOP - HUGE)
    guest.report((HUGE, RAM_STOP - HUGE))

    assert guest.is_zero(HUGE, RAM_STOP - HUGE)
