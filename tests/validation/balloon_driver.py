"""A driver of a real balloon, and machines with one: what the tests of migration share."""

import struct
import time

from workbench.model.balloon.offer import Properties
from workbench.units import PAGE_BYTES
from workbench.validation.real_machine import MODERN_ADDRESS
from workbench.validation.stream_reader import ZERO_PAGE

PROPERTIES = Properties(free_page_reporting=True, free_page_hint=True)
FEATURES = 1 << 32 | 1 << 5 | 1 << 4 | 1 << 3
INFLATE, HINT, REPORT = 0, 3, 4
CMD_ID = 8
FIRST_ID = 0x80000001
DONE = 1

RINGS = 0x20000
BUFFER = 0x1F000
PAGE = 0x800000
RAM = "m0"
SECONDS_MAX = 10.0


class Balloon:
    """A driver of a real balloon; one element is under way at a time."""

    def __init__(self, machine):
        self.machine = machine
        self.available = dict.fromkeys((INFLATE, HINT, REPORT), 0)

    def ask(self, *access):
        return self.machine.execute([access])[0]

    def set_up(self):
        """Reset and negotiate."""
        at = MODERN_ADDRESS
        accesses = [("writeb", at + 0x14, status) for status in (0, 1, 3)]
        for half in (0, 1):
            word = FEATURES >> 32 * half & 0xFFFFFFFF
            accesses += [("writel", at + 8, half), ("writel", at + 12, word)]
        accesses += [("writeb", at + 0x14, 0x0B)]
        for queue in self.available:
            rings = RINGS + queue * 0x3000
            accesses += [("memset", rings, 0x3000, 0), ("writew", at + 0x16, queue)]
            accesses += [("writew", at + 0x18, 32)]
            places = {0x20: rings, 0x28: rings + 0x1000, 0x30: rings + 0x2000}
            accesses += [("writeq", at + offset, place) for offset, place in places.items()]
            accesses += [("writew", at + 0x1C, 1)]
            self.available[queue] = 0
        self.machine.execute([*accesses, ("writeb", at + 0x14, 0x0F)])
        return self

    def submit(self, queue, address, length, *, writable):
        """Submit one buffer, and wait until it is returned."""
        rings = RINGS + queue * 0x3000
        slot = self.available[queue] % 32
        self.available[queue] += 1
        descriptor = struct.pack("<QIHH", address, length, 2 if writable else 0, 0)
        accesses = [
            ("write", rings, descriptor),
            ("writew", rings + 0x1004 + 2 * slot, 0),
            ("writew", rings + 0x1002, self.available[queue]),
            ("writew", MODERN_ADDRESS + 0x3000 + 4 * queue, queue),
        ]
        self.machine.execute(accesses)
        deadline = time.monotonic() + SECONDS_MAX
        while self.ask("readw", rings + 0x2002) != self.available[queue]:
            assert time.monotonic() < deadline

    def send(self, queue, *numbers):
        """Submit numbers: frames to inflate, or a command id."""
        data = struct.pack(f"<{len(numbers)}I", *numbers)
        self.ask("write", BUFFER, data)
        self.submit(queue, BUFFER, len(data), writable=False)

    def hint(self, address, length=PAGE_BYTES):
        self.submit(HINT, address, length, writable=True)

    def config(self, offset):
        return self.ask("readl", MODERN_ADDRESS + 0x2000 + offset)

    def discards(self):
        """Say whether a report and an inflated page lead to discards: both, or neither."""
        self.ask("memset", PAGE, 2 * PAGE_BYTES, 0xA5)
        self.submit(REPORT, PAGE, PAGE_BYTES, writable=True)
        self.send(INFLATE, (PAGE + PAGE_BYTES) // PAGE_BYTES)
        content = self.ask("read", PAGE, 2 * PAGE_BYTES)
        assert content in {ZERO_PAGE * 2, b"\xa5" * 2 * PAGE_BYTES}
        return not any(content)

    def go_on(self):
        self.machine.qmp("cont")
