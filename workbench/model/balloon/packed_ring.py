"""The packed ring: take elements from it, return them, and decide whether to interrupt.

Source: QEMU 7.2 hw/virtio/virtio.c (virtqueue_packed_pop, virtqueue_packed_fill_desc,
virtqueue_packed_flush, virtio_packed_should_notify, virtio_queue_packed_set_notification);
layout: virtio 1.2, 2.8.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from workbench.model.balloon import rules as rule
from workbench.model.balloon.element import Element, map_descriptor
from workbench.model.balloon.nowhere import NOWHERE, load, load_word, store, store_word
from workbench.model.balloon.queue import COUNT_MASK
from workbench.model.balloon.split_ring import (
    DESCRIPTOR_BYTES,
    F_INDIRECT,
    F_NEXT,
    F_WRITE,
    HAS_EVENT_IDX,
    need_event,
    read_word,
    write_word,
)

if TYPE_CHECKING:
    from workbench.model.balloon.queue import VirtQueue
    from workbench.model.balloon.virtio import VirtioDevice

DESCRIPTOR: Final = Struct("<QIHH")
"""Address, length, buffer id, flags."""
_RETURNED: Final = Struct("<IHH")
"""Length, buffer id, flags: what the device writes, from byte 8 of the descriptor on."""
_FIELDS: Final = ((0, 8), (8, 4), (12, 2))
_FLAGS_AT: Final = 14
"""Where the fields are, and how long; and the flags, which come last."""
F_AVAIL: Final = 1 << 7
F_USED: Final = 1 << 15

EVENT_BYTES: Final = 4
"""The event structures: where and when the other side wants to be told."""
EVENT_ENABLE: Final = 0
EVENT_DISABLE: Final = 1
EVENT_DESC: Final = 2
_WRAP_BIT: Final = 15


def pop(device: VirtioDevice, queue: VirtQueue) -> Element | None:
    """Take the next element; None where there is none, or where it broke the device."""
    if is_empty(device, queue):
        return None
    if queue.inuse >= queue.num:
        device.tally[rule.RING_SIZE_EXCEEDED] += 1
        device.error("Virtqueue size exceeded")
        return None
    if queue.mapped_num < queue.num:
        device.tally[rule.RING_GROWN] += 1
        device.error("Cannot map descriptor ring")
        return None
    element = Element()
    problem = _walk(device, queue, element)
    if problem is not None:
        if element.in_pieces or element.out_pieces:
            device.tally[rule.RING_ALL_OR_NOTHING] += 1
        device.release(element)
        device.error(problem)
        return None
    device.tally[rule.PACKED_POP] += 1
    queue.last_avail_idx += element.descriptors
    queue.inuse += element.descriptors
    if queue.last_avail_idx >= queue.num:
        device.tally[rule.PACKED_WRAP] += 1
        queue.last_avail_idx -= queue.num
        queue.last_avail_wrap_counter = not queue.last_avail_wrap_counter
    queue.shadow_avail_idx = queue.last_avail_idx
    queue.shadow_avail_wrap_counter = queue.last_avail_wrap_counter
    return element


def is_empty(device: VirtioDevice, queue: VirtQueue) -> bool:
    """Whether the next descriptor is not the device's to take."""
    if not queue.desc or not queue.mapped:
        return True
    flags = read_word(device, queue.desc_at + DESCRIPTOR_BYTES * queue.last_avail_idx + _FLAGS_AT)
    available = bool(flags & F_AVAIL)
    return available == bool(flags & F_USED) or available != queue.last_avail_wrap_counter


