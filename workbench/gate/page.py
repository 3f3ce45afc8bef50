"""A comparison as one HTML page that needs nothing else, in the dress of `workbench report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import workbench
from workbench.gate.markdown import is_telling, rest_text
from workbench.gate.over_time import memory_of_both
from workbench.gate.words import COLUMNS, INTERVAL, figure_cells, headline, reason_text
from workbench.units import format_bytes

if TYPE_CHECKING:
    from workbench.gate.comparison import Comparison, SideSummary
    from workbench.gate.runs import Side
    from workbench.report.document import Block, Section


def html_page(comparison: Comparison, baseline: Side, candidate: Side) -> bytes:
    """Write the page: the verdict, what differs besides, both sides' memory, and every figure."""
    from workbench.report import Report, render  # noqa: PLC0415 - it brings the charts.
    from workbench.report.document import Section  # noqa: PLC0415 - likewise.

    said = headline(comparison)
    report = Report(
        title="Comparison",
        subtitle=f"{comparison.baseline.label}, and now {comparison.candidate.label}",
        headline=said,
        sections=(
            _verdict_section(comparison, said),
            Section(
                key="memory", heading="Memory", blocks=(_chart(comparison, baseline, candidate),)
            ),
            _figure_section(comparison),
        ),
        lost_events=comparison.baseline.lost_events + comparison.candidate.lost_events,
        lineage={"versions": {"workbench": workbench.__version__}},
    )
    return render(report)


def _verdict_section(comparison: Comparison, said: str) -> Section:
    from workbench.report.document import (  # noqa: PLC0415 - as above.
        Facts,
        Paragraph,
        Remark,
        Section,
    )

    blocks: list[Block] = [Paragraph(text=said, is_lead=True)]
    blocks += [Remark(text=remark, level="warning") for remark in comparison.remarks]
    blocks.append(
        Facts(
            pairs=(
                ("Baseline", _side_text(comparison.baseline)),
                ("Candidate", _side_text(comparison.candidate)),
                ("Compared", "exactly" if comparison.is_exact else "run by run, statistically"),
                ("Exit code", str(comparison.exit_code)),
            )
        )
    )
    return Section(key="verdict", heading="Verdict", blocks=tuple(blocks))


def _side_text(side: SideSummary) -> str:
    runs = f"{side.runs:,} {'run' if side.runs == 1 else 'runs'}"
    recordings = f"{side.recordings:,} {'recording' if side.recordings == 1 else 'recordings'}"
    return f"{runs} of {recordings}, model {', '.join(side.models)}"


def _chart(comparison: Comparison, baseline: Side, candidate: Side) -> Block:
    from workbench import plot  # noqa: PLC0415 - matplotlib takes a second to import.
    from workbench.report.document import Paragraph  # noqa: PLC0415 - as above.
    from workbench.report.images import figure_of, plain  # noqa: PLC0415 - as above.

    frame = memory_of_both(comparison, baseline, candidate)
    if frame is None:
        return Paragraph(
            text="There is nothing to draw: one side has neither traces nor ledgers at hand, or "
            "none of a recording that the other has, or results that do not say how long it took."
        )
    shown = plain(frame)
    peaks = frame.groupby("side", sort=False)["resident_bytes"].max()
    highest = ", ".join(f"{side} up to {format_bytes(value)}" for side, value in peaks.items())
    return figure_of(
        "both-sides",
        caption="Guest RAM in host memory over time: each line a run, each colour a side.",
        alt=f"Guest RAM in host memory over time, both sides over each other: {highest}.",
        draw=lambda: plot.both_sides(shown),
    )


def _figure_section(comparison: Comparison) -> Section:
    from workbench.report.document import Cell, Column, Section, Table  # noqa: PLC0415 - as above.

    shown = [each for each in comparison.in_order if is_telling(each)]
    numbers = {"baseline", "candidate", "change", INTERVAL}
    names = [*COLUMNS, "why"]
    rows = []
    for each in shown:
        cells = figure_cells(each)
        metric = Cell(text=cells.metric, detail=each.recording)
        rows.append((metric, *cells[1:], reason_text(each)))
    return Section(
        key="figures",
        heading="Figures",
        blocks=(
            Table(
                caption="What changed, the worst first.",
                columns=tuple(Column(name=name, is_number=name in numbers) for name in names),
                rows=tuple(rows),
                note=rest_text(comparison, len(shown)),
            ),
        ),
    )
