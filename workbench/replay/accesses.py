"""What a guest accesses besides its faults: as recorded, or as can be assumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.schema import NO_BLOCK, FaultFlag, Kind
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.trace import Trace
    from workbench.trace.reader import Columns


def with_accesses(trace: Trace, events: Columns) -> Columns:
    """Give events with the accesses of the guests.

    Where none were recorded, a guest accesses at once all of what a fault brings: on what a huge
    page backs it does not fault again.
    """
    if trace.manifest.access_interval_ns is not None:
        return events
    is_large = (events["kind"] == Kind.FAULT) & (events["length_bytes"] > PAGE_BYTES)
    rows = np.flatnonzero(is_large & (events["ram_block"] != NO_BLOCK))
    accesses = {name: values[rows] for name, values in events.items()}
    length_bytes = accesses["length_bytes"]
    accesses |= {
        "kind": np.full_like(accesses["kind"], Kind.ACCESS),
        "offset_bytes": accesses["offset_bytes"] // length_bytes * length_bytes,
        "status": accesses["status"] & FaultFlag.WRITE,
        "duration_ns": np.zeros_like(accesses["duration_ns"]),
    }
    place = np.concatenate((2 * np.arange(events["kind"].size), 2 * rows + 1))
    order = np.argsort(place, kind="stable")
    return {name: np.concatenate((events[name], accesses[name]))[order] for name in events}
