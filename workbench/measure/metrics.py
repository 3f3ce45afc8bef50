"""The metric dictionary, worked out for one replay.  NumPy only, and never the samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.measure.dictionary import BY_NAME, KNOWN_WITHOUT_FAULTS, METRICS
from workbench.measure.drain import drain_seconds
from workbench.measure.metric_totals import Totals
from workbench.measure.names import Metrics
from workbench.measure.required import require_run
from workbench.measure.swap import DEAD, UNKNOWN_DEAD
from workbench.replay import NO_FAULTS, pages_sent, swap_costs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.replay import Replay
    from workbench.trace import Manifest


def metrics(run: Replay) -> Metrics:
    """Work out every metric of the dictionary, each ``{value, unit}``, over all machines.

    A metric that has no value in this run is None, with a `reason`.

    Examples
    --------
    >>> import workbench as wb
    >>> found = metrics(wb.replay(wb.read_trace("traces/churn-on.trace")))
    >>> found["refaults"]
    {'value': 175, 'unit': 'faults'}
    """
    require_run(run)
    values = _totals(run) | _migration(run) | _rest(run)
    reasons = {"drain_seconds": _NO_DRAIN}
    return with_units(run.trace.manifest, values, reasons, run.model_error["reason"])


def with_units(
    manifest: Manifest, values: Mapping[str, Any], reasons: Mapping[str, str], unknown: str | None
) -> Metrics:
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
    result = Metrics()
    for metric in METRICS:
        value = values[metric.name]
        result[metric.name] = {"value": value, "unit": metric.unit}
        if value is None:
            result[metric.name]["reason"] = reasons.get(metric.name, unknown or "not known")
    return result


_NO_DRAIN: Final = (
    "resident memory does not end on a fall of a tenth of its peak: it never fell so far, or rose "
    "by as much again"
)


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
