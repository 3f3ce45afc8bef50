"""The chart of two sides of a comparison: the memory of every run, over each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.plot import chart
from workbench.plot.taking import takes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEW: Final = 2
"""Lines of one side that are told apart as they are; more are drawn thinner."""


_HEADROOM: Final = 1.15
"""Times the highest value: the legend stands above all lines."""


@takes(
    "gate.over_time.memory_of_both(comparison, baseline, candidate)",
    "side",
    "run",
    "time_s",
    "resident_bytes",
)
def both_sides(frame: pd.DataFrame, *, ax: Axes | None = None) -> Figure:
    """Draw guest RAM in host memory over time, each run a line, each side a colour.

    Parameters
    ----------
    frame
        Columns side, run, time_s and resident_bytes, a row for each time of change.
    ax
        Draw here, instead of in a new figure.
    """
    with chart.styled():
        panel = chart.new_chart(9, 4.4).subplots() if ax is None else ax
        chart.byte_axis(panel, _HEADROOM * float(frame["resident_bytes"].max()), "resident")
        for index, (side, runs) in enumerate(frame.groupby("side", sort=False)):
            style = chart.run_style(index)
            lines = list(runs.groupby("run", sort=False))
            many = len(lines) > _FEW
            for number, (_, rows) in enumerate(lines):
                panel.step(
                    rows["time_s"],
                    rows["resident_bytes"],
                    where="post",
                    label=f"{side} ({len(lines)})" if number == 0 else None,
                    linewidth=1.0 if many else 1.8,
                    alpha=0.55 if many else 1.0,
                    **style,
                )
        panel.legend(frameon=False, fontsize=9, loc="upper left", ncols=2)
        chart.time_axis(panel, float(frame["time_s"].max()))
        heading, subject = "Resident memory of both sides", str(frame.attrs.get("title", ""))
        chart.explain([panel], heading, subject, frame.attrs)
    return chart.figure_of(panel)
