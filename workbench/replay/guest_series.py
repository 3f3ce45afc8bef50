"""Predict what a guest holds of host memory from samples of its free memory, for any reporting.

The door to the kernels of `workbench.model.guest`.  It never reads the measured resident set: the
constants below were chosen once, on a series of which nothing else is told (docs/validation.md).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.card import Card, Shown
from workbench.errors import UnidentifiableError, UsageError
from workbench.model.guest import (
    THOUSANDTHS,
    FreeShares,
    Instants,
    SeriesColumns,
    SeriesConstants,
    hidden_swing_pages,
    low_watermark_pages,
    new_state,
    reportable_pages,
    run_series,
)
from workbench.replay.door import made_with
from workbench.replay.settings import Guest
from workbench.schema import UNKNOWN
from workbench.trace import Reporting
from workbench.units import HUGE_PAGE_ORDER, NANOSECONDS, PAGE_BYTES, format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from workbench.trace import GuestSeries

LINUX_REPORTING: Final = Reporting(order=HUGE_PAGE_ORDER, delay_ns=2 * NANOSECONDS, capacity=32)
"""What Linux does if nobody asks for anything else.

Source: Linux 6.1 mm/page_reporting.c, PAGE_REPORTING_DELAY, page_reporting_register();
include/linux/page_reporting.h, PAGE_REPORTING_CAPACITY.
"""

_LEAST_DELAY_NS: Final = 1_000_000
"""A jiffy of a guest of 1,000 Hz: no timer of Linux's work queues is finer."""

RUNS: Final = 16
"""Choices of what samples leave open that a prediction is the mean of."""

_STEPS: Final = (1, 5, 7)
"""Each run takes other instants for what no sample tells.  Multiples of steps that share no factor
with the number of runs spread the three of them evenly (a rank-1 lattice)."""

