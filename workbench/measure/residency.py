"""Guest RAM over time, as a replay predicts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import UnidentifiableError
from workbench.measure import series
from workbench.measure.presence import Presence
from workbench.measure.series import Series
from workbench.replay import NO_FAULTS
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay import Replay
    from workbench.trace import Manifest


def machine_indexes(run: Replay) -> range:
    """Give the indexes of the trace's virtual machines."""
    return range(len(run.trace.manifest.virtual_machines))


def resident_series(run: Replay, vm: int | None = None) -> Series:
    """Predicted resident bytes of one machine, or of all together, over the capture's span.

    Raises
    ------
    UnidentifiableError
        The trace has no faults.
    """
    return _series(run, run.ledger.resident_delta_pages, run.initial_resident_pages, vm)


def swapped_series(run: Replay, vm: int | None = None) -> Series:
    """Predicted swapped bytes of one machine, or of all together; likewise."""
    return _series(run, run.ledger.swapped_delta_pages, run.initial_swapped_pages, vm)


def span_ns(manifest: Manifest, last_ns: int | None) -> tuple[int, int]:
    """Give the start and the end of the capture.  A killed capture ends at its last event.

    Parameters
    ----------
    last_ns
        Of the last event; None if there is none.
    """
    start_ns = manifest.start_time_ns
    stop_ns = start_ns + manifest.duration_ns
    return start_ns, stop_ns if last_ns is None else max(stop_ns, last_ns)


def changes(
    time_ns: npt.NDArray[np.int64],
    delta_pages: npt.NDArray[np.int64],
    *,
    start_ns: int,
    initial_pages: int,
) -> Series:
    """Pages over time: how many there are at the start, and after each change."""
    # What is drained from the probes' buffers first may be a little older than the clock's reading.
    later_ns = np.maximum(time_ns, start_ns)
    pages = np.cumsum(np.concatenate(([initial_pages], delta_pages)))
    return Series(np.concatenate(([start_ns], later_ns)), pages)


def _series(
    run: Replay,
    delta_pages: npt.NDArray[np.int64],
    initial_pages: npt.NDArray[np.int64],
    vm: int | None,
) -> Series:
    if not run.trace.manifest.saw_faults:
        raise UnidentifiableError(f"{run.trace.name}: {NO_FAULTS}")
    machines = machine_indexes(run) if vm is None else [vm]
    ledger, manifest = run.ledger, run.trace.manifest
    moved = (delta_pages != 0) & np.isin(ledger.vm, list(machines))
    last_ns = int(ledger.time_ns[-1]) if ledger.time_ns.size else None
    start_ns, stop_ns = span_ns(manifest, last_ns)
    presence = Presence(manifest.virtual_machines, machines, initial_pages)
    parts = []
    if moved.any():
        parts.append(presence.merge(ledger.time_ns[moved], ledger.vm[moved], delta_pages[moved]))
    parts.append(presence.rest())
    pages = changes(
        np.concatenate([part.time_ns for part in parts]),
        np.concatenate([part.pages for part in parts]),
        start_ns=start_ns,
        initial_pages=presence.initial_pages,
    )
    return series.ending_at(Series(pages.time_ns, pages.value * PAGE_BYTES), stop_ns)
