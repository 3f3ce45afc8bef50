"""Serve what the guests of a host do to their pages, with no more memory than it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.model.compiled import inner_kernel, kernel
from workbench.model.page_bits import IS_LIVE, IS_ZERO, ON_LIST, RESIDENT, STATE, SWAPPED
from workbench.model.prefetch import prefetch
from workbench.model.reclaim.columns import INACTIVE, LIMIT_PAGES, REQUEST, ROW, SLOTS_USED
from workbench.model.reclaim.lists import add_first, folio_of
from workbench.model.reclaim.touch import WRITE, discard, free_pages, touch_one, touch_page
from workbench.schema import Kind

if TYPE_CHECKING:
    from workbench.model.reclaim.columns import Memory, Requests

AHEAD_REQUESTS: Final = 16
"""How far ahead requests are read: the memory's latency, in touches of pages that are mapped."""

FAULT: Final = int(Kind.FAULT)
ACCESS: Final = int(Kind.ACCESS)
DISCARD: Final = int(Kind.DISCARD)
FREE: Final = int(Kind.FREE)


@kernel
def begin_lists(memory: Memory) -> None:
    """Put what is in memory when a capture begins on the inactive list, in order of address.

    Nobody knows in which order it was touched, or what of it is free: it counts as live.
    """
    pages = memory.host.pages
    page_count = pages.size - memory.host.huge_pages.shape[0]
    for page in range(page_count):
        state = pages[page] & STATE
        if state == SWAPPED:
            memory.reclaim.counts[SLOTS_USED] += 1
            pages[page] |= IS_LIVE
        elif state == RESIDENT:
            pages[page] |= IS_LIVE
            folio = folio_of(page, memory)
            if pages[folio] & ON_LIST == 0:
                add_first(folio, INACTIVE, memory)


@inner_kernel
def serve_request(row: int, requests: Requests, memory: Memory) -> None:
    """Serve one request, page by page."""
    kind = requests.kind[row]
    status = requests.status[row]
    first = requests.page[row]
    stop = first + requests.page_count[row]
    if kind == DISCARD:
        discard(first, stop, memory)
        return
    if kind != FREE or status & WRITE != 0:
        for page in range(first, stop):
            touch_one(page, requests.block[row], requests.allocated_bytes[row], status, memory)
    if kind == FREE:
        free_pages(first, stop, memory)
    if kind == FREE and status & WRITE != 0:
        for page in range(first, stop):
            memory.host.pages[page] |= IS_ZERO


@inner_kernel
def serve_requests(requests: Requests, memory: Memory) -> None:
    """Serve every request in order.

    A touch of one page that is mapped is what nearly all are, and costs hardly more than to find
    that out.
    """
    counts = memory.reclaim.counts
    for row in range(requests.kind.size):
        later = requests.page[min(row + AHEAD_REQUESTS, requests.kind.size - 1)]
        prefetch(memory.host.pages, later)
        prefetch(memory.reclaim.place, later)
        counts[REQUEST] = row
        counts[LIMIT_PAGES] = requests.limit_pages[row]
        kind, page, status = requests.kind[row], requests.page[row], requests.status[row]
        if kind in (FAULT, ACCESS) and requests.page_count[row] == 1:
            touch_page(page, requests.block[row], requests.allocated_bytes[row], status, memory)
        else:
            serve_request(row, requests, memory)


@kernel
def run_requests(requests: Requests, memory: Memory) -> int:
    """Serve every request in order.

    Returns
    -------
    How many moves there are; `memory.moves` holds only as many as it has room for.
    """
    # Within this kernel Numba counts references, which would take longer than all it does.
    serve_requests(requests, memory)
    return int(memory.reclaim.counts[ROW])
