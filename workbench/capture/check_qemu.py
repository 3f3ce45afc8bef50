"""Whether the QEMU of this host, and each guest that runs on it, can be captured."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from workbench.capture.build import read_build
from workbench.capture.check import LAB, Check, Status, judge, yes
from workbench.capture.check_inhibitors import discard_inhibitors
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

KVM: Final = Path("/dev/kvm")

_KVM_SECONDS_MAX: Final = 5
"""A tenth of a second where it works."""

_FIRMWARE_BYTES: Final = 65536
_RESET_VECTOR: Final = 0xFFF0
"""Where an x86 processor begins, within the last 64 KiB below 4 GiB."""

_EXIT_CODE: Final = bytes((0xB0, 0x31, 0xE6, 0xF4, 0xF4))
"""mov al, 0x31; out 0xf4, al; hlt"""

_EXIT_STATUS: Final = 0x31 << 1 | 1
"""QEMU 7.2 hw/misc/debugexit.c, debug_exit_write."""


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
    """Say of each running guest whether it can be captured, and what keeps it from giving back."""
    return [check for pid in running_qemus() for check in _guest(pid)]


def _guest(pid: int) -> list[Check]:
    try:
        qemu = inspect_qemu(pid)
        inhibitors = discard_inhibitors(qemu)
    except (HostError, OSError) as error:
        return [
            Check(
                name=f"guest {pid}",
                status=Status.WARN,
                found=str(error),
                fix="it cannot be captured as it is",
            )
        ]
    properties = qemu.balloon.properties.model_dump()
    shown = ", ".join(f"{name.replace('_', '-')}={_on(on)}" for name, on in properties.items())
    about = f"{qemu.name}, QEMU {qemu.build.version}, {format_bytes(qemu.memory_bytes)}, {shown}"
    return [
        Check(name=f"guest {pid}", status=Status.OK, found=about),
        Check(
            name=f"guest {pid} gives back",
            status=judge(not inhibitors, Status.WARN),
            found="; ".join(reason for reason, _ in inhibitors) or "nothing inhibits discards",
            fix="; ".join(fix for _, fix in inhibitors),
        ),
    ]


def _on(value: object) -> str:
    return "on" if value else "off"


def check_kvm() -> Check:
    """Run a few instructions under KVM; whether a kernel boots, only booting one shows."""
    if not KVM.exists():
        return _kvm_row("no /dev/kvm", Status.WARN)
    if not os.access(KVM, os.R_OK | os.W_OK):
        return _kvm_row("/dev/kvm is not ours to open (its group may)", Status.WARN)
    emulator = shutil.which(EMULATOR)
    if emulator is None:
        return _kvm_row("/dev/kvm exists, but no QEMU to try it", Status.WARN)
    if _runs_under_kvm(emulator):
        return _kvm_row(
            "runs instructions; whether a kernel boots under it, `doctor --deep` tries", Status.WARN
        )
    return _kvm_row("/dev/kvm exists, and not even one instruction runs under it", Status.WARN)


def _kvm_row(found: str, status: Status) -> Check:
    return Check(
        name="KVM",
        status=status,
        found=found,
        fix="none needed: the lab emulates where KVM does not work, only slower",
    )


def _runs_under_kvm(emulator: str) -> bool:
    """Run a firmware that does nothing but end QEMU with a number."""
    firmware = bytearray(_FIRMWARE_BYTES)
    firmware[_RESET_VECTOR : _RESET_VECTOR + len(_EXIT_CODE)] = _EXIT_CODE
    with tempfile.NamedTemporaryFile() as file:
        file.write(firmware)
        file.flush()
        command = [
            *(emulator, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc"),
            *("-accel", "kvm", "-m", "16", "-bios", file.name),
            *("-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
        ]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_KVM_SECONDS_MAX,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
    return done.returncode == _EXIT_STATUS


def _output_of(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROGRAM_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
