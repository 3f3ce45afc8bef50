"""Charts over the size of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator, SymmetricalLogLocator

from workbench.errors import UsageError
from workbench.plot import chart
from workbench.units import GIB, MIB

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINEAR_UP_TO: Final = 1
"""Pages a second below which the axis is even, so that none has a place on it."""

_MARGIN: Final = 1.08


def swap_over_memory(*frames: pd.DataFrame, below: float = 100, ax: Axes | None = None) -> Figure:
    """Draw what hosts of every size swap, and how much memory it takes to stay below a rate.

    Parameters
    ----------
    frames
        From `curve_frame`, one line each.
    below
        Pages a second, read and written, that are too many.
    """
    if not 1 <= len(frames) <= len(chart.RUN_COLOURS):
        raise UsageError(f"{len(frames)} curves, expected 1 to {len(chart.RUN_COLOURS)} in a chart")
    attributes = frames[0].attrs
    with chart.styled():
        axes = ax if ax is not None else chart.new_chart(9, 4.6).subplots()
        axes.set_yscale("symlog", linthresh=_LINEAR_UP_TO)
        stop_bytes = _MARGIN * max(int(frame["memory_bytes"].iloc[-1]) for frame in frames)
        answers = [
            _draw_curve(axes, frame, below, colour)
            for frame, colour in zip(frames, chart.RUN_COLOURS, strict=False)
        ]
        axes.axhline(below, color=chart.QUIET, linewidth=0.8)
        axes.set_xlim(0, stop_bytes)
        axes.set_ylim(0, None)
        _memory_axis(axes, stop_bytes)
        _rate_axis(axes)
        axes.legend(frameon=False, fontsize=9, loc="upper right")
        chart.explain(
            [axes],
            "Swap by the memory of the host, recency " + str(attributes.get("recency", "")),
            f"{attributes.get('title', '')}: no more than {below:,.4g} pages a second with "
            f"{', '.join(answers)}",
            attributes,
        )
    return chart.figure_of(axes)


def _draw_curve(axes: Axes, frame: pd.DataFrame, below: float, colour: str) -> str:
    """Draw one curve, and give in words how much memory it takes to stay below."""
    label = str(frame.attrs.get("label", ""))
    memory_bytes = np.append(frame["memory_bytes"], frame.attrs["stop_bytes"] * _MARGIN)
    lines = [(_rate(frame), label, "-", 1.8)]
    dead = _dead_rate(frame)
    if dead.any():
        lines.append((dead, f"{label}: of it free in the guest", ":", 1.1))
    for rate, name, style, width in lines:
        axes.step(
            memory_bytes,
            np.append(rate, rate[-1]),
            where="post",
            color=colour,
            linewidth=width,
            linestyle=style,
            label=name,
        )
    needed_bytes = _enough(frame, below)
    if needed_bytes is None:
        return f"no memory {label}"
    axes.plot([needed_bytes] * 2, [0, below], color=colour, linewidth=1, linestyle="--")
    axes.plot(needed_bytes, below, "o", color=colour, markersize=5)
    return f"{chart.round_bytes(needed_bytes)} {label}"


def _rate(frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    both = [frame[f"swap_{way}_pages_per_second"].to_numpy(np.float64) for way in ("in", "out")]
    rate: npt.NDArray[np.float64] = np.sum(both, axis=0)
    return rate


def _dead_rate(frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    moved = (frame["swap_in_pages"] + frame["swap_out_pages"]).to_numpy()
    dead = (frame["swap_in_dead_pages"] + frame["swap_out_dead_pages"]).to_numpy()
    share: npt.NDArray[np.float64] = dead / np.maximum(moved, 1)
    return _rate(frame) * share


def _enough(frame: pd.DataFrame, below: float) -> int | None:
    """Give the least memory with which the rate is no more, if there is any."""
    enough = np.flatnonzero(_rate(frame) <= below)
    return int(frame["memory_bytes"].iloc[enough[0]]) if enough.size else None


def _memory_axis(axes: Axes, stop_bytes: float) -> None:
    unit_bytes, unit = (GIB, "GiB") if stop_bytes >= 2 * GIB else (MIB, "MiB")
    ticks = MaxNLocator(9, steps=[1, 2, 2.5, 4, 5, 10]).tick_values(0, stop_bytes / unit_bytes)
    axes.set_xticks([tick * unit_bytes for tick in ticks if tick * unit_bytes <= stop_bytes])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit_bytes:,.4g}"))
    axes.set_xlabel(f"memory of the host for guest RAM ({unit})")


def _rate_axis(axes: Axes) -> None:
    axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=_LINEAR_UP_TO))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylabel("swapped in and out (pages a second)")
    axes.grid(axis="y", color=chart.GRID, linewidth=0.8)
