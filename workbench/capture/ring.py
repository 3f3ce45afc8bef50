"""The ring between the probes and us, read as an array: bcc would call us for every record."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.capture.records import RAW_DTYPE

if TYPE_CHECKING:
    import numpy.typing as npt

_HEADER_BYTES: Final = 8
_SLOT: Final = np.dtype([("length", "<u4"), ("page_offset", "<u4"), ("record", RAW_DTYPE)])
"""A record in the ring.  All are of one size, so that each begins where the one before ends."""

_BUSY: Final = np.uint32(1 << 31)
"""Set while a probe still fills the record (Linux include/uapi/linux/bpf.h, BPF_RINGBUF_BUSY_BIT).
Ours never give one up, which another bit would say."""


class Ring:
    """A BPF ring buffer, mapped.

    Our own position, which the kernel reads, is on the first page; the probes' is on the second,
    and behind it the records, twice in a row, so that none is cut at the end.  x86-64 keeps
    the order of loads and of stores, so that a record whose mark is gone is whole.

    Source: Linux kernel/bpf/ringbuf.c, ringbuf_map_mmap_user(); Documentation/bpf/ringbuf.rst.
    """

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        """Map the ring of so many bytes behind a descriptor of its map."""
        page = mmap.PAGESIZE
        ours = mmap.mmap(descriptor, page)
        theirs = mmap.mmap(descriptor, page + 2 * size_bytes, prot=mmap.PROT_READ, offset=page)
        self._size_bytes = size_bytes
        self._consumed = np.frombuffer(ours, np.uint64, 1)
        self._produced = np.frombuffer(theirs, np.uint64, 1)
        self._data = np.frombuffer(theirs, np.uint8, offset=page)

    def take(self) -> npt.NDArray[np.void]:
        """Take all records that are whole, in order, up to the first that is not."""
        begin = int(self._consumed[0])
        count = (int(self._produced[0]) - begin) // _SLOT.itemsize
        place = begin % self._size_bytes
        slots = self._data[place : place + count * _SLOT.itemsize].view(_SLOT)
        is_busy = slots["length"] >= _BUSY
        if is_busy.any():
            count = int(np.argmax(is_busy))
        records: npt.NDArray[np.void] = slots["record"][:count].copy()
        self._consumed[0] = begin + count * _SLOT.itemsize
        return records


if _SLOT.itemsize != _HEADER_BYTES + RAW_DTYPE.itemsize or _SLOT.itemsize % _HEADER_BYTES:
    raise AssertionError("a record does not fill its place in the ring")
