"""The source's side of a migration: what it tells the device, and what it sends of memory.

Source: QEMU 7.2 migration/ram.c (ram_save_setup, ram_save_iterate, ram_save_complete,
ram_save_cleanup, migration_bitmap_sync_precopy), migration/migration.c (migration_completion),
softmmu/memory.c (memory_global_dirty_log_start, memory_global_dirty_log_stop).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.model.balloon import rules as rule
from workbench.model.balloon.hinting import Precopy
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.model.balloon.machine import Machine
    from workbench.model.balloon.memory import RamBlock

_Page = tuple[str, int]
"""Name of the block, and offset in it."""

_NOTHING: Final = bytes(PAGE_BYTES)


class Sent(NamedTuple):
    """What a migration that has completed has sent of memory."""

    spared: set[_Page]
    """Pages that were never sent."""
    again: set[_Page]
    """Pages that were written since QEMU asked last: they are sent when the VM was stopped."""
    stale: dict[_Page, bytes]
    """Pages that were sent last when they held something else, and what that was."""

    def copy_of(self, block: RamBlock) -> bytearray:
        """Give a block as the destination has it."""
        copy = bytearray(block.content)
        for name, page in self.spared:
            if name == block.name:
                copy[page : page + PAGE_BYTES] = _NOTHING
        for (name, page), content in self.stale.items():
            if name == block.name:
                copy[page : page + PAGE_BYTES] = content
        return copy


class Source:
    """A migration out of a machine.

    QEMU asks which pages were written when it begins, and once more when it has sent everything
    and has stopped the VM, as it does with a downtime limit of 0.
    """

    def __init__(self, machine: Machine) -> None:
        """Begin."""
        self._machine = machine
        self._sent: dict[str, bytes] | None = None
        self._spared: set[_Page] = set()
        hinting = machine.balloon.hinting
        hinting.migrating = True
        hinting.hinted.clear()
        machine.memory.dirty = set()
        machine.device.map_all_rings()
        self._tell(Precopy.BEFORE_BITMAP_SYNC, Precopy.AFTER_BITMAP_SYNC, Precopy.SETUP)

    def send_all(self) -> None:
        """Send all memory but what was hinted.  What is hinted later, is hinted too late."""
        self._spared = self._hinted()
        self._sent = {block.name: bytes(block.content) for block in self._machine.memory.blocks}

    def complete(self) -> Sent:
        """Send what is left, with the VM stopped."""
        if self._machine.device.vm_running:
            self._machine.device.set_running(running=False)
        self._tell(Precopy.BEFORE_BITMAP_SYNC, Precopy.AFTER_BITMAP_SYNC, Precopy.COMPLETE)
        if self._sent is None:
            self._spared = self._hinted()
        memory, tally = self._machine.memory, self._machine.device.tally
        written = set(memory.dirty or ())
        tally[rule.MIGRATE_WRITTEN] += len(written)
        spared = self._spared - written
        stale = self._stale(spared | written)
        tally[rule.MIGRATE_STALE] += len(stale)
        return Sent(spared, written, stale)

    def end(self) -> None:
        """Clean up, whether it has completed, failed or was cancelled."""
        self._tell(Precopy.CLEANUP)
        machine = self._machine
        machine.balloon.hinting.migrating = False
        machine.memory.dirty = None
        if machine.device.vm_running:
            machine.device.map_all_rings()
        else:
            machine.device.log_stop_waits = True

    def _stale(self, others: set[_Page]) -> dict[_Page, bytes]:
        """Find the pages that changed after they were sent, and were not sent again."""
        found = {}
        for block in self._machine.memory.blocks:
            before = (self._sent or {}).get(block.name, block.content)
            if before == block.content:
                continue
            for page in range(0, block.length_bytes, PAGE_BYTES):
                stop = page + PAGE_BYTES
                content = bytes(before[page:stop])
                if content != block.content[page:stop] and (block.name, page) not in others:
                    found[block.name, page] = content
        return found

    def _hinted(self) -> set[_Page]:
        return {
            (name, PAGE_BYTES * page)
            for name, first, pages in self._machine.balloon.hinting.hinted
            for page in range(first, first + pages)
        }

    def _tell(self, *events: Precopy) -> None:
        balloon = self._machine.balloon
        for event in events:
            balloon.hinting.precopy(balloon, event)
