"""Rings and tables that begin where no memory is: QEMU goes astray in them.

Of an access it does a first part where the ring is, of four bytes at most, which finds zeros, or
is lost.  For the rest it takes the offset in the ring for an address of the guest's.

Source: QEMU 7.2 softmmu/physmem.c (address_space_read_cached_slow,
address_space_write_cached_slow, flatview_write_continue, memory_access_size).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.model.balloon import rules as rule
from workbench.model.balloon.memory import ADDRESS_MASK

if TYPE_CHECKING:
    from workbench.model.balloon.memory import GuestMemory
    from workbench.model.balloon.virtio import VirtioDevice

_ADDRESS_BITS: Final = 64
NOWHERE: Final = 1 << 2 * _ADDRESS_BITS
"""From here on a place is no address, but a ring that is nowhere, and an offset in it."""
_PART_BYTES_MAX: Final = 4


def place_nowhere(address: int) -> int:
    """Make a place of a ring that begins at this address."""
    return NOWHERE | (address & ADDRESS_MASK) << _ADDRESS_BITS


def load(device: VirtioDevice, place: int, length_bytes: int) -> bytes:
    """Read a few bytes, as the device does."""
    memory = device.memory
    base, offset_bytes = _split(place)
    if memory.find(base) is not None:
        return memory.read(base + offset_bytes, length_bytes)
    part_bytes = _reach(memory, base, offset_bytes, length_bytes)
    rest_bytes = length_bytes - part_bytes
    if rest_bytes:
        device.tally[rule.RING_ASTRAY] += 1
    return bytes(part_bytes) + memory.read(offset_bytes + part_bytes, rest_bytes)


def store(device: VirtioDevice, place: int, data: bytes) -> None:
    """Write a few bytes, as the device does."""
    memory = device.memory
    base, offset_bytes = _split(place)
    part_bytes = _reach(memory, base, offset_bytes, len(data))
    if part_bytes < len(data):
        device.tally[rule.RING_ASTRAY] += 1
        memory.write(offset_bytes + part_bytes, data[part_bytes:])


def load_word(device: VirtioDevice, place: int) -> bytes:
    """Read two bytes, which are never taken apart."""
    memory = device.memory
    base, offset_bytes = _split(place)
    if memory.find(base) is not None:
        return memory.read(base + offset_bytes, 2)
    _reach_word(memory, base, offset_bytes)
    return bytes(2)


def store_word(device: VirtioDevice, place: int) -> None:
    """Write two bytes, which are lost."""
    _reach_word(device.memory, *_split(place))


def _reach_word(memory: GuestMemory, base: int, offset_bytes: int) -> None:
    # At an odd address registers are not even asked (memory_region_access_valid).
    if not (base + offset_bytes) % 2:
        _reach(memory, base, offset_bytes, 2)


def _split(place: int) -> tuple[int, int]:
    return place >> _ADDRESS_BITS & ADDRESS_MASK, place & ADDRESS_MASK


def _reach(memory: GuestMemory, base: int, offset_bytes: int, length_bytes: int) -> int:
    """Reach for what is not there.  Returns how many bytes that is about, at once."""
    address = base + offset_bytes
    registers = memory.find_registers(base)
    if registers is not None:
        memory.block_access(registers, address - registers.first)
    aligned_bytes = address & -address or _PART_BYTES_MAX
    return min(length_bytes, aligned_bytes, _PART_BYTES_MAX)
