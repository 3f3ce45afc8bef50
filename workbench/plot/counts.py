"""Charts of counts: bars with their numbers written on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import FuncFormatter, MaxNLocator

from workbench.measure import SKIP_REASONS
from workbench.plot import chart
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_IO_ROWS = (
    ("measured_swap_out_pages", "written to swap"),
    ("measured_swap_in_pages", "read from swap"),
)

_ROOM_FOR_A_NUMBER = 0.06
"""Of the longest bar: a shorter piece is too narrow to write into."""

_REASON_COLOURS = dict(
    zip(
        SKIP_REASONS,
        (chart.PURPLE, chart.VERMILION, chart.SKY, chart.ORANGE, chart.GREEN),
        strict=True,
    )
)


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
        ticks: list[float] = []
        largest = 1.0
        for group, (metric, _) in enumerate(_IO_ROWS):
            for offset, column, colour in (
                (-0.19, "reporting_off", chart.MEASURED),
                (0.19, "reporting_on", chart.BLUE),
            ):
                pages = float(by_metric[column][metric])
                axes.barh(group + offset, pages, height=0.34, color=colour)
                text = f"{pages:,.0f} pages ({chart.round_bytes(pages * PAGE_BYTES)})"
                _label_bar(axes, pages, group + offset, f"{column.replace('_', ' ')}: {text}")
                largest = max(largest, pages)
            ticks.append(group)
        axes.set_yticks(ticks, [name for _, name in _IO_ROWS], color=chart.INK)
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        _count_axis(axes, largest * 1.62, "pages of 4 KiB, whole host")
        axes.grid(visible=False)
        avoided = float(by_metric.loc[[name for name, _ in _IO_ROWS], "saved"].sum())
        before = float(by_metric.loc[[name for name, _ in _IO_ROWS], "reporting_off"].sum())
        share = f", {100 * avoided / before:.0f} % of reporting off" if before else ""
        chart.explain(
            [axes],
            f"I/O avoided: {avoided:,.0f} pages{share}",
            f"{frame.attrs.get('title', '')}: two live runs, measured",
            frame.attrs,
        )
    return chart.figure_of(axes)


def skip_reasons(frame: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Draw what became of the reported ranges: discarded, or skipped and why.

    Parameters
    ----------
    frame
        From `report_outcomes`, one bar per row.
    """
    parts = [("discarded_ranges", "discarded", chart.BLUE)] + [
        (
            f"skipped_{reason}_ranges",
            f"skipped: {reason.replace('_', ' ')}",
            _REASON_COLOURS[reason],
        )
        for reason in SKIP_REASONS
    ]
    shown = [part for part in parts if part[0] == "discarded_ranges" or frame[part[0]].any()]
    largest = float(frame[[name for name, _, _ in parts]].sum(axis=1).max())
    with chart.styled():
        axes = ax if ax is not None else chart.new_chart(9, 2.3 + 0.5 * len(frame)).subplots()
        left = [0.0] * len(frame)
        for name, text, colour in shown:
            counts = frame[name].astype(float).tolist()
            axes.barh(range(len(frame)), counts, left=left, height=0.62, color=colour, label=text)
            for row, count in enumerate(counts):
                if count > _ROOM_FOR_A_NUMBER * largest:
                    axes.text(
                        left[row] + count / 2, row, f"{count:,.0f}",
                        ha="center", va="center", color="white", fontsize=9, weight="bold",
                    )  # fmt: skip
            left = [start + count for start, count in zip(left, counts, strict=True)]
        for row, total in enumerate(left):
            if total <= _ROOM_FOR_A_NUMBER * largest:
                _label_bar(axes, total, row, f"{total:,.0f}" if total else "no reports")
        axes.set_yticks(range(len(frame)), frame["label"], color=chart.INK)
        axes.set_ylim(-0.5, len(frame) - 0.5)
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        _count_axis(axes, max(largest, 1.0) * 1.02, "reported ranges")
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, frameon=False, handlelength=1,
            borderaxespad=0.2,
        )  # fmt: skip
        chart.explain([axes], "What became of the reported ranges", "", frame.attrs)
    return chart.figure_of(axes)


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
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel(quantity)
    axes.grid(axis="x", color=chart.GRID, linewidth=0.8)
