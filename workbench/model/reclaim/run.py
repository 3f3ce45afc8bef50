"""Serve what the guests of a host do to their pages, with no more memory than it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.model.compiled import inlined_kernel, inner_kernel, kernel
from workbench.model.host import RESIDENT, SWAPPED
from workbench.model.reclaim.columns import INACTIVE, LIMIT_PAGES, NO_LIST, REQUEST, ROW, SLOTS_USED
from workbench.model.reclaim.lists import add_first, folio_of
from workbench.model.reclaim.touch import WRITE, discard, touch_if_resident, touch_page
from workbench.schema import Kind

if TYPE_CHECKING:
    from workbench.model.reclaim.columns import Memory, Requests

FAULT: Final = int(Kind.FAULT)
ACCESS: Final = int(Kind.ACCESS)
DISCARD: Final = int(Kind.DISCARD)
FREE: Final = int(Kind.FREE)


@kernel
def begin_lists(memory: Memory) -> None:
    """Put what is in memory when a capture begins on the inactive list, in order of address.

    Nobody knows in which order it was touched, or what of it is free: it counts as live.
    """
    host, reclaim = memory.host, memory.reclaim
    for page in range(host.page_state.size):
        state = host.page_state[page]
        reclaim.is_live[page] = state in (RESIDENT, SWAPPED)
        if state == SWAPPED:
            reclaim.counts[SLOTS_USED] += 1
        elif state == RESIDENT:
            folio = folio_of(page, memory)
            if reclaim.list_of[folio] == NO_LIST:
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
    if kind == FREE and status & WRITE == 0:
        memory.reclaim.is_live[first:stop] = False
        return
    for page in range(first, stop):
        touch_page(page, requests.block[row], requests.allocated_bytes[row], status, memory)
    if kind == FREE:
        memory.reclaim.is_live[first:stop] = False
        memory.reclaim.is_zero[first:stop] = True


@inlined_kernel
def serve_plain_touch(row: int, requests: Requests, memory: Memory) -> bool:
    """Serve a touch of one page that is mapped, and tell whether it was one.

    It is what nearly all requests are, and hardly costs more than to find that out.
    """
    touches = requests.kind[row] in (FAULT, ACCESS) and requests.page_count[row] == 1
    return touches and touch_if_resident(requests.page[row], requests.status[row], memory)


@kernel
def run_requests(requests: Requests, memory: Memory) -> int:
    """Serve every request in order.

    Returns
    -------
    How many moves there are; `memory.moves` holds only as many as it has room for.
    """
    for row in range(requests.kind.size):
        memory.reclaim.counts[REQUEST] = row
        memory.reclaim.counts[LIMIT_PAGES] = requests.limit_pages[row]
        if not serve_plain_touch(row, requests, memory):
            serve_request(row, requests, memory)
    return int(memory.reclaim.counts[ROW])
