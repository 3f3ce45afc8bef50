"""Judging by runs: what it takes to be worse, same or undecided."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gate.made_runs import live
from workbench.gate import Budget, Budgets, Verdict, compare_sides
from workbench.gate.effects import corrected, effects, fewest_runs
from workbench.gate.spread import compare_values
from workbench.measure import METRICS

MIB = 1 << 20
RUNS = [value * MIB for value in (148, 149, 150, 151, 152, 153)]


def judge(metric, old, new, **budget):
    """Compare one metric of two sets of runs."""
    chosen = Budgets({metric: Budget(**budget)} if budget else {})
    (figure,) = compare_sides(live(metric, old), live(metric, new), chosen).figures
    return figure


@given(
    values=st.lists(st.integers(0, 10**12), min_size=5, max_size=12),
    metric=st.sampled_from(["resident_bytes_mean", "reclaimed_bytes", "discards_failed"]),
)
def test_a_side_against_itself_is_never_worse(values, metric):
    """The runs themselves, in another order, are no regression, whatever they are."""
    figure = judge(metric, values, [*reversed(values), *values])

    assert figure.verdict in {Verdict.SAME, Verdict.UNDECIDED}
    assert figure.low <= 0 <= figure.high


@given(factor=st.floats(0.3, 3).filter(lambda factor: abs(factor - 1) > 0.2))
def test_less_for_one_side_is_more_for_the_other(factor):
    """What is worse in one direction is better in the other."""
    new = [value * factor for value in RUNS]
    there, back = judge("reclaimed_bytes", RUNS, new), judge("reclaimed_bytes", new, RUNS)

    assert {there.verdict, back.verdict} == {Verdict.WORSE, Verdict.BETTER}
    assert there.change == pytest.approx(factor - 1)


def test_a_loss_within_the_budget_is_the_same():
    less = [value * 0.97 for value in RUNS]

    assert judge("reclaimed_bytes", RUNS, less, relative=0.1).verdict is Verdict.SAME


def test_a_loss_below_the_absolute_floor_is_the_same():
    """Half of very little is little."""
    few, fewer = [100, 101, 102, 103, 104, 105], [50, 51, 52, 53, 54, 55]

    assert judge("swap_in_pages", few, fewer[::-1], absolute=100).verdict is Verdict.SAME
    assert judge("swap_in_pages", fewer, few, absolute=100).verdict is Verdict.SAME
    assert judge("swap_in_pages", fewer, few, absolute=10).verdict is Verdict.WORSE


def test_one_wild_run_proves_nothing():
    """The rank test does not care how wild it is, and the interval gets wide."""
    wild = [*RUNS[:5], RUNS[5] * 100]
    figure = judge("resident_bytes_mean", RUNS, wild)

    assert figure.verdict is Verdict.UNDECIDED
    assert figure.p > 0.05


def test_the_fewest_runs_that_can_be_significant():
    """2 / C(2n, n) must be below 0.05 after it is multiplied with the number of tests."""
    assert [fewest_runs(tests) for tests in (1, 4, 40)] == [5, 5, 7]


def test_undecided_says_how_many_runs_would_decide():
    """A loss just beyond the budget takes more runs than one far beyond it."""
    near = judge("reclaimed_bytes", RUNS, [value * 0.942 for value in RUNS])
    nearer = judge("reclaimed_bytes", RUNS, [value * 0.945 for value in RUNS])

    assert near.verdict is nearer.verdict is Verdict.UNDECIDED
    assert 6 < near.runs_needed < nearer.runs_needed


def test_what_one_run_of_twelve_does_is_not_decided_by_one_run_more():
    found = judge("swap_in_pages", [0] * 12, [0] * 11 + [10**9])

    assert found.verdict is Verdict.UNDECIDED
    assert found.runs_needed > 24


def test_a_metric_that_some_runs_lack_is_undecided():
    old, new = live("reclaimed_bytes", RUNS), live("reclaimed_bytes", RUNS[:5])
    more = live("refaults", [1])
    mixed = type(new)(label="mixed", runs=(*new.runs, *more.runs))
    verdicts = {each.metric: each for each in compare_sides(old, mixed).figures}

    assert verdicts["reclaimed_bytes"].verdict is Verdict.UNDECIDED
    assert verdicts["reclaimed_bytes"].reason == "the candidate has no value"


def test_values_of_zero_and_less_are_compared_by_difference():
    (effect,) = effects([[0, -1, 2, 3, 1]], [[10, 11, 12, 13, 14]])

    assert not effect.is_ratio
    assert effect.change == 12 - 1
    assert effect.low < 11 < effect.high


def test_equal_values_have_no_interval_and_no_significance():
    (effect,) = effects([[5] * 6], [[5] * 6])

    assert (effect.change, effect.low, effect.high, effect.p) == (0, 0, 0, 1)


def test_the_interval_is_the_same_at_every_run_and_in_every_order():
    shuffled = [RUNS[place] for place in (3, 0, 5, 1, 4, 2)]

    assert effects([RUNS], [RUNS]) == effects([shuffled], [RUNS])


def test_p_values_are_corrected_for_how_many_there_are():
    """Benjamini and Hochberg by hand: p times count over rank, never falling."""
    assert corrected([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.04, 0.04])
    assert corrected([]) == []


def test_the_more_metrics_are_judged_the_less_one_of_them_proves():
    """Five runs and five, the smallest p there is: 2 / C(10, 5), times the metrics judged."""
    names = ["resident_bytes_mean", "swap_in_pages", "swap_out_pages", "discards_failed"]
    old = {name: [1, 2, 3, 4, 5] for name in [*names, "reclaimed_bytes"]}
    new = {**old, "reclaimed_bytes": [value / 100 for value in old["reclaimed_bytes"]]}
    tight = Budgets({"reclaimed_bytes": Budget(relative=0.05)})
    figures = compare_values(old, new, tight, counts=(5, 5))
    (found,) = [each for each in figures if each.metric == "reclaimed_bytes"]

    assert found.p == pytest.approx(5 * 2 / 252)
    assert found.verdict is Verdict.WORSE


def test_an_interval_beyond_the_budget_is_not_enough():
    """Of five runs and five, and ten metrics, no rank test is significant any more."""
    names = ["reclaimed_bytes", *(metric.name for metric in METRICS[:9])]
    old = {name: [1, 2, 3, 4, 5] for name in names}
    new = {**old, "reclaimed_bytes": [value / 100 for value in old["reclaimed_bytes"]]}
    heard = Budgets({"*": Budget(relative=0.05), "reclaimed_bytes": Budget(relative=0.05)})
    figures = compare_values(old, new, heard, counts=(5, 5))
    (found,) = [each for each in figures if each.metric == "reclaimed_bytes"]

    assert len(set(names)) == len(figures) >= 9
    assert found.high < -0.05
    assert (found.verdict, found.runs_needed) == (Verdict.UNDECIDED, 6)
