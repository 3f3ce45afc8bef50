"""Models that are wrong on purpose about migrations, and about what is no memory, each in one rule.

Each entry changes the model as somebody might have written it who had not read that line of QEMU.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.model.balloon import memory, migration, reporting, source, split_ring, virtio
from workbench.units import PAGE_BYTES


def poison_is_saved_though_it_was_not_negotiated(patch):
    """The subsection of poison_val is always sent."""
    real = migration._subsections

    def subsections(machine, *, resized):
        name = migration.POISON_SECTION
        names = [one for one in real(machine, resized=resized) if one != name]
        place = names.index("virtio/64bit_features")
        return [*names[:place], name, *names[place:]]

    patch.setattr(migration, "_subsections", subsections)


def what_is_held_was_not_taken(patch):
    """The index that is saved is that of the used ring."""
    real = migration._queue_state

    def queue_state(queue, *, resized, packed):
        state = real(queue, resized=resized, packed=packed)
        return replace(state, last_avail_idx=queue.used_idx)

    patch.setattr(migration, "_queue_state", queue_state)


def the_line_follows_the_isr(patch):
    """A broken device raises its interrupt line too."""

    def interrupt(self):
        self.irq = True

    patch.setattr(virtio.VirtioDevice, "_interrupt", interrupt)


def rings_stay_mapped_while_memory_is_logged(patch):
    """A migration that begins leaves rings as they were mapped."""
    real = virtio.VirtioDevice.map_all_rings

    def map_all_rings(self):
        if self.system_memory.dirty is None:
            real(self)

    patch.setattr(virtio.VirtioDevice, "map_all_rings", map_all_rings)


def discards_count_as_writes(patch):
    """A page that is discarded while a migration runs is sent again, as zeros."""
    real = reporting.discard_range

    def discard_range(device, block, offset_bytes, length_bytes):
        if device.system_memory.dirty is not None:
            stop = offset_bytes + length_bytes
            pages = range(offset_bytes, stop, PAGE_BYTES)
            device.system_memory.dirty |= {(block.name, page) for page in pages}
        return real(device, block, offset_bytes, length_bytes)

    patch.setattr(reporting, "discard_range", discard_range)


def what_comes_back_unused_is_no_write(patch):
    """A range of which the device has written nothing is not sent again."""
    patch.setattr(memory.GuestMemory, "log_release", lambda *_: None)


def rings_are_no_memory(patch):
    """What the device writes into the used ring is not sent again."""
    real = split_ring.push

    def push(device, queue, element, used_length):
        dirty, device.system_memory.dirty = device.system_memory.dirty, None
        real(device, queue, element, used_length)
        device.system_memory.dirty = dirty

    patch.setattr(split_ring, "push", push)


def copies_are_always_fresh(patch):
    """The destination has of every page what the source has in the end."""
    patch.setattr(source.Source, "_stale", lambda *_: {})


def registers_are_a_hole(patch):
    """The device's own registers are to it as any place without memory."""
    patch.setattr(memory.GuestMemory, "find_registers", lambda *_: None)


def nothing_is_found_in_no_memory(patch):
    """Rings and tables where no memory is hold zeros."""
    patch.setattr(split_ring, "load", lambda _device, _place, length_bytes: bytes(length_bytes))


WRONG_SOURCES = {
    wrong.__name__: (wrong, kinds)
    for wrong, kinds in (
        (poison_is_saved_though_it_was_not_negotiated, ("saved state",)),
        (what_is_held_was_not_taken, ("saved state",)),
        (the_line_follows_the_isr, ("saved state",)),
        (rings_stay_mapped_while_memory_is_logged, ("rings mapped anew",)),
        (discards_count_as_writes, ("queues during a migration",)),
        (what_comes_back_unused_is_no_write, ("queues during a migration",)),
        (rings_are_no_memory, ("queues during a migration",)),
        (copies_are_always_fresh, ("queues during a migration",)),
        (nothing_is_found_in_no_memory, ("rings in no memory",)),
        (registers_are_a_hole, ("registers as memory",)),
    )
}
"""Each wrong model, and the kinds of program that must find it out."""
