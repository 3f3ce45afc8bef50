"""How a figure went over time, and where it changed for good.  A report, never a gate."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from workbench.gate.history import Entry

POINTS_MIN: Final = 4
"""Of fewer additions nothing can be said: a change needs two points on either side."""

_STAY: Final = 2
"""Points that a level must last: one point alone is an outlier."""

_NEIGHBOURS_KEPT: Final = 0.9
"""Of the differences between neighbours, the smallest; the steps that are looked for are among the
others."""

_NORMAL: Final = 0.6573
"""Mean of the smaller nine tenths of |x|, of a standard normal x: 2 (phi(0) - phi(1.645)) / 0.9."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """Where a figure changed for good."""

    place: int
    """Which addition was the first of the new level, from 0."""
    commit: str
    before: float
    after: float
    """Mean of the level before it, and of the level it began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """One metric of one subject, on one branch and machine, over time."""

    branch: str
    machine: str
    subject: str
    metric: str
    unit: str
    values: tuple[float, ...]
    change_points: tuple[ChangePoint, ...]


def trends(entries: Iterable[Entry]) -> list[Trend]:
    """Sort a history by branch, machine, subject and metric, and look for changes in each."""
    groups: dict[tuple[str, str, str, str], list[Entry]] = {}
    for each in entries:
        key = (each.branch, each.machine, each.subject, each.metric)
        groups.setdefault(key, []).append(each)
    return [
        Trend(
            branch=branch,
            machine=machine,
            subject=subject,
            metric=metric,
            unit=own[0].unit,
            values=tuple(each.value for each in own),
            change_points=_change_points(own),
        )
        for (branch, machine, subject, metric), own in groups.items()
    ]


def _change_points(entries: Sequence[Entry]) -> tuple[ChangePoint, ...]:
    values = np.array([each.value for each in entries])
    places = change_places(values)
    edges = [0, *places, len(values)]
    means = [float(values[a:b].mean()) for a, b in itertools.pairwise(edges)]
    return tuple(
        ChangePoint(place=place, commit=entries[place].commit, before=before, after=after)
        for place, before, after in zip(places, means, means[1:], strict=False)
    )


def change_places(values: npt.NDArray[np.float64]) -> list[int]:
    """Find where the mean of a series changes, by PELT with squared error.

    Returns
    -------
    The first index of each new level.

    Notes
    -----
    The penalty is 3 log n, in units of the noise's variance: twice the log n of Schwarz's criterion
    for a mean, and once more for the place of the change.  The noise is taken from the differences
    of neighbours, without the largest, which steps are among.
    Source: Killick, Fearnhead and Eckley, J. Am. Stat. Assoc. 107 (2012) 1590-1598.
    """
    if values.size < POINTS_MIN or np.ptp(values) == 0:
        return []
    import ruptures  # noqa: PLC0415 - it brings SciPy, which takes a second to import.

    differences = np.sort(np.abs(np.diff(values)))
    kept = differences[: max(1, int(_NEIGHBOURS_KEPT * differences.size))]
    noise = float(kept.mean()) / _NORMAL / math.sqrt(2)
    # Of a figure without noise every step is real; what is divided by must only not be 0.
    scaled = (values - values.mean()) / (noise or float(np.ptp(values)) / _NOISELESS)
    found = ruptures.Pelt(model="l2", min_size=_STAY, jump=1).fit(scaled)
    places = found.predict(pen=3 * math.log(values.size))
    return [int(place) for place in places[:-1]]


_NOISELESS: Final = 1000
"""Steps of a thousandth of the range are still seen in a series without noise."""
