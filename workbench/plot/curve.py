"""Charts over the size of the host."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.ticker import FuncFormatter, MultipleLocator, SymmetricalLogLocator

from workbench.errors import UsageError
from workbench.measure import with_settings
from workbench.plot import chart, scales
from workbench.plot.taking import takes
from workbench.spelling import shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINEAR_UP_TO: Final = 1
"""Pages a second below which the axis is even, so that none has a place on it."""

_MARGIN: Final = 1.08

_CURVES_MAX: Final = 5

_AFTER: Final = 1.25
"""Of the size from which on nothing changes: larger ones all look the same."""

_DECADES_MAX: Final = 7
"""Numbers on the axis of rates."""

_SIZES: Final = 2000
"""Sizes of the host at which lines are drawn: more than a chart has pixels across."""

_NAME_WIDTH: Final = 40

_MEMORY: Final = "memory of the host for guest RAM"


@takes("measure.curve_frame(curve(trace))", "memory_bytes", "swap_in_pages_per_second")
def swap_over_memory(*frames: pd.DataFrame, below: float = 100, ax: Axes | None = None) -> Figure:
    """Draw what hosts of every size swap, and how much memory it takes to stay below a rate.

    Parameters
    ----------
    frames
        From `curve_frame`, one line each.
    below
        Pages a second, read and written, that are too many.
    """
    if not 1 <= len(frames) <= _CURVES_MAX:
        raise UsageError(f"{len(frames)} curves, expected 1 to {_CURVES_MAX} in a chart")
    attributes = scales.joint_attributes(frames)
    with chart.styled():
        axes = ax if ax is not None else chart.new_chart(9, 4.6 + 0.25 * len(frames)).subplots()
        axes.set_yscale("symlog", linthresh=_LINEAR_UP_TO)
        stop_bytes = _MARGIN * max(int(frame["memory_bytes"].iloc[-1]) for frame in frames)
        answers = [
            _draw_curve(axes, frame, below, chart.run_style(index))
            for index, frame in enumerate(frames)
        ]
        axes.axhline(below, color=chart.colour("quiet"), linewidth=0.8)
        axes.set_ylim(0, None)
        scales.memory_across(axes, stop_bytes, _MEMORY)
        _rate_axis(axes, max(float(_rate(frame).max()) for frame in frames))
        scales.legend_above(axes, *axes.get_legend_handles_labels())
        chart.explain(
            [axes],
            "Swap by the memory of the host, recency " + str(attributes.get("recency", "")),
            f"{attributes.get('title', '')}: no more than {below:,.6g} pages a second with "
            f"{', '.join(answers)}",
            attributes,
        )
    return chart.figure_of(axes)


def _draw_curve(axes: Axes, frame: pd.DataFrame, below: float, style: Mapping[str, Any]) -> str:
    """Draw one curve, and give in words how much memory it takes to stay below."""
    name = shorten(with_settings(str(frame.attrs.get("label", ""))), _NAME_WIDTH)
    at = _at_sizes(frame, frame.attrs["stop_bytes"] * _MARGIN)
    lines = [(_rate(at), name, {**style, "linewidth": 1.8})]
    dead = _dead_rate(at)
    if dead.any():
        dotted = {**style, "linestyle": ":", "linewidth": 1.1}
        lines.append((dead, f"{name}: free in the guest", dotted))
    for rate, text, look in lines:
        axes.step(at["memory_bytes"], rate, where="post", label=text, **look)
    needed_bytes = _enough(frame, below)
    if needed_bytes is None:
        return f"no memory {name}"
    axes.plot([needed_bytes] * 2, [0, below], color=style["color"], linewidth=1, linestyle="--")
    axes.plot(needed_bytes, below, "o", color=style["color"], markersize=5)
    return f"{chart.round_bytes(needed_bytes)} {name}"


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


def _rate_axis(axes: Axes, largest: float) -> None:
    # Of a wide range of decades every second or third has a number: all would touch each other.
    decades = math.log10(max(largest, 10))
    axes.yaxis.set_major_locator(
        SymmetricalLogLocator(
            base=10.0 ** math.ceil(decades / _DECADES_MAX), linthresh=_LINEAR_UP_TO
        )
    )
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: scales.count_text(value)))
    axes.set_ylabel("swapped in and out (pages a second)")
    axes.grid(axis="y", color=chart.colour("grid"), linewidth=0.8)


@takes(
    "measure.io_avoided_over_memory(with_reporting, without)",
    "memory_bytes",
    "with_pages_per_second",
    "avoided_share",
)
def io_avoided_over_memory(frame: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Draw what hosts of every size swap with and without reporting, and what lies between.

    Parameters
    ----------
    frame
        From `io_avoided_over_memory`.
    ax
        Draw the rates here, instead of them and the share that is avoided in a new figure.
    """
    stop_bytes = _MARGIN * min(float(frame.attrs["stop_bytes"]), _AFTER * _last_swapping(frame))
    at = _at_sizes(frame, stop_bytes)
    with chart.styled():
        if ax is not None:
            panels = [ax]
        else:
            figure = chart.new_chart(9, 5.8)
            panels = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 1]).tolist()
            _draw_share(panels[1], at)
            panels[0].tick_params(labelbottom=False)
        _draw_between(panels[0], at, frame.attrs)
        scales.memory_across(panels[-1], stop_bytes, _MEMORY)
        chart.explain(
            panels,
            f"I/O avoided over the memory of the host, recency {frame.attrs.get('recency', '')}",
            f"{frame.attrs.get('title', '')}: {_most_avoided(frame)}",
            frame.attrs,
        )
    return chart.figure_of(panels[0])


