"""Plain requests, one page each: to hold the workbench against other simulators."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.errors import UsageError
from workbench.model.curve import (
    HITS,
    READS,
    WRITES,
    Rules,
    Uses,
    count_final_writes,
    count_hits,
    new_stack,
    new_tally,
    run_uses,
)
from workbench.schema import Kind

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.model.curve import Stack, Tally

_MOST_PAGES: Final = 1 << 29
"""2 TiB: two slots a page are numbered by signed numbers of 32 bits."""


@dataclass(frozen=True, repr=False, kw_only=True)
class SwapCounts:
    """What hosts of every size read from swap and write to it.

    Attributes
    ----------
    swap_in_pages, swap_in_dead_pages, swap_out_pages, swap_out_dead_pages
        Of a host with memory for 1, 2, ... times `step_pages` of guest RAM.  Shape (size,), int64.
        Dead pages were free in their guest.
    step_pages
        1, or more where only a part of all pages was followed.
    """

    swap_in_pages: npt.NDArray[np.int64]
    swap_in_dead_pages: npt.NDArray[np.int64]
    swap_out_pages: npt.NDArray[np.int64]
    swap_out_dead_pages: npt.NDArray[np.int64]
    step_pages: float = 1.0

    @property
    def moved_pages(self) -> npt.NDArray[np.int64]:
        """All that is read and written.  It never grows with the size.  Shape (size,)."""
        moved: npt.NDArray[np.int64] = self.swap_in_pages + self.swap_out_pages
        return moved

    def pages_for(self, most_moved_pages: float) -> int | None:
        """Give the smallest memory, in pages, with which no more are read and written.

        Parameters
        ----------
        most_moved_pages
            Pages that may be, over the whole of it.

        Returns
        -------
        None where no memory is enough, because more were in swap before and are read.
        """
        enough = np.flatnonzero(self.moved_pages <= most_moved_pages)
        return math.ceil((int(enough[0]) + 1) * self.step_pages) if enough.size else None


def lru_counts(
    page: npt.ArrayLike,
    *,
    is_write: npt.ArrayLike = True,
    is_discard: npt.ArrayLike = False,
    page_count: int | None = None,
    keeps_copies: bool = False,
    followed_pages: int | None = None,
) -> SwapCounts:
    """Count what hosts of every size swap for plain requests, one page each.

    To be held against other simulators: a read from swap is a miss other than a page's first
    touch, or its first since a discard; and whatever a page is first touched for, it is dirty then,
    as memory of a guest is that nothing stands behind.

    Parameters
    ----------
    page
        Pages by number, from 0 up.  Shape (request,).
    is_write, is_discard
        Whether a request writes its page, or gives it back; one for all, or of shape (request,).
    page_count
        Pages there are; by default one more than the highest number.
    keeps_copies
        Whether a page that was read keeps its copy in swap until it is written, as on disks; zram
        frees it.
    followed_pages
        Follow about so many pages only, chosen by a hash, and scale what they say: in as much less
        memory and time (C. A. Waldspurger et al., "Efficient MRC construction with SHARDS", FAST
        2015).  docs/performance.md has its error.

    Raises
    ------
    UsageError
        Pages are not whole numbers from 0 up, or less than `page_count`; or none is to be followed.
    """
    pages, page_count = _checked(page, page_count)
    if followed_pages is not None and followed_pages < page_count:
        options = {
            "is_write": is_write,
            "is_discard": is_discard,
            "keeps_copies": keeps_copies,
        }
        return _followed(pages, page_count, followed_pages, options)
    fault, discard = np.int8(Kind.FAULT), np.int8(Kind.DISCARD)
    uses = Uses(
        kind=np.where(_each_request(is_discard, pages.size), discard, fault),
        page=np.ascontiguousarray(pages, np.int64),
        page_count=np.zeros(0, np.int64),
        writes=_each_request(is_write, pages.size),
    )
    stack, tally = new_stack(page_count), new_tally(page_count)
    return counted(uses, Rules(keeps_copies), stack, tally)


def _followed(
    page: npt.NDArray[Any], page_count: int, followed_pages: int, options: dict[str, Any]
) -> SwapCounts:
    """Count for a part of all pages, and take the others to do in proportion.

    In proportion to the pages, not to their touches: a page that is touched very often hits
    wherever it is, whether it is followed or not (SHARDS calls that the adjustment).
    """
    if followed_pages < 1:
        raise UsageError(f"followed_pages is {followed_pages}, expected 1 or more")
    bits = max(page_count - 1, 1).bit_length()
    # Not all numbers below 2**bits are pages.
    followed_numbers = (followed_pages << bits) // page_count
    place = _scattered(page, bits)
    is_followed = place < followed_numbers
    for name in ("is_write", "is_discard"):
        options[name] = _each_request(options[name], page.size)[is_followed]
    counts = lru_counts(place[is_followed], page_count=followed_numbers, **options)
    step_pages = (1 << bits) / followed_numbers
    sizes = math.ceil(page_count / step_pages)
    scaled = {
        field.name: np.rint(getattr(counts, field.name)[:sizes] * step_pages).astype(np.int64)
        for field in fields(counts)
        if field.name != "step_pages"
    }
    return SwapCounts(**scaled, step_pages=step_pages)


def _scattered(pages: npt.NDArray[Any], bits: int) -> npt.NDArray[np.int64]:
    """Give each page a number of its own below 2**bits, as if by chance.

    Each step can be undone, so that no two pages get the same.  The factors are those of
    MurmurHash3's finalizer for 32 bits.
    """
    mask, half = (1 << bits) - 1, max(bits // 2, 1)
    number = pages.astype(np.int64)
    for factor in (0x85EBCA6B, 0xC2B2AE35):
        number = (number ^ (number >> half)) * factor & mask
    scattered: npt.NDArray[np.int64] = number ^ (number >> half)
    return scattered


def lru_hits(
    page: npt.ArrayLike,
    *,
    memory_pages: int,
    is_discard: npt.ArrayLike | None = None,
    page_count: int | None = None,
) -> int:
    """Count the requests that find their page in memory, on a host of one size.

    Parameters
    ----------
    page, is_discard, page_count
        As for `lru_counts`; a discard is no hit.
    memory_pages
        Memory there is, at least 1 page.

    Raises
    ------
    UsageError
        Pages are not whole numbers from 0 up, or less than `page_count`; or there is no memory.
    """
    pages, page_count = _checked(page, page_count)
    if memory_pages < 1:
        raise UsageError(f"memory_pages is {memory_pages}, expected 1 or more")
    discards = np.zeros(0, np.bool_)
    if is_discard is not None:
        discards = _each_request(is_discard, pages.size)
    numbers = np.zeros(3, np.int64)
    # Numba does not look for negative numbers where a type has none.
    numbered = np.ascontiguousarray(pages, np.int64).view(np.uint64)
    touched = np.full(page_count, -1, np.int32 if pages.size < 1 << 31 else np.int64)
    count_hits(numbered, discards, memory_pages, touched, numbers)
    return int(numbers[HITS])


def _each_request(value: npt.ArrayLike, count: int) -> npt.NDArray[np.bool_]:
    """Give one for each request, in an array to write to: for others Numba compiles anew."""
    return np.array(np.broadcast_to(np.asarray(value, np.bool_), count))


def _checked(page: npt.ArrayLike, page_count: int | None) -> tuple[npt.NDArray[Any], int]:
    """Give pages as an array, and how many there are; refuse what is none."""
    pages = np.asarray(page)
    if pages.size == 0:
        pages = pages.astype(np.int64)
    if pages.ndim != 1 or not np.issubdtype(pages.dtype, np.integer):
        raise UsageError(
            f"pages are {pages.dtype} of {pages.ndim} dimensions, expected whole numbers in a row"
        )
    most = int(pages.max(initial=-1))
    least = int(pages.min(initial=max(most, 0)))
    page_count = most + 1 if page_count is None else page_count
    if least < 0 or most >= page_count:
        raise UsageError(f"pages are {least} to {most}, expected 0 to {page_count - 1}")
    if page_count > _MOST_PAGES:
        raise UsageError(f"there are {page_count} pages, expected {_MOST_PAGES} at most")
    return pages, page_count


def counted(uses: Uses, rules: Rules, stack: Stack, tally: Tally) -> SwapCounts:
    """Follow the uses to their end, and add up what hosts of each size read and write."""
    run_uses(uses, rules, stack, tally)
    count_final_writes(stack, tally)
    reads, dead_reads = (_deeper_than(counts[:, READS]) for counts in tally)
    writes, dead_writes = (np.cumsum(counts[:, WRITES])[1:-1] for counts in tally)
    return SwapCounts(
        swap_in_pages=reads,
        swap_in_dead_pages=dead_reads,
        swap_out_pages=writes,
        swap_out_dead_pages=dead_writes,
    )


def _deeper_than(by_depth: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Of each size from 1 up, add up what was found deeper."""
    deeper: npt.NDArray[np.int64] = np.cumsum(by_depth[::-1])[::-1][2:]
    return deeper
