"""Charts of memory over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.measure import Series, add, measured_frame, memory_frame, thin
from workbench.plot import chart
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from workbench.measure import MemorySource

_BIN_COUNT = 1000
"""Slices of time a line is thinned to: about the pixels a chart is wide."""

_AS_CAPTURED: Final = "as captured"
"""What a run is called whose settings are those of its capture."""


def resident_memory(
    *runs: MemorySource,
    measured: pd.DataFrame | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw guest RAM in host memory over time: predicted, measured, and under other settings.

    Parameters
    ----------
    runs
        Runs, or frames of `memory_over_time`.  The first is drawn against the measurement.
    measured
        A frame of `measured_over_time`.  Taken from the first run's trace if that is a run.
    ax
        Draw here, all machines added up, instead of one panel per machine in a new figure.
    """
    frames = [memory_frame(run) for run in runs]
    if measured is None:
        measured = measured_frame(runs[0])
    attributes = frames[0].attrs
    names = list(attributes.get("machines", ["guest"]))
    stop_s = max(float(frame["time_s"].iloc[-1]) for frame in frames)
    with chart.styled():
        if ax is not None:
            panels: Sequence[Axes] = [ax]
            groups: list[list[int]] = [list(range(len(names)))]
        else:
            figure = chart.new_chart(9, 2.1 + 2.3 * len(names))
            panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0].tolist()
            groups = [[vm] for vm in range(len(names))]
        for panel, group in zip(panels, groups, strict=True):
            _draw_machine(panel, frames, measured, group)
            if len(panels) > 1:
                panel.set_title(names[group[0]], fontsize=10, pad=5)
        chart.time_axis(panels[-1], stop_s)
        for panel in panels[:-1]:
            panel.tick_params(labelbottom=False)
        _explain_memory(panels, frames, measured)
    return chart.figure_of(panels[0])


def _explain_memory(
    panels: Sequence[Axes], frames: Sequence[pd.DataFrame], measured: pd.DataFrame | None
) -> None:
    attributes = frames[0].attrs
    labels = [str(frame.attrs.get("label", "")) for frame in frames]
    if len(frames) > 1:
        heading = "Resident memory under other settings"
    elif measured is not None and len(measured):
        heading = "Resident memory, predicted and measured"
    else:
        heading = "Resident memory, predicted"
    chart.explain(
        panels, heading, f"{attributes.get('title', '')}: {' and '.join(labels)}", attributes
    )


def _draw_machine(
    axes: Axes,
    frames: Sequence[pd.DataFrame],
    measured: pd.DataFrame | None,
    machines: Sequence[int],
) -> None:
    labels: list[tuple[float, str, str]] = []
    largest = 0.0
    if measured is not None and len(measured):
        over_time = _series(measured, "measured_resident_bytes", machines)
        # Dots, not a line: between two samples nobody looked.
        time_s = over_time.time_ns / NANOSECONDS
        axes.plot(time_s, over_time.value, "o", color=chart.MEASURED, markersize=6, mew=0)
        # Beside a what-if alone, what was measured is no answer to its question.
        settings = {frame.attrs.get("label", _AS_CAPTURED) for frame in frames}
        text = "measured" if _AS_CAPTURED in settings else f"measured\n{_AS_CAPTURED}"
        labels.append((float(over_time.value[-1]), text, chart.QUIET))
        largest = float(over_time.value.max())
    for index, frame in enumerate(frames):
        over_time = _series(frame, "resident_bytes", machines)
        colour = chart.RUN_COLOURS[index % len(chart.RUN_COLOURS)]
        time_s = over_time.time_ns / NANOSECONDS
        axes.step(time_s, over_time.value, where="post", color=colour, linewidth=1.6, zorder=3)
        text = "predicted" if len(frames) == 1 else str(frame.attrs.get("label", "predicted"))
        labels.append((float(over_time.value[-1]), text, colour))
        largest = max(largest, float(over_time.value.max()))
    chart.byte_axis(axes, largest, "guest RAM in memory")
    chart.label_ends(axes, labels)


def memory_reclaimed(frame: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Draw a measured pair: resident memory with reporting on and off, and what lies between.

    Parameters
    ----------
    frame
        From `reclaimed_over_time`.
    """
    time_s = frame["time_s"].to_numpy()
    on = frame["reporting_on_bytes"].to_numpy()
    off = frame["reporting_off_bytes"].to_numpy()
    saved_bytes, of_bytes = frame.attrs["saved_bytes"], frame.attrs["saved_of_bytes"]
    share = f", {100 * saved_bytes / of_bytes:.0f} % of reporting off" if of_bytes else ""
    with chart.styled():
        axes = ax if ax is not None else chart.new_chart(9, 4.4).subplots()
        axes.fill_between(
            time_s, on, off, where=off >= on, step="post", color=chart.BLUE, alpha=0.13
        )
        axes.step(time_s, off, where="post", color=chart.QUIET, linewidth=1.8)
        axes.step(time_s, on, where="post", color=chart.BLUE, linewidth=1.8)
        chart.byte_axis(axes, float(max(on.max(), off.max())), "guest RAM in memory")
        chart.time_axis(axes, float(time_s[-1]))
        chart.label_ends(
            axes,
            [
                (float(off[-1]), "reporting off", chart.QUIET),
                (float(on[-1]), "reporting on", chart.BLUE),
            ],
        )
        chart.explain(
            [axes],
            f"Memory reclaimed: {chart.round_bytes(saved_bytes)} on average{share}",
            f"{frame.attrs.get('title', '')}: two live runs, measured",
            frame.attrs,
        )
    return chart.figure_of(axes)


def _series(frame: pd.DataFrame, column: str, machines: Sequence[int]) -> Series:
    """Add up the machines of a frame, thinned to what can be seen."""
    parts = []
    for vm in machines:
        rows = frame[frame["vm"] == vm]
        time_ns = np.rint(rows["time_s"].to_numpy() * NANOSECONDS).astype(np.int64)
        parts.append(Series(time_ns, rows[column].to_numpy()))
    return thin(add(parts), bin_count=_BIN_COUNT)
