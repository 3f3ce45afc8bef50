"""How much a pass may report: the rule of Linux, on numbers of blocks."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.naive.naive_reporting import walk_list
from workbench.model.guest import (
    carry_blocks,
    full_reports,
    has_room_to_report,
    low_watermark_pages,
    take_unreported,
)

BLOCKS = st.integers(0, 300)
CAPACITY = st.sampled_from([1, 2, 4, 32])


@pytest.mark.parametrize(
    ("free_blocks", "reports"), [(0, 1), (1, 2), (512, 2), (513, 3), (1024, 3), (8192, 17)]
)
def test_a_pass_reports_a_sixteenth_of_a_list_and_one_more(free_blocks, reports):
    assert full_reports(free_blocks, 32) == reports


@given(unreported=BLOCKS, reported=BLOCKS, carried=st.integers(0, 32), capacity=CAPACITY)
@example(unreported=64, reported=0, carried=32, capacity=32)  # A full array is carried over.
@example(unreported=32, reported=480, carried=32, capacity=32)  # Taken whole, to the block.
@example(unreported=33, reported=479, carried=32, capacity=32)  # And one more than that.
def test_what_a_pass_takes_is_what_walking_the_list_takes(unreported, reported, carried, capacity):
    carried = min(carried, capacity)
    array = ["block"] * carried
    flags = [False] * unreported + [True] * reported
    _, expected, expected_more = walk_list(flags, len(flags), array, capacity)

    taken = take_unreported(unreported, len(flags), carried, capacity)

    assert taken == expected
    assert (taken < unreported) == expected_more
    if not expected_more:
        assert carry_blocks(taken, carried, capacity) == len(array)
    else:
        assert array == []


def test_an_idle_guest_of_32_gib_needs_16_passes():
    """As the source says: about 30 s of them."""
    blocks = 32 * 1024 // 4
    passes, left = 0, blocks
    while left:
        left -= take_unreported(left, blocks, 0, 32)
        passes += 1

    assert passes == 16


def test_a_pass_needs_its_own_array_of_free_memory_above_the_watermark():
    assert not has_room_to_report(1000 + (32 << 9), 1000, 9, 32)
    assert has_room_to_report(1001 + (32 << 9), 1000, 9, 32)


def test_the_watermark_follows_huge_pages_or_memory_whichever_asks_for_more():
    """67,584 kB for huge pages, as every large Debian guest has; a tiny one caps that at 5 %."""
    gib_pages = 262_144

    assert low_watermark_pages(16 * gib_pages) == 67_584 // 4 + 67_584 // 16
    assert low_watermark_pages(gib_pages // 16) == 819 + 819 // 4
    assert low_watermark_pages(4096 * gib_pages) == 65_536 + 4096 * gib_pages // 1000
