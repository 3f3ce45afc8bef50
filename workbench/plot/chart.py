"""What all charts share: colours, axes in IEC units, labels at the lines, captions."""

from __future__ import annotations

import contextlib
import io
import math
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MultipleLocator

from workbench.errors import UsageError, WriteError
from workbench.plot import texts
from workbench.plot.themes import THEMES
from workbench.spelling import shorten, suggestion
from workbench.units import GIB, KIB, MIB, PIB, TIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase

_CURRENT: Final = ContextVar("theme", default=THEMES["light"])

_TIME_UNITS: Final = (
    (300, 1, "s"),
    (86_400, 60, "min"),
    (5 * 86_400, 3_600, "h"),
    (math.inf, 86_400, "d"),
)
"""Up to how many seconds an axis is in a unit, which has so many."""

_AXIS_UNITS: Final = ((PIB, "PiB"), (TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"))
"""The larger ones keep the numbers of hosts of a fleet from growing into each other."""

SHORTEST_S: Final = 1e-3
"""A time axis is at least this long."""

_TIME_STEPS: Final = (1, 2, 5, 10, 15, 20, 30, 60, 120, 240, 480, 960)
_LABEL_GAP_POINTS: Final = 13
"""Distance between labels at the ends of lines: one line of text and a little air."""

_LABEL_AFTER_POINTS: Final = 8

_STROKE_POINTS: Final = 22

_LABEL_LONGEST: Final = 32
"""Longer names would leave too little room for the lines."""

_PAGE_DOTS_PER_INCH: Final = 110

_LEFT_OUT: Final = {"png": ("Software",), "svg": ("Date", "Creator")}
"""What matplotlib would write into a file of each kind: no date and no version."""

_HEAD_INCHES: Final = 0.62
_FOOT_INCHES: Final = 0.26
_LEFT_INCHES: Final = 0.12


class Chart(Figure):
    """A figure that notebooks show by themselves, without pyplot and its global state.

    It keeps the theme in which it was made, whenever it is drawn.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - Figure's own.
        self._theme = _CURRENT.get()
        super().__init__(*arguments, **options)
        FigureCanvasAgg(self)

    def draw(self, renderer: RendererBase) -> None:
        """Draw in the chart's own theme: matplotlib makes some ticks only now."""
        with mpl.rc_context(self._theme.settings()):
            super().draw(renderer)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Give a picture with two dots for each of the page's, and how large it is to appear.

        A line of a thousand steps, or a map of a hundred thousand cells, would be a large SVG.
        """
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=2 * _PAGE_DOTS_PER_INCH)
        width_inches, height_inches = self.get_size_inches()
        return picture.getvalue(), {
            "width": round(width_inches * _PAGE_DOTS_PER_INCH),
            "height": round(height_inches * _PAGE_DOTS_PER_INCH),
        }


@contextlib.contextmanager
def theme(name: str) -> Iterator[None]:
    """Draw in the colours of a theme; charts keep them when they are saved or shown later.

    Figures of your own, for a chart's `ax`, are made in these colours as well.

    Parameters
    ----------
    name
        "light", "dark", or "print", which is told apart without colour too.

    Raises
    ------
    UsageError
        There is no such theme.
    """
    if name not in THEMES:
        meant = suggestion(str(name), THEMES, otherwise=f"there are {', '.join(THEMES)}")
        raise UsageError(f"there is no theme {name!r}{meant}")
    token = _CURRENT.set(THEMES[name])
    try:
        with styled():
            yield
    finally:
        _CURRENT.reset(token)


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Draw in the current theme, and leave matplotlib's settings as they were."""
    with mpl.rc_context(_CURRENT.get().settings()):
        yield


def colour(name: str) -> str:
    """Give a colour of the current theme, by its name in `Theme`: "blue", "quiet", "grid"."""
    return str(getattr(_CURRENT.get(), name))


def run_style(index: int) -> dict[str, Any]:
    """Give colour and stroke of the line of a run, as matplotlib's `plot` takes them."""
    current = _CURRENT.get()
    return {
        "color": colour(current.runs[index % len(current.runs)]),
        "linestyle": current.line_styles[index % len(current.line_styles)],
    }


def run_count() -> int:
    """Say how many runs can be told apart in a chart."""
    return len(_CURRENT.get().runs)


def state_colours() -> tuple[str, ...]:
    """Give the colours of what a page can be, in the order of `MAP_STATES`."""
    return _CURRENT.get().states


def hatch(index: int) -> str:
    """Give the hatch of an area, beside its colour; none where colours can be seen."""
    hatches = _CURRENT.get().hatches
    return hatches[index % len(hatches)]


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
    return Chart(
        figsize=(width_inches, height_inches), layout=layout, facecolor=colour("background")
    )


def save(figure: Figure, path: Path | str) -> Path:
    """Write a chart as PNG or SVG, in one step: a reader sees the old file or the whole new one.

    Equal charts give equal bytes.

    Parameters
    ----------
    path
        Its suffix says which: .png or .svg.

    Raises
    ------
    UsageError
        It has another suffix, or none; or what is given is no chart.
    WriteError
        It cannot be written.
    """
    if not isinstance(figure, Figure):
        raise UsageError(f"save takes a chart and then its path, got a {type(figure).__name__}")
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in _LEFT_OUT:
        found = f"{path.suffix} is neither" if kind else "it has no suffix"
        raise UsageError(f"a chart is written as .png or .svg, and {found}: {path}")
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with styled():
            figure.savefig(
                temporary, format=kind, dpi=150, metadata=dict.fromkeys(_LEFT_OUT[kind], None)
            )
        temporary.replace(path)
    except OSError as error:
        raise WriteError(
            f"{path}: cannot be written ({error.strerror}); name another folder"
        ) from None
    finally:
        # Gone already where all went well.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
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
        heads = (
            figure.text(left, 1 - 0.26 / height_inches, heading, fontsize=13, fontweight="bold"),
            figure.text(left, 1 - 0.49 / height_inches, subject, color=colour("quiet")),
            figure.text(left, 0.1 / height_inches, caption, fontsize=7.5, color=colour("quiet")),
        )
        for text in heads:
            texts.fit(text, width_inches - 2 * _LEFT_INCHES)
    else:
        for panel in axes:
            # A figure that is no Chart forgets the theme before it makes its last ticks.
            panel.tick_params(colors=colour("quiet"))
        axes[0].set_title(f"{heading}: {subject}", fontsize=10)
        axes[-1].annotate(
            caption,
            xy=(0, 0),
            xytext=(0, -38),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=7.5,
            color=colour("quiet"),
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
            color=colour("background"),
            bbox={
                "boxstyle": "round,pad=0.4",
                "facecolor": colour("vermilion"),
                "edgecolor": "none",
            },
            zorder=10,
        )


def byte_axis(axes: Axes, largest_bytes: float, quantity: str, *, ticks_max: int = 6) -> None:
    """Give the vertical axis round IEC steps from 0 to a little above `largest_bytes`."""
    unit_bytes, unit = byte_unit(largest_bytes)
    top = max(largest_bytes, unit_bytes) * 1.08
    step = 2 ** math.ceil(math.log2(top / unit_bytes / ticks_max)) * unit_bytes
    axes.set_ylim(0, top)
    axes.yaxis.set_major_locator(MultipleLocator(step))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit_bytes:,.6g}"))
    axes.set_ylabel(f"{quantity} ({unit})")
    axes.grid(axis="y", color=colour("grid"), linewidth=0.8)


def byte_unit(largest_bytes: float) -> tuple[int, str]:
    """Give the IEC unit for an axis that goes as far: its size, and its name."""
    fitting = ((size, name) for size, name in _AXIS_UNITS if largest_bytes >= 2 * size)
    return next(fitting, (KIB, "KiB"))


def time_axis(axes: Axes, stop_s: float, *, ticks_max: int = 9) -> None:
    """Give the horizontal axis seconds, or larger units where it is long."""
    unit_s, unit = next((size, name) for most, size, name in _TIME_UNITS if stop_s <= most)
    fitting = (step for step in _TIME_STEPS if stop_s / unit_s / step <= ticks_max)
    axes.set_xlim(0, max(stop_s, SHORTEST_S))
    axes.xaxis.set_major_locator(MultipleLocator(next(fitting, _TIME_STEPS[-1]) * unit_s))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit_s:,.6g}"))
    axes.set_xlabel(f"time since the capture began ({unit})")


