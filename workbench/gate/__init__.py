"""Gate: two results, traces or sets of repeated runs in, a verdict out; and figures over time."""

from workbench.gate.accepted import accept, with_accepted, write_accepted
from workbench.gate.budgets import Budget, BudgetFile, Budgets, read_budget_file
from workbench.gate.comparison import Comparison, SideSummary, compare_sides
from workbench.gate.document import comparison_document, json_schema
from workbench.gate.figure import Figure
from workbench.gate.history import Entry, add_entries, entries_of, read_entries
from workbench.gate.junit import junit_xml
from workbench.gate.markdown import is_telling, markdown, rest_text
from workbench.gate.page import html_page
from workbench.gate.runs import Run, Side, run_of_trace
from workbench.gate.sides import read_side
from workbench.gate.trend import ChangePoint, Trend, trends
from workbench.gate.verdict import Verdict
from workbench.gate.words import COLUMNS, INTERVAL, figure_cells, headline, reasons

__all__ = [
    "COLUMNS",
    "INTERVAL",
    "Budget",
    "BudgetFile",
    "Budgets",
    "ChangePoint",
    "Comparison",
    "Entry",
    "Figure",
    "Run",
    "Side",
    "SideSummary",
    "Trend",
    "Verdict",
    "accept",
    "add_entries",
    "compare_sides",
    "comparison_document",
    "entries_of",
    "figure_cells",
    "headline",
    "html_page",
    "is_telling",
    "json_schema",
    "junit_xml",
    "markdown",
    "read_budget_file",
    "read_entries",
    "read_side",
    "reasons",
    "rest_text",
    "run_of_trace",
    "trends",
    "with_accepted",
    "write_accepted",
]
