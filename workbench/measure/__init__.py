"""Measure: a replay's ledger in, numbers and frames out; and what the host itself measured."""

from typing import TYPE_CHECKING

from workbench.measure.address_map import MAP_STATES, address_map_frame
from workbench.measure.asking import WITHOUT_REPORTING, Asked, ask
from workbench.measure.attributes import with_settings
from workbench.measure.curve import (
    curve_document,
    curve_frame,
    io_avoided_over_memory,
    memory_needed,
)
from workbench.measure.describe import describe, event_table
from workbench.measure.dictionary import (
    BY_NAME,
    MEASURED_METRICS,
    METRICS,
    SKIP_REASONS,
    Aggregate,
    Better,
    Metric,
)
from workbench.measure.drain import drain_after_free, lower_median
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
from workbench.measure.names import Entry, Metrics, metric_text, quantity_text, readable
from workbench.measure.overview import Answer, answer, overview
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
from workbench.measure.predicted import predicted_against_measured
from workbench.measure.questions import answerable, questions
from workbench.measure.refaults import refaults_over_time
from workbench.measure.replay_totals import ReplayTotals, totals
from workbench.measure.report_sizes import REPORT_OUTCOMES, report_sizes
from workbench.measure.result import (
    LEDGER_NAME,
    RESULT_NAME,
    read_document,
    refused_document,
    result_document,
    write_ledger,
)
from workbench.measure.series import Series, add, thin
from workbench.measure.setting_matrix import MATRIX_METRICS, setting_matrix
from workbench.spelling import only

__all__ = [
    "BY_NAME",
    "LEDGER_NAME",
    "MAP_STATES",
    "MATRIX_METRICS",
    "MEASURED_METRICS",
    "METRICS",
    "REPORT_OUTCOMES",
    "RESULT_NAME",
    "SKIP_REASONS",
    "WITHOUT_REPORTING",
    "Aggregate",
    "Answer",
    "Asked",
    "Better",
    "Entry",
    "MemorySource",
    "Metric",
    "Metrics",
    "ReplayTotals",
    "Savings",
    "Series",
    "add",
    "address_map_frame",
    "answer",
    "answerable",
    "ask",
    "compare",
    "curve_document",
    "curve_frame",
    "describe",
    "drain_after_free",
    "drains",
    "event_table",
    "export_perfetto",
    "find_on",
    "find_pair",
    "io_avoided_over_memory",
    "is_pair",
    "lower_median",
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
    "predicted_against_measured",
    "quantity_text",
    "questions",
    "read_document",
    "readable",
    "reclaimed_over_time",
    "refaults_over_time",
    "refused_document",
    "report_outcomes",
    "report_sizes",
    "result_document",
    "savings",
    "series_document",
    "series_error",
    "series_frame",
    "setting_matrix",
    "thin",
    "totals",
    "with_settings",
    "write_ledger",
]

if not TYPE_CHECKING:  # A type checker takes any name for right where a package has these.
    __getattr__, __dir__ = only(__name__, __all__)
