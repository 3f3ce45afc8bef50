"""Find the guests of this host: all of them, those of a name, and those that start later."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.capture.qemu import guest_name
from workbench.errors import HostError
from workbench.spelling import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable

_PROGRAMS: Final = ("qemu-system", "qemu-kvm")
"""How the names of QEMU's system emulators begin; Red Hat has /usr/libexec/qemu-kvm."""

_LIST: Final = "`pgrep -a qemu` lists the guests"

MATURITY_S: Final = 10
"""A QEMU that is younger may still be building its machine; one as old as this has what it has."""

_START_TIME_FIELD: Final = 19
"""Of /proc/PID/stat behind the name (Linux Documentation/filesystems/proc.rst): clock ticks."""


def running_qemus() -> list[int]:
    """The pids of all QEMU system emulators of this host, lowest first.

    Those of containers and other users, too: a process is known by the program that it runs.
    """
    folders = (folder for folder in Path("/proc").iterdir() if folder.name.isdecimal())
    return sorted(int(f.name) for f in folders if _program_name(f).startswith(_PROGRAMS))


def _program_name(folder: Path) -> str:
    """Name what a process runs: its file, or where that is not ours to see, what it calls itself.

    Empty for a kernel thread, and for one that has just ended.
    """
    try:
        return (folder / "exe").readlink().name
    except PermissionError:
        with contextlib.suppress(OSError):
            return (folder / "comm").read_text(encoding="utf-8", errors="replace")
    except OSError:
        pass
    return ""


def pids_of_all() -> list[int]:
    """Give the pids of all running guests.

    Raises
    ------
    HostError
        There are none.
    """
    running = running_qemus()
    if not running:
        raise HostError(f"no QEMU is running; {_LIST}")
    return running


def pids_named(name: str) -> list[int]:
    """Give the pids of the running guests of a name.

    Raises
    ------
    HostError
        There are none; the message has the names that are most like it.
    """
    names = {pid: found for pid in running_qemus() if (found := name_of(pid))}
    chosen = [pid for pid, found in names.items() if found == name]
    if not chosen:
        hint = suggestion(name, sorted(set(names.values())), otherwise=_LIST, most=3)
        raise HostError(f"no running QEMU has the name {name!r}{hint}")
    return chosen


def name_of(pid: int) -> str:
    """Give a guest's name; empty where the process has just ended or is not ours to look at."""
    try:
        return guest_name(pid)
    except (HostError, OSError):
        return ""


@dataclass(slots=True)
class Newcomers:
    """QEMUs that are neither captured nor known to be none that can be.

    Attributes
    ----------
    settled
        Processes (pid, start time) that are captured, or that will never be.
    """

    settled: set[tuple[int, int]] = field(default_factory=set)

    def look(self) -> list[int]:
        """Give the pids to try now."""
        found = {(pid, start_ticks(pid)) for pid in running_qemus()}
        self.settled &= found
        return sorted(pid for pid, _ in found - self.settled)

    def settle(self, pids: Iterable[int]) -> None:
        """Try these no more."""
        self.settled |= {(pid, start_ticks(pid)) for pid in pids}


def is_mature(pid: int) -> bool:
    """Tell whether a process is so old, or gone, that what it is not now it will not be."""
    uptime_s = float(Path("/proc/uptime").read_text(encoding="utf-8").split()[0])
    age_s = uptime_s - start_ticks(pid) / os.sysconf("SC_CLK_TCK")
    return age_s >= MATURITY_S


def start_ticks(pid: int) -> int:
    """When a process started, in the kernel's ticks; 0 if it has ended.  Pids come again."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[_START_TIME_FIELD])
