"""Captures of several real QEMUs, driven without guests: they come, go, and live elsewhere."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from tests.capture.qtest import INDIRECT, PAGE_POISON, REPORTING, VERSION_1, halted_machine
from workbench.capture.build import read_build
from workbench.capture.guests import Target
from workbench.capture.host import CAPABILITIES, mounted_tracefs
from workbench.capture.process import ProcessMemory, read_mappings
from workbench.capture.recorder import Capture, Origin
from workbench.capture.search import pids_named
from workbench.errors import HostError
from workbench.measure import metrics
from workbench.replay import replay
from workbench.schema import Kind
from workbench.trace import Trace, read_trace
from workbench.trace.manifest import MANIFEST_NAME, parse_manifest
from workbench.units import HUGE_PAGE_BYTES, MIB, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.capture.qtest import Device
    from workbench.trace import VirtualMachine

pytestmark = pytest.mark.live

FEATURES = VERSION_1 | REPORTING | PAGE_POISON | INDIRECT
FIRST = 4 * MIB
PATIENCE_S = 60
BREAKPOINT = 0xCC
"""int3, which the kernel puts where a uprobe is."""

QEMU = "qemu-system-x86_64"
IN_NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


class Halted(NamedTuple):
    """A QEMU whose test is its only driver."""

    process: subprocess.Popen[bytes]
    device: Device

    def kill(self) -> None:
        """End it as the kernel's out-of-memory killer does."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def machine(folder: Path, name: str, **settings) -> Iterator[Halted]:
    """Start one, with its driver ready unless it has no balloon."""
    own = folder / name
    own.mkdir()
    with halted_machine(own, name=f"guest={name},debug-threads=on", **settings) as (
        process,
        device,
    ):
        if settings.get("balloon", True):
            device.set_up(FEATURES)
        yield Halted(process, device)


