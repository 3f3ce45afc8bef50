"""The report on a trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.replay import Settings, lineage
from workbench.report.answer import answer_section
from workbench.report.charts import chart_section
from workbench.report.document import Report, Section
from workbench.report.headline import headline, ram_bytes, span_text
from workbench.report.losses import loss_section
from workbench.report.machines import machine_section, moment_text, size_text
from workbench.report.model_error import error_figures, error_section, lineage_section, probe_table
from workbench.report.settings import setting_section
from workbench.report.tables import table_section
from workbench.report.text import name_text

if TYPE_CHECKING:
    from workbench.report.findings import Findings


def report_on(findings: Findings) -> Report:
    """Write what a trace and its answers say, in the order in which it is read."""
    trace = findings.trace
    manifest = trace.manifest
    run = findings.captured.run
    made_of = lineage(trace, Settings())
    sections: list[Section] = [
        machine_section(trace),
        loss_section(findings),
        answer_section(findings),
        chart_section(findings),
        table_section(findings),
        setting_section(findings),
    ]
    if run is not None:
        sections.append(error_section(_error(findings), run.events, error_figures(run)))
    sections.append(lineage_section(made_of, probe_table(findings)))
    guests = len(manifest.virtual_machines)
    return Report(
        title=name_text(trace.name),
        subtitle=f"{span_text(findings)} of {guests} guest{'s' * (guests > 1)} with "
        f"{size_text(ram_bytes(findings))} of RAM, captured {moment_text(manifest.created)}",
        headline=headline(findings),
        sections=tuple(sections),
        lost_events=manifest.lost_events,
        lineage=made_of,
    )


def _error(findings: Findings) -> dict[str, object]:
    """Give the model's error, that of the model of the host with it where one was used."""
    errors = [run.model_error for run in findings.runs]
    return next((error for error in errors if error.get("host")), errors[0])
