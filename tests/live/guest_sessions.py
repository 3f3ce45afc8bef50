"""Guests of the lab that a test plays with by hand: what it tells QEMU, and what QEMU logs."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workbench.lab.words import Failure, Stage, parse_line

if TYPE_CHECKING:
    import queue
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from workbench.lab.machine import Line, Machine
    from workbench.lab.qmp import Qmp

WAIT_SECONDS_MAX = 120


def hear_until_all(stage: str, count: int, lines: queue.SimpleQueue[Line]) -> None:
    """Listen until so many guests have come to a stage."""
    waiting = set(range(count))
    while waiting:
        line = lines.get(timeout=WAIT_SECONDS_MAX)
        match parse_line(line.text):
            case Stage(name, _) if name == stage:
                waiting.discard(line.vm)
            case Failure(what):
                raise AssertionError(f"guest {line.vm}: {what}")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Ask until it holds."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def start_logging(machine: Machine, events: Sequence[str]) -> None:
    """Let QEMU log these from now on."""
    for name in events:
        machine.qmp.execute("trace-event-set-state", name=name, enable=True)


def logged(machine: Machine, name: str) -> list[bytes]:
    """The lines of QEMU's log and errors that begin with something."""
    lines = (machine.folder / "qemu.log").read_bytes().splitlines()
    return [line for line in lines if line.startswith(name.encode())]


def ram_address(qmp: Qmp) -> int:
    """Where guest RAM begins in QEMU's memory, as QEMU says."""
    command = {"command-line": "gpa2hva 0x0"}
    return int(qmp.execute("human-monitor-command", **command).split()[-1], 16)


def balloon_path(qmp: Qmp) -> str:
    """Where QEMU keeps the balloon device that has no name."""
    folder = "/machine/peripheral-anon"
    children = qmp.execute("qom-list", path=folder)
    (name,) = (child["name"] for child in children if "virtio-balloon" in child["type"])
    return f"{folder}/{name}"


def set_balloon(qmp: Qmp, memory_bytes: int) -> None:
    """Ask the guest to make do with so much, and wait until it does."""
    qmp.execute("balloon", value=memory_bytes)
    wait_until(lambda: bool(qmp.execute("query-balloon")["actual"] == memory_bytes), "the balloon")


def take_statistics(qmp: Qmp) -> dict[str, Any]:
    """Have the guest hand in what it says of itself, once more, and give it."""
    path = balloon_path(qmp)

    def guest_stats() -> dict[str, Any]:
        found: dict[str, Any] = qmp.execute("qom-get", path=path, property="guest-stats")
        return found

    before = guest_stats()["last-update"]
    poll = {"path": path, "property": "guest-stats-polling-interval"}
    qmp.execute("qom-set", value=1, **poll)
    wait_until(lambda: guest_stats()["last-update"] > before, "statistics")
    qmp.execute("qom-set", value=0, **poll)
    time.sleep(1)  # What is on its way arrives.
    return guest_stats()


class Received:
    """A migration stream, and how much of it had come when."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.times: list[tuple[int, int]] = []

    def take(self, listener: socket.socket) -> None:
        """Receive it all."""
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(1 << 16):
                self.content += data
                self.times.append((time.monotonic_ns(), len(self.content)))


@contextmanager
def migrated_away(qmp: Qmp, folder: Path, bytes_per_second: int) -> Iterator[Received]:
    """Migrate into nowhere, and let the guest go on; what was sent is whole after the block."""
    received = Received()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "stream"))
        listener.listen(1)
        listener.settimeout(WAIT_SECONDS_MAX)
        reader = threading.Thread(target=received.take, args=(listener,))
        reader.start()
        qmp.execute("migrate-set-parameters", **{"max-bandwidth": bytes_per_second})
        qmp.execute("migrate", uri=f"unix:{folder / 'stream'}")
        yield received
        wait_until(lambda: qmp.execute("query-migrate")["status"] == "completed", "the migration")
        reader.join()
