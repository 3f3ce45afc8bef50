"""Ask the kernel in which frame a page of a guest is at this moment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from workbench.capture.process import readable
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

FRAME_MASK: Final = (1 << 55) - 1
SWAPPED_BIT: Final = 62
PRESENT_BIT: Final = 63
"""Linux Documentation/admin-guide/mm/pagemap.rst, /proc/pid/pagemap."""

ENTRY_BYTES: Final = 8


class PageMaps:
    """The page maps of some processes, held open."""

    def __init__(self, processes: Iterable[int]) -> None:
        """Open them.

        Raises
        ------
        HostError
            A process has gone.
        """
        self._descriptors: dict[int, int] = {}
        for process in processes:
            self.open(process)

    def open(self, process: int) -> None:
        """Open the page map of one more process.

        Raises
        ------
        HostError
            It has gone.
        """
        with readable(process) as folder:
            self._descriptors[process] = os.open(folder / "pagemap", os.O_RDONLY)

    def forget(self, process: int) -> None:
        """Close the page map of a process that has ended."""
        descriptor = self._descriptors.pop(process, None)
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        """Close them."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])

    def frame_of(self, process: int, address: int) -> int | None:
        """Give the frame of the page at an address; None where there is none, or no process."""
        descriptor = self._descriptors.get(process)
        if descriptor is None:
            return None
        try:
            content = os.pread(descriptor, ENTRY_BYTES, address // PAGE_BYTES * ENTRY_BYTES)
        except OSError:  # It has gone.
            return None
        entry = int.from_bytes(content, "little")
        is_present = len(content) == ENTRY_BYTES and entry >> PRESENT_BIT & 1
        return entry & FRAME_MASK if is_present else None
