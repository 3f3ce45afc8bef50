"""Drive the balloon device of a real QEMU without a guest, through its qtest socket.

The firmware is 64 KiB of `hlt`, so that nothing but the test touches the device.  The device is
set up as a virtio 1.0 PCI device with a split ring on its reporting queue.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MEMORY_BYTES = 64 << 20
RAM_STOP = MEMORY_BYTES
NOT_RAM = 0xF0000
"""The firmware's place below 1 MiB: memory that a device may not write to."""

_SLOT = 0x80000000 | 4 << 11
_BAR = 0xFE000000
_NOTIFY = _BAR + 0x3000
_CONFIG = _BAR + 0x2000
_RINGS = 0x100000
_TABLES = 0x200000
_NUMBERS = 0x300000
"""Guest addresses of the rings, of the indirect tables, and of what the driver has to say."""

_RING_STRIDE = 0x4000
INFLATE_QUEUE, DEFLATE_QUEUE, STATISTICS_QUEUE = 0, 1, 2

_QUEUE_SIZE = 32
_WRITE, _INDIRECT = 2, 4
"""Descriptor flags (virtio 1.2, 2.7.5)."""

VERSION_1, REPORTING, PAGE_POISON, INDIRECT = 1 << 32, 1 << 5, 1 << 4, 1 << 28


