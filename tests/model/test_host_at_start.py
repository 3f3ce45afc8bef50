"""The host where a trace begins: made of what its `state` says of the pages."""

from __future__ import annotations

import pytest

from tests.strategies import (
    HUGE_PAGE_PAGES,
    block,
    columns,
    constants,
    fault,
    host_for,
    lay_out,
    mappings,
)
from workbench.model import (
    HUGE_PAGE,
    OK,
    PAGE_TABLE,
    RESIDENT_PAGES,
    SWAPPED_PAGES,
    Outcome,
    new_device,
    new_ledger,
    run_events,
    set_pages,
    settle_mappings,
)
from workbench.model.host import HUGE_ZERO_PAGE, NO_TABLE
from workbench.schema import PageFlag, PageState

RAM = lay_out([block(8)])
HUGE = HUGE_PAGE_PAGES


def host_with(*ranges, blocks=RAM):
    host, numbers = host_for(blocks), constants(blocks)
    for first, stop, state in ranges:
        set_pages(first, stop, int(state), numbers, host)
    for number in range(len(blocks)):
        settle_mappings(number, numbers, host)
    return host


def test_a_huge_page_of_resident_pages_is_taken_to_be_one():
    host = host_with((0, 4, PageState.RESIDENT), (4, 6, PageState.RESIDENT))

    assert mappings(host) == [HUGE_PAGE, PAGE_TABLE]
    assert host.totals[RESIDENT_PAGES] == 6


def test_zero_pages_everywhere_are_taken_to_be_the_huge_one():
    assert mappings(host_with((0, 4, PageState.ZERO_PAGE))) == [HUGE_ZERO_PAGE, NO_TABLE]


def test_swapped_pages_are_counted_and_have_a_page_table():
    host = host_with((4, 8, PageState.SWAPPED))

    assert host.totals[SWAPPED_PAGES] == 4
    assert mappings(host) == [NO_TABLE, PAGE_TABLE]


def test_without_huge_pages_every_mapping_has_a_page_table():
    host = host_with((0, 4, PageState.RESIDENT), blocks=lay_out([block(8, thp=False)]))

    assert mappings(host) == [PAGE_TABLE, NO_TABLE]


def test_the_first_of_two_overlapping_ranges_wins():
    host = host_with((0, 2, PageState.RESIDENT), (0, 2, PageState.SWAPPED))

    assert host.totals.tolist() == [2, 0, 2]


def test_an_unbacked_range_holds_nothing():
    host = host_with((0, 8, PageState.UNBACKED))

    assert not host.totals.any()


RESIDENT_OF_HUGE = PageState.RESIDENT | PageFlag.HUGE


def test_a_huge_page_that_lost_pages_is_held_as_a_whole():
    host = host_with((0, 3, RESIDENT_OF_HUGE), (3, 4, PageState.UNBACKED | PageFlag.DISCARDED))

    assert mappings(host)[0] == PAGE_TABLE
    assert host.totals.tolist() == [3, 0, HUGE]


def test_all_pages_of_a_huge_page_are_one_also_where_the_rule_gives_none():
    host = host_with((0, 4, RESIDENT_OF_HUGE), blocks=lay_out([block(8, thp=False)]))

    assert mappings(host) == [HUGE_PAGE, NO_TABLE]
    assert host.totals.tolist() == [HUGE, 0, HUGE]


@pytest.mark.parametrize("state", [PageState.UNBACKED, PageState.RESIDENT, PageState.ZERO_PAGE])
def test_a_page_table_that_is_known_of_stays(state):
    assert mappings(host_with((0, 4, state | PageFlag.TABLE))) == [PAGE_TABLE, NO_TABLE]


def test_what_was_discarded_before_comes_back_as_a_refault():
    host = host_with((0, 1, PageState.UNBACKED | PageFlag.DISCARDED | PageFlag.TABLE))
    ledger = new_ledger(2)
    rows = columns([fault(0, 1), fault(1, 1)])

    assert run_events(rows, constants(RAM), new_device(0, 0), host, ledger) == OK
    assert ledger.outcome.tolist() == [Outcome.REFAULT, Outcome.FIRST_TOUCH]
