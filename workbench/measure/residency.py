"""Guest RAM over time, as a replay predicts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.measure import series
from workbench.measure.series import Series
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay import Replay


def machine_indexes(run: Replay) -> range:
    """Give the indexes of the trace's virtual machines."""
    return range(len(run.trace.manifest.virtual_machines))


def resident_series(run: Replay, vm: int | None = None) -> Series:
    """Predicted resident bytes of one machine, or of all together, over the capture's span."""
    return _series(run, run.ledger.resident_delta_pages, run.initial_resident_pages, vm)


def swapped_series(run: Replay, vm: int | None = None) -> Series:
    """Predicted swapped bytes of one machine, or of all together, over the capture's span."""
    return _series(run, run.ledger.swapped_delta_pages, run.initial_swapped_pages, vm)


def span_ns(run: Replay) -> tuple[int, int]:
    """Give the start and the end of the capture.  A killed capture ends at its last event."""
    manifest = run.trace.manifest
    stop_ns = manifest.start_time_ns + manifest.duration_ns
    if run.ledger.time_ns.size:
        stop_ns = max(stop_ns, int(run.ledger.time_ns[-1]))
    return manifest.start_time_ns, stop_ns


def _series(
    run: Replay,
    delta_pages: npt.NDArray[np.int64],
    initial_pages: npt.NDArray[np.int64],
    vm: int | None,
) -> Series:
    machines = machine_indexes(run) if vm is None else [vm]
    moved = (delta_pages != 0) & np.isin(run.ledger.vm, list(machines))
    pages = int(sum(int(initial_pages[machine]) for machine in machines))
    value = pages + np.concatenate(([0], np.cumsum(delta_pages[moved])))
    start_ns, stop_ns = span_ns(run)
    # What is drained from the probes' buffers first may be a little older than the clock's reading.
    time_ns = np.concatenate(([start_ns], np.maximum(run.ledger.time_ns[moved], start_ns)))
    return series.ending_at(Series(time_ns, value * PAGE_BYTES), stop_ns)