def _last_swapping(frame: pd.DataFrame) -> float:
    """Give the size from which on nothing is swapped, or nothing changes any more."""
    rates = frame[["without_pages_per_second", "with_pages_per_second"]].max(axis=1).to_numpy()
    above = np.flatnonzero(rates > rates[-1])
    last = int(above[-1]) + 1 if above.size else 0
    return float(frame["memory_bytes"].iloc[last])


def _at_sizes(frame: pd.DataFrame, stop_bytes: float) -> pd.DataFrame:
    """Give the frame at sizes that can be told apart on a chart."""
    sizes = np.linspace(float(frame["memory_bytes"].iloc[0]), stop_bytes, _SIZES)
    row = np.searchsorted(frame["memory_bytes"], sizes, side="right") - 1
    return frame.iloc[row].assign(memory_bytes=sizes)


def _draw_between(axes: Axes, at: pd.DataFrame, attributes: Mapping[Any, Any]) -> None:
    rates = [at[f"{name}_pages_per_second"].to_numpy() for name in ("without", "with")]
    without, with_reporting = rates
    sizes = at["memory_bytes"].to_numpy()
    axes.set_yscale("symlog", linthresh=_LINEAR_UP_TO)
    for name, colour, is_there in (
        ("avoided", "blue", without > with_reporting),
        ("added", "vermilion", without < with_reporting),
    ):
        if is_there.any():
            axes.fill_between(
                sizes, with_reporting, without, where=is_there, step="post", linewidth=0, alpha=0.3,
                color=chart.colour(colour), label=name, hatch=chart.hatch(int(name == "added")),
            )  # fmt: skip
    looks: tuple[dict[str, Any], ...] = (
        {"color": chart.colour("quiet"), "linestyle": "--"},
        {"color": chart.colour("blue"), "linestyle": "-"},
    )
    for rate, name, look in zip(rates, ("without", "with"), looks, strict=True):
        label = shorten(str(attributes.get(f"{name}_label", name)), _NAME_WIDTH)
        axes.step(
            sizes, rate, where="post", linewidth=1.8, label=f"{name} reporting: {label}", **look
        )
    axes.set_ylim(0, None)
    _rate_axis(axes, float(max(rate.max() for rate in rates)))
    scales.legend_above(axes, *axes.get_legend_handles_labels())


def _draw_share(axes: Axes, at: pd.DataFrame) -> None:
    share = at["avoided_share"].to_numpy()
    axes.step(at["memory_bytes"], share, where="post", color=chart.colour("blue"), linewidth=1.8)
    axes.axhline(0, color=chart.colour("quiet"), linewidth=0.8)
    lowest = float(np.nanmin(np.append(share, 0.0)))
    # What is added may be many times what was there; below this it is off the chart.
    axes.set_ylim(max(lowest, -1.0) * _MARGIN, _MARGIN)
    axes.yaxis.set_major_locator(MultipleLocator(0.5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    axes.set_ylabel("avoided")
    axes.grid(axis="y", color=chart.colour("grid"), linewidth=0.8)


def _most_avoided(frame: pd.DataFrame) -> str:
    without, with_reporting = (
        frame[f"{name}_pages_per_second"].to_numpy(np.float64) for name in ("without", "with")
    )
    avoided = without - with_reporting
    best = int(np.argmax(avoided))
    if avoided[best] <= 0:
        return "reporting avoids nothing with any memory"
    memory = chart.round_bytes(float(frame["memory_bytes"].iloc[best]))
    share = 100 * avoided[best] / without[best]
    return f"at most {scales.rate_text(avoided[best])} pages a second, {share:.0f} %, with {memory}"
