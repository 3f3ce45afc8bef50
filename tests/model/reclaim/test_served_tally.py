"""What is added up as the model of the host serves events is what the naive twins come to."""

from __future__ import annotations

import random
from collections import Counter
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.fleets import events_of, fleet_of
from tests.model.reclaim.machines import RULES, memory_for, naively, two_guests
from tests.naive.naive_replay import Machine
from tests.strategies import (
    HUGE_PAGE_PAGES,
    host_for,
)
from workbench.model import OK, RESIDENT_PAGES, SWAPPED_PAGES, Outcome, Surprise
from workbench.model.columns import DeviceState
from workbench.model.plain_fault import accept_events
from workbench.model.reclaim import (
    LIMIT_PAGES,
    MOVES_AT_ONCE,
    Served,
    begin_lists,
    new_moves,
    run_served_tally,
)
from workbench.model.tally import (
    FREED_PAGES,
    INFLATED_PAGES,
    NOW_PAGES,
    PEAK_PAGES,
    RECLAIMED_PAGES,
    SWAP_FREED_PAGES,
    SWAP_IN_PAGES,
    SWAP_OUT_DEAD_PAGES,
    SWAP_OUT_PAGES,
    SWAP_WRITTEN_PAGES,
    TraceEvents,
    new_tally,
)
from workbench.schema import NO_ELEMENT, Kind
from workbench.units import PAGE_BYTES


def some_rows(chance, count, sizes):
    """Events of two guests with a block each: touches, ranges given back, and what was swapped.

    One in four is about the end of a block, which may cut an allocation off.  In half of all calls
    nearly all are faults that get a page by itself, of few pages.
    """
    rows, vms, plain_share = [], [], chance.choice((0, 0.9))
    for _ in range(count):
        vm = chance.choice((0, 0, 1))
        is_plain = chance.random() < plain_share
        page = chance.randrange(chance.choice((0, 0, 0, sizes[vm] - 6)), sizes[vm])
        page = page // 3 if is_plain else page
        run = min(chance.choice((1, 1, 2, 4, 9, 30)), sizes[vm] - page)
        kind = (
            "fault"
            if is_plain
            else chance.choice(
                (
                    "fault",
                    "fault",
                    "fault",
                    "access",
                    "free",
                    "report",
                    "discard",
                    "swap_out",
                    "marker",
                    "inhibit",
                )
            )
        )
        status = chance.choice((0, 1, 1))
        length = run * PAGE_BYTES
        element = NO_ELEMENT
        if is_plain:
            length = PAGE_BYTES
        elif kind == "fault":
            status |= chance.choice((0, 0, 0, 2, 4))
            length = chance.choice((-1, 0, 1, 1, 2, 3, HUGE_PAGE_PAGES, 16)) * PAGE_BYTES
            length = max(length, -1)
        elif kind in {"discard", "inhibit", "marker"}:
            status = 0
        elif kind == "report":
            status, element = 0, 5
        rows.append((kind, 0, page * PAGE_BYTES, length, status, element, 0))
        vms.append(vm)
    return rows, vms


def requests_of(rows, vms, *, records_accesses):
    """What the naive host is asked, and after which request which event is applied as it is."""
    requests, kept = [], []
    for (kind, _, offset, length, status, element, _), vm in zip(rows, vms, strict=True):
        page, pages = offset // PAGE_BYTES, max(length, 0) // PAGE_BYTES
        if kind == "fault":
            allocated = PAGE_BYTES if status & 2 else (length or -1)
            flags = status & 1 if status & 2 else status
            requests.append(("fault", (vm, page), 1, flags, allocated))
            kept.append(False)
            if length > PAGE_BYTES and not records_accesses:
                first = page // pages * pages
                requests.append(("access", (vm, first), pages, status & 1, -1))
                kept.append(("access", vm, 0, 0, 0, NO_ELEMENT, 0))
        elif kind in {"access", "free"}:
            requests.append((kind, (vm, page), pages, status, -1))
            kept.append((kind, vm, offset, length, status, element, 0))
        elif kind in {"report", "discard"}:
            requests.append(("discard", (vm, page), pages, 0, -1))
            kept.append((kind, vm, offset, length, status, element, 0))
        elif kind != "swap_out":
            requests.append(("access", (vm, 0), 0, 0, -1))
            kept.append((kind, vm, offset, length, status, element, 0))
    return requests, kept


