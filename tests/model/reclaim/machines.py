"""Small hosts for the tests of reclaim, and the way into the kernels and into the naive twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tests.naive.naive_reclaim import Host
from tests.strategies import HUGE_PAGE_PAGES, block, constants, host_for, lay_out
from workbench.model.reclaim import (
    LEAST_RECENT,
    TWO_LISTS,
    Memory,
    ReclaimConstants,
    Requests,
    begin_lists,
    new_moves,
    new_reclaim,
    run_requests,
    written_moves,
)
from workbench.schema import UNKNOWN, Kind
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    import random

Limits = int | tuple[int, int, int]
"""Memory there is: always as much; or an amount, the request from which it is another, that."""

Request = tuple[str, tuple[int, int], int, int, int]
"""kind, (block, page), page count, status, allocated bytes."""

RULES: dict[str, Any] = {
    "policy": "two_lists",
    "low_free_pages": 0,
    "high_free_pages": 0,
    "swap_pages": 1000,
    "keeps_copies": False,
    "readahead_pages": 1,
    "skips_zeros": True,
    "writes_zeros": False,
}


def touch(page: int, count: int = 1, *, ram_block: int = 0, status: int = 1) -> Request:
    """An access; a write unless told otherwise."""
    return ("access", (ram_block, page), count, status, UNKNOWN)


def discard(page: int, count: int = 1, *, ram_block: int = 0) -> Request:
    """Pages given back to the host."""
    return ("discard", (ram_block, page), count, 0, UNKNOWN)


def free(page: int, count: int = 1, *, ram_block: int = 0, status: int = 0) -> Request:
    """Pages that are free in the guest."""
    return ("free", (ram_block, page), count, status, UNKNOWN)


def limit_at(limits: Limits, request: int) -> int:
    """Give the memory there is at a request."""
    if isinstance(limits, int):
        return limits
    before, change, after = limits
    return before if request < change else after


class Served(NamedTuple):
    """What the kernels made of some requests."""

    moves: list[tuple[int, str, tuple[int, int], int, int]]
    memory: Memory


def memory_for(blocks: list[dict[str, Any]], rules: dict[str, Any], room: int) -> Memory:
    """Make a host that holds nothing."""
    host = host_for(blocks)
    policy = {"two_lists": TWO_LISTS, "least_recent": LEAST_RECENT}[rules["policy"]]
    return Memory(
        constants(blocks),
        ReclaimConstants(**{**rules, "policy": policy}),
        host,
        new_reclaim(host.pages.size, len(blocks)),
        new_moves(room),
    )


def columns_of(requests: list[Request], blocks: list[dict[str, Any]], limits: Limits) -> Requests:
    """Turn requests into the kernels' columns."""
    return Requests(
        kind=np.array([Kind[kind.upper()] for kind, *_ in requests], np.int8),
        page=np.array([blocks[b]["start"] + n for _, (b, n), *_ in requests], np.int64),
        page_count=np.array([count for _, _, count, *_ in requests], np.int64),
        status=np.array([status for *_, status, _ in requests], np.int64),
        allocated_bytes=np.array([allocated for *_, allocated in requests], np.int64),
        block=np.array([b for _, (b, _), *_ in requests], np.int64),
        limit_pages=np.array([limit_at(limits, n) for n in range(len(requests))], np.int64),
    )


def serve(
    requests: list[Request],
    blocks: list[dict[str, Any]],
    limits: Limits = 60,
    room: int = 20_000,
    **changed: Any,
) -> Served:
    """Let the kernels serve requests on a host that begins empty."""
    memory = memory_for(blocks, {**RULES, **changed}, room)
    begin_lists(memory)
    run_requests(columns_of(requests, blocks, limits), memory)
    starts = [one["start"] for one in blocks]

    def place(page: int) -> tuple[int, int]:
        number = max(n for n, start in enumerate(starts) if start <= page)
        return number, page - starts[number]

    moves = written_moves(memory)
    rows = [
        (
            int(moves.request[row]),
            Kind(int(moves.kind[row])).name.lower(),
            place(int(moves.page[row])),
            int(moves.page_count[row]),
            int(moves.status[row]),
        )
        for row in range(moves.kind.size)
    ]
    return Served(rows, memory)


def naively(
    requests: list[Request], blocks: list[dict[str, Any]], limits: Limits = 60, **changed: Any
) -> Host:
    """Let the naive twin serve the same."""
    host = Host(blocks, HUGE_PAGE_PAGES, {**RULES, **changed})
    for number, request in enumerate(requests):
        host.serve(*request, limit_at(limits, number))
    return host


def two_guests() -> list[dict[str, Any]]:
    """Two RAM blocks: one may have huge pages and begins in the middle of one, one may not."""
    return lay_out([block(90, 2), block(41, 0, thp=False)])


def some_requests(chance: random.Random, count: int) -> list[Request]:
    """Draw requests for `two_guests`: runs of touches, now and then a discard or a free."""
    requests: list[Request] = []
    sizes = (90, 41)
    for _ in range(count):
        ram_block = chance.choice((0, 0, 1))
        page = chance.randrange(sizes[ram_block])
        run = chance.choice((1, 1, 2, 4, 9, 30))
        run = min(run, sizes[ram_block] - page)
        status = chance.choice((0, 1, 1))
        draw = chance.random()
        if draw < 0.15:
            run *= chance.random() < 0.9  # A range within one page has no whole one.
            requests.append(discard(page, run, ram_block=ram_block))
        elif draw < 0.25:
            requests.append(free(page, run, ram_block=ram_block, status=status))
        elif draw < 0.5:
            allocated = chance.choice((UNKNOWN, 0, 1, 1, 2, HUGE_PAGE_PAGES))
            allocated_bytes = allocated * PAGE_BYTES if allocated > 0 else allocated
            refused = 4 * (chance.random() < 0.2)
            request = ("fault", (ram_block, page), 1, status | refused, allocated_bytes)
            requests.append(request)
        else:
            requests.append(touch(page, run, ram_block=ram_block, status=status))
    return requests
