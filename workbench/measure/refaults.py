"""What taking memory back costs the guest: faults on what had been discarded, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.errors import UnidentifiableError, UsageError
from workbench.measure.attributes import run_attributes
from workbench.measure.required import require_run
from workbench.measure.residency import span_ns
from workbench.replay import NO_FAULTS, Outcome
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    import pandas as pd

    from workbench.replay import Replay

_ROUND: Final = (1, 2, 5)
"""Slices are one of these, times a power of ten, in nanoseconds: rates can be read off a clock."""


def refaults_over_time(run: Replay, *, time_bins: int = 240) -> pd.DataFrame:
    """Say how often a guest faulted on what had been given back, over time.

    Parameters
    ----------
    time_bins
        Most slices that the capture's time is cut into.

    Returns
    -------
    One row per slice of time: start_s and stop_s (since the capture began), refaults, of all
    machines together, and refaults_per_second.  Refaults add up to the metric of that name.

    Raises
    ------
    UnidentifiableError
        The trace has no faults.
    UsageError
        There are no bins.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    require_run(run)
    if not run.trace.manifest.saw_faults:
        raise UnidentifiableError(f"{run.trace.name}: {NO_FAULTS}")
    if time_bins < 1:
        raise UsageError(f"time_bins is {time_bins}, expected 1 or more")
    ledger = run.ledger
    last_ns = int(ledger.time_ns[-1]) if ledger.time_ns.size else None
    start_ns, stop_ns = span_ns(run.trace.manifest, last_ns)
    slice_ns = _slice_ns(stop_ns - start_ns, time_bins)
    count = max(-(-(stop_ns - start_ns) // slice_ns), 1)
    # What is drained from the probes' buffers first may be a little older than the clock's reading,
    # and the last event is in the last slice.
    refaulted_ns = ledger.time_ns[ledger.outcome == Outcome.REFAULT]
    number = np.clip((refaulted_ns - start_ns) // slice_ns, 0, count - 1)
    refaults = np.bincount(number, minlength=count)
    first_ns = np.arange(count) * slice_ns
    stops_ns = np.minimum(first_ns + slice_ns, max(stop_ns - start_ns, 1))
    frame = pd.DataFrame(
        {
            "start_s": first_ns / NANOSECONDS,
            "stop_s": stops_ns / NANOSECONDS,
            "refaults": refaults,
            "refaults_per_second": refaults / ((stops_ns - first_ns) / NANOSECONDS),
        }
    )
    frame.attrs = run_attributes(run)
    return frame


def _slice_ns(duration_ns: int, time_bins: int) -> int:
    power = 1
    while True:
        for step in _ROUND:
            if duration_ns <= step * power * time_bins:
                return step * power
        power *= 10
