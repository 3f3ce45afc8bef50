"""The chart of a prediction from a guest's samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from workbench.measure import Series, thin
from workbench.plot import chart, scales
from workbench.plot.taking import takes
from workbench.units import GIB, MIB, NANOSECONDS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BIN_COUNT = 1000
"""Slices of time a line is thinned to: about the pixels a chart is wide."""

_DOTS_MAX = 200
"""More dots than this would hide each other; a line shows more then."""


@takes("measure.series_frame(prediction)", "time_s", "resident_bytes")
def guest_series(frame: pd.DataFrame) -> Figure:
    """Draw a prediction over time, and below it how far it is from what was measured.

    Parameters
    ----------
    frame
        From `series_frame`.
    """
    is_measured = "measured_resident_bytes" in frame
    with chart.styled():
        figure = chart.new_chart(9, 5.6 if is_measured else 4.4)
        panels = figure.subplots(
            1 + is_measured, 1, sharex=True, squeeze=False,
            height_ratios=[3, 1.3] if is_measured else None,
        )[:, 0].tolist()  # fmt: skip
        _draw_memory(panels[0], frame, is_measured=is_measured)
        subject = f"{frame.attrs.get('title', '')}: {frame.attrs.get('label', '')}"
        heading = "Resident memory, predicted from samples of free memory"
        if is_measured:
            _draw_error(panels[1], frame)
            panels[0].tick_params(labelbottom=False)
            heading = "Resident memory, predicted from samples of free memory and measured"
        stop_s = float(frame["time_s"].iloc[-1])
        chart.time_axis(panels[-1], stop_s)
        panels[-1].set_xlabel(panels[-1].get_xlabel().replace("the capture", "the series"))
        chart.explain(panels, heading, subject, frame.attrs)
    return chart.figure_of(panels[0])


def _draw_memory(axes: Axes, frame: pd.DataFrame, *, is_measured: bool) -> None:
    labels = []
    if is_measured:
        over_time = _thinned(frame, "measured_resident_bytes")
        style = "o" if len(frame) <= _DOTS_MAX else "-"
        time_s = over_time.time_ns / NANOSECONDS
        axes.plot(
            time_s,
            over_time.value,
            style,
            color=chart.colour("measured"),
            markersize=6,
            mew=0,
            linewidth=4,
        )
        labels.append((float(over_time.value[-1]), "measured", chart.colour("quiet")))
    over_time = _thinned(frame, "resident_bytes")
    time_s = over_time.time_ns / NANOSECONDS
    axes.plot(time_s, over_time.value, color=chart.colour("blue"), linewidth=1.2, zorder=3)
    labels.append((float(over_time.value[-1]), "predicted", chart.colour("blue")))
    largest = float(frame.drop(columns="time_s").to_numpy().max())
    chart.byte_axis(axes, largest, "QEMU's resident set")
    chart.label_ends(axes, labels)


def _draw_error(axes: Axes, frame: pd.DataFrame) -> None:
    difference_bytes = frame["resident_bytes"] - frame["measured_resident_bytes"]
    distance_bytes = np.abs(difference_bytes)
    # A few extremes, such as a large free that came between two readings, would flatten the rest.
    limit_bytes = max(4 * float(np.quantile(distance_bytes, 0.95)), float(MIB))
    unit_bytes, unit = (GIB, "GiB") if limit_bytes >= GIB else (MIB, "MiB")
    axes.axhline(0, color=chart.colour("quiet"), linewidth=0.8)
    points = np.column_stack((frame["time_s"], difference_bytes / unit_bytes))
    stop_s = max(float(frame["time_s"].iloc[-1]), chart.SHORTEST_S)
    dots = scales.apart(points, stop_s, 2 * limit_bytes / unit_bytes)
    axes.plot(dots[:, 0], dots[:, 1], ".", color=chart.colour("blue"), markersize=2.5)
    axes.set_ylim(-limit_bytes / unit_bytes, limit_bytes / unit_bytes)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:+,.6g}" if value else "0")
    )
    axes.set_ylabel(f"error ({unit})")
    axes.grid(axis="y", color=chart.colour("grid"), linewidth=0.8)
    mean = chart.round_bytes(float(distance_bytes.mean()))
    beyond = int((distance_bytes > limit_bytes).sum())
    more = f"; {beyond:,} of {len(frame):,} samples are beyond this scale" if beyond else ""
    axes.set_title(
        f"Predicted minus measured: {mean} on average{more}",
        fontsize=9.5,
        color=chart.colour("quiet"),
    )


def _thinned(frame: pd.DataFrame, column: str) -> Series:
    time_ns = np.rint(frame["time_s"].to_numpy() * NANOSECONDS).astype(np.int64)
    return thin(Series(time_ns, frame[column].to_numpy()), bin_count=_BIN_COUNT)
