"""Steps of a migration, in and out, and what it forbids or asks for meanwhile.

A step for which another one must have prepared does nothing where that is missing: a program that
is being shortened may have lost it.

What a migration that completes has sent is held against the model's (`sent.py`), whatever it was
begun for.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import HostError
from workbench.model.balloon.hinting import HintStatus, Precopy
from workbench.model.balloon.migration import load_state, save_state
from workbench.model.balloon.source import Sent, Source
from workbench.units import MIB, PAGE_BYTES
from workbench.validation.abilities import NotBuildableError
from workbench.validation.device_section import with_hint_state
from workbench.validation.host_steps import cont, settle_hints, stop
from workbench.validation.outgoing import BackgroundSnapshot, OutgoingMigration, attach_ballast
from workbench.validation.real_machine import RealMachine
from workbench.validation.sent import compare_again, compare_device, compare_pages
from workbench.validation.setup import Setup
from workbench.validation.streams import (
    IncomingStream,
    colo_stream,
    load,
    postcopy_advice,
    postcopy_discard,
    set_capability,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.model.balloon.machine import Machine
    from workbench.model.balloon.migration import DeviceState
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
        session.model.device.map_all_rings()


def snapshot_begin(session: Session) -> None:
    """Begin a background snapshot: while it lasts, discards are forbidden."""
    hold_at = session.ballast.get("snapshot")
    if hold_at is None or session.resources:
        return
    model = session.model
    session.resources["snapshot"] = BackgroundSnapshot(
        session.real, session.folder, hold_at=hold_at
    )
    # The guest is stopped for a moment, in which the snapshot is taken.
    model.device.set_running(running=False)
    contents = {block.name: block.content[:] for block in model.memory.blocks}
    session.snapshot = save_state(model), contents
    model.device.set_running(running=True)
    model.balloon.background_snapshot = True


def snapshot_end(session: Session) -> None:
    """Let it complete; QEMU stops the guest and lets it go on, and cleans up as after precopy."""
    snapshot = session.resources.pop("snapshot", None)
    if snapshot is None or session.snapshot is None:
        return
    snapshot.close()
    balloon = session.model.balloon
    balloon.background_snapshot = False
    balloon.hinting.precopy(balloon, Precopy.CLEANUP)
    state, contents = session.snapshot
    compare_device(session, snapshot.reader, state)
    compare_pages(session, snapshot.reader, Sent(set(), set(), {}), contents)


def migration_begin(session: Session) -> None:
    """Begin a migration, held before anything of the guest is sent."""
    if not session.ballast or session.resources:
        return
    session.resources["migration"] = OutgoingMigration(session.real, session.folder)
    session.source = Source(session.model)
    # A worker that polled because hints of before were wanted goes to sleep.
    settle_hints(session)


def migration_send(session: Session) -> None:
    """Let it send the guest's memory, and hold it behind that."""
    migration: OutgoingMigration | None = session.resources.get("migration")
    if migration is None or session.source is None or session.sent_count is not None:
        return
    migration.run_to(session.ballast["snapshot"])
    session.sent_count = len(migration.reader.sent)
    session.source.send_all()


def migration_end(session: Session, how: str) -> None:
    """End it: it completes, is cancelled, or fails.  Then the guest goes on."""
    migration: OutgoingMigration | None = session.resources.pop("migration", None)
    source, sent_count = session.source, session.sent_count
    session.source = session.sent_count = None
    if migration is None or source is None:
        return
    if how == "complete":
        hinting = session.model.balloon.hinting
        if hinting.waiting is not None and not hinting.blocked:
            # Of a broken device, whose driver cannot end hinting.  QEMU stops the machine, which
            # holds the worker up, and then ends hinting, which sends it to sleep: a slow one
            # notices both at once, and writes that into the ring before it is sent, or after.
            stop(session)
        _complete(session, migration, source, sent_count)
    elif how == "cancel":
        migration.cancel()
    else:
        migration.fail()
    migration.close()
    source.end()
    if how == "complete":
        cont(session)
    settle_hints(session)


