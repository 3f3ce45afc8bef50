"""What a replay comes to, of a trace of any size: every metric that adds up, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workbench.card import Card, Shown
from workbench.measure.dictionary import METRICS
from workbench.measure.metric_totals import Totals
from workbench.measure.metrics import with_units
from workbench.measure.names import Metrics, metrics_card
from workbench.progress import told
from workbench.replay import ROWS_AT_ONCE, ReplayInBatches, choose, swap_costs
from workbench.replay.summary import error_in_words, events_facts
from workbench.schema import Kind
from workbench.spelling import checks_names
from workbench.trace import require_trace
from workbench.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.replay import Cost, Device, Guest, Host, Settings
    from workbench.trace import Trace

_DRAIN: Final = "drain_seconds"
_MIGRATION: Final = tuple(m.name for m in METRICS if m.name.startswith("migration_"))
"""Metrics that do not add up; without a migration those about it are 0."""

_ALL_AT_ONCE: Final = "all of the trace is needed at once: replay it without totals"


@dataclass(frozen=True, repr=False, kw_only=True)
class ReplayTotals(Shown):
    """What a replay comes to.

    Attributes
    ----------
    document
        Lineage, settings, notes, the model's error, counts of events, and metrics.
    """

    trace: Trace
    settings: Settings
    document: dict[str, Any]

    @property
    def metrics(self) -> Metrics:
        """Every metric of the dictionary, `{value, unit}`; None where it does not add up."""
        metrics: Metrics = self.document["metrics"]
        return metrics

    def to_dict(self) -> dict[str, Any]:
        """Give all of it, as JSON takes it."""
        return self.document

    def _card(self) -> Card:
        final_bytes = self.metrics["resident_bytes_final"]["value"]
        metrics = metrics_card("metrics", self.metrics)
        final = "unknown memory" if final_bytes is None else format_bytes(final_bytes)
        return Card(
            title=f"ReplayTotals of {self.trace.name}, {self.settings.label}",
            facts=[
                *events_facts(self.document["events"]),
                ("resident", f"{final} at the end"),
                ("model error", error_in_words(self.document["model_error"])),
            ],
            columns=metrics.columns,
            rows=metrics.rows,
            remarks=[*metrics.remarks, *self.document["identifiable"]["notes"]],
        )


@checks_names
def totals(
    trace: Trace,
    *,
    device: Device | None = None,
    guest: Guest | None = None,
    host: Host | None = None,
    cost: Cost | None = None,
    settings: Settings | None = None,
    row_count: int = ROWS_AT_ONCE,
    progress: Callable[[int], None] | bool = True,
) -> ReplayTotals:
    """Replay a trace of any size, and keep only what it comes to.

    Parameters
    ----------
    device, guest, host, cost, settings
        What to change, as for `replay`.
    row_count
        Events at a time.  The answer does not depend on it.
    progress
        Whether to show on a terminal or in a notebook, after a second, how many events are
        replayed; or what is called with their number since the last call.  Where anything is
        changed, each is replayed twice.

    Raises
    ------
    UnanswerableError
        The trace does not hold what the answer needs, or all of it is needed at once; the message
        says what.
    InputError
        The trace is damaged.

    Examples
    --------
    >>> import workbench as wb
    >>> sums = wb.totals(wb.read_trace("traces/churn-on.trace"))
    >>> sums.metrics["discards"]["value"]
    298
    """
    chosen = choose(settings, device=device, guest=guest, host=host, cost=cost)
    require_trace(trace)
    passes = 1 if chosen.runs_as_captured else 2
    with told("events", passes * trace.event_count, progress=progress) as count:
        return _totals(ReplayInBatches(trace, chosen, row_count=row_count, progress=count))


def _totals(run: ReplayInBatches) -> ReplayTotals:
    trace = run.trace
    sums = Totals(
        trace.manifest,
        swap_costs(trace, run.settings),
        initial_resident_pages=run.initial_resident_pages,
        initial_swapped_pages=run.initial_swapped_pages,
    )
    migrates = False
    for batch in run.batches():
        sums.add_tallied(batch)
        migrates = migrates or bool(batch.occurrences[:, Kind.MIGRATION_START].any())
    document = run.to_dict()
    error = document["model_error"]
    values = sums.values() | _rest(trace, error, migrates=migrates)
    reasons = dict.fromkeys((_DRAIN, *_MIGRATION), _ALL_AT_ONCE)
    metrics = with_units(trace.manifest, values, reasons, error["reason"])
    return ReplayTotals(
        trace=trace, settings=run.settings, document={**document, "metrics": metrics}
    )


def _rest(trace: Trace, model_error: dict[str, Any], *, migrates: bool) -> dict[str, Any]:
    """Give the metrics that are known without adding anything up."""
    error = model_error["resident_bytes"] or {}
    return {
        **dict.fromkeys(_MIGRATION, None if migrates else 0),
        _DRAIN: None,
        "model_error_mean": error.get("mean"),
        "model_error_final": error.get("final"),
        "events_lost": trace.manifest.lost_events,
    }
