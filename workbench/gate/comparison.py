"""Two sides in, one comparison out; every rendering is made from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from workbench.errors import InputError
from workbench.gate.accepted import stand_in
from workbench.gate.budgets import Budgets
from workbench.gate.conditions import EXIT_FINE, EXIT_LOST, EXIT_REGRESSION, EXIT_UNDECIDED
from workbench.gate.exact import by_recording, exact_figures
from workbench.gate.figure import Figure  # noqa: TC001 - the JSON schema is made from the types.
from workbench.gate.remarks import pair_remarks, pool_obstacle, pool_remarks, side_remarks
from workbench.gate.spread import spread_figures
from workbench.gate.verdict import Verdict
from workbench.measure import BY_NAME, Aggregate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.gate.budgets import Accepted
    from workbench.gate.runs import Side


_WORDS: Final = {
    EXIT_FINE: "fine",
    EXIT_REGRESSION: "regression",
    EXIT_UNDECIDED: "undecided",
    EXIT_LOST: "no verdict",
}

_ORDER: Final = {
    Verdict.WORSE: 0,
    Verdict.UNDECIDED: 1,
    Verdict.CHANGED: 2,
    Verdict.BETTER: 3,
    Verdict.SAME: 4,
    Verdict.IGNORED: 5,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SideSummary:
    """What one side consisted of."""

    label: str
    runs: int
    recordings: int
    models: tuple[str, ...]
    lost_events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two sides, compared: what is to be known first, and a figure for each metric."""

    baseline: SideSummary
    candidate: SideSummary
    remarks: tuple[str, ...]
    """What differs in the sides besides their figures; said before them."""
    figures: tuple[Figure, ...]
    is_exact: bool
    """Whether both sides replayed the same recordings, so that the model's figures are compared
    exactly."""
    losses_forbid: bool
    """Whether events were lost that nobody allowed, so that there is no verdict."""

    @property
    def counts(self) -> dict[str, int]:
        """How many figures there are of each verdict."""
        found = Counter(figure.verdict for figure in self.figures)
        return {verdict.value: found[verdict] for verdict in Verdict}

    @property
    def exit_code(self) -> int:
        """The exit code of `workbench compare`: lost events before losses before doubts."""
        if self.losses_forbid:
            return EXIT_LOST
        if self.counts["worse"]:
            return EXIT_REGRESSION
        return EXIT_UNDECIDED if self.counts["undecided"] else EXIT_FINE

    @property
    def verdict(self) -> str:
        """The verdict on the whole, in a word."""
        return _WORDS[self.exit_code]

    @property
    def in_order(self) -> tuple[Figure, ...]:
        """The figures, the worst first, and those without a say last."""
        return tuple(sorted(self.figures, key=_place))

    @property
    def worst(self) -> Figure | None:
        """The figure of the largest loss among the regressions; of equal ones the first."""
        return next((each for each in self.in_order if each.verdict is Verdict.WORSE), None)


def compare_sides(
    baseline: Side,
    candidate: Side,
    budgets: Budgets | None = None,
    *,
    accepted: Iterable[Accepted] = (),
    allow_lost: bool = False,
) -> Comparison:
    """Compare two sides.

    Parameters
    ----------
    accepted
        Figures that stand in for those of the baseline.
    allow_lost
        Whether there is a verdict although events were lost.

    Where both replayed the same recordings, figures of the model are compared exactly, recording by
    recording.  Otherwise every run is one sample, and all figures are compared statistically.

    Raises
    ------
    InputError
        The runs of one side do not belong together.
    """
    if not candidate.runs:
        raise InputError(f"{candidate.label}: has no figures; nothing can be compared with it")
    budgets = budgets or Budgets()
    baseline, told = stand_in(baseline, accepted)
    remarks = [*side_remarks(baseline, candidate), *told]
    first, second = by_recording(baseline, candidate), by_recording(candidate, baseline)
    shares = bool(first.keys() & second.keys())
    is_exact = shares or baseline.is_accepted or candidate.is_accepted
    if is_exact:
        figures = exact_figures(first, second, budgets)
        remarks += pair_remarks(first, second)
    else:
        remarks += pool_remarks(baseline, candidate)
        figures = spread_figures(baseline, candidate, budgets, pool_obstacle(baseline, candidate))
    is_lost = any(run.lost_events for side in (baseline, candidate) for run in side.runs)
    forbid = is_lost and not allow_lost
    if forbid:
        figures = [_undecided(figure, "events were lost") for figure in figures]
    return Comparison(
        baseline=_summary(baseline),
        candidate=_summary(candidate),
        remarks=tuple(remarks),
        figures=tuple(figures),
        is_exact=is_exact,
        losses_forbid=forbid,
    )


def _place(figure: Figure) -> tuple[int, bool, float, bool]:
    """Put losses of memory before those of the model's own error, and large ones before small.

    Of equal ones, those come first of which it can be said how much they are in per cent.
    """
    is_error = BY_NAME[figure.metric].aggregate is Aggregate.RATIO
    return _ORDER[figure.verdict], is_error, -figure.loss, not figure.is_ratio


def _undecided(figure: Figure, reason: str) -> Figure:
    if figure.verdict is Verdict.IGNORED:
        return figure
    return replace(figure, verdict=Verdict.UNDECIDED, reason=reason, runs_needed=None)


def _summary(side: Side) -> SideSummary:
    return SideSummary(
        label=side.label,
        runs=len(side.runs),
        recordings=len({run.trace for run in side.runs}),
        models=tuple(sorted({run.model for run in side.runs})),
        lost_events=sum(run.lost_events for run in side.runs),
    )
