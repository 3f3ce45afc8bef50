"""The probes on a real QEMU, driven without a guest: every event is known before it happens."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.capture.qtest import (
    DEFLATE_QUEUE,
    INDIRECT,
    INFLATE_QUEUE,
    NOT_RAM,
    PAGE_POISON,
    RAM_STOP,
    REPORTING,
    STATISTICS_QUEUE,
    VERSION_1,
    halted_machine,
)
from tests.capture.segments import rows, wait_for_segments
from workbench.capture.guests import Target
from workbench.capture.host import mounted_tracefs
from workbench.capture.privileges import require_privileges
from workbench.capture.probe import load_probes
from workbench.capture.recorder import Capture, Origin
from workbench.capture.self_test import counts_are_exact
from workbench.replay import replay
from workbench.schema import Feature, Kind
from workbench.trace import read_trace
from workbench.units import HUGE_PAGE_BYTES, MIB, PAGE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

FEATURES = VERSION_1 | REPORTING | PAGE_POISON | INDIRECT
ELEMENTS = 23
FIRST = 4 * MIB


def test_every_range_of_23_elements_is_recorded_with_its_discard(tmp_path: Path) -> None:
    """Ranges arrive before the device decides, discards after, with the element's number."""
    expected = [
        (number, FIRST + (number * 3 + part) * 16 * PAGE_BYTES, (part + 1) * PAGE_BYTES)
        for number in range(ELEMENTS)
        for part in range(3)
    ]
    with (
        halted_machine(tmp_path) as (process, device),
        Capture([Target(pid=process.pid)], tmp_path / "x.trace", Origin(command="test")),
    ):
        device.set_up(FEATURES)
        device.fill(FIRST, 8 * MIB)
        for number in range(ELEMENTS):
            device.report([row[1:] for row in expected if row[0] == number])
        assert device.used_count() == ELEMENTS
    trace = read_trace(tmp_path / "x.trace")

    columns = ("element", "offset_bytes", "length_bytes")
    assert expected == rows(trace, Kind.REPORT, *columns)
    assert expected == rows(trace, Kind.DISCARD, *columns)
    assert trace.manifest.lost_events == 0
    assert replay(trace).events["discarded"] == len(expected)


def test_what_qemu_skips_the_replay_skips_and_says_why(tmp_path: Path) -> None:
    """The judge of the replay and the real device agree on every range of a mixed lot."""
    ranges = {
        "discarded": (FIRST, PAGE_BYTES),
        "unaligned": (FIRST + 2 * PAGE_BYTES + 2048, PAGE_BYTES),
        "bad_address": (NOT_RAM, PAGE_BYTES),
    }
    with (
        halted_machine(tmp_path) as (process, device),
        Capture([Target(pid=process.pid)], tmp_path / "x.trace", Origin(command="test")),
    ):
        device.set_up(FEATURES)
        device.fill(FIRST, MIB)
        for one in ranges.values():
            device.report([one])
        device.report(list(ranges.values()))
        device.report([(RAM_STOP - PAGE_BYTES, 2 * PAGE_BYTES)])
        device.write_config(12, 0xAAAAAAAA)
        device.report([(FIRST + 8 * PAGE_BYTES, PAGE_BYTES)])
        device.write_config(12, 0)
        device.report([(FIRST + 8 * PAGE_BYTES, PAGE_BYTES)])
    trace = read_trace(tmp_path / "x.trace")
    run = replay(trace)

    assert run.events["skipped"] == {
        "inhibited": 0,
        "poisoned": 1,
        "bad_address": 3,  # On its own, in the lot, and behind the end of RAM.
        "unaligned": 2,
        "overrun": 0,
    }
    assert run.events["discarded"] == len(rows(trace, Kind.DISCARD, "element")) == 4
    assert run.events["as_captured"]["differing_decisions"] == 0
    assert rows(trace, Kind.CONFIG_WRITE, "offset_bytes", "status") == [(12, 0xAAAAAAAA), (12, 0)]


