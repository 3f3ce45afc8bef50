"""Migration streams into a QEMU: made by hand, saved, or from another QEMU.

Those made by hand stop in the middle, and leave the real balloon device in a state that no
register leads to: discards inhibited, for as long as the stream is open.
"""

from __future__ import annotations

import socket
import time
from fcntl import ioctl
from struct import Struct
from termios import TIOCOUTQ
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from workbench.errors import HostError
from workbench.units import PAGE_BYTES
from workbench.validation.abilities import NotBuildableError
from workbench.validation.stream_reader import COMMAND, HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LIMIT_SECONDS: Final = 20.0
"""Everything here takes milliseconds; on a busy host it may take seconds."""

_POLL_S: Final = 0.0005

_POSTCOPY_ADVISE: Final = 3
_POSTCOPY_DISCARD: Final = 6
_ENABLE_COLO: Final = 8
"""migration/savevm.c, enum qemu_vm_cmd."""

_COMMAND: Final = Struct(">BHH")
_TWO_WORDS: Final = Struct(">QQ")
_OUTSTANDING: Final = Struct("@i")

UNLIMITED_BYTES_PER_SECOND: Final = 1 << 40


class Machine(Protocol):
    """A QEMU, as far as its control socket reaches."""

    def qmp(self, command: str, /, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Run a command.  Returns an object with either "return" or "error"."""
        ...


def tell(machine: Machine, command: str, **arguments: Any) -> Any:  # noqa: ANN401 - JSON
    """Run a command that must succeed.  Returns what it returns."""
    answer = machine.qmp(command, **arguments)
    if "error" in answer:
        raise HostError(f"QEMU refused {command}: {answer['error'].get('desc')}")
    return answer["return"]


def set_capability(machine: Machine, name: str, *, state: bool) -> None:
    """Switch a capability of migration, such as x-colo, on or off.

    Raises
    ------
    NotBuildableError
        QEMU, or the host, has it not: most need userfaultfd, which is not everybody's.
    """
    capabilities = [{"capability": name, "state": state}]
    answer = machine.qmp("migrate-set-capabilities", capabilities=capabilities)
    if "error" in answer:
        raise NotBuildableError({name: str(answer["error"].get("desc"))})


def set_pace(machine: Machine, bytes_per_second: int, downtime_limit_ms: int = 0) -> None:
    """Say how fast to migrate, and when to ask again which pages were written meanwhile.

    With a limit of 0, QEMU asks twice in a migration, however long that takes: at its start, and
    when it has sent everything and has stopped the guest.  With a larger one it also asks each
    time that the rest could be sent within the limit.

    Source: QEMU 7.2 migration/ram.c, ram_save_pending(); migration/migration.c,
    migration_update_counters() and migration_iteration_run().
    """
    parameters = {"max-bandwidth": bytes_per_second, "downtime-limit": downtime_limit_ms}
    tell(machine, "migrate-set-parameters", **parameters)


def migration_status(machine: Machine) -> str:
    """Ask how far a migration is: "active", "completed" and so on; "" if there was none."""
    return str(tell(machine, "query-migrate").get("status", ""))


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait, but not for ever."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise HostError(f"after {LIMIT_SECONDS:.0f} s still waiting for {what}")
        time.sleep(_POLL_S)


def _command(number: int, data: bytes = b"") -> bytes:
    return _COMMAND.pack(COMMAND, number, len(data)) + data


def colo_stream() -> bytes:
    """Make the stream after which discards are inhibited as long as it stays open.

    It is for a QEMU with `-incoming defer -global migration.send-configuration=off` and the
    capability x-colo.  Memory is left as it is.

    Source: QEMU 7.2 migration/migration.c, migration_incoming_enable_colo().
    """
    return HEADER + _command(_ENABLE_COLO)


def postcopy_advice(page_sizes: Sequence[int] = (PAGE_BYTES,)) -> bytes:
    """Make the first part of a postcopy stream.  After it, discards are done as before.

    It is for a QEMU as that of `colo_stream`, but with the capability postcopy-ram.

    Parameters
    ----------
    page_sizes
        The page sizes in use among all RAM blocks, for example (4096, 2 MiB).

    Notes
    -----
    It empties all memory, and what the driver keeps there.

    Source: QEMU 7.2 migration/savevm.c, loadvm_postcopy_handle_advise().
    """
    summary = 0
    for size_bytes in page_sizes:
        summary |= size_bytes
    return HEADER + _command(_POSTCOPY_ADVISE, _TWO_WORDS.pack(summary, PAGE_BYTES))


def postcopy_discard(block: str, offset_bytes: int, length_bytes: int) -> bytes:
    """Make the second part of a postcopy stream.  After it, discards are inhibited.

    The given range of `block`, whole host pages, reads as zeros then.  The rest of memory stays,
    and all of it can be used: only a later command would put it under userfaultfd.

    Source: QEMU 7.2 migration/savevm.c, loadvm_postcopy_ram_handle_discard().
    """
    name = block.encode()
    described = b"\0" + bytes((len(name),)) + name + b"\0"
    return _command(_POSTCOPY_DISCARD, described + _TWO_WORDS.pack(offset_bytes, length_bytes))


def postcopy_stream(
    block: str, offset_bytes: int, page_bytes: int = PAGE_BYTES, length_bytes: int | None = None
) -> bytes:
    """Make a whole postcopy stream for a machine whose largest pages are of `page_bytes`.

    It discards one such page of `block`, if no length is given.
    """
    advice = postcopy_advice((PAGE_BYTES, page_bytes))
    length = page_bytes if length_bytes is None else length_bytes
    return advice + postcopy_discard(block, offset_bytes, length)


class IncomingStream:
    """Our end of a stream into a QEMU that was started with `-incoming defer`.

    Capabilities must have been set before.  If it is closed in the middle of a migration, QEMU
    ends (with exit code 1).
    """

    def __init__(self, machine: Machine, folder: Path) -> None:
        """Let QEMU listen, and connect."""
        self._machine = machine
        self._path = folder / "incoming"
        self._end = socket.socket(socket.AF_UNIX)
        tell(machine, "migrate-incoming", uri=f"unix:{self._path}")
        self._end.settimeout(LIMIT_SECONDS)
        self._end.connect(str(self._path))

    def __enter__(self) -> Self:
        """Nothing more to do: the connection stands."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close it."""
        self.close()

    def send(self, data: bytes) -> None:
        """Send a piece, and wait until QEMU has done what it says.

        Raises
        ------
        HostError
            QEMU has ended, because it cannot do that.
        """
        try:
            self._end.sendall(data)
            wait_for(self._is_read, "QEMU to read the stream")
        except OSError as error:
            raise HostError(f"QEMU refused the stream: {error}") from error
        # It acts on what it has read before it looks at its control socket again.
        tell(self._machine, "query-status")

    def close(self) -> None:
        """Disconnect."""
        self._end.close()
        self._path.unlink(missing_ok=True)

    def _is_read(self) -> bool:
        answer = ioctl(self._end, TIOCOUTQ, bytes(_OUTSTANDING.size))
        return bool(_OUTSTANDING.unpack(answer)[0] == 0)


def load(machine: Machine, folder: Path, stream: bytes) -> None:
    """Load a complete stream, and wait until the machine goes on as it was when that was taken."""
    with IncomingStream(machine, folder) as incoming:
        incoming.send(stream)
    _wait_until_loaded(machine)


def migrate(source: Machine, destination: Machine, folder: Path) -> None:
    """Move the guest from a QEMU into one that was started with `-incoming defer`.

    The destination runs afterwards if the source did.  The source is left stopped, and whole:
    `cont` lets it go on too.

    Raises
    ------
    HostError
        The source gave up.  (A destination that cannot load the stream ends.)
    """
    path = folder / "migration"
    uri = f"unix:{path}"
    tell(destination, "migrate-incoming", uri=uri)
    set_pace(source, UNLIMITED_BYTES_PER_SECOND)
    tell(source, "migrate", uri=uri)
    wait_for(lambda: migration_status(source) in {"completed", "failed"}, "the migration to end")
    path.unlink(missing_ok=True)
    told = tell(source, "query-migrate")
    if told["status"] == "failed":
        raise HostError(f"the migration failed: {told.get('error-desc', 'QEMU does not say why')}")
    _wait_until_loaded(destination)


def _wait_until_loaded(machine: Machine) -> None:
    """The guest runs, if it is to, before the status says completed.

    Source: QEMU 7.2 migration/migration.c, process_incoming_migration_bh().
    """
    wait_for(lambda: migration_status(machine) == "completed", "the stream to be loaded")
