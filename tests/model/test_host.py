"""The host: backing, discarding, swapping, and what huge pages change about each."""

from __future__ import annotations

import pytest

from tests.strategies import (
    HUGE_PAGE_PAGES,
    block,
    fault,
    host_for,
    inflate,
    lay_out,
    mappings,
    report,
    run_rows,
    swap_out,
)
from workbench.model import (
    HELD_PAGES,
    RESIDENT_PAGES,
    page_states,
)
from workbench.model.host import HUGE_ZERO_PAGE, NO_TABLE, PAGE_TABLE
from workbench.schema import FaultFlag, PageState
from workbench.units import PAGE_BYTES

RAM = lay_out([block(8)])
WRITE = int(FaultFlag.WRITE)
READ = 0
UNKNOWN = -1
NOTHING = 0
ONE_PAGE = 1
HUGE = HUGE_PAGE_PAGES
REFUSED = int(FaultFlag.WRITE | FaultFlag.HUGE_REFUSED)
SWAPPED_IN = int(FaultFlag.WRITE | FaultFlag.SWAP_IN)


def last(*rows, blocks=RAM, **choices):
    """The last row of the ledger: outcome, surprise, resident, swapped, freed."""
    return run_rows(rows, blocks, **choices).ledger[-1]


def backed(*rows, blocks=RAM, **choices):
    """How many pages the last event backed."""
    return last(*rows, blocks=blocks, **choices)[2]


# --- first touches ------------------------------------------------------------------------------


def test_a_write_into_an_empty_huge_page_of_address_space_backs_all_of_it():
    assert last(fault(2)) == ("first_touch", "no_surprise", HUGE, 0, 0)


def test_evidence_of_one_page_wins_over_the_rule_and_is_counted():
    assert last(fault(2, ONE_PAGE)) == ("first_touch", "huge_page_not_had", 1, 0, 0)


def test_a_refused_huge_page_is_no_surprise():
    assert last(fault(2, ONE_PAGE, REFUSED)) == ("first_touch", "no_surprise", 1, 0, 0)
    assert last(fault(2, UNKNOWN, REFUSED)) == ("first_touch", "no_surprise", 1, 0, 0)


def test_after_one_page_the_others_come_one_by_one():
    assert backed(fault(2, ONE_PAGE, REFUSED), fault(3)) == 1


def test_a_huge_page_beside_other_pages_is_a_surprise_and_stands_for_the_page():
    rows = fault(2, ONE_PAGE, REFUSED), fault(3, HUGE)

    assert last(*rows) == ("first_touch", "huge_page_unexpected", 1, 0, 0)


def test_a_huge_page_in_an_empty_page_table_is_a_surprise_and_is_believed():
    rows = fault(2, ONE_PAGE, REFUSED), report(2, 1), fault(3, HUGE)

    assert last(*rows) == ("first_touch", "huge_page_unexpected", HUGE, 0, 0)


def test_an_allocation_between_a_page_and_a_huge_page_backs_its_aligned_range():
    rows = fault(3, 2, REFUSED), fault(2, ONE_PAGE)

    assert backed(rows[0]) == 2
    assert last(*rows)[0] == "resident_already"


def test_a_block_without_huge_pages_is_backed_page_by_page():
    assert backed(fault(2), blocks=lay_out([block(8, thp=False)])) == 1


def test_an_incomplete_huge_page_of_address_space_is_backed_page_by_page():
    """The block begins in the middle of one and ends in the middle of another."""
    blocks = lay_out([block(8, offset=2)])

    assert backed(fault(0), blocks=blocks) == 1
    assert backed(fault(2), blocks=blocks) == HUGE
    assert backed(fault(7), blocks=blocks) == 1


def test_a_huge_page_that_sticks_out_of_the_block_backs_what_is_inside():
    blocks = lay_out([block(8, offset=2)])

    assert backed(fault(0, HUGE), blocks=blocks) == 2


def test_two_blocks_never_share_a_huge_page():
    blocks = lay_out([block(6), block(6)])
    rows = fault(4, HUGE), fault(0, ram_block=1)

    assert [row[2] for row in run_rows(rows, blocks).ledger] == [2, HUGE]


def test_large_pages_come_whole_read_or_written():
    blocks = lay_out([block(8, page_bytes=HUGE * PAGE_BYTES)])

    assert backed(fault(5, NOTHING, READ), blocks=blocks) == HUGE


def test_shared_memory_has_no_zero_page():
    blocks = lay_out([block(8, shared=True)])

    assert last(fault(5, NOTHING, READ), blocks=blocks) == ("first_touch", "no_surprise", 1, 0, 0)
    assert backed(fault(5, HUGE, READ), blocks=blocks) == HUGE


def test_a_second_touch_changes_nothing():
    assert last(fault(2), fault(2, ONE_PAGE)) == ("resident_already", "no_surprise", 0, 0, 0)


