"""The gate itself, in simulated pipelines with the noise that was seen in the lab.

The runs in lab_runs/ are live guests, one a row, captured on a machine that did other work beside
them; the command is in the head of each file.  A pipeline draws its runs from them.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.gate.lab_tables import lab_rows
from workbench.gate import Budgets, Verdict
from workbench.gate.effects import RUNS_DEFAULT
from workbench.gate.spread import compare_values
from workbench.measure import BY_NAME, Better

PIPELINES = 200
RESAMPLES = 499
"""Fewer than a comparison takes, so that 200 pipelines take seconds; the ends move by less than a
tenth of the interval."""


def lab_runs(name):
    """Give the figures of live runs by metric: those that all runs have."""
    rows = lab_rows(name)
    shared = set.intersection(*(set(row) for row in rows))
    return {metric: np.array([row[metric] for row in rows]) for metric in sorted(shared)}


def pipelines(name, *, metric=None, loss=0.0, seed=0):
    """Simulate pipelines; of the candidates' `metric`, a part is lost.  Yields their figures."""
    values = lab_runs(name)
    count = len(next(iter(values.values())))
    random = np.random.default_rng(seed)
    factor = 1 - loss if metric and BY_NAME[metric].better is Better.HIGHER else 1 + loss
    for _ in range(PIPELINES):
        drawn = random.integers(0, count, (2, RUNS_DEFAULT))
        old, new = ({each: list(column[rows]) for each, column in values.items()} for rows in drawn)
        if metric:
            new[metric] = [value * factor for value in new[metric]]
        yield compare_values(
            old, new, Budgets(), counts=(RUNS_DEFAULT, RUNS_DEFAULT), resamples=RESAMPLES
        )


def found_share(name, metric, loss):
    """Say in which share of pipelines a loss is found."""
    found = [
        figure.verdict is Verdict.WORSE
        for figures in pipelines(name, metric=metric, loss=loss)
        for figure in figures
        if figure.metric == metric
    ]
    return sum(found) / PIPELINES


def test_base_against_base_passes():
    """At most 5 % of pipelines are expected not to pass: at most 16 of 200 observed."""
    verdicts = [{figure.verdict for figure in figures} for figures in pipelines("quick")]
    not_passing = [each for each in verdicts if each & {Verdict.WORSE, Verdict.UNDECIDED}]

    assert len(not_passing) <= 16
    assert not [each for each in verdicts if Verdict.WORSE in each]


@pytest.mark.parametrize(
    "metric", ["resident_bytes_mean", "measured_resident_bytes_mean", "reclaimed_bytes"]
)
def test_a_loss_of_a_tenth_is_found(metric):
    """In at least 80 % of pipelines."""
    assert found_share("quick", metric, 0.10) >= 0.8


@pytest.mark.parametrize(("metric", "loss"), [("swap_out_pages", 0.325), ("swap_in_pages", 0.35)])
def test_the_smallest_loss_in_swap_pages_that_is_found(metric, loss):
    """Swap differs more from run to run, so that it takes more to be seen; a quarter is not."""
    assert found_share("swapping", metric, loss) >= 0.8
    assert found_share("swapping", metric, 0.25) < 0.8
