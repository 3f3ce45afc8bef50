"""Steps of a migration, in and out, and what it forbids or asks for meanwhile.

A step for which another one must have prepared does nothing where that is missing: a program that
is being shortened may have lost it.

The model is told what a migration tells the device (QEMU 7.2 migration/ram.c and
migration/migration.c): with a downtime limit of 0 there are two bitmap syncs, one when it begins
and one when the guest was stopped for the end.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import HostError
from workbench.model.balloon.hinting import HintStatus, Precopy
from workbench.model.balloon.migration import load_state, save_state
from workbench.model.balloon.offer import Queue
from workbench.units import MIB, PAGE_BYTES
from workbench.validation.abilities import NotBuildableError
from workbench.validation.host_steps import cont, settle
from workbench.validation.outgoing import BackgroundSnapshot, OutgoingMigration, attach_ballast
from workbench.validation.real_machine import RealMachine
from workbench.validation.setup import Setup
from workbench.validation.stream_reader import with_hint_state
from workbench.validation.streams import (
    IncomingStream,
    colo_stream,
    load,
    migrate,
    postcopy_advice,
    postcopy_discard,
    set_capability,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.model.balloon.machine import Machine
    from workbench.validation.session import Session

_HOLD_BYTES: Final = 32 * MIB
"""More than guests have: a migration that is held in it has sent nothing of the guest."""
_SNAPSHOT_BYTES: Final = MIB
"""Less than guests have: a snapshot that is held in it has sent all of the guest."""
_HOLD_SLOT, _SNAPSHOT_SLOT = 6, 7


def inhibit_colo(session: Session) -> None:
    """Let the machine take in a COLO stream: it forbids discards for ever."""
    set_capability(session.real, "x-colo", state=True)
    stream = IncomingStream(session.real, session.folder)
    session.resources["incoming"] = stream
    stream.send(colo_stream())
    session.model.balloon.discard_disabled += 1


def advise_postcopy(session: Session) -> None:
    """Announce postcopy to the machine: that empties its memory, and forbids nothing yet."""
    set_capability(session.real, "postcopy-ram", state=True)
    stream = IncomingStream(session.real, session.folder)
    session.resources["incoming"] = stream
    stream.send(postcopy_advice())
    session.adopt_memory()


def inhibit_postcopy(session: Session) -> None:
    """Let the machine take in a postcopy stream: from its first discard on it forbids others."""
    advise_postcopy(session)
    name = session.block_names[session.model.memory.regions[0].block.name]
    session.resources["incoming"].send(postcopy_discard(name, 0, PAGE_BYTES))
    session.model.balloon.incoming_postcopy = True
    session.adopt_memory()


def ballast(session: Session) -> None:
    """Plug in memory that migrations are held at: before, and after, the guest's own is sent."""
    for name, slot, size in (
        ("hold", _HOLD_SLOT, _HOLD_BYTES),
        ("snapshot", _SNAPSHOT_SLOT, _SNAPSHOT_BYTES),
    ):
        session.ballast[name] = attach_ballast(session.real, size, slot=slot)


def snapshot_begin(session: Session) -> None:
    """Begin a background snapshot: while it lasts, discards are forbidden."""
    hold_at = session.ballast.get("snapshot")
    if hold_at is None or session.resources:
        return
    session.resources["snapshot"] = BackgroundSnapshot(
        session.real, session.folder, hold_at=hold_at
    )
    # The guest is stopped for a moment.
    session.model.device.set_running(running=False)
    session.model.device.set_running(running=True)
    session.model.balloon.background_snapshot = True


def snapshot_end(session: Session) -> None:
    """Let it complete; QEMU stops the guest and lets it go on, and cleans up as after precopy."""
    snapshot = session.resources.pop("snapshot", None)
    if snapshot is None:
        return
    snapshot.close()
    session.model.balloon.background_snapshot = False
    _tell(session, Precopy.CLEANUP)


def migration_begin(session: Session) -> None:
    """Begin a migration, held before anything of the guest is sent."""
    if not session.ballast or session.resources:
        return
    session.resources["migration"] = OutgoingMigration(session.real, session.folder)
    hinting = session.model.balloon.hinting
    hinting.migrating = True
    hinting.hinted.clear()
    session.model.device.touched = []
    session.written = []
    _tell(session, Precopy.BEFORE_BITMAP_SYNC, Precopy.AFTER_BITMAP_SYNC, Precopy.SETUP)


def migration_end(session: Session, how: str) -> None:
    """End it: it completes, is cancelled, or fails.  Then the guest goes on."""
    migration: OutgoingMigration | None = session.resources.pop("migration", None)
    if migration is None:
        return
    model = session.model
    if how == "complete":
        found = migration.finish()
        session.monitor_pairs.append(("migration", "completed", found))
        was_running = model.device.vm_running
        if was_running:
            model.device.set_running(running=False)
        _tell(session, Precopy.BEFORE_BITMAP_SYNC, Precopy.AFTER_BITMAP_SYNC, Precopy.COMPLETE)
    elif how == "cancel":
        migration.cancel()
    else:
        migration.fail()
    migration.close()
    _tell(session, Precopy.CLEANUP)
    model.balloon.hinting.migrating = False
    if how == "complete":
        _compare_sent(session, migration)
        cont(session)
    session.written = session.model.device.touched = None
    if Queue.HINT in model.device.offer.queues:
        settle(session, model.device.offer.queues.index(Queue.HINT))


