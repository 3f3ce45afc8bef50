"""Migrations out of a QEMU that stop where we want them to: we hold the other end.

A held migration keeps the real balloon device in a state for as long as a test takes: discards
inhibited by a background snapshot, or hints asked for by a migration that has sent nothing yet.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from workbench.errors import HostError
from workbench.units import MIB
from workbench.validation.stream_reader import StreamReader
from workbench.validation.streams import (
    LIMIT_SECONDS,
    UNLIMITED_BYTES_PER_SECOND,
    migration_status,
    set_capability,
    set_pace,
    tell,
    wait_for,
)

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.validation.streams import Machine

_CHUNK_BYTES: Final = 1 << 16

HELD_BYTES_PER_SECOND: Final = 10_000
"""A tenth of it is due every 100 ms, and one page is sent then (migration/migration.c,
BUFFER_DELAY).  Below 10 it would mean no limit at all (migration/qemu-file.c)."""

_HELD_MBPS_MAX: Final = 1.0
"""One page in 100 ms is a third of this."""

_SETTLED_PAGES: Final = 4
"""At a page in 100 ms, so many show that one interval at least was wholly held."""

_DOWNTIME_MS_MAX: Final = 2_000_000
"""migration/migration.c, MAX_MIGRATE_DOWNTIME."""


class Stretch(NamedTuple):
    """A part of a RAM block."""

    block: str
    """Its name, as in `info ramblock`."""
    first_bytes: int
    stop_bytes: int
    """Offsets in the block."""


def attach_ballast(
    machine: Machine, size_bytes: int, filled_bytes: int = MIB, slot: int = 6
) -> Stretch:
    """Plug a RAM block in, to hold migrations at, which the guest cannot reach.

    Blocks are sent by size, the largest first, and their pages in order.  A migration that is held
    in a block larger than the guest's RAM has sent nothing of that RAM; in a smaller one,
    everything.

    Parameters
    ----------
    size_bytes
        A power of two: it is behind a register of a PCI device, which nobody maps.
    filled_bytes
        How much of it, from its beginning, is not zero.  Of a held snapshot we and the socket
        buffer up to some 100 pages; a held migration sends 10 a second.
    slot
        A free PCI slot of a machine of type pc.

    Returns
    -------
        The part that is not zero.

    Source: QEMU 7.2 softmmu/physmem.c, ram_block_add(); hw/misc/ivshmem.c.
    """
    name = f"ballast{slot}"
    descriptor = os.memfd_create(name)
    try:
        os.ftruncate(descriptor, size_bytes)
        os.pwrite(descriptor, b"\x5a" * filled_bytes, 0)
        path = f"/proc/{os.getpid()}/fd/{descriptor}"
        backend = {"qom-type": "memory-backend-file", "mem-path": path, "share": True}
        tell(machine, "object-add", id=name, size=size_bytes, **backend)
    finally:
        os.close(descriptor)
    # Without being its master, the device would forbid migration.
    device = {"driver": "ivshmem-plain", "memdev": name, "addr": f"{slot:#x}", "master": "on"}
    tell(machine, "device_add", id=f"device-of-{name}", **device)
    return Stretch(f"0000:00:{slot:02x}.0/{name}", 0, filled_bytes)


class _Receiver:
    """The other end of a migration, until it is told to be still."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        """Listen, let QEMU migrate to here, and accept the connection."""
        self.reader = StreamReader()
        path = folder / "outgoing"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.settimeout(LIMIT_SECONDS)
            listener.bind(str(path))
            try:
                listener.listen(1)
                tell(machine, "migrate", uri=f"unix:{path}")
                self.end, _ = listener.accept()
            finally:
                path.unlink()
        self.end.settimeout(LIMIT_SECONDS)
        self._looked_at = 0

    def receive(self) -> bool:
        """Take a piece.  Returns False when QEMU has closed the stream."""
        data = self.end.recv(_CHUNK_BYTES)
        self.reader.feed(data)
        return bool(data)

    def has_reached(self, stretch: Stretch | None) -> bool:
        """Whether, since this was asked last, a page of `stretch` has come."""
        sent = self.reader.sent
        fresh = (sent[number] for number in range(self._looked_at, len(sent)))
        found = stretch is not None and any(
            page.block == stretch.block
            and stretch.first_bytes <= page.offset_bytes < stretch.stop_bytes
            for page in fresh
        )
        self._looked_at = len(sent)
        return found


class BackgroundSnapshot:
    """A background snapshot that is held: while it is, discards are inhibited.

    It begins when this is made, and is carried to its end by `close`.  In between, every page that
    was sent can be written.  A write to a page that was not blocks QEMU, its control socket
    included, until the snapshot goes on.

    Source: QEMU 7.2 migration/migration.c, bg_migration_thread(); migration/ram.c,
    ram_save_release_protection().

    Notes
    -----
    A stopped guest runs afterwards: QEMU 7.2 does not look whether it ran before.  A snapshot that
    is cancelled or fails leaves memory under userfaultfd, and every later one fails.
    """

    def __init__(self, machine: Machine, folder: Path, *, hold_at: Stretch) -> None:
        """Begin, and hold when the first page of `hold_at` has come.

        Parameters
        ----------
        hold_at
            Must have more than 100 pages that are not zero, or nothing holds it.

        Raises
        ------
        HostError
            The memory of the guest is of a kind that cannot be write-protected (a file that is not
            in memory); or everything was sent at once.
        """
        self._machine = machine
        set_capability(machine, "background-snapshot", state=True)
        self._receiver = _Receiver(machine, folder)
        self.reader = self._receiver.reader
        """What was sent."""
        try:
            self._hold_at(hold_at)
        except BaseException:
            self._receiver.end.close()
            raise

    def __enter__(self) -> Self:
        """Nothing more to do: discards are inhibited."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Carry it to its end."""
        self.close()

    def close(self) -> None:
        """Let QEMU complete it.

        Raises
        ------
        HostError
            It did not complete.
        """
        # QEMU closes the stream after everything else, and before it answers the next command.
        with self._receiver.end:
            while self._receiver.receive():
                pass
        status = migration_status(self._machine)
        if status != "completed":
            raise HostError(f"the snapshot ended as '{status}'")
        set_capability(self._machine, "background-snapshot", state=False)

    def _hold_at(self, stretch: Stretch) -> None:
        while not self._receiver.has_reached(stretch):
            if not self._receiver.receive():
                status = migration_status(self._machine)
                raise HostError(f"the snapshot {status} before {stretch} was sent")
        wait_for(self._runs, "the guest to go on")
        status = migration_status(self._machine)
        if status != "active":
            raise HostError(f"the snapshot {status}: {stretch} is too little to hold it")

    def _runs(self) -> bool:
        return bool(tell(self._machine, "query-status")["running"])


