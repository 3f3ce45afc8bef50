"""Whether the QEMU of this host, and each guest that runs on it, can be captured."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from workbench.capture.build import read_build
from workbench.capture.check import LAB, Check, Status, judge, yes
from workbench.capture.probe_files import BALLOON_ENTRIES
from workbench.capture.qemu import inspect_qemu
from workbench.capture.search import running_qemus
from workbench.errors import HostError
from workbench.units import format_bytes

EMULATOR: Final = "qemu-system-x86_64"
INSTALL: Final = (
    "apt-get install --no-install-recommends qemu-system-x86 busybox-static cpio kmod gcc libc6-dev"
)
"""What the lab needs besides what the probes need; tools/debian has the whole list."""

_PROGRAM_SECONDS_MAX: Final = 10


def check_emulator() -> list[Check]:
    """Look at the QEMU of this host: which one, its functions, its balloon."""
    path = shutil.which(EMULATOR)
    if path is None:
        return [
            Check(
                name="QEMU",
                status=Status.MISSING,
                found=f"no {EMULATOR}",
                needed_for=(LAB,),
                fix=INSTALL,
            )
        ]
    version = _output_of(path, "--version").partition("\n")[0]
    balloon = _output_of(path, "-device", "virtio-balloon-pci,help")
    reports = "free-page-reporting=" in balloon
    hints = "free-page-hint=" in balloon
    return [
        Check(name="QEMU", status=Status.OK, found=f"{version}, {path}", needed_for=(LAB,)),
        _functions(Path(path)),
        Check(
            name="balloon device",
            status=judge(reports),
            found=f"free page reporting: {yes(reports)}, free page hinting: {yes(hints)}",
            needed_for=(LAB,),
            fix="use QEMU 5.1 or newer",
        ),
    ]


def _functions(path: Path) -> Check:
    """Check what the probes attach to, and what their offsets are read from."""
    try:
        read_build(path.resolve())
        obstacle = ""
    except HostError as error:
        obstacle = str(error)
    return Check(
        name="QEMU's functions",
        status=judge(not obstacle),
        found=obstacle
        or f"all {len(BALLOON_ENTRIES)} to probe, and the accessors their offsets are read from",
        needed_for=(LAB,),
        fix="use a distribution's QEMU 5.1 or newer for x86-64",
    )


def check_guests() -> list[Check]:
    """Say of each running guest whether it can be captured, and whether it reports at all."""
    return [_guest(pid) for pid in running_qemus()]


def _guest(pid: int) -> Check:
    try:
        qemu = inspect_qemu(pid)
    except (HostError, OSError) as error:
        return Check(
            name=f"guest {pid}",
            status=Status.WARN,
            found=str(error),
            fix="it cannot be captured as it is",
        )
    reports = qemu.balloon.properties.free_page_reporting
    return Check(
        name=f"guest {pid}",
        status=judge(reports, Status.WARN),
        found=f"{qemu.name}, QEMU {qemu.build.version}, {format_bytes(qemu.memory_bytes)}, "
        f"free-page-reporting={'on' if reports else 'off'}",
        fix="start it with -device virtio-balloon-pci,free-page-reporting=on (off is the default)",
    )


def _output_of(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROGRAM_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
