"""How many guests fit on a host, from what they need together number by number."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import numpy as np

from workbench.errors import InputError
from workbench.study.rules import MOST_GUESTS
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from workbench.study.study import HostKind, Limit, Study

    Columns = dict[str, npt.NDArray[np.int64]]

_DAY_NS: Final = 86_400 * NANOSECONDS

NOTHING: Final = "nothing"
"""What limits guests of whom more would fit than are counted."""

_OF_A_ROW: Final = frozenset({"host", "variant", "seed", "guests"})
"""Columns that say which row it is."""


class Sums(NamedTuple):
    """What guests need together on one host under one variant.

    Attributes
    ----------
    columns
        As `fill_hosts` names them.  Shape (seed, number of guests - 1): behind the last number that
        a seed was followed to, its last value.
    counted
        The numbers that each seed was followed to.  Shape (seed,).
    step_ns
        Of the timeline.
    """

    columns: Columns
    counted: npt.NDArray[np.int64]
    step_ns: int

    @property
    def over_moments(self) -> npt.NDArray[np.int64]:
        """At how many moments memory is short; at every one behind the last number."""
        moments = self.columns["moments"]
        is_beyond = np.arange(moments.shape[1]) >= self.counted[:, None]
        return np.where(is_beyond, moments, self.columns["over_moments"])

    @property
    def days(self) -> float:
        """How long the moments take."""
        return int(self.columns["moments"][0, 0]) * self.step_ns / _DAY_NS

    def mean(self, name: str, guests: int) -> float:
        """Average a column over the seeds at a number of guests; missing if one ends before it."""
        if guests == 0:
            return 0.0
        if guests > self.counted.min():
            return float("nan")
        return float(sum(self.columns[name][:, guests - 1].tolist()) / self.counted.size)


class Fit(NamedTuple):
    """How many guests fit: columns of the answers."""

    guests: int
    guests_least: int
    guests_most: int
    guests_at_peaks: int
    limited_by: str


def sums_of(study: Study, together: pd.DataFrame) -> dict[tuple[int, int], Sums]:
    """Lay out what guests need together, by host and variant.

    Parameters
    ----------
    together
        As `answers` takes it.

    Raises
    ------
    InputError
        It is not of this study: something is missing.
    """
    found = {}
    for key, rows in together.groupby(["host", "variant"]):
        by_seed = {seed: part.sort_values("guests") for seed, part in rows.groupby("seed")}
        if set(by_seed) == set(study.seeds):
            found[cast("tuple[int, int]", key)] = _laid_out(
                study, [by_seed[seed] for seed in study.seeds]
            )
    for place, host in enumerate(study.hosts):
        for number, variant in enumerate(study.variants):
            if (place, number) not in found:
                raise InputError(
                    f"{study.name}: sums for {host.name} under {variant.label} are missing, "
                    f"expected those of the seeds {', '.join(map(str, study.seeds))}; run the "
                    "study again"
                )
    return found


def _laid_out(study: Study, parts: list[pd.DataFrame]) -> Sums:
    counted = np.array([len(part) for part in parts])
    longest = int(counted.max())
    columns = {
        name: np.stack([_filled(part[name].to_numpy(np.int64), longest) for part in parts])
        for name in parts[0].columns
        if name not in _OF_A_ROW
    }
    return Sums(columns, counted, study.step_ns)


def _filled(values: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Repeat the last value up to a size."""
    return np.pad(values, (0, size - values.size), mode="edge")


def fit_of(
    sums: Sums, host: HostKind, limit: Limit, *, drain_seconds: float, swap_in_guests: int | None
) -> Fit:
    """Say how many guests fit.

    Parameters
    ----------
    drain_seconds
        Of the variant, to 90 %.
    swap_in_guests
        So many keep the limit of what is read back from swap; None: there is none.
    """
    over, moments = sums.over_moments, sums.columns["moments"]
    allowed = 1 - Fraction(str(limit.share_of_time))
    guests = _fitting(over.sum(axis=0), moments.sum(axis=0), allowed)
    by_seed = [_fitting(*each, allowed) for each in zip(over, moments, strict=True)]
    peaks = (sums.columns["peaks_bytes"] <= host.for_guests_bytes).all(axis=0)
    at_peaks = _leading(peaks & (np.arange(peaks.size) < sums.counted.min()))
    fit = Fit(guests, min(by_seed), max(by_seed), at_peaks, "memory")
    if guests == MOST_GUESTS:
        fit = fit._replace(limited_by=NOTHING)
    if swap_in_guests is not None and swap_in_guests < guests:
        fit = _no_more_than(swap_in_guests, fit)._replace(limited_by="swap_in")
    if limit.drain_seconds is not None and drain_seconds > limit.drain_seconds:
        fit = _no_more_than(0, fit)._replace(limited_by="drain")
    return fit


def _no_more_than(most: int, fit: Fit) -> Fit:
    return Fit(
        min(fit.guests, most),
        min(fit.guests_least, most),
        min(fit.guests_most, most),
        min(fit.guests_at_peaks, most),
        fit.limited_by,
    )


def _fitting(over: npt.NDArray[np.int64], moments: npt.NDArray[np.int64], allowed: Fraction) -> int:
    """Say for how many, and all fewer, memory is short in no more than the allowed part of time."""
    # In Python's integers: a share of 13 digits times some moments has no room in an int64.
    most = [count * allowed.numerator // allowed.denominator for count in moments.tolist()]
    return _leading(over <= np.array(most, np.int64))


def _leading(holds: npt.NDArray[np.bool_]) -> int:
    """Say how many of the first hold, up to the first that does not."""
    return int(holds.size if holds.all() else np.argmin(holds))
