"""Charts of what settings change for the guests of a study."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.errors import UsageError
from workbench.plot import chart, scales
from workbench.plot.taking import takes
from workbench.quantity import time_text
from workbench.units import format_number

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROWS_MAX: Final = 24
"""Bars: more would be no picture but a table."""

_ROOM_BEHIND: Final = 1.28
"""Times the longest bar: for the numbers behind it."""

_ROOM_BEHIND_SHORT: Final = 2.1
"""Likewise where four stand beside each other."""

_SETTING_LETTERS: Final = 26

_WAYS: Final = ("reporting_order", "reporting_delay_ns", "reporting_capacity")
_DRAINS: Final = ("drain_90_seconds", "drain_all_seconds")


@takes("wb.plan(study).answers", *_WAYS, *_DRAINS)
def drain_times(frame: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Draw how long it takes until a freed GiB can be used by another guest.

    Parameters
    ----------
    frame
        From `Plan.answers`: a bar for each way to report.

    Raises
    ------
    UsageError
        None of what is compared reports.
    """
    ways = frame[frame["reporting"]].drop_duplicates([*_WAYS])
    if ways.empty:
        raise UsageError("nothing that is compared reports, so what guests free never comes back")
    shown = ways.head(_ROWS_MAX)
    drains_s = shown[[*_DRAINS]].to_numpy(np.float64)
    drains_s = np.where(np.isfinite(drains_s), drains_s, np.nan)
    stop_s = _ROOM_BEHIND * max(float(np.nanmax(np.append(drains_s, 0))), chart.SHORTEST_S)
    with chart.styled():
        axes = ax if ax is not None else chart.new_chart(9, 1.7 + 0.34 * len(shown)).subplots()
        for row, (most_s, all_s) in enumerate(drains_s):
            for seconds, name in ((all_s, "sky"), (most_s, "blue")):
                axes.barh(
                    row, np.nan_to_num(seconds), height=0.62, linewidth=0, color=chart.colour(name),
                    hatch=chart.hatch(int(name == "sky")),
                )  # fmt: skip
            axes.annotate(
                _drain_text(most_s, all_s),
                (float(np.nanmax([most_s, all_s, 0])), row), (6, 0), textcoords="offset points",
                va="center", fontsize=9,
            )  # fmt: skip
        names = [
            f"order {order:.0f}, delay {time_text(int(delay_ns))}, capacity {capacity:,.0f}"
            for order, delay_ns, capacity in shown[[*_WAYS]].itertuples(index=False)
        ]
        axes.set_yticks(range(len(shown)), names, color=chart.colour("ink"), fontsize=9)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        chart.time_axis(axes, stop_s)
        axes.set_xlabel("after it was freed " + axes.get_xlabel().rpartition(" ")[2])
        axes.grid(axis="x", color=chart.colour("grid"), linewidth=0.8)
        more = f"; {len(ways) - len(shown)} more are not shown" * (len(ways) > len(shown))
        chart.explain(
            [axes],
            "Until a freed GiB can be used by another guest",
            f"{frame.attrs.get('title', '')}: 90 % of it, and all that is reported{more}",
            frame.attrs,
        )
    return chart.figure_of(axes)


def _seconds_text(seconds: float) -> str:
    return f"{format_number(seconds)} s" if math.isfinite(seconds) else "never"


def _drain_text(most_s: float, all_s: float) -> str:
    if most_s == all_s:
        return _seconds_text(most_s)
    return f"{_seconds_text(most_s)}, all {_seconds_text(all_s)}"


def _percent_text(share: float) -> str:
    return f"{format_number(100 * share)} %"


class _Change(NamedTuple):
    """What a setting changes: the column, what it is called, and how it is written."""

    column: str
    name: str
    write: Callable[[float], str]


_CHANGES: Final = (
    _Change("guests_change_largest", "guests", "{:,.0f}".format),
    _Change("byte_seconds_change_largest", "memory over time", _percent_text),
    _Change("drain_seconds_change_largest", "drain of 1 GiB", _seconds_text),
    _Change("refault_cpu_seconds_change_largest", "refault time a day", _seconds_text),
)


@takes(
    "wb.plan(study).sensitivity",
    "setting",
    "values",
    "matters",
    *(each.column for each in _CHANGES),
)
def sensitivity(frame: pd.DataFrame) -> Figure:
    """Draw how much each setting that was compared changes, all others held: the largest change.

    Parameters
    ----------
    frame
        From `Plan.sensitivity`: a row for each setting.

    Raises
    ------
    UsageError
        No setting has more than one value.
    """
    if frame.empty:
        raise UsageError("no setting has two values, so nothing can be said of what matters")
    names = [f"{row['setting']}: {row['values']}" for row in frame.to_dict("records")]
    matters = frame["matters"].to_numpy(bool)
    with chart.styled():
        figure = chart.new_chart(9, 1.5 + 0.5 * len(frame))
        panels = figure.subplots(1, len(_CHANGES), sharey=True).tolist()
        for panel, change in zip(panels, _CHANGES, strict=True):
            _draw_changes(panel, frame[change.column].to_numpy(np.float64), change, matters)
        ticks = [scales.named(name, _SETTING_LETTERS, 2) for name in names]
        panels[0].set_yticks(range(len(frame)), ticks, color=chart.colour("ink"), fontsize=9)
        panels[0].set_ylim(len(frame) - 0.5, -0.5)
        hardly = "; grey: hardly changes guests or memory" * (not matters.all())
        chart.explain(
            panels,
            "What each setting changes at most",
            f"{frame.attrs.get('title', '')}: all others held{hardly}",
            frame.attrs,
        )
    return figure


def _draw_changes(
    axes: Axes,
    values: npt.NDArray[np.float64],
    change: _Change,
    matters: npt.NDArray[np.bool_],
) -> None:
    shown = np.where(np.isfinite(values), values, 0)
    for row, (value, length) in enumerate(zip(values, shown, strict=True)):
        axes.barh(
            row, length, height=0.5, linewidth=0,
            color=chart.colour("blue" if matters[row] else "measured"),
            # An SVG names what clips by its place, whose last digits differ from drawing to drawing
            # where axes stand side by side.
            clip_on=False,
        )  # fmt: skip
        axes.annotate(
            change.write(value) if math.isfinite(value) else "-", (length, row), (4, 0),
            textcoords="offset points", va="center", fontsize=9,
        )  # fmt: skip
    axes.set_xlim(0, _ROOM_BEHIND_SHORT * (shown.max() or 1.0))
    axes.set_xticks([])
    axes.set_title(change.name, fontsize=9.5, pad=4)
    axes.tick_params(axis="y", length=0)
    axes.spines["bottom"].set_visible(False)
