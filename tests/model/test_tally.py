"""What kernels add up is what their own rows, and the naive twins', come to."""

from __future__ import annotations

import random
from collections import Counter
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.reclaim.machines import RULES, memory_for, naively, two_guests
from tests.naive.naive_replay import Machine
from tests.strategies import (
    HUGE_PAGE_PAGES,
    ROWS,
    acceptable,
    block,
    constants,
    fault,
    host_for,
    lay_out,
    machines,
    report,
)
from workbench.model import OK, RESIDENT_PAGES, SWAPPED_PAGES, Outcome, Surprise, new_ledger
from workbench.model.columns import DeviceState
from workbench.model.reclaim import (
    LIMIT_PAGES,
    MOVES_AT_ONCE,
    begin_lists,
    new_moves,
    run_served_tally,
)
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
    SWAP_OUT_DEAD_PAGES,
    SWAP_OUT_PAGES,
    SWAP_WRITTEN_PAGES,
    Fleet,
    TraceEvents,
    new_tally,
)
from workbench.model.tally_run import run_tally
from workbench.schema import NO_ELEMENT, Kind
from workbench.units import PAGE_BYTES

STEP_NS = 7


def fleet_of(blocks, host, vms=1):
    """Machines that have the same number of these blocks each."""
    fixed = constants(blocks)
    each = len(blocks) // vms
    first_block = np.arange(vms) * each
    zeros = np.zeros(vms, np.int64)
    devices = DeviceState(*(zeros.copy() for _ in DeviceState._fields))
    counts = np.full(vms, each)
    return Fleet(fixed, first_block, counts, fixed.blocks[first_block, 0].copy(), devices, host)


def events_of(rows, vms=None, discarded=None):
    """Rows of `tests.strategies`, one every STEP_NS, as a trace has them."""
    codes = [99 if row[0] == "unknown" else int(Kind[row[0].upper()]) for row in rows]
    numbers = np.array([row[1:] for row in rows], np.int64).reshape(len(rows), 6)
    count = len(rows)
    columns = TraceEvents(
        time_ns=np.arange(count, dtype=np.int64) * STEP_NS,
        vm=np.zeros(count, np.int32) if vms is None else np.array(vms, np.int32),
        kind=np.array(codes, np.int8),
        ram_block=numbers[:, 0].astype(np.int16),
        offset_bytes=numbers[:, 1].copy(),
        length_bytes=numbers[:, 2].copy(),
        status=numbers[:, 3].copy(),
        element=numbers[:, 4].copy(),
        discard_status=numbers[:, 5].copy(),
        discarded=np.zeros(0 if discarded is None else count, np.bool_),
    )
    if discarded is not None:
        columns.discarded[:] = discarded
    for column in columns:
        column.flags.writeable = False
    return columns


def memory_over_time(deltas):
    """The integral up to the last change, and the peak."""
    pages = list(accumulate(deltas, initial=0))
    changes = [row for row, delta in enumerate(deltas) if delta]
    last = changes[-1] if changes else 0
    return sum(pages[1 : last + 1]) * STEP_NS, max(pages)


def halves(tally, which):
    return (int(tally.sums[which]) << 32) + int(tally.sums[which + 1])


