"""Predicted beside measured: the same samples, and the same judgement, as the model's error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import (
    PAGE_BYTES,
    REPORTED,
    TWO_BLOCKS,
    sample,
    touch,
    trace,
    write_trace,
    write_two_blocks,
)
from workbench.errors import UsageError
from workbench.measure import predicted_against_measured
from workbench.replay import Cost, Guest, replay
from workbench.trace import read_trace
from workbench.units import MIB

TRACES = Path(__file__).parents[2] / "traces"


def test_every_sample_has_what_was_predicted_at_its_moment(tmp_path):
    """The samples of the two blocks stand between their events: both are alike at each."""
    frame = predicted_against_measured(replay(write_two_blocks(tmp_path)))

    resident_mib = [0] * 2 + [2] * 2 + [4] * 4 + [2] * 4 + [4] * 4 + [2] * 4
    assert (frame["predicted_resident_bytes"] / MIB).tolist() == resident_mib
    assert (frame["measured_resident_bytes"] / MIB).tolist() == resident_mib
    assert frame["time_s"].tolist() == [0.25 + 0.5 * number for number in range(20)]
    assert frame["is_quiet"].all()


def test_a_sample_while_memory_moves_is_not_quiet():
    made = trace([touch(1, 0)], samples=[sample(0.5, 0), sample(1.01, 0), sample(2, 2 * MIB)])
    frame = predicted_against_measured(replay(made))

    assert frame["is_quiet"].tolist() == [True, False, True]
    assert frame["predicted_resident_bytes"].tolist() == [0, 2 * MIB, 2 * MIB]
    assert frame["measured_resident_bytes"].tolist() == [0, 0, 2 * MIB]


def test_what_was_not_measured_is_missing():
    made = trace(REPORTED, samples=[sample(5, 2 * MIB, swapped=-1)])
    frame = predicted_against_measured(replay(made))

    assert np.isnan(frame["measured_swapped_bytes"]).all()
    assert frame["measured_resident_bytes"].tolist() == [2 * MIB]


def test_a_trace_without_samples_has_no_row(tmp_path):
    frame = predicted_against_measured(replay(write_trace(tmp_path / "bare.trace", TWO_BLOCKS)))

    assert len(frame) == 0
    assert frame.attrs["labels"] == ["bare"]


@pytest.mark.parametrize("name", ["churn-on", "pressure-order0", "staircase-two-guests"])
def test_it_agrees_with_the_error_of_the_model(name):
    run = replay(read_trace(TRACES / f"{name}.trace"))
    frame = predicted_against_measured(run)

    for quantity in ("resident_bytes", "swapped_bytes"):
        final = []
        for _, machine in frame[frame["is_quiet"]].groupby("vm"):
            difference = machine[f"predicted_{quantity}"] - machine[f"measured_{quantity}"]
            final.append(int(difference.iloc[-1]) // PAGE_BYTES)
        assert max(final, key=abs) == run.model_error[quantity]["final_pages"]
    assert len(frame) == run.model_error["samples"]
    assert frame["is_quiet"].sum() == run.model_error["quiet_samples"]


def test_a_what_if_was_not_measured(tmp_path):
    run = replay(write_two_blocks(tmp_path), guest=Guest(poison_val=0xAAAAAAAA))

    with pytest.raises(UsageError, match="two-blocks was replayed with poison_val 0xaaaaaaaa"):
        predicted_against_measured(run)


def test_costs_change_no_page_so_they_may_be_other(tmp_path):
    made = write_two_blocks(tmp_path)
    run = replay(made, cost=Cost(swap_read_latency_ns=1))

    assert predicted_against_measured(run).equals(predicted_against_measured(replay(made)))
