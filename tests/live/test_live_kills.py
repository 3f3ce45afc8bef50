"""Captures that are killed outright, of one guest that goes on: what is left of them.

CI kills a few; WORKBENCH_KILLS=20 kills as many, at other moments.  WORKBENCH_SEED, which a failed
run names, repeats the moments.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import random
import secrets
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from workbench.cli.app import run as run_command
from workbench.lab import LabSettings, parse_scenario
from workbench.lab.kernel import guest_kernel
from workbench.lab.machine import Line, Machine, running_machine
from workbench.lab.words import Mark, parse_line
from workbench.replay import replay
from workbench.schema import Kind
from workbench.trace import Trace, read_trace
from workbench.units import MIB, NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live

KILLS = int(os.environ.get("WORKBENCH_KILLS", "2"))
SEED = int(os.environ.get("WORKBENCH_SEED") or secrets.randbits(32))

SCENARIO = "idle 1\nrepeat 500 {\n    take work 48M\n    free work\n    idle 1\n}\n"
"""Something happens all the time: memory comes, is reported, and goes."""

MOST_LOST_NS = 2 * NANOSECONDS
"""A segment a second, and what it takes to write one on a busy machine."""

SILENCE_SECONDS_MAX = 60


@contextmanager
def busy_guest(folder: Path) -> Iterator[Machine]:
    """Boot a guest, and wait until it has begun its work."""
    settings = LabSettings(
        scenario=parse_scenario(SCENARIO, name="busy"), memory_bytes=256 * MIB, reporting_order=0
    )
    lines: queue.SimpleQueue[Line] = queue.SimpleQueue()
    with running_machine(
        settings,
        vm=0,
        kernel=guest_kernel(lambda _: None),
        folder=folder,
        accelerator="tcg",
        lines=lines,
    ) as machine:
        machine.qmp.execute("cont")
        while not isinstance(parse_line(lines.get(timeout=SILENCE_SECONDS_MAX).text), Mark):
            pass
        yield machine


def start_capture(pid: int, output: Path) -> subprocess.Popen[str]:
    """Capture a guest; return once the probes are attached and the trace is there."""
    capture = subprocess.Popen(
        [sys.executable, "-m", "workbench", "capture", "--pid", str(pid), "-o", str(output)],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + SILENCE_SECONDS_MAX
    while not (output / "manifest.json").exists():
        assert capture.poll() is None, capture.communicate()
        assert time.monotonic() < deadline, "the capture does not begin"
        time.sleep(0.02)
    return capture


def programs_of(pid: int) -> set[int]:
    """The numbers of the BPF programs that a process holds."""
    found = set()
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):  # One that was open for a moment only.
            for line in path.read_text("utf-8").splitlines():
                name, _, number = line.partition(":")
                if name == "prog_id":
                    found.add(int(number))
    return found


def loaded_programs() -> set[int]:
    """The numbers of all BPF programs that the kernel has (bpf(2), BPF_PROG_GET_NEXT_ID)."""
    system_call, get_next_id = 321, 11
    libc = ctypes.CDLL(None, use_errno=True)
    attributes = (ctypes.c_uint32 * 3)()
    found: set[int] = set()
    while libc.syscall(system_call, get_next_id, ctypes.byref(attributes), 12) == 0:
        found.add(int(attributes[1]))
        attributes[0] = attributes[1]
    return found


def wait_until_gone(programs: set[int]) -> None:
    """The kernel takes a program away a little after its last user."""
    deadline = time.monotonic() + 10
    while left := programs & loaded_programs():
        assert time.monotonic() < deadline, f"BPF programs {left} are still there"
        time.sleep(0.05)


def end(capture: subprocess.Popen[str]) -> None:
    """End a capture as Ctrl-C does, and demand that it did all it should."""
    capture.send_signal(signal.SIGINT)
    _, said = capture.communicate(timeout=SILENCE_SECONDS_MAX)
    assert capture.returncode == 0, said


def reports(trace: Trace) -> int:
    """How many ranges the guest reported."""
    return int((trace.columns("events")["kind"] == Kind.REPORT).sum())


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Run a command that must succeed, and read its document."""
    capsys.readouterr()
    assert run_command([*arguments, "--json"]) == 0, capsys.readouterr().err
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def assert_is_read(path: Path, killed_ns: int, capsys: pytest.CaptureFixture[str]) -> int:
    """A killed trace is read by every command; how old its last sample was, in nanoseconds."""
    trace = read_trace(path)
    events, samples = trace.columns("events")["time_ns"], trace.columns("samples")["time_ns"]
    age_ns = killed_ns - max(int(samples[-1]), int(events[-1]) if events.size else 0)

    assert not trace.manifest.complete
    assert trace.manifest.lost_events == trace.missing_segments == 0
    assert not printed(capsys, "info", str(path))["complete"]
    assert printed(capsys, "replay", str(path))["events"]["total"] == events.size
    assert age_ns < MOST_LOST_NS
    return age_ns


def test_killed_captures_leave_all_but_their_last_segment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no probe; the guest goes on, and captures of it after that, two at once, are whole."""
    moments = random.Random(SEED)
    ages_ns = []
    (tmp_path / "guest").mkdir()
    with busy_guest(tmp_path / "guest") as machine:
        for number in range(KILLS):
            output = tmp_path / f"killed-{number}.trace"
            capture = start_capture(machine.pid, output)
            programs = programs_of(capture.pid)
            time.sleep(moments.uniform(1, 6))
            capture.kill()
            killed_ns = time.monotonic_ns()
            capture.communicate()

            assert programs
            wait_until_gone(programs)
            assert machine.is_alive()
            ages_ns.append(assert_is_read(output, killed_ns, capsys))
        outputs = [tmp_path / "one.trace", tmp_path / "other.trace"]
        captures = [start_capture(machine.pid, output) for output in outputs]
        time.sleep(4)
        for capture in captures:
            end(capture)
        assert machine.is_alive()
    for output in outputs:
        trace = read_trace(output)
        assert trace.manifest.complete
        assert trace.manifest.lost_events == 0
        assert reports(trace) > 0, f"WORKBENCH_SEED={SEED}"
        assert replay(trace).model_error["resident_bytes"]["mean"] < 0.02
    print(f"seed {SEED}, ages in ms: {[age // 10**6 for age in ages_ns]}")  # noqa: T201
