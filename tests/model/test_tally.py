"""What kernels add up is what their own rows, and the naive twins', come to."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.fleets import STEP_NS, events_of, fleet_of, tally_rows
from tests.naive.naive_replay import Machine
from tests.strategies import (
    HUGE_PAGE_PAGES,
    RANGES,
    ROWS,
    acceptable,
    block,
    fault,
    host_for,
    inflate,
    lay_out,
    machines,
    report,
)
from workbench.model import OK, Outcome, Surprise, new_ledger
from workbench.model.plain_fault import NOT_PLAIN, accept_events
from workbench.model.tally import (
    DIFFERING,
    DISCARDED_HALVES,
    FREED_PAGES,
    HINTED_HALVES,
    INFLATED_PAGES,
    LAST_NS,
    PAGE_NS,
    PEAK_PAGES,
    RECLAIMED_PAGES,
    REPORTED_HALVES,
    SWAP_FREED_PAGES,
    SWAP_IN_FAULTS,
    SWAP_IN_PAGES,
    SWAP_OUT_PAGES,
    Captured,
    new_tally,
)
from workbench.schema import NO_ELEMENT, Kind
from workbench.units import PAGE_BYTES


def memory_over_time(deltas):
    """The integral up to the last change, and the peak."""
    pages = list(accumulate(deltas, initial=0))
    changes = [row for row, delta in enumerate(deltas) if delta]
    last = changes[-1] if changes else 0
    return sum(pages[1 : last + 1]) * STEP_NS, max(pages)


def halves(tally, which):
    return (int(tally.sums[which]) << 32) + int(tally.sums[which + 1])


PLAIN_FAULTS = st.builds(
    fault, st.integers(0, 11), st.just(1), st.sampled_from([0, 1, 1]), st.sampled_from([0, 0, 0, 1])
)
MOSTLY_PLAIN = st.lists(
    st.one_of(PLAIN_FAULTS, PLAIN_FAULTS, PLAIN_FAULTS, PLAIN_FAULTS, RANGES), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.one_of(ROWS, MOSTLY_PLAIN),
    blocks=machines(),
    accept_all=st.sampled_from([True, True, False]),
    keeps_ledger=st.booleans(),
)
def test_a_tally_is_the_sum_of_the_naive_twin_s_rows(rows, blocks, accept_all, keeps_ledger):
    rows = acceptable(rows, blocks) if accept_all else rows
    machine = Machine(blocks, HUGE_PAGE_PAGES, frees_tables=True)
    expected = []
    for row in rows:
        became = machine.step(row)
        if became is None:
            break
        expected.append((row, *became))
    fleet = fleet_of(blocks, host_for(blocks))
    tally = new_tally(1, 0, fleet.host)
    ledger = new_ledger(len(rows) if keeps_ledger else 0)

    stopped_at = tally_rows(rows, Captured(fleet, tally, ledger))

    assert stopped_at == (OK if len(expected) == len(rows) else len(expected))
    counts = Counter((row[0], outcome) for row, outcome, *_ in expected)
    for kind in Kind:
        for outcome in Outcome:
            found = int(tally.occurrences[0, kind, outcome])
            assert found == counts[(kind.name.lower(), outcome.name.lower())]
    surprises = Counter(surprise for _, _, surprise, *_ in expected)
    for surprise in list(Surprise)[1:]:
        assert tally.surprises[surprise] == surprises[surprise.name.lower()]
    for which, column in ((0, 3), (1, 4)):
        page_ns, peak = memory_over_time([each[column] for each in expected])
        assert (tally.pages[which, PAGE_NS], tally.pages[which, PEAK_PAGES]) == (page_ns, peak)
    assert tally.sums[LAST_NS] == max(len(expected) - 1, 0) * STEP_NS
    check_sums(tally, expected)
    if keeps_ledger:
        done = len(expected)
        assert ledger.resident_delta_pages[:done].tolist() == [each[3] for each in expected]
        assert ledger.swapped_delta_pages[:done].tolist() == [each[4] for each in expected]
        assert ledger.freed_pages[:done].tolist() == [each[5] for each in expected]
        names = [Outcome(code).name.lower() for code in ledger.outcome[:done]]
        assert names == [each[1] for each in expected]
        names = [Surprise(code).name.lower() for code in ledger.surprise[:done]]
        assert names == [each[2] for each in expected]


def check_sums(tally, expected):
    reports = [each for each in expected if each[0][0] == "report"]
    taken = [each for each in reports if each[1] == "discarded"]
    inflated = [each for each in expected if each[0][0] == "discard" and each[0][5] == NO_ELEMENT]
    assert halves(tally, REPORTED_HALVES) == sum(each[0][3] for each in reports)
    assert halves(tally, DISCARDED_HALVES) == sum(each[0][3] for each in taken)
    assert tally.sums[RECLAIMED_PAGES] == -sum(each[3] for each in taken)
    assert tally.sums[FREED_PAGES] == sum(each[5] for each in taken)
    assert tally.sums[INFLATED_PAGES] == -sum(each[3] for each in inflated)
    assert tally.sums[SWAP_FREED_PAGES] == -sum(each[4] for each in [*taken, *inflated])
    came = [each for each in expected if each[1] == "swapped_in"]
    went = [each for each in expected if each[1] == "swapped_out"]
    assert tally.sums[SWAP_IN_PAGES] == sum(max(abs(each[3]), 1) for each in came)
    assert tally.sums[SWAP_OUT_PAGES] == sum(abs(each[3]) for each in went)
    flagged = [each for each in expected if each[0][0] == "fault" and each[0][4] & 2]
    assert tally.sums[SWAP_IN_FAULTS] == len(flagged)
    decided = [each for each in reports if each[1] in {"discarded", "discard_failed"}]
    assert tally.sums[DIFFERING] == len(decided)  # None is said to have been discarded.


@pytest.mark.parametrize(
    "wrong", [fault(8), fault(8, 1), fault(-1, 1), fault(0, ram_block=1), fault(0, 1, ram_block=-1)]
)
@pytest.mark.parametrize("keeps_ledger", [False, True])
def test_a_page_that_is_there_is_hit_until_a_row_cannot_be(wrong, keeps_ledger):
    blocks = lay_out([block(8, thp=False)])
    fleet = fleet_of(blocks, host_for(blocks))
    tally = new_tally(1, 0, fleet.host)
    rows = [fault(1, 1), fault(1, 1), fault(2, 1), fault(1, 1), wrong, fault(1, 1)]

    ledger = new_ledger(6 if keeps_ledger else 0)
    assert tally_rows(rows, Captured(fleet, tally, ledger)) == 4

    assert tally.occurrences[0, Kind.FAULT, Outcome.RESIDENT_ALREADY] == 2
    assert tally.occurrences[0, Kind.FAULT, Outcome.FIRST_TOUCH] == 2
    assert tally.sums[LAST_NS] == 3 * STEP_NS


def test_hits_are_counted_for_the_machine_they_are_of():
    """Each touches a page of its own for the first time, and then one that is there."""
    blocks = lay_out([block(8, thp=False), block(8, thp=False)])
    fleet = fleet_of(blocks, host_for(blocks), vms=2)
    tally = new_tally(2, 0, fleet.host)
    vms = [0, 1, 0, 1, 1, 0, 1, 1]

    captured = Captured(fleet, tally, new_ledger(0))
    assert tally_rows([fault(1, 1)] * len(vms), captured, vms) == OK

    counts = tally.occurrences[:, Kind.FAULT]
    assert counts[:, Outcome.FIRST_TOUCH].tolist() == [1, 1]
    assert counts[:, Outcome.RESIDENT_ALREADY].tolist() == [2, 4]


def test_a_page_beside_another_is_a_first_touch_and_after_a_discard_a_refault():
    blocks = lay_out([block(8, thp=False)])
    fleet = fleet_of(blocks, host_for(blocks))
    tally = new_tally(1, 0, fleet.host)
    rows = [fault(1, 1), fault(2, 1), inflate(2, 1), fault(2, 1)]

    assert tally_rows(rows, Captured(fleet, tally, new_ledger(0))) == OK

    assert tally.occurrences[0, Kind.FAULT, Outcome.FIRST_TOUCH] == 2
    assert tally.occurrences[0, Kind.FAULT, Outcome.REFAULT] == 1
    assert tally.pages[0, PEAK_PAGES] == 2


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (fault(3, 1, 1), 2 * 3 + 1),
        (fault(3, 1, 0), 2 * 3),
        (fault(3, 1, 1, ram_block=1), 2 * (8 + 3) + 1),
        (fault(3, 1, 2), NOT_PLAIN),  # From swap.
        (fault(3, 1, 4), NOT_PLAIN),  # A huge page was refused.
        (fault(3, 0, 1), NOT_PLAIN),
        (fault(3, -1, 1), NOT_PLAIN),
        (fault(3, 2, 1), NOT_PLAIN),
        (fault(3, 1, 1, ram_block=2), NOT_PLAIN),  # Shared.
        (fault(3, 1, 1, ram_block=3), NOT_PLAIN),  # In huge pages.
        (report(3, 1), NOT_PLAIN),
    ],
)
def test_a_plain_fault_gets_one_page_of_private_memory(row, expected):
    large = block(HUGE_PAGE_PAGES, 0, HUGE_PAGE_PAGES * PAGE_BYTES)
    blocks = lay_out([block(8), block(8), block(8, shared=True), large])
    fleet = fleet_of(blocks, host_for(blocks))

    # One before and after, so that what was found of them cannot stay.
    events = events_of([fault(0, 1), row, fault(0, 1)])

    assert accept_events(events, fleet) == OK
    assert events.plain_fault.tolist() == [1, expected, 1]


def test_decisions_that_agree_do_not_differ():
    blocks = lay_out([block()])
    fleet = fleet_of(blocks, host_for(blocks))
    tally = new_tally(1, 0, fleet.host)

    rows = [report(0, 4), report(4, 4)]
    tally_rows(rows, Captured(fleet, tally, new_ledger(0)), discarded=[True, False])

    assert tally.sums[DIFFERING] == 1


def test_lengths_of_any_size_add_up():
    blocks = lay_out([block()])
    fleet = fleet_of(blocks, host_for(blocks))
    tally = new_tally(1, 0, fleet.host)
    most = 2**63 - 1
    rows = [("report", -1, 0, most, 0, 1, 0)] * 3 + [("hint_range", 0, 0, most, 0, -1, 0)] * 2

    assert tally_rows(rows, Captured(fleet, tally, new_ledger(0))) == OK

    assert halves(tally, REPORTED_HALVES) == 3 * most
    assert halves(tally, HINTED_HALVES) == 2 * most
