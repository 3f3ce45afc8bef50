"""When a completion interrupts the driver, of a split ring (the book's 2.4)."""

from __future__ import annotations

import pytest

from tests.model.balloon.guest import HINT, PAGE, REPORTING, STATS, Guest
from workbench.model.balloon import pci
from workbench.model.balloon.offer import EVENT_IDX, NOTIFY_ON_EMPTY, Queue
from workbench.model.balloon.split_ring import need_event
from workbench.units import PAGE_BYTES

REPORT = 4
EVENTS = 1 << EVENT_IDX
ONE = (PAGE, PAGE_BYTES)


def reporter(features=REPORTING, *, legacy=False):
    return Guest().start(features, Queue.REPORT, legacy=legacy)


def interrupts(guest, count):
    """Report so often, and say each time whether that interrupted."""
    found = []
    for _ in range(count):
        guest.report(ONE)
        found.append(guest.isr() if not guest.driver.legacy else legacy_isr(guest))
    return found


def legacy_isr(guest):
    return guest.do(("port_read", pci.LEGACY_ISR, 1))[0]


def test_every_completion_interrupts():
    assert interrupts(reporter(), 3) == [1, 1, 1]


def test_a_driver_can_do_without_interrupts():
    guest = reporter()
    guest.do(("avail_flags", REPORT, 1))

    assert interrupts(guest, 2) == [0, 0]
    assert guest.returned(Queue.REPORT) == 2


def test_an_emptied_queue_interrupts_a_driver_that_asked_for_that():
    """Even with NO_INTERRUPT; only a legacy driver is offered it."""
    guest = reporter(1 << NOTIFY_ON_EMPTY, legacy=True)
    guest.do(("avail_flags", REPORT, 1))

    assert interrupts(guest, 2) == [1, 1]


def test_a_queue_with_something_in_use_is_not_empty():
    """The device holds the statistics element."""
    guest = Guest().start(1 << NOTIFY_ON_EMPTY | STATS, legacy=True)
    guest.do(("avail_flags", guest.number(Queue.STATS), 1))
    guest.statistics((0, 1))
    guest.statistics((0, 1))
    held = legacy_isr(guest)
    guest.balloon.statistics.poll(guest.balloon, guest.balloon.queue_of(Queue.STATS))

    assert (held, legacy_isr(guest)) == (0, 1)


def test_with_event_idx_the_first_completion_interrupts_and_then_the_one_asked_for():
    guest = reporter(REPORTING | EVENTS)
    guest.do(("used_event", REPORT, 5))

    assert interrupts(guest, 8) == [1, 0, 0, 0, 0, 1, 0, 0]


def test_with_event_idx_the_device_says_how_far_it_has_come():
    guest = reporter(REPORTING | EVENTS)
    ring = guest.ring(Queue.REPORT)
    events = []
    for _ in range(3):
        guest.report(ONE)
        events.append(guest.read(ring.used + 4 + 8 * ring.size, 2))

    assert events == [1, 2, 3]


def test_with_event_idx_an_index_beyond_what_was_signalled_counts_as_the_first():
    """QEMU takes the difference as a signed number: after 32768 unasked completions it is lost."""
    guest = reporter(REPORTING | EVENTS)
    guest.report(ONE)
    queue = guest.device.queues[REPORT]
    guest.isr()
    queue.signalled_used = (queue.used_idx + 1 - 0x8000) & 0xFFFF
    guest.do(("used_event", REPORT, 0x4000))

    assert interrupts(guest, 1) == [1]


def test_with_event_idx_the_hint_queue_tells_by_its_event_what_it_waits_for():
    """While the worker is awake it writes none; then it asks for the next kick."""
    guest = Guest().start(EVENTS | HINT, Queue.HINT)
    ring = guest.ring(Queue.HINT)
    guest.command(0)

    assert guest.read(ring.used, 2) == 0
    assert guest.read(ring.used + 4 + 8 * ring.size, 2) == 1


def test_with_event_idx_rings_that_are_gone_ask_for_nothing():
    guest = Guest().start(STATS | EVENTS)
    guest.statistics((0, 1))
    guest.statistics((0, 1))
    guest.isr()
    guest.write_register(pci.QUEUE_SELECT, 2, guest.number(Queue.STATS))
    guest.write_register(pci.QUEUE_DESC, 4, 0)
    guest.write_register(pci.QUEUE_ENABLE, 2, 1)
    guest.balloon.statistics.poll(guest.balloon, guest.balloon.queue_of(Queue.STATS))

    assert guest.isr() == 0


@pytest.mark.parametrize(
    ("event", "now", "before", "needed"),
    [
        (0, 1, 0, True),
        (1, 1, 0, False),
        (0, 2, 1, False),
        (5, 6, 5, True),
        (5, 9, 3, True),
        (0xFFFF, 0, 0xFFFF, True),
        (0xFFFE, 1, 0xFFF0, True),
        (2, 1, 0xFFF0, False),
        (7, 3, 3, False),
    ],
)
def test_an_event_is_due_when_it_was_passed(event, now, before, needed):
    """On the way from one index to the next, modulo 65536."""
    assert need_event(event, now, before) is needed
