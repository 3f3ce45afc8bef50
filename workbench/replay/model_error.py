"""How far the replay as captured is from what the host measured.

This file alone of this room reads `samples`, and nothing it finds goes back into a replay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from workbench.schema import UNKNOWN, FaultFlag, Kind
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay.ledger import Ledger
    from workbench.trace import Trace

QUIET_BEFORE_NS: Final = 100_000_000
"""A sample counts as quiet if nothing moved for this long before it: many times the 2.5 ms that
QEMU was seen to take over an element, and a twentieth of the time between two passes of reports."""

QUIET_AFTER_NS: Final = 50_000_000
"""And if nothing moves for this long after it: a fault's event may carry a slightly later time."""


class Measured(NamedTuple):
    """The samples of one machine.  Columns of shape (sample,)."""

    time_ns: npt.NDArray[np.int64]
    middle_ns: npt.NDArray[np.int64]
    is_quiet: npt.NDArray[np.bool_]
    resident_bytes: npt.NDArray[np.int64]
    swapped_bytes: npt.NDArray[np.int64]


def model_error(
    trace: Trace,
    ledger: Ledger,
    initial_resident_pages: npt.NDArray[np.int64],
    initial_swapped_pages: npt.NDArray[np.int64],
) -> dict[str, Any]:
    """Compare a replay as captured with the samples.

    Returns
    -------
    ``resident_bytes`` and ``swapped_bytes``, each with

    - ``mean``: the mean distance over time, as a fraction of the measured peak;
    - ``final``: the predicted minus the measured value at the last quiet sample, likewise;
    - ``final_pages``: the same in pages of 4 KiB;
    - ``quiet_max``: the largest distance at a quiet sample, as a fraction of the guest's RAM;

    or None where it was not measured; of several machines the worst of each.  Then the number of
    ``samples`` and ``quiet_samples``, a ``reason`` where something is None, and the same for each
    of the ``virtual_machines``.
    """
    machines = [
        _machine_error(
            trace, ledger, vm, int(initial_resident_pages[vm]), int(initial_swapped_pages[vm])
        )
        for vm in range(len(trace.manifest.virtual_machines))
    ]
    reasons = dict.fromkeys(machine["reason"] for machine in machines if machine["reason"])
    return {
        "resident_bytes": _worst([machine["resident_bytes"] for machine in machines]),
        "swapped_bytes": _worst([machine["swapped_bytes"] for machine in machines]),
        "samples": sum(machine["samples"] for machine in machines),
        "quiet_samples": sum(machine["quiet_samples"] for machine in machines),
        "reason": "; ".join(reasons) or None,
        "virtual_machines": machines,
    }


def _machine_error(
    trace: Trace, ledger: Ledger, vm: int, initial_resident_pages: int, initial_swapped_pages: int
) -> dict[str, Any]:
    machine = trace.manifest.virtual_machines[vm]
    measured = _measured(trace, vm)
    error: dict[str, Any] = {
        "name": machine.name,
        "resident_bytes": None,
        "swapped_bytes": None,
        "samples": measured.time_ns.size,
        "quiet_samples": int(measured.is_quiet.sum()),
        "reason": None,
    }
    if measured.time_ns.size == 0:
        error["reason"] = "the trace has no samples of this machine"
        return error
    reasons = [] if measured.is_quiet.any() else ["no sample was taken while nothing moved"]
    ram_bytes = sum(block.used_bytes for block in machine.ram_blocks)
    own = ledger.vm == vm
    # The pages are read one after the other; the middle of the reading is the fairest instant.
    at_sample = np.searchsorted(ledger.time_ns[own], measured.middle_ns, side="right")
    for name, delta_pages, initial_pages in (
        ("resident_bytes", ledger.resident_delta_pages, initial_resident_pages),
        ("swapped_bytes", ledger.swapped_delta_pages, initial_swapped_pages),
    ):
        measured_bytes = getattr(measured, name)
        if (measured_bytes == UNKNOWN).any():
            reasons.append(f"{name} were not measured")
            continue
        pages = initial_pages + np.concatenate(([0], np.cumsum(delta_pages[own])))
        error[name] = _distance(
            pages[at_sample] * PAGE_BYTES - measured_bytes, measured_bytes, measured, ram_bytes
        )
    error["reason"] = "; ".join(reasons) or None
    return error


