"""The chart of how what guests freed drains out of the host's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.ticker import FuncFormatter, MultipleLocator

from workbench.errors import UsageError
from workbench.measure import lower_median
from workbench.plot import chart, scales
from workbench.plot.taking import takes
from workbench.spelling import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RUNS_MAX: Final = 5
"""More medians over each other would hide each other."""

_POINTS: Final = 2000
"""Moments at which a median is taken: more than a chart has pixels across."""

_MARGIN: Final = 1.04

_AFTER: Final = 1.6
"""Times the slowest drain to 90 %: what is left of it after that may take until the end."""

_FEW: Final = 12
_ALPHA: Final = (0.8, 0.35)
"""Of the lines of a few drains, and of many."""

_NAME_WIDTH: Final = 44


@takes("measure.drain_after_free(run)", "drain", "freed_bytes", "seconds_since_free", "held_bytes")
def drain(*frames: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Draw how much of what guests freed is still held, against the time since they freed it.

    Every drain is a thin line, in bytes and as a share of what was freed; of the shares the median
    is bold, with its half-life.  Of an even number it is the lower of the two in the middle.

    Parameters
    ----------
    frames
        From `drain_after_free`, one per run.
    ax
        Draw the shares here, instead of both in a new figure.
    """
    if not 1 <= len(frames) <= _RUNS_MAX:
        raise UsageError(f"{len(frames)} runs, expected 1 to {_RUNS_MAX} in a chart of drains")
    stop_s = _stop_s(frames)
    with chart.styled():
        if ax is not None:
            panels = [ax]
        else:
            panels = chart.new_chart(9, 5.4).subplots(2, 1, sharex=True).tolist()
        _share_axis(panels[-1])
        largest = max(float(frame["freed_bytes"].max()) if len(frame) else 0 for frame in frames)
        if len(panels) > 1:
            chart.byte_axis(panels[0], largest, "still held")
            panels[0].tick_params(labelbottom=False)
        for index, frame in enumerate(frames):
            _draw_drains(panels, frame, chart.run_style(index), stop_s)
        if not any(len(frame) for frame in frames):
            _say_none(panels[0])
        elif len(frames) > 1:
            handles, names = panels[-1].get_legend_handles_labels()
            scales.legend_above(panels[0], handles, names)
        chart.time_axis(panels[-1], stop_s)
        panels[-1].set_xlabel(panels[-1].get_xlabel().replace("the capture began", "the free"))
        chart.explain(panels, _heading(frames), _subject(frames), scales.joint_attributes(frames))
    return chart.figure_of(panels[0])


def _stop_s(frames: Sequence[pd.DataFrame]) -> float:
    """Give the time up to which there is something to see."""
    ends = [float(frame["seconds_since_free"].max()) for frame in frames if len(frame)]
    drained = [seconds for frame in frames for seconds in frame.attrs["drained_seconds"]]
    return min(max(ends) * _MARGIN, _AFTER * max(drained)) if ends else 1.0


def _draw_drains(
    panels: Sequence[Axes], frame: pd.DataFrame, style: dict[str, Any], stop_s: float
) -> None:
    """Draw a run's drains in bytes (where there is a panel for it) and as shares."""
    if frame.empty:
        return
    grid_s = np.linspace(0, stop_s, _POINTS)
    many = len(frame.attrs["half_seconds"]) > _FEW
    thin: dict[str, Any] = {"color": style["color"], "alpha": _ALPHA[many]}
    shares = []
    for _, rows in frame.groupby("drain"):
        since_s = np.append(rows["seconds_since_free"], stop_s)
        held_bytes = np.append(rows["held_bytes"], 0)
        share = held_bytes / rows["freed_bytes"].iloc[0]
        for panel, held in zip(panels[::-1], (share, held_bytes), strict=False):
            panel.step(since_s, held, where="post", linewidth=0.9, **thin)
        shares.append(_at(since_s, share, grid_s))
    median = np.quantile(shares, 0.5, axis=0, method="lower")
    half_s = lower_median(frame.attrs["half_seconds"])
    label = f"{shorten(str(frame.attrs.get('run', '')), _NAME_WIDTH)}: half in {half_s:,.2f} s"
    panels[-1].step(grid_s, median, where="post", linewidth=2.6, label=label, zorder=3, **style)
    panels[-1].plot([half_s, half_s], [0, 0.5], color=style["color"], linewidth=1, linestyle="--")
    panels[-1].plot(half_s, 0.5, "o", color=style["color"], markersize=6, zorder=4)


def _at(
    time_s: npt.NDArray[np.float64], value: npt.NDArray[np.float64], at_s: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    return value[np.searchsorted(time_s, at_s, side="right") - 1]


def _share_axis(axes: Axes) -> None:
    axes.set_ylim(0, 1.08)
    axes.yaxis.set_major_locator(MultipleLocator(0.25))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    axes.set_ylabel("share still held")
    axes.grid(axis="y", color=chart.colour("grid"), linewidth=0.8)


def _say_none(axes: Axes) -> None:
    axes.text(
        0.5, 0.5, "no drain: memory never fell by a tenth of its peak and stayed down",
        transform=axes.transAxes, ha="center", va="center", color=chart.colour("quiet"),
    )  # fmt: skip


def _heading(frames: Sequence[pd.DataFrame]) -> str:
    half = [seconds for frame in frames for seconds in frame.attrs["half_seconds"]]
    drained = [seconds for frame in frames for seconds in frame.attrs["drained_seconds"]]
    if not half:
        return "Drain after a free: there is none"
    if len(frames) > 1:
        return f"Drain after a free: {len(half)} drains of {len(frames)} runs"
    return (
        f"Drain after a free: half of it is given back in {lower_median(half):,.2f} s, "
        f"90 % in {lower_median(drained):,.2f} s"
    )


def _subject(frames: Sequence[pd.DataFrame]) -> str:
    if len(frames) > 1:
        return "thin: each drain; bold: the median of a run, with its half-life"
    attributes = frames[0].attrs
    count = len(attributes["half_seconds"])
    drains = "" if count == 0 else ", one drain" if count == 1 else f", median of {count} drains"
    swap = "; what goes to swap counts as given back" if attributes.get("swaps") else ""
    return f"{attributes.get('title', '')}: {attributes.get('label', '')}{drains}{swap}"
