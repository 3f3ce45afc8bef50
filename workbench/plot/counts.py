"""Charts of counts: bars with their numbers written on them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.measure import REPORT_OUTCOMES
from workbench.plot import chart, scales
from workbench.plot.taking import takes
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_IO_ROWS = (
    ("measured_swap_out_pages", "written to swap"),
    ("measured_swap_in_pages", "read from swap"),
)

_ROOM_FOR_A_LETTER: Final = 0.0145
"""Of the axis, which is at least five inches wide: a number wider than its bar is not written."""

_ROOM_BEHIND_BARS: Final = 1.8
"""Times the longest bar: what is written behind it takes three inches."""

_ROW_INCHES: Final = (0.5, 0.36)
"""Of a few runs, and of many."""

_FEW_RUNS: Final = 8

_NAME_LETTERS: Final = 36


@takes("measure.measured_pair(trace_on, trace_off)", "metric", "reporting_on", "reporting_off")
def io_avoided(frame: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Draw what a measured pair wrote to and read from swap, with reporting on and off.

    Parameters
    ----------
    frame
        From `measured_pair`.
    """
    by_metric = frame.set_index("metric")
    with chart.styled():
        axes = ax if ax is not None else chart.new_chart(9, 3.9).subplots()
        largest = 1.0
        looks: tuple[tuple[float, str, dict[str, Any]], ...] = (
            (-0.19, "reporting_off", {"color": chart.colour("measured")}),
            (0.19, "reporting_on", {"color": chart.colour("blue"), "hatch": chart.hatch(1)}),
        )
        for group, (metric, _) in enumerate(_IO_ROWS):
            for offset, column, look in looks:
                pages = float(by_metric[column][metric])
                is_known = math.isfinite(pages)
                shown = pages if is_known else 0.0
                axes.barh(group + offset, shown, height=0.34, linewidth=0, **look)
                text = _pages_text(pages) if is_known else "the host did not count it"
                _label_bar(axes, shown, group + offset, f"{column.replace('_', ' ')}: {text}")
                largest = max(largest, shown)
        axes.set_yticks(
            range(len(_IO_ROWS)), [name for _, name in _IO_ROWS], color=chart.colour("ink")
        )
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        _count_axis(axes, largest * _ROOM_BEHIND_BARS, "pages of 4 KiB, whole host")
        axes.grid(visible=False)
        chart.explain(
            [axes],
            _io_heading(by_metric.loc[[name for name, _ in _IO_ROWS]]),
            f"{frame.attrs.get('title', '')}: two live runs, measured",
            frame.attrs,
        )
    return chart.figure_of(axes)


def _pages_text(pages: float) -> str:
    return f"{scales.quantity(pages, 'pages')} ({chart.round_bytes(pages * PAGE_BYTES)})"


def _io_heading(rows: pd.DataFrame) -> str:
    known = rows.dropna(subset="saved")
    if known.empty:
        return "I/O avoided: not measured"
    avoided, before = float(known["saved"].sum()), float(known["reporting_off"].sum())
    share = f", {100 * avoided / before:.0f} % of reporting off" if before else ""
    return f"I/O avoided: {scales.quantity(avoided, 'pages')}{share}"


@takes("measure.report_outcomes(run)", "label", "discarded_ranges")
def skip_reasons(frame: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Draw what became of the reported ranges: discarded, or skipped and why.

    Parameters
    ----------
    frame
        From `report_outcomes`, one bar per row.
    """
    columns = {
        outcome: f"{outcome.replace(' ', '_')}_ranges" for outcome in REPORT_OUTCOMES.values()
    }
    rows = len(frame)
    totals = frame[list(columns.values())].sum(axis=1).astype(float)
    stop = max(float(totals.max()), 1.0) * 1.02
    with chart.styled():
        if ax is None:
            ax = chart.new_chart(9, 2.3 + _ROW_INCHES[rows > _FEW_RUNS] * rows).subplots()
        left = np.zeros(rows)
        for outcome, column in columns.items():
            counts = frame[column].to_numpy(np.float64)
            if outcome == "discarded" or counts.any():
                style = scales.outcome_style(outcome)
                ax.barh(
                    range(rows), counts, left=left, height=0.62, linewidth=0,
                    label=scales.outcome_text(outcome), **style,
                )  # fmt: skip
                _write_counts(ax, counts, left, stop, str(style["color"]))
                left += counts
        for row, total in enumerate(totals):
            if total <= _room(scales.count_text(total), stop):
                _label_bar(ax, total, row, scales.count_text(total) if total else "no reports")
        names = [scales.named(str(label), _NAME_LETTERS, 2) for label in frame["label"]]
        ax.set_yticks(range(rows), names, color=chart.colour("ink"), fontsize=9)
        ax.set_ylim(rows - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
        _count_axis(ax, stop, "reported ranges")
        ax.legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, frameon=False, handlelength=1,
            borderaxespad=0.2, fontsize=9,
        )  # fmt: skip
        chart.explain([ax], "What became of the reported ranges", "", frame.attrs)
    return chart.figure_of(ax)


def _write_counts(
    axes: Axes,
    counts: npt.NDArray[np.float64],
    left: npt.NDArray[np.float64],
    stop: float,
    fill: str,
) -> None:
    """Write each number into its bar, if the bar is wide enough."""
    for row, count in enumerate(counts):
        text = scales.count_text(count)
        if count > _room(text, stop):
            axes.text(
                left[row] + count / 2, row, text, ha="center", va="center", fontsize=9,
                weight="bold", color=scales.ink_on(fill),
                bbox={"boxstyle": "square,pad=0.1", "facecolor": fill, "linewidth": 0},
            )  # fmt: skip


def _room(text: str, stop: float) -> float:
    return (len(text) + 1) * _ROOM_FOR_A_LETTER * stop


def _label_bar(axes: Axes, count: float, row: float, text: str) -> None:
    axes.annotate(
        text,
        xy=(count, row),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=9.5,
    )


def _count_axis(axes: Axes, stop: float, quantity: str) -> None:
    axes.set_xlim(0, stop)
    scales.count_axis(axes.xaxis, 6)
    axes.set_xlabel(quantity)
    axes.grid(axis="x", color=chart.colour("grid"), linewidth=0.8)
