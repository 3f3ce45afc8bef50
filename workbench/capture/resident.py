"""What of a process is in memory, read so that nothing of it comes back from swap."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np

from workbench.capture.page_map import ENTRY_BYTES, PRESENT_BIT, SWAPPED_BIT
from workbench.capture.process import readable
from workbench.errors import HostError
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.capture.process import ProcessMemory


def read_resident(memory: ProcessMemory, pid: int, address: int, length: int) -> tuple[bytes, bool]:
    """Read whole pages, those that are in memory; in the place of others there are zeros.

    A process at the limit of its memory cgroup has no room for what would have to come back from
    swap: whoever reads it can get the process killed (seen on Linux 6.18, cgroup v1).

    Returns
    -------
    The content, and whether none of the pages is in swap.

    Raises
    ------
    HostError
        The process has gone.
    """
    with readable(pid) as folder, (folder / "pagemap").open("rb") as file:
        file.seek(address // PAGE_BYTES * ENTRY_BYTES)
        entries = np.frombuffer(file.read(length // PAGE_BYTES * ENTRY_BYTES), "<u8")
    is_present = entries >> np.uint64(PRESENT_BIT) & np.uint64(1) == 1
    framed = np.concatenate(([False], is_present, [False]))
    edges = np.flatnonzero(framed[1:] != framed[:-1]) * PAGE_BYTES
    content = bytearray(length)
    for begin, end in edges.reshape(-1, 2).tolist():
        with contextlib.suppress(HostError):  # It has just gone to swap.
            content[begin:end] = memory.read(address + begin, end - begin)
    is_swapped = entries >> np.uint64(SWAPPED_BIT) & np.uint64(1) == 1
    return bytes(content), not is_swapped.any()
