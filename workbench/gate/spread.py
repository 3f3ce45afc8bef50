"""Two sets of runs, of different recordings: every figure by its spread from run to run."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from workbench.gate.effects import RESAMPLES, RUNS_DEFAULT, RUNS_MIN, corrected, effects
from workbench.gate.figure import make_figure
from workbench.gate.verdict import Counts, Judgement, Verdict, judge_runs, missing
from workbench.measure import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.gate.budgets import Budgets
    from workbench.gate.figure import Figure
    from workbench.gate.runs import Number, Side


def spread_figures(
    baseline: Side, candidate: Side, budgets: Budgets, obstacle: str
) -> list[Figure]:
    """Compare sets of runs.

    Parameters
    ----------
    obstacle
        Why they cannot be compared, so that nothing is decided; empty where they can.
    """
    sides = baseline, candidate
    is_measured = all(run.measured_figures is not None for side in sides for run in side.runs)
    old, new = (_values(side, is_measured=is_measured) for side in sides)
    counts = len(baseline.runs), len(candidate.runs)
    if min(counts) < RUNS_MIN and not obstacle:
        return _without_spread(old, new, budgets, min(counts))
    return compare_values(old, new, budgets, counts=counts, obstacle=obstacle)


def compare_values(
    old: Mapping[str, Sequence[Number]],
    new: Mapping[str, Sequence[Number]],
    budgets: Budgets,
    *,
    counts: tuple[int, int],
    obstacle: str = "",
    resamples: int = RESAMPLES,
) -> list[Figure]:
    """Compare metrics by their values, one of each run.

    Parameters
    ----------
    old, new
        By metric.  Of a metric that has fewer values than there are runs nothing is decided.
    counts
        How many runs the baseline and the candidate have.
    """
    names = [name for name in BY_NAME if name in old or name in new]
    budget_of = {name: budgets.of(name, exact=False) for name in names}
    heard = [
        name
        for name in names
        if not (obstacle or budget_of[name].ignored)
        and (len(old.get(name, ())), len(new.get(name, ()))) == counts
    ]
    found = effects([old[n] for n in heard], [new[n] for n in heard], resamples=resamples)
    effect_of = dict(zip(heard, found, strict=True))
    p_of = dict(zip(heard, corrected([effect.p for effect in found]), strict=True))
    figures = []
    for name in names:
        first, second = old.get(name, ()), new.get(name, ())
        budget, effect, p = budget_of[name], effect_of.get(name), p_of.get(name)
        if budget.ignored:
            judgement = Judgement(verdict=Verdict.IGNORED, reason=budget.ignored)
        elif obstacle:
            judgement = Judgement(verdict=Verdict.UNDECIDED, reason=obstacle)
        elif effect is None or p is None:
            judgement = missing("baseline" if len(first) < counts[0] else "candidate")
        else:
            judgement = judge_runs(
                name,
                effect,
                budget,
                mean=statistics.fmean(first),
                p=p,
                counts=Counts(runs=min(counts), tests=len(heard)),
            )
        figures.append(make_figure(name, (first, second), budget, judgement, effect=effect, p=p))
    return figures


def _without_spread(
    old: Mapping[str, Sequence[Number]],
    new: Mapping[str, Sequence[Number]],
    budgets: Budgets,
    run_count: int,
) -> list[Figure]:
    """Show what so few runs gave, and how many would do."""
    what = "one run" if run_count == 1 else f"{run_count} runs"
    judgement = Judgement(
        verdict=Verdict.UNDECIDED,
        reason=f"{what} on a side: too few to know their spread",
        runs_needed=RUNS_DEFAULT,
    )
    figures = []
    for name in BY_NAME:
        if name not in old and name not in new:
            continue
        budget = budgets.of(name, exact=False)
        ignored = Judgement(verdict=Verdict.IGNORED, reason=budget.ignored)
        values = (old.get(name, ()), new.get(name, ()))
        figures.append(make_figure(name, values, budget, ignored if budget.ignored else judgement))
    return figures


def _values(side: Side, *, is_measured: bool) -> dict[str, list[Number]]:
    """Give the values of each metric; what the host measured, only where all runs have it."""
    found: dict[str, list[Number]] = {}
    for run in side.runs:
        measured = run.measured_figures if is_measured and run.measured_figures else {}
        for name, value in {**run.model_figures, **measured}.items():
            found.setdefault(name, []).append(value)
    return found
