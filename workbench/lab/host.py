"""What a lab run changes on its host, each change a context manager that takes it back."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

KHUGEPAGED_OFF: Final = {
    Path("/sys/kernel/mm/transparent_hugepage/khugepaged/defrag"): "0",
    Path("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs"): "86400000",
}
"""What keeps khugepaged from refilling guest RAM that was given back.

Without defrag it still takes huge pages that are free, so it is also sent to sleep for a day (Linux
6.1 mm/khugepaged.c, khugepaged_wait_work).
"""

CGROUPS: Final = Path("/sys/fs/cgroup")
PAGE_CLUSTER: Final = Path("/proc/sys/vm/page-cluster")
"""Swap readahead, as log2 of pages (Linux Documentation/admin-guide/sysctl/vm.rst)."""

NOTES: Final = Path("/run")
"""Where runs that overlap tell each other what to restore.  A reboot empties it, and should."""

_RETRY_S: Final = 0.02

REMOVE_SECONDS_MAX: Final = 10.0
"""A cgroup can be removed once the kernel has buried its last process: milliseconds."""


@contextmanager
def setting_changed(path: Path, value: str, notes: Path = NOTES) -> Iterator[None]:
    """Write `value` to a file of /proc or /sys, and in the end what stood there before.

    Runs may overlap: the first one changes the setting, and the last one restores it.  Each holds a
    shared lock on a note of what to restore; whoever can have that lock alone is the last.  A note
    that a killed run has left is honoured by the next.
    Where the kernel has no such setting there is nothing to change.
    """
    if not path.exists():
        yield
        return
    name = f"workbench-lab-{path.parent.name}-{path.name}"
    with (notes / name).open("a+", encoding="utf-8") as note:
        with _turn(notes / f"{name}.turn"):
            fcntl.flock(note, fcntl.LOCK_SH)
            note.seek(0)
            if not note.read():
                note.write(path.read_text("utf-8").strip())
                note.flush()
            path.write_text(value, "utf-8")
        try:
            yield
        finally:
            with _turn(notes / f"{name}.turn"), suppress(BlockingIOError):
                fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
                note.seek(0)
                path.write_text(note.read(), "utf-8")
                note.truncate(0)


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Hold a lock that everybody holds only for a moment."""
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def memory_cgroup(name: str, limit_bytes: int, root: Path = CGROUPS) -> Iterator[tuple[str, ...]]:
    """Make a memory cgroup; yield a command that moves itself into it and runs the rest.

    Works with the memory controller of either version.  The limit bounds memory only, not swap.
    Version 1 was tried on a live host; version 2 was only written from the kernel's documentation
    (Linux Documentation/admin-guide/cgroup-v2.rst) and tested against plain files.

    Raises
    ------
    HostError
        The host has no memory controller, or does not let us use it.
    """
    parent, limit_name = _memory_controller(root)
    folder = parent / name
    try:
        if limit_name == "memory.max":
            _delegate_memory(parent)
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise HostError(f"cannot make a memory cgroup in {parent}: {error.strerror}") from error
    try:
        (folder / limit_name).write_text(str(limit_bytes), "utf-8")
        # `sh` replaces itself with QEMU, which so is in the group from its first page on.
        script = 'echo $$ >"$0" && exec "$@"'
        yield ("sh", "-c", script, str(folder / "cgroup.procs"))
    finally:
        _remove_cgroup(folder)


def _memory_controller(root: Path) -> tuple[Path, str]:
    version_1 = root / "memory"
    if (version_1 / "memory.limit_in_bytes").exists():
        return version_1, "memory.limit_in_bytes"
    controllers = root / "cgroup.controllers"
    if controllers.exists() and "memory" in controllers.read_text("utf-8").split():
        return root, "memory.max"
    raise HostError(
        f"this host has no memory cgroup controller under {root}: boot it with "
        "cgroup_enable=memory, or run the lab without a memory limit"
    )


def _delegate_memory(parent: Path) -> None:
    """Let children of a version 2 group have limits.  Left on: others may rely on it by then."""
    delegated = parent / "cgroup.subtree_control"
    if "memory" not in delegated.read_text("utf-8").split():
        delegated.write_text("+memory", "utf-8")


def _remove_cgroup(folder: Path) -> None:
    deadline = time.monotonic() + REMOVE_SECONDS_MAX
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_S)
        else:
            return


def require_root() -> None:
    """Refuse to start what only root can do.

    Raises
    ------
    HostError
        We are not root.
    """
    if os.geteuid() != 0:
        raise HostError(
            "the lab changes settings of the host's memory and looks into its guests: run it as "
            "root"
        )