def write_cmd_id(session: Session, address: int, ahead: int) -> None:
    """Write the id that the device asks hints for, or one that is `ahead` of it."""
    value = (session.model.balloon.hinting.cmd_id + ahead) & 0xFFFFFFFF
    access = ("writel", address, value)
    session.model.execute([access])
    session.real.execute([access])


def postcopy_capability(session: Session, on: int) -> None:
    """Allow postcopy for migrations to come, or forbid it; where the host has none, do nothing."""
    with suppress(NotBuildableError):
        set_capability(session.real, "postcopy-ram", state=bool(on))
        session.model.balloon.hinting.postcopy_ram = bool(on)


def migrate_over(session: Session, properties: dict[str, Any]) -> None:
    """Migrate into a machine with these properties, and go on there; or stay, if it refuses."""
    setup = Setup.from_json(
        session.setup.to_json() | {"properties": properties, "incoming": "deferred"}
    )
    destination = RealMachine(setup, qemu=session.qemu, folder=session.folder)
    # What it says when it starts is not about the device.
    destination.take_errors()
    source = session.model
    _tell(session, Precopy.BEFORE_BITMAP_SYNC, Precopy.AFTER_BITMAP_SYNC, Precopy.SETUP)
    source.device.set_running(running=False)
    _tell(session, Precopy.BEFORE_BITMAP_SYNC, Precopy.AFTER_BITMAP_SYNC, Precopy.COMPLETE)
    model = session.make_model(setup, tally=source.device.tally)
    _copy_memory(source, model)
    problem = load_state(model, save_state(source))
    try:
        migrate(session.real, destination, session.folder)
        refused = False
    except HostError:
        refused = True
    session.monitor_pairs.append(("migration refused", problem is not None, refused))
    _tell(session, Precopy.CLEANUP)
    if problem is None and not refused:
        model.device.set_running(running=True)
        difference = session.check()
        left = None if difference is None else difference.sentence()
        session.monitor_pairs.append(("what the source left behind", None, left))
        session.replace(model, destination, setup)
    else:
        destination.close()
        # It may have sent everything before it learnt that, and is stopped then.
        session.real.qmp("cont")
        source.device.set_running(running=True)


def age_hints(session: Session, cmd_id: int, status: int) -> None:
    """Go on in a machine that was told that its hints are at this id, and in this state.

    That is done by a migration stream in which they were changed on the way.
    """
    with OutgoingMigration(session.real, session.folder) as migration:
        migration.finish()
    stream = with_hint_state(bytes(migration.reader.content), cmd_id, status)
    setup = Setup.from_json(session.setup.to_json() | {"incoming": "deferred"})
    destination = RealMachine(setup, qemu=session.qemu, folder=session.folder)
    destination.take_errors()
    load(destination, session.folder, stream)
    source = session.model
    _tell(session, Precopy.BEFORE_BITMAP_SYNC, Precopy.AFTER_BITMAP_SYNC, Precopy.SETUP)
    source.device.set_running(running=False)
    _tell(session, Precopy.BEFORE_BITMAP_SYNC, Precopy.AFTER_BITMAP_SYNC, Precopy.COMPLETE)
    model = session.make_model(setup, tally=source.device.tally)
    _copy_memory(source, model)
    load_state(model, save_state(source))
    model.balloon.hinting.cmd_id = cmd_id
    model.balloon.hinting.status = HintStatus(status)
    model.device.set_running(running=True)
    session.replace(model, destination, setup)


def _tell(session: Session, *events: Precopy) -> None:
    balloon = session.model.balloon
    for event in events:
        balloon.hinting.precopy(balloon, event)


def _copy_memory(source: Machine, destination: Machine) -> None:
    for ours, theirs in zip(source.memory.blocks, destination.memory.blocks, strict=True):
        theirs.content[:] = ours.content


def _compare_sent(session: Session, migration: OutgoingMigration) -> None:
    """Hold together which pages of the guest were sent: all but those that were hinted."""
    for block in session.model.memory.blocks:
        name = session.block_names[block.name]
        sent = {page.offset_bytes for page in migration.reader.sent if page.block == name}
        spared = session.spared_pages(block)
        pages = range(0, block.length_bytes, PAGE_BYTES)
        missing = [hex(page) for page in pages if page not in sent]
        expected = [hex(page) for page in pages if page in spared]
        session.monitor_pairs.append((f"pages of {block.name} not sent", expected, missing))


MIGRATION_STEPS: Final[dict[str, Callable[..., None]]] = {
    "inhibit_colo": inhibit_colo,
    "advise_postcopy": advise_postcopy,
    "inhibit_postcopy": inhibit_postcopy,
    "ballast": ballast,
    "snapshot_begin": snapshot_begin,
    "snapshot_end": snapshot_end,
    "migration_begin": migration_begin,
    "migration_end": migration_end,
    "write_cmd_id": write_cmd_id,
    "postcopy_capability": postcopy_capability,
    "migrate_over": migrate_over,
    "age_hints": age_hints,
}
"""Every step that concerns a migration, by name."""
