"""A migration into nowhere: QEMU sends everything, nobody loads it, and the guest goes on."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from workbench.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workbench.lab.qmp import Qmp

_CHUNK_BYTES: Final = 1 << 20

_END_SECONDS_MAX: Final = 5.0
"""A QEMU that has sent everything has hung up; one that still sends is about to be ended."""


class Migration:
    """One outgoing migration, from `start` until `is_over` says so."""

    def __init__(self, qmp: Qmp, listener: socket.socket, stream: Path | None) -> None:
        self._qmp = qmp
        self._stream = stream
        self._listener = listener
        self._thread = threading.Thread(target=self._drain, name="migration", daemon=True)
        self.received_bytes = 0
        self._thread.start()

    def start(self) -> None:
        """Begin."""
        self._qmp.execute("migrate", uri=f"unix:{self._listener.getsockname()}")

    def is_over(self) -> bool:
        """Whether all has been sent.  The guest, which QEMU stops at that point, then goes on.

        Raises
        ------
        HostError
            The migration failed.
        """
        status = self._qmp.execute("query-migrate").get("status")
        if status == "completed":
            self._qmp.execute("cont")
            return True
        if status in ("failed", "cancelled"):
            raise HostError(f"the migration into nowhere {status}")
        return False

    def join(self, seconds_max: float | None = None) -> None:
        """Wait until everything that was sent has been received."""
        self._thread.join(seconds_max)

    def _drain(self) -> None:
        """Receive, and forget or keep, until QEMU hangs up or nobody ever calls."""
        # An error means: the listener was shut down before anybody called, or QEMU has ended.
        with suppress(OSError), ExitStack() as stack:
            connection, _ = self._listener.accept()
            stack.enter_context(connection)
            kept = stack.enter_context(self._stream.open("wb")) if self._stream else None
            while data := connection.recv(_CHUNK_BYTES):
                self.received_bytes += len(data)
                if kept:
                    kept.write(data)


@contextmanager
def prepared_migration(qmp: Qmp, folder: Path, stream: Path | None = None) -> Iterator[Migration]:
    """Open the receiver of one migration, which writes what arrives to `stream`, if that is given.

    All has been written once this is left.
    """
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "migration"))
        listener.listen(1)
        migration = Migration(qmp, listener, stream)
        try:
            yield migration
        finally:
            # Closing alone does not wake a thread that waits in accept().
            listener.shutdown(socket.SHUT_RDWR)
            migration.join(_END_SECONDS_MAX)
