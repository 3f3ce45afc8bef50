"""Reclaim against its naive twin, and the laws that both obey."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.reclaim.machines import free, naively, serve, some_requests, touch, two_guests
from tests.strategies import block, lay_out
from workbench.model import HELD_PAGES, RESIDENT_PAGES, SWAPPED_PAGES, page_states
from workbench.model.page_bits import HAS_COPY, IS_READ_AHEAD
from workbench.model.reclaim import LIST_PAGES, READ_AHEAD_PAGES, SLOTS_USED, UNMET_PAGES
from workbench.schema import FaultFlag, PageState, SwapOutFlag

HOSTS = st.fixed_dictionaries(
    {
        "policy": st.sampled_from(["two_lists", "two_lists", "least_recent"]),
        "swap_pages": st.sampled_from([10, 60, 1000, 1000]),
        "keeps_copies": st.booleans(),
        "readahead_pages": st.sampled_from([1, 8]),
        "skips_zeros": st.booleans(),
        "writes_zeros": st.sampled_from([False, False, True]),
        "low_free_pages": st.sampled_from([0, 0, 5]),
        "high_free_pages": st.sampled_from([8]),
    }
)
SEEDS = st.integers(0, 2**32)
AMOUNTS = st.sampled_from([20, 50, 70, 100, 1000])
LIMITS = AMOUNTS | st.tuples(AMOUNTS, st.integers(1, 60), AMOUNTS)


@settings(max_examples=150, deadline=None)
@given(seed=SEEDS, host=HOSTS, limits=LIMITS, count=st.integers(1, 80))
def test_kernels_and_naive_twin_agree(seed, host, limits, count):
    requests = some_requests(random.Random(seed), count)

    served = serve(requests, two_guests(), limits, **host)
    naive = naively(requests, two_guests(), limits, **host)

    assert served.moves == naive.moves
    memory = served.memory
    assert memory.host.totals[RESIDENT_PAGES] == len(naive.resident)
    assert memory.host.totals[SWAPPED_PAGES] == len(naive.swapped)
    assert memory.host.totals[HELD_PAGES] == naive.held()
    assert memory.reclaim.counts[SLOTS_USED] == naive.slots()
    assert memory.reclaim.counts[UNMET_PAGES] == naive.unmet


@pytest.mark.parametrize("policy", ["two_lists", "least_recent"])
@pytest.mark.parametrize("seed", range(3))
def test_they_agree_when_lists_have_moved_many_times(policy, seed):
    """So often that what left them elsewhere than at the end has to be closed up."""
    requests = some_requests(random.Random(seed), 600)

    served = serve(requests, two_guests(), 100, room=200_000, policy=policy)

    assert served.moves == naively(requests, two_guests(), 100, policy=policy).moves


@pytest.mark.parametrize("pages", [1, 63, 64, 65, 128])
def test_the_oldest_goes_first_however_often_all_were_touched(pages):
    blocks = lay_out([block(pages + 1, thp=False)])
    requests = [touch(0, pages)] * 40 + [touch(pages)]

    moves = serve(requests, blocks, pages, policy="least_recent").moves

    assert [move[2][1] for move in moves if move[1] == "swap_out"] == [0]


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, host=HOSTS, limits=LIMITS, count=st.integers(1, 60))
def test_pages_frames_and_slots_are_conserved(seed, host, limits, count):
    requests = some_requests(random.Random(seed), count)

    memory = serve(requests, two_guests(), limits, **host).memory

    state, reclaim = page_states(memory.host), memory.reclaim
    words = memory.host.pages[: state.size]
    assert memory.host.totals[RESIDENT_PAGES] == (state == PageState.RESIDENT).sum()
    assert memory.host.totals[SWAPPED_PAGES] == (state == PageState.SWAPPED).sum()
    swapped = int((state == PageState.SWAPPED).sum())
    assert reclaim.counts[SLOTS_USED] == swapped + np.count_nonzero(words & HAS_COPY)
    assert reclaim.counts[SLOTS_USED] <= host["swap_pages"]
    assert reclaim.counts[READ_AHEAD_PAGES] == np.count_nonzero(words & IS_READ_AHEAD)
    held = int(memory.host.totals[HELD_PAGES] + reclaim.counts[READ_AHEAD_PAGES])
    assert reclaim.counts[LIST_PAGES : LIST_PAGES + 2].sum() == held
    largest = limits if isinstance(limits, int) else max(limits[0], limits[2])
    assert held <= largest + reclaim.counts[UNMET_PAGES]


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, host=HOSTS, limits=LIMITS, cut=st.integers(1, 50))
def test_the_past_does_not_depend_on_the_future(seed, host, limits, cut):
    requests = some_requests(random.Random(seed), 60)

    whole = serve(requests, two_guests(), limits, **host).moves
    prefix = serve(requests[:cut], two_guests(), limits, **host).moves

    assert prefix == [move for move in whole if move[0] < cut]


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_guests_of_a_host_with_ample_memory_do_not_notice_each_other(seed):
    requests = some_requests(random.Random(seed), 60)
    blocks = two_guests()

    together = serve(requests, blocks, limits=1000).moves

    for guest in (0, 1):
        own = [request for request in requests if request[1][0] == guest]
        numbers = [n for n, request in enumerate(requests) if request[1][0] == guest]
        alone = serve(own, blocks, limits=1000).moves
        assert [(numbers[row], *rest) for row, *rest in alone] == [
            move for move in together if move[2][0] == guest
        ]
        assert not [move for move in alone if move[1] == "swap_out"]


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_room_for_too_few_moves_changes_nothing_but_what_is_written_down(seed):
    requests = some_requests(random.Random(seed), 40)

    full = serve(requests, two_guests(), limits=30)
    cut = serve(requests, two_guests(), room=5, limits=30)

    assert cut.moves == full.moves[:5]
    assert np.array_equal(cut.memory.host.pages, full.memory.host.pages)


def test_dead_pages_are_told_from_live_ones_when_they_go():
    requests = [touch(0, 40), free(10, 20), touch(0, 30, ram_block=1)]

    moves = serve(requests, two_guests(), limits=50).moves

    dead = sum(m[3] for m in moves if m[1] == "swap_out" and m[4] & SwapOutFlag.DEAD)
    assert 0 < dead <= 20


@settings(max_examples=60, deadline=None)
@given(pages=st.lists(st.integers(0, 40), max_size=150), limit=st.integers(1, 45))
def test_the_second_policy_is_least_recently_used_to_the_page(pages, limit):
    """Without huge pages, against a list that is reordered at every touch."""
    stack: list[int] = []
    swapped, expected = set(), []
    for number, page in enumerate(pages):
        if page in stack:
            stack.remove(page)
        else:
            if len(stack) == limit:
                swapped.add(stack[0])
                expected.append((number, "swap_out", stack.pop(0)))
            expected.append((number, "swap_in" if page in swapped else "fault", page))
            swapped.discard(page)
        stack.append(page)

    requests = [touch(page, ram_block=1) for page in pages]
    moves = serve(requests, two_guests(), limit, policy="least_recent").moves

    assert [
        (number, "swap_in" if kind == "fault" and status & FaultFlag.SWAP_IN else kind, place[1])
        for number, kind, place, _, status in moves
    ] == expected
