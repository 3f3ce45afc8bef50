"""The series of real guests, where they are: constants from iteration 0, stated for iteration 1.

They are not part of the project: compiling/latest of luhsra/hyperalloc-bench at a385a2d3
(HyperAlloc, EuroSys 2025).  WORKBENCH_GUEST_SERIES names a folder that has its
clang-base-auto-o9-* folders.  docs/validation.md says which targets these figures meet.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tools.guest_series import CHOSEN_ON, PHASES, distance_gib, left_over, read
from workbench.measure import drains, series_error
from workbench.replay import predict_series
from workbench.units import GIB, MIB

FAST = "clang-base-auto-o9-d100-c32"
STATED = [(CHOSEN_ON, 0), (CHOSEN_ON, 1), (FAST, 0), (FAST, 1)]


def sampled(name, iteration):
    """Read an iteration, or say why not."""
    folder = os.environ.get("WORKBENCH_GUEST_SERIES")
    if not folder:
        pytest.skip("WORKBENCH_GUEST_SERIES names no folder with series of hyperalloc-bench")
    if not (Path(folder) / name / f"out_{iteration}.csv").is_file():
        pytest.skip(f"{folder} (WORKBENCH_GUEST_SERIES) has no iteration {iteration} of {name}")
    return read(Path(folder), name, iteration)


@pytest.mark.parametrize(("name", "iteration"), STATED)
def test_byte_seconds_are_within_0_3_percent(name, iteration):
    error = series_error(predict_series(sampled(name, iteration).series))

    assert abs(error["byte_seconds"]) < 0.003


@pytest.mark.parametrize(("name", "iteration"), STATED)
def test_drains_are_within_one_sample(name, iteration):
    found = drains(predict_series(sampled(name, iteration).series))
    known = [drain["samples_apart"] for drain in found if drain["samples_apart"] is not None]

    assert len(known) >= 2
    assert all(abs(apart) <= 1 for apart in known)


@pytest.mark.parametrize(
    ("name", "iteration", "most_gib"),
    [(CHOSEN_ON, 0, 0.02), (CHOSEN_ON, 1, 0.0225), (FAST, 0, 0.02), (FAST, 1, 0.02)],
)
def test_the_mean_absolute_error_is_what_the_documentation_states(name, iteration, most_gib):
    """Iteration 1 of the slow one misses 0.02 GiB: QEMU's own memory is 8 MiB less there."""
    one = sampled(name, iteration)

    assert distance_gib(one, predict_series(one.series)).mean() < most_gib


@pytest.mark.parametrize(("name", "iteration"), STATED)
def test_it_is_below_0_02_gib_everywhere_once_qemus_own_memory_is_known(name, iteration):
    """As the idle phase leaves it over: nothing comes, goes or waits there."""
    one = sampled(name, iteration)
    left = left_over(one)
    own_bytes = np.median(left[one.phase == PHASES.index("idle")])

    assert np.abs(left - own_bytes).mean() / GIB < 0.02


def test_qemus_own_memory_is_what_iteration_0_leaves_over():
    one = sampled(CHOSEN_ON, 0)
    prediction = predict_series(one.series)
    left = one.series.columns["resident_bytes"] - prediction.resident_bytes

    assert abs(np.median(left)) < MIB / 16
