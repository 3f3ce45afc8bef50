"""What QEMU prints about itself: its log, its memory map, its errors."""

import os

import pytest

from workbench.errors import HostError
from workbench.validation import tail
from workbench.validation.memory_map import (
    MappedRegion,
    RealBlock,
    parse_blocks,
    parse_host_address,
    parse_regions,
)
from workbench.validation.tail import Tail
from workbench.validation.trace_log import parse_trace

BASE = 0x7F0000000000

MAP = """FlatView #0
 AS "virtio-balloon-pci", root: bus master container
 Root memory region: (none)
  No rendered FlatView\r

FlatView #1
 AS "memory", root: system
 AS "cpu-memory-0", root: system
 Root memory region: system
  0000000000000000-00000000000bffff (prio 0, ram): m0\r
  00000000000c0000-00000000000dffff (prio 1, rom): pc.rom
  00000000000e0000-0000000000ffffff (prio 0, ram): m0 @00000000000e0000
  00000000fee00000-00000000feefffff (prio 4096, i/o): apic-msi

FlatView #2
 AS "I/O", root: io
 Root memory region: io
  0000000000000000-0000000000000007 (prio 0, i/o): dma-chan
"""

BLOCKS = """
    Block Name    PSize              Offset               Used              Total
            m0    2 MiB  0x0000000000000000 0x0000000001000000 0x0000000001000000
 0:00/vga.vram    4 KiB  0x0000000001080000 0x0000000000020000 0x0000000000200000
"""


BLOCKS_OF_10_0 = """
Block Name    PSize              Offset               Used              Total                HVA  RO
        m0    4 KiB  0x0000000000000000 0x0000000001000000 0x0000000001000000 0x00007f0a4be00000  rw
   pc.bios    4 KiB  0x0000000001000000 0x0000000000010000 0x0000000000010000 0x00007f0a4bc00000  ro
"""


def test_lines_of_the_trace_are_told_with_offsets():
    lines = [
        b"ram_block_discard_range m0@0x7f0000003000 + 0x1000: madvise: 1 fallocate: 0 ret: 0",
        b"ram_block_discard_shared_range m0@0x7f0000001000 + 0x20: madvise: 1 fallocate: 1 ret: 0",
        b"12@34.000056:virtio_balloon_bad_addr 0xf0000",
        b"virtio_balloon_handle_output section name: pc.ram gpa: 0x5000",
        b"virtio_balloon_to_target balloon target: 0x8000000 num_pages: 32768",
        b"migration_bitmap_sync_start ",
    ]
    assert parse_trace(lines, {"m0": BASE}) == [
        ("discard", "m0", 0x3000, 0x1000, True, False),
        ("discard", "m0", 0x1000, 0x20, True, True),
        ("bad_addr", 0xF0000),
        ("handle_output", "pc.ram", 0x5000),
        ("to_target", 0x8000000, 32768),
        ("bitmap_sync",),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"virtio_balloon_free_page_hint 1",
        b"ram_block_discard_range x@0x3000 + 0x1000: madvise: 1 fallocate: 0 ret: 0",
    ],
)
def test_no_line_of_the_trace_is_passed_over(line):
    with pytest.raises(HostError, match="not known"):
        parse_trace([line], {"m0": BASE})


def test_the_memory_map_is_the_guests():
    assert parse_regions(MAP) == [
        MappedRegion(0, 0xC0000, "ram", "m0", 0),
        MappedRegion(0xC0000, 0xE0000, "rom", "pc.rom", 0),
        MappedRegion(0xE0000, 0x1000000, "ram", "m0", 0xE0000),
        MappedRegion(0xFEE00000, 0xFEF00000, "io", "apic-msi", 0),
    ]


def test_a_map_that_is_not_known_is_told():
    with pytest.raises(HostError, match="0 views"):
        parse_regions("")
    with pytest.raises(HostError, match="unknown kind"):
        parse_regions(MAP.replace("rom)", "romd)"))


def test_blocks_have_sizes_and_pages():
    assert parse_blocks(BLOCKS) == [
        RealBlock("m0", 2 << 20, 16 << 20, None),
        RealBlock("0:00/vga.vram", 4096, 0x20000, None),
    ]
    assert parse_blocks(BLOCKS_OF_10_0) == [
        RealBlock("m0", 4096, 16 << 20, None),
        RealBlock("pc.bios", 4096, 0x10000, None),
    ]


def test_a_host_address_that_is_not_told_is_an_error():
    assert parse_host_address("Host virtual address for 0x0 (m0) is 0x7f00\r\n") == 0x7F00
    with pytest.raises(HostError, match="No memory is mapped"):
        parse_host_address("No memory is mapped at address 0x100000000")


@pytest.fixture
def log(tmp_path):
    """A log that is being written, and its tail."""
    path = tmp_path / "log"
    with path.open("wb", buffering=0) as file:
        reader = Tail(path)
        yield file, reader
        reader.close()


def test_a_line_is_given_once_and_whole(log):
    file, reader = log
    assert reader.take() == []
    file.write(b"one\ntw")
    assert reader.take() == [b"one"]
    file.write(b"o\n\nthree\n")
    assert reader.take() == [b"two", b"", b"three"]
    assert reader.take() == []


def test_what_was_read_takes_no_more_space(log, monkeypatch):
    file, reader = log
    monkeypatch.setattr(tail, "FORGET_BYTES", 1 << 16)
    file.write(b"x" * 999 + b"\n")
    for _ in range(1000):
        file.write(b"x" * 999 + b"\n")
        reader.take()
    file.write(b"last\n")

    status = os.fstat(file.fileno())
    assert reader.take() == [b"last"]
    assert status.st_size == 1001 * 1000 + 5
    assert status.st_blocks * 512 < 1 << 18
