"""Give a range of a RAM block back to the host.

Source: QEMU 7.2 softmmu/physmem.c (ram_block_discard_range); Linux madvise(2), fallocate(2).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from workbench.model.balloon import rules as rule

if TYPE_CHECKING:
    from workbench.model.balloon.memory import RamBlock
    from workbench.model.balloon.virtio import VirtioDevice

FAILED: Final = "ram_block_discard_range: Failed to discard range"

_ZEROS: Final = bytes(1 << 21)


def discard_range(
    device: VirtioDevice, block: RamBlock, offset_bytes: int, length_bytes: int
) -> bool:
    """Discard; what was there reads as zeros afterwards.  Returns whether the host did it.

    Callers have checked that the range is aligned to the block's pages and inside it.  A file, or
    memory that only has a descriptor, is punched; memory with the host's own page size is
    unmapped, which fails where it is locked.  By then shared memory is gone; a private mapping
    still has its copies of what the guest wrote.
    """
    if block.punches:
        device.tally[_punch_rule(block)] += 1
        if block.shared or not block.unmaps:
            _clear(block, offset_bytes, length_bytes)
    if block.unmaps:
        if device.system_memory.locked:
            device.tally[rule.DISCARD_FAILS] += 1
            if block.punches and block.shared:
                device.tally[rule.DISCARD_FAILS_PUNCHED] += 1
            device.errors.append(
                f"{FAILED} {block.name}:{offset_bytes:x} +{length_bytes:x} (-{errno.EINVAL})"
            )
            return False
        if not block.punches:
            device.tally[rule.DISCARD_REMOVES if block.shared else rule.DISCARD_UNMAPS] += 1
        _clear(block, offset_bytes, length_bytes)
    if device.system_memory.dirty is not None:
        device.tally[rule.MIGRATE_DISCARDED] += 1
    methods = (block.unmaps, block.punches)
    device.trace.append(("discard", block.name, offset_bytes, length_bytes, *methods))
    return True


def _punch_rule(block: RamBlock) -> str:
    if not block.unmaps:
        return rule.DISCARD_PUNCHES_HUGE
    return rule.DISCARD_PUNCHES if block.shared else rule.DISCARD_PUNCHES_PRIVATE


def _clear(block: RamBlock, offset_bytes: int, length_bytes: int) -> None:
    stop = offset_bytes + length_bytes
    for first in range(offset_bytes, stop, len(_ZEROS)):
        count = min(len(_ZEROS), stop - first)
        block.content[first : first + count] = _ZEROS[:count]