def test_what_the_driver_says_on_every_other_queue_is_recorded(tmp_path: Path) -> None:
    """Inflated and deflated pages one by one, and statistics with their tags.

    No driver puts an array into two pieces: what is in the second is a loss with a name.
    """
    pages = [FIRST // PAGE_BYTES + number for number in (7, 3, 4, 300)]
    with (
        halted_machine(tmp_path) as (process, device),
        Capture([Target(pid=process.pid)], tmp_path / "x.trace", Origin(command="test")),
    ):
        device.set_up(FEATURES)
        device.tell(INFLATE_QUEUE, struct.pack("<4I", *pages))
        device.tell(INFLATE_QUEUE, struct.pack("<I", NOT_RAM // PAGE_BYTES), struct.pack("<I", 0))
        device.tell(DEFLATE_QUEUE, struct.pack("<3I", *pages[:3]) + b"rest")
        device.tell(STATISTICS_QUEUE, struct.pack("<HQHQHQ", 0, 5, 4, 1 << 30, 9, 2**64 - 1))
        device.reset()
    trace = read_trace(tmp_path / "x.trace")
    places = [(0, page * PAGE_BYTES, PAGE_BYTES) for page in pages]

    columns = ("ram_block", "offset_bytes", "length_bytes")
    assert rows(trace, Kind.INFLATE, *columns) == [*places, (0, NOT_RAM, PAGE_BYTES)]
    assert rows(trace, Kind.DISCARD, *columns, "element") == [
        (*place, -1) for place in (*places, (0, 0, PAGE_BYTES))
    ]
    rest = int.from_bytes(b"rest", "little") * PAGE_BYTES
    assert rows(trace, Kind.DEFLATE, "offset_bytes") == [
        *((page * PAGE_BYTES,) for page in pages[:3]),
        (rest,),
    ]
    statistics = rows(trace, Kind.STATISTIC, "offset_bytes", "status")
    assert statistics == [(0, 5), (4, 1 << 30), (9, -1)]
    # Its own reset writes the status 0 once more (QEMU 7.2 hw/virtio/virtio.c, virtio_reset).
    said = [0, 0, 1, 3, 11, 15, 0, 0]
    assert rows(trace, Kind.STATUS, "status") == [(status,) for status in said]
    assert rows(trace, Kind.RESET, "status") == [(0,), (0,)]
    (balloon,) = (probe for probe in trace.manifest.probes if probe.name == "balloon")
    assert balloon.lost == {"inflate: too_long": 1}


def test_the_features_in_force_are_recorded(tmp_path: Path) -> None:
    """Bits that the driver set and the device offers; a bit it does not offer is not there."""
    with (
        halted_machine(tmp_path, properties="free-page-reporting=on,page-poison=off") as (
            process,
            device,
        ),
        Capture([Target(pid=process.pid)], tmp_path / "x.trace", Origin(command="test")),
    ):
        device.set_up(FEATURES)
    trace = read_trace(tmp_path / "x.trace")

    assert rows(trace, Kind.FEATURES, "status")[-1] == (FEATURES & ~PAGE_POISON,)
    assert trace.manifest.virtual_machines[0].device.page_poison is False


def test_a_capture_that_begins_mid_life_starts_from_what_is_there(tmp_path: Path) -> None:
    """Features, poison value and every backed page are there, though no probe saw them come."""
    with halted_machine(tmp_path) as (process, device):
        device.set_up(FEATURES)
        device.write_config(12, 0x1234)
        device.fill(FIRST, 3 * HUGE_PAGE_BYTES)
        with Capture([Target(pid=process.pid)], tmp_path / "x.trace", Origin(command="test")):
            device.write_config(12, 0)
            device.report([(FIRST, HUGE_PAGE_BYTES), (FIRST + HUGE_PAGE_BYTES, PAGE_BYTES)])
            wait_for_segments(tmp_path / "x.trace")
    trace = read_trace(tmp_path / "x.trace")
    machine = trace.manifest.virtual_machines[0]
    error = replay(trace).model_error["resident_bytes"]

    assert machine.features is not None
    assert machine.features >> Feature.PAGE_POISON & 1
    assert machine.poison_val == 0x1234
    assert (machine.name, machine.machine_type, machine.accelerator) == ("halted", "pc", "tcg")
    assert machine.memory_bytes == RAM_STOP
    assert error["final_pages"] == 0
    assert error["peak_bytes"] > 2 * HUGE_PAGE_BYTES


@pytest.mark.parametrize("order", ["whole, then touched", "in parts, then touched"])
def test_the_host_model_knows_when_a_touch_brings_a_huge_page(tmp_path: Path, order: str) -> None:
    """After a discard in one piece a touch brings 2 MiB again (or not, as the host does it)."""
    half = HUGE_PAGE_BYTES // 2
    parts = (
        [(FIRST, HUGE_PAGE_BYTES)] if "whole" in order else [(FIRST, half), (FIRST + half, half)]
    )
    with (
        halted_machine(tmp_path) as (process, device),
        Capture([Target(pid=process.pid)], tmp_path / "x.trace", Origin(command="test")),
    ):
        device.set_up(FEATURES)
        device.fill(FIRST, PAGE_BYTES)
        device.report(parts)
        device.fill(FIRST + PAGE_BYTES, PAGE_BYTES)
        wait_for_segments(tmp_path / "x.trace")
    trace = read_trace(tmp_path / "x.trace")
    run = replay(trace)

    assert run.model_error["resident_bytes"]["final_pages"] == 0
    assert set(run.events["as_captured"]["surprises"].values()) == {0}


def test_the_probes_are_tried_before_they_are_believed() -> None:
    """Counters move with every page since Linux 6.2, and 64 pages late at the most before."""
    major, minor = (int(number) for number in os.uname().release.split(".")[:2])
    with mounted_tracefs():
        require_privileges()
        probes = load_probes()
        try:
            assert counts_are_exact(probes) == ((major, minor) >= (6, 2))
        finally:
            probes.bpf.cleanup()


def capture_command(*arguments: str) -> list[str]:
    """The command line of a capture."""
    return [sys.executable, "-m", "workbench", "capture", *arguments]


def test_a_killed_capture_leaves_all_but_its_last_second(tmp_path: Path) -> None:
    """SIGKILL in mid-capture: the trace is readable, and says that it was cut off."""
    with halted_machine(tmp_path) as (process, device):
        device.set_up(FEATURES)
        output = tmp_path / "x.trace"
        capture = subprocess.Popen(capture_command("--pid", str(process.pid), "-o", str(output)))
        wait_for_segments(output)
        device.fill(FIRST, MIB)
        device.report([(FIRST, PAGE_BYTES)])
        wait_for_segments(output)
        capture.send_signal(signal.SIGKILL)
        capture.wait()
    trace = read_trace(output)

    assert rows(trace, Kind.DISCARD, "offset_bytes") == [(FIRST,)]
    assert not trace.manifest.complete


def test_a_guest_that_ends_in_mid_capture_is_one_sentence(tmp_path: Path) -> None:
    """The exit code says it, and what was captured until then is a whole trace."""
    with halted_machine(tmp_path) as (process, device):
        device.set_up(FEATURES)
        output = tmp_path / "x.trace"
        capture = subprocess.Popen(
            capture_command("--pid", str(process.pid), "-o", str(output)),
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for_segments(output)
        device.report([(FIRST, PAGE_BYTES)])
        process.kill()
        _, said = capture.communicate(timeout=30)
    trace = read_trace(output)

    assert capture.returncode == 4
    assert f"workbench: the QEMU with pid {process.pid} ended before the capture did" in said
    assert trace.manifest.complete
    assert len(rows(trace, Kind.REPORT, "element")) == 1


def test_ctrl_c_ends_a_capture_cleanly(tmp_path: Path) -> None:
    """One Ctrl-C, exit code 0, a whole trace, and one JSON document."""
    with halted_machine(tmp_path) as (process, _):
        output = tmp_path / "x.trace"
        capture = subprocess.Popen(
            capture_command("--name", "halted", "-o", str(output), "--json"),
            stdout=subprocess.PIPE,
            text=True,
        )
        wait_for_segments(output)
        capture.send_signal(signal.SIGINT)
        document, _ = capture.communicate(timeout=30)
        assert process.poll() is None

    assert capture.returncode == 0
    assert json.loads(document)["lost_events"] == 0
    assert read_trace(output).manifest.complete


def run_capture(
    *arguments: str, environment: dict[str, str] | None = None, user: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a capture that cannot succeed."""
    return subprocess.run(
        capture_command(*arguments),
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        user=user,
    )


def assert_is_one_sentence(done: subprocess.CompletedProcess[str], code: int, text: str) -> None:
    """No traceback, no compiler's output: one line, and the exit code that scripts rely on."""
    assert done.returncode == code, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert text in done.stderr


def test_a_pid_that_is_no_qemu_is_refused(tmp_path: Path) -> None:
    """The test's own pid, and one that nobody has."""
    output = ("-o", str(tmp_path / "x.trace"))

    assert_is_one_sentence(run_capture("--pid", str(os.getpid()), *output), 4, "not a QEMU")
    assert_is_one_sentence(run_capture("--pid", "4194304", *output), 4, "no such process")
    assert not (tmp_path / "x.trace").exists()


def test_a_qemu_without_a_balloon_is_refused(tmp_path: Path) -> None:
    """The message says which device to add."""
    with halted_machine(tmp_path, balloon=False) as (process, _):
        done = run_capture("--pid", str(process.pid), "-o", str(tmp_path / "x.trace"))

    assert_is_one_sentence(done, 4, "-device virtio-balloon-pci,free-page-reporting=on")


def test_a_host_without_bcc_or_headers_is_told_what_to_install(tmp_path: Path) -> None:
    """Each missing piece has its own sentence."""
    with halted_machine(tmp_path) as (process, _):
        arguments = ("--pid", str(process.pid), "-o", str(tmp_path / "x.trace"))
        empty = str(tmp_path)
        no_bcc = run_capture(*arguments, environment={"WORKBENCH_BCC_PATH": empty})
        no_headers = run_capture(*arguments, environment={"BCC_KERNEL_SOURCE": empty})

    assert_is_one_sentence(no_bcc, 4, "apt-get install python3-bpfcc")
    assert_is_one_sentence(no_headers, 4, "workbench doctor")
    assert not (tmp_path / "x.trace").exists()


def test_without_root_the_answer_is_sudo(tmp_path: Path) -> None:
    """An ordinary user learns that capturing needs privileges, before anything else."""
    nobody = 65534
    done = run_capture("--pid", "1", "-o", str(tmp_path / "x.trace"), user=nobody)

    assert_is_one_sentence(done, 4, "run it with sudo")