class Device:
    """The balloon of a halted machine, with one driver: the test."""

    def __init__(self, stream: TextIO, reporting_queue: int) -> None:
        self._stream = stream
        self._queue = reporting_queue
        self._available = [0] * (reporting_queue + 1)

    def set_up(self, features: int) -> Self:
        """Find the device, negotiate features, and enable the queues."""
        self._pci(0x20, _BAR)
        self._pci(0x24, 0)
        self._pci(0x04, 7)
        for status in (0, 1, 3):
            self._write("b", _BAR + 0x14, status)
        for half in (0, 1):
            self._write("l", _BAR + 0x08, half)
            self._write("l", _BAR + 0x0C, features >> (32 * half) & 0xFFFFFFFF)
        self._write("b", _BAR + 0x14, 0x0B)
        self._available = [0] * len(self._available)
        for queue in range(len(self._available)):
            rings = _RINGS + _RING_STRIDE * queue
            self._ask(f"memset {rings} 8192 0")
            self._write("w", _BAR + 0x16, queue)
            self._write("w", _BAR + 0x18, _QUEUE_SIZE)
            for offset, address in ((0x20, 0), (0x28, 16 * _QUEUE_SIZE), (0x30, 4096)):
                self._write("l", _BAR + offset, rings + address)
                self._write("l", _BAR + offset + 4, 0)
            self._write("w", _BAR + 0x1C, 1)
        self._write("b", _BAR + 0x14, 0x0F)
        return self

    def reset(self) -> None:
        """Reset the device."""
        self._write("b", _BAR + 0x14, 0)

    def write_config(self, offset: int, value: int) -> None:
        """Write four bytes of the config space."""
        self._write("l", _CONFIG + offset, value)

    def fill(self, address: int, length: int) -> None:
        """Make pages resident."""
        self._ask(f"memset {address} {length} 165")

    def report(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Report one element with the given (guest address, length) ranges."""
        self.offer([ranges])
        self.kick(1)

    def offer(self, elements: Sequence[Sequence[tuple[int, int]]]) -> None:
        """Write elements to be reported into the next places of the ring, for `kick`."""
        for number, ranges in enumerate(elements):
            slot = (self._available[self._queue] + number) % _QUEUE_SIZE
            table = b"".join(
                struct.pack("<QIHH", address, length, _WRITE | (row + 1 < len(ranges)), row + 1)
                for row, (address, length) in enumerate(ranges)
            )
            place = _TABLES + slot * 0x8000
            self._ask(f"write {place} {len(table)} 0x{table.hex()}")
            self._place(self._queue, slot, struct.pack("<QIHH", place, len(table), _INDIRECT, 0))

    def kick(self, element_count: int) -> None:
        """Report the next elements in the ring: those offered last, or a round ago."""
        self._make_available(self._queue, element_count)

    def tell(self, queue: int, *pieces: bytes) -> None:
        """Give the device one element that it is to read, in pieces."""
        descriptors = b""
        for number, piece in enumerate(pieces):
            place = _NUMBERS + queue * 0x10000 + number * 0x4000
            self._ask(f"write {place} {len(piece)} 0x{piece.hex()}")
            has_next = number + 1 < len(pieces)
            descriptors += struct.pack("<QIHH", place, len(piece), has_next, number + 1)
        place = _TABLES + 0x100000 - (queue + 1) * 0x1000
        self._ask(f"write {place} {len(descriptors)} 0x{descriptors.hex()}")
        slot = self._available[queue] % _QUEUE_SIZE
        descriptor = struct.pack("<QIHH", place, len(descriptors), _INDIRECT, 0)
        self._place(queue, slot, descriptor)
        self._make_available(queue, 1)

    def used_count(self) -> int:
        """How many elements the device has returned on the reporting queue."""
        return int(self._ask(f"readw {_RINGS + _RING_STRIDE * self._queue + 4096 + 2}"), 0)

    def _place(self, queue: int, slot: int, descriptor: bytes) -> None:
        rings = _RINGS + _RING_STRIDE * queue
        self._ask(f"write {rings + 16 * slot} 16 0x{descriptor.hex()}")
        self._write("w", rings + 16 * _QUEUE_SIZE + 4 + 2 * slot, slot)

    def _make_available(self, queue: int, element_count: int) -> None:
        self._available[queue] += element_count
        index = _RINGS + _RING_STRIDE * queue + 16 * _QUEUE_SIZE + 2
        self._write("w", index, self._available[queue] & 0xFFFF)
        self._write("w", _NOTIFY + 4 * queue, queue)

    def _pci(self, register: int, value: int) -> None:
        self._ask(f"outl 0xcf8 {_SLOT | register}")
        self._ask(f"outl 0xcfc {value}")

    def _write(self, width: str, address: int, value: int) -> None:
        self._ask(f"write{width} {address} {value}")

    def _ask(self, command: str) -> str:
        self._stream.write(f"{command}\n")
        self._stream.flush()
        answer = self._stream.readline().split()
        assert answer[:1] == ["OK"], (command, answer)
        return answer[1] if len(answer) > 1 else ""


@contextlib.contextmanager
def halted_machine(
    folder: Path,
    *,
    properties: str = "free-page-reporting=on",
    balloon: bool = True,
    arguments: Sequence[str] = (),
    qemu: Sequence[str] = ("qemu-system-x86_64",),
    name: str = "halted",
) -> Iterator[tuple[subprocess.Popen[bytes], Device]]:
    """Start a QEMU whose processor halts at once, and connect to its device."""
    firmware = bytearray(b"\xf4" * 65536)
    firmware[0xFFF0:0xFFF4] = bytes((0xFA, 0xF4, 0xEB, 0xFD))  # cli; hlt; jump back to the hlt
    (folder / "halt.bin").write_bytes(firmware)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "qtest"))
    listener.listen()
    listener.settimeout(20)
    device = ["-device", f"virtio-balloon-pci,addr=4,{properties}"] if balloon else []
    process = subprocess.Popen(
        [
            *(*qemu, "-nodefaults", "-no-user-config", "-display", "none"),
            *("-accel", "tcg", "-machine", "pc", "-m", str(MEMORY_BYTES >> 20)),
            *("-bios", str(folder / "halt.bin"), "-name", name),
            *("-qtest", f"unix:{folder / 'qtest'}", "-qtest-log", "none"),
            *device,
            *arguments,
        ]
    )
    try:
        connection, _ = listener.accept()
        with connection, connection.makefile("rw") as stream:
            made = Device(stream, reporting_queue=3)
            made.used_count()  # Answered when the machine is built; the socket is there earlier.
            yield process, made
    finally:
        process.kill()
        process.wait()
        listener.close()
