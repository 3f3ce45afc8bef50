"""The curve of all sizes against a host of every size, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.naive.naive_curve import NaiveHost, naive_curve
from workbench.model.curve import (
    HITS,
    IN_SWAP,
    READS,
    SLOT,
    WRITES,
    Rules,
    Uses,
    count_final_writes,
    count_hits,
    new_stack,
    new_tally,
    run_uses,
)
from workbench.model.curve.columns import EMPTY, FAN, NEXT_SLOT, PART_SLOTS, WORD_SLOTS
from workbench.model.curve.one_size import HELD_PAGES
from workbench.schema import Kind

PAGES = 14
SIZES = range(1, PAGES + 1)
KINDS = {
    "touch": (Kind.FAULT, False),
    "write": (Kind.FAULT, True),
    "access": (Kind.ACCESS, False),
    "rewrite": (Kind.ACCESS, True),
    "discard": (Kind.DISCARD, False),
    "free": (Kind.FREE, False),
    "clear": (Kind.FREE, True),
}
RANGES = st.integers(0, PAGES - 1).flatmap(
    lambda first: st.tuples(st.just(first), st.integers(0, min(PAGES - first, 3)))
)
USES = st.lists(st.tuples(st.sampled_from(list(KINDS)), RANGES).map(lambda u: (u[0], *u[1])))
PAGES_IN_SWAP = st.sets(st.integers(0, PAGES - 1), max_size=4)
ROOM = st.sampled_from([0, 1, 5, 20, 1000])
"""Slots that are left before they are numbered anew."""


def columns(uses):
    kinds = [KINDS[word] for word, _, _ in uses]
    return Uses(
        kind=np.array([kind for kind, _ in kinds], np.int8),
        page=np.array([first for _, first, _ in uses], np.int64),
        page_count=np.array([count for _, _, count in uses], np.int64),
        writes=np.array([writes for _, writes in kinds], np.bool_),
    )


def curve(uses, *, keeps_copies, in_swap=(), room=1000, page_count=PAGES):
    stack, tally = new_stack(page_count), new_tally(page_count)
    stack.pages[list(in_swap), SLOT] = IN_SWAP
    pass_over(stack, stack.empty.size * WORD_SLOTS - room)
    run_uses(columns(uses), Rules(keeps_copies), stack, tally)
    count_final_writes(stack, tally)
    return stack, tally


def pass_over(stack, count):
    """Leave so many slots empty at the top: pages have stood there, and do no longer."""
    first = stack.numbers[NEXT_SLOT]
    is_empty = np.unpackbits(stack.empty.view(np.uint8), bitorder="little")
    is_empty[first : first + count] = 1
    stack.empty[:] = np.packbits(is_empty, bitorder="little").view(np.uint32)
    by_word = is_empty.reshape(-1, WORD_SLOTS).sum(axis=1, dtype=np.int64)
    by_section = by_word.reshape(-1, FAN).sum(axis=1)
    by_part = by_section.reshape(-1, FAN).sum(axis=1)
    stack.before_word[:] = before(by_word.reshape(-1, FAN)).ravel()
    stack.before_section[:] = before(by_section.reshape(-1, FAN)).ravel()
    stack.before_part[:] = before(by_part)
    stack.numbers[EMPTY] += count
    stack.numbers[NEXT_SLOT] += count


def before(counts):
    """Add up what comes before each in its row."""
    return counts.cumsum(axis=-1) - counts


def counts_by_size(tally):
    """Reads, dead reads, writes and dead writes of every size, from what a tally means."""
    return [
        tuple(
            int(
                counted[size + 1 :, READS].sum()
                if column == READS
                else counted[: size + 1, 1].sum()
            )
            for column in (READS, WRITES)
            for counted in tally
        )
        for size in range(1, len(tally.all) - 1)
    ]


@settings(max_examples=150, deadline=None)
@given(uses=USES, keeps_copies=st.booleans(), in_swap=PAGES_IN_SWAP, room=ROOM)
@example(
    uses=[("write", 0, 3), ("touch", 0, 1), ("touch", 1, 1)],
    keeps_copies=True,
    in_swap={0},
    room=5,
)
def test_every_size_reads_and_writes_what_a_host_of_that_size_does(
    uses, keeps_copies, in_swap, room
):
    _, tally = curve(uses, keeps_copies=keeps_copies, in_swap=in_swap, room=room)

    expected = naive_curve(uses, sizes=SIZES, keeps_copies=keeps_copies, in_swap=in_swap)
    assert counts_by_size(tally) == expected


@settings(max_examples=40, deadline=None)
@given(
    parts=st.lists(st.tuples(USES, st.sampled_from([0, 40, 3000, 140_000])), min_size=1),
    keeps_copies=st.booleans(),
    room=st.integers(0, 20),
)
@example(
    parts=[
        ([("write", 0, 3), ("write", 3, 3)], 0),
        ([("discard", 1, 1)], 3000),
        ([("write", 6, 3), ("discard", 7, 2)], 140_000),
        ([("touch", 0, 1), ("write", 9, 3), ("touch", 2, 3), ("write", 1, 1)], 140_000),
    ],
    keeps_copies=True,
    room=2,
)
def test_empty_slots_between_pages_change_nothing(parts, keeps_copies, room):
    """However far apart pages and holes stand, and wherever slots are numbered anew."""
    stack = new_stack(300_000)._replace(pages=new_stack(PAGES).pages)
    tally = new_tally(PAGES)
    for number, (uses, gap) in enumerate(parts):
        left = stack.empty.size * WORD_SLOTS - stack.numbers[NEXT_SLOT]
        is_last = number == len(parts) - 1
        pass_over(stack, max(left - room, 0) if is_last else min(gap, left))
        run_uses(columns(uses), Rules(keeps_copies), stack, tally)
    count_final_writes(stack, tally)

    whole = [use for uses, _ in parts for use in uses]
    assert counts_by_size(tally) == naive_curve(whole, sizes=SIZES, keeps_copies=keeps_copies)


@settings(max_examples=30, deadline=None)
@given(uses=USES, below=st.integers(0, 30))
def test_a_stack_of_many_parts_counts_across_their_borders(uses, below):
    """With room for more pages than there are here: only that takes slots of a second part."""
    stack, tally = new_stack(2_000_000)._replace(pages=new_stack(PAGES).pages), new_tally(PAGES)
    pass_over(stack, PART_SLOTS - below)
    run_uses(columns(uses), Rules(keeps_copies=False), stack, tally)
    count_final_writes(stack, tally)

    assert counts_by_size(tally) == naive_curve(uses, sizes=SIZES, keeps_copies=False)


@settings(max_examples=100, deadline=None)
@given(uses=USES, keeps_copies=st.booleans(), in_swap=PAGES_IN_SWAP)
def test_more_memory_is_never_worse(uses, keeps_copies, in_swap):
    _, tally = curve(uses, keeps_copies=keeps_copies, in_swap=in_swap)

    by_size = np.array(counts_by_size(tally))
    assert (np.diff(by_size[:, [0, 2]], axis=0) <= 0).all()
    assert (by_size >= 0).all()
    assert (by_size[:, 0] >= by_size[:, 1]).all()
    assert (by_size[:, 2] >= by_size[:, 3]).all()


@settings(max_examples=60, deadline=None)
@given(uses=USES, keeps_copies=st.booleans(), room=ROOM)
def test_nothing_goes_to_swap_where_all_pages_have_room(uses, keeps_copies, room):
    _, tally = curve(uses, keeps_copies=keeps_copies, room=room)

    assert counts_by_size(tally)[-1] == (0, 0, 0, 0)


@pytest.mark.parametrize("keeps_copies", [False, True])
def test_pages_that_go_round_miss_in_every_memory_that_is_too_small(keeps_copies):
    uses = [("write", page, 1) for _ in range(9) for page in range(10)]

    _, tally = curve(uses, keeps_copies=keeps_copies)

    reads = [reads for reads, _, _, _ in counts_by_size(tally)]
    assert reads == [80] * 9 + [0] * 5


def test_a_discard_between_two_touches_costs_no_read_and_leaves_room_for_another_page():
    uses = [
        ("write", 0, 2),
        ("discard", 1, 1),
        ("write", 2, 1),
        ("touch", 0, 1),
    ]

    _, tally = curve(uses, keeps_copies=False)

    assert counts_by_size(tally)[0][0] == 1
    assert counts_by_size(tally)[1] == (0, 0, 0, 0)


def test_state_is_less_than_sixteen_bytes_a_page():
    stack = new_stack(1 << 20)

    assert sum(column.nbytes for column in stack) / (1 << 20) < 16


@settings(max_examples=200, deadline=None)
@given(uses=st.lists(st.tuples(st.integers(0, 9), st.booleans())), size=st.integers(1, 11))
def test_one_size_hits_what_a_host_of_that_size_holds(uses, size):
    host, hits = NaiveHost(size, keeps_copies=False), 0
    for page, discards in uses:
        hits += not discards and page in host.memory
        if discards:
            host.discard(page)
        else:
            host.touch(page, writes=True)

    page = np.array([page for page, _ in uses], np.uint64)
    is_discard = np.array([discards for _, discards in uses], np.bool_)
    numbers = np.zeros(3, np.int64)
    count_hits(page, is_discard, size, np.full(10, -1, np.int32), numbers)

    assert numbers[HITS] == hits
    assert numbers[HELD_PAGES] == len(host.memory)
