"""How fast the model of a host with Linux's two lists is, beside the least that must be done."""

from __future__ import annotations

import sys
from pathlib import Path

import numba
import numpy as np
from bench_figure import PAGES, ROUNDS, Figure, timed

from workbench.model import AS_CAPTURED, Constants, new_host
from workbench.model.reclaim import (
    TWO_LISTS,
    Memory,
    ReclaimConstants,
    Requests,
    new_moves,
    new_reclaim,
    run_requests,
    written_moves,
)
from workbench.schema import UNKNOWN, FaultFlag, Kind
from workbench.units import HUGE_PAGE_BYTES, PAGE_BYTES

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.naive.naive_reclaim import Host

HUGE_PAGE_PAGES = HUGE_PAGE_BYTES // PAGE_BYTES
AMPLE_PAGES = 1 << 40
NAIVE_PAGES = 1 << 7
NAIVE_REQUESTS = 300


def two_lists(pages: np.ndarray, memory_pages: int) -> Figure:
    """The host with Linux's two lists, against reading the same columns and touching a byte each.

    The first half of the requests fills its memory and is not measured.
    """
    half = pages.size // 2
    touched = np.zeros(PAGES, np.int8)
    seconds, other_seconds, misses = [], [], 0
    requests = touches(pages, memory_pages)
    first, second = (
        Requests._make(column[part] for column in requests)
        for part in (slice(0, half), slice(half, None))
    )
    for _ in range(ROUNDS):
        memory = empty_host(2 * pages.size)
        before = run_requests(first, memory)
        seconds.append(timed(lambda memory=memory: run_requests(second, memory))[0])
        misses = int((written_moves(memory).kind[before:] == Kind.FAULT).sum())
        other_seconds.append(timed(lambda: touch_only(second, touched))[0])
    return Figure(
        name=f"host with two lists at {memory_pages:,} pages, {1 - misses / half:.0%} hits",
        events=half,
        seconds=seconds,
        other="reading the same columns and touching one byte a page",
        other_events=half,
        other_seconds=other_seconds,
        target="1/5" if misses < half / 5 else "1/10",
    )


def touches(pages: np.ndarray, memory_pages: int) -> Requests:
    """Write to single pages, one after the other."""
    return Requests(
        kind=np.full(pages.size, Kind.FAULT, np.int8),
        page=pages,
        page_count=np.ones(pages.size, np.int64),
        status=np.full(pages.size, FaultFlag.WRITE, np.int64),
        allocated_bytes=np.full(pages.size, PAGE_BYTES, np.int64),
        block=np.zeros(pages.size, np.int64),
        limit_pages=np.full(pages.size, memory_pages, np.int64),
    )


