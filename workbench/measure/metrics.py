"""The metric dictionary, worked out for one replay.  NumPy only, and never the samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.measure import series
from workbench.measure.dictionary import METRICS
from workbench.measure.residency import machine_indexes, resident_series, swapped_series
from workbench.measure.swap import DEAD, UNKNOWN_DEAD, swap_metrics
from workbench.replay import SKIPPED, Outcome, pages_sent
from workbench.schema import NO_ELEMENT, Kind
from workbench.units import NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay import Replay

_SMALLEST_FALL = 0.1
"""Of the peak.  Smaller swings are the guest's daemons and page cache at work, not a free."""

_DRAINED = 0.9
"""A fall counts as done at 90 %: the last blocks wait for their neighbours to be freed."""


def metrics(run: Replay) -> dict[str, dict[str, object]]:
    """Work out every metric of the dictionary, each ``{value, unit}``, over all machines.

    A metric that has no value in this run is None, with a `reason`.
    """
    values = _memory(run) | _reporting(run) | _faults(run) | swap_metrics(run)
    values |= _migration(run) | _rest(run)
    result: dict[str, dict[str, object]] = {}
    for metric in METRICS:
        value = values[metric.name]
        result[metric.name] = {"value": value, "unit": metric.unit}
        if value is None:
            result[metric.name]["reason"] = _WHY_NOT.get(metric.name, run.model_error["reason"])
    return result


_WHY_NOT: Final = {
    "drain_seconds": "resident memory never fell by a tenth of its peak and stayed down",
    **dict.fromkeys(DEAD, UNKNOWN_DEAD),
}


def _memory(run: Replay) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, over_time in (("resident", resident_series(run)), ("swapped", swapped_series(run))):
        values[f"{name}_bytes_mean"] = series.mean(over_time)
        values[f"{name}_bytes_peak"] = int(over_time.value.max())
        values[f"{name}_bytes_final"] = int(over_time.value[-1])
        values[f"{name}_byte_seconds"] = series.integral(over_time) / NANOSECONDS
    return values


def _reporting(run: Replay) -> dict[str, Any]:
    ledger = run.ledger
    events = run.columns
    is_report = ledger.kind == Kind.REPORT
    is_discarded = is_report & (ledger.outcome == Outcome.DISCARDED)
    is_inflate = (ledger.kind == Kind.DISCARD) & (events["element"] == NO_ELEMENT)
    elements = np.stack((events["vm"][is_report], events["element"][is_report]))
    lengths = events["length_bytes"]
    values: dict[str, Any] = {
        "reclaimed_bytes": -_bytes(ledger.resident_delta_pages, is_discarded),
        "host_freed_bytes": _bytes(ledger.freed_pages, is_discarded),
        "inflated_bytes": -_bytes(ledger.resident_delta_pages, is_inflate),
        "swap_freed_bytes": -_bytes(ledger.swapped_delta_pages, is_discarded | is_inflate),
        "reports": np.unique(elements, axis=1).shape[1],
        "ranges": int(is_report.sum()),
        "reported_bytes": int(lengths[is_report].sum()),
        "discards": int(is_discarded.sum()),
        "discarded_bytes": int(lengths[is_discarded].sum()),
    }
    failed = is_report & (ledger.outcome == Outcome.DISCARD_FAILED)
    values["discards_failed"] = int(failed.sum())
    for reason, outcome in SKIPPED.items():
        values[f"skipped_{reason}"] = int((is_report & (ledger.outcome == outcome)).sum())
    return values


def _faults(run: Replay) -> dict[str, Any]:
    ledger = run.ledger
    return {
        "zero_fill_faults": int((ledger.outcome == Outcome.FIRST_TOUCH).sum()),
        "refaults": int((ledger.outcome == Outcome.REFAULT).sum()),
    }


def _migration(run: Replay) -> dict[str, Any]:
    sent, without_hints = pages_sent(run)
    return {
        "migration_full_pages": sent.full_pages,
        "migration_zero_pages": sent.zero_pages,
        "migration_unsent_pages": sent.unsent_pages,
        "migration_sent_bytes": sent.sent_bytes,
        "migration_full_pages_not_sent": without_hints.full_pages - sent.full_pages,
        "migration_zero_pages_not_sent": without_hints.zero_pages - sent.zero_pages,
        "migration_bytes_not_sent": without_hints.sent_bytes - sent.sent_bytes,
    }


def _rest(run: Replay) -> dict[str, Any]:
    events = run.columns
    error = run.model_error.get("resident_bytes") or {}
    return {
        "drain_seconds": drain_seconds(run),
        "hinted_bytes": int(events["length_bytes"][events["kind"] == Kind.HINT_RANGE].sum()),
        "model_error_mean": error.get("mean"),
        "model_error_final": error.get("final"),
        "events_lost": run.trace.manifest.lost_events,
    }


def drain_seconds(run: Replay) -> float | None:
    """Say how long the last lasting fall of resident memory took, to 90 %: see the dictionary."""
    drains = [_machine_drain_ns(run, vm) for vm in machine_indexes(run)]
    found = [drain for drain in drains if drain is not None]
    return max(found) / NANOSECONDS if found else None


def _machine_drain_ns(run: Replay, vm: int) -> int | None:
    resident = resident_series(run, vm)
    fall = series.last_fall(resident, smallest=_SMALLEST_FALL * float(resident.value.max()))
    if fall is None:
        return None
    events = run.columns
    markers = events["time_ns"][(events["kind"] == Kind.MARKER) & (events["vm"] == vm)]
    before_fall = markers[markers <= fall.start_ns]
    start_ns = int(before_fall[-1]) if before_fall.size else fall.start_ns
    low_enough = resident.value <= fall.height - _DRAINED * fall.depth
    done = resident.time_ns[low_enough & (resident.time_ns >= fall.start_ns)]
    return int(done[0]) - start_ns


def _bytes(pages: npt.NDArray[np.int64], rows: npt.NDArray[np.bool_]) -> int:
    return int(pages[rows].sum()) * PAGE_BYTES
