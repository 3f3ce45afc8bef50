"""Where the RAM of a captured guest is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workbench.schema import NO_BLOCK
from workbench.units import GIB, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.capture.qemu import GuestBlock

_ADDRESS_OF_HIGH_RAM: Final = 4 * GIB
"""x86 puts the RAM that does not fit below its device window from here on."""


@dataclass(slots=True)
class Guest:
    """What the decoder knows of one guest."""

    vm: int
    blocks: Sequence[GuestBlock]
    low_memory_bytes: int
    """Guest RAM below the device window; the rest begins at 4 GiB."""
    migration_completed: bool = False

    def locate(self, address: int) -> tuple[int, int]:
        """Give the RAM block and offset of a host address; (NO_BLOCK, address) if it has none."""
        for number, block in enumerate(self.blocks):
            offset_bytes = address - block.host_address
            if 0 <= offset_bytes < block.facts.used_bytes:
                return number, offset_bytes
        return NO_BLOCK, address

    def page_bytes(self, block: int) -> int:
        """The page size of a RAM block, or of none."""
        return PAGE_BYTES if block == NO_BLOCK else self.blocks[block].facts.page_bytes

    def locate_guest_address(self, address: int) -> tuple[int, int]:
        """Give the RAM block and offset of a guest address of the first block."""
        offset_bytes = address
        if address >= self.low_memory_bytes:
            offset_bytes += self.low_memory_bytes - _ADDRESS_OF_HIGH_RAM
            if offset_bytes < self.low_memory_bytes:
                return NO_BLOCK, address
        if 0 <= offset_bytes < self.blocks[0].facts.used_bytes:
            return 0, offset_bytes
        return NO_BLOCK, address
