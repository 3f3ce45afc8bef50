"""Measure: a replay's ledger in, numbers and frames out; and what the host itself measured."""

from workbench.measure.curve import curve_document, curve_frame, memory_needed
from workbench.measure.describe import describe
from workbench.measure.dictionary import (
    BY_NAME,
    MEASURED_METRICS,
    METRICS,
    SKIP_REASONS,
    Aggregate,
    Metric,
)
from workbench.measure.frames import (
    MemorySource,
    compare,
    measured_frame,
    memory_frame,
    memory_over_time,
    metric_table,
    report_outcomes,
)
from workbench.measure.guest_series import drains, series_document, series_error, series_frame
from workbench.measure.measured import measured_metrics, measured_over_time
from workbench.measure.metrics import metrics
from workbench.measure.names import metric_text, quantity_text, readable
from workbench.measure.overview import Answer, overview
from workbench.measure.pairs import (
    Savings,
    find_on,
    find_pair,
    is_pair,
    measured_pair,
    reclaimed_over_time,
    savings,
)
from workbench.measure.perfetto import export_perfetto
from workbench.measure.replay_totals import ReplayTotals, totals
from workbench.measure.result import refused_document, result_document, write_ledger
from workbench.measure.series import Series, add, thin

__all__ = [
    "BY_NAME",
    "MEASURED_METRICS",
    "METRICS",
    "SKIP_REASONS",
    "Aggregate",
    "Answer",
    "MemorySource",
    "Metric",
    "ReplayTotals",
    "Savings",
    "Series",
    "add",
    "compare",
    "curve_document",
    "curve_frame",
    "describe",
    "drains",
    "export_perfetto",
    "find_on",
    "find_pair",
    "is_pair",
    "measured_frame",
    "measured_metrics",
    "measured_over_time",
    "measured_pair",
    "memory_frame",
    "memory_needed",
    "memory_over_time",
    "metric_table",
    "metric_text",
    "metrics",
    "overview",
    "quantity_text",
    "readable",
    "reclaimed_over_time",
    "refused_document",
    "report_outcomes",
    "result_document",
    "savings",
    "series_document",
    "series_error",
    "series_frame",
    "thin",
    "totals",
    "write_ledger",
]
