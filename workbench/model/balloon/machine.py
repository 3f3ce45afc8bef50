"""A machine with a balloon and nothing else that moves: what a driver reads and writes of it.

The accesses are those of QEMU's qtest protocol (QEMU 7.2 softmmu/qtest.c), so that the same list
of them runs on this machine and on a real one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from workbench.model.balloon import rules as rule
from workbench.model.balloon.balloon import Balloon
from workbench.model.balloon.memory import Registers
from workbench.model.balloon.pci import (
    BAR_BYTES,
    COMMON,
    CONFIG,
    ISR,
    LEGACY_BYTES,
    NOTIFY,
    STRUCTURE_BYTES,
    PciTransport,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workbench.model.balloon.memory import GuestMemory
    from workbench.model.balloon.offer import Offer
    from workbench.model.balloon.rules import Tally

Access: TypeAlias = tuple[Any, ...]
"""An operation of the qtest protocol and its operands, for example ("writel", address, value)."""
Answer: TypeAlias = int | bytes | None

BAR: Final = 0xFE000000
"""Where the modern registers are mapped."""
PORTS: Final = 0xC000
"""Where the legacy registers are mapped."""
SLOT: Final = 4

PCI_ADDRESS_PORT, PCI_DATA_PORT = 0xCF8, 0xCFC
PCI_COMMAND: Final = 0x80000000 | SLOT << 11 | 4
PCI_COMMAND_ON: Final = 7
"""Answer in ports, answer in memory, access memory."""
_COMMAND_MASTER: Final = 4

_WIDTHS: Final = {"b": 1, "w": 2, "l": 4, "q": 8}


class Machine:
    """The model of a halted machine."""

    def __init__(
        self,
        offer: Offer,
        memory: GuestMemory,
        ram_bytes: int,
        tally: Tally | None = None,
        *,
        module_bytes: int = 0,
    ) -> None:
        """Start the machine, its device's registers mapped."""
        self.memory = memory
        self.balloon = Balloon(offer, memory, ram_bytes, tally, module_bytes=module_bytes)
        self.device = self.balloon.device
        self.pci = PciTransport(self.device)
        self._has_ports = offer.legacy
        memory.registers = [
            Registers(
                BAR + first, BAR + first + STRUCTURE_BYTES, f"virtio-pci-{kind}-virtio-balloon"
            )
            for kind, first in (
                ("common", COMMON),
                ("isr", ISR),
                ("device", CONFIG),
                ("notify", NOTIFY),
            )
        ]
        memory.block_access = self._block_access
        self._has_blocked = False
        self._pci_address = 0
        self._operations: dict[str, Callable[..., Answer]] = {
            "write": memory.write,
            "read": memory.read,
            "memset": self._memset,
        }
        for letter, width in _WIDTHS.items():
            self._operations[f"write{letter}"] = _with_width(self._write, width)
            self._operations[f"read{letter}"] = _with_width(self._read, width)
            self._operations[f"out{letter}"] = _with_width(self._out, width)
            self._operations[f"in{letter}"] = _with_width(self._in, width)
        if self.device.broken:
            # QEMU resets every machine before it runs; of a new one that changes nothing else.
            self.system_reset()

    def execute(self, accesses: Iterable[Access]) -> list[Answer]:
        """Do what the accesses say, and return what each reads; None for those that only write."""
        operations = self._operations
        return [operations[operation](*operands) for operation, *operands in accesses]

    def system_reset(self) -> None:
        """Reset the machine.  Memory keeps its content; the registers must be mapped again."""
        self.device.tally[rule.RESET_SYSTEM] += 1
        self.pci.reset()

    def _block_access(self, registers: Registers, offset_bytes: int) -> None:
        """Keep the device from its own registers while it is spoken to; QEMU says so once.

        Source: QEMU 7.2 softmmu/memory.c, access_with_adjusted_size.
        """
        self.device.tally[rule.MAP_REGISTERS] += 1
        if not self._has_blocked:
            self._has_blocked = True
            self.device.errors.append(
                f"Blocked re-entrant IO on MemoryRegion: {registers.name} "
                f"at addr: 0x{offset_bytes:X}"
            )

    def _memset(self, address: int, length_bytes: int, byte: int) -> None:
        self.memory.write(address, bytes((byte,)) * length_bytes)

    def _write(self, width: int, address: int, value: int) -> None:
        if BAR <= address < BAR + BAR_BYTES:
            self.pci.write(address - BAR, width, value & ((1 << 8 * width) - 1))
        else:
            data = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
            self.memory.write(address, data)

    def _read(self, width: int, address: int) -> int:
        if BAR <= address < BAR + BAR_BYTES:
            return self.pci.read(address - BAR, width)
        return int.from_bytes(self.memory.read(address, width), "little")

    def _out(self, width: int, port: int, value: int) -> None:
        if PORTS <= port < PORTS + LEGACY_BYTES and self._has_ports:
            self.pci.write_port(port - PORTS, width, value & ((1 << 8 * width) - 1))
        elif port == PCI_ADDRESS_PORT:
            self._pci_address = value
        elif port == PCI_DATA_PORT and self._pci_address == PCI_COMMAND:
            self.pci.set_bus_master(enabled=bool(value & _COMMAND_MASTER))

    def _in(self, width: int, port: int) -> int:
        if PORTS <= port < PORTS + LEGACY_BYTES and self._has_ports:
            return self.pci.read_port(port - PORTS, width)
        return (1 << 8 * width) - 1


def _with_width(function: Callable[..., Answer], width: int) -> Callable[..., Answer]:
    def with_width(*operands: int) -> Answer:
        return function(width, *operands)

    return with_width
