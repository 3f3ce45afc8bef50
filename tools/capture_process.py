"""A process that captures a guest whenever it is told to, and says what that took."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from workbench.capture.guests import Target
from workbench.capture.recorder import Capture, Origin
from workbench.errors import HostError
from workbench.trace import read_trace
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

END_SECONDS_MAX = 10.0
"""To detach, and to complete a trace of some seconds."""

_NICENESS = -10


class Attached(NamedTuple):
    """What it took to begin a capture."""

    seconds: float
    processor_seconds: float


class Detached(NamedTuple):
    """What it took to end a capture, and what that had recorded."""

    seconds: float
    captured_seconds: float
    probe_seconds: float
    """For which the programs of the probes ran, as the kernel counts it."""
    events: int
    lost: int


class CaptureProcess:
    """Use it in a `with` statement; leaving it ends the capture, if there is one, and the process.

    Parameters
    ----------
    processor
        The one that it runs on, and on which its traces are written.
    """

    def __init__(self, pid: int, processor: int) -> None:
        context = get_context("spawn")
        self._pipe, self._theirs = context.Pipe()
        arguments = (self._theirs, pid, processor)
        self._process = context.Process(target=_capture_when_told, args=arguments)
        self.attached: list[Attached] = []
        self.detached: list[Detached] = []

    def __enter__(self) -> Self:
        """Start it, and capture once: the first takes longest, as libraries are loaded."""
        with ExitStack() as stack:
            self._process.start()
            stack.callback(self._end)
            self._theirs.close()  # However this process ends, the other then knows.
            self.turn_on()
            self.turn_off()
            self._resources = stack.pop_all()
        self.attached.clear()
        self.detached.clear()
        return self

    def __exit__(self, *exception: object) -> None:
        """End it."""
        self._resources.close()

    def turn_on(self) -> None:
        """Begin a capture.  Returns once it records."""
        self.attached.append(self._ask("on"))

    def turn_off(self) -> None:
        """End it.  Returns once the probes are detached and the trace is complete."""
        self.detached.append(self._ask("off"))

    def _ask(self, order: str) -> Any:  # noqa: ANN401 - what it answers depends on the order.
        try:
            self._pipe.send(order)
            return self._pipe.recv()
        except (EOFError, BrokenPipeError) as error:
            raise HostError("the capture has ended by itself; it says above why") from error

    def _end(self) -> None:
        self._pipe.close()
        self._process.join(END_SECONDS_MAX)
        self._process.kill()

    def processor_ns(self) -> int:
        """Time on a processor so far."""
        return processor_time_ns(self._process.pid)


def processor_time_ns(pid: int | None) -> int:
    """Time on a processor of all threads of a process (Linux Documentation/scheduler)."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text("utf-8").split()[0]) for task in tasks)


def prefer(pid: int) -> None:
    """Prefer a process that leads a session to the rest of the machine.

    Between sessions it is not niceness that counts, but this (sched(7), autogroup); it goes with
    the session.  What else the machine does must not be taken for cost.
    """
    path = Path(f"/proc/{pid}/autogroup")
    if path.exists():
        path.write_text(str(_NICENESS), "utf-8")
    os.setpriority(os.PRIO_PROCESS, pid, _NICENESS)


def _capture_when_told(orders: Connection, pid: int, processor: int) -> None:
    """Capture at every second order, until the other end is closed."""
    os.setsid()  # A Ctrl-C is for the other process, which then closes its end.
    prefer(os.getpid())
    os.sched_setaffinity(0, {processor})
    try:
        while True:
            orders.recv()
            with tempfile.TemporaryDirectory(prefix="workbench-cost-") as folder:
                orders.send(_capture(orders, pid, Path(folder) / "a.trace"))
    except EOFError:
        pass


def _capture(orders: Connection, pid: int, output: Path) -> Detached:
    began, had = time.monotonic(), time.process_time()
    with Capture([Target(pid=pid)], output, Origin(command="make cost")):
        attached = time.monotonic()
        orders.send(Attached(attached - began, time.process_time() - had))
        orders.recv()
        ending = time.monotonic()
    seconds = time.monotonic() - ending
    manifest = read_trace(output).manifest
    return Detached(
        seconds,
        ending - attached,
        sum(probe.run_time_ns or 0 for probe in manifest.probes) / NANOSECONDS,
        sum(probe.events for probe in manifest.probes),
        manifest.lost_events,
    )
