"""Guest memory as QEMU sees it: RAM blocks, and where the guest finds them in its address space."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ADDRESS_MASK: Final = (1 << 64) - 1
"""Guest addresses are 64 bits wide, and arithmetic with them wraps."""


class RamBlock:
    """One block of host memory (QEMU 7.2 include/exec/ramblock.h, RAMBlock)."""

    __slots__ = ("content", "length_bytes", "name", "page_bytes", "punches", "shared", "unmaps")

    def __init__(
        self,
        name: str,
        length_bytes: int,
        page_bytes: int,
        *,
        unmaps: bool,
        punches: bool,
        shared: bool = False,
    ) -> None:
        """Make a block of zeros.

        Parameters
        ----------
        unmaps, punches
            How a range is given back: by madvise, by fallocate, or by both (`discard_range`).
        shared
            Whether what the guest writes goes to the file, or to private copies of its pages.
        """
        self.name = name
        self.length_bytes = length_bytes
        self.page_bytes = page_bytes
        self.unmaps = unmaps
        self.punches = punches
        self.shared = shared
        self.content = bytearray(length_bytes)

    def __repr__(self) -> str:
        return f"RamBlock({self.name!r}, {self.length_bytes:#x} bytes, page {self.page_bytes})"


class Region(NamedTuple):
    """A stretch of guest addresses that leads into one RAM block."""

    first: int
    stop: int
    block: RamBlock
    offset_bytes: int
    """Where in the block the stretch begins."""
    writable: bool
    """False where a device may only read: firmware."""


class Place(NamedTuple):
    """A byte of a RAM block, and how many bytes of the same region follow, itself included."""

    region: Region
    offset_bytes: int
    length_bytes: int


class Registers(NamedTuple):
    """A stretch of guest addresses that is no memory, but registers of the device itself."""

    first: int
    stop: int
    name: str
    """QEMU's name of it."""


class Bounce:
    """QEMU's one bounce buffer: for a stretch that is no memory (softmmu/physmem.c, bounce)."""

    def __init__(self) -> None:
        """Nobody uses it yet."""
        self.in_use = False


class GuestMemory:
    """The guest's physical address space.  Where no region is, there is no memory."""

    def __init__(self, regions: Iterable[Region], bounce: Bounce | None = None) -> None:
        """Take the regions, in any order; they do not overlap."""
        self.regions: Sequence[Region] = sorted(regions)
        self._firsts = [region.first for region in self.regions]
        blocks = {region.block.name: region.block for region in self.regions}
        self.blocks: Sequence[RamBlock] = tuple(blocks.values())
        self.bounce = Bounce() if bounce is None else bounce
        self.locked = False
        """Whether all of QEMU's memory is locked (-overcommit mem-lock=on)."""
        self.registers: Sequence[Registers] = ()
        self.block_access: Callable[[Registers, int], None] = lambda _registers, _offset_bytes: None
        """Told of each access of the device to its own registers, which finds zeros."""
        self.dirty: set[tuple[str, int]] | None = None
        """Block and offset of each page written since it was last asked for; None: nobody asks."""

    def find(self, address: int) -> Place | None:
        """Tell what is at a guest address; None where it is no memory."""
        address &= ADDRESS_MASK
        row = bisect_right(self._firsts, address) - 1
        if row < 0:
            return None
        region = self.regions[row]
        if address >= region.stop:
            return None
        return Place(region, address - region.first + region.offset_bytes, region.stop - address)

    def find_registers(self, address: int) -> Registers | None:
        """Tell which registers are at a guest address, if any."""
        address &= ADDRESS_MASK
        found = (one for one in self.registers if one.first <= address < one.stop)
        return next(found, None)

    def read(self, address: int, length_bytes: int) -> bytes:
        """Read, as a device does: zeros where there is no memory."""
        row = bisect_right(self._firsts, address) - 1
        if row >= 0:
            first, stop, block, offset, _ = self.regions[row]
            if address + length_bytes <= stop:
                start = address - first + offset
                return bytes(block.content[start : start + length_bytes])
        return self._read_pieces(address, length_bytes)

    def write(self, address: int, data: bytes) -> None:
        """Write, as a device does: dropped where there is no memory or it is read-only."""
        row = bisect_right(self._firsts, address) - 1
        if row >= 0:
            first, stop, block, offset, writable = self.regions[row]
            if writable and address + len(data) <= stop:
                start = address - first + offset
                block.content[start : start + len(data)] = data
                if self.dirty is not None:
                    _log(self.dirty, block, start, len(data))
                return
        self._write_pieces(address, data)

    def _read_pieces(self, address: int, length_bytes: int) -> bytes:
        data = bytearray(length_bytes)
        done = 0
        while done < length_bytes:
            at = (address + done) & ADDRESS_MASK
            place = self.find(at)
            if place is None:
                done += self._gap_bytes(at, length_bytes - done)
                continue
            count = min(place.length_bytes, length_bytes - done)
            start = place.offset_bytes
            data[done : done + count] = place.region.block.content[start : start + count]
            done += count
        return bytes(data)

    def _write_pieces(self, address: int, data: bytes) -> None:
        done = 0
        while done < len(data):
            at = (address + done) & ADDRESS_MASK
            place = self.find(at)
            if place is None:
                done += self._gap_bytes(at, len(data) - done)
                continue
            count = min(place.length_bytes, len(data) - done)
            if place.region.writable:
                start = place.offset_bytes
                place.region.block.content[start : start + count] = data[done : done + count]
                if self.dirty is not None:
                    _log(self.dirty, place.region.block, start, count)
            done += count

    def log_release(self, block: RamBlock, offset_bytes: int) -> None:
        """Log what QEMU takes for a write of no bytes: of a page that it begins within.

        Source: QEMU 7.2 softmmu/physmem.c, address_space_unmap; include/exec/ram_addr.h,
        cpu_physical_memory_set_dirty_range.
        """
        if self.dirty is not None and offset_bytes % PAGE_BYTES:
            _log(self.dirty, block, offset_bytes, 1)

    def _gap_bytes(self, address: int, length_bytes: int) -> int:
        """How many of the next bytes, at most `length_bytes`, lie before the next region."""
        row = bisect_right(self._firsts, address)
        stop = self._firsts[row] if row < len(self._firsts) else ADDRESS_MASK + 1
        stop = min(stop, address + length_bytes)
        for registers in self.registers:
            if registers.first < stop and address < registers.stop:
                self.block_access(registers, max(address - registers.first, 0))
        return stop - address


def _log(dirty: set[tuple[str, int]], block: RamBlock, offset_bytes: int, length: int) -> None:
    """Log a write (softmmu/physmem.c, invalidate_and_set_dirty)."""
    first = offset_bytes - offset_bytes % PAGE_BYTES
    for page in range(first, offset_bytes + length, PAGE_BYTES):
        dirty.add((block.name, page))
