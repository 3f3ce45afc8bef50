"""Elements: what a driver makes available, mapped piece by piece into host memory.

Source: QEMU 7.2 hw/virtio/virtio.c (virtqueue_map_desc, virtqueue_unmap_sg),
softmmu/physmem.c (address_space_map).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.model.balloon import rules as rule
from workbench.model.balloon.memory import ADDRESS_MASK
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.model.balloon.memory import GuestMemory, RamBlock
    from workbench.model.balloon.rules import Tally

PIECES_MAX: Final = 1024
"""VIRTQUEUE_MAX_SIZE: of both directions together."""

ZERO_SIZED: Final = "virtio: zero sized buffers are not allowed"
TOO_MANY: Final = "virtio: too many write descriptors in indirect table"
BOGUS: Final = "virtio: bogus descriptor or out of resources"


class Piece(NamedTuple):
    """A stretch of a descriptor that is contiguous in host memory."""

    address: int
    length_bytes: int
    block: RamBlock | None
    """None: the stretch is no memory that the device may use so, and a bounce buffer stands in."""
    offset_bytes: int
    bounced: bytes
    """What the bounce buffer holds: what was read from the address, or nothing."""


class Element:
    """One chain of descriptors."""

    __slots__ = ("descriptors", "in_pieces", "index", "out_pieces", "uses_bounce")

    def __init__(self) -> None:
        """Start without pieces."""
        self.index = 0
        self.descriptors = 1
        """How many places of the ring the element takes."""
        self.in_pieces: list[Piece] = []
        self.out_pieces: list[Piece] = []
        self.uses_bounce = False

    def release(self, memory: GuestMemory) -> None:
        """Unmap: the bounce buffer is free again.  Nothing is copied back, as nothing was used."""
        if self.uses_bounce:
            self.uses_bounce = False
            memory.bounce.in_use = False

    def read_out(self, offset_bytes: int, length_bytes: int) -> bytes:
        """Read what the driver wrote, as it is now; short where the element ends (iov_to_buf)."""
        data = b""
        for piece in self.out_pieces:
            if offset_bytes >= piece.length_bytes:
                offset_bytes -= piece.length_bytes
                continue
            count = min(piece.length_bytes - offset_bytes, length_bytes - len(data))
            if piece.block is None:
                data += piece.bounced[offset_bytes : offset_bytes + count]
            else:
                start = piece.offset_bytes + offset_bytes
                data += piece.block.content[start : start + count]
            if len(data) == length_bytes:
                break
            offset_bytes = 0
        return bytes(data)


def map_descriptor(
    element: Element,
    address: int,
    length_bytes: int,
    memory: GuestMemory,
    tally: Tally,
    *,
    device_writes: bool,
) -> str | None:
    """Add one descriptor to the element.  Returns what is wrong with it, or None."""
    if length_bytes == 0:
        tally[rule.MAP_ZERO] += 1
        return ZERO_SIZED
    pieces = element.in_pieces if device_writes else element.out_pieces
    most = PIECES_MAX - len(element.out_pieces) if device_writes else PIECES_MAX
    previous = None
    while length_bytes:
        if len(pieces) == most:
            tally[rule.MAP_TOO_MANY] += 1
            return TOO_MANY
        piece = _map_directly(address, length_bytes, memory, tally, device_writes=device_writes)
        if piece is None:
            if memory.bounce.in_use:
                tally[_bogus_rule(element, previous)] += 1
                return BOGUS
            memory.bounce.in_use = element.uses_bounce = True
            piece = _bounce(address, length_bytes, memory, tally, device_writes=device_writes)
        pieces.append(piece)
        if previous is not None:
            tally[_border_rule(previous, piece)] += 1
        previous = piece
        length_bytes -= piece.length_bytes
        address += piece.length_bytes
    return None


def _bogus_rule(element: Element, previous: Piece | None) -> str:
    """Tell why there is no bounce buffer."""
    if not element.uses_bounce:
        return rule.MAP_BOUNCE_HELD
    goes_on = previous is not None and previous.block is None
    return rule.MAP_BOGUS_LONG if goes_on else rule.MAP_BOGUS


def _border_rule(previous: Piece, piece: Piece) -> str:
    """Tell what a descriptor crosses; of two stretches at most one is no memory."""
    if piece.block is None:
        return rule.MAP_RUNS_OUT
    if previous.block is not None:
        return rule.MAP_SPLITS
    return rule.MAP_WRAPS if piece.address > ADDRESS_MASK else rule.MAP_RUNS_IN


def _map_directly(
    address: int, length_bytes: int, memory: GuestMemory, tally: Tally, *, device_writes: bool
) -> Piece | None:
    place = memory.find(address)
    if place is None:
        return None
    if not place.region.writable:
        tally[rule.MAP_FIRMWARE if device_writes else rule.MAP_FIRMWARE_READ] += 1
        if device_writes:
            return None
    block = place.region.block
    count = min(length_bytes, place.length_bytes)
    return Piece(address, count, block, place.offset_bytes, b"")


def _bounce(
    address: int, length_bytes: int, memory: GuestMemory, tally: Tally, *, device_writes: bool
) -> Piece:
    """Stand in for what cannot be mapped: a page at most, and no further than firmware goes."""
    count = min(length_bytes, PAGE_BYTES)
    place = memory.find(address)
    if place is None:
        if address + count > ADDRESS_MASK:
            tally[rule.MAP_LAST_PAGE] += 1
        elif memory.find(address + count - 1) is not None:
            tally[rule.MAP_BOUNCE_UNCLIPPED] += 1
    elif place.length_bytes < count:
        tally[rule.MAP_BOUNCE_CLIPPED] += 1
        count = place.length_bytes
    if device_writes:
        return Piece(address, count, None, 0, b"")
    tally[rule.MAP_BOUNCE_READ] += 1
    return Piece(address, count, None, 0, memory.read(address, count))
