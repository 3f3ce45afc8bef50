"""What a lab run changes on its host, each change a context manager that takes it back."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.errors import HostError
from workbench.lab.kernel import find_tool, require_tools

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
BLOCK_DEVICES: Final = Path("/sys/block")
ZRAM_CONTROL: Final = Path("/sys/class/zram-control")

NOTES: Final = Path("/run")
"""Where runs that overlap tell each other what to restore.  A reboot empties it, and should."""

DEVICE_SECONDS_MAX: Final = 5.0
"""A new device has its file in /dev at once, or after udev has seen it."""

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


@contextmanager
def zram_swap(size_bytes: int) -> Iterator[Path]:
    """Swap to a zram device of this size, preferred to all other swap of the host.

    Raises
    ------
    HostError
        The kernel has no zram, or the device cannot be used.
    """
    require_tools({"mkswap": "util-linux", "swapon": "mount", "swapoff": "mount"})
    with _zram_device() as number:
        folder, device = BLOCK_DEVICES / f"zram{number}", Path(f"/dev/zram{number}")
        _wait_for(device)
        try:
            (folder / "disksize").write_text(str(size_bytes), "utf-8")
            _run("mkswap", str(device))
            _run("swapon", "--priority", "32767", str(device))
            try:
                yield device
            finally:
                _run("swapoff", str(device))
        finally:
            (folder / "reset").write_text("1", "utf-8")


@contextmanager
def _zram_device() -> Iterator[int]:
    """A device of our own, even where others are free: somebody else may be about to take those."""
    if not ZRAM_CONTROL.exists():
        with suppress(FileNotFoundError, HostError):
            _run("modprobe", "zram")
    if not ZRAM_CONTROL.exists():
        raise HostError("this host's kernel has no zram: run the lab without zram swap")
    # Reading this makes a device and gives its number (Linux Documentation/admin-guide/blockdev/
    # zram.rst).
    number = int((ZRAM_CONTROL / "hot_add").read_text("utf-8"))
    try:
        yield number
    finally:
        (ZRAM_CONTROL / "hot_remove").write_text(str(number), "utf-8")


def _wait_for(device: Path) -> None:
    deadline = time.monotonic() + DEVICE_SECONDS_MAX
    while not device.exists():
        if time.monotonic() > deadline:
            raise HostError(f"{device} does not appear: is there a devtmpfs on /dev?")
        time.sleep(_RETRY_S)


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


def _run(tool: str, *arguments: str) -> None:
    command = [find_tool(tool) or tool, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostError(f"{' '.join(command)} failed: {done.stderr.strip()}")
