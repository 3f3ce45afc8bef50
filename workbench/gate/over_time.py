"""The memory of both sides over time, as far as traces or ledgers are at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.gate.exact import by_recording
from workbench.measure import LEDGER_NAME, Series, thin
from workbench.measure.measured import measured_series
from workbench.measure.residency import changes
from workbench.measure.series import ending_at
from workbench.trace import read_trace
from workbench.units import NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    import pandas as pd

    from workbench.gate.comparison import Comparison
    from workbench.gate.runs import Run, Side

_SLICES: Final = 200
"""Of a line; more than can be told apart where dozens of them are over each other."""


def memory_of_both(comparison: Comparison, baseline: Side, candidate: Side) -> pd.DataFrame | None:
    """Give resident memory over time of every run, or of the one recording that matters most.

    Of traces it is what the host measured, of results what the replay's ledger says.

    Returns
    -------
    Columns side, run, time_s and resident_bytes; None where one side has nothing to draw.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    drawn = baseline.runs, candidate.runs
    recording = ""
    if comparison.is_exact:
        pair = _pair(comparison, baseline, candidate)
        if pair is None:
            return None
        drawn, recording = ((pair[0],), (pair[1],)), f"{pair[1].name}: "
    parts = []
    for name, runs in zip(("baseline", "candidate"), drawn, strict=True):
        lines = [(run, line) for run in runs if (line := _line(run)) is not None]
        if not lines:
            return None
        for number, (run, line) in enumerate(lines):
            start_ns = line.time_ns[0] if run.span_ns is None else run.span_ns[0]
            columns = {
                "side": name,
                "run": f"{run.name} {number}",
                "time_s": (line.time_ns - start_ns) / NANOSECONDS,
                "resident_bytes": line.value,
            }
            parts.append(pd.DataFrame(columns))
    frame = pd.concat(parts, ignore_index=True)
    frame.attrs = {
        "title": f"{recording}{comparison.baseline.label}, and {comparison.candidate.label}",
        "caption": f"models {', '.join(comparison.baseline.models)} and "
        f"{', '.join(comparison.candidate.models)}",
        "lost_events": comparison.baseline.lost_events + comparison.candidate.lost_events,
    }
    return frame


def _pair(comparison: Comparison, baseline: Side, candidate: Side) -> tuple[Run, Run] | None:
    """Find the replays of the worst figure's recording, of those that both sides replayed."""
    first, second = by_recording(baseline, candidate), by_recording(candidate, baseline)
    pairs = {
        (new.trace, new.settings): (first[key], new) for key, new in second.items() if key in first
    }
    for figure in comparison.in_order:
        if (figure.trace, figure.settings) in pairs:
            return pairs[figure.trace, figure.settings]
    return None


def _line(run: Run) -> Series | None:
    if run.path is None:
        return None
    if run.measured_figures is not None:
        measured = measured_series(read_trace(run.path), "resident_bytes")
        return None if measured is None else thin(measured, bin_count=_SLICES)
    if (run.path / LEDGER_NAME).is_file():
        return _of_ledger(run)
    return None


def _of_ledger(run: Run) -> Series | None:
    """Add up what each event changed, back from what was resident at the end."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - only for the page.

    final_bytes = run.model_figures.get("resident_bytes_final")
    if final_bytes is None or run.path is None or run.span_ns is None:
        return None
    table = pq.read_table(run.path / LEDGER_NAME, columns=["time_ns", "resident_delta_pages"])
    change = table["resident_delta_pages"].to_numpy()
    initial_pages = int(final_bytes) // PAGE_BYTES - int(change.sum())
    start_ns, stop_ns = run.span_ns
    pages = changes(
        table["time_ns"].to_numpy(), change, start_ns=start_ns, initial_pages=initial_pages
    )
    line = Series(pages.time_ns, pages.value * PAGE_BYTES)
    return thin(ending_at(line, stop_ns), bin_count=_SLICES)
