"""Replays batch by batch: what they say of a trace that is wrong, and that they are given once."""

from __future__ import annotations

import pytest

from tests.synthetic import HUGE, RAM_BYTES, touch, write_trace, write_two_blocks
from workbench.errors import InputError, UsageError
from workbench.replay import ReplayInBatches, Settings


@pytest.mark.parametrize("row_count", [1, 3, 1000])
def test_a_row_that_cannot_be_is_named_by_its_place_in_the_trace(tmp_path, row_count):
    rows = [touch(second / 10, 0, HUGE) for second in range(7)]
    rows.append(touch(0.75, RAM_BYTES, HUGE))
    trace = write_trace(tmp_path / "wrong.trace", rows)

    with pytest.raises(InputError, match=r"events: row 7 is a fault with vm 0"):
        list(ReplayInBatches(trace, Settings(), row_count=row_count).batches())


def test_batches_are_given_once(tmp_path):
    run = ReplayInBatches(write_two_blocks(tmp_path), Settings())
    list(run.batches())

    with pytest.raises(UsageError, match="given once"):
        list(run.batches())


def test_how_far_it_is_adds_up_to_all_events_for_each_time_they_are_read(tmp_path):
    trace = write_two_blocks(tmp_path)
    read: list[int] = []

    list(ReplayInBatches(trace, Settings(), row_count=2, progress=read.append).batches())

    assert sum(read) == trace.event_count
