"""Report: answers in, one page of HTML out, which tells the whole story and needs nothing else.

`Report` is what it says, as data; `render` is the page.
"""

from workbench.report.capacity import report_on_plan
from workbench.report.document import Report
from workbench.report.findings import Findings, find
from workbench.report.from_trace import report_on
from workbench.report.render import render
from workbench.report.result import Result, read_result, report_on_result

__all__ = [
    "Findings",
    "Report",
    "Result",
    "find",
    "read_result",
    "render",
    "report_on",
    "report_on_plan",
    "report_on_result",
]
