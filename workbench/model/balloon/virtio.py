"""What every virtio device of QEMU does: features, status, config space, queues, errors.

Source: QEMU 7.2 hw/virtio/virtio.c (the function each method names).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.model.balloon import packed_ring, split_ring
from workbench.model.balloon import rules as rule
from workbench.model.balloon.level import TRAITS
from workbench.model.balloon.memory import ADDRESS_MASK, GuestMemory
from workbench.model.balloon.nowhere import place_nowhere
from workbench.model.balloon.offer import (
    ACCESS_PLATFORM,
    CONFIG_BYTES_LEAST,
    RING_PACKED,
    VERSION_1,
)
from workbench.model.balloon.queue import COUNT_MASK, VirtQueue
from workbench.model.balloon.rules import Tally
from workbench.model.balloon.start import Start

if TYPE_CHECKING:
    from workbench.model.balloon.behaviour import Behaviour
    from workbench.model.balloon.element import Element
    from workbench.model.balloon.offer import Offer

S_DRIVER_OK: Final = 4
S_FEATURES_OK: Final = 8
S_NEEDS_RESET: Final = 0x40
"""Status bits (virtio 1.2, 2.1)."""

ISR_QUEUE: Final = 1
ISR_CONFIG: Final = 3
"""A configuration change sets both bits (virtio_notify_config)."""

_FIELD_BYTES: Final = 4
"""Of the config space."""

HAS_VERSION_1: Final = 1 << VERSION_1
HAS_PACKED: Final = 1 << RING_PACKED
HAS_ACCESS_PLATFORM: Final = 1 << ACCESS_PLATFORM


class VirtioDevice:
    """The generic part of one device.  Field names are QEMU's."""

    def __init__(self, offer: Offer, memory: GuestMemory, tally: Tally | None = None) -> None:
        """Realize the device."""
        self.offer = offer
        self.traits = TRAITS[offer.level]
        self.system_memory = memory
        self.memory = memory
        """What the device sees of it: all, or nothing (`show_memory`)."""
        self.tally = Tally() if tally is None else tally
        self.host_features = offer.features
        self.guest_features = 0
        self.status = 0
        self.isr = 0
        self.generation = 0
        self.queue_sel = 0
        self.broken = False
        self.disabled = False
        self.vm_running = True
        self.config = bytearray(offer.config_bytes)
        """The shadow: refreshed by reads, not by writes, and not cleared by a reset."""
        self.queues = [VirtQueue(kind, size) for kind, size in offer.queue_sizes()]
        self.errors: list[str] = []
        """What QEMU says on stderr, in order."""
        self.trace: list[tuple[object, ...]] = []
        """What QEMU traces, in order: discards and addresses that are no memory."""
        self.irq = False
        """Whether the interrupt line is up."""
        self.start = Start(is_remembered=offer.uses_started)
        self.log_stop_waits = False
        """Whether memory stops logging writes when the VM goes on."""
        self.behaviour: Behaviour

    # --- features and status

    def set_features(self, value: int) -> None:
        """Take the driver's features (virtio_set_features)."""
        if self.status & S_FEATURES_OK:
            self.tally[rule.FEATURES_LATE] += 1
            return
        if value & ~self.host_features:
            self.tally[rule.FEATURES_MASKED] += 1
        self.guest_features = value & self.host_features
        if self.guest_features & split_ring.HAS_EVENT_IDX:
            # The rings are longer now.
            self.map_all_rings()
        if not value & ~self.host_features:
            # QEMU takes features that were not offered for a failure here, and takes the others.
            self.expect_kick()

    def set_status(self, value: int) -> None:
        """Take a status (virtio_set_status)."""
        refused = (
            self.guest_features & HAS_VERSION_1
            and not self.status & S_FEATURES_OK
            and value & S_FEATURES_OK
            and self.host_features & HAS_ACCESS_PLATFORM
            and not self.guest_features & HAS_ACCESS_PLATFORM
        )
        if refused:
            self.tally[rule.STATUS_REFUSED] += 1
            return
        if (self.status ^ value) & S_DRIVER_OK:
            self.start.follow(driver_ok=bool(value & S_DRIVER_OK))
        self.behaviour.set_status(value)
        self.status = value
        self.behaviour.run_threads()

    def reset(self) -> None:
        """Reset (virtio_reset).  The generation and the shadow stay."""
        if self.generation:
            self.tally[rule.RESET_KEEPS_GENERATION] += 1
        if self.broken:
            self.tally[rule.RESET_MENDS] += 1
        self.set_status(0)
        self.behaviour.reset()
        self.broken = self.disabled = self.irq = False
        self.start.reset()
        self.guest_features = self.queue_sel = self.status = self.isr = 0
        for queue in self.queues:
            self.reset_queue(queue)

    def reset_queue(self, queue: VirtQueue) -> None:
        """Reset one queue (__virtio_queue_reset)."""
        if queue.is_resized():
            self.tally[rule.QUEUE_SIZE_DEFAULT] += 1
        queue.reset()

    def set_running(self, *, running: bool) -> None:
        """Learn that the VM started or stopped (virtio_vmstate_change)."""
        if running and self.log_stop_waits:
            # Before any device is told (softmmu/memory.c, memory_vm_change_state_handler).
            self.log_stop_waits = False
            self.map_all_rings()
        self.vm_running = running
        self.set_status(self.status)

    def is_disabled(self) -> bool:
        """Whether nothing is taken from queues or published (virtio_device_disabled)."""
        return self.broken or self.disabled

    def expect_kick(self) -> None:
        """Let a legacy driver's early kick start the device."""
        ready = bool(self.status & S_DRIVER_OK)
        self.start.expect_kick(driver_ok=ready, legacy=not self.guest_features & HAS_VERSION_1)

    # --- config space

    def read_config(self, offset_bytes: int, width_bytes: int) -> int:
        """Read (virtio_config_modern_readl and its siblings)."""
        if offset_bytes + width_bytes > CONFIG_BYTES_LEAST:
            self.tally[self.offer.length_rule] += 1
        if offset_bytes + width_bytes > len(self.config):
            self.tally[rule.CONFIG_READ_BEYOND] += 1
            return (1 << 8 * width_bytes) - 1
        self.tally[rule.CONFIG_READ] += 1
        if width_bytes < _FIELD_BYTES:
            self.tally[rule.CONFIG_NARROW] += 1
        self.config[:] = self.behaviour.get_config()[: len(self.config)]
        return int.from_bytes(self.config[offset_bytes : offset_bytes + width_bytes], "little")

    def write_config(self, offset_bytes: int, width_bytes: int, value: int) -> None:
        """Write (virtio_config_modern_writel and its siblings)."""
        if offset_bytes + width_bytes > len(self.config):
            self.tally[rule.CONFIG_WRITE_BEYOND] += 1
            return
        if width_bytes < _FIELD_BYTES:
            self.tally[rule.CONFIG_NARROW] += 1
        if offset_bytes not in range(4, 8) and offset_bytes not in range(12, 16):
            self.tally[rule.CONFIG_READ_ONLY] += 1
        data = (value & ((1 << 8 * width_bytes) - 1)).to_bytes(width_bytes, "little")
        self.config[offset_bytes : offset_bytes + width_bytes] = data
        written = range(offset_bytes, offset_bytes + width_bytes)
        self.behaviour.set_config(bytes(self.config), written)

    # --- interrupts and errors

    def notify_config(self) -> None:
        """Say that the config space has changed (virtio_notify_config)."""
        if self.status & S_DRIVER_OK:
            self.tally[rule.NOTIFY_CONFIG] += 1
            self.isr |= ISR_CONFIG
            self.generation = (self.generation + 1) & 0xFFFFFFFF
            self._interrupt()
        else:
            self.tally[rule.NOTIFY_CONFIG_EARLY] += 1

    def notify(self, queue: VirtQueue) -> None:
        """Interrupt, if the driver wants it (virtio_notify)."""
        ring = packed_ring if self.guest_features & HAS_PACKED else split_ring
        if ring.should_notify(self, queue):
            self.isr |= ISR_QUEUE
            self._interrupt()

    def read_isr(self) -> int:
        """Tell what the interrupts were for, and lower the line (virtio_pci_isr_read)."""
        value, self.isr, self.irq = self.isr, 0, False
        return value

    def _interrupt(self) -> None:
        """Raise the interrupt line (virtio_notify_vector)."""
        if self.is_disabled():
            self.tally[rule.NOTIFY_LINE_STAYS] += 1
        else:
            self.irq = True

    def error(self, message: str) -> None:
        """Break the device (virtio_error)."""
        self.errors.append(message)
        if self.guest_features & HAS_VERSION_1:
            ready = self.status & S_DRIVER_OK
            self.tally[rule.ERROR_MODERN if ready else rule.ERROR_EARLY] += 1
            self.status |= S_NEEDS_RESET
            self.notify_config()
        else:
            self.tally[rule.ERROR_LEGACY] += 1
        self.broken = True

    # --- queues

    def set_rings(self, queue: VirtQueue, desc: int, avail: int, used: int) -> None:
        """Place the rings (virtio_queue_set_rings)."""
        if not queue.num:
            # One that is no longer there, after a migration.
            return
        queue.desc, queue.avail, queue.used = desc, avail, used
        self.map_rings(queue)

    def show_memory(self, *, visible: bool) -> None:
        """Let the device see memory, or not; after that QEMU maps all rings anew.

        Only a device that offers ACCESS_PLATFORM goes through the PCI bus, and so sees nothing
        without the right to access memory.

        Source: QEMU 7.2 hw/virtio/virtio-bus.c, virtio_bus_device_plugged; hw/virtio/virtio.c,
        virtio_memory_listener_commit.
        """
        if self.host_features & HAS_ACCESS_PLATFORM:
            nothing = GuestMemory((), self.system_memory.bounce)
            self.memory = self.system_memory if visible else nothing
        self.map_all_rings()

    def map_all_rings(self) -> None:
        """Map the rings of all queues anew, for the sizes and features of the moment.

        QEMU does so whenever its map of memory changes, and when a migration begins, or ends, to
        log what is written.

        Source: QEMU 7.2 hw/virtio/virtio.c, virtio_memory_listener_commit; softmmu/memory.c,
        memory_global_dirty_log_start, memory_global_dirty_log_do_stop.
        """
        for queue in self.queues:
            if queue.mapped and queue.mapped_num != queue.num:
                self.tally[rule.RING_REMAPPED] += 1
            self.map_rings(queue)

    def map_rings(self, queue: VirtQueue) -> None:
        """Map the rings of a queue that has any (virtio_init_region_cache)."""
        queue.mapped = False
        if not queue.desc:
            return
        packed = bool(self.guest_features & HAS_PACKED)
        features = self.guest_features
        event = packed_ring.EVENT_BYTES
        used_bytes = event if packed else split_ring.used_size(queue, features)
        avail_bytes = event if packed else split_ring.avail_size(queue, features)
        rings = (
            ("desc", queue.desc, split_ring.DESCRIPTOR_BYTES * queue.num),
            ("used", queue.used, used_bytes),
            ("avail", queue.avail, avail_bytes),
        )
        for name, address, length in rings:
            if self.mapped_length(address, length) < length:
                self.tally[rule.RING_UNMAPPABLE] += 1
                self.error(f"Cannot map {name}")
                return
        queue.mapped, queue.mapped_num = True, queue.num
        queue.desc_at = self.ring_place(queue.desc, device_writes=packed)
        queue.avail_at = self.ring_place(queue.avail)
        queue.used_at = self.ring_place(queue.used, device_writes=True)

    def ring_place(self, address: int, *, device_writes: bool = False) -> int:
        """Where a ring, or a table, is read and written: nowhere, if it begins in no such memory.

        QEMU looks at its beginning only, and takes what follows for the same.
        """
        place = self.memory.find(address)
        if place is None or (device_writes and not place.region.writable):
            return place_nowhere(address)
        return address

    def mapped_length(self, address: int, length_bytes: int) -> int:
        """How much of a range QEMU maps in one piece (address_space_cache_init).

        Where there is no memory the whole range counts as mapped, up to the last address; it reads
        as zeros.  So do the device's registers, up to the end of each kind of them.  Firmware maps
        like memory, for writing too; what is written to it is lost.
        """
        place = self.memory.find(address)
        if place is None:
            registers = self.memory.find_registers(address)
            stop = ADDRESS_MASK + 1 if registers is None else registers.stop
            return min(length_bytes, stop - address)
        return min(length_bytes, place.length_bytes)

    def kick(self, number: int) -> None:
        """Learn that the driver has something on a queue (virtio_queue_notify)."""
        if number >= len(self.queues):
            self.tally[rule.KICK_NOWHERE] += 1
            return
        queue = self.queues[number]
        if not queue.desc:
            self.tally[rule.KICK_NOT_SET_UP] += 1
            return
        if self.broken:
            self.tally[rule.KICK_BROKEN] += 1
            return
        if not self.status & S_DRIVER_OK:
            self.tally[rule.KICK_EARLY] += 1
            if not self.status & S_FEATURES_OK:
                self.tally[rule.KICK_BEFORE_FEATURES] += 1
        self.behaviour.handle_output(queue)
        if self.start.on_kick and queue.kind is not None:
            self.tally[rule.KICK_STARTS] += 1
            self.start.follow(driver_ok=True)

    def pop(self, queue: VirtQueue) -> Element | None:
        """Take the next element (virtqueue_pop)."""
        if self.is_disabled():
            return None
        if self.guest_features & HAS_PACKED:
            return packed_ring.pop(self, queue)
        return split_ring.pop(self, queue)

    def push(self, queue: VirtQueue, element: Element, used_length: int) -> None:
        """Return an element (virtqueue_push)."""
        ring = packed_ring if self.guest_features & HAS_PACKED else split_ring
        ring.push(self, queue, element, used_length)

    def release(self, element: Element) -> None:
        """Unmap an element, returned or refused (virtqueue_unmap_sg, virtqueue_undo_map_desc).

        That counts as a write of no bytes to what the device might have written; and where it
        begins within a page, a migration takes that page for written (address_space_unmap).
        """
        element.release(self.memory)
        if self.system_memory.dirty is not None:
            for piece in element.in_pieces:
                if piece.block is not None:
                    self.system_memory.log_release(piece.block, piece.offset_bytes)

    def unpop(self, queue: VirtQueue, element: Element) -> None:
        """Pretend that the latest element was not taken (virtqueue_unpop)."""
        self._rewind(queue)
        queue.inuse = (queue.inuse - element.descriptors) & COUNT_MASK
        self.release(element)

    def rewind_one(self, queue: VirtQueue) -> bool:
        """Go back by one, if anything is in use (virtqueue_rewind)."""
        if queue.inuse < 1:
            return False
        queue.inuse -= 1
        self._rewind(queue)
        return True

    def _rewind(self, queue: VirtQueue) -> None:
        if not self.guest_features & HAS_PACKED:
            queue.last_avail_idx = (queue.last_avail_idx - 1) & 0xFFFF
        elif queue.last_avail_idx < 1:
            queue.last_avail_idx = queue.num - 1
            queue.last_avail_wrap_counter = not queue.last_avail_wrap_counter
        else:
            queue.last_avail_idx -= 1

    def set_notification(self, queue: VirtQueue, *, enable: bool) -> None:
        """Ask the driver for kicks, or to spare them (virtio_queue_set_notification)."""
        queue.notification = enable
        if queue.desc:
            ring = packed_ring if self.guest_features & HAS_PACKED else split_ring
            ring.set_notification(self, queue, enable=enable)
