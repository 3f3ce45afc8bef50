"""Whether each probe can be attached here, found out by doing it: rows of `workbench doctor`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from workbench.capture.check import CAPTURE, LAB, Check, Status, judge
from workbench.capture.check_qemu import EMULATOR
from workbench.capture.probe_files import BALLOON_ENTRIES, PROBE_FILES

_SECONDS_MAX: Final = 60
"""The compiler takes two; a host that is busy, ten."""

_FIX: Final = "use a kernel that has it (Debian's do); a capture says which it went without"


def check_probes(*, blocked_by: Check | None, headers: Path | None) -> list[Check]:
    """Try each probe; what stands in the way of all is named instead of tried."""
    if blocked_by is not None:
        reason = f"not tried: {blocked_by.name} is missing"
        fix = f"see {blocked_by.name}"
        return [_row(file.name, reason, fix=fix) for file in PROBE_FILES]
    reasons = _tried(headers)
    return [_row(file.name, reasons.get(file.name, "no answer"), fix=_FIX) for file in PROBE_FILES]


def _row(name: str, reason: str, *, fix: str) -> Check:
    (file,) = (file for file in PROBE_FILES if file.name == name)
    points = len(file.trace_points)
    places = f"{points} trace point{'s' * (points != 1)}"
    if not points:
        places = f"{len(BALLOON_ENTRIES)} functions of QEMU"
    return Check(
        name=f"probe {name}",
        status=judge(not reason, Status.MISSING if file.required else Status.WARN),
        found=reason or f"attaches to {places}",
        needed_for=(CAPTURE, LAB) if file.required else (),
        fix=fix,
    )


def _tried(headers: Path | None) -> dict[str, str]:
    environment = dict(os.environ)
    if headers is not None:
        environment["BCC_KERNEL_SOURCE"] = str(headers)
    with tempfile.TemporaryDirectory(prefix="workbench-doctor-") as name:
        answer = Path(name) / "answer.json"
        command = [sys.executable, "-m", "workbench.capture.try_probes", str(answer)]
        qemu = shutil.which(EMULATOR)
        command += [qemu] if qemu else []
        try:
            done = subprocess.run(
                command,
                env=environment,
                capture_output=True,
                text=True,
                timeout=_SECONDS_MAX,
                check=False,
            )
            reasons: dict[str, str] = json.loads(answer.read_text(encoding="utf-8"))
        except subprocess.TimeoutExpired:
            return dict.fromkeys(_names(), f"no answer within {_SECONDS_MAX} s")
        except (OSError, ValueError):
            said = done.stderr.strip().splitlines()
            return dict.fromkeys(_names(), said[-1] if said else "no answer")
    return reasons


def _names() -> list[str]:
    return [file.name for file in PROBE_FILES]
