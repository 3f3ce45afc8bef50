"""A host written down as rows of `state` is the same host when it is read back."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import (
    HUGE_PAGE_PAGES,
    ROWS,
    Block,
    Row,
    acceptable,
    columns,
    constants,
    host_for,
    machines,
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
from workbench.schema import PAGE_STATE_CODES, PAGE_STATE_MASK
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


@given(blocks=machines(), before=ROWS, after=ROWS, frees=st.booleans())
def test_a_host_that_was_written_down_goes_on_as_if_it_had_not_been(
    *, blocks: list[Block], before: list[Row], after: list[Row], frees: bool
) -> None:
    """Its pages, its mappings and its totals are the same, and so is all that comes after."""
    numbers = constants(blocks, frees_tables=frees)
    host = host_for(blocks)
    run(acceptable(before, blocks), numbers, host)
    again = read_back(blocks, host, numbers)

    assert (again.pages & BITS).tolist() == (host.pages & BITS).tolist()
    assert again.huge_pages.tolist() == host.huge_pages.tolist()
    assert again.totals.tolist() == host.totals.tolist()
    rest = acceptable(after, blocks)
    assert run(rest, numbers, again) == run(rest, numbers, host)


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
