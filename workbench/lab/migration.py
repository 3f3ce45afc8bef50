"""A migration into nowhere: QEMU sends everything, a receiver throws it away, the guest goes on."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from workbench.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workbench.lab.qmp import Qmp

_CHUNK_BYTES: Final = 1 << 20


class Migration:
    """One outgoing migration, from `start` until `is_over` says so."""

    def __init__(self, qmp: Qmp, listener: socket.socket) -> None:
        self._qmp = qmp
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

    def join(self) -> None:
        """Wait until everything that was sent has been received."""
        self._thread.join()

    def _drain(self) -> None:
        """Receive and forget, until QEMU hangs up or nobody ever calls."""
        # An error means: the listener was shut down before anybody called, or QEMU has ended.
        with suppress(OSError):
            connection, _ = self._listener.accept()
            with connection:
                while count := len(connection.recv(_CHUNK_BYTES)):
                    self.received_bytes += count


@contextmanager
def prepared_migration(qmp: Qmp, folder: Path) -> Iterator[Migration]:
    """Open the receiver of one migration."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "migration"))
        listener.listen(1)
        try:
            yield Migration(qmp, listener)
        finally:
            # Closing alone does not wake a thread that waits in accept().
            listener.shutdown(socket.SHUT_RDWR)
