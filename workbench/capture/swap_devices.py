"""What the host's swap devices have read and written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from workbench.schema import UNKNOWN

_SWAPS: Final = Path("/proc/swaps")
_DEVICES: Final = Path("/sys/dev/block")

_SECTOR_BYTES: Final = 512
_SECTORS_READ, _SECTORS_WRITTEN = 2, 6
"""Fields of the file `stat` of a block device (Linux Documentation/block/stat.rst)."""


class SwapDevices:
    """The devices that the host swaps to at this moment."""

    def __init__(self, swaps: Path = _SWAPS, devices: Path = _DEVICES) -> None:
        """Find them."""
        self._files = _device_files(swaps.read_text("utf-8"), devices)

    def read(self) -> tuple[int, int]:
        """Give the bytes read and written since they exist; UNKNOWN where nobody counts them.

        That is so without swap, where swap is a file, whose device others use too, and where a
        device has gone.
        """
        read = written = 0
        for path in self._files:
            try:
                fields = path.read_text("utf-8").split()
            except OSError:
                return UNKNOWN, UNKNOWN
            read += int(fields[_SECTORS_READ]) * _SECTOR_BYTES
            written += int(fields[_SECTORS_WRITTEN]) * _SECTOR_BYTES
        return (read, written) if self._files else (UNKNOWN, UNKNOWN)


def _device_files(swaps: str, devices: Path) -> tuple[Path, ...]:
    """The counters of each swap device; none if one of them is not a device."""
    files = []
    for line in swaps.splitlines()[1:]:
        name, kind, *_ = line.split()
        try:
            number = os.stat(name).st_rdev  # noqa: PTH116 - a name as the kernel gives it.
        except OSError:
            return ()
        if kind != "partition" or not number:
            return ()
        files.append(devices / f"{os.major(number)}:{os.minor(number)}" / "stat")
    return tuple(files)
