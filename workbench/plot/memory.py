"""Charts of memory over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.errors import UsageError
from workbench.measure import Series, add, measured_frame, memory_frame, thin
from workbench.plot import chart, scales, texts
from workbench.plot.lineage import all_titles, run_names
from workbench.plot.taking import require_frame, takes
from workbench.spelling import shorten
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from workbench.measure import MemorySource

_BIN_COUNT: Final = 1000
"""Slices of time a line is thinned to: about the pixels a chart is wide."""

_QUANTITY: Final = "guest RAM in memory"
_SHORT: Final = "in memory"
"""The same, where panels are low."""

_PANELS_LARGE: Final = 2
_PANELS_MAX: Final = 6
"""More machines than this are drawn small, side by side, below their sum."""
_COLUMNS: Final = 4
_SMALL_MAX: Final = 40
"""Of so many machines, those that were largest: more would be no picture but a table."""

_NAME_LONGEST: Final = 80
_SMALL_NAME_INCHES: Final = 1.8

_AS_CAPTURED: Final = "as captured"
"""What a run is called whose settings are those of its capture."""


class _Lines(NamedTuple):
    """What is drawn of some machines: a line for each run, and dots for the measurement."""

    predicted: list[Series]
    measured: Series | None

    @property
    def largest_bytes(self) -> float:
        """The highest of all values."""
        parts = [*self.predicted, *([self.measured] if self.measured else [])]
        return float(max(part.value.max() for part in parts))


def resident_memory(
    *runs: MemorySource,
    measured: pd.DataFrame | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw guest RAM in host memory over time: predicted, measured, and under other settings.

    Up to six machines have a panel each; more are drawn small, below their sum.

    Parameters
    ----------
    runs
        Runs, or frames of `memory_over_time`.  The first is drawn against the measurement.
    measured
        A frame of `measured_over_time`.  Taken from the first run's trace if that is a run.
    ax
        Draw here, all machines added up, instead of one panel per machine in a new figure.
    """
    if not 1 <= len(runs) <= chart.run_count():
        raise UsageError(f"{len(runs)} runs, expected 1 to {chart.run_count()} in a chart")
    frames = [memory_frame(run) for run in runs]
    for frame in frames:
        expected = "runs, or frames of measure.memory_over_time(run)"
        require_frame("resident_memory", expected, frame, ("time_s", "vm", "resident_bytes"))
    if measured is None:
        measured = measured_frame(runs[0])
    else:
        source = "for `measured` a frame of measure.measured_over_time(trace)"
        require_frame("resident_memory", source, measured, ("vm", "measured_resident_bytes"))
    names = list(frames[0].attrs.get("machines", ["guest"]))
    stop_s = max(float(frame["time_s"].iloc[-1]) for frame in frames)
    each = _lines_of_each(frames, measured, len(names))
    with chart.styled():
        if ax is not None:
            _draw(ax, _sum(each), _names(frames, measured))
            chart.time_axis(ax, stop_s)
            panels: Sequence[Axes] = [ax]
        elif len(names) <= _PANELS_MAX:
            panels = _draw_panels(each, names, _names(frames, measured), stop_s)
        else:
            panels = _draw_small(each, names, _names(frames, measured), stop_s)
        _explain_memory(panels, frames, measured, len(names))
    return chart.figure_of(panels[0])


def _draw_panels(
    each: Sequence[_Lines], names: Sequence[str], texts_of_lines: Sequence[str], stop_s: float
) -> list[Axes]:
    height_inches, quantity = (2.3, _QUANTITY) if len(names) <= _PANELS_LARGE else (1.8, _SHORT)
    figure = chart.new_chart(9, 2.1 + height_inches * len(names))
    panels: list[Axes] = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0].tolist()
    for panel, lines, name in zip(panels, each, names, strict=True):
        _draw(panel, lines, texts_of_lines, quantity)
        if len(panels) > 1:
            panel.set_title(shorten(name, _NAME_LONGEST), fontsize=10, pad=5)
    chart.time_axis(panels[-1], stop_s)
    for panel in panels[:-1]:
        panel.tick_params(labelbottom=False)
    return panels


