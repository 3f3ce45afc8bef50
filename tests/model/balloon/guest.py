"""A guest with a balloon: a small machine, and a driver that says what it wants in one line."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from workbench.model.balloon import pci
from workbench.model.balloon.level import Level
from workbench.model.balloon.machine import BAR, Machine
from workbench.model.balloon.memory import GuestMemory, RamBlock, Region
from workbench.model.balloon.offer import VERSION_1, Properties, Queue, make_offer
from workbench.schema import Feature
from workbench.units import HUGE_PAGE_BYTES, KIB, MIB, PAGE_BYTES
from workbench.validation.driver import STOP, Driver

if TYPE_CHECKING:
    from workbench.model.balloon.machine import Answer
    from workbench.validation.driver import Ring, Step

MODERN = 1 << VERSION_1
STATS = 1 << Feature.STATS_VQ
HINT = 1 << Feature.FREE_PAGE_HINT
POISON = 1 << Feature.PAGE_POISON
REPORTING = 1 << Feature.REPORTING

FILL = 0xAB

ROM, ROM_STOP = 0xF0000, 0x100000
PAGE = STOP
"""Pages from here to `SEAM` are the guest's own, in the block "low", at an equal offset."""
SEAM = 5 * MIB
"""Where the block "low" ends and the block "next" begins."""
HOLE = 6 * MIB
HOLE_STOP = HUGE = 8 * MIB
"""Where the block "huge" begins, which is backed by huge pages."""
RAM_STOP = 12 * MIB
TOP = 1 << 64

EVERYTHING = Properties(free_page_reporting=True, free_page_hint=True, packed=True)


def small_memory() -> GuestMemory:
    """Three blocks of RAM, firmware inside the first, and holes."""
    low = RamBlock("low", SEAM, PAGE_BYTES, unmaps=True, punches=False)
    rom = RamBlock("rom", 64 * KIB, PAGE_BYTES, unmaps=True, punches=False)
    following = RamBlock("next", HOLE - SEAM, PAGE_BYTES, unmaps=True, punches=True)
    huge = RamBlock("huge", RAM_STOP - HUGE, HUGE_PAGE_BYTES, unmaps=False, punches=True)
    return GuestMemory(
        [
            Region(0, ROM, low, 0, writable=True),
            Region(ROM, ROM_STOP, rom, 0, writable=False),
            Region(ROM_STOP, SEAM, low, ROM_STOP, writable=True),
            Region(SEAM, HOLE, following, 0, writable=True),
            Region(HUGE, RAM_STOP, huge, 0, writable=True),
        ]
    )


