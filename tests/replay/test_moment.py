"""A host written down as rows of `state` is the same host when it is read back."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import (
    HUGE_PAGE_PAGES,
    Block,
    Row,
    block,
    columns,
    constants,
    fault,
    host_for,
    inflate,
    lay_out,
    machines,
    swap_out,
)
from workbench.model import (
    IS_HUGE,
    OK,
    WAS_DISCARDED,
    Constants,
    HostState,
    new_device,
    new_ledger,
    run_events,
    set_pages,
    settle_mappings,
)
from workbench.replay.moment import state_rows
from workbench.schema import PAGE_STATE_CODES, PAGE_STATE_MASK, FaultFlag
from workbench.units import PAGE_BYTES

BITS = PAGE_STATE_MASK | WAS_DISCARDED | IS_HUGE
"""What a replay as captured knows of a page."""


def run(rows: list[Row], numbers: Constants, host: HostState) -> list[list[int]]:
    """Apply events, and give the ledger."""
    ledger = new_ledger(len(rows))
    assert run_events(columns(rows), numbers, new_device(0, 0), host, ledger) == OK
    return [column.tolist() for column in ledger]


def read_back(blocks: list[Block], host: HostState, numbers: Constants) -> HostState:
    """Write the host down, and make one of what was written."""
    state = state_rows(host, numbers)
    again = host_for(blocks)
    assert set(state["page_state"].tolist()) <= set(PAGE_STATE_CODES)
    for row in range(state["page_state"].size):
        start = blocks[state["ram_block"][row]]["start"]
        first = start + state["offset_bytes"][row] // PAGE_BYTES
        stop = first + state["length_bytes"][row] // PAGE_BYTES
        set_pages(int(first), int(stop), int(state["page_state"][row]), numbers, again)
    for number in range(len(blocks)):
        settle_mappings(number, numbers, again)
    return again


@st.composite
def happenings(draw: st.DrawFn) -> tuple[list[Block], list[Row]]:
    """One machine, and many events about memory that it has."""
    blocks = draw(machines())
    rows = []
    for _ in range(draw(st.integers(1, 25))):
        ram_block = draw(st.integers(0, len(blocks) - 1))
        pages = blocks[ram_block]["pages"]
        huge = draw(st.integers(0, pages // HUGE_PAGE_PAGES)) * HUGE_PAGE_PAGES
        first = min(draw(st.sampled_from([huge, huge, huge + 1, huge + 2])), pages - 1)
        count = min(draw(st.sampled_from([1, 2, HUGE_PAGE_PAGES])), pages - first)
        allocated = draw(st.sampled_from([-1, -1, 0, 1, HUGE_PAGE_PAGES]))
        rows.append(
            draw(
                st.sampled_from(
                    [
                        fault(first, allocated, int(FaultFlag.WRITE), ram_block),
                        fault(first, allocated, 0, ram_block),
                        inflate(first, count, ram_block),
                        inflate(first, count, ram_block),
                        swap_out(first, count, ram_block),
                    ]
                )
            )
        )
    return blocks, rows


@settings(max_examples=400)
@given(happened=happenings(), stop=st.integers(0, 25), frees=st.booleans())
def test_a_host_that_was_written_down_goes_on_as_if_it_had_not_been(
    *, happened: tuple[list[Block], list[Row]], stop: int, frees: bool
) -> None:
    """Its pages, its mappings and its totals are the same, and so is all that comes after."""
    blocks, rows = happened
    numbers = constants(blocks, frees_tables=frees)
    host = host_for(blocks)
    run(rows[:stop], numbers, host)
    again = read_back(blocks, host, numbers)

    assert (again.pages & BITS).tolist() == (host.pages & BITS).tolist()
    assert again.huge_pages.tolist() == host.huge_pages.tolist()
    assert again.totals.tolist() == host.totals.tolist()
    assert run(rows[stop:], numbers, again) == run(rows[stop:], numbers, host)


def test_pages_that_agree_are_one_row() -> None:
    """Also across the ends of huge pages."""
    blocks = [{"start": 0, "pages": 12, "offset": 0, "page_bytes": 4096, "shared": False}]
    blocks[0]["thp"] = True
    host, numbers = host_for(blocks), constants(blocks)
    set_pages(2, 2 * HUGE_PAGE_PAGES + 1, 1, numbers, host)
    settle_mappings(0, numbers, host)
    rows = state_rows(host, numbers)

    assert rows["offset_bytes"].tolist() == [2 * PAGE_BYTES]
    assert np.array_equal(rows["length_bytes"], [7 * PAGE_BYTES])


def test_zero_pages_one_by_one_are_not_the_huge_one() -> None:
    """A write there gets a page; it would get a huge page if the mapping were one."""
    blocks = lay_out([block(HUGE_PAGE_PAGES)])
    host, numbers = host_for(blocks), constants(blocks, frees_tables=False)
    reads = [fault(page, 0, 0) for page in range(HUGE_PAGE_PAGES)]
    run([fault(0, 1), inflate(0, HUGE_PAGE_PAGES), *reads], numbers, host)
    again = read_back(blocks, host, numbers)

    write = [fault(1)]
    assert run(write, numbers, again) == run(write, numbers, host)
    assert again.totals.tolist() == host.totals.tolist() == [1, 0, 1]