def save(session: Session) -> None:
    """Migrate to nowhere at once, and hold together what was sent; then the guest goes on."""
    if session.resources:
        return
    with OutgoingMigration(session.real, session.folder, held=False) as migration:
        source = Source(session.model)
        _complete(session, migration, source, None)
    source.end()
    cont(session)


def _complete(
    session: Session, migration: OutgoingMigration, source: Source, sent_count: int | None
) -> tuple[DeviceState, Sent]:
    """Let a migration complete, and hold together what was sent."""
    status = migration.finish()
    session.monitor_pairs.append(("migration", "completed", status))
    sent = source.complete()
    state = save_state(session.model)
    if status != "completed":
        return state, sent
    compare_device(session, migration.reader, state)
    contents = {block.name: block.content for block in session.model.memory.blocks}
    compare_pages(session, migration.reader, sent, contents)
    if sent_count is not None:
        compare_again(session, migration.reader.sent[sent_count:], sent)
    return state, sent


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
    """Migrate into a machine with these properties, and go on there; or stay, if it refuses.

    One that was stopped arrives stopped.
    """
    if session.resources:
        return
    was_running = session.model.device.vm_running
    setup = Setup.from_json(
        session.setup.to_json() | {"properties": properties, "incoming": "deferred"}
    )
    destination = RealMachine(setup, qemu=session.qemu, folder=session.folder)
    # What it says when it starts is not about the device.
    destination.take_errors()
    with OutgoingMigration(session.real, session.folder, held=False) as migration:
        source = Source(session.model)
        state, sent = _complete(session, migration, source, None)
    source.end()
    model = _arrive(session, setup, sent)
    problem = load_state(model, state)
    try:
        load(destination, session.folder, bytes(migration.reader.content))
        refused = False
    except HostError:
        refused = True
    session.monitor_pairs.append(("migration refused", problem is not None, refused))
    if problem is None and not refused:
        model.device.set_running(running=was_running)
        difference = session.check()
        left = None if difference is None else difference.sentence()
        session.monitor_pairs.append(("what the source left behind", None, left))
        session.replace(model, destination, setup)
    else:
        destination.close()
        # QEMU does not let a machine migrate again that is paused since it did.
        cont(session)


def age_hints(session: Session, cmd_id: int, status: int) -> None:
    """Go on in a machine that was told that its hints are at this id, and in this state.

    That is done by a migration stream in which they were changed on the way.
    """
    was_running = session.model.device.vm_running
    with OutgoingMigration(session.real, session.folder, held=False) as migration:
        state, sent = _complete(session, migration, Source(session.model), None)
    stream = with_hint_state(migration.reader, cmd_id, status)
    setup = Setup.from_json(session.setup.to_json() | {"incoming": "deferred"})
    destination = RealMachine(setup, qemu=session.qemu, folder=session.folder)
    destination.take_errors()
    load(destination, session.folder, stream)
    model = _arrive(session, setup, sent)
    load_state(model, replace(state, hint=(cmd_id, HintStatus(status))))
    model.device.set_running(running=was_running)
    session.replace(model, destination, setup)


def _arrive(session: Session, setup: Setup, sent: Sent) -> Machine:
    """Make the model of a destination, with the memory that was sent to it."""
    model = session.make_model(setup, tally=session.model.device.tally)
    for ours, theirs in zip(session.model.memory.blocks, model.memory.blocks, strict=True):
        theirs.content[:] = sent.copy_of(ours)
    return model


MIGRATION_STEPS: Final[dict[str, Callable[..., None]]] = {
    "inhibit_colo": inhibit_colo,
    "advise_postcopy": advise_postcopy,
    "inhibit_postcopy": inhibit_postcopy,
    "ballast": ballast,
    "snapshot_begin": snapshot_begin,
    "snapshot_end": snapshot_end,
    "migration_begin": migration_begin,
    "migration_send": migration_send,
    "migration_end": migration_end,
    "save": save,
    "write_cmd_id": write_cmd_id,
    "postcopy_capability": postcopy_capability,
    "migrate_over": migrate_over,
    "age_hints": age_hints,
}
"""Every step that concerns a migration, by name."""
