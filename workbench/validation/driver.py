"""The driver that programs speak through: it turns their steps into accesses.

A step is a tuple of a name and operands, all of them numbers, texts and lists, so that programs
can be stored.  The driver keeps its own side of the rings and never looks at what the device
answers, so that one list of accesses does for the model and for the real device.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from workbench.model.balloon import pci
from workbench.model.balloon.machine import (
    BAR,
    PCI_ADDRESS_PORT,
    PCI_COMMAND,
    PCI_COMMAND_ON,
    PCI_DATA_PORT,
    PORTS,
)
from workbench.model.balloon.offer import RING_PACKED
from workbench.model.balloon.packed_ring import F_AVAIL, F_USED
from workbench.model.balloon.split_ring import DESCRIPTOR_BYTES, F_INDIRECT, F_NEXT, F_WRITE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workbench.model.balloon.machine import Access
    from workbench.model.balloon.offer import Offer

Step: TypeAlias = tuple[Any, ...]

RINGS: Final = 0x200000
"""Where the rings of queue 0 are; they lie in memory of every machine that programs run on."""
RING_STRIDE: Final = 0x10000
"""From one queue's rings to the next: 16 KiB of descriptors, 4 KiB and 12 KiB of rings, tables."""
TABLES: Final = 0x300000
TABLE_STRIDE: Final = 0x8000
_TABLE_SLOTS: Final = 8
"""Indirect tables of up to 2048 entries, used in turn."""
STOP: Final = TABLES + 6 * _TABLE_SLOTS * TABLE_STRIDE
"""Where memory begins that is the programs' own."""

_SPLIT: Final = Struct("<QIHH")
_LEGACY_ALIGN: Final = 4096
_WIDTHS: Final = {1: "b", 2: "w", 4: "l", 8: "q"}
_STATUS_ACKNOWLEDGED: Final = 1
_STATUS_DRIVER: Final = 3
_STATUS_FEATURES: Final = 0xB
_STATUS_READY: Final = 0xF
_LEGACY_READY: Final = 7


class Ring:
    """The driver's side of one queue."""

    def __init__(self, number: int, size: int, *, packed: bool) -> None:
        """Place the rings as a modern driver of this project does, or as a legacy one must."""
        self.size = size
        self.packed = packed
        self.desc = RINGS + number * RING_STRIDE
        self.avail = self.desc + DESCRIPTOR_BYTES * size
        self.used = (self.avail + 6 + 2 * size + _LEGACY_ALIGN - 1) & ~(_LEGACY_ALIGN - 1)
        self.used_bytes = 6 + 8 * size
        self.slot = 0
        self.wrap = True
        self.index = 0
        self.table = 0

    def take(self, count: int) -> list[int]:
        """Take the next places of the descriptor table, round and round."""
        slots = [(self.slot + number) % self.size for number in range(count)]
        self.slot = (self.slot + count) % self.size
        return slots