def blocks() -> Figure:
    """Huge pages taken and given back as such, against the same done page by page.

    An event is a page here, so that the times of both are of the same memory.
    """
    firsts = np.random.default_rng(1).permutation(PAGES // HUGE_PAGE_PAGES) * HUGE_PAGE_PAGES
    pages = firsts[:, None] + np.arange(HUGE_PAGE_PAGES)
    whole = taken_and_given_back(firsts[:, None], HUGE_PAGE_PAGES)
    single = taken_and_given_back(pages, 1)
    seconds, other_seconds = [], []
    for _ in range(ROUNDS):
        for requests, took in ((whole, seconds), (single, other_seconds)):
            memory = empty_host(2 * PAGES)
            memory.moves[:] = 0  # So that what is measured does not wait for the kernel's memory.
            took.append(timed(lambda r=requests, m=memory: run_requests(r, m))[0])
    return Figure(
        name=f"{firsts.size:,} huge pages taken and reported, by page of them",
        events=2 * PAGES,
        seconds=seconds,
        other="the same page by page",
        other_events=2 * PAGES,
        other_seconds=other_seconds,
        target="50",
    )


def taken_and_given_back(pages: np.ndarray, page_count: int) -> Requests:
    """Touch all of the pages of a row, and discard them, and go on with the next row."""
    page = np.repeat(pages[:, None, :], 2, axis=1).reshape(-1)
    gives_back = np.tile(np.repeat([False, True], pages.shape[1]), pages.shape[0])
    return touches(page, AMPLE_PAGES)._replace(
        kind=np.where(gives_back, int(Kind.DISCARD), int(Kind.FAULT)).astype(np.int8),
        page_count=np.where(gives_back, page_count, 1),
        allocated_bytes=np.where(gives_back, UNKNOWN, page_count * PAGE_BYTES),
    )


def beside_naive(pages: np.ndarray) -> Figure:
    """The same host, against its twin of the tests, which is written to be read."""
    page = pages[:NAIVE_REQUESTS] % NAIVE_PAGES
    memory_pages = NAIVE_PAGES // 3
    ram = {"start": 0, "offset": 0, "pages": PAGES, "page_bytes": PAGE_BYTES}
    rules = {**empty_host(0).rules._asdict(), "policy": "two_lists"}
    seconds, other_seconds = [], []
    for _ in range(ROUNDS):
        memory = empty_host(2 * NAIVE_REQUESTS)
        requests = touches(page, memory_pages)
        seconds.append(timed(lambda r=requests, m=memory: run_requests(r, m))[0])
        twin = Host([{**ram, "shared": False, "thp": False}], HUGE_PAGE_PAGES, rules)
        other_seconds.append(timed(lambda twin=twin: naively(twin, page, memory_pages))[0])
        if len(twin.moves) != written_moves(memory).kind.size:
            sys.exit("the twin does otherwise")
    return Figure(
        name=f"host with two lists, {NAIVE_REQUESTS:,} requests to {NAIVE_PAGES:,} pages",
        events=page.size,
        seconds=seconds,
        other="its naive twin",
        other_events=page.size,
        other_seconds=other_seconds,
        target="",
    )


def naively(twin: Host, pages: np.ndarray, memory_pages: int) -> None:
    """Let the twin serve the same touches."""
    for page in pages.tolist():
        twin.serve("fault", (0, page), 1, int(FaultFlag.WRITE), PAGE_BYTES, memory_pages)


def memory_speed(pages: np.ndarray) -> tuple[float, float]:
    """Give bytes a second of a plain copy, and of what `touch_only` reads."""
    requests = touches(pages, AMPLE_PAGES)
    touched, copy = np.zeros(PAGES, np.int8), np.empty_like(pages)
    copied = min(timed(lambda: np.copyto(copy, pages))[0] for _ in range(ROUNDS))
    read = min(timed(lambda: touch_only(requests, touched))[0] for _ in range(ROUNDS))
    # A copy reads, and writes as much.
    return 2 * pages.nbytes / copied, sum(column.nbytes for column in requests) / read


def empty_host(move_count: int) -> Memory:
    """Make a host with zram, that holds nothing yet of a guest."""
    blocks = np.array([[0, PAGES, PAGES * PAGE_BYTES, PAGE_BYTES, False, True]])
    host = new_host(PAGES, HUGE_PAGE_PAGES)
    return Memory(
        constants=Constants(
            blocks=blocks,
            huge_page_pages=HUGE_PAGE_PAGES,
            huge_page_shift=HUGE_PAGE_PAGES.bit_length() - 1,
            frees_empty_page_tables=True,
            poison_val=AS_CAPTURED,
            discard_inhibited=AS_CAPTURED,
        ),
        rules=ReclaimConstants(
            policy=TWO_LISTS,
            low_free_pages=0,
            high_free_pages=0,
            swap_pages=1 << 40,
            keeps_copies=False,
            readahead_pages=1,
            skips_zeros=True,
            writes_zeros=False,
        ),
        host=host,
        reclaim=new_reclaim(host.pages.size, 1),
        moves=new_moves(move_count),
    )


@numba.njit
def touch_only(requests: Requests, touched: np.ndarray) -> None:
    """Do no more than anything must that looks at each request and at its page."""
    for row in range(requests.kind.size):
        used = requests.page_count[row] + requests.allocated_bytes[row] + requests.block[row]
        used += requests.limit_pages[row] + requests.kind[row]
        touched[requests.page[row]] = requests.status[row] + used
