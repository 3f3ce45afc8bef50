"""The ring through which the probes hand over their records, read in place.

The kernel maps a ring's two positions and, twice in a row, its data: whatever is to be read lies in
one piece (Linux Documentation/bpf/ringbuf.rst).  All our records have one size.
"""

from __future__ import annotations

import ctypes
import mmap
from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.capture.records import RAW_DTYPE

if TYPE_CHECKING:
    import numpy.typing as npt

_ENTRY_DTYPE: Final = np.dtype([("length", "<u4"), ("page", "<u4"), ("record", RAW_DTYPE)])
"""A record behind its header (Linux kernel/bpf/ringbuf.c, struct bpf_ringbuf_hdr)."""

_BUSY: Final = 1 << 31
"""Linux include/uapi/linux/bpf.h, BPF_RINGBUF_BUSY_BIT: it is still being filled."""


class Ring:
    """A mapped ring.

    Parameters
    ----------
    descriptor
        Of the map of type BPF_MAP_TYPE_RINGBUF.
    size_bytes
        Of its data: a power of two, of whole pages.
    """

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        page = mmap.PAGESIZE
        self._size_bytes = size_bytes
        self._own = mmap.mmap(descriptor, page)
        self._shared = mmap.mmap(
            descriptor, page + 2 * size_bytes, prot=mmap.PROT_READ, offset=page
        )
        self._consumed = ctypes.c_uint64.from_buffer(self._own)
        self._produced = np.frombuffer(self._shared, "<u8", count=1)

    def read(self) -> npt.NDArray[np.void]:
        """Take out all records that are complete, in the order in which they were begun."""
        consumed, produced = self._consumed.value, int(self._produced[0])
        entries = np.frombuffer(
            self._shared,
            _ENTRY_DTYPE,
            count=(produced - consumed) // _ENTRY_DTYPE.itemsize,
            offset=mmap.PAGESIZE + consumed % self._size_bytes,
        )
        # A header is read before what it is about, as it is written behind it.
        is_busy = entries["length"].copy() & _BUSY != 0
        ready = int(is_busy.argmax()) if is_busy.any() else entries.size
        records = entries["record"][:ready].copy()
        self._consumed.value = consumed + ready * _ENTRY_DTYPE.itemsize
        return records

    def close(self) -> None:
        """Take the mappings away."""
        del self._consumed, self._produced
        self._own.close()
        self._shared.close()
