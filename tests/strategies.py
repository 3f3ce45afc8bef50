"""Hypothesis strategies for small machines and their events, and the way into the kernels.

Huge pages have four pages here, so that a dozen pages hold every case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from workbench.model import (
    AS_CAPTURED,
    OK,
    Constants,
    Events,
    HostState,
    Outcome,
    Surprise,
    new_device,
    new_host,
    new_ledger,
    run_events,
)
from workbench.model.host import MAPPING
from workbench.schema import FaultFlag, Feature, Kind
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

HUGE_PAGE_PAGES = 4

Block = dict[str, Any]
Row = tuple[str, int, int, int, int, int, int]
"""kind, ram_block, offset_bytes, length_bytes, status, element, discard_status."""

LedgerRow = tuple[str, str, int, int, int]


def block(
    pages: int = 8,
    offset: int = 0,
    page_bytes: int = PAGE_BYTES,
    *,
    shared: bool = False,
    thp: bool = True,
) -> Block:
    """One RAM block; `offset` is where it begins within a huge page."""
    return {
        "pages": pages,
        "offset": offset,
        "page_bytes": page_bytes,
        "shared": shared,
        "thp": thp and not shared and page_bytes == PAGE_BYTES,
    }


def lay_out(blocks: Sequence[Block]) -> list[Block]:
    """Place blocks in the page space, each on huge pages of its own."""
    placed = []
    next_huge_page = 0
    for one in blocks:
        start = next_huge_page * HUGE_PAGE_PAGES + one["offset"]
        placed.append({**one, "start": start})
        next_huge_page = -(-(start + one["pages"]) // HUGE_PAGE_PAGES)
    return placed


def constants(
    blocks: Sequence[Block],
    *,
    frees_tables: bool = True,
    always_poison: int | None = None,
    always_inhibited: bool | None = None,
) -> Constants:
    """Build the kernels' constants for laid-out blocks."""
    return Constants(
        blocks=np.array(
            [
                [
                    one["start"],
                    one["pages"],
                    one["pages"] * PAGE_BYTES,
                    one["page_bytes"],
                    one["shared"],
                    one["thp"],
                ]
                for one in blocks
            ],
            np.int64,
        ),
        huge_page_pages=HUGE_PAGE_PAGES,
        huge_page_shift=HUGE_PAGE_PAGES.bit_length() - 1,
        frees_empty_page_tables=frees_tables,
        poison_val=AS_CAPTURED if always_poison is None else always_poison,
        discard_inhibited=AS_CAPTURED if always_inhibited is None else int(always_inhibited),
    )


