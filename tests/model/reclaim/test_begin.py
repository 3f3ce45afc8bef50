"""A host some of whose pages are in memory or in swap when a capture begins."""

from __future__ import annotations

import numpy as np

from tests.model.reclaim.machines import RULES, columns_of, memory_for, touch, two_guests
from tests.strategies import HUGE_PAGE_PAGES
from workbench.model import FIRST_PAGE, set_pages, settle_mappings
from workbench.model.page_bits import IS_LIVE
from workbench.model.reclaim import (
    INACTIVE,
    LIST_PAGES,
    SLOTS_USED,
    begin_lists,
    run_requests,
    written_moves,
)
from workbench.schema import Kind, PageState


def test_what_is_there_is_on_the_inactive_list_or_in_swap_and_counts_as_live():
    memory = memory_for(two_guests(), RULES, 100)
    second = int(memory.constants.blocks[1, FIRST_PAGE])
    first = HUGE_PAGE_PAGES
    set_pages(first, first + HUGE_PAGE_PAGES, PageState.RESIDENT, memory.constants, memory.host)
    set_pages(second, second + 3, PageState.RESIDENT, memory.constants, memory.host)
    set_pages(second + 5, second + 7, PageState.SWAPPED, memory.constants, memory.host)
    for block in (0, 1):
        settle_mappings(block, memory.constants, memory.host)

    begin_lists(memory)

    assert memory.reclaim.counts[LIST_PAGES + INACTIVE] == HUGE_PAGE_PAGES + 3
    assert memory.reclaim.counts[SLOTS_USED] == 2
    assert np.count_nonzero(memory.host.pages & IS_LIVE) == HUGE_PAGE_PAGES + 5
    requests = columns_of([touch(5, ram_block=1)], two_guests(), 100)
    assert run_requests(requests, memory) == 1
    assert written_moves(memory).kind[0] == Kind.FAULT
    assert memory.reclaim.counts[SLOTS_USED] == 1