def naive_rows(requests, kept, blocks, limit, **rules):
    """What the naive machine makes of the naive host's moves, and of what is kept.

    It ends with what the host that decided has, or replays of the moves would not be replays.
    """
    host = naively(requests, blocks, limit, **rules)
    moves = host.moves
    machine = Machine(blocks, HUGE_PAGE_PAGES, frees_tables=True)
    rows = []
    for number, event in enumerate(kept):
        for _, kind, (vm, page), pages, status in [m for m in moves if m[0] == number]:
            row = (kind, vm, page * PAGE_BYTES, pages * PAGE_BYTES, status, NO_ELEMENT, 0)
            rows.append((row, *machine.step(row)))
        if event:
            rows.append((event, *machine.step(event)))
    assert (machine.resident, machine.swapped) == (host.resident, host.swapped)
    assert machine.held() == host.held()
    return rows


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.sampled_from([80, 40, 20, 8, 1]),
    limit=st.sampled_from([20, 50, 100, 1000]),
    records_accesses=st.booleans(),
    rules=st.fixed_dictionaries(
        {
            "policy": st.sampled_from(["two_lists", "least_recent"]),
            "keeps_copies": st.booleans(),
            "readahead_pages": st.sampled_from([1, 8]),
            "swap_pages": st.sampled_from([1000, 1000, 30, 5, 1, 0]),
        }
    ),
)
def test_a_served_tally_is_the_sum_of_what_the_naive_twins_do(
    seed, count, limit, records_accesses, rules
):
    sizes = (90, 41)
    blocks = two_guests()
    rows, vms = some_rows(random.Random(seed), count, sizes)
    requests, kept = requests_of(rows, vms, records_accesses=records_accesses)
    if any(page + pages > sizes[vm] for _, (vm, page), pages, *_ in requests):
        return  # What a fault brought would lie beyond the block: the next test is about that.
    expected = naive_rows(requests, kept, blocks, limit, **rules)

    tally, stopped_at = serve(rows, vms, limit, records_accesses=records_accesses, **rules)

    assert stopped_at == OK
    counts = Counter((row[0], outcome) for row, outcome, *_ in expected)
    for kind in Kind:
        for outcome in Outcome:
            found = int(tally.occurrences[:, kind, outcome].sum())
            assert found == counts[(kind.name.lower(), outcome.name.lower())], (kind, outcome)
    surprises = Counter(surprise for _, _, surprise, *_ in expected)
    for surprise in list(Surprise)[1:]:
        assert tally.surprises[surprise] == surprises[surprise.name.lower()]
    came = [each for each in expected if each[1] == "swapped_in"]
    assert tally.sums[SWAP_IN_PAGES] == sum(each[3] for each in came)
    went = [each for each in expected if each[1] == "swapped_out"]
    assert tally.sums[SWAP_OUT_PAGES] == sum(abs(each[3]) for each in went)
    dead = [each for each in went if each[0][4] & 4]
    assert tally.sums[SWAP_OUT_DEAD_PAGES] == sum(abs(each[3]) for each in dead)
    written = [each for each in went if not each[0][4] & 3]
    assert tally.sums[SWAP_WRITTEN_PAGES] == sum(abs(each[3]) for each in written)
    check_ranges(tally, expected)
    for which, column in ((0, 3), (1, 4)):
        pages = list(accumulate([each[column] for each in expected], initial=0))
        assert tally.pages[which, PEAK_PAGES] == max(pages)


