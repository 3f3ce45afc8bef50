"""The harness waits for the thread of QEMU that takes hints, however slow that is."""

import pytest

from tests.validation.slow_thread import SlowThread
from workbench.schema import Feature
from workbench.units import PAGE_BYTES
from workbench.validation.driver import STOP
from workbench.validation.hint_thread import CONDITION, EVENTS, rests_in
from workbench.validation.kinds.hints import COMMANDS
from workbench.validation.kinds.kind import SMALL
from workbench.validation.session import Session
from workbench.validation.setup import Properties, Setup

pytestmark = pytest.mark.qemu

QUEUE = 3
FEATURES = 1 << int(Feature.FREE_PAGE_HINT)
MODERN = 1 << 32
BREAKING = ("element", QUEUE, [(COMMANDS, 0, 1)], 0)
KICK = ("kick", QUEUE)
OBSERVE = ("observe",)


@pytest.fixture
def session(tmp_path):
    setup = Setup(memory=SMALL, properties=Properties(free_page_hint=True))
    with Session(setup, qemu="qemu-system-x86_64", folder=tmp_path) as made:
        yield made


def told(session, steps):
    """Run steps one by one, and give the first difference."""
    for step in steps:
        difference = session.run([step]) or session.check()
        if difference is not None:
            return step, difference.sentence()
    return None


def test_a_worker_that_breaks_a_legacy_device_late_is_waited_for(session):
    """Status and ring say nothing of it: only its interrupt, and its words, do."""
    session.run([("start", FEATURES, [(QUEUE, 0)], True), OBSERVE])
    with SlowThread(session.real.hint_thread) as slow:
        slow.release_soon()

        assert told(session, [BREAKING, KICK, OBSERVE]) is None
        assert session.model.device.broken


def test_a_worker_that_is_slow_to_be_held_up_is_waited_for(session):
    """In a stopped machine nothing shows what was asked of it before."""
    session.run([("start", FEATURES | MODERN, [(QUEUE, 0)]), ("stop",)])
    element = ("element", QUEUE, [(STOP, PAGE_BYTES, 1)], 0)
    with SlowThread(session.real.hint_thread) as slow:
        slow.release_soon()

        assert told(session, [element, KICK, OBSERVE]) is None
        assert rests_in(session.real, CONDITION)
    assert not rests_in(session.real, EVENTS)
    with SlowThread(session.real.hint_thread) as slow:
        slow.release_soon()

        assert told(session, [("cont",), OBSERVE]) is None
        assert rests_in(session.real, EVENTS)


def test_a_worker_of_a_broken_device_is_held_up_before_a_migration_completes(session):
    """Else it would write to the ring when the migration has ended hinting, and sent the ring.

    It does so where it was held between two rounds of polling: one attempt in ten, or so.
    """
    session.run([("ballast",)])
    begin = [
        ("start", FEATURES | MODERN, [(QUEUE, 0)]),
        ("avail_flags", QUEUE, 1),
        ("migration_begin",),
        ("write_cmd_id", COMMANDS, 0),
        ("element", QUEUE, [(COMMANDS, 4, 0)], 0),
        KICK,
        BREAKING,
        OBSERVE,
    ]
    for _ in range(6):
        assert told(session, begin) is None
        with SlowThread(session.real.hint_thread, 0.6) as slow:
            slow.release_soon()

            assert told(session, [("migration_end", "complete"), OBSERVE]) is None