def test_a_write_that_allocated_nothing_backs_nothing():
    assert last(fault(2, NOTHING)) == ("no_outcome", "nothing_allocated", 0, 0, 0)


# --- the zero page ------------------------------------------------------------------------------


@pytest.mark.parametrize("allocated", [UNKNOWN, NOTHING])
def test_a_read_maps_the_huge_zero_page_and_backs_nothing(allocated):
    result = run_rows([fault(2, allocated, READ)], RAM)

    assert result.ledger == [("zero_page_mapped", "no_surprise", 0, 0, 0)]
    assert mappings(result.host) == [HUGE_ZERO_PAGE, NO_TABLE]
    assert (page_states(result.host)[:HUGE] == PageState.ZERO_PAGE).all()


def test_a_read_beside_other_pages_maps_one_zero_page():
    result = run_rows([fault(2, ONE_PAGE, REFUSED), fault(3, NOTHING, READ)], RAM)

    assert (page_states(result.host) == PageState.ZERO_PAGE).sum() == 1


def test_a_write_to_the_huge_zero_page_backs_a_huge_page():
    for allocated in (UNKNOWN, HUGE):
        rows = fault(2, NOTHING, READ), fault(3, allocated)
        assert last(*rows) == ("first_touch", "no_surprise", HUGE, 0, 0)


def test_an_older_kernel_splits_the_huge_zero_page():
    rows = [fault(2, NOTHING, READ), fault(3, ONE_PAGE)]
    result = run_rows(rows, RAM)

    assert result.ledger[-1] == ("first_touch", "no_surprise", 1, 0, 0)
    assert (page_states(result.host) == PageState.ZERO_PAGE).sum() == HUGE - 1
    assert mappings(result.host)[0] == PAGE_TABLE


def test_a_read_of_a_zero_page_leaves_it():
    rows = fault(2, NOTHING, READ), fault(3, NOTHING, READ)

    assert last(*rows) == ("zero_page_mapped", "no_surprise", 0, 0, 0)


def test_a_discarded_zero_page_held_nothing_so_its_return_is_no_refault():
    assert last(fault(2, NOTHING, READ), report(0, 4), fault(2))[0] == "first_touch"


# --- discards -----------------------------------------------------------------------------------


def test_a_discarded_page_comes_back_as_a_refault():
    assert last(fault(2), report(0, 4), fault(2))[0] == "refault"


def test_only_the_page_that_was_discarded_refaults():
    rows = fault(0, ONE_PAGE, REFUSED), report(0, 1), fault(1, ONE_PAGE)

    assert last(*rows)[0] == "first_touch"


def test_a_page_that_is_discarded_twice_is_given_back_once():
    assert last(fault(2), report(0, 4), report(0, 4)) == ("discarded", "no_surprise", 0, 0, 0)


def test_a_whole_huge_mapping_leaves_no_page_table_on_any_kernel():
    for frees_tables in (True, False):
        assert backed(fault(0), report(0, 4), fault(0), frees_tables=frees_tables) == HUGE


def test_a_page_table_goes_in_one_call_only_where_the_host_frees_empty_ones():
    rows = fault(0, ONE_PAGE, REFUSED), report(0, 4), fault(0)

    assert backed(*rows, frees_tables=True) == HUGE
    assert backed(*rows, frees_tables=False) == 1


def test_two_calls_of_half_leave_the_page_table():
    assert backed(fault(0), report(0, 2), report(2, 2), fault(0)) == 1


def test_a_discard_over_two_huge_pages_frees_both_tables():
    rows = fault(0), fault(4), report(0, 8), fault(0), fault(4)

    assert [row[2] for row in run_rows(rows, RAM).ledger] == [HUGE, HUGE, -8, HUGE, HUGE]


def test_a_partial_discard_frees_no_host_memory_until_the_last_page_goes():
    """Measured on Linux 6.18: 511 of 512 pages discarded, MemFree +0."""
    rows = fault(0), report(0, 3), report(3, 1)

    assert [row[2:] for row in run_rows(rows, RAM).ledger] == [(4, 0, 0), (-3, 0, 0), (-1, 0, 4)]


def test_a_page_beside_a_surviving_huge_page_costs_more_host_memory():
    result = run_rows([fault(0), report(0, 3), fault(1, ONE_PAGE)], RAM)

    assert result.host.totals[RESIDENT_PAGES] == 2
    assert result.host.totals[HELD_PAGES] == HUGE + 1


def test_pages_that_came_one_by_one_are_freed_one_by_one():
    assert last(fault(0, ONE_PAGE, REFUSED), report(0, 1)) == ("discarded", "no_surprise", -1, 0, 1)