def host_for(blocks: Sequence[Block]) -> HostState:
    """Make a host that holds nothing of these blocks."""
    stop = max(one["start"] + one["pages"] for one in blocks)
    return new_host(-(-stop // HUGE_PAGE_PAGES) * HUGE_PAGE_PAGES, HUGE_PAGE_PAGES)


def mappings(host: HostState) -> list[int]:
    """Say how each huge page of address space is mapped."""
    return [int(mapping) for mapping in host.huge_pages[:, MAPPING]]


def columns(rows: Sequence[Row]) -> Events:
    """Turn rows into the kernels' columns.  The kind "unknown" is a code that no format has."""
    codes = [99 if row[0] == "unknown" else int(Kind[row[0].upper()]) for row in rows]
    numbers = np.array([row[1:] for row in rows], np.int64).reshape(len(rows), 6)
    return Events(np.array(codes, np.int8), *(numbers[:, n].copy() for n in range(6)))


class Result(NamedTuple):
    """What the kernels made of some rows."""

    stopped_at: int
    ledger: list[LedgerRow]
    host: HostState


def run_rows(
    rows: Sequence[Row],
    blocks: Sequence[Block],
    *,
    features: int = 0,
    poison_val: int = 0,
    **choices: Any,
) -> Result:
    """Run the kernels over rows; the ledger stops before a row that was not accepted."""
    host = host_for(blocks)
    ledger = new_ledger(len(rows))
    stopped_at = run_events(
        columns(rows), constants(blocks, **choices), new_device(features, poison_val), host, ledger
    )
    count = len(rows) if stopped_at == OK else stopped_at
    return Result(
        stopped_at,
        [
            (
                Outcome(int(ledger.outcome[row])).name.lower(),
                Surprise(int(ledger.surprise[row])).name.lower(),
                int(ledger.resident_delta_pages[row]),
                int(ledger.swapped_delta_pages[row]),
                int(ledger.freed_pages[row]),
            )
            for row in range(count)
        ],
        host,
    )


# --- rows, one function for each kind -----------------------------------------------------------


def fault(page: int, allocated: int = -1, flags: int = 1, ram_block: int = 0) -> Row:
    """A fault; `flags` is a write unless told otherwise, `allocated` is in pages, -1 is unknown."""
    allocated_bytes = allocated * PAGE_BYTES if allocated > 0 else allocated
    return ("fault", ram_block, page * PAGE_BYTES, allocated_bytes, flags, -1, 0)


def report(first: int, count: int, ram_block: int = 0, element: int = 1, refusal: int = 0) -> Row:
    """A reported range of whole pages."""
    return ("report", ram_block, first * PAGE_BYTES, count * PAGE_BYTES, 0, element, refusal)


def inflate(first: int, count: int, ram_block: int = 0, status: int = 0) -> Row:
    """A discard that no report asked for."""
    return ("discard", ram_block, first * PAGE_BYTES, count * PAGE_BYTES, status, -1, 0)


def swap_out(first: int, count: int, ram_block: int = 0) -> Row:
    """Pages written to swap."""
    return ("swap_out", ram_block, first * PAGE_BYTES, count * PAGE_BYTES, 0, -1, 0)


def config_write(offset: int, width: int, value: int) -> Row:
    """A write to the config space."""
    return ("config_write", -1, offset, width, value, -1, 0)


def register(kind: str, status: int = 0) -> Row:
    """An event that only has a status."""
    return (kind, -1, 0, 0, status, -1, 0)


# --- strategies ---------------------------------------------------------------------------------


@st.composite
def machines(draw: st.DrawFn) -> list[Block]:
    """One or two RAM blocks: private, without huge pages, shared, or of large pages."""
    kinds = st.sampled_from(["private", "private", "plain", "shared", "large"])
    blocks = []
    for kind in draw(st.lists(kinds, min_size=1, max_size=2)):
        if kind == "large":
            pages = HUGE_PAGE_PAGES * draw(st.integers(1, 2))
            blocks.append(block(pages, 0, HUGE_PAGE_PAGES * PAGE_BYTES))
        else:
            pages = draw(st.integers(1, 11))
            offset = draw(st.integers(0, HUGE_PAGE_PAGES - 1))
            blocks.append(block(pages, offset, shared=kind == "shared", thp=kind == "private"))
    return lay_out(blocks)


def _bytes_near(pages: st.SearchStrategy[int]) -> st.SearchStrategy[int]:
    """Mostly whole pages, sometimes a little more."""
    extra = st.sampled_from([0, 0, 0, 0, 0, 512, 2048])
    return st.builds(lambda page, more: page * PAGE_BYTES + more, pages, extra)


_RAM_BLOCK = st.sampled_from([0, 0, 0, 1])
_PAGE = st.integers(0, 11)
_FLAGS = st.sampled_from(
    [
        FaultFlag.WRITE,
        FaultFlag.WRITE,
        0,
        FaultFlag.WRITE | FaultFlag.HUGE_REFUSED,
        FaultFlag.HUGE_REFUSED,
        FaultFlag.SWAP_IN,
        FaultFlag.WRITE | FaultFlag.SWAP_IN,
    ]
)
_POISON_VALUES = st.sampled_from([0, 0xAA, 0xAAAAAAAA, 0xAA00, 1 << 40])

FAULTS = st.builds(
    fault,
    _PAGE,
    st.sampled_from([-1, -1, 0, 1, 1, 2, HUGE_PAGE_PAGES, HUGE_PAGE_PAGES, 8]),
    _FLAGS.map(int),
    _RAM_BLOCK,
)
RANGES = st.builds(
    lambda kind, ram_block, offset, length, status, element, refusal: (
        (kind, ram_block, offset, length, status, element, refusal)
    ),
    st.sampled_from(["report", "report", "discard", "swap_out", "access"]),
    st.sampled_from([0, 0, 0, 1, -1]),
    _bytes_near(_PAGE),
    _bytes_near(st.integers(0, 8)),
    st.sampled_from([0, 0, 0, -22]),
    st.sampled_from([-1, 1]),
    st.sampled_from([0, 0, 0, 0, -22]),
)
REGISTERS = st.one_of(
    st.builds(
        config_write,
        st.integers(-1, 17),
        st.sampled_from([1, 2, 4, 8]),
        _POISON_VALUES,
    ),
    st.builds(
        register,
        st.just("features"),
        st.sampled_from([0, 1 << Feature.REPORTING, 1 << Feature.PAGE_POISON, 0x32]),
    ),
    st.builds(register, st.just("reset")),
    st.builds(register, st.just("inhibit"), st.integers(0, 1)),
    st.builds(register, st.sampled_from(["marker", "status", "hint_command", "collapse"])),
)
ROWS = st.lists(st.one_of(FAULTS, FAULTS, RANGES, RANGES, REGISTERS), max_size=30)


def acceptable(rows: Sequence[Row], blocks: Sequence[Block]) -> list[Row]:
    """Keep the rows that are about memory which these blocks have."""
    kept = []
    for row in rows:
        kind, ram_block, offset, length = row[:4]
        if kind in {"fault", "discard", "swap_out", "access"}:
            if not 0 <= ram_block < len(blocks):
                continue
            ram_bytes = blocks[ram_block]["pages"] * PAGE_BYTES
            if offset >= ram_bytes or (kind != "fault" and offset + length > ram_bytes):
                continue
        elif kind == "report" and ram_block >= len(blocks):
            continue
        kept.append(row)
    return kept