class Driver:
    """Turns steps into accesses, for one machine."""

    def __init__(self, offer: Offer) -> None:
        """Start with a device that was not touched yet."""
        self.offer = offer
        self.legacy = False
        self.features = 0
        self.rings: dict[int, Ring] = {}
        self._compilers: dict[str, Callable[..., list[Access]]] = {
            name.removeprefix("step_"): getattr(self, name)
            for name in dir(self)
            if name.startswith("step_")
        }

    def compile(self, step: Step) -> list[Access] | None:
        """Turn a step into accesses; None where it is not the driver's but the host's."""
        compiler = self._compilers.get(step[0])
        return None if compiler is None else compiler(*step[1:])

    # --- setting up

    def step_start(
        self,
        features: int,
        queues: Sequence[tuple[int, int]],
        legacy: bool = False,  # noqa: FBT001, FBT002 - an operand.
    ) -> list[Access]:
        """Reset, negotiate, set up queues (number and size; 0: the device's), and be ready."""
        accesses = self.step_reset(legacy)
        accesses += self.step_status(_STATUS_ACKNOWLEDGED) + self.step_status(_STATUS_DRIVER)
        accesses += self.step_features(features)
        if not legacy:
            accesses += self.step_status(_STATUS_FEATURES)
        for number, size in queues:
            accesses += self.step_queue(number, size)
        return accesses + self.step_status(_LEGACY_READY if legacy else _STATUS_READY)

    def step_reset(self, legacy: bool = False) -> list[Access]:  # noqa: FBT001, FBT002 - an operand.
        """Reset the device, and choose by which interface it is spoken to from now on."""
        self.legacy = legacy and self.offer.legacy
        self.rings.clear()
        self.features = 0
        return self.step_status(0)

    def step_status(self, value: int) -> list[Access]:
        """Write the status."""
        if self.legacy:
            return [("outb", PORTS + pci.LEGACY_STATUS, value)]
        return [("writeb", BAR + pci.STATUS, value)]

    def step_status_read(self) -> list[Access]:
        """Read the status."""
        if self.legacy:
            return [("inb", PORTS + pci.LEGACY_STATUS)]
        return [("readb", BAR + pci.STATUS)]

    def step_features(self, features: int) -> list[Access]:
        """Write the driver's features."""
        self.features = features & self.offer.features
        if self.legacy:
            return [("outl", PORTS + pci.LEGACY_GUEST_FEATURES, features & 0xFFFFFFFF)]
        return [
            ("writel", BAR + pci.DRIVER_FEATURE_SELECT, 0),
            ("writel", BAR + pci.DRIVER_FEATURE, features & 0xFFFFFFFF),
            ("writel", BAR + pci.DRIVER_FEATURE_SELECT, 1),
            ("writel", BAR + pci.DRIVER_FEATURE, features >> 32),
        ]

    def step_queue(self, number: int, size: int = 0) -> list[Access]:
        """Set up a queue with empty rings; size 0 leaves it as the device has it."""
        default = dict(enumerate(num for _, num in self.offer.queue_sizes())).get(number, 1)
        packed = bool(self.features & 1 << RING_PACKED)
        ring = Ring(number, default if self.legacy else size or default, packed=packed)
        self.rings[number] = ring
        accesses: list[Access] = [("memset", ring.desc, ring.used + ring.used_bytes - ring.desc, 0)]
        if self.legacy:
            return [
                *accesses,
                ("outw", PORTS + pci.LEGACY_QUEUE_SELECT, number),
                ("outl", PORTS + pci.LEGACY_QUEUE_PFN, ring.desc >> 12),
            ]
        accesses.append(("writew", BAR + pci.QUEUE_SELECT, number))
        if size:
            accesses.append(("writew", BAR + pci.QUEUE_SIZE, size))
        return [
            *accesses,
            ("writel", BAR + pci.QUEUE_DESC, ring.desc),
            ("writel", BAR + pci.QUEUE_DRIVER, ring.avail),
            ("writel", BAR + pci.QUEUE_DEVICE, ring.used),
            ("writew", BAR + pci.QUEUE_ENABLE, 1),
        ]

    # --- registers

    def step_config_read(self, offset: int, width: int) -> list[Access]:
        """Read the config space."""
        if self.legacy:
            return [(f"in{_WIDTHS[width]}", PORTS + pci.LEGACY_CONFIG + offset)]
        return [(f"read{_WIDTHS[width]}", BAR + pci.CONFIG + offset)]

    def step_config_write(self, offset: int, width: int, value: int) -> list[Access]:
        """Write the config space."""
        if self.legacy:
            return [(f"out{_WIDTHS[width]}", PORTS + pci.LEGACY_CONFIG + offset, value)]
        return [(f"write{_WIDTHS[width]}", BAR + pci.CONFIG + offset, value)]

    def step_register_read(self, offset: int, width: int) -> list[Access]:
        """Read any register of the memory BAR."""
        return [(f"read{_WIDTHS[width]}", BAR + offset)]

    def step_register_write(self, offset: int, width: int, value: int) -> list[Access]:
        """Write any register of the memory BAR."""
        return [(f"write{_WIDTHS[width]}", BAR + offset, value)]

    def step_port_read(self, offset: int, width: int) -> list[Access]:
        """Read any legacy register."""
        return [(f"in{_WIDTHS[width]}", PORTS + offset)]

    def step_port_write(self, offset: int, width: int, value: int) -> list[Access]:
        """Write any legacy register."""
        return [(f"out{_WIDTHS[width]}", PORTS + offset, value)]

    def step_bus_master(self, enabled: int) -> list[Access]:
        """Give the device the right to access memory, or take it away."""
        command = PCI_COMMAND_ON if enabled else PCI_COMMAND_ON & ~4
        return [
            ("outl", PCI_ADDRESS_PORT, PCI_COMMAND),
            ("outw", PCI_DATA_PORT, command),
        ]

    def step_observe(self) -> list[Access]:
        """Read what a driver can see: status, interrupts, generation, and every used ring."""
        if self.legacy:
            accesses: list[Access] = [
                ("inb", PORTS + pci.LEGACY_STATUS),
                ("inb", PORTS + pci.LEGACY_ISR),
            ]
        else:
            accesses = [
                ("readb", BAR + pci.STATUS),
                ("readb", BAR + pci.ISR),
                ("readb", BAR + pci.GENERATION),
            ]
        for ring in self.rings.values():
            if ring.packed:
                accesses.append(("read", ring.desc, DESCRIPTOR_BYTES * ring.size))
            accesses.append(("read", ring.used, ring.used_bytes))
        return accesses

    # --- memory

    def step_fill(self, address: int, length: int, byte: int) -> list[Access]:
        """Fill memory."""
        return [("memset", address, length, byte)]

    def step_poke(self, address: int, data: str) -> list[Access]:
        """Write bytes, given in hexadecimal."""
        return [("write", address, bytes.fromhex(data))]

    def step_peek(self, address: int, length: int) -> list[Access]:
        """Read bytes."""
        return [("read", address, length)]

    # --- rings

    def step_element(
        self, queue: int, descriptors: Sequence[tuple[int, int, int]], indirect: int = 0
    ) -> list[Access]:
        """Make one chain available: address, length, and 1 where the device may write.

        `indirect` puts the chain into a table of its own.
        """
        ring = self.rings.get(queue)
        if ring is None:
            return []
        chain = [
            (address, length, (F_WRITE if writable else 0) | F_NEXT)
            for address, length, writable in descriptors
        ]
        chain[-1] = (*chain[-1][:2], chain[-1][2] & ~F_NEXT)
        if not indirect:
            return self._place(ring, chain)
        table, accesses = self._table(queue, ring, chain)
        head = [(table, DESCRIPTOR_BYTES * len(chain), F_INDIRECT)]
        return accesses + self._place(ring, head)

    def step_chain(
        self, queue: int, descriptors: Sequence[tuple[int, int, int, int]], table: int = 0
    ) -> list[Access]:
        """Make available what may be no chain at all: address, length, flags and next, as given.

        They go into the descriptor table from place 0 on, or into a table of their own
        (`table` 1), which is the next step's to name.  A packed ring has no next.
        """
        ring = self.rings.get(queue)
        if ring is None:
            return []
        if ring.packed:
            return self._place_packed(ring, [d[:3] for d in descriptors])
        data = b"".join(_SPLIT.pack(*descriptor) for descriptor in descriptors)
        if table:
            place = self.next_table(queue)
            ring.table = (ring.table + 1) % _TABLE_SLOTS
            head = [(place, len(data), F_INDIRECT)]
            return [("write", place, data), *self._place(ring, head)]
        return [("write", ring.desc, data), *self._offer(ring, 0)]

    def step_available(self, queue: int, head: int) -> list[Access]:
        """Put a head into the available ring."""
        ring = self.rings.get(queue)
        return [] if ring is None or ring.packed else self._offer(ring, head)

    def step_avail_jump(self, queue: int, count: int) -> list[Access]:
        """Move the available index, forward or back, without filling in entries."""
        ring = self.rings.get(queue)
        if ring is None or ring.packed:
            return []
        ring.index = (ring.index + count) & 0xFFFF
        return [("writew", ring.avail + 2, ring.index)]

    def step_avail_flags(self, queue: int, flags: int) -> list[Access]:
        """Write the driver's wish about interrupts: of a packed ring, its event flags."""
        ring = self.rings.get(queue)
        if ring is None:
            return []
        return [("writew", ring.avail + 2 if ring.packed else ring.avail, flags)]

    def step_used_event(self, queue: int, index: int) -> list[Access]:
        """Ask for an interrupt at one place."""
        ring = self.rings.get(queue)
        if ring is None:
            return []
        return [("writew", ring.avail if ring.packed else ring.avail + 4 + 2 * ring.size, index)]

    def step_kick(self, queue: int, width: int = 2) -> list[Access]:
        """Tell the device."""
        if self.legacy:
            return [("outw", PORTS + pci.LEGACY_QUEUE_NOTIFY, queue)]
        address = BAR + pci.NOTIFY + pci.NOTIFY_MULTIPLIER * queue
        return [(f"write{_WIDTHS[width]}", address, queue)]

    def next_table(self, queue: int) -> int:
        """Where the next indirect table of a queue goes."""
        return TABLES + (queue * _TABLE_SLOTS + self.rings[queue].table) * TABLE_STRIDE

    def _table(
        self, queue: int, ring: Ring, chain: Sequence[tuple[int, int, int]]
    ) -> tuple[int, list[Access]]:
        place = self.next_table(queue)
        ring.table = (ring.table + 1) % _TABLE_SLOTS
        if ring.packed:
            parts = (_SPLIT.pack(address, size, 0, flags) for address, size, flags in chain)
        else:
            parts = (
                _SPLIT.pack(address, size, flags, number)
                for number, (address, size, flags) in enumerate(chain, 1)
            )
        return place, [("write", place, b"".join(parts))]

    def _place(self, ring: Ring, chain: Sequence[tuple[int, int, int]]) -> list[Access]:
        if ring.packed:
            return self._place_packed(ring, chain)
        slots = ring.take(len(chain))
        accesses: list[Access] = []
        data = [
            _SPLIT.pack(address, size, flags, follower)
            for (address, size, flags), follower in zip(chain, [*slots[1:], 0], strict=True)
        ]
        head = slots[0]
        room = ring.size - head
        accesses.append(("write", ring.desc + DESCRIPTOR_BYTES * head, b"".join(data[:room])))
        if len(data) > room:
            accesses.append(("write", ring.desc, b"".join(data[room:][: ring.size])))
        return accesses + self._offer(ring, head)

    def _offer(self, ring: Ring, head: int) -> list[Access]:
        entry = ring.avail + 4 + 2 * (ring.index % ring.size)
        ring.index = (ring.index + 1) & 0xFFFF
        return [("writew", entry, head), ("writew", ring.avail + 2, ring.index)]

    def _place_packed(self, ring: Ring, chain: Sequence[tuple[int, int, int]]) -> list[Access]:
        accesses: list[Access] = []
        for address, size, flags in chain:
            owner = F_AVAIL if ring.wrap else F_USED
            data = _SPLIT.pack(address, size, ring.index & 0xFFFF, flags | owner)
            accesses.append(("write", ring.desc + DESCRIPTOR_BYTES * ring.slot, data))
            ring.slot += 1
            if ring.slot == ring.size:
                ring.slot = 0
                ring.wrap = not ring.wrap
        ring.index = (ring.index + 1) & 0xFFFF
        return accesses
