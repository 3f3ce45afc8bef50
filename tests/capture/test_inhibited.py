"""Discards that are forbidden while QEMU takes a background snapshot, and allowed again."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.capture.qtest import (
    INDIRECT,
    INFLATE_QUEUE,
    PAGE_POISON,
    REPORTING,
    VERSION_1,
    halted_machine,
)
from workbench.capture.recorder import Capture, Origin, Target
from workbench.lab.qmp import Qmp
from workbench.replay import replay
from workbench.schema import Kind
from workbench.trace import read_trace
from workbench.units import MIB, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live

FIRST = 4 * MIB
SLOW_BYTES_PER_SECOND, QUICK_BYTES_PER_SECOND = MIB, 1 << 40
WAIT_SECONDS_MAX = 30


@contextlib.contextmanager
def background_snapshot(qmp: Qmp, folder: Path) -> Iterator[None]:
    """Have one taken, slowly, by a QEMU that goes on meanwhile."""
    background = {"capability": "background-snapshot", "state": True}
    qmp.execute("migrate-set-capabilities", capabilities=[background])
    qmp.execute("migrate-set-parameters", **{"max-bandwidth": SLOW_BYTES_PER_SECOND})
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "snapshot"))
        listener.listen(1)
        listener.settimeout(WAIT_SECONDS_MAX)
        reader = threading.Thread(target=forget_all, args=(listener,))
        reader.start()
        qmp.execute("migrate", uri=f"unix:{folder / 'snapshot'}")
        wait_until(qmp, "active")
        yield
        assert qmp.execute("query-migrate")["status"] == "active"
        qmp.execute("migrate-set-parameters", **{"max-bandwidth": QUICK_BYTES_PER_SECOND})
        wait_until(qmp, "completed")
        reader.join()


def forget_all(listener: socket.socket) -> None:
    """Take what QEMU sends."""
    connection, _ = listener.accept()
    with connection:
        while connection.recv(MIB):
            pass


def wait_until(qmp: Qmp, status: str) -> None:
    """Wait for a status of the migration."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while qmp.execute("query-migrate").get("status") != status:
        assert time.monotonic() < deadline, qmp.execute("query-migrate")
        time.sleep(0.01)


def test_the_trace_says_when_discards_were_inhibited(tmp_path: Path) -> None:
    """On before the first element it stops, off before the first it does not; the replay agrees."""
    arguments = ("-qmp", f"unix:{tmp_path / 'qmp'},server=on,wait=off")
    with (
        halted_machine(tmp_path, arguments=arguments) as (process, device),
        Qmp(tmp_path / "qmp", is_alive=lambda: process.poll() is None) as qmp,
        Capture([Target(pid=process.pid)], tmp_path / "x.trace", Origin(command="test")),
    ):
        device.set_up(VERSION_1 | REPORTING | PAGE_POISON | INDIRECT)
        device.fill(FIRST, MIB)
        device.report([(FIRST, PAGE_BYTES)])
        with background_snapshot(qmp, tmp_path):
            device.tell(INFLATE_QUEUE, struct.pack("<I", FIRST // PAGE_BYTES + 1))
            device.report([(FIRST + PAGE_BYTES, PAGE_BYTES)])
        device.report([(FIRST + PAGE_BYTES, PAGE_BYTES)])
    trace = read_trace(tmp_path / "x.trace")
    events = trace.columns("events")
    told = (Kind.REPORT, Kind.DISCARD, Kind.INFLATE, Kind.INHIBIT)
    chosen = [row for row, kind in enumerate(events["kind"]) if kind in told]

    assert [(Kind(events["kind"][row]), events["status"][row]) for row in chosen] == [
        (Kind.REPORT, 0),
        (Kind.DISCARD, 0),
        (Kind.INHIBIT, 1),
        (Kind.INFLATE, 0),
        (Kind.REPORT, 0),
        (Kind.INHIBIT, 0),
        (Kind.REPORT, 0),
        (Kind.DISCARD, 0),
    ]
    run = replay(trace)
    assert run.events["skipped"]["inhibited"] == 1
    assert run.events["as_captured"]["differing_decisions"] == 0
