"""What is lost or unknown: said before the answer, because it bounds what the answer is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.measure import answerable
from workbench.measure.overview import in_common
from workbench.replay import NO_FAULTS
from workbench.report.document import Block, Cell, Column, Paragraph, Points, Remark, Section, Table
from workbench.report.machines import ROWS_MAX, time_text
from workbench.report.settings import settings_text
from workbench.report.text import name_text

if TYPE_CHECKING:
    from workbench.replay import Settings
    from workbench.report.findings import Findings
    from workbench.trace import Manifest, Trace


def loss_section(findings: Findings) -> Section:
    """Say what the capture missed, and what this trace cannot tell."""
    trace = findings.trace
    remark = lost_remark(trace.manifest.lost_events)
    blocks: list[Block] = [remark, *_lost_rows(trace.manifest)]
    unseen = _unseen(trace)
    if unseen:
        blocks.append(Points(items=tuple(unseen)))
    blocks += _refused(findings)
    return Section(key="unknown", heading="What is lost or unknown", blocks=tuple(blocks))


def lost_remark(lost_events: int) -> Remark:
    """Say whether events were lost, which every figure depends on."""
    if not lost_events:
        return Remark(text="No event was lost in the capture.", level="good")
    return Remark(
        text=f"{lost_events:,} events were lost in the capture: no figure below is exact.",
        level="warning",
    )


def _lost_rows(manifest: Manifest) -> list[Block]:
    rows = [
        (name_text(probe.name), name_text(reason), f"{count:,}")
        for probe in manifest.probes
        for reason, count in probe.lost.items()
        if count
    ]
    if not rows:
        return []
    columns = (Column(name="probe"), Column(name="what was lost, and why"))
    return [
        Table(
            caption="Lost events",
            columns=(*columns, Column(name="events", is_number=True)),
            rows=tuple(rows[:ROWS_MAX]),
        )
    ]


def _unseen(trace: Trace) -> list[str]:
    """Say what the capture did not look at, or not to its end."""
    manifest = trace.manifest
    said = []
    if not manifest.complete:
        said.append("The capture was killed: what happened after its last event is not known.")
    if trace.missing_segments:
        said.append(f"{trace.missing_segments:,} segments of the trace are missing.")
    if manifest.lowered_time_ns is not None:
        after_ns = manifest.lowered_time_ns - manifest.start_time_ns
        said.append(
            f"From {time_text(after_ns)} on the capture recorded less than everything, to stay "
            "within its budget."
        )
    if not manifest.saw_faults:
        said.append(f"{NO_FAULTS[0].upper()}{NO_FAULTS[1:]}.")
    said += [
        f"The probe {name_text(probe.name)} was not attached: "
        f"{name_text(probe.reason) or 'no reason is given'}."
        for probe in manifest.probes[:ROWS_MAX]
        if not probe.attached
    ]
    said += [
        f"{name_text(one.name)} ran on the host and was not captured: {name_text(one.reason)}."
        for one in manifest.not_captured[:ROWS_MAX]
    ]
    if not trace.columns("samples")["vm"].size:
        said.append("The host took no samples of the guests' memory to compare with.")
    return said


def _refused(findings: Findings) -> list[Block]:
    """List the questions that the trace cannot answer, each with its reason."""
    trace = findings.trace
    judged = [
        (found.question.text, found.question.settings, found.identifiable.reasons)
        for found in answerable(trace)
    ]
    asked = [
        ("The settings asked for", found.answer.settings, found.answer.reasons)
        for found in (findings.captured, findings.baseline, findings.asked)
        if found is not None and found.answer.reasons
    ]
    known = [settings for _, settings, _ in judged]
    rows = [
        (Cell(text=text, detail=settings_text(settings)), "; ".join(in_common(trace, reasons)))
        for text, settings, reasons in (*judged, *(each for each in asked if each[1] not in known))
        if reasons and not _is_measured(findings, settings)
    ]
    if not rows:
        return [Paragraph(text="Every usual question can be answered from this trace.")]
    return [
        Table(
            caption="What this trace cannot tell",
            columns=(Column(name="question"), Column(name="why not")),
            rows=tuple(rows),
        )
    ]


def _is_measured(findings: Findings, settings: Settings) -> bool:
    """Whether the second trace answers what the first cannot."""
    return findings.pair is not None and findings.baseline.answer.settings == settings
