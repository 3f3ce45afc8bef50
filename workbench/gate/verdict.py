"""Judging one metric: exactly, or by its runs."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workbench.gate.effects import ALPHA, Effect, runs_that_decide
from workbench.measure import BY_NAME, Better

if TYPE_CHECKING:
    from workbench.gate.budgets import Budget
    from workbench.gate.runs import Number


ONE_SIDE_ONLY: Final = "only one side has this recording"


class Verdict(enum.Enum):
    """What became of a metric."""

    SAME = "same"
    """No change, or one within the budget."""
    BETTER = "better"
    WORSE = "worse"
    UNDECIDED = "undecided"
    """The runs, or what is known of them, do not tell."""
    CHANGED = "changed"
    """Beyond the budget, but of this metric neither way is better."""
    IGNORED = "ignored"
    """The budget says so, with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict with its reason."""

    verdict: Verdict
    reason: str = ""
    runs_needed: int | None = None
    """Runs a side that would decide, where that can be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many runs the smaller side has, and how many metrics are tested."""

    runs: int
    tests: int


def judge_exactly(metric: str, first: Number, second: Number, budget: Budget) -> Judgement:
    """Judge a figure that is a pure function of what it is made of: any difference is real."""
    change = second - first
    if change == 0:
        return Judgement(verdict=Verdict.SAME)
    limit = max(budget.relative * abs(first), budget.absolute)
    if abs(change) <= limit:
        return Judgement(verdict=Verdict.SAME, reason="within the budget")
    better = direction(metric, budget)
    if better is Better.NEITHER:
        return Judgement(verdict=Verdict.CHANGED, reason="neither way is better")
    if (change > 0) == (better is Better.HIGHER):
        return Judgement(verdict=Verdict.BETTER)
    return Judgement(verdict=Verdict.WORSE, reason="beyond the budget" if limit else "")


def judge_runs(
    metric: str, effect: Effect, budget: Budget, *, mean: float, p: float, counts: Counts
) -> Judgement:
    """Judge a figure of several runs a side.

    Parameters
    ----------
    effect
        Of the candidate's mean against the baseline's.
    mean
        Of the baseline.
    p
        Corrected for the number of metrics.
    counts
        Of runs and of tests, to say how many runs would decide.
    """
    limit = _limit(effect, budget, mean)
    better = direction(metric, budget)
    low, high = effect.low, effect.high
    is_significant = p < ALPHA
    if better is Better.NEITHER:
        if is_significant and (low > limit or high < -limit):
            return Judgement(verdict=Verdict.CHANGED, reason="neither way is better")
        return Judgement(verdict=Verdict.SAME)
    if better is Better.HIGHER:
        low, high = -high, -low
    if low > limit and is_significant:
        return Judgement(
            verdict=Verdict.WORSE, reason="beyond the budget, as its whole interval is"
        )
    if high < -limit and is_significant:
        return Judgement(verdict=Verdict.BETTER)
    if high <= limit:
        return Judgement(
            verdict=Verdict.SAME, reason="" if effect.change == 0 else "no loss beyond the budget"
        )
    edge = -limit if better is Better.HIGHER else limit
    needed = runs_that_decide(effect, edge, counts.runs, counts.tests)
    more = "more runs would hardly decide" if needed is None else "too few runs for their spread"
    return Judgement(verdict=Verdict.UNDECIDED, reason=more, runs_needed=needed)


def missing(side: str) -> Judgement:
    """Judge a metric of which one side has no value."""
    return Judgement(verdict=Verdict.UNDECIDED, reason=f"the {side} has no value")


def direction(metric: str, budget: Budget) -> Better:
    """Say which way is better: as the budget has it, else as the dictionary has it."""
    return budget.better or BY_NAME[metric].better


def _limit(effect: Effect, budget: Budget, mean: float) -> float:
    """Give the budget in the effect's own terms: the larger of its two limits."""
    if effect.is_ratio:
        return max(budget.relative, budget.absolute / mean)
    return max(budget.relative * abs(mean), budget.absolute)