def check_ranges(tally, expected):
    """What guests gave back took from memory and from swap what it did in the naive machine."""
    taken = [each for each in expected if each[0][0] == "report" and each[1] == "discarded"]
    inflated = [each for each in expected if each[0][0] == "discard" and each[1] == "discarded"]
    assert tally.sums[RECLAIMED_PAGES] == -sum(each[3] for each in taken)
    assert tally.sums[FREED_PAGES] == sum(each[5] for each in taken)
    assert tally.sums[INFLATED_PAGES] == -sum(each[3] for each in inflated)
    assert tally.sums[SWAP_FREED_PAGES] == -sum(each[4] for each in [*taken, *inflated])


def serve(rows, vms, limit, *, records_accesses, first_rows=None, **rules):
    """Serve rows at once, or `first_rows` of them first."""
    blocks = two_guests()
    memory = memory_for(blocks, {**RULES, **rules}, 0)
    memory = memory._replace(moves=new_moves(MOVES_AT_ONCE + 1000))
    begin_lists(memory)
    memory.reclaim.counts[LIMIT_PAGES] = limit
    fleet = fleet_of(blocks, host_for(blocks), vms=2)
    tally = new_tally(2, 0, memory.host)
    devices = DeviceState(*(register.copy() for register in fleet.devices))
    served = Served(memory, devices, tally, records_accesses)
    events = events_of(rows, vms)
    for part in (slice(0, first_rows), slice(first_rows or len(rows), None)):
        cut = TraceEvents._make(column[part] for column in events)
        stopped_at = accept_events(cut, fleet)
        if stopped_at == OK:
            stopped_at = run_served_tally(cut, fleet, served)
        if stopped_at != OK:
            break
    if stopped_at == OK:
        for which, total in enumerate((RESIDENT_PAGES, SWAPPED_PAGES)):
            assert tally.pages[which, NOW_PAGES] == memory.host.totals[total]
    return tally, stopped_at


def test_many_moves_are_applied_as_they_come():
    """More than wait at once."""
    rows = [("access", 0, 0, 90 * PAGE_BYTES, 1, NO_ELEMENT, 0)] * 40
    tally, stopped_at = serve(rows, [0] * 40, 20, records_accesses=True)

    assert stopped_at == OK
    assert tally.sums[SWAP_OUT_PAGES] > MOVES_AT_ONCE


@pytest.mark.parametrize("policy", ["two_lists", "least_recent"])
def test_a_page_that_is_there_is_touched_and_nothing_moves(policy):
    rows = [("fault", 0, 3 * PAGE_BYTES, PAGE_BYTES, 1, NO_ELEMENT, 0)] * 3

    tally, stopped_at = serve(rows, [1] * 3, 20, records_accesses=True, policy=policy)

    assert stopped_at == OK
    assert tally.occurrences[1, Kind.FAULT, Outcome.FIRST_TOUCH] == 1
    assert tally.occurrences.sum() == 1


def test_it_does_not_matter_how_many_events_are_served_at_once():
    rows, vms = some_rows(random.Random(3), 2000, (90, 41))

    whole, _ = serve(rows, vms, 50, records_accesses=True)
    parts, stopped_at = serve(rows, vms, 50, records_accesses=True, first_rows=700)

    assert stopped_at == OK
    assert whole.sums[SWAP_OUT_PAGES] > 0
    for one, other in zip(whole, parts, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("kind", ["access", "free"])
def test_what_lies_beyond_a_block_is_refused(kind):
    rows = [("marker", -1, 0, 0, 0, NO_ELEMENT, 0)]
    rows += [(kind, 0, 80 * PAGE_BYTES, 11 * PAGE_BYTES, 1, NO_ELEMENT, 0)]

    assert serve(rows, [0, 0], 100, records_accesses=True)[1] == 1


def test_so_is_what_a_fault_brought_beyond_it():
    rows = [("fault", 0, 40 * PAGE_BYTES, HUGE_PAGE_PAGES * PAGE_BYTES, 1, NO_ELEMENT, 0)]

    assert serve(rows, [1], 100, records_accesses=False)[1] == 0
    assert serve(rows, [1], 100, records_accesses=True)[1] == OK