def _distance(
    difference_bytes: npt.NDArray[np.int64],
    measured_bytes: npt.NDArray[np.int64],
    measured: Measured,
    ram_bytes: int,
) -> dict[str, Any]:
    # A quantity that is nowhere, such as swap on most hosts, is compared with a single page.
    peak_bytes = max(int(measured_bytes.max()), PAGE_BYTES)
    distance = np.abs(difference_bytes)
    quiet = np.flatnonzero(measured.is_quiet)
    final_bytes = int(difference_bytes[quiet[-1]]) if quiet.size else None
    return {
        "mean": _mean_over_time(measured.time_ns, distance) / peak_bytes,
        "final": None if final_bytes is None else final_bytes / peak_bytes,
        "final_pages": None if final_bytes is None else final_bytes // PAGE_BYTES,
        "quiet_max": int(distance[quiet].max()) / ram_bytes if quiet.size else None,
        "peak_bytes": peak_bytes,
    }


def _mean_over_time(time_ns: npt.NDArray[np.int64], values: npt.NDArray[np.int64]) -> float:
    span_ns = int(time_ns[-1] - time_ns[0])
    if span_ns == 0:
        return float(values.mean())
    seconds = (time_ns - time_ns[0]) / span_ns
    return float(np.trapezoid(values, seconds))


def _measured(trace: Trace, vm: int) -> Measured:
    samples = trace.columns("samples")
    own = samples["vm"] == vm
    time_ns = samples["time_ns"][own]
    duration_ns = samples["duration_ns"][own]
    return Measured(
        time_ns=time_ns,
        middle_ns=time_ns + duration_ns // 2,
        is_quiet=_quiet(trace, vm, time_ns, time_ns + duration_ns),
        resident_bytes=samples["resident_bytes"][own],
        swapped_bytes=samples["swapped_bytes"][own],
    )


def _quiet(
    trace: Trace,
    vm: int,
    start_ns: npt.NDArray[np.int64],
    stop_ns: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """Tell for each sample whether no event that can move a page comes near it.

    Judged by the trace alone, so that a wrong replay cannot choose its own judges.
    """
    events = trace.columns("events")
    kind = events["kind"]
    allocates = (events["length_bytes"] != 0) | (events["status"] & FaultFlag.SWAP_IN != 0)
    moves = np.isin(kind, [Kind.REPORT, Kind.DISCARD, Kind.SWAP_OUT, Kind.COLLAPSE])
    moves |= (kind == Kind.FAULT) & allocates
    moves &= events["vm"] == vm
    began_ns = events["time_ns"][moves]
    if began_ns.size == 0:
        return np.ones(start_ns.size, np.bool_)
    last_end_ns = np.maximum.accumulate(began_ns + events["duration_ns"][moves])
    began_before = np.searchsorted(began_ns, stop_ns + QUIET_AFTER_NS, side="right")
    latest_end_ns = last_end_ns[np.maximum(began_before - 1, 0)]
    is_quiet: npt.NDArray[np.bool_] = latest_end_ns < start_ns - QUIET_BEFORE_NS
    is_quiet |= began_before == 0
    return is_quiet


def _worst(errors: list[dict[str, Any] | None]) -> dict[str, Any] | None:
    """Take from the machines the largest of each figure; None where a machine has none."""
    known = [error for error in errors if error is not None]
    if not known or len(known) < len(errors):
        return None
    return {name: _largest([error[name] for error in known]) for name in known[0]}


def _largest(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known, key=abs) if len(known) == len(values) else None
