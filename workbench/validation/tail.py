"""New lines of a file that another process writes."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Final

from workbench.units import KIB, MIB

if TYPE_CHECKING:
    from pathlib import Path

_READ_BYTES: Final = 256 * KIB

FORGET_BYTES: Final = 4 * MIB
"""How much is read before its space is given back: an hour of fuzzing writes gigabytes of trace."""

_KEEP_SIZE: Final = 1
_PUNCH_HOLE: Final = 2
"""Linux include/uapi/linux/falloc.h."""

_LIBRARY: Final = ctypes.CDLL(None)
_LIBRARY.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class Tail:
    """The end of a growing file.

    What has been read is punched out of the file.  Cutting the file instead could lose a line that
    is written at that moment, and QEMU would go on writing at its old place all the same.
    """

    def __init__(self, path: Path) -> None:
        """Open a file, which must be there."""
        self._file = os.open(path, os.O_RDWR)
        self._offset_bytes = 0
        self._kept_first_bytes = 0
        self._rest = b""

    def take(self) -> list[bytes]:
        """Give the whole lines since the last call, without their ends."""
        data = os.pread(self._file, _READ_BYTES, self._offset_bytes)
        if not data:
            return []
        chunks = [self._rest]
        while data:
            self._offset_bytes += len(data)
            chunks.append(data)
            data = os.pread(self._file, _READ_BYTES, self._offset_bytes)
        *lines, self._rest = b"".join(chunks).split(b"\n")
        self._forget()
        return lines

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _forget(self) -> None:
        if self._offset_bytes - self._kept_first_bytes < FORGET_BYTES:
            return
        # Where the file system has no holes, the file only stays longer.
        _LIBRARY.fallocate(self._file, _PUNCH_HOLE | _KEEP_SIZE, 0, self._offset_bytes)
        self._kept_first_bytes = self._offset_bytes
