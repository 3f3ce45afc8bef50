"""The hint queue's worker: when it serves, waits, polls and sleeps (the book's 4.4 and 4.5)."""

from __future__ import annotations

from tests.model.balloon.guest import HOLE, PAGE, REPORTING
from tests.model.balloon.hinter import FIRST_ID, REQUESTED, START, Hinter
from workbench.model.balloon import pci
from workbench.model.balloon import rules as rule
from workbench.model.balloon.hinting import Precopy
from workbench.model.balloon.offer import Queue
from workbench.units import PAGE_BYTES


def test_the_worker_asks_for_no_kicks_while_it_is_awake():
    """While hinting runs it polls, and the driver need not kick (NO_NOTIFY)."""
    hinter = Hinter().reach(REQUESTED)
    flags = [hinter.read(hinter.ring(Queue.HINT).used, 2)]
    hinter.command(FIRST_ID)
    flags.append(hinter.read(hinter.ring(Queue.HINT).used, 2))
    hinter.tell(Precopy.BEFORE_BITMAP_SYNC)
    flags.append(hinter.read(hinter.ring(Queue.HINT).used, 2))

    assert flags == [0, 1, 0]


def test_one_kick_serves_all_that_waits():
    hinter = Hinter().reach(START)
    for number in range(3):
        hinter.add(Queue.HINT, (PAGE + number * PAGE_BYTES, PAGE_BYTES, 1))
    hinter.kick(Queue.HINT)

    assert len(hinter.hinting.hinted) == 3


def test_the_queue_interrupts_like_any_other():
    hinter = Hinter()
    hinter.command(0)

    assert hinter.isr() == 1


def test_while_the_machine_is_stopped_the_queue_waits():
    hinter = Hinter().reach(REQUESTED)
    hinter.device.set_running(running=False)
    hinter.command(FIRST_ID)
    waiting = hinter.returned(Queue.HINT)
    hinter.device.set_running(running=True)

    assert (waiting, hinter.returned(Queue.HINT)) == (0, 1)
    assert hinter.hinting.status is START


def test_kicks_of_a_worker_that_waits_are_one():
    hinter = Hinter()
    hinter.device.set_running(running=False)
    hinter.command(0)
    hinter.command(0)
    assert hinter.device.tally[rule.HINT_BLOCKED] >= 2
    hinter.device.set_running(running=True)

    assert hinter.returned(Queue.HINT) == 2


def test_a_driver_that_took_no_hints_does_not_wait_for_the_machine():
    hinter = Hinter()
    hinter.start(REPORTING)
    hinter.device.set_running(running=False)
    hinter.command(0)

    assert hinter.returned(Queue.HINT) == 1


def test_rings_taken_away_under_the_worker_break_the_device():
    """The driver names address 0 as the descriptors' while the worker polls."""
    hinter = Hinter().reach(START)
    hinter.write_register(pci.QUEUE_SELECT, 2, hinter.number(Queue.HINT))
    hinter.write_register(pci.QUEUE_DESC, 4, 0)
    hinter.write_register(pci.QUEUE_ENABLE, 2, 1)
    hinter.hinting.work(hinter.balloon)

    assert hinter.device.errors == ["Region caches not initialized"]


def test_a_worker_whose_queue_is_reset_under_it_goes_to_sleep():
    hinter = Hinter().reach(START)
    hinter.write_register(pci.QUEUE_SELECT, 2, hinter.number(Queue.HINT))
    hinter.write_register(pci.QUEUE_RESET, 2, 1)
    hinter.tell(Precopy.BEFORE_BITMAP_SYNC)
    hinter.do(("queue", hinter.number(Queue.HINT)))
    hinter.command(0)

    assert hinter.device.errors == []
    assert hinter.returned(Queue.HINT) == 1


def test_a_worker_whose_rings_cannot_be_mapped_goes_to_sleep():
    """The device is broken by then; the worker has no ring to say so in."""
    hinter = Hinter().reach(START)
    hinter.write_register(pci.QUEUE_SELECT, 2, hinter.number(Queue.HINT))
    hinter.write_register(pci.QUEUE_DEVICE, 4, HOLE - 8)
    hinter.write_register(pci.QUEUE_ENABLE, 2, 1)
    hinter.tell(Precopy.BEFORE_BITMAP_SYNC)

    assert hinter.device.errors == ["Cannot map used"]
    assert hinter.hinting.waiting is None
