"""The source's side of a migration: what is sent of memory, and when rings are mapped anew."""

from __future__ import annotations

import pytest

from tests.model.balloon.guest import (
    EVERYTHING,
    FILL,
    HINT,
    HOLE,
    PAGE,
    REPORTING,
    ROM,
    ROM_STOP,
    SEAM,
    STATS,
    Guest,
)
from workbench.model.balloon import pci
from workbench.model.balloon.hinting import HintStatus
from workbench.model.balloon.offer import RING_PACKED, Queue
from workbench.model.balloon.source import Source
from workbench.units import PAGE_BYTES

NOTHING = bytes(PAGE_BYTES)
FULL = bytes((FILL,)) * PAGE_BYTES


def guest_in_use(features: int = REPORTING | STATS) -> Guest:
    return Guest().start(features)


def own_pages(pages: set[tuple[str, int]]) -> list[int]:
    """Say which of the guest's own pages are among these, counted from `PAGE`."""
    return sorted((page - PAGE) // PAGE_BYTES for name, page in pages if page >= PAGE)


def page(number: int) -> int:
    return PAGE + number * PAGE_BYTES


# --- what counts as written


def test_what_the_driver_writes_counts_as_written():
    """Page by page, over the end of a block, and not where nothing can be written."""
    guest = guest_in_use()
    source = Source(guest.machine)
    guest.fill(page(0) + 1, 1)
    guest.fill(page(2) + 4095, 2)
    guest.fill(SEAM - 1, 2)
    guest.fill(HOLE - 1, 2)
    guest.memory.write(ROM - 1, b"\1\1")
    guest.memory.write(ROM_STOP - 1, b"\1\1")
    written = source.complete().again

    last = (SEAM - PAGE) // PAGE_BYTES - 1
    assert own_pages({one for one in written if one[0] == "low"}) == [0, 2, 3, last]
    assert {at for name, at in written if name == "next"} == {0, HOLE - SEAM - PAGE_BYTES}
    assert {("low", ROM - PAGE_BYTES), ("low", ROM_STOP)} <= written
    assert not [at for name, at in written if name == "rom"]


@pytest.mark.parametrize("packed", [0, 1 << RING_PACKED])
def test_rings_that_the_device_writes_count_as_written(packed):
    guest = guest_in_use(REPORTING | packed)
    guest.add(Queue.REPORT, (page(9), PAGE_BYTES, 1))
    source = Source(guest.machine)
    guest.kick(Queue.REPORT)
    ring = guest.ring(Queue.REPORT)

    assert source.complete().again == {("low", ring.desc if packed else ring.used)}


def test_a_discard_is_no_write():
    guest = guest_in_use()
    source = Source(guest.machine)
    guest.report((page(0), PAGE_BYTES))
    guest.inflate(page(1))

    assert own_pages(source.complete().again) == [0]  # The list of what to inflate.
    assert len(guest.discards()) == 2


@pytest.mark.parametrize("kind", [Queue.REPORT, Queue.INFLATE, Queue.STATS])
def test_a_writable_piece_that_begins_within_a_page_counts_as_a_write_there(kind):
    """When it comes back; however long it is."""
    guest = guest_in_use()
    source = Source(guest.machine)
    guest.send(kind, (page(1) + 1, 2 * PAGE_BYTES, 1), (page(4), 7, 1))
    if kind is Queue.STATS:
        guest.send(kind, (page(6), 10, 0))

    assert own_pages(source.complete().again) == [1]


def test_what_was_written_before_or_after_does_not_count():
    guest = guest_in_use()
    guest.fill(page(0))
    source = Source(guest.machine)
    sent = source.complete()
    source.end()
    guest.fill(page(1))

    assert (sent.again, guest.memory.dirty) == (set(), None)


# --- what is sent


def hinted(*pages: int) -> tuple[Guest, Source]:
    """Begin a migration, and hint pages of a guest whose pages are filled."""
    guest = guest_in_use(HINT | REPORTING)
    guest.fill(PAGE, 8 * PAGE_BYTES)
    source = Source(guest.machine)
    guest.command(guest.balloon.hinting.cmd_id)
    guest.fill(PAGE, PAGE_BYTES)
    for number in pages:
        guest.send(Queue.HINT, (page(number), PAGE_BYTES, 1))
    return guest, source


def test_hinted_pages_are_not_sent_unless_they_are_written():
    guest, source = hinted(2, 3)
    guest.fill(page(3), 1)
    sent = source.complete()
    copy = sent.copy_of(guest.memory.blocks[0])

    assert own_pages(sent.spared) == [2]
    assert copy[page(2) : page(3)] == NOTHING
    assert copy[page(3) : page(4)] == FULL
    assert copy[page(4) : page(5)] == FULL
    for other in guest.memory.blocks[1:]:
        assert sent.copy_of(other) == other.content


def test_a_page_that_was_hinted_too_late_was_sent():
    guest, source = hinted(2)
    source.send_all()
    guest.send(Queue.HINT, (page(3), PAGE_BYTES, 1))

    assert own_pages(source.complete().spared) == [2]


def test_what_is_discarded_after_it_was_sent_stays_where_it_went():
    """Unless it is written, too."""
    guest = guest_in_use()
    guest.fill(PAGE, 4 * PAGE_BYTES)
    source = Source(guest.machine)
    source.send_all()
    guest.report((page(0), 2 * PAGE_BYTES))
    guest.fill(page(1), 1)
    sent = source.complete()
    copy = sent.copy_of(guest.memory.blocks[0])

    assert sent.stale == {("low", page(0)): FULL}
    assert copy[page(0) : page(1)] == FULL
    assert copy[page(1) : page(2)] == bytes((FILL,)) + NOTHING[1:]


def test_stale_pages_belong_to_their_block():
    guest = guest_in_use()
    guest.fill(SEAM)
    source = Source(guest.machine)
    source.send_all()
    guest.report((SEAM, PAGE_BYTES))
    sent = source.complete()
    copies = {block.name: sent.copy_of(block) for block in guest.memory.blocks}

    assert copies["next"][:PAGE_BYTES] == FULL
    assert copies["low"] == guest.memory.blocks[0].content


# --- what the device learns


def test_a_migration_stops_the_machine_and_says_done_at_its_end():
    guest = guest_in_use(HINT)
    source = Source(guest.machine)
    asked = guest.balloon.hinting.status
    source.complete()
    source.end()

    assert (asked, guest.balloon.hinting.status) == (HintStatus.REQUESTED, HintStatus.DONE)
    assert not guest.device.vm_running
    assert not guest.balloon.hinting.migrating


def test_a_machine_that_is_stopped_stays_stopped():
    guest = guest_in_use(HINT)
    guest.device.set_running(running=False)
    source = Source(guest.machine)
    source.complete()

    assert guest.balloon.hinting.status is HintStatus.DONE


# --- rings


def grown(size: int = 8) -> Guest:
    """A guest that has raised a queue's size behind the device's back."""
    guest = Guest(EVERYTHING).start(REPORTING, Queue.REPORT, size=size)
    guest.write_register(pci.QUEUE_SELECT, 2, guest.number(Queue.REPORT))
    guest.write_register(pci.QUEUE_SIZE, 2, 4 * size)
    return guest


def served(guest: Guest) -> bool:
    guest.fill(page(0))
    guest.report((page(0), PAGE_BYTES))
    return guest.is_zero(page(0))


def test_a_migration_that_begins_maps_rings_for_their_size_of_the_moment():
    guest = grown()
    Source(guest.machine)

    assert served(guest)
    assert not served(grown())


def test_one_that_ends_does_so_too():
    guest = Guest().start(REPORTING, Queue.REPORT, size=8)
    source = Source(guest.machine)
    guest.write_register(pci.QUEUE_SIZE, 2, 32)
    source.end()

    assert served(guest)


def test_one_that_has_stopped_the_machine_does_so_when_that_goes_on():
    guest = Guest().start(REPORTING, Queue.REPORT, size=8)
    source = Source(guest.machine)
    source.complete()
    guest.write_register(pci.QUEUE_SIZE, 2, 32)
    source.end()
    before = guest.device.queues[4].mapped_num
    guest.device.set_running(running=True)

    assert (before, guest.device.queues[4].mapped_num) == (8, 32)
    assert served(guest)


def test_rings_that_do_not_fit_any_more_break_the_device():
    guest = Guest().start(REPORTING, Queue.REPORT, size=8)
    guest.write_register(pci.QUEUE_DEVICE, 4, HOLE - 70)
    guest.write_register(pci.QUEUE_ENABLE, 2, 1)
    guest.write_register(pci.QUEUE_SIZE, 2, 32)
    fits = not guest.is_broken()
    Source(guest.machine)

    assert fits
    assert guest.device.errors == ["Cannot map used"]
    assert guest.status() == 0x4F
