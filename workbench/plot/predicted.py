"""The chart of what was predicted against what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.lines import Line2D

from workbench.errors import UsageError
from workbench.plot import chart, scales
from workbench.plot.taking import takes
from workbench.spelling import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS: Final = ("o", "s", "^", "D")
"""A shape for each round through the colours of runs."""

_RUNS_MAX: Final = 20
"""Five colours times four shapes."""

_NAME_WIDTH: Final = 30

_PANELS: Final = {"resident_bytes": "in memory", "swapped_bytes": "in swap"}


@takes(
    "measure.predicted_against_measured(run)",
    "is_quiet",
    "predicted_resident_bytes",
    "measured_resident_bytes",
)
def predicted_against_measured(frame: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Draw every sample: what the replay says then, against what the host measured.

    On the diagonal they are equal.  A full dot is of a quiet sample, around which nothing moved
    pages; a hollow one is of any other.  A second panel is of swap, if there was any.

    Parameters
    ----------
    frame
        From `predicted_against_measured`.
    ax
        Draw memory here, instead of in a new figure.
    """
    labels = list(frame.attrs.get("labels", ["guest"]))
    if len(labels) > _RUNS_MAX:
        raise UsageError(f"{len(labels)} runs, expected 1 to {_RUNS_MAX} in a chart")
    swapped = frame[["predicted_swapped_bytes", "measured_swapped_bytes"]].to_numpy(np.float64)
    quantities = list(_PANELS)[: 2 if ax is None and np.nansum(swapped) > 0 else 1]
    with chart.styled():
        if ax is not None:
            panels = [ax]
        else:
            width = 4.6 * len(quantities) + (2.6 if len(labels) > 1 else 0.8)
            figure = chart.new_chart(max(width, 7.6), 5.4)
            panels = figure.subplots(1, len(quantities), squeeze=False)[0].tolist()
        for panel, quantity in zip(panels, quantities, strict=True):
            _draw_quantity(panel, frame, quantity, len(labels))
        if len(frame):
            _legend(panels[-1], frame, labels)
        chart.explain(panels, _heading(frame), _subject(frame, labels), frame.attrs)
    return chart.figure_of(panels[0])


def _draw_quantity(axes: Axes, frame: pd.DataFrame, quantity: str, runs: int) -> None:
    columns = [f"measured_{quantity}", f"predicted_{quantity}"]
    known = frame.dropna(subset=columns)
    largest = float(known[columns].to_numpy().max()) if len(known) else 0.0
    chart.byte_axis(axes, largest, f"predicted {_PANELS[quantity]}")
    stop = axes.get_ylim()[1]
    axes.set_xlim(0, stop)
    axes.set_xticks([tick for tick in axes.get_yticks() if 0 <= tick <= stop])
    axes.xaxis.set_major_formatter(axes.yaxis.get_major_formatter())
    axes.set_xlabel(axes.get_ylabel().replace("predicted", "measured"))
    axes.grid(color=chart.colour("grid"), linewidth=0.8)
    axes.set_aspect("equal")
    axes.plot([0, stop], [0, stop], color=chart.colour("quiet"), linewidth=0.9, zorder=1)
    for run in range(runs):
        for is_quiet in (False, True):
            rows = known[(known["run"] == run) & (known["is_quiet"] == is_quiet)]
            places = scales.apart(rows[columns].to_numpy(np.float64), stop, stop)
            axes.plot(
                places[:, 0], places[:, 1], zorder=2 + is_quiet, **_style(run, is_quiet=is_quiet)
            )
    if known.empty:
        axes.text(
            0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center",
            color=chart.colour("quiet"),
        )  # fmt: skip


def _style(run: int, *, is_quiet: bool) -> dict[str, Any]:
    marker = _MARKERS[run // chart.run_count() % len(_MARKERS)]
    return _dot(marker, str(chart.run_style(run)["color"]), is_quiet=is_quiet)


def _dot(marker: str, ink: str, *, is_quiet: bool) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "marker": marker,
        "markersize": 5 if is_quiet else 6,
        "markeredgecolor": ink,
        "markerfacecolor": ink if is_quiet else "none",
        "markeredgewidth": 0 if is_quiet else 0.8,
        "alpha": 0.8 if is_quiet else 0.55,
    }


def _legend(axes: Axes, frame: pd.DataFrame, labels: Sequence[str]) -> None:
    quiet = int(frame["is_quiet"].sum())
    ink = str(chart.run_style(0)["color"]) if len(labels) == 1 else chart.colour("ink")
    kinds = [
        Line2D([], [], label=f"{text} ({count:,})", **_dot(_MARKERS[0], ink, is_quiet=is_quiet))
        for is_quiet, count, text in (
            (True, quiet, "quiet samples"),
            (False, len(frame) - quiet, "other samples"),
        )
        if count
    ]
    kinds.append(Line2D([], [], color=chart.colour("quiet"), linewidth=0.9, label="equal"))
    if len(labels) == 1:
        axes.legend(handles=kinds, frameon=False, fontsize=9, loc="upper left")
        return
    runs = [
        Line2D([], [], label=shorten(label, _NAME_WIDTH), **_style(run, is_quiet=True))
        for run, label in enumerate(labels)
    ]
    axes.legend(
        handles=runs + kinds, frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1),
        borderaxespad=0,
    )  # fmt: skip


def _heading(frame: pd.DataFrame) -> str:
    known = [error["resident_bytes"] for error in frame.attrs["model_error"]]
    known = [error for error in known if error is not None]
    if not known:
        return "Predicted against measured: not measured"
    mean = max(error["mean"] for error in known)
    finals = [error["final_pages"] for error in known if error["final_pages"] is not None]
    worst = max(finals, key=abs, default=None)
    final = "" if worst is None else f", {f'{worst:+,}' if worst else 0} pages at the end"
    upto = "up to " if len(known) > 1 else ""
    return f"Predicted against measured: {upto}{100 * mean:.2f} % off{final}"


def _subject(frame: pd.DataFrame, labels: Sequence[str]) -> str:
    what = "off on average, of the measured peak"
    if len(labels) > 1:
        return f"{len(labels)} runs as captured; {what} of each"
    return f"{frame.attrs.get('title', '')}: {frame.attrs.get('label', '')}; {what}"