def label_ends(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Write each line's name at its right end, moved apart where they would overlap.

    Parameters
    ----------
    labels
        Last value, text and colour of each line.
    """
    current = _CURRENT.get()
    # Where strokes tell lines apart, each name has its line's before it.
    inks = map(colour, current.runs)
    strokes = dict(zip(inks, current.line_styles, strict=True)) if hatch(1) else {}
    low, high = axes.get_ylim()
    gap = _LABEL_GAP_POINTS / _height_points(axes) * (high - low)
    ordered = sorted(labels)
    places = texts.spread([value for value, _, _ in ordered], gap, low, high)
    for place, (value, text, ink) in zip(places, ordered, strict=True):
        axes.annotate(
            "\n".join(shorten(line, _LABEL_LONGEST) for line in text.split("\n")),
            xy=(1, value),
            xytext=(_LABEL_AFTER_POINTS + _STROKE_POINTS * (ink in strokes), place),
            xycoords=axes.get_yaxis_transform(),
            # Points, not a share of the width: that changes with the room the label takes, and
            # the chart would be laid out a little otherwise each time it is drawn.
            textcoords=("offset points", "data"),
            color=ink,
            fontsize=9.5,
            va="center",
            annotation_clip=False,
            arrowprops=_stroke(ink, strokes[ink]) if ink in strokes else None,
        )


def _stroke(ink: str, linestyle: Any) -> dict[str, Any]:  # noqa: ANN401 - A name or dashes.
    ends = {"relpos": (0, 0.5), "shrinkA": 3, "shrinkB": 1}
    return {"arrowstyle": "-", "color": ink, "linestyle": linestyle, "linewidth": 1.4, **ends}


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
