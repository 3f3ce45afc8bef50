"""Read another process's memory, much of it at once."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.errors import HostError
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

_ENTRY_BYTES: Final = 8
_HELD_BIT: Final = 62
"""An entry of pagemap has bit 63 if the page is present, and 62 if it is swapped out (Linux
Documentation/admin-guide/mm/pagemap.rst)."""

_PIECES_MAX: Final = 1024
"""Of one call (Linux include/uapi/linux/uio.h, UIO_MAXIOV)."""


class Piece(NamedTuple):
    """A stretch of a process's memory, made of whole pages."""

    address: int
    length_bytes: int
    private: bool
    """Whether nobody else has it and no file is behind it: what the process does not hold of it
    is then zeros.  Of other memory, pages may be held by the kernel alone."""


class _Vector(ctypes.Structure):
    """A struct iovec: where, and how long."""

    _fields_ = (("address", ctypes.c_void_p), ("length_bytes", ctypes.c_size_t))


_LIBRARY: Final = ctypes.CDLL(None, use_errno=True)
_LIBRARY.process_vm_readv.restype = ctypes.c_ssize_t
_LIBRARY.process_vm_readv.argtypes = (
    ctypes.c_int,
    ctypes.POINTER(_Vector),
    ctypes.c_ulong,
    ctypes.POINTER(_Vector),
    ctypes.c_ulong,
    ctypes.c_ulong,
)


class HostMemory:
    """Pieces of one process's memory, copied by the kernel in one call.

    That is four times faster than reading /proc/PID/mem, which copies page by page: 16 MiB in 0.7
    instead of 2.9 ms (measured).  Of private memory only those pages are copied that the process
    holds; reading the others would also make them held.

    Source: Linux man-pages, process_vm_readv(2).
    """

    def __init__(self, pid: int, pieces: Sequence[Piece]) -> None:
        """Prepare a buffer for each piece."""
        self._pid = pid
        self._pieces = tuple(pieces)
        self.buffers = [bytearray(piece.length_bytes) for piece in pieces]
        """What `read` filled last; the next one fills the same."""
        # A buffer with such a view cannot be resized, and so stays where it is.
        self._views = [(ctypes.c_char * len(buffer)).from_buffer(buffer) for buffer in self.buffers]
        self._held = [
            np.zeros(piece.length_bytes // PAGE_BYTES, dtype=np.bool_) for piece in self._pieces
        ]
        try:
            self._pagemap = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._refused(error.errno) from error

    def read(self) -> None:
        """Fill the buffers.

        Raises
        ------
        HostError
            The process has ended, or may not be looked at.
        """
        wanted: list[tuple[int, int, int]] = []
        for row, piece in enumerate(self._pieces):
            here = ctypes.addressof(self._views[row])
            for first, stop in self._runs(row) if piece.private else ((0, piece.length_bytes),):
                wanted.append((here + first, piece.address + first, stop - first))
        for row in range(0, len(wanted), _PIECES_MAX):
            self._copy(wanted[row : row + _PIECES_MAX])

    def close(self) -> None:
        """Let go of the process."""
        os.close(self._pagemap)

    def _runs(self, row: int) -> list[tuple[int, int]]:
        """Find what the process holds of a piece, and clear in its buffer what it gave up."""
        piece = self._pieces[row]
        entry_count = piece.length_bytes // PAGE_BYTES
        try:
            data = os.pread(
                self._pagemap,
                entry_count * _ENTRY_BYTES,
                piece.address // PAGE_BYTES * _ENTRY_BYTES,
            )
        except OSError as error:
            raise self._refused(error.errno) from error
        if len(data) != entry_count * _ENTRY_BYTES:
            raise self._refused(errno.ESRCH)
        held = (np.frombuffer(data, dtype=np.int64) >> _HELD_BIT) != 0
        for first, stop in _stretches(self._held[row] & ~held):
            self.buffers[row][first:stop] = bytes(stop - first)
        self._held[row] = held
        return _stretches(held)

    def _copy(self, wanted: Sequence[tuple[int, int, int]]) -> None:
        count = len(wanted)
        local = (_Vector * count)(*(_Vector(here, length) for here, _, length in wanted))
        remote = (_Vector * count)(*(_Vector(there, length) for _, there, length in wanted))
        done = _LIBRARY.process_vm_readv(self._pid, local, count, remote, count, 0)
        if done != sum(length for _, _, length in wanted):
            raise self._refused(ctypes.get_errno() if done < 0 else errno.EFAULT)

    def _refused(self, number: int | None) -> HostError:
        if number in {errno.EPERM, errno.EACCES}:
            return HostError(
                f"pid {self._pid}: its memory is not ours to read: run as root, or as the user who "
                "runs it; a container also needs the capability SYS_PTRACE"
            )
        reason = os.strerror(number or 0)
        return HostError(f"pid {self._pid}: cannot read its memory: {reason}; did it end?")


def _stretches(pages: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[tuple[int, int]]:
    """Give the stretches of pages that are true, [first, stop) in bytes."""
    edges = np.flatnonzero(np.diff(pages, prepend=False, append=False)) * PAGE_BYTES
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
