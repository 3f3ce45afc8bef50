"""A comparison in words: what terminal, Markdown, JUnit and HTML all say alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.gate.verdict import Verdict
from workbench.measure import quantity_text
from workbench.units import NANOSECONDS, format_ns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.gate.comparison import Comparison
    from workbench.gate.figure import Figure

INTERVAL: Final = "95 %"
"""The column of where the change lies with 95 % confidence."""

COLUMNS: Final = ("metric", "baseline", "candidate", "change", INTERVAL, "verdict")

_DASH: Final = "-"


class FigureCells(NamedTuple):
    """A figure as the cells of a row."""

    metric: str
    baseline: str
    candidate: str
    change: str
    interval: str
    verdict: str


def figure_cells(figure: Figure) -> FigureCells:
    """Write a figure for reading."""
    return FigureCells(
        metric=figure.metric,
        baseline=_value(figure.baseline_mean, figure.unit),
        candidate=_value(figure.candidate_mean, figure.unit),
        change=_DASH if figure.change is None else _share(figure.change, figure),
        interval=interval_text(figure),
        verdict=figure.verdict.value,
    )


def interval_text(figure: Figure) -> str:
    """Write where the change lies with 95 % confidence; a dash where it has no width."""
    if figure.low is None or figure.high is None or figure.low == figure.high:
        return _DASH
    low, high = _share(figure.low, figure), _share(figure.high, figure)
    return f"{low.removesuffix(' %')}…{high}" if high.endswith(" %") else f"{low}…{high}"


def headline(comparison: Comparison) -> str:
    """Say the verdict in one line: the worst metric, and how much was lost."""
    counts = comparison.counts
    judged = len(comparison.figures) - counts["ignored"]
    if comparison.losses_forbid:
        lost = comparison.baseline.lost_events + comparison.candidate.lost_events
        return f"No verdict: {lost:,} events were lost, and so no figure is certain"
    worst = comparison.worst
    if worst is not None:
        others = counts["worse"] - 1
        more = f"; {others} more {'is' if others == 1 else 'are'} worse" if others else ""
        return f"Regression: {loss_text(worst)}{more}"
    if counts["undecided"]:
        first = next(each for each in comparison.in_order if each.verdict is Verdict.UNDECIDED)
        return (
            f"Undecided: {counts['undecided']} of {judged} figures, {_named(first)} first: "
            f"{reason_text(first)}"
        )
    changed = counts["changed"] + counts["better"]
    what = f"{changed} of {judged} changed, none for the worse" if changed else "no loss"
    return f"Fine: {what} beyond its budget" if changed else f"Fine: {what} in {judged} figures"


def reasons(figures: Iterable[Figure]) -> list[str]:
    """Give the reasons of what is worse or undecided, each once, with the metrics it is of."""
    found: dict[str, list[str]] = {}
    for figure in figures:
        if figure.verdict in {Verdict.WORSE, Verdict.UNDECIDED} and reason_text(figure):
            found.setdefault(reason_text(figure), []).append(_named(figure))
    return [f"{_few(names)}: {reason}" for reason, names in found.items()]


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED_MOST])
    return f"{shown} and {len(names) - _NAMED_MOST:,} more" if len(names) > _NAMED_MOST else shown


_NAMED_MOST: Final = 4


def loss_text(figure: Figure) -> str:
    """Say what became of a metric: by how much it is more or less, in its unit and in per cent."""
    old, new = figure.baseline_mean, figure.candidate_mean
    if old is None or new is None:
        return f"{_named(figure)}: {reason_text(figure)}"
    way = "more" if new > old else "less"
    share = f" ({_share(figure.change, figure)})" if figure.is_ratio and figure.change else ""
    values = f"{_value(old, figure.unit)}, now {_value(new, figure.unit)}"
    return f"{_named(figure)} is {_value(abs(new - old), figure.unit)} {way}{share}: {values}"


def reason_text(figure: Figure) -> str:
    """Give the reason of a verdict, and what would decide."""
    if figure.runs_needed is None:
        return figure.reason
    return f"{figure.reason}; about {figure.runs_needed} runs a side would decide"


def _named(figure: Figure) -> str:
    return f"{figure.metric} of {figure.recording}" if figure.recording else figure.metric


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return _DASH
    if unit == "s":
        return format_ns(value * NANOSECONDS)
    if unit not in {"bytes", "byte-seconds", "of the peak"} and value != round(value):
        return f"{value:,.1f} {unit}"
    return quantity_text(value, unit)


def _share(change: float, figure: Figure) -> str:
    """Write a change: in per cent with as many digits as it takes to see it, or in the unit."""
    if change == 0:
        return "0 %" if figure.is_ratio else "0"
    if not figure.is_ratio:
        sign = "+" if change >= 0 else "-"
        return f"{sign}{_value(abs(change), figure.unit)}"
    percent = 100 * change
    if abs(percent) >= _SMALL_PERCENT:
        return f"{percent:+.1f} %"
    return f"{percent:+.1g} %"


_SMALL_PERCENT: Final = 0.05
"""Less is 0.0 when it is rounded to a tenth, which would be said of nothing only."""
