"""One metric of a comparison, with everything that is shown of it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from workbench.gate.verdict import Verdict, direction
from workbench.measure import BY_NAME, MEASURED_METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.gate.budgets import Budget
    from workbench.gate.effects import Effect
    from workbench.gate.runs import Number, Run
    from workbench.gate.verdict import Judgement

MEASURED: Final = frozenset(metric.name for metric in MEASURED_METRICS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One metric, compared."""

    metric: str
    recording: str
    """Name of the recording both sides replayed; empty where runs of several are compared."""
    trace: str
    """Digest of that recording; likewise."""
    settings: str
    unit: str
    kind: Literal["model", "measured"]
    better: Literal["lower", "higher", "neither"]
    baseline: tuple[int | float, ...]
    """A value for each run that has one."""
    candidate: tuple[int | float, ...]
    baseline_mean: int | float | None
    """Of the runs, or the one value; None where there is none."""
    candidate_mean: int | float | None
    change: float | None
    """As a fraction of the baseline, or where `is_ratio` is false in the unit of the metric."""
    low: float | None
    """Where the change lies with 95 % confidence; None where it is exact or there are too few."""
    high: float | None
    is_ratio: bool
    p: float | None
    """Mann-Whitney, corrected for the number of metrics; None where it is exact."""
    budget_relative: float
    budget_absolute: float
    verdict: Verdict
    reason: str
    runs_needed: int | None

    @property
    def loss(self) -> float:
        """How bad the change is, from 0 (none) to 1 (all is lost, or something where was nothing).

        For a metric of which less is better, what of the candidate's is too much.
        """
        first, second = self.baseline_mean, self.candidate_mean
        if first is None or second is None or self.better == "neither":
            return 0.0
        if self.better == "lower":
            first, second = second, first
        if first <= second:
            return 0.0
        return min(1.0, (first - second) / first) if first > 0 else 1.0


def make_figure(
    name: str,
    values: tuple[Sequence[Number], Sequence[Number]],
    budget: Budget,
    judgement: Judgement,
    *,
    effect: Effect | None = None,
    p: float | None = None,
    run: Run | None = None,
) -> Figure:
    """Put together what is shown of a metric.

    Parameters
    ----------
    values
        Of the baseline's runs, and of the candidate's.
    run
        Of the one recording that both sides replayed; None where runs of several are compared.
    """
    first, second = values
    old, new = _mean(first), _mean(second)
    change, is_ratio = _change(old, new, effect)
    return Figure(
        metric=name,
        recording="" if run is None else run.name,
        trace="" if run is None else run.trace,
        settings="" if run is None else run.settings,
        unit=BY_NAME[name].unit,
        kind="measured" if name in MEASURED else "model",
        better=direction(name, budget).value,
        baseline=tuple(first),
        candidate=tuple(second),
        baseline_mean=old,
        candidate_mean=new,
        change=change,
        low=None if effect is None else effect.low,
        high=None if effect is None else effect.high,
        is_ratio=is_ratio,
        p=p,
        budget_relative=budget.relative,
        budget_absolute=budget.absolute,
        verdict=judgement.verdict,
        reason=judgement.reason,
        runs_needed=judgement.runs_needed,
    )


def _mean(values: Sequence[Number]) -> Number | None:
    if len(values) == 1:
        return values[0]  # An integer stays one.
    return statistics.fmean(values) if values else None


def _change(
    old: Number | None, new: Number | None, effect: Effect | None
) -> tuple[float | None, bool]:
    if effect is not None:
        return effect.change, effect.is_ratio
    if old is None or new is None:
        return None, False
    return ((new - old) / old, True) if old > 0 else (new - old, False)
