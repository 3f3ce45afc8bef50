"""Refaults over time: what it costs to take back what was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from workbench.errors import UsageError
from workbench.plot import chart, scales
from workbench.plot.lineage import all_titles, run_names
from workbench.plot.taking import takes
from workbench.spelling import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAME_LONGEST: Final = 40


@takes("measure.refaults_over_time(run)", "start_s", "stop_s", "refaults")
def refaults_over_time(*frames: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Draw how often guests faulted on what had been discarded, over time, one line a run.

    Parameters
    ----------
    frames
        From `measure.refaults_over_time`.
    """
    if not 1 <= len(frames) <= chart.run_count():
        raise UsageError(f"{len(frames)} runs, expected 1 to {chart.run_count()} in a chart")
    totals = [int(frame["refaults"].sum()) for frame in frames]
    names = [f"{name}: {total:,}" for name, total in zip(run_names(frames), totals, strict=True)]
    with chart.styled():
        height_inches = 4.0 + 0.25 * (len(frames) - 1)
        axes = ax if ax is not None else chart.new_chart(9, height_inches).subplots()
        lines = []
        for index, frame in enumerate(frames):
            rate = frame["refaults_per_second"].to_numpy()
            edges_s = np.append(frame["start_s"], frame["stop_s"].iloc[-1])
            style = {"linewidth": 1.4, **chart.run_style(index)}
            lines += axes.step(edges_s, np.append(rate, rate[-1]), where="post", **style)
        _rate_axis(axes, max(float(frame["refaults_per_second"].max()) for frame in frames))
        chart.time_axis(axes, max(float(frame["stop_s"].iloc[-1]) for frame in frames))
        if len(frames) > 1 and ax is None:
            scales.legend_above(axes, lines, names)
        elif len(frames) > 1:
            # The title of the caller's axes is above them.
            short = [shorten(name, _NAME_LONGEST) for name in names]
            axes.legend(lines, short, loc="upper right", fontsize=8, framealpha=0.9)
        chart.explain(
            [axes],
            "Refaults: faults on memory that had been discarded",
            f"{all_titles(frames)}: {names[0] if len(frames) == 1 else _all(totals)}",
            scales.joint_attributes(frames),
        )
    return chart.figure_of(axes)


def _all(totals: Sequence[int]) -> str:
    return f"{len(totals)} runs, {min(totals):,} to {max(totals):,} refaults"


def _rate_axis(axes: Axes, largest: float) -> None:
    axes.set_ylim(0, 1.08 * largest or 1)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.set_ylabel("refaults per second")
    axes.grid(axis="y", color=chart.colour("grid"), linewidth=0.8)
