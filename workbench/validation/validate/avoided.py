"""What free page reporting spared a host's swap: without it, minus with it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workbench.validation.validate.bootstrap import Interval, median_difference_interval
from workbench.validation.validate.figures import SWAP

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from workbench.validation.validate.figures import Figures
    from workbench.validation.validate.predictions import Comparison
    from workbench.validation.validate.setting import Setting, Workload

_DEAD_PART: Final = {
    "swap_out_pages": "swap_out_dead_pages",
    "swap_in_pages": "swap_in_dead_pages",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Avoided:
    """Pages of one kind that a setting of reporting avoided.

    Attributes
    ----------
    measured
        Median of the live runs without reporting minus median of those with it.
    interval
        Of that difference; None where a setting ran once.
    predicted
        Mean of the predictions without reporting, minus mean of those with it: both by the models,
        also where the setting is that of the captures.
    predicted_dead
        The part of it that was free in the guest; None where that is not told apart.
    """

    quantity: str
    without: float | None
    measured: float | None
    interval: Interval | None
    predicted: float | None
    predicted_dead: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AvoidedBy:
    """What one setting of reporting avoided in one workload."""

    workload: Workload
    setting: Setting
    live_without: int
    live_with: int
    """Live runs of each."""
    pages: tuple[Avoided, ...]


def avoided(comparisons: Iterable[Comparison]) -> list[AvoidedBy]:
    """Compare every setting with reporting with the one without it, where pages were swapped."""
    found = []
    compared = [one for one in comparisons if one.figures is not None]
    for off in compared:
        if off.asked.order is not None or off.figures is None or not _swaps(off.figures.live):
            continue
        # The captures themselves report.
        runs = [(off.captured, off.figures.captured, off.figures.modelled)]
        runs += [
            (one.asked, one.figures.live, one.figures.predicted)
            for one in compared
            if one.figures is not None and _belongs(one, off)
        ]
        for setting, live, predicted in runs:
            pages = _differences(off.figures.live, off.figures.predicted, live, predicted)
            found.append(
                AvoidedBy(
                    workload=off.workload,
                    setting=setting,
                    live_without=len(off.figures.live),
                    live_with=len(live),
                    pages=pages,
                )
            )
    return found


def _belongs(one: Comparison, off: Comparison) -> bool:
    return (
        one.workload == off.workload
        and one.captured == off.captured
        and one.asked.order is not None
        and one.asked.memory_limit_bytes == off.asked.memory_limit_bytes
    )


def _swaps(runs: Sequence[Figures]) -> bool:
    return any(run.swap["swap_in_pages"] or run.swap["swap_written_pages"] for run in runs)


def _differences(
    live_off: Sequence[Figures],
    predicted_off: Sequence[Figures],
    live_on: Sequence[Figures],
    predicted_on: Sequence[Figures],
) -> tuple[Avoided, ...]:
    found = []
    for name in SWAP:
        off, on = _present(live_off, name), _present(live_on, name)
        found.append(
            Avoided(
                quantity=name,
                without=statistics.median(off) if off else None,
                measured=statistics.median(off) - statistics.median(on) if off and on else None,
                interval=median_difference_interval(off, on),
                predicted=_mean_difference(predicted_off, predicted_on, name),
                predicted_dead=_mean_difference(predicted_off, predicted_on, _DEAD_PART.get(name)),
            )
        )
    return tuple(found)


def _mean_difference(
    off: Sequence[Figures], on: Sequence[Figures], name: str | None
) -> float | None:
    if name is None:
        return None
    without, given = _present(off, name), _present(on, name)
    if not without or not given:
        return None
    return statistics.fmean(without) - statistics.fmean(given)


def _present(runs: Sequence[Figures], name: str) -> list[float]:
    return [value for run in runs if (value := run.swap[name]) is not None]
