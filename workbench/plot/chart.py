"""What all charts share: colours, axes in IEC units, labels at the lines, captions."""

from __future__ import annotations

import contextlib
import io
import math
from typing import TYPE_CHECKING, Any, Final, cast

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MultipleLocator

from workbench.errors import UsageError
from workbench.units import GIB, KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

# Okabe and Ito's palette, "Color Universal Design" (2008): told apart with any colour vision.
BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
GREEN: Final = "#009E73"
ORANGE: Final = "#E69F00"
PURPLE: Final = "#CC79A7"
SKY: Final = "#56B4E9"
INK: Final = "#222222"
QUIET: Final = "#6b6b6b"
MEASURED: Final = "#b8b8b8"
GRID: Final = "#e6e6e6"

RUN_COLOURS: Final = (BLUE, VERMILION, GREEN, PURPLE, ORANGE)

_STYLE: Final[dict[str, Any]] = {
    "font.size": 10,
    "axes.edgecolor": "#9a9a9a",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "text.color": INK,
    "figure.dpi": 110,
    "savefig.dpi": 150,
}

_SECONDS_UP_TO: Final = 300
"""Longer time axes are in minutes."""

_TIME_STEPS: Final = (1, 2, 5, 10, 15, 20, 30, 60, 120, 240, 480, 960)
_TIME_STEPS_MAX: Final = 9
"""More numbers would touch each other on a narrow chart."""

_LABEL_GAP_POINTS: Final = 13
"""Distance between labels at the ends of lines: one line of text and a little air."""

_HEAD_INCHES: Final = 0.62
_FOOT_INCHES: Final = 0.26
_LEFT_INCHES: Final = 0.12


class Chart(Figure):
    """A figure that notebooks show by themselves, without pyplot and its global state."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - Figure's own.
        super().__init__(*arguments, **options)
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        with mpl.rc_context(cast("Any", _STYLE)):
            self.savefig(picture, format="png", dpi=110)
        return picture.getvalue()


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Draw in the house's style, and leave matplotlib's settings as they were."""
    with mpl.rc_context(cast("Any", _STYLE)):
        yield


def new_chart(width_inches: float, height_inches: float) -> Chart:
    """Make an empty chart whose parts find their own room between heading and caption."""
    layout = ConstrainedLayoutEngine(
        rect=(
            _LEFT_INCHES / width_inches,
            _FOOT_INCHES / height_inches,
            1 - 2 * _LEFT_INCHES / width_inches,
            1 - (_HEAD_INCHES + _FOOT_INCHES) / height_inches,
        )
    )
    return Chart(figsize=(width_inches, height_inches), layout=layout, facecolor="white")


def save(figure: Figure, path: Path) -> Path:
    """Write a chart as PNG, in one step: a reader sees the old file or the whole new one."""
    temporary = path.with_name(f".{path.name}.partial")
    # No date and no version in the file: equal inputs give equal bytes.
    figure.savefig(temporary, format="png", dpi=150, metadata={"Software": None})
    temporary.replace(path)
    return path


def explain(
    axes: Sequence[Axes], heading: str, subject: str, attributes: Mapping[Any, Any]
) -> None:
    """Write heading, subject, caption and, if events were lost, the banner.

    In a figure of the caller's own (no Chart) everything goes to the axes instead.
    """
    caption = str(attributes.get("caption", ""))
    figure = figure_of(axes[0])
    if isinstance(figure, Chart):
        width_inches, height_inches = figure.get_size_inches()
        left = _LEFT_INCHES / width_inches
        figure.text(left, 1 - 0.26 / height_inches, heading, fontsize=13, fontweight="bold")
        figure.text(left, 1 - 0.49 / height_inches, subject, fontsize=10, color=QUIET)
        figure.text(left, 0.1 / height_inches, caption, fontsize=7.5, color=QUIET)
    else:
        axes[0].set_title(f"{heading}: {subject}", fontsize=10)
        axes[-1].annotate(
            caption,
            xy=(0, 0),
            xytext=(0, -38),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=7.5,
            color=QUIET,
        )
    lost_events = int(attributes.get("lost_events", 0))
    if lost_events:
        axes[0].text(
            0.5,
            0.97,
            f"{lost_events:,} events lost during capture: not exact",
            transform=axes[0].transAxes,
            ha="center",
            va="top",
            fontsize=9,
            fontweight="bold",
            color="white",
            bbox={"boxstyle": "round,pad=0.4", "facecolor": VERMILION, "edgecolor": "none"},
            zorder=10,
        )