def _draw_small(
    each: Sequence[_Lines], names: Sequence[str], texts_of_lines: Sequence[str], stop_s: float
) -> list[Axes]:
    """Draw the sum of all machines, and below it each of them, all to one scale."""
    by_size = sorted(range(len(names)), key=lambda vm: -each[vm].largest_bytes)
    shown = sorted(by_size[:_SMALL_MAX])
    row_count = -(-len(shown) // _COLUMNS)
    figure = chart.new_chart(9, 4.2 + 1.05 * row_count)
    grid = figure.add_gridspec(row_count + 1, _COLUMNS, height_ratios=[2.4, *[1.0] * row_count])
    above = figure.add_subplot(grid[0, :])
    sums = _sum(each)
    _draw_lines(above, sums)
    chart.byte_axis(above, sums.largest_bytes, _QUANTITY)
    for line, name in zip(above.get_lines(), _in_order(sums, texts_of_lines), strict=True):
        line.set_label(shorten(name, _NAME_LONGEST // 2))
    # No labels at the ends of these lines: the small panels would lose as much of their width.
    above.legend(
        title=f"all {len(names)} machines together", alignment="left", loc="lower left",
        bbox_to_anchor=(0, 1.0), ncols=2, frameon=False, fontsize=9, borderaxespad=0.2,
    )  # fmt: skip
    chart.time_axis(above, stop_s)
    largest_bytes = max(each[vm].largest_bytes for vm in shown)
    for place, vm in enumerate(shown):
        row, column = divmod(place, _COLUMNS)
        panel = figure.add_subplot(grid[row + 1, column])
        _draw_lines(panel, each[vm], scale=0.55)
        chart.byte_axis(panel, largest_bytes, "", ticks_max=2)
        chart.time_axis(panel, stop_s, ticks_max=4)
        panel.set_xlabel("")
        panel.set_ylabel(panel.get_ylabel().strip(" ()") if column == 0 else "", fontsize=8)
        is_lowest = place + _COLUMNS >= len(shown)
        panel.tick_params(labelsize=8, labelbottom=is_lowest, labelleft=column == 0)
        title = panel.set_title(names[vm], fontsize=8, pad=3)
        texts.fit(title, _SMALL_NAME_INCHES)
    return [above]


def _explain_memory(
    panels: Sequence[Axes],
    frames: Sequence[pd.DataFrame],
    measured: pd.DataFrame | None,
    machine_count: int,
) -> None:
    if len(frames) > 1:
        heading = "Resident memory under other settings"
    elif measured is not None and len(measured):
        heading = "Resident memory, predicted and measured"
    else:
        heading = "Resident memory, predicted"
    subject = f"{all_titles(frames)}: {' and '.join(run_names(frames))}"
    if machine_count > _SMALL_MAX:
        subject = f"the {_SMALL_MAX} largest of {machine_count} machines; {subject}"
    chart.explain(panels, heading, subject, scales.joint_attributes(frames))


def _names(frames: Sequence[pd.DataFrame], measured: pd.DataFrame | None) -> list[str]:
    """Name the lines, and then the dots if there are any."""
    names = ["predicted"] if len(frames) == 1 else run_names(frames)
    if measured is None or not len(measured):
        return names
    # Beside a what-if alone, what was measured is no answer to its question.
    settings = {frame.attrs.get("label", _AS_CAPTURED) for frame in frames}
    return [*names, "measured" if _AS_CAPTURED in settings else f"measured {_AS_CAPTURED}"]


def _draw(axes: Axes, lines: _Lines, names: Sequence[str], quantity: str = _QUANTITY) -> None:
    _draw_lines(axes, lines)
    labels = [
        (float(line.value[-1]), name, chart.run_style(index)["color"])
        for index, (line, name) in enumerate(zip(lines.predicted, names, strict=False))
    ]
    if lines.measured is not None:
        labels.append((float(lines.measured.value[-1]), names[-1], chart.colour("quiet")))
    chart.byte_axis(axes, lines.largest_bytes, quantity)
    chart.label_ends(axes, labels)


def _in_order(lines: _Lines, names: Sequence[str]) -> list[str]:
    """Give the names as `_draw_lines` draws: the dots come first."""
    of_predicted = list(names[: len(lines.predicted)])
    return of_predicted if lines.measured is None else [names[-1], *of_predicted]


def _draw_lines(axes: Axes, lines: _Lines, *, scale: float = 1.0) -> None:
    if lines.measured is not None:
        # Dots, not a line: between two samples nobody looked.
        shown = _thinned(lines.measured)
        time_s, size_bytes = shown.time_ns / NANOSECONDS, shown.value
        ink = chart.colour("measured")
        axes.plot(time_s, size_bytes, "o", color=ink, markersize=6 * scale, mew=0)
    for index, line in enumerate(map(_thinned, lines.predicted)):
        style = {"linewidth": 1.6 * scale**0.5, "zorder": 3, **chart.run_style(index)}
        axes.step(line.time_ns / NANOSECONDS, line.value, where="post", **style)


@takes(
    "measure.reclaimed_over_time(trace_on, trace_off)",
    "time_s",
    "reporting_on_bytes",
    "reporting_off_bytes",
)
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
            time_s, on, off, where=off >= on, step="post", color=chart.colour("blue"), alpha=0.13
        )
        axes.step(time_s, off, where="post", color=chart.colour("quiet"), linewidth=1.8)
        axes.step(time_s, on, where="post", color=chart.colour("blue"), linewidth=1.8)
        chart.byte_axis(axes, float(max(on.max(), off.max())), _QUANTITY)
        chart.time_axis(axes, float(time_s[-1]))
        chart.label_ends(
            axes,
            [
                (float(off[-1]), "reporting off", chart.colour("quiet")),
                (float(on[-1]), "reporting on", chart.colour("blue")),
            ],
        )
        chart.explain(
            [axes],
            f"Memory reclaimed: {chart.round_bytes(saved_bytes)} on average{share}",
            f"{frame.attrs.get('title', '')}: two live runs, measured",
            frame.attrs,
        )
    return chart.figure_of(axes)


def _lines_of_each(
    frames: Sequence[pd.DataFrame], measured: pd.DataFrame | None, machine_count: int
) -> list[_Lines]:
    predicted = [_series(frame, "resident_bytes", machine_count) for frame in frames]
    dots: Sequence[Series | None] = [None] * machine_count
    if measured is not None and len(measured):
        sampled = _series(measured, "measured_resident_bytes", machine_count)
        dots = [series if series.value.size else None for series in sampled]
    return [_Lines(list(lines), dot) for *lines, dot in zip(*predicted, dots, strict=True)]


def _sum(each: Sequence[_Lines]) -> _Lines:
    """Add up the machines."""
    dots = [lines.measured for lines in each if lines.measured is not None]
    by_run = zip(*[lines.predicted for lines in each], strict=True)
    # What was measured of some machines only is no measurement of their sum.
    measured = _thinned(add(dots)) if len(dots) == len(each) else None
    return _Lines([_thinned(add(parts)) for parts in by_run], measured)


def _series(frame: pd.DataFrame, column: str, machine_count: int) -> list[Series]:
    """Give the series of each machine."""
    time_ns = np.rint(frame["time_s"].to_numpy() * NANOSECONDS).astype(np.int64)
    vm, value = frame["vm"].to_numpy(), frame[column].to_numpy()
    return [Series(time_ns[vm == one], value[vm == one]) for one in range(machine_count)]


def _thinned(series: Series) -> Series:
    """Keep what can be seen."""
    return thin(series, bin_count=_BIN_COUNT)
