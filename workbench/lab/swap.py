"""Swap devices for one run: in compressed memory, or on a file."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.errors import HostError
from workbench.lab.kernel import find_tool, require_tools

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOLS: Final = {"mkswap": "util-linux", "swapon": "mount", "swapoff": "mount", "losetup": "mount"}
"""What makes swap, and the Debian package of each."""

BLOCK_DEVICES: Final = Path("/sys/block")
ZRAM_CONTROL: Final = Path("/sys/class/zram-control")

DISK_FOLDER: Final = Path("/var/tmp")  # noqa: S108 - only a folder to make our own in.
"""On a disk even where the usual folder for temporary files is in memory (FHS 3.0, 5.15)."""

MEMORY_FILE_SYSTEMS: Final = frozenset({"tmpfs", "ramfs", "devtmpfs"})

MOUNTS: Final = Path("/proc/self/mountinfo")

DEVICE_SECONDS_MAX: Final = 5.0
"""A new device has its file in /dev at once, or after udev has seen it."""

_RETRY_S: Final = 0.02


@contextmanager
def zram_swap(size_bytes: int) -> Iterator[Path]:
    """Swap to a zram device of this size, preferred to all other swap of the host.

    Raises
    ------
    HostError
        The kernel has no zram, or the device cannot be used.
    """
    require_tools(TOOLS)
    with _zram_device() as number:
        folder, device = BLOCK_DEVICES / f"zram{number}", Path(f"/dev/zram{number}")
        _wait_for(device)
        try:
            (folder / "disksize").write_text(str(size_bytes), "utf-8")
            with _swap_on(device):
                yield device
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


@contextmanager
def file_swap(size_bytes: int) -> Iterator[Path]:
    """Swap to a loop device on a new file of this size, preferred to all other swap of the host.

    The file's blocks are there from the start, and are read and written past the page cache: else
    the host's free memory would take what the memory limit has put out.

    Raises
    ------
    HostError
        There is no room for the file, or no loop device for it.
    """
    require_tools(TOOLS)
    folder = disk_folder(Path(tempfile.gettempdir()))
    with tempfile.NamedTemporaryFile(dir=folder, prefix="workbench-lab-swap-") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size_bytes)
        except OSError as error:
            raise HostError(
                f"no room for a swap file of {size_bytes} bytes in {folder}: {error.strerror}"
            ) from error
        device = Path(_run("losetup", "--find", "--show", "--direct-io=on", file.name))
        try:
            with _swap_on(device):
                yield device
        finally:
            _run("losetup", "--detach", str(device))


def disk_folder(folder: Path, mounts: str | None = None) -> Path:
    """`folder`, or if that is in memory a folder that is on a disk.

    Parameters
    ----------
    mounts
        What is mounted where, as in /proc/self/mountinfo (Linux Documentation/filesystems/proc.rst,
        3.5): the default.
    """
    text = MOUNTS.read_text("utf-8") if mounts is None else mounts
    kinds = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        kinds[Path(before.split()[4])] = after.split()[0]
    mounted = next(path for path in (folder, *folder.parents) if path in kinds)
    return DISK_FOLDER if kinds[mounted] in MEMORY_FILE_SYSTEMS else folder


@contextmanager
def _swap_on(device: Path) -> Iterator[None]:
    _run("mkswap", str(device))
    _run("swapon", "--priority", "32767", str(device))
    try:
        yield
    finally:
        _run("swapoff", str(device))


def _run(tool: str, *arguments: str) -> str:
    command = [find_tool(tool) or tool, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout.strip()
