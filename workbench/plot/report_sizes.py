"""The chart of what guests report, by size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch

from workbench.measure import REPORT_OUTCOMES
from workbench.plot import chart, scales
from workbench.plot.taking import takes
from workbench.units import KIB, LARGEST_ORDER, MIB, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZES: Final = (0, *(PAGE_BYTES << order for order in range(LARGEST_ORDER + 1)))

_FEW_BYTES: Final = 512 * KIB
"""Axes begin here at the latest: two bars alone would be as wide as doors."""

_COLUMNS: Final = ("length_bytes", "ranges")

_ACROSS: Final = "size of the reported range, at least"

_COUNT_TICKS: Final = 5

_BAR_WIDTH: Final = 0.78

_BAND_INCHES: Final = (0.8, 0.46)
"""Of a few runs, and of many."""

_BAND_HEIGHT: Final = 0.86
"""Of the highest bar in its band."""

_FEW_RUNS: Final = 6

_FEW_SIZES: Final = 6
"""Bars under each of which there is room for a unit, and a number alone would look lost."""

_NAME_LETTERS: Final = 34
_NAME_LINES: Final = 2


@takes("measure.report_sizes(run)", "smallest_bytes", "outcome", "length_bytes")
def report_sizes(frame: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Draw what was reported by size, in bytes and in ranges, and what became of it.

    Several runs stand above each other on one scale, with what each comes to at its right.

    Parameters
    ----------
    frame
        From `report_sizes`.
    ax
        Draw here, in bytes alone, instead of in a new figure.
    """
    labels = list(frame.attrs.get("labels", ["guest"]))
    smallest = int(frame["smallest_bytes"].min()) if len(frame) else _FEW_BYTES
    sizes = [size for size in _SIZES if size >= min(smallest, _FEW_BYTES)]
    with chart.styled():
        panels = [ax] if ax is not None else _new_panels(len(labels))
        for panel, column in zip(panels, _COLUMNS, strict=False):
            if len(labels) == 1:
                _draw_run(panel, frame, column, sizes)
            else:
                _draw_bands(panel, frame, column, sizes, labels)
            panel.set_xticks(range(len(sizes)), _size_texts(sizes), fontsize=8)
            panel.set_xlim(-0.6, len(sizes) - 0.4)
            panel.tick_params(axis="x", length=0)
        _name_runs(panels, labels)
        _legend(panels[-1], frame)
        chart.explain(panels, _heading(frame), _subject(frame, labels), frame.attrs)
    return chart.figure_of(panels[0])


def _new_panels(runs: int) -> list[Axes]:
    width, height = (9.0, 3.7) if runs == 1 else (11.0, 2 + _BAND_INCHES[runs > _FEW_RUNS] * runs)
    panels = chart.new_chart(width, height).subplots(1, 2, sharey=runs > 1)
    return list(panels)


def _stacks(
    frame: pd.DataFrame, column: str, sizes: Sequence[int], per_unit: float = 1, bottom: float = 0
) -> dict[str, npt.NDArray[np.float64]]:
    """Give the bars of one run by outcome, each as its corners.  Shape (bar, corner, 2)."""
    low = np.full(len(sizes), float(bottom))
    left = np.arange(len(sizes)) - _BAR_WIDTH / 2
    bars = {}
    for outcome in _occurring(frame):
        by_size = frame[frame["outcome"] == outcome].groupby("smallest_bytes")[column].sum()
        high = low + [float(by_size.get(size, 0)) * per_unit for size in sizes]
        sides = ((left, low), (left, high), (left + _BAR_WIDTH, high), (left + _BAR_WIDTH, low))
        corners = np.array(sides).transpose(2, 0, 1)
        bars[outcome] = corners[high > low]
        low = high
    return bars


def _draw_stacks(axes: Axes, runs: Sequence[Mapping[str, npt.NDArray[np.float64]]]) -> None:
    """Draw the bars of all runs, those of one outcome at once: one by one takes seconds."""
    for outcome in REPORT_OUTCOMES.values():
        bars = [run[outcome] for run in runs if outcome in run]
        if bars:
            style = scales.outcome_style(outcome)
            axes.add_collection(
                PolyCollection(
                    list(np.concatenate(bars)), facecolor=style["color"], hatch=style["hatch"],
                    linewidth=0, label=scales.outcome_text(outcome),
                ),
                autolim=False,
            )  # fmt: skip


def _draw_run(axes: Axes, frame: pd.DataFrame, column: str, sizes: Sequence[int]) -> None:
    _draw_stacks(axes, [_stacks(frame, column, sizes)])
    largest = _largest(frame, column)
    axes.set_xlabel(_ACROSS)
    if column == "length_bytes":
        chart.byte_axis(axes, largest, "reported")
    else:
        axes.set_ylim(0, max(largest, 1.0) * 1.08)
        scales.count_axis(axes.yaxis, _COUNT_TICKS)
        axes.set_ylabel("ranges")
        axes.grid(axis="y", color=chart.colour("grid"), linewidth=0.8)
    if frame.empty:
        _write(axes, (len(sizes) - 1) / 2, axes.get_ylim()[1] / 2, "no reports")


