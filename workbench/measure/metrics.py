"""The metric dictionary, worked out for one replay.  NumPy only, and never the samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.measure import series
from workbench.measure.dictionary import BY_NAME, KNOWN_WITHOUT_FAULTS, METRICS
from workbench.measure.metric_totals import Totals
from workbench.measure.residency import machine_indexes, resident_series
from workbench.measure.swap import DEAD, UNKNOWN_DEAD
from workbench.replay import NO_FAULTS, pages_sent, swap_costs
from workbench.schema import Kind
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.replay import Replay
    from workbench.trace import Manifest

_SMALLEST_FALL = 0.1
"""Of the peak.  Smaller swings are the guest's daemons and page cache at work, not a free."""

_DRAINED = 0.9
"""A fall counts as done at 90 %: the last blocks wait for their neighbours to be freed."""


def metrics(run: Replay) -> dict[str, dict[str, object]]:
    """Work out every metric of the dictionary, each ``{value, unit}``, over all machines.

    A metric that has no value in this run is None, with a `reason`.
    """
    values = _totals(run) | _migration(run) | _rest(run)
    reasons = {"drain_seconds": _NO_DRAIN}
    return with_units(run.trace.manifest, values, reasons, run.model_error["reason"])


def with_units(
    manifest: Manifest, values: Mapping[str, Any], reasons: Mapping[str, str], unknown: str | None
) -> dict[str, dict[str, object]]:
    """Give every metric of the dictionary as ``{value, unit}``.

    Parameters
    ----------
    manifest
        Of a trace; where it saw no faults, what depends on them has no value.
    reasons
        Why a metric has no value, by name; of those about dead pages it is known.
    unknown
        Why, of any other.
    """
    reasons = {**dict.fromkeys(DEAD, UNKNOWN_DEAD), **reasons}
    if not manifest.saw_faults:
        unseen = BY_NAME.keys() - KNOWN_WITHOUT_FAULTS
        values = {**values, **dict.fromkeys(unseen)}
        reasons |= dict.fromkeys(unseen, NO_FAULTS)
    result: dict[str, dict[str, object]] = {}
    for metric in METRICS:
        value = values[metric.name]
        result[metric.name] = {"value": value, "unit": metric.unit}
        if value is None:
            result[metric.name]["reason"] = reasons.get(metric.name, unknown)
    return result


_NO_DRAIN: Final = "resident memory never fell by a tenth of its peak and stayed down"


def _totals(run: Replay) -> dict[str, Any]:
    totals = Totals(
        run.trace.manifest,
        swap_costs(run.trace, run.settings),
        initial_resident_pages=run.initial_resident_pages,
        initial_swapped_pages=run.initial_swapped_pages,
    )
    totals.add(run.columns, run.ledger)
    return totals.values()


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
    error = run.model_error.get("resident_bytes") or {}
    return {
        "drain_seconds": drain_seconds(run),
        "model_error_mean": error.get("mean"),
        "model_error_final": error.get("final"),
        "events_lost": run.trace.manifest.lost_events,
    }


def drain_seconds(run: Replay) -> float | None:
    """Say how long the last lasting fall of resident memory took, to 90 %: see the dictionary."""
    if not run.trace.manifest.saw_faults:
        return None
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
