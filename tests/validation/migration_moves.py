"""What happens to a machine by a migration, in or out, and what that forbids or asks for meanwhile.

As other moves do, these treat the model and QEMU alike.  The model is told what a migration tells
the device: with a downtime limit of 0, that is two synchronisations of the bitmap.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

from tests.validation.cases import RAM_BYTES
from workbench.errors import HostError
from workbench.model.balloon.hinting import HintStatus, Precopy
from workbench.model.balloon.migration import load_state, save_state
from workbench.model.balloon.offer import Queue
from workbench.units import MIB, PAGE_BYTES
from workbench.validation.device_section import with_hint_state
from workbench.validation.model_machine import model_machine
from workbench.validation.outgoing import BackgroundSnapshot, OutgoingMigration, attach_ballast
from workbench.validation.real_machine import RealMachine
from workbench.validation.streams import (
    IncomingStream,
    colo_stream,
    load,
    migrate,
    set_capability,
    tell,
)

if TYPE_CHECKING:
    from tests.validation.bench import Bench
    from workbench.model.balloon.machine import Machine
    from workbench.model.balloon.migration import DeviceState

# --- what inhibits discards


def snapshot(bench: Bench) -> list[Any]:
    """Begin a background snapshot, and hold it when it has sent the guest's memory."""
    # The machine is stopped for a moment.
    bench.model.device.set_running(running=False)
    bench.model.device.set_running(running=True)
    bench.model.balloon.background_snapshot = True
    if bench.session is not None:
        hold_at = attach_ballast(bench.real, MIB)
        try:
            _hold(bench, BackgroundSnapshot(bench.real, bench.folder, hold_at=hold_at))
        except HostError as error:
            if os.geteuid() == 0:
                raise
            bench.skip(f"{error}: only root may use userfaultfd by default")
    return []


def snapshot_end(bench: Bench) -> list[Any]:
    """Let the snapshot come to its end."""
    bench.model.balloon.background_snapshot = False
    bench.resources.close()
    _precopy(bench, Precopy.CLEANUP)
    return []


def colo(bench: Bench) -> list[Any]:
    """Send the beginning of a migration with COLO to a machine that waits for one."""
    bench.model.balloon.discard_disabled += 1
    if bench.session is not None:
        set_capability(bench.real, "x-colo", state=True)
        stream = IncomingStream(bench.real, bench.folder)
        _hold(bench, stream)
        stream.send(colo_stream())
    return []


# --- migrations


def capability(bench: Bench, name: str, on: int) -> list[Any]:
    """Switch a capability of migration on or off."""
    if bench.session is not None:
        set_capability(bench.real, name, state=bool(on))
    if name == "postcopy-ram":
        bench.model.balloon.hinting.postcopy_ram = bool(on)
    return []


def migration(bench: Bench) -> list[Any]:
    """Begin a migration, and hold it before it has sent any of the guest's memory."""
    if bench.session is not None:
        if not bench.has_ballast:
            attach_ballast(bench.real, 2 * RAM_BYTES)
            bench.has_ballast = True
        _hold(bench, OutgoingMigration(bench.real, bench.folder))
        bench.held_pages = _pages_to_send(bench)
    hinting = bench.model.balloon.hinting
    hinting.migrating = True
    hinting.hinted.clear()
    bench.model.memory.dirty = set()
    _precopy(bench, *_BEGIN)
    return []


def cancel(bench: Bench) -> list[Any]:
    """Cancel the migration."""
    if bench.session is not None:
        bench.held.cancel()
    bench.resources.close()
    bench.model.balloon.hinting.migrating = False
    _precopy(bench, Precopy.CLEANUP)
    return []


def finish(bench: Bench) -> list[Any]:
    """Let the migration go to its end.  Answers which of the hinted pages were sent after all."""
    hinting = bench.model.balloon.hinting
    hinted = sorted(PAGE_BYTES * page for _, page in _hinted_pages(bench))
    written = {page for _, page in bench.model.memory.dirty or ()}

    def let_finish(_: RealMachine) -> list[int]:
        assert bench.held.finish() == "completed"
        sent = bench.held.reader.pages()
        return [page for page in hinted if (bench.names["m0"], page) in sent]

    answer = bench.agree([page for page in hinted if page in written], let_finish)
    bench.resources.close()
    bench.model.memory.dirty = None
    bench.model.device.set_running(running=False)
    hinting.migrating = False
    _precopy(bench, *_END)
    return [answer]


