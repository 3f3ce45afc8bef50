"""How what was freed drains away: every drain by the metric's own definition."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.qemu_lines import LINES, imported
from tests.synthetic import HUGE, event, fault, given_back, report, swap_out, write_off, write_trace
from tests.synthetic import write_two_blocks as two_blocks
from workbench.errors import UnidentifiableError
from workbench.measure import drain_after_free, metrics
from workbench.replay import replay
from workbench.schema import Kind
from workbench.trace import read_trace

TRACES = Path(__file__).parents[2] / "traces"


def test_each_lasting_fall_is_a_drain_from_its_marker_on(tmp_path):
    """Two blocks of 2 MiB go one second after the markers at 3 s and 7 s."""
    frame = drain_after_free(replay(two_blocks(tmp_path)))

    assert frame.to_dict("list") == {
        "drain": [0, 0, 1, 1],
        "vm": [0, 0, 0, 0],
        "freed_bytes": [HUGE] * 4,
        "seconds_since_free": [0.0, 1.0, 0.0, 1.0],
        "held_bytes": [HUGE, 0, HUGE, 0],
    }
    assert frame.attrs["half_seconds"] == [1.0, 1.0]
    assert frame.attrs["drained_seconds"] == [1.0, 1.0]


def test_half_and_nine_tenths_are_told_apart(tmp_path):
    """Of four blocks, freed at 3 s, two go at 4 s and two at 6 s."""
    rows = [
        *(fault(1, 2 * block) for block in range(4)),
        event(3, Kind.MARKER, status=1),
        *given_back(*(report(4, HUGE * block, element=block) for block in range(2))),
        *given_back(*(report(6, HUGE * block, element=block) for block in range(2, 4))),
    ]
    frame = drain_after_free(replay(write_trace(tmp_path / "steps.trace", rows)))

    assert frame["seconds_since_free"].tolist() == [0, 1, 1, 3, 3]
    assert frame["held_bytes"].tolist() == [4 * HUGE, 3 * HUGE, 2 * HUGE, HUGE, 0]
    assert frame.attrs["half_seconds"] == [1.0]
    assert frame.attrs["drained_seconds"] == [3.0]


def test_a_fall_into_swap_is_told_from_one_without(tmp_path):
    rows = [fault(1, 0), swap_out(2, 0)]
    swapped = drain_after_free(replay(write_trace(tmp_path / "swapped.trace", rows)))

    assert swapped["held_bytes"].tolist() == [HUGE, 0]
    assert swapped.attrs["swaps"]
    assert not drain_after_free(replay(two_blocks(tmp_path))).attrs["swaps"]


def test_a_guest_that_gives_nothing_back_has_no_drain(tmp_path):
    frame = drain_after_free(replay(write_off(tmp_path)))

    assert len(frame) == 0
    assert frame.attrs["half_seconds"] == []
    assert frame.attrs["caption"].startswith("trace two-blocks-off ")


def test_without_faults_nobody_knows_what_was_held(tmp_path):
    with pytest.raises(UnidentifiableError, match="no faults"):
        drain_after_free(replay(imported(tmp_path, LINES)))


@pytest.mark.parametrize("name", ["churn-on", "churn-order0", "staircase-two-guests"])
def test_the_last_drain_of_the_slowest_machine_is_the_metric(name):
    run = replay(read_trace(TRACES / f"{name}.trace"))
    frame = drain_after_free(run)

    last = frame.groupby("vm")["drain"].max()
    seconds = [frame.attrs["drained_seconds"][drain] for drain in last]
    assert max(seconds) == metrics(run)["drain_seconds"]["value"]


def test_drains_before_memory_rose_again_are_no_metric_and_the_reason_says_so():
    run = replay(read_trace(TRACES / "pressure-on.trace"))
    found = metrics(run)["drain_seconds"]

    assert len(drain_after_free(run).attrs["half_seconds"]) == 4
    assert found["value"] is None
    assert found["reason"] == (
        "resident memory does not end on a fall of a tenth of its peak: it never fell so far, or "
        "rose by as much again"
    )


@pytest.mark.parametrize("name", ["churn-on", "file-cache-order0", "staircase-two-guests"])
def test_a_drain_begins_with_everything_and_ends_with_nothing(name):
    frame = drain_after_free(replay(read_trace(TRACES / f"{name}.trace")))

    assert len(frame) > 0
    for _, drain in frame.groupby("drain"):
        held = drain["held_bytes"]
        assert held.iloc[0] == drain["freed_bytes"].iloc[0]
        assert held.iloc[-1] == 0
        assert (held.iloc[:-1] > 0).all()
        assert drain["seconds_since_free"].is_monotonic_increasing
        assert drain["seconds_since_free"].iloc[0] == 0
