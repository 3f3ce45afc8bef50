"""The chart of what settings change: ways to poison, times ways to report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from workbench.errors import UsageError
from workbench.measure import BY_NAME, MATRIX_METRICS
from workbench.plot import chart, scales
from workbench.plot.taking import takes
from workbench.spelling import suggestion

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELL_INCHES: Final = (1.4, 0.92)

_REASON_LETTERS: Final = 21
"""As many as stand side by side in a cell."""

_REASON_LINES: Final = 4

_ACROSS_LETTERS: Final = 18
"""Likewise above it."""

_DOWN_LETTERS: Final = 22
"""Of a line of a name at the left."""

_WHOLE_FROM: Final = 100
"""Per cent from which no digits after the point are shown."""

_NAME_LINES: Final = 3


@takes("measure.setting_matrix(trace)", "poison", "reporting", "answerable")
def setting_matrix(
    frame: pd.DataFrame, metric: str = "reclaimed_bytes", ax: Axes | None = None
) -> Figure:
    """Draw one metric under every combination of settings; what cannot be answered is hatched.

    Parameters
    ----------
    frame
        From `setting_matrix`.
    metric
        One of its columns.

    Raises
    ------
    UsageError
        The frame has no such metric.
    """
    if metric not in MATRIX_METRICS:
        there_are = f"there are {', '.join(MATRIX_METRICS)}"
        meant = suggestion(metric, MATRIX_METRICS, otherwise=there_are)
        raise UsageError(f"the matrix has no metric {metric!r}{meant}")
    poisons = list(dict.fromkeys(frame["poison"]))
    reportings = list(dict.fromkeys(frame["reporting"]))
    values = frame[metric].to_numpy(np.float64).reshape(len(poisons), len(reportings))
    with chart.styled():
        if ax is None:
            width, height = _CELL_INCHES
            ax = chart.new_chart(
                max(9, 1.8 + width * len(reportings)), 1.75 + height * len(poisons)
            ).subplots()
        largest = float(np.nanmax(np.append(values, 0.0))) or 1.0
        colours = LinearSegmentedColormap.from_list(
            "value", [chart.colour("background"), chart.colour("blue")]
        )
        ax.imshow(np.ma.masked_invalid(values), cmap=colours, vmin=0, vmax=largest, aspect="auto")
        for index, cell in enumerate(frame.to_dict("records")):
            row, column = divmod(index, len(reportings))
            _outline(ax, row, column, is_refused=not cell["answerable"])
            if cell["answerable"]:
                ink = scales.ink_on(colours(values[row, column] / largest))
                _write_value(ax, (column, row), (values[row, column], values[0, 0]), metric, ink)
            else:
                _write_reason(ax, (column, row), str(cell["short_reason"]))
        for artist in (*ax.texts, *ax.patches):
            # They never leave their cells, and to look at hundreds of them takes long.
            artist.set_in_layout(False)
        _name_sides(ax, poisons, reportings)
        chart.explain(
            [ax], f"{metric} by how the guest poisons and reports", _subject(frame), frame.attrs
        )
    return chart.figure_of(ax)


def _outline(axes: Axes, row: int, column: int, *, is_refused: bool) -> None:
    # A patch takes the colour of its hatch as it is made.
    with mpl.rc_context({"hatch.color": chart.colour("edge"), "hatch.linewidth": 0.6}):
        patch = Rectangle(
            (column - 0.5, row - 0.5), 1, 1, facecolor="none", linewidth=1.5,
            edgecolor=chart.colour("grid"), hatch="////" if is_refused else "",
        )  # fmt: skip
        axes.add_patch(patch)


def _write_value(
    axes: Axes,
    place: tuple[int, int],
    value_and_captured: tuple[float, float],
    metric: str,
    ink: str,
) -> None:
    """Write a number with its unit, and below it how it differs from the one captured."""
    value, captured = value_and_captured
    is_known = math.isfinite(value)
    text = scales.quantity(value, BY_NAME[metric].unit) if is_known else "not known"
    axes.annotate(
        text, place, (0, 5), textcoords="offset points", ha="center", va="center", color=ink,
        fontsize=9.5, fontweight="bold" if is_known else "normal",
    )  # fmt: skip
    axes.annotate(
        _beside_captured(place, value, captured), place, (0, -9), textcoords="offset points",
        ha="center", va="center", color=ink, fontsize=8,
    )  # fmt: skip


def _beside_captured(place: tuple[int, int], value: float, captured: float) -> str:
    if place == (0, 0):
        return "as captured"
    if not captured or not math.isfinite(value - captured):
        return ""
    percent = 100 * (value - captured) / captured
    if value == captured:
        return "the same"
    # Three digits are enough, but not as a power of ten.
    return f"{percent:+,.0f} %" if abs(percent) >= _WHOLE_FROM else f"{percent:+.3g} %"


def _write_reason(axes: Axes, place: tuple[int, int], reason: str) -> None:
    axes.annotate(
        "refused:\n" + scales.wrapped(reason, _REASON_LETTERS, _REASON_LINES), place,
        ha="center", va="center", fontsize=7, color=chart.colour("ink"),
        bbox={"boxstyle": "square,pad=0.15", "fc": chart.colour("background"), "linewidth": 0},
    )  # fmt: skip


def _name_sides(axes: Axes, poisons: Sequence[str], reportings: Sequence[str]) -> None:
    across, down = (
        [scales.named(text, letters, _NAME_LINES) for text in side]
        for side, letters in ((reportings, _ACROSS_LETTERS), (poisons, _DOWN_LETTERS))
    )
    axes.set_xticks(range(len(reportings)), across, color=chart.colour("ink"), fontsize=9)
    axes.set_yticks(range(len(poisons)), down, color=chart.colour("ink"), fontsize=9)
    axes.set_xlabel("free page reporting", color=chart.colour("quiet"))
    axes.xaxis.set_label_position("top")
    axes.set_ylabel("free pages in the guest", color=chart.colour("quiet"))
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)


def _subject(frame: pd.DataFrame) -> str:
    error = (frame.attrs.get("model_error") or {}).get("resident_bytes")
    right = f"; as captured {100 * error['mean']:.2f} % off on average" if error else ""
    refused = int((~frame["answerable"]).sum())
    hatched = f"; hatched: refused ({refused})" if refused else ""
    return f"{frame.attrs.get('title', '')}: % against as captured{right}{hatched}"
