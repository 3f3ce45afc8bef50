"""The charts: which of them a trace has something to show in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench import plot
from workbench.measure import (
    measured_over_time,
    measured_pair,
    memory_over_time,
    reclaimed_over_time,
    savings,
)
from workbench.plot.chart import round_bytes
from workbench.report.document import Block, Paragraph, Section
from workbench.report.guest_charts import guest_figures
from workbench.report.headline import span_text
from workbench.report.host_charts import host_figures
from workbench.report.images import figure_of, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from workbench.report.document import Figure
    from workbench.report.findings import Findings


def chart_section(findings: Findings) -> Section:
    """Draw what there is to see."""
    figures: tuple[Block, ...] = tuple(_figures(findings))
    if not figures:
        figures = (Paragraph(text="There is nothing to draw: no memory is known over time."),)
    return Section(key="charts", heading="Charts", blocks=figures)


def _figures(findings: Findings) -> Iterator[Figure]:
    is_known = findings.trace.manifest.saw_faults
    if findings.runs and is_known:
        yield _memory(findings)
    if findings.pair is not None:
        yield from _pair(findings)
    run = findings.captured.run
    if run is not None:
        yield from guest_figures(run, findings.captured)
    if is_known:
        yield from host_figures(findings)


def _memory(findings: Findings) -> Figure:
    frames = [plain(memory_over_time(run)) for run in findings.runs]
    measured = _measured(findings)
    said = "; ".join(
        f"{found.label} {round_bytes(found.count('resident_bytes_mean'))} on average, "
        f"{round_bytes(found.count('resident_bytes_peak'))} at the peak"
        for found in findings.answered
        if found.run is not None
    )
    return figure_of(
        "resident-memory",
        caption="Guest RAM in host memory over time, as replayed"
        + ("." if measured is None else " (lines) and as the host measured it (dots)."),
        alt=f"Guest RAM in host memory over {span_text(findings)}: {said}.",
        draw=lambda: plot.resident_memory(*frames, measured=measured),
    )


def _measured(findings: Findings) -> pd.DataFrame | None:
    """Give the samples, if there are some of every guest."""
    frame = measured_over_time(findings.trace)
    guests = len(findings.trace.manifest.virtual_machines)
    return frame if frame["vm"].nunique() == guests else None


def _pair(findings: Findings) -> Iterator[Figure]:
    if findings.pair is None:
        return
    on, off = findings.pair
    saved = savings(on, off)
    over_time, pair = plain(reclaimed_over_time(on, off)), plain(measured_pair(on, off))
    yield figure_of(
        "memory-reclaimed",
        caption="Two live runs of one scenario, measured: what lies between the lines is what "
        "reporting kept out of memory.",
        alt=f"Guest RAM in host memory in two live runs: with reporting "
        f"{round_bytes(saved.resident_bytes)} less on average than the "
        f"{round_bytes(saved.resident_bytes_off)} without.",
        draw=lambda: plot.memory_reclaimed(over_time),
    )
    if saved.swap_pages_off:
        yield figure_of(
            "io-avoided",
            caption="Swap I/O of the whole host in the two live runs, measured.",
            alt=f"Swap I/O of the whole host in two live runs: reporting avoided "
            f"{saved.swap_pages:,} of {saved.swap_pages_off:,} pages.",
            draw=lambda: plot.io_avoided(pair),
        )
