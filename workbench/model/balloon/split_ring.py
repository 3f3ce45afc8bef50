"""The split ring: take elements from it, return them, and decide whether to interrupt.

Source: QEMU 7.2 hw/virtio/virtio.c (virtqueue_split_pop, virtqueue_split_fill,
virtqueue_split_flush, virtio_split_should_notify, virtio_queue_split_set_notification);
layout: virtio 1.2, 2.7.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from workbench.model.balloon import rules as rule
from workbench.model.balloon.element import PIECES_MAX, Element, map_descriptor
from workbench.model.balloon.nowhere import NOWHERE, load, load_word, store, store_word
from workbench.model.balloon.offer import EVENT_IDX, NOTIFY_ON_EMPTY
from workbench.model.balloon.queue import COUNT_MASK

if TYPE_CHECKING:
    from workbench.model.balloon.queue import VirtQueue
    from workbench.model.balloon.virtio import VirtioDevice

DESCRIPTOR: Final = Struct("<QIHH")
"""Address, length, flags, next."""
DESCRIPTOR_BYTES: Final = 16
F_NEXT: Final = 1
F_WRITE: Final = 2
F_INDIRECT: Final = 4

_USED_ENTRY: Final = Struct("<II")
_WORD: Final = Struct("<H")
_AVAIL_RING_BYTES: Final = 4
_USED_RING_BYTES: Final = 4
"""The rings begin after flags and idx."""
_SIGN_BIT: Final = 0x8000
NO_INTERRUPT: Final = 1
NO_NOTIFY: Final = 1

HAS_EVENT_IDX: Final = 1 << EVENT_IDX
HAS_NOTIFY_ON_EMPTY: Final = 1 << NOTIFY_ON_EMPTY


def avail_size(queue: VirtQueue, features: int) -> int:
    """Bytes of the available ring."""
    return _AVAIL_RING_BYTES + 2 * queue.num + (2 if features & HAS_EVENT_IDX else 0)


def used_size(queue: VirtQueue, features: int) -> int:
    """Bytes of the used ring."""
    return _USED_RING_BYTES + 8 * queue.num + (2 if features & HAS_EVENT_IDX else 0)


def read_word(device: VirtioDevice, address: int) -> int:
    """Read 16 bits, little endian."""
    data = device.memory.read(address, 2) if address < NOWHERE else load_word(device, address)
    word: int = _WORD.unpack(data)[0]
    return word


def write_word(device: VirtioDevice, address: int, value: int) -> None:
    """Write 16 bits, little endian."""
    if address < NOWHERE:
        device.memory.write(address, _WORD.pack(value & 0xFFFF))
    else:
        store_word(device, address)


def read_bytes(device: VirtioDevice, address: int, length_bytes: int) -> bytes:
    """Read a few bytes of a ring or a table."""
    if address < NOWHERE:
        return device.memory.read(address, length_bytes)
    return load(device, address, length_bytes)


def write_bytes(device: VirtioDevice, address: int, data: bytes) -> None:
    """Write a few bytes of a ring."""
    if address < NOWHERE:
        device.memory.write(address, data)
    else:
        store(device, address, data)


def read_avail_idx(device: VirtioDevice, queue: VirtQueue) -> int:
    """Read how far the driver says it has come, and remember it (vring_avail_idx)."""
    if not queue.mapped:
        return 0
    queue.shadow_avail_idx = read_word(device, queue.avail_at + 2)
    return queue.shadow_avail_idx


def is_empty(device: VirtioDevice, queue: VirtQueue) -> bool:
    """Whether nothing waits.  The driver's index is read again only when all of it was seen."""
    if device.is_disabled() or not queue.avail:
        return True
    if queue.shadow_avail_idx != queue.last_avail_idx:
        return False
    return read_avail_idx(device, queue) == queue.last_avail_idx


def pop(device: VirtioDevice, queue: VirtQueue) -> Element | None:
    """Take the next element; None where there is none, or where it broke the device."""
    if is_empty(device, queue):
        return None
    if queue.inuse >= queue.num:
        device.tally[rule.RING_SIZE_EXCEEDED] += 1
        device.error("Virtqueue size exceeded")
        return None
    waiting = (queue.shadow_avail_idx - queue.last_avail_idx) & 0xFFFF
    if waiting > queue.num:
        device.tally[rule.RING_AVAIL_JUMP] += 1
    head = 0
    if queue.mapped:
        ring = queue.avail_at + _AVAIL_RING_BYTES
        head = read_word(device, ring + 2 * (queue.last_avail_idx % queue.num))
    queue.last_avail_idx = (queue.last_avail_idx + 1) & 0xFFFF
    if head >= queue.num:
        device.tally[rule.RING_BAD_HEAD] += 1
        device.error(f"Guest says index {head} is available")
        return None
    if device.guest_features & HAS_EVENT_IDX:
        if queue.notification:
            device.tally[rule.RING_AVAIL_EVENT] += 1
        _write_avail_event(device, queue, queue.last_avail_idx)
    if not queue.mapped:
        device.error("Region caches not initialized")
        return None
    if queue.mapped_num < queue.num:
        device.tally[rule.RING_GROWN] += 1
        device.error("Cannot map descriptor ring")
        return None
    element = Element()
    element.index = head
    problem = _walk(device, queue, head, element)
    if problem is not None:
        if element.in_pieces or element.out_pieces:
            device.tally[rule.RING_ALL_OR_NOTHING] += 1
        device.release(element)
        device.error(problem)
        return None
    queue.inuse += 1
    return element


