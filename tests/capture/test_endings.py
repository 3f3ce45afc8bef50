"""How captures end that something goes wrong with: the disk, or the guest."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.capture.qtest import INDIRECT, PAGE_POISON, REPORTING, VERSION_1, halted_machine
from workbench.replay import replay
from workbench.schema import Kind
from workbench.trace import read_trace
from workbench.units import MIB, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live

FEATURES = VERSION_1 | REPORTING | PAGE_POISON | INDIRECT
FIRST = 4 * MIB


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system of half a megabyte."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "small", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def start(output: Path, *which: str) -> subprocess.Popen[str]:
    """Capture, and return once two segments of samples are there."""
    command = [sys.executable, "-m", "workbench", "capture", *which, "-o", str(output)]
    capture = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(list((output / "samples").glob("*.parquet"))) < 3:
        assert time.monotonic() < deadline, "the capture writes nothing"
        assert capture.poll() is None, capture.communicate()
        time.sleep(0.05)
    return capture


def fill(path: Path) -> None:
    """Take all the room that is left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1024))
        except OSError:
            return


def test_a_full_disk_ends_a_capture_with_one_sentence(tmp_path: Path) -> None:
    """Exit code 4 with the file and the reason; all whole segments are read."""
    with halted_machine(tmp_path) as (process, device), small_disk(tmp_path / "small") as disk:
        device.set_up(FEATURES)
        output = disk / "x.trace"
        capture = start(output, "--pid", str(process.pid))
        device.fill(FIRST, MIB)
        device.report([(FIRST, PAGE_BYTES)])
        time.sleep(1.5)
        fill(disk / "filler")
        full_at = time.monotonic()
        _, said = capture.communicate(timeout=60)
        took_s = time.monotonic() - full_at
        assert process.poll() is None
        (disk / "filler").unlink()
        trace = read_trace(output)
        run = replay(trace)

    assert capture.returncode == 4, said
    assert f"workbench: {output}" in said
    assert "cannot be written (No space left on device); free some room" in said
    assert took_s < 8
    assert not trace.manifest.complete
    assert (trace.columns("events")["kind"] == Kind.DISCARD).sum() == 1
    assert run.events["discarded"] == 1


def test_a_guest_that_was_killed_and_restarted_is_captured_again(tmp_path: Path) -> None:
    """The first capture ends with the guest, and nothing of it is in the way of the second."""
    outputs = [tmp_path / "first.trace", tmp_path / "second.trace"]
    codes = []
    for output in outputs:
        folder = output.with_suffix(".guest")
        folder.mkdir()
        with halted_machine(folder) as (process, device):
            device.set_up(FEATURES)
            capture = start(output, "--pid", str(process.pid))
            device.report([(FIRST, PAGE_BYTES)])
            if output == outputs[0]:
                process.kill()
            else:
                capture.send_signal(signal.SIGINT)
            capture.communicate(timeout=60)
            codes.append(capture.returncode)
    traces = [read_trace(output) for output in outputs]

    assert codes == [4, 0]
    assert [trace.manifest.complete for trace in traces] == [True, True]
    assert [(one.columns("events")["kind"] == Kind.REPORT).sum() for one in traces] == [1, 1]
