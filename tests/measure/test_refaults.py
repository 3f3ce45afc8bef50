"""Refaults over time add up to the metric, whatever the slices."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.qemu_lines import LINES, imported
from tests.replayed_rows import ROWS, ledger_of
from tests.synthetic import HUGE, given_back, report, started, touch, trace
from workbench.errors import UnidentifiableError, UsageError
from workbench.measure import metrics, refaults_over_time
from workbench.replay import Outcome, replay
from workbench.units import NANOSECONDS

TWICE = [touch(1, 0), *given_back(report(2, 0)), touch(3.25, 0), *given_back(report(4, 0))]


def test_a_refault_is_in_the_slice_of_its_time():
    rows = [
        *TWICE,
        touch(4, HUGE, vm=1),
        *given_back(report(4.5, HUGE, vm=1)),
        touch(9, HUGE, vm=1),
    ]
    run = replay(trace(rows, machines=[started("left"), started("right")]))
    frame = refaults_over_time(run, time_bins=20)
    hit = frame[frame["refaults"] > 0]

    assert frame["start_s"].tolist() == [number / 2 for number in range(20)]
    assert hit["start_s"].tolist() == [3, 9]
    assert hit["refaults_per_second"].tolist() == [2, 2]
    assert frame["refaults"].sum() == metrics(run)["refaults"]["value"] == 2


@given(rows=ROWS, time_bins=st.integers(1, 500))
def test_refaults_add_up_to_the_metric_however_time_is_cut(rows, time_bins):
    run = dataclasses.replace(replay(trace(TWICE)), ledger=ledger_of(rows))
    frame = refaults_over_time(run, time_bins=time_bins)
    length_s = frame["stop_s"] - frame["start_s"]

    assert frame["refaults"].sum() == (run.ledger.outcome == Outcome.REFAULT).sum()
    assert np.allclose(frame["refaults_per_second"] * length_s, frame["refaults"], rtol=1e-9)
    assert 1 <= len(frame) <= time_bins
    assert frame["start_s"].iloc[1:].tolist() == frame["stop_s"].iloc[:-1].tolist()
    assert frame["stop_s"].iloc[-1] == run.trace.manifest.duration_ns / NANOSECONDS
    assert np.allclose(length_s.iloc[:-1], length_s.iloc[0])


def test_slices_are_round():
    frame = refaults_over_time(replay(trace(TWICE)), time_bins=240)

    assert len(frame) == 200
    assert frame["stop_s"].iloc[0] == 0.05


def test_a_trace_that_cannot_say_and_no_slices_are_refused(tmp_path):
    with pytest.raises(UnidentifiableError):
        refaults_over_time(replay(imported(tmp_path, LINES)))
    with pytest.raises(UsageError, match="time_bins is 0, expected 1 or more"):
        refaults_over_time(replay(trace(TWICE)), time_bins=0)
