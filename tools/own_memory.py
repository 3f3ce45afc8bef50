"""Measure what a host's huge pages add to QEMU's own memory.

python tools/own_memory.py [PROCESSORS [ACCELERATOR]]

Starts QEMU with a guest that never runs, and makes huge pages of its heap, which khugepaged does
on a host where transparent huge pages are set to always: in its own time, if ever.  Needs root
and Linux 6.1 or later.  docs/validation.md has the result.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from workbench.units import HUGE_PAGE_BYTES, KIB, MIB

_PROCESS_MADVISE: Final = 440
_MADV_COLLAPSE: Final = 25
"""Linux 6.1 include/uapi/asm-generic/unistd.h and mman-common.h."""

_REST_S: Final = 3
"""By then QEMU has given back what only making the machine took."""


class Heap(NamedTuple):
    """A process's heap: where it is, and what of it is resident."""

    start: int
    stop: int
    resident_bytes: int


class _Range(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("start", ctypes.c_void_p), ("bytes", ctypes.c_size_t))


def heap_of(pid: int) -> Heap:
    """Read a process's heap from its smaps."""
    lines = iter(Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines())
    line = next(line for line in lines if line.endswith("[heap]"))
    start, stop = (int(text, 16) for text in line.split()[0].split("-"))
    resident = next(line for line in lines if line.startswith("Rss:"))
    return Heap(start, stop, int(resident.split()[1]) * KIB)


def collapse(pid: int, heap: Heap) -> int:
    """Make huge pages of a heap, where pages are there.  Returns how many were made."""
    libc = ctypes.CDLL(None)
    handle = os.pidfd_open(pid)
    made = 0
    first = -(-heap.start // HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES
    for start in range(first, heap.stop - HUGE_PAGE_BYTES + 1, HUGE_PAGE_BYTES):
        part = _Range(start, HUGE_PAGE_BYTES)
        answer = libc.syscall(_PROCESS_MADVISE, handle, ctypes.byref(part), 1, _MADV_COLLAPSE, 0)
        made += answer == HUGE_PAGE_BYTES
    os.close(handle)
    return made


def _wait_until_made(qemu: subprocess.Popen[bytes]) -> None:
    """Ask for what only QEMU's main loop answers: the machine is made then."""
    if qemu.stdin is None or qemu.stdout is None:
        raise TypeError
    qemu.stdin.write(b'{"execute": "qmp_capabilities"} {"execute": "query-status"}')
    qemu.stdin.flush()
    for line in qemu.stdout:
        if b'"prelaunch"' in line:
            return


def measure(processors: str, accelerator: str) -> None:
    """Print the heap of a QEMU before and after."""
    arguments = ["-S", "-accel", accelerator, "-smp", processors, "-m", "16G"]
    arguments += ["-device", "virtio-balloon,free-page-reporting=on", "-nographic"]
    arguments += ["-serial", "null", "-monitor", "none", "-qmp", "stdio"]
    pipe = subprocess.PIPE
    with subprocess.Popen(["qemu-system-x86_64", *arguments], stdin=pipe, stdout=pipe) as qemu:
        try:
            _wait_until_made(qemu)
            time.sleep(_REST_S)
            before = heap_of(qemu.pid)
            made = collapse(qemu.pid, before)
            after = heap_of(qemu.pid)
        finally:
            qemu.kill()
    print(
        f"heap: {before.resident_bytes / MIB:.1f} MiB resident, {made} huge pages made, "
        f"then {after.resident_bytes / MIB:.1f} MiB"
    )


if __name__ == "__main__":
    measure(*[*sys.argv[1:], *("12", "kvm")[len(sys.argv) - 1 :]])