def _walk(device: VirtioDevice, queue: VirtQueue, element: Element) -> str | None:
    """Follow the chain.  Returns what is wrong with it, or None."""
    tally = device.tally
    memory = device.memory
    table, limit, row = queue.desc_at, queue.num, queue.last_avail_idx
    address, length, element.index, flags = _read(device, table, row)
    indirect = bool(flags & F_INDIRECT)
    if indirect:
        # QEMU checks no more than this, and aborts at a table of no bytes.
        if length == 0 or length % DESCRIPTOR_BYTES:
            tally[rule.RING_INDIRECT_SIZE] += 1
            return "Invalid size for indirect buffer table"
        tally[rule.RING_INDIRECT] += 1
        if device.mapped_length(address, length) < length:
            tally[rule.RING_INDIRECT_CUT] += 1
            return "Cannot map indirect buffer"
        if device.memory.find(address) is None:
            tally[rule.RING_INDIRECT_NOWHERE] += 1
        table, limit, row = device.ring_place(address), length // DESCRIPTOR_BYTES, 0
        address, length, _, flags = _read(device, table, row)
    entries = 0
    while True:
        device_writes = bool(flags & F_WRITE)
        if not device_writes and element.in_pieces:
            tally[rule.RING_WRONG_ORDER] += 1
            return "Incorrect order for descriptors"
        problem = map_descriptor(
            element, address, length, memory, tally, device_writes=device_writes
        )
        if problem is not None:
            return problem
        entries += 1
        if entries > limit:
            tally[rule.RING_LOOP] += 1
            return "Looped descriptor"
        # Of a table every entry counts, whether it says that another follows or not.
        if not indirect and not flags & F_NEXT:
            break
        row += 1
        if row == limit:
            if indirect:
                break
            row = 0
        address, length, _, flags = _read(device, table, row)
    element.descriptors = 1 if indirect else entries
    return None


def _read(device: VirtioDevice, table: int, row: int) -> tuple[int, int, int, int]:
    at = table + DESCRIPTOR_BYTES * row
    if at < NOWHERE:
        data = device.memory.read(at, DESCRIPTOR_BYTES)
    else:
        # Field by field, and the flags before the others.
        last = load_word(device, at + _FLAGS_AT)
        data = b"".join(load(device, at + first, size) for first, size in _FIELDS) + last
    values: tuple[int, int, int, int] = DESCRIPTOR.unpack(data)
    return values


def push(device: VirtioDevice, queue: VirtQueue, element: Element, used_length: int) -> None:
    """Return an element to the driver; a broken device publishes nothing."""
    device.release(element)
    if device.is_disabled():
        device.tally[rule.ERROR_NOT_RETURNED] += 1
        queue.inuse = (queue.inuse - 1) & COUNT_MASK
        return
    if not queue.desc:
        return
    if queue.mapped:
        flags = F_AVAIL | F_USED if queue.used_wrap_counter else 0
        at = queue.desc_at + DESCRIPTOR_BYTES * queue.used_idx + 8
        returned = _RETURNED.pack(used_length, element.index, flags)
        if at < NOWHERE:
            device.memory.write(at, returned)
        else:
            for first, stop in ((4, 6), (0, 4)):
                store(device, at + first, returned[first:stop])
            store_word(device, at + 6)
    queue.inuse = (queue.inuse - element.descriptors) & COUNT_MASK
    queue.used_idx += element.descriptors
    if element.descriptors > 1:
        device.tally[rule.PACKED_CHAIN] += 1
    if queue.used_idx >= queue.num:
        queue.used_idx -= queue.num
        queue.used_wrap_counter = not queue.used_wrap_counter
        queue.signalled_used_valid = False


def should_notify(device: VirtioDevice, queue: VirtQueue) -> bool:
    """Whether the driver wants an interrupt now."""
    if not queue.mapped:
        return False
    flags = read_word(device, queue.avail_at + 2)
    event = read_word(device, queue.avail_at)
    before, queue.signalled_used = queue.signalled_used, queue.used_idx
    valid, queue.signalled_used_valid = queue.signalled_used_valid, True
    if flags == EVENT_DISABLE:
        device.tally[rule.PACKED_SUPPRESSED] += 1
        return False
    if flags == EVENT_ENABLE:
        device.tally[rule.PACKED_NOTIFY] += 1
        return True
    device.tally[rule.PACKED_EVENT] += 1
    if not valid:
        return True
    offset = event & ~(1 << _WRAP_BIT)
    if bool(event >> _WRAP_BIT) != queue.used_wrap_counter:
        offset -= queue.num
    return need_event(offset, queue.used_idx, before)


def set_notification(device: VirtioDevice, queue: VirtQueue, *, enable: bool) -> None:
    """Tell the driver whether, or from where on, to kick."""
    if not queue.mapped:
        return
    flags = EVENT_ENABLE if enable else EVENT_DISABLE
    if enable and device.guest_features & HAS_EVENT_IDX:
        wrap = int(queue.shadow_avail_wrap_counter) << _WRAP_BIT
        write_word(device, queue.used_at, queue.shadow_avail_idx | wrap)
        flags = EVENT_DESC
    write_word(device, queue.used_at + 2, flags)
