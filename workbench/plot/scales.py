"""Axes and names that several charts share: memory across, counts, names that fit."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.ticker import FuncFormatter, MaxNLocator

from workbench.measure import REPORT_OUTCOMES, quantity_text
from workbench.plot import chart
from workbench.spelling import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_OUTCOMES: Final = tuple(REPORT_OUTCOMES.values())
_OUTCOME_COLOURS: Final = ("blue", "ink", "purple", "vermilion", "sky", "orange", "green")

_HALF_A_CHART: Final = 50
"""Letters of a name beside another."""

_PLACES: Final = 400
"""Places along an axis: dots are larger."""

_MILLION: Final = 1_000_000
_PREFIXES: Final = ((10**12, "T"), (10**9, "G"), (_MILLION, "M"))
"""Of the SI: a count has no binary ones."""

_FEW: Final = 10

_SOURCES_LETTERS: Final = 72
"""Of the names of all traces together in a caption."""

_ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"


def outcome_style(outcome: str) -> dict[str, Any]:
    """Give colour and hatch of what became of reported ranges, as matplotlib's bars take them."""
    index = _OUTCOMES.index(outcome)
    return {"color": chart.colour(_OUTCOME_COLOURS[index]), "hatch": chart.hatch(index)}


def outcome_text(outcome: str) -> str:
    """Say what became of reported ranges."""
    kind, _, reason = outcome.partition("_")
    return f"{kind}: {reason.replace('_', ' ')}" if reason else kind


def ink_on(fill: Any) -> str:  # noqa: ANN401 - matplotlib's colours are names, tuples and more.
    """Give the colour of the theme that stands out more on another."""
    inks = (chart.colour("background"), chart.colour("ink"))
    return max(inks, key=lambda ink: abs(_brightness(ink) - _brightness(fill)))


def _brightness(colour: Any) -> float:  # noqa: ANN401
    red, green, blue = to_rgb(colour)
    # ITU-R BT.709: how bright each looks.
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def memory_across(axes: Axes, stop_bytes: float, quantity: str) -> None:
    """Give the horizontal axis round IEC steps from 0 to `stop_bytes`."""
    unit_bytes, unit = chart.byte_unit(stop_bytes)
    ticks = MaxNLocator(9, steps=[1, 2, 2.5, 4, 5, 10]).tick_values(0, stop_bytes / unit_bytes)
    axes.set_xlim(0, stop_bytes)
    axes.set_xticks([tick * unit_bytes for tick in ticks if tick * unit_bytes <= stop_bytes])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit_bytes:,.6g}"))
    axes.set_xlabel(f"{quantity} ({unit})")


def count_axis(axis: Axis, ticks: int) -> None:
    """Write whole numbers, at most so many, with their thousands apart; millions in powers."""
    axis.set_major_locator(MaxNLocator(ticks, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: count_text(value)))


def count_text(count: float) -> str:
    """Write a count: in full up to a million, and above that with three digits."""
    for size, prefix in _PREFIXES:
        if abs(count) >= size:
            return f"{count / size:,.3g} {prefix}"
    return f"{count:,.0f}"


def rate_text(rate: float) -> str:
    """Write how often something happens: below ten with two digits, and else as a count."""
    return f"{rate:.2g}" if 0 < abs(rate) < _FEW else count_text(rate)


def quantity(value: float, unit: str) -> str:
    """Write a number with its unit, both no longer than a column of a chart is wide."""
    if unit == "bytes":
        return chart.round_bytes(value)
    return quantity_text(value, unit) if abs(value) < _MILLION else f"{count_text(value)} {unit}"


def joint_attributes(frames: Sequence[pd.DataFrame]) -> dict[Any, Any]:
    """Say what several frames are of: every trace, and every event that was lost."""
    sources = {str(frame.attrs.get("caption", "")): frame.attrs for frame in frames}
    first = frames[0].attrs
    if len(sources) == 1:
        return dict(first)
    names = []
    for source in sources:
        name, _, digest = source.partition(", ")[0].removeprefix("trace ").rpartition(" ")
        names.append(f"{shorten(name, _SOURCES_LETTERS // len(sources))} {digest}")
    model = next(iter(sources)).partition(", ")[2]
    return {
        **first,
        "caption": f"traces {', '.join(names)}, {model}",
        "lost_events": sum(int(source.get("lost_events", 0)) for source in sources.values()),
    }


def legend_above(axes: Axes, handles: Sequence[Artist], names: Sequence[str]) -> None:
    """Name lines and areas above the axes, where they can hide none of them."""
    are_short = max(map(len, names), default=0) <= _HALF_A_CHART
    axes.legend(
        handles, [shorten(name, 2 * _HALF_A_CHART) for name in names], loc="lower left",
        bbox_to_anchor=(0, 1), ncols=1 + are_short, frameon=False, borderaxespad=0.2, fontsize=9,
    )  # fmt: skip


def apart(points: npt.NDArray[np.float64], width: float, height: float) -> npt.NDArray[np.float64]:
    """Keep one point of each place that can be told apart, on axes so wide and so high.

    Parameters
    ----------
    points
        Shape (point, 2).
    """
    place = np.floor(points * (_PLACES / np.array([width, height]))).astype(np.int64)
    _, first = np.unique(place, axis=0, return_index=True)
    return points[np.sort(first)]


def wrapped(text: str, width: int, lines: int) -> str:
    """Break a text into lines, and leave out what is beyond the last."""
    return "\n".join(
        textwrap.wrap(text, width, max_lines=lines, placeholder=_ELLIPSIS, break_on_hyphens=False)
    )


def named(text: str, width: int, lines: int) -> str:
    """Break a name into lines of a width, at its commas and colons first, if it is too long."""
    if len(text) <= width:
        return text
    pieces = re.split(r"(?<=[,:]) ", text, maxsplit=lines - 1)
    return "\n".join(shorten(piece, width) for piece in pieces)