@settings(max_examples=150, deadline=None)
@given(
    rows=ROWS,
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

    stopped_at = run_tally(events_of(rows), fleet, tally, ledger)

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


@pytest.mark.parametrize("wrong", [fault(8), fault(0, ram_block=1), fault(0, ram_block=-1)])
@pytest.mark.parametrize("keeps_ledger", [False, True])
def test_a_page_that_is_there_is_hit_until_a_row_cannot_be(wrong, keeps_ledger):
    blocks = lay_out([block(8, thp=False)])
    fleet = fleet_of(blocks, host_for(blocks))
    tally = new_tally(1, 0, fleet.host)
    rows = [fault(1, 1), fault(1, 1), fault(2, 1), fault(1, 1), wrong, fault(1, 1)]

    assert run_tally(events_of(rows), fleet, tally, new_ledger(6 if keeps_ledger else 0)) == 4

    assert tally.occurrences[0, Kind.FAULT, Outcome.RESIDENT_ALREADY] == 2
    assert tally.occurrences[0, Kind.FAULT, Outcome.FIRST_TOUCH] == 2
    assert tally.sums[LAST_NS] == 3 * STEP_NS


def test_decisions_that_agree_do_not_differ():
    blocks = lay_out([block()])
    fleet = fleet_of(blocks, host_for(blocks))
    tally = new_tally(1, 0, fleet.host)

    run_tally(
        events_of([report(0, 4), report(4, 4)], discarded=[True, False]),
        fleet,
        tally,
        new_ledger(0),
    )

    assert tally.sums[DIFFERING] == 1


def test_lengths_of_any_size_add_up():
    blocks = lay_out([block()])
    fleet = fleet_of(blocks, host_for(blocks))
    tally = new_tally(1, 0, fleet.host)
    most = 2**63 - 1
    rows = [("report", -1, 0, most, 0, 1, 0)] * 3 + [("hint_range", 0, 0, most, 0, -1, 0)] * 2

    assert run_tally(events_of(rows), fleet, tally, new_ledger(0)) == OK

    assert halves(tally, REPORTED_HALVES) == 3 * most
    assert halves(tally, HINTED_HALVES) == 2 * most


# --- as the model of the host serves them ---------------------------------------------------------


def some_rows(chance, count, sizes):
    """Events of two guests with a block each: touches, ranges given back, and what was swapped."""
    rows, vms = [], []
    for _ in range(count):
        vm = chance.choice((0, 0, 1))
        page = chance.randrange(sizes[vm])
        run = min(chance.choice((1, 1, 2, 4, 9, 30)), sizes[vm] - page)
        kind = chance.choice(
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
        status = chance.choice((0, 1, 1))
        length = run * PAGE_BYTES
        element = NO_ELEMENT
        if kind == "fault":
            status |= chance.choice((0, 0, 0, 2, 4))
            length = chance.choice((-1, 0, 1, 1, 2, HUGE_PAGE_PAGES)) * PAGE_BYTES
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
    """What the naive machine makes of the naive host's moves, and of what is kept."""
    moves = naively(requests, blocks, limit, **rules).moves
    machine = Machine(blocks, HUGE_PAGE_PAGES, frees_tables=True)
    rows = []
    for number, event in enumerate(kept):
        for _, kind, (vm, page), pages, status in [m for m in moves if m[0] == number]:
            row = (kind, vm, page * PAGE_BYTES, pages * PAGE_BYTES, status, NO_ELEMENT, 0)
            rows.append((row, *machine.step(row)))
        if event:
            rows.append((event, *machine.step(event)))
    return rows


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 80),
    limit=st.sampled_from([20, 50, 100, 1000]),
    records_accesses=st.booleans(),
    rules=st.fixed_dictionaries(
        {
            "policy": st.sampled_from(["two_lists", "least_recent"]),
            "keeps_copies": st.booleans(),
            "readahead_pages": st.sampled_from([1, 8]),
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
    went = [each for each in expected if each[1] == "swapped_out"]
    assert tally.sums[SWAP_OUT_PAGES] == sum(abs(each[3]) for each in went)
    dead = [each for each in went if each[0][4] & 4]
    assert tally.sums[SWAP_OUT_DEAD_PAGES] == sum(abs(each[3]) for each in dead)
    written = [each for each in went if not each[0][4] & 3]
    assert tally.sums[SWAP_WRITTEN_PAGES] == sum(abs(each[3]) for each in written)
    for which, column in ((0, 3), (1, 4)):
        pages = list(accumulate([each[column] for each in expected], initial=0))
        assert tally.pages[which, PEAK_PAGES] == max(pages)


def serve(rows, vms, limit, *, records_accesses, **rules):
    blocks = two_guests()
    memory = memory_for(blocks, {**RULES, **rules}, 0)
    memory = memory._replace(moves=new_moves(MOVES_AT_ONCE + 1000))
    begin_lists(memory)
    memory.reclaim.counts[LIMIT_PAGES] = limit
    fleet = fleet_of(blocks, host_for(blocks), vms=2)
    tally = new_tally(2, 0, fleet.host)
    events = events_of(rows, vms)
    stopped_at = run_served_tally(events, memory, fleet, tally, records_accesses)
    if stopped_at == OK:
        for total in (RESIDENT_PAGES, SWAPPED_PAGES):
            assert fleet.host.totals[total] == memory.host.totals[total]
    return tally, stopped_at


def test_many_moves_are_applied_as_they_come():
    """More than wait at once."""
    rows = [("access", 0, 0, 90 * PAGE_BYTES, 1, NO_ELEMENT, 0)] * 40
    tally, stopped_at = serve(rows, [0] * 40, 20, records_accesses=True)

    assert stopped_at == OK
    assert tally.sums[SWAP_OUT_PAGES] > MOVES_AT_ONCE


@pytest.mark.parametrize("kind", ["access", "free"])
def test_what_lies_beyond_a_block_is_refused(kind):
    rows = [("marker", -1, 0, 0, 0, NO_ELEMENT, 0)]
    rows += [(kind, 0, 80 * PAGE_BYTES, 11 * PAGE_BYTES, 1, NO_ELEMENT, 0)]

    assert serve(rows, [0, 0], 100, records_accesses=True)[1] == 1


def test_so_is_what_a_fault_brought_beyond_it():
    rows = [("fault", 0, 40 * PAGE_BYTES, HUGE_PAGE_PAGES * PAGE_BYTES, 1, NO_ELEMENT, 0)]

    assert serve(rows, [1], 100, records_accesses=False)[1] == 0
    assert serve(rows, [1], 100, records_accesses=True)[1] == OK
