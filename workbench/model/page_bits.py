"""What a host knows of one page: the bits of a word in `HostState.pages`.

All of it lies together, in two bytes, so that a touch of a page waits for memory once; and pages
that agree are changed many at a time.  A huge page that is there as such has a word of its own,
behind those of all pages, for what holds of it as a whole: the bits of a folio.
"""

from __future__ import annotations

from typing import Final

from workbench.schema import PAGE_STATE_MASK, PageFlag, PageState

STATE: Final = PAGE_STATE_MASK
"""PageState of the page."""
UNBACKED: Final = int(PageState.UNBACKED)
RESIDENT: Final = int(PageState.RESIDENT)
SWAPPED: Final = int(PageState.SWAPPED)
ZERO_PAGE: Final = int(PageState.ZERO_PAGE)

WAS_DISCARDED: Final = int(PageFlag.DISCARDED)
"""A discard took the page's content, and nothing has backed it since."""
IS_HUGE: Final = int(PageFlag.HUGE)
"""The page is resident as part of the huge page around it."""

HAS_COPY: Final = 1 << 4
"""What is in memory is in swap as well, unchanged."""
IS_READ_AHEAD: Final = 1 << 5
"""The page is in swap, and was read into memory ahead of its fault."""
HAS_AGE: Final = 1 << 6
"""Reclaim took the page, which is in swap, and noted when."""
IS_LIVE: Final = 1 << 7
"""The guest uses the page; a free page is dead."""
IS_ZERO: Final = 1 << 8
"""The page holds zeros."""

ON_INACTIVE: Final = 1 << 9
"""Of a folio: it is on the inactive list."""
ON_ACTIVE: Final = 1 << 10
ON_LIST: Final = ON_INACTIVE | ON_ACTIVE
IS_ACCESSED: Final = 1 << 11
"""Of a folio: the accessed bit of the page table."""
IS_REFERENCED: Final = 1 << 12
"""Of a folio: found accessed once (Linux, PG_referenced)."""

ALL_BITS: Final = (1 << 16) - 1