def _walk(device: VirtioDevice, queue: VirtQueue, head: int, element: Element) -> str | None:
    """Follow the chain.  Returns what is wrong with it, or None."""
    tally = device.tally
    memory = device.memory
    table, limit = queue.desc_at, queue.num
    address, length, flags, follower = DESCRIPTOR.unpack(
        read_bytes(device, table + DESCRIPTOR_BYTES * head, DESCRIPTOR_BYTES)
    )
    indirect = bool(flags & F_INDIRECT)
    if indirect:
        if length == 0 or length % DESCRIPTOR_BYTES:
            tally[rule.RING_INDIRECT_SIZE] += 1
            return "Invalid size for indirect buffer table"
        tally[rule.RING_INDIRECT] += 1
        place, limit = address, length // DESCRIPTOR_BYTES
        if device.mapped_length(place, length) < length:
            tally[rule.RING_INDIRECT_CUT] += 1
            return "Cannot map indirect buffer"
        if memory.find(place) is None:
            tally[rule.RING_INDIRECT_NOWHERE] += 1
        table = device.ring_place(place)
        data = read_bytes(device, table, DESCRIPTOR_BYTES)
        address, length, flags, follower = DESCRIPTOR.unpack(data)
    entries = 0
    while True:
        if flags & F_INDIRECT:
            tally[rule.RING_NESTED_INDIRECT if indirect else rule.RING_LATE_INDIRECT] += 1
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
        if not flags & F_NEXT:
            break
        if follower >= limit:
            tally[rule.RING_BAD_NEXT] += 1
            return f"Desc next is {follower}"
        address, length, flags, follower = DESCRIPTOR.unpack(
            read_bytes(device, table + DESCRIPTOR_BYTES * follower, DESCRIPTOR_BYTES)
        )
    if entries > queue.num:
        tally[rule.RING_INDIRECT_LONG] += 1
    if len(element.in_pieces) == PIECES_MAX:
        tally[rule.MAP_MOST] += 1
    return None


def push(device: VirtioDevice, queue: VirtQueue, element: Element, used_length: int) -> None:
    """Return an element to the driver; a broken device publishes nothing."""
    device.release(element)
    if device.is_disabled():
        device.tally[rule.ERROR_NOT_RETURNED] += 1
        queue.inuse = (queue.inuse - 1) & COUNT_MASK
        return
    if not queue.used:
        return
    if queue.mapped:
        place = queue.used_at + _USED_RING_BYTES + 8 * (queue.used_idx % queue.num)
        write_bytes(device, place, _USED_ENTRY.pack(element.index, used_length))
    before = queue.used_idx
    queue.used_idx = (before + 1) & 0xFFFF
    if queue.mapped:
        write_word(device, queue.used_at + 2, queue.used_idx)
    queue.inuse = (queue.inuse - 1) & COUNT_MASK
    # QEMU takes the difference as a signed number: an index that lies ahead counts as passed.
    ahead = (queue.used_idx - queue.signalled_used) & 0xFFFF
    if ahead == 0 or ahead & _SIGN_BIT:
        queue.signalled_used_valid = False


def should_notify(device: VirtioDevice, queue: VirtQueue) -> bool:
    """Whether the driver wants an interrupt now."""
    features = device.guest_features
    on_empty = features & HAS_NOTIFY_ON_EMPTY
    if on_empty and not queue.inuse and is_empty(device, queue):
        if queue.mapped and read_word(device, queue.avail_at) & NO_INTERRUPT:
            device.tally[rule.NOTIFY_ON_EMPTY] += 1
        return True
    if not features & HAS_EVENT_IDX:
        flags = read_word(device, queue.avail_at) if queue.mapped else 0
        wanted = not flags & NO_INTERRUPT
        if on_empty and not wanted:
            device.tally[rule.NOTIFY_ON_EMPTY_LATER] += 1
        device.tally[rule.NOTIFY_PLAIN if wanted else rule.NOTIFY_SUPPRESSED] += 1
        return wanted
    valid, queue.signalled_used_valid = queue.signalled_used_valid, True
    before, queue.signalled_used = queue.signalled_used, queue.used_idx
    if not valid:
        device.tally[rule.NOTIFY_EVENT_FIRST] += 1
        return True
    event = 0
    if queue.mapped:
        event = read_word(device, queue.avail_at + _AVAIL_RING_BYTES + 2 * queue.num)
    wanted = need_event(event, queue.used_idx, before)
    device.tally[rule.NOTIFY_EVENT_PASSED if wanted else rule.NOTIFY_EVENT_WAITS] += 1
    return wanted


def need_event(event: int, now: int, before: int) -> bool:
    """Whether `event` was passed on the way from `before` to `now` (vring_need_event)."""
    return (now - event - 1) & 0xFFFF < (now - before) & 0xFFFF


def set_notification(device: VirtioDevice, queue: VirtQueue, *, enable: bool) -> None:
    """Tell the driver whether to kick."""
    if device.guest_features & HAS_EVENT_IDX:
        _write_avail_event(device, queue, read_avail_idx(device, queue))
    elif queue.mapped:
        flags = read_word(device, queue.used_at)
        write_word(device, queue.used_at, flags & ~NO_NOTIFY if enable else flags | NO_NOTIFY)


def _write_avail_event(device: VirtioDevice, queue: VirtQueue, value: int) -> None:
    if queue.notification and queue.mapped:
        write_word(device, queue.used_at + _USED_RING_BYTES + 8 * queue.num, value)