class Guest:
    """A machine and its driver.  What a method does can be seen by the others."""

    def __init__(
        self,
        properties: Properties = EVERYTHING,
        *,
        level: Level = Level.QEMU_7_2,
        version: tuple[int, int] | None = None,
    ) -> None:
        """Start a machine whose driver has done nothing yet."""
        offer = make_offer(properties, version, level)
        self.machine = Machine(offer, small_memory(), RAM_STOP)
        self.driver = Driver(offer)
        self.balloon = self.machine.balloon
        self.device = self.machine.device
        self.memory = self.machine.memory

    def do(self, *steps: Step) -> list[Answer]:
        """Do the driver's steps.  Returns what they read."""
        answers: list[Answer] = []
        for step in steps:
            accesses = self.driver.compile(step)
            assert accesses is not None, f"{step[0]} is not a driver's step"
            answers += [one for one in self.machine.execute(accesses) if one is not None]
        return answers

    def start(
        self, features: int = REPORTING, *kinds: Queue, size: int = 0, legacy: bool = False
    ) -> Guest:
        """Negotiate, and set up queues: those named, or all."""
        modern = 0 if legacy else MODERN
        numbers = [self.number(kind) for kind in kinds or self.device.offer.queues]
        self.do(("start", features | modern, [(number, size) for number in numbers], legacy))
        return self

    def number(self, kind: Queue) -> int:
        """Give the number of a queue."""
        return self.device.offer.queues.index(kind)

    def ring(self, kind: Queue) -> Ring:
        """Give the driver's side of a queue."""
        return self.driver.rings[self.number(kind)]

    # --- elements

    def add(self, kind: Queue, *descriptors: tuple[int, int, int], indirect: int = 0) -> None:
        """Make a chain available: address, length, and 1 where the device may write."""
        self.do(("element", self.number(kind), descriptors, indirect))

    def kick(self, kind: Queue) -> None:
        """Tell the device."""
        self.do(("kick", self.number(kind)))

    def send(self, kind: Queue, *descriptors: tuple[int, int, int], indirect: int = 0) -> None:
        """Make a chain available and tell the device."""
        self.add(kind, *descriptors, indirect=indirect)
        self.kick(kind)

    def report(self, *ranges: tuple[int, int], indirect: int = 0) -> None:
        """Report ranges, in one element."""
        self.send(Queue.REPORT, *((*one, 1) for one in ranges), indirect=indirect)

    def say(self, kind: Queue, data: bytes, place: int = PAGE) -> None:
        """Send bytes, which are put at `place`."""
        self.memory.write(place, data)
        self.send(kind, (place, len(data), 0))

    def inflate(self, *addresses: int, kind: Queue = Queue.INFLATE) -> None:
        """Put pages into the balloon, or take them out of it, in one element."""
        frames = [address // PAGE_BYTES for address in addresses]
        self.say(kind, struct.pack(f"<{len(frames)}I", *frames))

    def command(self, cmd_id: int) -> None:
        """Send a command on the hint queue."""
        self.say(Queue.HINT, struct.pack("<I", cmd_id))

    def statistics(self, *records: tuple[int, int]) -> None:
        """Send statistics: tags and values."""
        self.say(Queue.STATS, b"".join(struct.pack("<HQ", *record) for record in records))

    # --- what can be seen

    def used(self, kind: Queue) -> list[tuple[int, int]]:
        """Read the used ring: head and length of what came back."""
        ring = self.ring(kind)
        count = self.read(ring.used + 2, 2)
        places = (ring.used + 4 + 8 * (number % ring.size) for number in range(count))
        return [(self.read(place, 4), self.read(place + 4, 4)) for place in places]

    def returned(self, kind: Queue) -> int:
        """Count what came back."""
        return len(self.used(kind))

    def read(self, address: int, width: int) -> int:
        """Read a number from memory."""
        return int.from_bytes(self.memory.read(address, width), "little")

    def fill(self, address: int = PAGE, length: int = PAGE_BYTES) -> None:
        """Write something that is not zero."""
        self.memory.write(address, bytes((FILL,)) * length)

    def is_zero(self, address: int = PAGE, length: int = PAGE_BYTES) -> bool:
        """Say whether there is nothing but zeros."""
        return not any(self.memory.read(address, length))

    def is_kept(self, address: int = PAGE, length: int = PAGE_BYTES) -> bool:
        """Say whether there is still what `fill` wrote."""
        return self.memory.read(address, length) == bytes((FILL,)) * length

    def config(self, offset: int, width: int = 4) -> Any:
        """Read the config space."""
        return self.do(("config_read", offset, width))[0]

    def write_config(self, offset: int, value: int, width: int = 4) -> None:
        """Write the config space."""
        self.do(("config_write", offset, width, value))

    def register(self, offset: int, width: int) -> Any:
        """Read a register of the modern interface."""
        return self.do(("register_read", offset, width))[0]

    def write_register(self, offset: int, width: int, value: int) -> None:
        """Write a register of the modern interface."""
        self.do(("register_write", offset, width, value))

    def status(self) -> Any:
        """Read the status."""
        return self.register(pci.STATUS, 1)

    def isr(self) -> Any:
        """Read what the last interrupt was for; that forgets it."""
        return self.machine.execute([("readb", BAR + pci.ISR)])[0]

    def generation(self) -> Any:
        """Read how often the device has changed its config space."""
        return self.register(pci.GENERATION, 1)

    def traced(self, name: str) -> list[tuple[Any, ...]]:
        """Say what the device traced under a name, without the name."""
        return [entry[1:] for entry in self.device.trace if entry[0] == name]

    def discards(self) -> list[tuple[Any, ...]]:
        """Say what was discarded: block, offset and length."""
        return [entry[:3] for entry in self.traced("discard")]

    def counts(self, *names: str) -> list[int]:
        """Say how often rules were exercised."""
        return [self.device.tally[name] for name in names]

    def is_broken(self) -> bool:
        """Say whether the device has given up."""
        return self.device.broken
