"""The arrays and numbers the kernels take: named tuples, because Numba passes those as they are.

Quantities are int64, codes int8.  A range of pages is [first, stop).  The RAM blocks of a machine
lie one after the other in one page space, each beginning where its host address stands within a
huge page, and no two of them in one huge page.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]
UInt32Array = npt.NDArray[np.uint32]
UInt16Array = npt.NDArray[np.uint16]
Int16Array = npt.NDArray[np.int16]
Int8Array = npt.NDArray[np.int8]
BoolArray = npt.NDArray[np.bool_]

AS_CAPTURED: Final = -1
"""A choice that is left to the trace."""


class Events(NamedTuple):
    """The events of one machine, in the trace's order.  Columns of shape (event,)."""

    kind: Int8Array
    ram_block: Int64Array
    offset_bytes: Int64Array
    length_bytes: Int64Array
    status: Int64Array
    element: Int64Array
    discard_status: Int64Array
    """For a report: what the host answered to the captured discard of this range; 0 if unknown."""


class Ledger(NamedTuple):
    """What the events did.  Columns of shape (event,)."""

    outcome: Int8Array
    surprise: Int8Array
    resident_delta_pages: Int64Array
    swapped_delta_pages: Int64Array
    freed_pages: Int64Array
    """Host pages that became free: less than left the resident set while a huge page survives."""


# Columns of `Constants.blocks`: the RAM blocks of a machine, or of all machines of a host.
FIRST_PAGE: Final = 0
PAGE_COUNT: Final = 1
USED_BYTES: Final = 2
BLOCK_PAGE_BYTES: Final = 3
"""The size of the host's pages that hold it."""
IS_SHARED: Final = 4
TAKES_HUGE_PAGES: Final = 5
BLOCK_COLUMNS: Final = 6


class Constants(NamedTuple):
    """Numbers that a replay does not change."""

    blocks: Int64Array
    """FIRST_PAGE to TAKES_HUGE_PAGES.  Shape (block, BLOCK_COLUMNS)."""
    huge_page_pages: int
    """Pages of a huge page: 512 on x86-64."""
    huge_page_shift: int
    """The power of two which that is: to divide by it takes a processor many times as long."""
    frees_empty_page_tables: bool
    poison_val: int
    """What the guest writes to poison_val, or AS_CAPTURED."""
    discard_inhibited: int
    """Whether discards are forbidden throughout: 1, 0 or AS_CAPTURED."""


class DeviceState(NamedTuple):
    """The registers of the balloon device.  Arrays of shape (1,), which kernels can write."""

    features: Int64Array
    poison_val: Int64Array
    shadow_poison_val: Int64Array
    """The four bytes at poison_val in the config buffer of QEMU's generic virtio layer."""
    discard_inhibited: Int64Array


class HostState(NamedTuple):
    """Where the guest's pages are, and how they are mapped."""

    pages: UInt16Array
    """What is known of each page, in bits (page_bits.py), and behind all pages, of each huge page.
    Shape (page + huge page,)."""
    huge_pages: Int32Array
    """Of each aligned huge page of address space: MAPPING, OCCUPIED_PAGES and PAGES_LEFT, in
    host.py.  Shape (huge page, 3)."""
    totals: Int64Array
    """RESIDENT_PAGES, SWAPPED_PAGES and HELD_PAGES, in host.py."""