def byte_axis(axes: Axes, largest_bytes: float, quantity: str) -> None:
    """Give the vertical axis round IEC steps from 0 to a little above `largest_bytes`."""
    unit_bytes, unit = next(
        ((size, name) for size, name in ((GIB, "GiB"), (MIB, "MiB")) if largest_bytes >= 2 * size),
        (KIB, "KiB"),
    )
    top = max(largest_bytes, unit_bytes) * 1.08
    step = 2 ** math.ceil(math.log2(top / unit_bytes / 6)) * unit_bytes
    axes.set_ylim(0, top)
    axes.yaxis.set_major_locator(MultipleLocator(step))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit_bytes:,.4g}"))
    axes.set_ylabel(f"{quantity} ({unit})")
    axes.grid(axis="y", color=GRID, linewidth=0.8)


def time_axis(axes: Axes, stop_s: float) -> None:
    """Give the horizontal axis seconds, or minutes where it is long."""
    minutes = stop_s > _SECONDS_UP_TO
    unit_s, unit = (60, "min") if minutes else (1, "s")
    fitting = (step for step in _TIME_STEPS if stop_s / unit_s / step <= _TIME_STEPS_MAX)
    axes.set_xlim(0, max(stop_s, 1e-3))
    axes.xaxis.set_major_locator(MultipleLocator(next(fitting, _TIME_STEPS[-1]) * unit_s))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit_s:,.4g}"))
    axes.set_xlabel(f"time since the capture began ({unit})")


def label_ends(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Write each line's name at its right end, moved apart where they would overlap.

    Parameters
    ----------
    labels
        Last value, text and colour of each line.
    """
    low, high = axes.get_ylim()
    gap = _LABEL_GAP_POINTS / _height_points(axes) * (high - low)
    ordered = sorted(labels)
    places = spread([value for value, _, _ in ordered], gap, low, high)
    for place, (value, text, colour) in zip(places, ordered, strict=True):
        axes.annotate(
            text,
            xy=(1, value),
            xytext=(1.015, place),
            xycoords=axes.get_yaxis_transform(),
            textcoords=axes.get_yaxis_transform(),
            color=colour,
            fontsize=9.5,
            va="center",
            annotation_clip=False,
        )


def spread(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move ascending places apart until neighbours are `gap` away, as little as possible.

    Places that collide become a group around the mean of what they belong to, within the axis.
    """
    groups: list[list[float]] = []
    for value in values:
        groups.append([value])
        while (
            len(groups) > 1 and _first_place(groups[-1], gap) < _last_place(groups[-2], gap) + gap
        ):
            last = groups.pop()
            groups[-1].extend(last)
    places = [
        _first_place(group, gap) + gap * index for group in groups for index in range(len(group))
    ]
    # From the top down nothing may stick out, and then from the bottom up: a group that is pushed
    # off an edge pushes the next one.
    ceiling = high
    for index in reversed(range(len(places))):
        places[index] = min(places[index], ceiling)
        ceiling = places[index] - gap
    floor = low
    for index, place in enumerate(places):
        places[index] = max(place, floor)
        floor = places[index] + gap
    return places


def _first_place(group: Sequence[float], gap: float) -> float:
    return sum(group) / len(group) - gap * (len(group) - 1) / 2


def _last_place(group: Sequence[float], gap: float) -> float:
    return sum(group) / len(group) + gap * (len(group) - 1) / 2


def figure_of(axes: Axes) -> Figure:
    """Give the figure that axes belong to."""
    figure = axes.get_figure(root=True)
    if figure is None:
        raise UsageError("these axes belong to no figure any more; make new ones")
    return figure


def round_bytes(size_bytes: float) -> str:
    """Write a measured size with three digits: two runs of one command differ by more."""
    unit_bytes, unit = next(
        ((size, name) for size, name in ((GIB, "GiB"), (MIB, "MiB")) if abs(size_bytes) >= size),
        (KIB, "KiB"),
    )
    value = size_bytes / unit_bytes
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{min(digits, 2)}f} {unit}"


def _height_points(axes: Axes) -> float:
    figure = figure_of(axes)
    # The layout is only made when the figure is drawn; this much of the slot then remains, about.
    return float(axes.get_position().height * figure.get_figheight() * 72 * 0.85)