def _draw_bands(
    axes: Axes, frame: pd.DataFrame, column: str, sizes: Sequence[int], labels: Sequence[str]
) -> None:
    """Draw every run in a band of its own, the first one on top, and write what it comes to."""
    runs = len(labels)
    parts = [frame[frame["run"] == run] for run in range(runs)]
    largest = max(_largest(part, column) for part in parts)
    per_unit = _BAND_HEIGHT / max(largest, 1.0)
    bottoms = list(reversed(range(runs)))
    _draw_stacks(
        axes,
        [
            _stacks(part, column, sizes, per_unit, bottom)
            for part, bottom in zip(parts, bottoms, strict=True)
        ],
    )
    for part, bottom in zip(parts, bottoms, strict=True):
        axes.axhline(bottom, color=chart.colour("edge"), linewidth=0.8)
        middle = bottom + _BAND_HEIGHT / 2
        if part.empty:
            _write(axes, (len(sizes) - 1) / 2, middle, "no reports")
            continue
        axes.annotate(
            _text(float(part[column].sum()), column), (1, middle), (6, 0),
            xycoords=axes.get_yaxis_transform(), textcoords="offset points", va="center",
            fontsize=9, color=chart.colour("quiet"), annotation_clip=False,
        )  # fmt: skip
    axes.set_ylim(0, runs)
    axes.spines["left"].set_visible(False)
    what = "bytes" if column == "length_bytes" else "ranges"
    axes.set_xlabel(f"{_ACROSS}\n{what}; the highest bar: {_text(largest, column)}")


def _write(axes: Axes, across: float, up: float, text: str) -> None:
    axes.text(across, up, text, ha="center", va="center", color=chart.colour("quiet"), fontsize=9)


def _name_runs(panels: Sequence[Axes], labels: Sequence[str]) -> None:
    if len(labels) == 1:
        return
    places = [len(labels) - 1 - run + _BAND_HEIGHT / 2 for run in range(len(labels))]
    names = [scales.named(label, _NAME_LETTERS, _NAME_LINES) for label in labels]
    panels[0].set_yticks(places, names, color=chart.colour("ink"), fontsize=9)
    for panel in panels:
        panel.tick_params(axis="y", length=0)


def _text(value: float, column: str) -> str:
    return chart.round_bytes(value) if column == "length_bytes" else scales.count_text(value)


def _largest(rows: pd.DataFrame, column: str) -> float:
    """Give the highest bar of a run."""
    return float(rows.groupby("smallest_bytes")[column].sum().max()) if len(rows) else 0.0


def _size_texts(sizes: Sequence[int]) -> list[str]:
    """Write each size, and its unit below: where that begins and at the end, or of few at each."""
    texts = []
    unit_before = ""
    for size in sizes:
        unit_bytes, unit = (MIB, "MiB") if size >= MIB else (KIB, "KiB")
        number = f"{size // unit_bytes}" if size else f"<{PAGE_BYTES // KIB}"
        is_named = unit != unit_before or size == sizes[-1] or len(sizes) <= _FEW_SIZES
        texts.append(f"{number}\n{unit}" if is_named else number)
        unit_before = unit
    return texts


def _occurring(frame: pd.DataFrame) -> list[str]:
    found = set(frame["outcome"])
    return [outcome for outcome in REPORT_OUTCOMES.values() if outcome in found]


def _legend(axes: Axes, frame: pd.DataFrame) -> None:
    """Name the colours that occur anywhere, above all panels."""
    handles = [
        Patch(label=scales.outcome_text(outcome), linewidth=0, **scales.outcome_style(outcome))
        for outcome in _occurring(frame)
    ]
    if handles:
        axes.legend(
            handles=handles, loc="lower right", bbox_to_anchor=(1, 1.02), ncols=2, frameon=False,
            handlelength=1, borderaxespad=0.2, fontsize=9,
        )  # fmt: skip


def _heading(frame: pd.DataFrame) -> str:
    ranges, length_bytes = float(frame["ranges"].sum()), float(frame["length_bytes"].sum())
    discarded = float(frame.loc[frame["outcome"] == "discarded", "length_bytes"].sum())
    share = f", {100 * discarded / length_bytes:.0f} % of it discarded" if length_bytes else ""
    size = chart.round_bytes(length_bytes)
    return f"Reports by size: {scales.count_text(ranges)} ranges, {size}{share}"


def _subject(frame: pd.DataFrame, labels: Sequence[str]) -> str:
    if len(labels) > 1:
        return f"{len(labels)} runs"
    return f"{frame.attrs.get('title', '')}: {frame.attrs.get('label', '')}"
