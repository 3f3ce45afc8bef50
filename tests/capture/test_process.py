"""What is read of a process, checked on our own: we know what our memory holds."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.capture.elf import read_program
from workbench.capture.facts import frees_empty_page_tables, read_host_facts
from workbench.capture.layout import ACCESSORS, derive_layout
from workbench.capture.page_state import read_block_state
from workbench.capture.process import ProcessMemory, read_mappings
from workbench.capture.search import running_qemus
from workbench.capture.smaps import parse_smaps, read_smaps
from workbench.errors import HostError
from workbench.schema import PageState
from workbench.units import HUGE_PAGE_BYTES, KIB, PAGE_BYTES

QEMU = Path("/usr/bin/qemu-system-x86_64")


class Area:
    """4 MiB of our own memory that begins at a multiple of 2 MiB."""

    def __init__(self) -> None:
        self.map = mmap.mmap(-1, 3 * HUGE_PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.view = ctypes.c_char.from_buffer(self.map)
        self.start = -ctypes.addressof(self.view) % HUGE_PAGE_BYTES
        self.address = ctypes.addressof(self.view) + self.start
        self.map.madvise(mmap.MADV_NOHUGEPAGE)

    def write(self, page: int) -> None:
        """Touch a page."""
        self.map[self.start + page * PAGE_BYTES] = 1

    def close(self) -> None:
        """Unmap it."""
        del self.view
        self.map.close()


@pytest.fixture
def area():
    made = Area()
    yield made
    made.close()


@pytest.mark.live
def test_pages_are_what_we_made_them(area: Area) -> None:
    """Written, read, discarded and never touched pages are told apart."""
    area.write(0)
    area.write(2)
    area.write(3)
    assert area.map[area.start + 5 * PAGE_BYTES] == 0
    area.map.madvise(mmap.MADV_DONTNEED, area.start + 3 * PAGE_BYTES, PAGE_BYTES)

    state = read_block_state(os.getpid(), area.address, 8 * PAGE_BYTES)

    resident, unbacked = PageState.RESIDENT, PageState.UNBACKED
    assert state.states.tolist() == [
        *(resident, unbacked, resident, unbacked),
        *(unbacked, PageState.ZERO_PAGE, unbacked, unbacked),
    ]


def test_smaps_counts_what_we_touched(area: Area) -> None:
    """A mapping's resident bytes are the pages we wrote; the page we only read is not one."""
    before = _resident_bytes(area)
    for page in range(5):
        area.write(page)
    assert area.map[area.start + 100 * PAGE_BYTES] == 0

    assert _resident_bytes(area) - before == 5 * PAGE_BYTES


def _resident_bytes(area: Area) -> int:
    uses = read_smaps(os.getpid())
    return sum(use.resident_bytes for use in uses if use.first <= area.address < use.stop)


def test_smaps_text_is_understood() -> None:
    """Sizes are in KiB; `hg` is MADV_HUGEPAGE."""
    text = (
        "7f0000000000-7f0000200000 rw-p 00000000 00:00 0 \nSize: 2048 kB\nRss: 12 kB\n"
        "Private_Hugetlb: 4 kB\nSwap: 8 kB\nVmFlags: rd wr mr mw me ac sd hg \n"
        "7f0000400000-7f0000401000 r--p 00000000 08:01 42 /a b\nRss: 0 kB\nVmFlags: rd mr\n"
    )

    first, second = parse_smaps(text)

    assert (first.first, first.stop) == (0x7F0000000000, 0x7F0000200000)
    assert (first.resident_bytes, first.swapped_bytes) == (16 * KIB, 8 * KIB)
    assert first.advised_huge
    assert not second.advised_huge
    assert second.swapped_bytes == 0


def test_only_the_mappings_within_spans_are_read(area: Area) -> None:
    """The same as of all mappings; of a process that has exited, none."""
    every = read_smaps(os.getpid())
    (own,) = (use for use in every if use.first <= area.address < use.stop)
    exited = subprocess.Popen(["true"])
    os.waitid(os.P_PID, exited.pid, os.WEXITED | os.WNOWAIT)

    assert read_smaps(os.getpid(), within=[(own.first, own.stop)]) == [own]
    assert read_smaps(os.getpid(), within=[(0, 4096)]) == []
    assert read_smaps(exited.pid, within=[(own.first, own.stop)]) == []
    exited.wait()


def test_memory_of_a_process_is_read() -> None:
    """Our own bytes, integers, pointers and strings; an address nobody has is refused."""
    text = ctypes.create_string_buffer(b"balloon")
    pointer = ctypes.c_void_p(ctypes.addressof(text))
    with ProcessMemory(os.getpid()) as memory:
        assert memory.pointer(ctypes.addressof(pointer)) == ctypes.addressof(text)
        assert memory.text(ctypes.addressof(text), longest=8) == "balloon"
        assert memory.integer(ctypes.addressof(text), 2) == int.from_bytes(b"ba", "little")
        with pytest.raises(HostError, match="cannot read its memory at 0x10"):
            memory.read(0x10, 8)


def test_a_process_that_is_not_there_is_one_sentence() -> None:
    """The highest pid Linux gives is 4194304 - 1."""
    for read in (read_mappings, read_smaps, ProcessMemory):
        with pytest.raises(HostError, match="no such process"):
            read(4194304)


def test_our_own_mappings_hold_our_own_memory(area: Area) -> None:
    """The mapping of an address is found, with its permissions."""
    (mapping,) = (m for m in read_mappings(os.getpid()) if m.first <= area.address < m.stop)

    assert mapping.permissions == "rw-p"


@pytest.mark.live
def test_the_layout_of_the_installed_qemu_is_derived() -> None:
    """Fields lie in the order of QEMU's headers, apart by at least their size."""
    layout = derive_layout(read_program(QEMU, ACCESSORS))

    assert layout.block_host < layout.block_used_length < layout.block_flags < layout.block_name
    assert layout.block_name + 256 <= layout.block_next < layout.block_page_size
    assert layout.queue_num_default < layout.queue_index < layout.queue_device < layout.queue_bytes
    assert layout.device_features < layout.device_config_length < layout.device_queues
    assert layout.device_queues < layout.device_id


def test_a_program_without_the_accessors_is_refused() -> None:
    """Python is an ELF program, and no QEMU."""
    program = read_program(Path(sys.executable), ACCESSORS)

    with pytest.raises(HostError, match="does not export virtqueue_pop"):
        derive_layout(program)


def test_a_file_that_is_no_program_is_refused(tmp_path: Path) -> None:
    """Text is not ELF."""
    path = tmp_path / "qemu-system-x86_64"
    path.write_text("#!/bin/sh\n")

    with pytest.raises(HostError, match="cannot be read as a program"):
        read_program(path)


def test_we_are_no_qemu() -> None:
    """Only QEMU's system emulators are listed."""
    assert os.getpid() not in running_qemus()


def test_host_facts_are_those_of_proc() -> None:
    """The memory of the host is /proc/meminfo's; the page-table experiment has one answer."""
    facts = read_host_facts()

    assert facts.memory_bytes == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert facts.processors == os.cpu_count()
    assert facts.frees_empty_page_tables == frees_empty_page_tables()