class OutgoingMigration:
    """A precopy migration that goes on only when it is told to.

    It begins when this is made, and holds at once: the device has asked for hints then, if hinting
    was negotiated.  Held, it still sends a page in 100 ms; hints are taken all the time.
    """

    def __init__(self, machine: Machine, folder: Path, *, held: bool = True) -> None:
        """Begin, and wait until the first round is under way; or let it go on, if not `held`."""
        self._machine = machine
        self._stretch: Stretch | None = None
        self._is_there = threading.Event()
        self._may_go_on = threading.Event()
        self._may_go_on.set()
        set_pace(machine, HELD_BYTES_PER_SECOND if held else UNLIMITED_BYTES_PER_SECOND)
        self._receiver = _Receiver(machine, folder)
        self.reader = self._receiver.reader
        """What was sent."""
        self._thread = threading.Thread(target=self._receive, name="migration", daemon=True)
        self._thread.start()
        # The bitmap is synchronised, and the device notified, before that.
        wait_for(lambda: self.status() != "setup", "the migration to begin")

    def __enter__(self) -> Self:
        """Nothing more to do: it is under way."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Cancel it, unless it is over."""
        self.close()

    def status(self) -> str:
        """Ask how far it is: "active", "completed", "failed" or "cancelled"."""
        return migration_status(self._machine)

    def sync_count(self) -> int:
        """Ask how often QEMU asked which pages were written, since it began.

        That is how often the device was notified before and after.  Known while the migration is
        active and when it is completed, not when it failed or was cancelled.
        """
        return int(self._ram()["dirty-sync-count"])

    def run_to(self, stretch: Stretch) -> None:
        """Go on until a page of `stretch` is sent, and hold there.

        Up to some 100 pages behind it are sent too.

        Raises
        ------
        HostError
            The migration ended without.
        """
        self._go_on_to(stretch)
        if not self._thread.is_alive():
            raise HostError(f"the migration {self.status()} before {stretch} was sent")
        set_pace(self._machine, HELD_BYTES_PER_SECOND)
        self._let_go()

    def resync(self, dirtied_bytes: int) -> None:
        """Let QEMU ask once more which pages were written, with the guest running; hold again.

        Parameters
        ----------
        dirtied_bytes
            How much memory that was sent or hinted has been written since (in whole pages).  It
            must be more than a few times what remains to be sent, or the migration completes.

        Notes
        -----
        It takes about half a second: the measured speed must be that of a held migration.
        """
        self._wait_for_pages(_SETTLED_PAGES)
        memory = self._ram()
        if memory["mbps"] > _HELD_MBPS_MAX:
            raise HostError(f"a held migration sends {memory['mbps']:.1f} Mbit/s")
        bytes_per_ms = memory["mbps"] * 1e6 / 8 / 1000
        limit_ms = round((memory["remaining"] + dirtied_bytes / 2) / bytes_per_ms)
        if limit_ms > _DOWNTIME_MS_MAX:
            raise HostError(f"{memory['remaining']} bytes remain: too many to ask again already")
        count = memory["dirty-sync-count"]
        set_pace(self._machine, HELD_BYTES_PER_SECOND, limit_ms)
        wait_for(lambda: self.sync_count() > count, "the bitmap to be synchronised")
        set_pace(self._machine, HELD_BYTES_PER_SECOND)
        # It is counted, and QEMU may answer us, before the device is notified of its end.
        self._wait_for_pages(1)

    def finish(self) -> str:
        """Send the rest.  Returns how it ended: "completed", and the guest is stopped then."""
        set_pace(self._machine, UNLIMITED_BYTES_PER_SECOND)
        self._join()
        return self.status()

    def cancel(self) -> None:
        """Cancel it; the guest runs on."""
        tell(self._machine, "migrate_cancel")
        wait_for(lambda: self.status() == "cancelled", "the migration to be cancelled")
        self._join()

    def fail(self, at: Stretch | None = None) -> None:
        """Break it off at our end; the guest runs on.

        Parameters
        ----------
        at
            Not before a page of this is sent.  With pages that were sent, and written since, that
            is after the last synchronisation, when QEMU has stopped the guest.
        """
        if at is not None:
            self._go_on_to(at)
        end = self._receiver.end
        end.shutdown(socket.SHUT_RD)
        self._let_go()
        if at is None:
            set_pace(self._machine, UNLIMITED_BYTES_PER_SECOND)
        # QEMU closes its end after it has told the device.
        poll = select.poll()
        poll.register(end, 0)
        if not poll.poll(LIMIT_SECONDS * 1000):
            raise HostError("QEMU did not notice that nobody receives its migration")
        self._join()
        if self.status() != "failed":
            raise HostError(f"the migration {self.status()} though nobody received it")

    def close(self) -> None:
        """Cancel it, unless it is over."""
        if self._thread.is_alive():
            self._let_go()
            self.cancel()
        self._receiver.end.close()

    def _ram(self) -> dict[str, Any]:
        told: dict[str, Any] = tell(self._machine, "query-migrate")
        if "ram" not in told:
            raise HostError(f"the migration has {told.get('status')}")
        ram: dict[str, Any] = told["ram"]
        return ram

    def _page_count(self) -> int:
        ram = self._ram()
        return int(ram["normal"] + ram["duplicate"])

    def _wait_for_pages(self, count: int) -> None:
        """Wait until a held migration has sent some more.

        Raises
        ------
        HostError
            It ended instead.
        """
        pages = self._page_count() + count
        wait_for(lambda: self._page_count() >= pages, "a held migration to send a page")
        if self.status() != "active":
            raise HostError("too little was written: the migration went on to its end")

    def _go_on_to(self, stretch: Stretch) -> None:
        self._is_there.clear()
        self._may_go_on.clear()
        self._stretch = stretch
        set_pace(self._machine, UNLIMITED_BYTES_PER_SECOND)
        if not self._is_there.wait(LIMIT_SECONDS):
            raise HostError(f"the migration did not come to {stretch}")

    def _let_go(self) -> None:
        self._stretch = None
        self._may_go_on.set()

    def _receive(self) -> None:
        """Take what comes; be still where that was asked for."""
        # An error means that QEMU has ended, which its control socket tells better.
        with suppress(OSError):
            while self._receiver.receive():
                if self._receiver.has_reached(self._stretch):
                    self._is_there.set()
                    self._may_go_on.wait(LIMIT_SECONDS)
        self._is_there.set()

    def _join(self) -> None:
        self._thread.join(LIMIT_SECONDS)
        if self._thread.is_alive():
            raise HostError("QEMU does not close its migration")
