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


class Blocks(NamedTuple):
    """The RAM blocks of one machine.  Columns of shape (block,)."""

    first_page: Int64Array
    page_count: Int64Array
    used_bytes: Int64Array
    page_bytes: Int64Array
    is_shared: BoolArray
    takes_huge_pages: BoolArray


class Constants(NamedTuple):
    """Numbers that a replay does not change."""

    blocks: Blocks
    huge_page_pages: int
    """Pages of a huge page: 512 on x86-64."""
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
    """Where the guest's pages are.  Columns of shape (page,) or (huge page,)."""

    page_state: Int8Array
    """PageState of each page."""
    was_discarded: BoolArray
    """Whether a discard took the page's content, and nothing has backed it since."""
    is_huge: BoolArray
    """Whether the page is resident as part of the huge page around it."""
    mapping: Int8Array
    """How each aligned huge page of address space is mapped: NO_TABLE and so on, in host.py."""
    occupied_pages: Int64Array
    """Pages around which something is mapped or in swap, per huge page of address space."""
    huge_pages_left: Int64Array
    """Pages of the huge page itself that are still mapped; 0: there is no huge page."""
    totals: Int64Array
    """RESIDENT_PAGES, SWAPPED_PAGES and HELD_PAGES, in host.py."""
