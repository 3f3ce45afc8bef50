"""How what a guest frees drains out of the host's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.measure import series
from workbench.measure.attributes import run_attributes
from workbench.measure.required import require_run
from workbench.measure.residency import machine_indexes, resident_series
from workbench.measure.series import Series
from workbench.schema import Kind
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from workbench.measure.series import Fall
    from workbench.replay import Replay

_SMALLEST_FALL: Final = 0.1
"""Of the peak.  Smaller swings are the guest's daemons and page cache at work, not a free."""

DRAINED: Final = 0.9
"""A fall counts as done at 90 %: the last blocks wait for their neighbours to be freed."""

_HALF: Final = 0.5

_BIN_COUNT: Final = 250
"""Slices of time that a drain is thinned to: a chart of many has no room for more."""


class Drain(NamedTuple):
    """A lasting fall of one machine's resident memory, from the free that began it.

    Attributes
    ----------
    start_ns
        The lab's last marker before the fall, or without markers the last moment memory stood at
        its height.
    freed_bytes
        How far memory fell.
    held
        Of that, what is still in memory: from the start until the first moment nothing is.
    """

    vm: int
    start_ns: int
    freed_bytes: int
    held: Series

    def seconds_until(self, share: float) -> float:
        """Say how long it took until this share of what was freed had gone."""
        gone = self.held.value <= self.freed_bytes - share * self.freed_bytes
        return (int(self.held.time_ns[np.argmax(gone)]) - self.start_ns) / NANOSECONDS


def lower_median(seconds: Sequence[float]) -> float:
    """Give the middle of the `seconds` of some drains; of an even number the lower of the two."""
    return float(np.quantile(seconds, 0.5, method="lower"))


def drain_seconds(run: Replay) -> float | None:
    """Say how long the fall took that resident memory ends on, to 90 %: see the dictionary."""
    if not run.trace.manifest.saw_faults:
        return None
    found = []
    for vm, resident in _memory(run):
        fall = series.last_fall(resident, smallest=_smallest(resident))
        if fall is not None:
            found.append(_drain(run, vm, resident, fall).seconds_until(DRAINED))
    return max(found, default=None)


def drains_of(run: Replay) -> list[Drain]:
    """Find every lasting fall, machine by machine: those before memory rose again as well.

    The metric drain_seconds is of the last one alone, and only if memory ends on it.

    Raises
    ------
    UnidentifiableError
        The trace has no faults.
    """
    return [
        _drain(run, vm, resident, fall)
        for vm, resident in _memory(run)
        for fall in series.falls(resident, smallest=_smallest(resident))
    ]


def drain_after_free(run: Replay) -> pd.DataFrame:
    """Say how much of what the guests freed was still in memory, and for how long.

    Returns
    -------
    One row per drain (see `drains_of`) and time of change, thinned to what can be seen: drain
    (its number), vm, freed_bytes, seconds_since_free and held_bytes, which holds until the next
    row and is 0 in a drain's last one.  No row if memory never fell for good.  In `attrs`, for
    each drain, half_seconds and drained_seconds: until half of it and 90 % of it had gone; and
    swaps: whether pages went to swap, which take part in a fall of resident memory like others.

    Raises
    ------
    UnidentifiableError
        The trace has no faults.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    require_run(run)
    found = drains_of(run)
    held = [series.thin(drain.held, bin_count=_BIN_COUNT) for drain in found]
    rows = [part.time_ns.size for part in held]
    since_ns = [part.time_ns - drain.start_ns for drain, part in zip(found, held, strict=True)]
    columns = {
        "drain": np.repeat(np.arange(len(found)), rows),
        "vm": np.repeat(np.array([drain.vm for drain in found], np.int64), rows),
        "freed_bytes": np.repeat(np.array([drain.freed_bytes for drain in found], np.int64), rows),
        "seconds_since_free": np.concatenate([np.empty(0), *since_ns]) / NANOSECONDS,
        "held_bytes": np.concatenate([np.empty(0, np.int64), *(part.value for part in held)]),
    }
    frame = pd.DataFrame(columns)
    frame.attrs = {
        **run_attributes(run),
        "swaps": bool((run.ledger.swapped_delta_pages > 0).any()),
        "half_seconds": [drain.seconds_until(_HALF) for drain in found],
        "drained_seconds": [drain.seconds_until(DRAINED) for drain in found],
    }
    return frame


def _memory(run: Replay) -> Iterator[tuple[int, Series]]:
    return ((vm, resident_series(run, vm)) for vm in machine_indexes(run))


def _smallest(resident: Series) -> float:
    return _SMALLEST_FALL * float(resident.value.max())


def _drain(run: Replay, vm: int, resident: Series, fall: Fall) -> Drain:
    events = run.columns
    markers_ns = events["time_ns"][(events["kind"] == Kind.MARKER) & (events["vm"] == vm)]
    before_fall = markers_ns[markers_ns <= fall.start_ns]
    start_ns = int(before_fall[-1]) if before_fall.size else fall.start_ns
    row = int(np.searchsorted(resident.time_ns, fall.start_ns))
    held = resident.value[row:] - (fall.height - fall.depth)
    stop = int(np.argmax(held <= 0)) + 1
    return Drain(
        vm,
        start_ns,
        fall.depth,
        Series(
            np.concatenate(([start_ns], resident.time_ns[row : row + stop])),
            np.concatenate(([fall.depth], np.maximum(held[:stop], 0))),
        ),
    )
