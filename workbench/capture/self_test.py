"""Try the probes on ourselves: what they say of faults that we make is known beforehand."""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import TYPE_CHECKING

import numpy as np

from workbench.capture.records import FaultBit, Source
from workbench.errors import HostError
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.capture.probe import Probes

PAGES = 256
"""More than the 64 by which Linux before 6.2 lets a thread's counters lag (mm/memory.c,
TASK_RSS_EVENTS_THRESH)."""


def counts_are_exact(probes: Probes) -> bool:
    """Whether the kernel reports every page that a fault adds, so that each fault has its end.

    Raises
    ------
    HostError
        The probes do not see our faults or their allocations at all.
    """
    size = PAGES * PAGE_BYTES
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        area.madvise(mmap.MADV_NOHUGEPAGE)
        view = ctypes.c_char.from_buffer(area)
        address = ctypes.addressof(view)
        del view
        with probes.watching(os.getpid(), address, size):
            for offset in range(0, size, PAGE_BYTES):
                area[offset] = 1
    records = np.concatenate([probes.read(), probes.read_unserved()])
    own = records[(records["process"] == os.getpid()) & (records["source"] == Source.FAULT)]
    faults, allocations = own.size, int((own["element"] >= 0).sum())
    if faults != PAGES or allocations != PAGES:
        message = (
            f"the probes saw {faults} of {PAGES} faults that were made to try them, and "
            f"{allocations} allocations; this kernel cannot be captured"
        )
        raise HostError(message)
    return bool((own["value"] & FaultBit.SERVED != 0).all())
