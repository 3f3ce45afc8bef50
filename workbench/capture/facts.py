"""What the host says of its memory: read from /proc and /sys, or tried."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

from workbench.capture.host import (
    kernel_release,
    khugepaged_defrag,
    lru_gen,
    memory_bytes,
    swap_devices,
    transparent_huge_pages,
)
from workbench.trace import HostFacts
from workbench.units import HUGE_PAGE_BYTES, PAGE_BYTES, format_bytes


def read_host_facts() -> HostFacts:
    """Collect what a replay must know of the host."""
    swaps = (f"{Path(swap.name).name} {format_bytes(swap.size_bytes)}" for swap in swap_devices())
    return HostFacts(
        kernel=kernel_release(),
        memory_bytes=memory_bytes(),
        processors=os.cpu_count() or 1,
        transparent_huge_page=transparent_huge_pages(),
        khugepaged_defrag=bool(khugepaged_defrag()),
        frees_empty_page_tables=frees_empty_page_tables(),
        swap=tuple(swaps),
        page_cluster=int(Path("/proc/sys/vm/page-cluster").read_text(encoding="utf-8")),
        multi_generation_lru=lru_gen() not in (None, "0x0000"),
    )


def frees_empty_page_tables() -> bool:
    """Try whether the kernel frees the page table of 2 MiB that are discarded in one call.

    The test: map huge, split by discarding one page, discard all, touch.  Without a page table the
    touch brings 2 MiB again, with one it brings 4 KiB (Linux 6.14 mm/pt_reclaim.c, PT_RECLAIM).
    """
    with mmap.mmap(-1, 2 * HUGE_PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        view = ctypes.c_char.from_buffer(area)
        first = ctypes.addressof(view)
        start = -first % HUGE_PAGE_BYTES
        area.madvise(mmap.MADV_HUGEPAGE, start, HUGE_PAGE_BYTES)
        area[start] = 1
        area.madvise(mmap.MADV_DONTNEED, start, PAGE_BYTES)
        area.madvise(mmap.MADV_DONTNEED, start, HUGE_PAGE_BYTES)
        area[start] = 1
        backed = _is_present(first + start + HUGE_PAGE_BYTES - PAGE_BYTES)
        del view
    return backed


def _is_present(address: int) -> bool:
    """Bit 63 of the page's entry in pagemap (Linux Documentation/admin-guide/mm/pagemap.rst)."""
    with Path("/proc/self/pagemap").open("rb") as file:
        file.seek(address // PAGE_BYTES * 8)
        return bool(int.from_bytes(file.read(8), "little") >> 63)
