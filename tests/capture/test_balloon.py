"""The balloon of a real QEMU is found, wherever the rest of that QEMU is."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import re
import signal
from pathlib import Path

import pytest

from tests.capture.qtest import halted_machine
from workbench.capture.balloon import find_balloon
from workbench.capture.process import ProcessMemory, read_mappings
from workbench.capture.qemu import inspect_qemu
from workbench.errors import HostError
from workbench.lab.swap import zram_swap
from workbench.units import GIB, KIB, MIB

pytestmark = pytest.mark.live

FEW_BYTES = 256 * KIB
"""Of the variable, the device, its queues and config, and the list of RAM blocks."""

_PROCESS_MADVISE = 440
"""Linux arch/x86/entry/syscalls/syscall_64.tbl."""

_PAGE_OUT = 21
"""Linux include/uapi/asm-generic/mman-common.h, MADV_PAGEOUT."""


class Span(ctypes.Structure):
    """A struct iovec."""

    _fields_ = (("address", ctypes.c_void_p), ("length", ctypes.c_size_t))


def send_to_swap(pid: int) -> None:
    """Send all that a process has written out of memory."""
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = os.pidfd_open(pid)
    for mapping in read_mappings(pid):
        if mapping.permissions.startswith("rw") and not mapping.name.startswith("[v"):
            span = Span(mapping.first, mapping.stop - mapping.first)
            library.syscall(_PROCESS_MADVISE, descriptor, ctypes.byref(span), 1, _PAGE_OUT, 0)
    os.close(descriptor)


def swapped_bytes(pid: int) -> int:
    """How much of a process is in swap."""
    text = Path(f"/proc/{pid}/status").read_text("utf-8")
    found = re.search(r"^VmSwap:\s+(\d+) kB", text, re.MULTILINE)
    assert found
    return int(found[1]) * KIB


def test_a_qemu_that_is_in_swap_is_left_there(tmp_path: Path) -> None:
    """What is found is the same as before; no more than a few pages come back for it."""
    with zram_swap(GIB), halted_machine(tmp_path) as (process, _):
        before = inspect_qemu(process.pid)
        process.send_signal(signal.SIGSTOP)  # It would bring back what it works with.
        send_to_swap(process.pid)
        swapped_before_bytes = swapped_bytes(process.pid)
        after = inspect_qemu(process.pid)
        swapped_after_bytes = swapped_bytes(process.pid)
        process.send_signal(signal.SIGCONT)

        assert swapped_before_bytes > MIB
        assert after.balloon == before.balloon
        assert swapped_before_bytes - swapped_after_bytes < FEW_BYTES


@pytest.mark.parametrize(
    ("properties", "queues"),
    [
        ("free-page-reporting=off", (-1, -1)),
        ("free-page-reporting=on", (3, -1)),
        ("free-page-reporting=on,free-page-hint=on,iothread=hints", (4, 3)),
    ],
)
def test_the_queues_are_those_that_the_device_offers(tmp_path: Path, properties, queues) -> None:
    """Hints come before reports."""
    hints = ("-object", "iothread,id=hints")
    with halted_machine(tmp_path, properties=properties, arguments=hints) as (process, _):
        balloon = inspect_qemu(process.pid).balloon

    assert (balloon.reporting_queue, balloon.hint_queue) == queues


def test_what_is_no_virtio_balloon_is_not_taken_for_one(tmp_path: Path) -> None:
    """Another structure of QEMU stands where the balloon should be, as with Hyper-V's."""
    with halted_machine(tmp_path) as (process, _), ProcessMemory(process.pid) as memory:
        qemu = inspect_qemu(process.pid)
        right = qemu.build.layout
        wrong = dataclasses.replace(right, balloon_address=right.first_block_address)

        assert find_balloon(memory, right, qemu.load_address, qemu.pid) == qemu.balloon
        with pytest.raises(HostError, match="has no virtio-balloon device"):
            find_balloon(memory, wrong, qemu.load_address, qemu.pid)
