"""Measure: a replay's ledger in, numbers and frames out; and what the host itself measured."""

from workbench.measure.describe import describe
from workbench.measure.dictionary import (
    BY_NAME,
    MEASURED_METRICS,
    METRICS,
    SKIP_REASONS,
    Aggregate,
    Better,
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
from workbench.measure.measured import measured_metrics, measured_over_time, measured_series
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
from workbench.measure.residency import resident_series, swapped_series
from workbench.measure.result import refused_document, result_document, write_ledger
from workbench.measure.series import Series, add, thin

__all__ = [
    "BY_NAME",
    "MEASURED_METRICS",
    "METRICS",
    "SKIP_REASONS",
    "Aggregate",
    "Answer",
    "Better",
    "MemorySource",
    "Metric",
    "Savings",
    "Series",
    "add",
    "compare",
    "describe",
    "find_on",
    "find_pair",
    "is_pair",
    "measured_frame",
    "measured_metrics",
    "measured_over_time",
    "measured_pair",
    "measured_series",
    "memory_frame",
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
    "resident_series",
    "result_document",
    "savings",
    "swapped_series",
    "thin",
    "write_ledger",
]
