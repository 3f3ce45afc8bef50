"""One host of one size that takes what was touched longest ago: the requests are its list.

Whoever was touched last stands last in the requests themselves.  What is in memory was touched
behind a mark.  To make room the mark moves on, over requests whose pages were touched again later,
to the first that was its page's last, and takes that page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.model.compiled import kernel
from workbench.model.prefetch import prefetch

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.model.columns import BoolArray, Int64Array

MARK: Final = 0
HELD_PAGES: Final = 1
HITS: Final = 2

FETCHED_REQUESTS: Final = 16
"""How many requests ahead what is known of a page is fetched."""


@kernel
def count_hits(
    page: npt.NDArray[Any],
    is_discard: BoolArray,
    memory_pages: int,
    touched: npt.NDArray[Any],
    numbers: Int64Array,
) -> None:
    """Count the touches of pages that are in memory.

    Parameters
    ----------
    page
        Shape (request,).
    is_discard
        Which requests give their page back.  Shape (request,), or (0,) if none does.
    touched
        -1 for every page, to be used: the last request that touched it.  Shape (page,).
    numbers
        Zeros, to be filled: MARK, HELD_PAGES, HITS.
    """
    mark, held_pages, hits = 0, 0, 0
    discards = is_discard.size > 0
    for request in range(page.size):
        prefetch(touched, page[min(request + FETCHED_REQUESTS, page.size - 1)])
        own = page[request]
        is_held = touched[own] >= mark
        if discards and is_discard[request]:
            held_pages -= is_held
            touched[own] = -1
            continue
        hits += is_held
        if not is_held:
            held_pages += 1
            if held_pages > memory_pages:
                is_last = False
                while not is_last:
                    is_last = touched[page[mark]] == mark
                    mark += 1
                    prefetch(touched, page[min(mark + FETCHED_REQUESTS, page.size - 1)])
                held_pages -= 1
        touched[own] = request
    numbers[MARK] = mark
    numbers[HELD_PAGES] = held_pages
    numbers[HITS] = hits
