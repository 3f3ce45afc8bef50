"""Reports by size: every range in one place, and nothing lost on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.synthetic import (
    HUGE,
    RAM_BYTES,
    discard,
    event,
    report,
    started,
    trace,
    write_off,
    write_two_blocks,
)
from workbench.measure import SKIP_REASONS, metrics, report_sizes
from workbench.replay import Guest, replay
from workbench.schema import Kind
from workbench.trace import read_trace
from workbench.units import KIB, MIB, PAGE_BYTES

TRACES = Path(__file__).parents[2] / "traces"
COUNTS = {
    "discarded": "discards",
    "discard failed": "discards_failed",
    **{f"skipped_{reason}": f"skipped_{reason}" for reason in SKIP_REASONS},
}


def sums(frame, column):
    """Add up a column by outcome, and in all."""
    return frame.groupby("outcome")[column].sum().to_dict(), int(frame[column].sum())


def assert_sums_are_metrics(run):
    """Say that the frame adds up to the dictionary's numbers, exactly."""
    frame, found = report_sizes(run), metrics(run)
    ranges, all_ranges = sums(frame, "ranges")
    length_bytes, all_bytes = sums(frame, "length_bytes")

    assert all_ranges == found["ranges"]["value"]
    assert all_bytes == found["reported_bytes"]["value"]
    assert length_bytes.get("discarded", 0) == found["discarded_bytes"]["value"]
    for outcome, metric in COUNTS.items():
        assert ranges.get(outcome, 0) == found[metric]["value"], metric


def test_each_range_has_its_size_and_outcome(tmp_path):
    """Two of 2 MiB go; the one of half a page does not, and comes first by its size."""
    frame = report_sizes(replay(write_two_blocks(tmp_path)))

    assert frame.drop(columns="label").to_dict("list") == {
        "run": [0, 0],
        "smallest_bytes": [0, HUGE],
        "outcome": ["skipped_unaligned", "discarded"],
        "ranges": [1, 2],
        "length_bytes": [2048, 2 * HUGE],
    }


@pytest.mark.parametrize(
    ("length_bytes", "smallest_bytes"),
    [
        (1, 0),
        (PAGE_BYTES - 1, 0),
        (PAGE_BYTES, PAGE_BYTES),
        (3 * PAGE_BYTES, 8 * KIB),
        (MIB, MIB),
        (4 * MIB - 1, 2 * MIB),
        (4 * MIB, 4 * MIB),
        (8 * MIB, 4 * MIB),
    ],
)
def test_a_size_goes_from_a_power_of_two_to_the_next(length_bytes, smallest_bytes):
    frame = report_sizes(replay(trace([report(1, 0, length_bytes)], machines=[started()])))

    assert frame["smallest_bytes"].tolist() == [smallest_bytes]
    assert frame["length_bytes"].tolist() == [length_bytes]


@given(
    reports=st.lists(
        st.tuples(
            st.integers(0, 3).map(lambda block: block * HUGE) | st.integers(0, 2 * RAM_BYTES),
            st.sampled_from([PAGE_BYTES, HUGE]) | st.integers(0, 2 * RAM_BYTES),
            st.booleans(),
        ),
        max_size=8,
    ),
    poison_val=st.sampled_from([None, 0xAAAAAAAA]),
    inhibited_at=st.none() | st.floats(0.5, 9),
)
def test_all_sizes_together_are_the_metrics(reports, poison_val, inhibited_at):
    rows = []
    for number, (offset, length_bytes, fails) in enumerate(reports):
        reported = report(1 + number, offset, length_bytes, element=number)
        rows.append(reported)
        if (offset | length_bytes) % PAGE_BYTES == 0 and offset + length_bytes <= RAM_BYTES:
            rows.append(discard(reported, status=-22 if fails else 0))
    if inhibited_at is not None:
        rows.append(event(inhibited_at, Kind.INHIBIT, status=1))
    run = replay(trace(rows, machines=[started()]), guest=Guest(poison_val=poison_val))

    assert_sums_are_metrics(run)


@pytest.mark.parametrize(
    "name", ["churn-on", "churn-poisoned", "fragment-order0", "staircase-two-guests"]
)
def test_they_are_of_real_guests_too(name):
    assert_sums_are_metrics(replay(read_trace(TRACES / f"{name}.trace")))


def test_runs_stand_side_by_side(tmp_path):
    run = replay(write_two_blocks(tmp_path))
    poisoned = replay(run.trace, guest=Guest(poison_val=0xAAAAAAAA))
    frame = report_sizes(run, poisoned)

    assert frame["run"].tolist() == [0, 0, 1, 1]
    assert frame.attrs["labels"] == [
        "two-blocks, as captured",
        "two-blocks, poison_val 0xaaaaaaaa",
    ]
    assert sums(frame[frame["run"] == 1], "ranges") == ({"skipped_poisoned": 3}, 3)


def test_a_guest_that_reports_nothing_has_no_row(tmp_path):
    frame = report_sizes(replay(write_off(tmp_path)))

    assert len(frame) == 0
    assert list(frame.columns) == [
        "run", "label", "smallest_bytes", "outcome", "ranges", "length_bytes",
    ]  # fmt: skip
    assert frame.attrs["labels"] == ["two-blocks-off, as captured"]