def test_half_a_page_is_not_discarded():
    """The inflating balloon on large host pages: only whole pages inside the range go."""
    half = ("discard", 0, PAGE_BYTES // 2, PAGE_BYTES, 0, -1, 0)

    assert last(fault(0), half)[2] == 0


def test_a_discard_of_no_whole_page_leaves_a_huge_mapping_whole():
    """So the discard of all of it still leaves no page table behind."""
    half = ("discard", 0, PAGE_BYTES, PAGE_BYTES // 2, 0, -1, 0)

    assert backed(fault(0), half, report(0, 4), fault(0), frees_tables=False) == HUGE


def test_the_inflated_balloon_gives_back_like_a_report():
    assert last(fault(0), inflate(0, 4)) == ("discarded", "no_surprise", -4, 0, 4)


# --- swap ---------------------------------------------------------------------------------------


def test_a_huge_page_is_swapped_out_whole_and_comes_back_page_by_page():
    rows = fault(0), swap_out(0, 4), fault(1, ONE_PAGE, SWAPPED_IN), fault(2, ONE_PAGE, SWAPPED_IN)

    assert run_rows(rows, RAM).ledger[1:] == [
        ("swapped_out", "no_surprise", -4, 4, 4),
        ("swapped_in", "no_surprise", 1, -1, 0),
        ("swapped_in", "no_surprise", 1, -1, 0),
    ]


def test_swapping_part_of_a_huge_page_splits_it():
    """What was discarded of it becomes free at that moment."""
    rows = fault(0), report(0, 1), swap_out(1, 1)

    assert last(*rows) == ("swapped_out", "no_surprise", -1, 1, 2)


def test_swap_entries_keep_a_huge_page_away():
    rows = fault(0), swap_out(0, 4), report(0, 3), fault(0)

    assert backed(*rows) == 1


def test_a_discard_takes_pages_out_of_swap():
    rows = fault(0), swap_out(0, 4), report(0, 4), fault(0)
    ledger = run_rows(rows, RAM).ledger

    assert ledger[2] == ("discarded", "no_surprise", 0, -4, 0)
    assert ledger[3][0] == "refault"


def test_a_larger_allocation_brings_its_neighbours_back_from_swap():
    rows = fault(0), swap_out(0, 4), fault(1, 2, SWAPPED_IN)

    assert last(*rows) == ("swapped_in", "no_surprise", 2, -2, 0)


def test_a_page_that_comes_back_without_having_been_seen_to_leave_is_counted():
    assert last(fault(0), fault(1, 1, SWAPPED_IN)) == ("swapped_in", "swap_out_missed", 0, 0, 0)


def test_a_page_that_comes_back_without_having_been_backed_is_backed_and_counted():
    assert last(fault(1, 1, SWAPPED_IN)) == ("swapped_in", "first_touch_missed", 1, 0, 0)


def test_a_touch_of_a_swapped_page_brings_it_back_and_is_counted():
    rows = fault(0), swap_out(0, 4), fault(1, 1)

    assert last(*rows) == ("swapped_in", "swap_in_missed", 1, -1, 0)


def test_swapping_out_what_is_not_there_changes_nothing_and_is_counted():
    assert last(swap_out(0, 4)) == ("swapped_out", "swap_out_of_absent", 0, 0, 0)


# --- what cannot be accepted --------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        ("unknown", 0, 0, 0, 0, -1, 0),
        ("fault", 0, 8 * PAGE_BYTES, PAGE_BYTES, 1, -1, 0),
        ("fault", 1, 0, PAGE_BYTES, 1, -1, 0),
        ("fault", -1, 0, PAGE_BYTES, 1, -1, 0),
        ("fault", 0, -PAGE_BYTES, PAGE_BYTES, 1, -1, 0),
        ("swap_out", 0, 7 * PAGE_BYTES, 2 * PAGE_BYTES, 0, -1, 0),
        ("discard", 0, 0, 2**63 - 1, 0, -1, 0),
        ("discard", 0, 2**63 - 1, 2**63 - 1, 0, -1, 0),
        ("discard", 0, 0, -PAGE_BYTES, 0, -1, 0),
        ("report", 1, 0, PAGE_BYTES, 0, 1, 0),
        ("report", 0, 0, -PAGE_BYTES, 0, 1, 0),
        ("report", 0, -PAGE_BYTES, PAGE_BYTES, 0, 1, 0),
        ("report", -2, 0, PAGE_BYTES, 0, 1, 0),
    ],
)
def test_a_row_that_cannot_be_is_named_and_not_applied(row):
    result = run_rows([fault(0), row, fault(4)], RAM)

    assert result.stopped_at == 1
    assert result.host.totals[RESIDENT_PAGES] == HUGE


def test_a_report_of_what_is_no_ram_may_have_any_address():
    assert last(("report", -1, -4096, PAGE_BYTES, 0, 1, 0))[0] == "skipped_bad_address"


def test_a_new_host_holds_nothing():
    host = host_for(RAM)

    assert not host.totals.any()
    assert not host.pages.any()
