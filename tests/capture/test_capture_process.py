"""The process of `make cost` that captures when told to: it leaves nothing, however it ends."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.capture.qtest import halted_machine
from tests.capture.test_guests import BREAKPOINT, FEATURES, FIRST, probed_bytes, wait_for
from tools.capture_process import CaptureProcess
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.live

OWNER = """
import sys, time
from tools.capture_process import CaptureProcess
if __name__ == "__main__":
    with CaptureProcess(int(sys.argv[1]), 0) as capture:
        capture.turn_on()
        print("on", flush=True)
        time.sleep(600)  # It is killed long before.
"""


def test_it_captures_only_when_told(tmp_path: Path) -> None:
    """With all probes, which are gone again."""
    with halted_machine(tmp_path) as (process, device):
        device.set_up(FEATURES)
        clean = probed_bytes(process.pid)
        with CaptureProcess(process.pid, 0) as capture:
            assert probed_bytes(process.pid) == clean
            capture.turn_on()
            assert BREAKPOINT in probed_bytes(process.pid)
            device.report([(FIRST, PAGE_BYTES)])
            capture.turn_off()
            assert probed_bytes(process.pid) == clean

    (detached,) = capture.detached
    assert len(capture.attached) == 1
    assert detached.events >= 2, "the report and its discard"
    assert detached.lost == 0
    assert 0 < detached.probe_seconds < detached.captured_seconds


def test_it_ends_with_its_owner(tmp_path: Path) -> None:
    """Who is killed can tell nobody; the probes are gone all the same."""
    (tmp_path / "owner.py").write_text(OWNER)
    with halted_machine(tmp_path) as (process, _):
        clean = probed_bytes(process.pid)
        command = [sys.executable, str(tmp_path / "owner.py"), str(process.pid)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
            assert owner.stdout
            assert owner.stdout.readline() == "on\n"
            assert BREAKPOINT in probed_bytes(process.pid)
            owner.kill()
        wait_for(lambda: probed_bytes(process.pid) == clean, "probes are left")
