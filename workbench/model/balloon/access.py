"""Accesses of any width and place, as they reach a device's registers.

Source: QEMU 7.2 softmmu/physmem.c (memory_access_size).
"""

from __future__ import annotations

from typing import Final

ACCESS_BYTES_MAX: Final = 4


def split_access(offset: int, width: int) -> list[tuple[int, int]]:
    """Split an access as QEMU's memory core does: naturally aligned, four bytes at most."""
    parts = []
    while width:
        size = min(width, ACCESS_BYTES_MAX)
        if offset & -offset:
            size = min(size, offset & -offset)
        while size & (size - 1):
            size &= size - 1
        parts.append((offset, size))
        offset += size
        width -= size
    return parts
