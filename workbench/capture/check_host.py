"""What this host can and cannot do, each with its fix: the rows of `workbench doctor`.

A check looks and never changes anything that lasts: tracefs is mounted for that moment, and the
probes are attached to nobody's process but our own.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from workbench.capture import host
from workbench.capture.bcc_loader import INSTALL, load_bcc
from workbench.capture.check import CAPTURE, LAB, REPLAY, Check, Status, first_missing, judge
from workbench.capture.check_memory import check_memory
from workbench.capture.check_probes import check_probes
from workbench.capture.check_qemu import INSTALL as INSTALL_LAB
from workbench.capture.check_qemu import check_emulator, check_guests, check_kvm
from workbench.errors import HostError

_OLDEST_PYTHON: Final = (3, 11)


def check_host() -> list[Check]:
    """Look at everything, in the order in which a newcomer would meet it."""
    headers, folder = _headers()
    bcc = _bcc()
    needs = [_kernel(), _rights(), _pid_namespace(), _tracefs(), bcc, headers]
    return [
        _python(),
        *needs,
        _btf(),
        *check_probes(blocked_by=first_missing(needs, CAPTURE), headers=folder),
        *check_emulator(),
        _lab_programs(),
        check_kvm(),
        *check_guests(),
        *check_memory(),
    ]


# --- what every probe needs ---------------------------------------------------------------------


def _python() -> Check:
    return Check(
        name="Python",
        status=judge(sys.version_info >= _OLDEST_PYTHON),
        found=f"{sys.version.split()[0]} in {sys.prefix}",
        needed_for=(REPLAY, CAPTURE, LAB),
        fix="use Python 3.11 or newer",
    )


def _rights() -> Check:
    missing = host.missing_capabilities()
    found = f"user {os.geteuid()}, " + (f"without {', '.join(missing)}" if missing else "has all")
    if missing and host.may_load_probes():
        found += "; CAP_BPF and CAP_PERFMON load probes, but do not show page frames"
    return Check(
        name="rights",
        status=judge(not missing),
        found=found,
        needed_for=(CAPTURE, LAB),
        fix=f"run as root, or with {', '.join(host.CAPABILITIES)} (setpriv --ambient-caps)",
    )


def _pid_namespace() -> Check:
    inside = host.is_in_pid_namespace()
    return Check(
        name="process ids",
        status=judge(not inside),
        found="another namespace's than the host's" if inside else "as the probes see them",
        needed_for=(CAPTURE, LAB),
        fix="run on the host, not in a container with its own process ids (--pid=host)",
    )


def _bcc() -> Check:
    try:
        bcc = load_bcc()
    except HostError as error:
        return Check(
            name="bcc",
            status=Status.MISSING,
            found=str(error),
            needed_for=(CAPTURE, LAB),
            fix=INSTALL,
        )
    folder = Path(bcc.__file__).parent if bcc.__file__ else "an unknown place"
    version = getattr(bcc, "__version__", "of unknown version")
    return Check(
        name="bcc", status=Status.OK, found=f"{version} in {folder}", needed_for=(CAPTURE, LAB)
    )


def _headers() -> tuple[Check, Path | None]:
    try:
        folder = host.kernel_headers_folder()
    except HostError as error:
        check = Check(
            name="kernel headers",
            status=Status.MISSING,
            found=str(error),
            needed_for=(CAPTURE, LAB),
            fix="as that says; any Debian kernel's headers do",
        )
        return check, None
    found = f"in {folder}" if folder else f"/lib/modules/{host.kernel_release()}"
    check = Check(name="kernel headers", status=Status.OK, found=found, needed_for=(CAPTURE, LAB))
    return check, folder


def _kernel() -> Check:
    """Name the kernel; what it can do, the rows of the probes try."""
    return Check(
        name="kernel",
        status=judge(os.uname().sysname == "Linux" and os.uname().machine == "x86_64"),
        found=f"{os.uname().sysname} {host.kernel_release()} on {os.uname().machine}",
        needed_for=(CAPTURE, LAB),
        fix="use Linux on x86-64; any of the last five years has the probes' trace points",
    )


def _btf() -> Check:
    present = (host.ROOT / "sys/kernel/btf/vmlinux").exists()
    return Check(
        name="BTF",
        status=Status.OK,
        found=f"{'there' if present else 'absent'}; the probes need none",
    )


def _tracefs() -> Check:
    mounted = host.tracing_folder()
    try:
        with host.mounted_tracefs() as folder:
            found, able = f"mounted on {folder}", True
            if mounted is None:
                found = f"not mounted; a capture mounts it on {folder}, and unmounts it"
    except HostError as error:
        found, able = str(error), False
    return Check(
        name="tracefs",
        status=judge(able),
        found=found,
        needed_for=(CAPTURE, LAB),
        fix="run as root: mount -t tracefs tracefs /sys/kernel/tracing (a container needs it from "
        "its host)",
    )


def _lab_programs() -> Check:
    wanted = ("busybox", "cpio", "setpriv", "modprobe", "dpkg-deb", "apt-get", "apt-cache", "gcc")
    places = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    missing = [name for name in wanted if shutil.which(name, path=places) is None]
    return Check(
        name="lab programs",
        status=judge(not missing),
        found=f"no {', '.join(missing)}" if missing else ", ".join(wanted),
        needed_for=(LAB,),
        fix=f"{INSTALL_LAB} (apt-get itself downloads the guest's kernel: the lab needs Debian)",
    )
