"""What this host can and cannot do, each with its fix: the rows of `workbench doctor`.

A check looks and never changes anything that lasts: the trace points are read with tracefs mounted
for that moment, and one empty program is compiled.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from workbench.capture import host
from workbench.capture.bcc_loader import INSTALL, load_bcc
from workbench.capture.check import CAPTURE, LAB, REPLAY, Check, Status, judge, yes
from workbench.capture.check_qemu import INSTALL as INSTALL_LAB
from workbench.capture.check_qemu import check_emulator, check_guests
from workbench.capture.probe_files import PROBE_FILES
from workbench.errors import HostError
from workbench.units import format_bytes

_OLDEST_PYTHON: Final = (3, 11)
_COMPILER_SECONDS_MAX: Final = 60

_COMPILE_ONE: Final = """\
from workbench.capture.bcc_loader import load_bcc
load_bcc().BPF(text="#include <uapi/linux/ptrace.h>\\nint f(struct pt_regs *ctx) { return 0; }")
"""
"""Includes the header that every probe includes; run apart, because bcc writes to file
descriptor 2 behind Python's back."""


def check_host() -> list[Check]:
    """Look at everything, in the order in which a newcomer would meet it."""
    headers, where = _headers()
    return [
        _python(),
        _rights(),
        _bcc(),
        headers,
        _compiler(where),
        _trace_points(),
        _uprobes(),
        *check_emulator(),
        _lab_programs(),
        *check_guests(),
        _swap(),
        _cgroup(),
        _huge_pages(),
        _khugepaged(),
        _multi_generation(),
        _kvm(),
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
    able = host.may_use_bpf()
    return Check(
        name="rights",
        status=judge(able),
        found=f"user {os.geteuid()}, {'may' if able else 'may not'} load and attach probes",
        needed_for=(CAPTURE, LAB),
        fix="run as root (or with CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN)",
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
    found = f"merged in {folder}" if folder else f"/lib/modules/{host.kernel_release()}"
    check = Check(name="kernel headers", status=Status.OK, found=found, needed_for=(CAPTURE, LAB))
    return check, folder


def _compiler(headers: Path | None) -> Check:
    environment = dict(os.environ)
    if headers is not None:
        environment["BCC_KERNEL_SOURCE"] = str(headers)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _COMPILE_ONE],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_COMPILER_SECONDS_MAX,
            check=False,
        )
        able, said = done.returncode == 0, done.stderr.strip().splitlines()
    except subprocess.TimeoutExpired:
        able, said = False, [f"no answer within {_COMPILER_SECONDS_MAX} s"]
    reason = next((line for line in said if "error" in line.lower()), said[0] if said else "")
    return Check(
        name="probe compiler",
        status=judge(able),
        found="an empty probe compiles" if able else f"an empty probe does not compile: {reason}",
        needed_for=(CAPTURE, LAB),
        fix="the two rows above; if both are ok, set BCC_KERNEL_SOURCE to a folder of headers",
    )


def _trace_points() -> Check:
    try:
        with host.mounted_tracefs() as folder:
            absent = {
                names[0]: file.required
                for file in PROBE_FILES
                for names in file.trace_points
                if len(host.missing_tracepoints(names, folder)) == len(names)
            }
    except HostError as error:
        return Check(
            name="trace points",
            status=Status.MISSING,
            found=str(error),
            needed_for=(CAPTURE, LAB),
            fix="run as root",
        )
    missing = [name for name, required in absent.items() if required]
    status = Status.MISSING if missing else judge(not absent, Status.WARN)
    return Check(
        name="trace points",
        status=status,
        found=f"without {', '.join(absent)}" if absent else "all that the probes use",
        needed_for=(CAPTURE, LAB),
        fix="use a kernel that has them (Debian's do); a capture says which it went without",
    )


def _uprobes() -> Check:
    return Check(
        name="uprobes",
        status=judge(Path("/sys/bus/event_source/devices/uprobe").exists()),
        found="CONFIG_UPROBE_EVENTS, from /sys/bus/event_source/devices",
        needed_for=(CAPTURE, LAB),
        fix="use a kernel built with CONFIG_UPROBE_EVENTS (Debian's are)",
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


# --- how the host treats memory -----------------------------------------------------------------


def _swap() -> Check:
    devices = host.swap_devices()
    zram = host.has_zram()
    listed = ", ".join(f"{swap.name} {format_bytes(swap.size_bytes)}" for swap in devices)
    return Check(
        name="swap",
        status=judge(devices or zram, Status.WARN),
        found=f"{listed or 'none active'}; zram: {yes(zram)}",
        fix="modprobe zram (the lab puts its swap there; without swap there is no I/O to avoid)",
    )


def _cgroup() -> Check:
    found = host.memory_cgroup()
    return Check(
        name="memory cgroup",
        status=judge(found, Status.WARN),
        found=f"{found[0]} on {found[1]}" if found else "not mounted",
        fix="mount a cgroup hierarchy with the memory controller (the lab limits guests with it)",
    )


def _huge_pages() -> Check:
    mode = host.transparent_huge_pages()
    return Check(
        name="huge pages",
        status=judge(mode in {"always", "madvise"}, Status.WARN),
        found=f"transparent huge pages: {mode}",
        fix="echo madvise > /sys/kernel/mm/transparent_hugepage/enabled (QEMU asks for them)",
    )


def _khugepaged() -> Check:
    active = host.khugepaged_defrag()
    return Check(
        name="khugepaged",
        status=judge(not active, Status.WARN),
        found="collapses pages in the background" if active else "does not collapse pages",
        fix="echo 0 > /sys/kernel/mm/transparent_hugepage/khugepaged/defrag while capturing, for "
        "replays that are exact to the page (the lab does, and restores it)",
    )


def _multi_generation() -> Check:
    bits = host.lru_gen()
    return Check(
        name="multi-gen LRU",
        status=Status.OK,
        found="not in this kernel" if bits is None else f"enabled={bits}",
    )


def _kvm() -> Check:
    present = Path("/dev/kvm").exists()
    return Check(
        name="KVM",
        status=judge(present, Status.WARN),
        found="/dev/kvm exists, which does not prove that a guest boots under it"
        if present
        else "no /dev/kvm",
        fix="none needed: the lab emulates where KVM does not work, only slower",
    )
