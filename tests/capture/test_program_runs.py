"""How much of the time the kernel counts the runs of probes, and what that makes of all of it."""

from __future__ import annotations

import pytest

from workbench.capture.program_runs import RunCounting

pytestmark = pytest.mark.live


def test_what_is_counted_in_one_turn_of_four_stands_for_all_of_them():
    """Of 1,000 ns the first 250 are counted, and of the next 1,000 the first as well."""
    counting = RunCounting(0)
    assert counting.of_all_time(7, 100) == 7

    for now_ns in (250, 500, 750):
        counting.turn(now_ns)
    assert counting.of_all_time(7, 1000) == 28

    counting.turn(1000)
    assert counting.of_all_time(7, 1250) == 7 * 1250 // 500
    counting.turn(1250)
    assert counting.of_all_time(7, 2000) == 28
    counting.close(2000)
    assert counting.of_all_time(7, 2000) == 28


def test_where_nothing_was_counted_there_is_nothing_to_make_more_of():
    counting = RunCounting(0)
    counting.close(0)

    assert counting.of_all_time(0, 1000) == 0