_TENTHS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a series was sampled, and what samples leave open.

    The values were chosen by `tools/guest_series.py choose` on iteration 0 of the series
    clang-base-auto-o9-d2000-c32 of luhsra/hyperalloc-bench a385a2d3.

    Attributes
    ----------
    own_bytes
        QEMU's own memory, which its resident set holds besides the guest's.
    lag_ns
        From the reading of the guest's numbers to that of the resident set.
    swing_rows
        Intervals over which is judged how much memory comes and goes within one; 0: none does.
    freed_order_9_tenths
        Of what was freed lately and is in blocks of 2 MiB or more, in blocks of just 2 MiB.
    free_order_9_tenths
        The same of all that is free.
    """

    own_bytes: int = 103_186_432
    lag_ns: int = 100_000_000
    swing_rows: int = 61
    freed_order_9_tenths: int = 7
    free_order_9_tenths: int = 5

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            is_tenths = field.name.endswith("tenths")
            if value < is_tenths or (is_tenths and value >= _TENTHS):
                limits = "1 to 9" if is_tenths else "0"
                raise UsageError(f"{field.name} is {value}, expected a whole number from {limits}")

    @property
    def shares(self) -> FreeShares:
        """How free memory is spread over the orders: evenly below 2 MiB."""
        small = [1] * HUGE_PAGE_ORDER
        return FreeShares(
            *(
                np.array([*small, tenths, _TENTHS - tenths], np.int64)
                for tenths in (self.freed_order_9_tenths, self.free_order_9_tenths)
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SeriesPrediction(Shown):
    """What a series predicts under some settings of reporting.

    Attributes
    ----------
    series
        The samples.
    reporting
        The order, delay and capacity that it is for.
    sampling
        How the series was sampled.
    resident_bytes
        QEMU's resident set at each sample.
    notes
        What of the answer rests on assumptions.
    lineage
        What the result is made of.
    """

    series: GuestSeries
    reporting: Reporting
    sampling: Sampling
    resident_bytes: npt.NDArray[np.int64]
    notes: tuple[str, ...]
    lineage: dict[str, Any]

    @property
    def is_as_sampled(self) -> bool:
        """Whether the guest reported like this when it was sampled, as far as anybody has said."""
        return self.series.reporting in {None, self.reporting}

    @property
    def label(self) -> str:
        """Name the settings the way people say them."""
        return self.reporting.label

    def _card(self) -> Card:
        peak, final = self.resident_bytes.max(), self.resident_bytes[-1]
        return Card(
            title=f"SeriesPrediction of {self.series.name}, {self.label}",
            facts=[
                ("resident", f"{format_bytes(peak)} at most, {format_bytes(final)} at the end"),
                ("as sampled", "yes, as far as is known" if self.is_as_sampled else "no"),
            ],
            remarks=self.notes,
        )


def reporting_of(guest: Guest, sampled: Reporting | None = None) -> Reporting:
    """Give order, delay and capacity; what is None stays as sampled, or is as Linux has it.

    Raises
    ------
    UsageError
        `guest` asks for anything but reporting, or for a delay below a millisecond.
    """
    if guest.poison_val is not None:
        raise UsageError("guest.poison_val does not change what a guest reports; leave it out")
    base = sampled or LINUX_REPORTING
    order, delay_ns, capacity = (
        known if asked is None else asked
        for asked, known in (
            (guest.reporting_order, base.order),
            (guest.reporting_delay_ns, base.delay_ns),
            (guest.reporting_capacity, base.capacity),
        )
    )
    if delay_ns < _LEAST_DELAY_NS:
        raise UsageError(
            f"guest.reporting_delay_ns is {delay_ns}, expected at least {_LEAST_DELAY_NS} (1 ms); "
            "Linux has no finer timer here"
        )
    return Reporting(order, delay_ns, capacity)


def predict_series(
    series: GuestSeries, guest: Guest | None = None, *, sampling: Sampling | None = None
) -> SeriesPrediction:
    """Predict QEMU's resident set from a guest's free memory, for any reporting.

    Parameters
    ----------
    guest
        What is None stays as sampled; where nobody has said how that was, it is as Linux has it.

    Raises
    ------
    UsageError
        `guest` asks for anything but reporting, or for a delay below a millisecond.
    UnidentifiableError
        Nobody asked what is free in huge pages.
    """
    _require_huge_pages(series)
    sampling = sampling or Sampling()
    reporting = reporting_of(guest or Guest(), series.reporting)
    columns, constants = model_inputs(series, reporting, sampling)
    swing = hidden_swing_pages(columns.small_pages + columns.large_pages, sampling.swing_rows)
    columns = columns._replace(swing_pages=swing)
    reported_bytes = reported_pages(columns, constants, range(RUNS)) * PAGE_BYTES // RUNS
    used_bytes = series.columns["total_bytes"] - reported_bytes
    return SeriesPrediction(
        series=series,
        reporting=reporting,
        sampling=sampling,
        resident_bytes=used_bytes + sampling.own_bytes,
        notes=_notes(reporting.order),
        lineage={
            "series": series.digest,
            "settings": {
                "reporting": reporting._asdict(),
                "sampling": dataclasses.asdict(sampling),
            },
            **made_with(),
        },
    )


def model_inputs(
    series: GuestSeries, reporting: Reporting, sampling: Sampling
) -> tuple[SeriesColumns, SeriesConstants]:
    """Give what the kernels take, where nothing swings between two samples."""
    samples = series.columns
    order, shares = reporting.order, sampling.shares
    free_large_pages = samples["free_huge_pages"] << HUGE_PAGE_ORDER
    small, large = reportable_pages(samples["free_pages"], free_large_pages, order, shares)
    columns = SeriesColumns(
        time_ns=samples["time_ns"],
        free_pages=samples["free_pages"],
        small_pages=small,
        large_pages=large,
        swing_pages=np.zeros_like(small),
    )
    constants = SeriesConstants(
        order=order,
        delay_ns=reporting.delay_ns,
        capacity=reporting.capacity,
        low_watermark_pages=low_watermark_pages(int(samples["total_bytes"].max()) // PAGE_BYTES),
        lag_ns=sampling.lag_ns,
        shares=shares,
    )
    return columns, constants


def reported_pages(
    columns: SeriesColumns, constants: SeriesConstants, runs: Iterable[int]
) -> npt.NDArray[np.int64]:
    """Sum what is reported at each sample over runs that choose what samples leave open.

    Parameters
    ----------
    runs
        Numbers below `RUNS`: each stands for other instants, all of them for any.
    """
    pages = np.zeros(columns.time_ns.size, np.int64)
    for run in runs:
        # The middles of as many equal parts as there are runs, each taken once.
        change, swing, first_pass = (2 * (run * step % RUNS) + 1 for step in _STEPS)
        state = new_state(columns.time_ns.size)
        instants = Instants(
            first_pass_ns=constants.delay_ns * first_pass // (2 * RUNS),
            change_thousandths=THOUSANDTHS * change // (2 * RUNS),
            swing_thousandths=THOUSANDTHS * swing // (2 * RUNS),
        )
        run_series(columns, constants, instants, state)
        pages += state.reported_pages
    return pages


def _notes(order: int) -> tuple[str, ...]:
    if order == HUGE_PAGE_ORDER:
        return ()
    if order == 0:
        return ("order 0: the only series it was tried on came out 4 to 7 % higher than predicted",)
    known = f"samples tell free memory of orders 0 and {HUGE_PAGE_ORDER} apart, and no others"
    return (f"order {order}: {known}; how much lies in this order is an assumption",)


def _require_huge_pages(series: GuestSeries) -> None:
    if (series.columns["free_huge_pages"] == UNKNOWN).any():
        raise UnidentifiableError(
            f"{series.name}: does not tell what is free in blocks of 2 MiB or more, expected "
            "free_huge_pages; sample /proc/buddyinfo too, or give its share in a study"
        )
