"""Two sides that replayed the same recordings: every figure of the model, exactly."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from workbench.errors import InputError
from workbench.gate.figure import make_figure
from workbench.gate.verdict import ONE_SIDE_ONLY, Judgement, Verdict, judge_exactly, missing
from workbench.measure import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.gate.budgets import Budget, Budgets
    from workbench.gate.figure import Figure
    from workbench.gate.runs import Number, Run, Side

    Recordings = Mapping[tuple[str, str], Run]


def exact_figures(first: Recordings, second: Recordings, budgets: Budgets) -> list[Figure]:
    """Compare sides recording by recording.

    Parameters
    ----------
    first, second
        The runs by their recording, see `by_recording`.
    """
    keys = dict.fromkeys([*first, *second])
    return [figure for key in keys for figure in _pair(first.get(key), second.get(key), budgets)]


def by_recording(side: Side, other: Side) -> dict[tuple[str, str], Run]:
    """Key the runs by their recording, and by their settings where it was replayed with several.

    One side with several is enough: both have the same keys.

    Raises
    ------
    InputError
        Two runs are of one recording and of the same settings.
    """
    counts = Counter(run.trace for run in side.runs)
    counts |= Counter(run.trace for run in other.runs)
    found: dict[tuple[str, str], Run] = {}
    for run in side.runs:
        key = (run.trace, run.settings if counts[run.trace] > 1 else "")
        if key in found:
            raise InputError(
                f"{side.label}: {found[key].source} and {run.source} are the same recording, "
                f"replayed {run.settings}; name it only once"
            )
        found[key] = run
    return found


def _pair(first: Run | None, second: Run | None, budgets: Budgets) -> list[Figure]:
    """Compare one recording; where one side has not got it, its figures are missing there."""
    old = {} if first is None else first.model_figures
    new = {} if second is None else second.model_figures
    other_model = first is not None and second is not None and first.model != second.model
    figures = []
    for metric in METRICS:
        name = metric.name
        if name not in old and name not in new:
            continue
        budget = budgets.of(name, exact=True)
        judgement = _judge(name, old.get(name), new.get(name), budget)
        if (first is None or second is None) and not budget.ignored:
            judgement = Judgement(verdict=Verdict.UNDECIDED, reason=ONE_SIDE_ONLY)
        if other_model and judgement.verdict in {Verdict.BETTER, Verdict.CHANGED}:
            judgement = Judgement(
                verdict=Verdict.UNDECIDED, reason="the model changed, and this with it"
            )
        figures.append(
            make_figure(
                name,
                ([old[name]] if name in old else [], [new[name]] if name in new else []),
                budget,
                judgement,
                run=second or first,
            )
        )
    return figures


def _judge(name: str, old: Number | None, new: Number | None, budget: Budget) -> Judgement:
    if budget.ignored:
        return Judgement(verdict=Verdict.IGNORED, reason=budget.ignored)
    if old is None or new is None:
        return missing("baseline" if old is None else "candidate")
    return judge_exactly(name, old, new, budget)