def remaining(bench: Bench) -> list[Any]:
    """Answer how many pages need not be sent since the migration began."""

    def ask(_: RealMachine) -> int:
        return bench.held_pages - _pages_to_send(bench)

    return [bench.agree(len(_hinted_pages(bench)), ask)]


def migrated(bench: Bench) -> list[Any]:
    """Go on at the destination of a migration."""
    real = None
    if bench.session is not None:
        real = _waiting(bench)
        migrate(bench.real, real, bench.folder)
    _migrate_model(bench)
    _take_over(bench, save_state(bench.model), real)
    return []


def migrated_with(bench: Bench, cmd_id: int) -> list[Any]:
    """Go on at the destination of a migration in whose stream another command id was put."""
    real = None
    if bench.session is not None:
        with OutgoingMigration(bench.real, bench.folder) as outgoing:
            assert outgoing.finish() == "completed"
            stream = with_hint_state(outgoing.reader, cmd_id, HintStatus.DONE)
        real = _waiting(bench)
        load(real, bench.folder, stream)
    _migrate_model(bench)
    state = dataclasses.replace(save_state(bench.model), hint=(cmd_id, HintStatus.DONE))
    _take_over(bench, state, real)
    return []


_BEGIN = (Precopy.SETUP, Precopy.BEFORE_BITMAP_SYNC, Precopy.AFTER_BITMAP_SYNC)
_END = (Precopy.BEFORE_BITMAP_SYNC, Precopy.AFTER_BITMAP_SYNC, Precopy.COMPLETE, Precopy.CLEANUP)
"""What the device is told by a migration that synchronises twice."""


def _migrate_model(bench: Bench) -> None:
    _tell(bench.model, *_BEGIN)
    bench.model.device.set_running(running=False)
    _tell(bench.model, *_END)


def _waiting(bench: Bench) -> RealMachine:
    setup = dataclasses.replace(bench.setup, incoming="deferred")
    real = RealMachine(setup, folder=bench.folder)
    bench.borrowed.callback(real.close)
    return real


def _take_over(bench: Bench, state: DeviceState, real: RealMachine | None) -> None:
    bench.assert_all_seen()
    destination = model_machine(bench.setup, level=bench.level)
    for ours, theirs in zip(destination.memory.blocks, bench.model.memory.blocks, strict=True):
        ours.content[:] = theirs.content
    assert load_state(destination, state) is None
    bench.adopt(destination, real)


def _precopy(bench: Bench, *events: Precopy) -> None:
    """Tell the model what QEMU was told, and wait for QEMU's thread behind the hint queue."""
    _tell(bench.model, *events)
    queues = bench.model.device.offer.queues
    if Queue.HINT in queues:
        bench.settle(queues.index(Queue.HINT))


def _tell(machine: Machine, *events: Precopy) -> None:
    for event in events:
        machine.balloon.hinting.precopy(machine.balloon, event)


def _hold(bench: Bench, what: Any) -> None:
    bench.held = what
    bench.resources.callback(what.close)


def _hinted_pages(bench: Bench) -> set[tuple[str, int]]:
    return {
        (block, page)
        for block, first, count in bench.model.balloon.hinting.hinted
        for page in range(first, first + count)
    }


def _pages_to_send(bench: Bench) -> int:
    """Count the pages that were sent or will be; a held migration hardly sends any meanwhile."""
    before = -1
    while True:
        ram = tell(bench.real, "query-migrate")["ram"]
        pages = ram["remaining"] // PAGE_BYTES + ram["normal"] + ram["duplicate"]
        if pages == before:
            return int(pages)
        before = pages


MIGRATION_MOVES = {
    move.__name__: move
    for move in (
        snapshot,
        snapshot_end,
        colo,
        capability,
        migration,
        cancel,
        finish,
        remaining,
        migrated,
        migrated_with,
    )
}
"""Each by its name as a step."""
