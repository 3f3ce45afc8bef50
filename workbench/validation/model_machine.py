"""The model of a machine that is set up like a real one: its memory map, and its device.

Source: QEMU 7.2 hw/i386/pc_piix.c (pc_init1), hw/i386/pc.c (pc_memory_init), and `info mtree -f`
of machines started as in `setup.command_line`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.model.balloon.level import Level
from workbench.model.balloon.machine import Machine
from workbench.model.balloon.memory import GuestMemory, RamBlock, Region
from workbench.model.balloon.offer import machine_version, make_offer
from workbench.units import GIB, HUGE_PAGE_BYTES, KIB, MIB, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.model.balloon.rules import Tally
    from workbench.validation.setup import Backend, Setup

_HIGH: Final = 4 * GIB
_VGA, _OPTION_ROMS, _SHADOW, _FIRMWARE, _EXTENDED = 0xA0000, 0xC0000, 0xE0000, 0xF0000, MIB
_FIRMWARE_BYTES: Final = 64 * KIB
_DEVICE_MEMORY_ALIGN: Final = GIB

_Span = tuple[int, int]


def model_machine(
    setup: Setup, *, level: Level = Level.QEMU_7_2, tally: Tally | None = None
) -> Machine:
    """Make the model of the machine that `setup` describes."""
    version = machine_version(setup.machine_type)
    memory = memory_of(setup)
    machine = Machine(
        make_offer(setup.properties, version, level),
        memory,
        setup.memory_bytes,
        tally,
        module_bytes=sum(module.size_bytes for module in setup.dimms),
    )
    machine.device.vm_running = not setup.stopped and setup.incoming == "none"
    return machine


def memory_of(setup: Setup) -> GuestMemory:
    """Make the memory of the machine that `setup` describes."""
    memory = GuestMemory(_regions(setup))
    memory.locked = setup.mem_lock
    return memory


def block_of(name: str, backend: Backend) -> RamBlock:
    """Make the RAM block of a backend."""
    huge = backend.kind == "hugetlb"
    return RamBlock(
        name,
        backend.size_bytes,
        HUGE_PAGE_BYTES if huge else PAGE_BYTES,
        unmaps=not huge,
        punches=backend.kind != "anonymous",
        shared=backend.shared,
    )


def _regions(setup: Setup) -> Iterator[Region]:
    low_bytes = sum(backend.size_bytes for backend in setup.memory)
    if setup.max_ram_below_4g_bytes is not None:
        low_bytes = min(low_bytes, setup.max_ram_below_4g_bytes)
    firmware = RamBlock("pc.bios", _FIRMWARE_BYTES, PAGE_BYTES, unmaps=True, punches=False)
    options = RamBlock("pc.rom", _SHADOW - _OPTION_ROMS, PAGE_BYTES, unmaps=True, punches=False)
    yield Region(_OPTION_ROMS, _SHADOW, options, 0, writable=False)
    yield Region(_FIRMWARE, _EXTENDED, firmware, 0, writable=False)
    yield Region(_HIGH - _FIRMWARE_BYTES, _HIGH, firmware, 0, writable=False)
    first = 0
    for number, backend in enumerate(setup.memory):
        block = block_of(f"m{number}", backend)
        stop = first + backend.size_bytes
        for low, high in _visible_low(first, min(stop, low_bytes), vga=setup.vga):
            yield Region(low, high, block, low - first, writable=True)
        if stop > low_bytes:
            above = max(first, low_bytes)
            guest = _HIGH + above - low_bytes
            yield Region(guest, guest + stop - above, block, above - first, writable=True)
        first = stop
    high_stop = _HIGH + max(first - low_bytes, 0)
    place = -(-high_stop // _DEVICE_MEMORY_ALIGN) * _DEVICE_MEMORY_ALIGN
    for number, backend in enumerate(setup.dimms):
        block = block_of(f"d{number}", backend)
        yield Region(place, place + backend.size_bytes, block, 0, writable=True)
        place += backend.size_bytes


def _visible_low(first: int, stop: int, *, vga: bool) -> Iterator[_Span]:
    """Cut out of low memory what firmware and graphics cover."""
    holes = [(_VGA, _OPTION_ROMS)] if vga else []
    holes += [(_OPTION_ROMS, _SHADOW), (_FIRMWARE, _EXTENDED)]
    for hole_first, hole_stop in holes:
        if first < min(hole_first, stop):
            yield first, min(hole_first, stop)
        first = max(first, hole_stop)
    if first < stop:
        yield first, stop