@contextlib.contextmanager
def capturing(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command, and end it with Ctrl-C."""
    command = [sys.executable, "-m", "workbench", "capture", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def machines_of(folder: Path) -> dict[str, VirtualMachine]:
    """What the manifest says at this moment of each guest; nothing before there is one."""
    if not (folder / MANIFEST_NAME).exists():
        return {}
    return {one.name: one for one in parse_manifest(folder / MANIFEST_NAME).virtual_machines}


def reports_of(trace: Trace, name: str) -> int:
    """How many ranges a guest reported."""
    names = [one.name for one in trace.manifest.virtual_machines]
    events = trace.columns("events")
    chosen = (events["kind"] == Kind.REPORT) & (events["vm"] == names.index(name))
    return int(np.count_nonzero(chosen))


def probed_bytes(pid: int) -> set[int]:
    """The first byte of each function that a capture probes, as it is in the process now."""
    path = Path(f"/proc/{pid}/exe")
    target = str(path.readlink())
    (base,) = (m.first for m in read_mappings(pid) if m.name == target and m.file_offset == 0)
    with ProcessMemory(pid) as memory:
        entries = read_build(path).entries.values()
        return {memory.integer(base + address, 1) for address in entries}


def test_the_end_of_one_guest_does_not_end_the_capture(tmp_path: Path) -> None:
    """It is noted when, what it held is no longer counted, and the other is captured on."""
    output = tmp_path / "x.trace"
    with machine(tmp_path, "stays") as stays, machine(tmp_path, "ends") as ends:
        for one in (stays, ends):
            one.device.fill(FIRST, HUGE_PAGE_BYTES)
        targets = [Target(pid=stays.process.pid), Target(pid=ends.process.pid)]
        with Capture(targets, output, Origin(command="test")) as capture:
            ends.device.report([(FIRST, PAGE_BYTES)])
            ends.kill()
            wait_for(lambda: machines_of(output)["ends"].ended_time_ns, "its end is not noted")
            stays.device.report([(FIRST, PAGE_BYTES), (FIRST + 2 * PAGE_BYTES, PAGE_BYTES)])
            assert not capture.wait(0)
            assert BREAKPOINT in probed_bytes(stays.process.pid)
        assert BREAKPOINT not in probed_bytes(stays.process.pid)
    trace = read_trace(output)
    run = replay(trace)
    ended = machines_of(output)["ends"]

    assert (reports_of(trace, "stays"), reports_of(trace, "ends")) == (2, 1)
    assert trace.manifest.complete
    assert trace.manifest.lost_events == 0
    assert ended.ended_time_ns is not None
    assert machines_of(output)["stays"].ended_time_ns is None
    assert metrics(run)["resident_bytes_final"]["value"] == run.final_resident_bytes


def test_all_guests_are_captured_also_those_that_start_later(tmp_path: Path) -> None:
    """Also in another mount and pid namespace; one without a balloon is named with the reason.

    This host may run other guests: they are captured too, and are none of this test's business.
    """
    output = tmp_path / "x.trace"
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(machine(tmp_path, "first"))
        capture = stack.enter_context(capturing("--all", "-o", str(output)))
        wait_for(lambda: "first" in machines_of(output), "the first guest is not captured")
        stack.enter_context(machine(tmp_path, "plain", balloon=False))
        later = stack.enter_context(machine(tmp_path, "later", qemu=(*IN_NAMESPACES, QEMU)))
        later.device.fill(FIRST, HUGE_PAGE_BYTES)
        wait_for(lambda: "later" in machines_of(output), "the later guest is not captured")
        later.device.report([(FIRST, PAGE_BYTES)])
        first.kill()
        wait_for(lambda: machines_of(output)["first"].ended_time_ns, "its end is not noted")
        again = stack.enter_context(machine(tmp_path / "first", "first"))
        wait_for(lambda: count_named(output, "first") > 1, "a restarted guest is not captured")
        again.device.report([(FIRST, PAGE_BYTES)])
        capture.send_signal(signal.SIGINT)
        _, said = capture.communicate(timeout=PATIENCE_S)
    trace = read_trace(output)
    manifest = trace.manifest
    came = machines_of(output)["later"].attached_time_ns
    left_out = {one.name: one.reason for one in manifest.not_captured}

    assert capture.returncode == 0, said
    assert came is not None
    assert came > manifest.start_time_ns
    assert reports_of(trace, "later") == 1
    assert "has no virtio-balloon device" in left_out["plain"]
    assert "not captured: plain: " in said
    assert "capturing later" in said
    assert replay(trace).events["as_captured"]["differing_decisions"] == 0


def count_named(folder: Path, name: str) -> int:
    """How many guests of this name the manifest has now."""
    machines = parse_manifest(folder / MANIFEST_NAME).virtual_machines
    return sum(one.name == name for one in machines)


def test_a_second_capture_of_the_same_guest_sees_the_same(tmp_path: Path) -> None:
    """Neither disturbs the other, or QEMU; when one ends, the other still sees."""
    outer, inner = tmp_path / "outer.trace", tmp_path / "inner.trace"
    with machine(tmp_path, "shared") as shared:
        targets = [Target(pid=shared.process.pid)]
        with Capture(targets, outer, Origin(command="test")):
            with Capture(targets, inner, Origin(command="test")):
                shared.device.report([(FIRST, PAGE_BYTES)])
            shared.device.report([(FIRST, PAGE_BYTES)])
        shared.device.report([(FIRST, PAGE_BYTES)])
        assert shared.device.used_count() == 3
        assert BREAKPOINT not in probed_bytes(shared.process.pid)

    assert reports_of(read_trace(outer), "shared") == 2
    assert reports_of(read_trace(inner), "shared") == 1


def test_a_killed_capture_leaves_no_probe_and_a_working_guest(tmp_path: Path) -> None:
    """SIGKILL: the kernel takes the probes out of QEMU's code."""
    output = tmp_path / "x.trace"
    with machine(tmp_path, "survivor") as survivor:
        clean = probed_bytes(survivor.process.pid)
        with capturing("--name", "survivor", "-o", str(output)) as capture:
            wait_for(lambda: machines_of(output), "the capture does not begin")
            assert BREAKPOINT in probed_bytes(survivor.process.pid)
            capture.kill()
            capture.wait()
        wait_for(lambda: probed_bytes(survivor.process.pid) == clean, "probes are left")
        survivor.device.report([(FIRST, PAGE_BYTES)])
        assert survivor.device.used_count() == 1

    assert BREAKPOINT not in clean


def test_the_present_state_of_a_running_guest_is_read(tmp_path: Path) -> None:
    """Features, poison value, and how far the queue of reports had come, before and after."""
    output = tmp_path / "x.trace"
    with machine(tmp_path, "old") as old:
        old.device.write_config(12, 0x5A5A5A5A)
        for _ in range(7):
            old.device.report([(FIRST, PAGE_BYTES)])
        old.device.fill(FIRST, 2 * HUGE_PAGE_BYTES)
        with Capture([Target(pid=old.process.pid)], output, Origin(command="test")):
            old.device.report([(FIRST, PAGE_BYTES)])
    found = machines_of(output)["old"]
    state = read_trace(output).columns("state")
    held = (state["offset_bytes"] <= FIRST) & (
        state["offset_bytes"] + state["length_bytes"] >= FIRST + 2 * HUGE_PAGE_BYTES
    )

    assert found.features == FEATURES
    assert found.poison_val == 0x5A5A5A5A
    assert found.reporting_queue is not None
    assert found.reporting_queue.last_avail_idx == found.reporting_queue.used_idx == 7
    assert (found.hint_queue, found.hint_cmd_id) == (None, None)
    assert found.qemu_build_id
    assert held.any()
    assert replay(read_trace(output)).events["skipped"]["poisoned"] == 1


def test_a_qemu_whose_file_was_replaced_is_captured(tmp_path: Path) -> None:
    """As after an upgrade of the package: the process runs a file that has no name any more."""
    program = tmp_path / "qemu-system-old"
    shutil.copy(shutil.which(QEMU) or QEMU, program)
    output = tmp_path / "x.trace"
    # Debian's QEMU looks for its modules beside its program, unless it is told where they are.
    modules = "QEMU_MODULE_DIR=/usr/lib/x86_64-linux-gnu/qemu"
    with machine(tmp_path, "old-file", qemu=("env", modules, str(program))) as old:
        program.unlink()
        program.write_text("not the one")
        with Capture([Target(pid=old.process.pid)], output, Origin(command="test")):
            old.device.report([(FIRST, PAGE_BYTES)])

    assert reports_of(read_trace(output), "old-file") == 1


def test_the_closest_name_is_offered(tmp_path: Path) -> None:
    """Libvirt's way of naming is understood: the name is `guest`, whatever stands beside it."""
    with machine(tmp_path, "db-primary") as one:
        assert pids_named("db-primary") == [one.process.pid]
        with pytest.raises(HostError, match="did you mean 'db-primary'"):
            pids_named("db-primry")


def test_three_capabilities_are_enough(tmp_path: Path) -> None:
    """For an ordinary user who has those that doctor names, and no others."""
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    tmp_path.chmod(0o755)
    given = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in CAPABILITIES)
    user = [
        *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
        *(f"--inh-caps=-all,{given}", f"--ambient-caps=-all,{given}"),
        f"--bounding-set=-all,{given}",
    ]
    with machine(tmp_path, "watched") as watched, mounted_tracefs():
        pid, output = str(watched.process.pid), str(folder / "x.trace")
        command = [sys.executable, "-m", "workbench", "capture", "--pid", pid, "-o", output]
        done = subprocess.run(
            [*user, *command, "--duration", "1s"],
            env={**os.environ, "XDG_CACHE_HOME": str(folder), "HOME": str(folder)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert read_trace(output).manifest.complete
