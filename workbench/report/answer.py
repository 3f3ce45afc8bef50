"""The answer: one sentence, the few figures it stands on, and what it leaves open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.measure import Answer
from workbench.measure.pairs import reports
from workbench.plot.chart import round_bytes
from workbench.replay import Device, Settings
from workbench.report.document import (
    Block,
    KeyFigure,
    KeyFigures,
    Paragraph,
    Points,
    Remark,
    Section,
)
from workbench.report.findings import found_by
from workbench.report.headline import SWAP, headline, percent, span_text, swap_error_pages
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.report.findings import Findings, Found
    from workbench.trace import Trace


def answer_section(findings: Findings) -> Section:
    """Give the answer."""
    blocks: list[Block] = [Paragraph(text=headline(findings), is_lead=True)]
    figures = _figures(findings)
    if figures:
        blocks.append(KeyFigures(items=tuple(figures)))
    asked = findings.asked
    if asked is not None and asked.answer.reasons:
        reasons = "; ".join(asked.answer.reasons)
        text = f"With {asked.label} this trace cannot answer: {reasons}."
        blocks.append(Remark(text=text, level="warning"))
    left_open = _left_open(findings)
    if left_open:
        blocks.append(Paragraph(text="What that leaves open:"))
        blocks.append(Points(items=tuple(left_open)))
    return Section(key="answer", heading="The answer", blocks=tuple(blocks))


def _figures(findings: Findings) -> list[KeyFigure]:
    captured = findings.captured
    if captured.run is None:
        return []
    figures = []
    if captured.count("ranges"):
        back = captured.number("reclaimed_bytes")
        detail = f"sum over {span_text(findings)}, {captured.count('discards'):,.0f} discards"
        if back is None:
            reported = round_bytes(captured.count("discarded_bytes"))
            figures.append(KeyFigure(value=reported, name="discarded", detail=detail))
        else:
            figures.append(
                KeyFigure(value=round_bytes(back), name="given back by reports", detail=detail)
            )
    figures += _compared(findings)
    refaults = captured.count("refaults")
    if refaults:
        figures.append(
            KeyFigure(
                value=f"{refaults:,.0f}",
                name="faults on memory given back before",
                detail="count as captured: what taking it again costs",
            )
        )
    if captured.count("hinted_bytes"):
        spared = captured.count("migration_bytes_not_sent")
        way = "spared" if spared >= 0 else "added"
        figures.append(
            KeyFigure(
                value=round_bytes(abs(spared)),
                name=f"of the migration's stream {way} by hints",
                detail=f"of {round_bytes(captured.count('migration_sent_bytes'))} sent",
            )
        )
    figures += _sureness(findings)
    return figures


def _compared(findings: Findings) -> list[KeyFigure]:
    """Give memory and swap of what the answer compares: of a pair, as measured in both halves."""
    measured = [] if findings.pair is None else [_measured(trace) for trace in findings.pair]
    replayed = [found for found in findings.answered if found.answer.partner is None]
    if measured and findings.asked is None:
        replayed = []
    has_swap = any(found.count(*SWAP) for found in (*measured, *replayed))
    figures = [_memory(found) for found in (*measured, *replayed) if _has_memory(found)]
    return figures + [_swap(found) for found in (*measured, *replayed) if has_swap]


def _measured(trace: Trace) -> Found:
    """Give what was measured of a half of a pair."""
    settings = Settings(device=Device(free_page_reporting=reports(trace)))
    return found_by(Answer(trace=trace, settings=settings, partner=trace))


def _short(found: Found) -> str:
    """Name a question in few words: ``reporting off``."""
    return found.label.removeprefix("free_page_")


def _has_memory(found: Found) -> bool:
    return found.number("resident_bytes_mean") is not None


def _memory(found: Found) -> KeyFigure:
    peak, final = (round_bytes(found.count(f"resident_bytes_{name}")) for name in ("peak", "final"))
    measured = ", measured" if found.answer.partner is not None else ""
    return KeyFigure(
        value=round_bytes(found.count("resident_bytes_mean")),
        name=f"guest RAM in memory, {_short(found)}",
        detail=f"mean{measured}; peak {peak}, {final} at the end",
    )


def _swap(found: Found) -> KeyFigure:
    out, back = (found.count(name) for name in SWAP)
    whose = "whole host, measured; " if found.answer.partner is not None else ""
    return KeyFigure(
        value=round_bytes((out + back) * PAGE_BYTES),
        name=f"swapped, {_short(found)}",
        detail=f"sum; {whose}{out:,.0f} pages out, {back:,.0f} in",
    )


def _sureness(findings: Findings) -> list[KeyFigure]:
    run = findings.captured.run
    error = None if run is None else run.model_error["resident_bytes"]
    if error is None:
        return []
    final = error["final_pages"]
    at_the_end = (
        "" if final is None else f"; {final:+,} pages at the end" if final else "; 0 at the end"
    )
    return [
        KeyFigure(
            value=percent(error["mean"]),
            name="between replay and measurement, as captured",
            detail=f"mean distance, of the measured peak{at_the_end}",
        )
    ]


def _left_open(findings: Findings) -> list[str]:
    """Collect what the answers leave open, each once, with the settings it is about."""
    notes: dict[str, list[str]] = {}
    for run in findings.runs:
        for note in run.identifiable.notes:
            notes.setdefault(note, []).append(run.settings.label)
    everywhere = len(findings.runs)
    said = [
        note if len(labels) == everywhere else f"With {' and '.join(labels)}: {note}"
        for note, labels in notes.items()
    ]
    said += _host_error(findings)
    if findings.pair is not None:
        said.append("A measured pair is one live run each, and two runs of one command differ too")
    return [f"{text[0].upper()}{text[1:]}." for text in said]


def _host_error(findings: Findings) -> list[str]:
    """Say how right the model of the host is about the swap of the capture, where it was used."""
    for run in findings.runs:
        host = run.model_error.get("host")
        if host:
            captured = sum(counts["captured"] for counts in host.values())
            share = percent(swap_error_pages(run.model_error) / captured) if captured else "all"
            of_whom = f"{share} of its {captured:,} pages"
            return [f"asked for the capture's own swap, the model of the host is {of_whom} wrong"]
    return []
