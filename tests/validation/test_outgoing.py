"""A migration out of a real QEMU stops where we want it to, and the balloon with it."""

import pytest

from tests.validation.balloon_driver import (
    CMD_ID,
    DONE,
    FIRST_ID,
    HINT,
    PROPERTIES,
    RAM,
    Balloon,
)
from workbench.errors import HostError
from workbench.units import MIB, PAGE_BYTES
from workbench.validation.outgoing import (
    BackgroundSnapshot,
    OutgoingMigration,
    Stretch,
    attach_ballast,
)
from workbench.validation.real_machine import RealMachine
from workbench.validation.setup import Backend, Setup

pytestmark = pytest.mark.qemu


@pytest.fixture
def start(tmp_path):
    """Start machines, and end them after the test."""
    machines = []

    def start_one(**setup):
        machines.append(RealMachine(Setup(properties=PROPERTIES, **setup), folder=tmp_path))
        return machines[-1]

    yield start_one
    for machine in machines:
        machine.close()


@pytest.mark.parametrize("kind", ["anonymous", "memfd"])
def test_discards_are_inhibited_by_a_background_snapshot_until_it_ends(start, tmp_path, kind):
    """All of the guest's memory can be written meanwhile, and it can be done again and again."""
    machine = start(memory=(Backend(size_bytes=16 * MIB, kind=kind),))
    ballast = attach_ballast(machine, MIB)
    balloon = Balloon(machine).set_up()
    for _ in range(3):
        with BackgroundSnapshot(machine, tmp_path, hold_at=ballast) as snapshot:
            balloon.ask("memset", MIB, 15 * MIB, 0x77)
            during = balloon.discards()

        assert not during
        assert balloon.discards()
        assert snapshot.reader.pages()[ballast.block, MIB - PAGE_BYTES] == b"\x5a" * PAGE_BYTES


def test_a_background_snapshot_says_done_when_it_ends(start, tmp_path):
    """It asks for no hints, but its end is that of any migration."""
    machine = start()
    balloon = Balloon(machine).set_up()
    balloon.ask("memset", 15 * MIB, MIB, 0x5A)
    with BackgroundSnapshot(machine, tmp_path, hold_at=Stretch(RAM, 15 * MIB, 16 * MIB)):
        during = balloon.config(CMD_ID)

    assert (during, balloon.config(CMD_ID)) == (0, DONE)


def test_a_snapshot_with_nothing_to_hold_it_is_told(start, tmp_path):
    machine = start()
    with pytest.raises(HostError, match="completed before"):
        BackgroundSnapshot(machine, tmp_path, hold_at=Stretch("none", 0, PAGE_BYTES))


@pytest.fixture
def migrating(start):
    """Set up a balloon whose RAM is not sent until a migration is told to."""
    machine = start()
    attach_ballast(machine, 32 * MIB)
    balloon = Balloon(machine).set_up()
    balloon.ask("memset", 4 * MIB, 12 * MIB, 0x33)
    return balloon


def test_hinted_pages_are_sent_only_if_they_were_written(migrating, tmp_path):
    """Written before the hint or after it: since the last synchronisation."""
    plain, before, after, unhinted = (4 * MIB + number * PAGE_BYTES for number in range(4))
    with OutgoingMigration(migrating.machine, tmp_path) as migration:
        asked_for = migrating.config(CMD_ID)
        migrating.send(HINT, asked_for)
        migrating.hint(plain)
        migrating.ask("memset", before, PAGE_BYTES, 0x44)
        migrating.hint(before)
        migrating.hint(after)
        migrating.ask("memset", after, PAGE_BYTES, 0x45)
        status = migration.finish()
    pages = migration.reader.pages()

    assert (asked_for, status, migrating.config(CMD_ID)) == (FIRST_ID, "completed", DONE)
    assert migration.sync_count() == 2
    assert (RAM, plain) not in pages
    assert [pages[RAM, page][0] for page in (before, after, unhinted)] == [0x44, 0x45, 0x33]


def test_every_migration_and_every_synchronisation_has_its_own_id(migrating, tmp_path):
    found = []
    for _ in range(2):
        with OutgoingMigration(migrating.machine, tmp_path) as migration:
            found.append(migrating.config(CMD_ID))
            migrating.send(HINT, found[-1])
            migration.run_to(Stretch(RAM, 14 * MIB, 16 * MIB))
            migrating.ask("memset", 4 * MIB, 8 * MIB, 0x66)
            migration.resync(dirtied_bytes=8 * MIB)
            found.append(migrating.config(CMD_ID))
            migration.finish()
        migrating.go_on()

    assert found == [FIRST_ID + number for number in range(4)]


def test_a_migration_that_does_not_complete_says_done_and_the_guest_runs_on(migrating, tmp_path):
    found = []
    for _ in range(2):
        with OutgoingMigration(migrating.machine, tmp_path) as migration:
            migration.cancel()
            found.append((migration.status(), migrating.config(CMD_ID)))
        with OutgoingMigration(migrating.machine, tmp_path) as migration:
            migration.fail()
            found.append((migration.status(), migrating.config(CMD_ID)))

    assert found == [("cancelled", DONE), ("failed", DONE)] * 2
    assert migrating.machine.qmp("query-status")["return"]["running"]


def test_a_migration_can_fail_after_the_guest_was_stopped(migrating, tmp_path):
    with OutgoingMigration(migrating.machine, tmp_path) as migration:
        migration.run_to(Stretch(RAM, 14 * MIB, 16 * MIB))
        migrating.ask("memset", 4 * MIB, MIB, 0x44)
        migrating.machine.take_events()
        migration.fail(at=Stretch(RAM, 4 * MIB, 5 * MIB))

    assert [event["event"] for event in migrating.machine.take_events()] == ["STOP", "RESUME"]
    assert migrating.config(CMD_ID) == DONE


def test_a_migration_that_never_comes_to_a_page_is_told(migrating, tmp_path):
    with (
        OutgoingMigration(migrating.machine, tmp_path) as migration,
        pytest.raises(HostError, match="completed before"),
    ):
        migration.run_to(Stretch("none", 0, PAGE_BYTES))
