"""The map of a guest's memory: address by time, coloured by what is there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from workbench.measure import MAP_STATES
from workbench.plot import chart
from workbench.plot.taking import takes
from workbench.spelling import shorten

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAMES: Final = {
    "held": "held",
    "reported": "reported, but kept",
    "discarded": "discarded",
    "swapped": "in swap",
    "never_backed": "never backed",
}

_LEAST_HEIGHT: Final = 0.05
"""Of the axis, for a RAM block: smaller ones could not be seen."""

_BLOCKS_NAMED: Final = 20
"""The largest: more names would not find room at the side."""

_TICKS_MAX: Final = 7
_TICK_GAP: Final = 0.045
"""Of the axis, between numbers: a line of text and a little air."""

_NAME_LONGEST: Final = 28
_MACHINE_LONGEST: Final = 40


class _Block(NamedTuple):
    """A RAM block, and where it stands on the axis, which goes from 0 to 1."""

    name: str
    size_bytes: int
    bottom: float
    top: float

    def place(self, offset_bytes: npt.NDArray[np.int64] | int) -> npt.NDArray[np.float64]:
        """Give the height of offsets in the block."""
        share = np.asarray(offset_bytes) / self.size_bytes
        return np.asarray(self.bottom + share * (self.top - self.bottom), np.float64)


@takes("measure.address_map_frame(run)", "ram_block", "offset_bytes", "held_bytes")
def address_map(frame: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Draw what lies where in a guest's memory over time.

    Each cell is coloured by what is in it, mixed where that is more than one thing.

    Parameters
    ----------
    frame
        From `address_map_frame`.
    """
    cells, slice_count = _cells(frame)
    blocks = _blocks(cells, list(frame.attrs["ram_blocks"]))
    stop_s = float(frame["time_s"].iloc[-1])
    with chart.styled():
        axes = ax if ax is not None else chart.new_chart(9, 5.2).subplots()
        edges_s = np.linspace(0, max(stop_s, chart.SHORTEST_S), slice_count + 1)
        axes.pcolorfast(edges_s, _edges(cells, blocks), _picture(frame, len(cells)))
        _address_axis(axes, blocks)
        chart.time_axis(axes, stop_s)
        _legend(axes, frame, is_within=ax is not None)
        machine = shorten(str(frame.attrs["machine"]), _MACHINE_LONGEST)
        chart.explain(
            [axes],
            f"Memory of {machine} by address",
            f"{frame.attrs.get('title', '')}: {frame.attrs.get('label', '')}",
            frame.attrs,
        )
    return chart.figure_of(axes)


def _cells(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Give the cells of one slice of time, and how many slices there are."""
    first = frame.iloc[0]
    is_first = (frame["ram_block"] == first["ram_block"]) & (
        frame["offset_bytes"] == first["offset_bytes"]
    )
    slice_count = int(is_first.sum())
    return frame.iloc[: len(frame) // slice_count], slice_count


def _blocks(cells: pd.DataFrame, names: list[str]) -> list[_Block]:
    numbers = cells["ram_block"].to_numpy()
    sizes = np.bincount(numbers, weights=cells["length_bytes"].to_numpy())
    heights = np.maximum(sizes / sizes.sum(), _LEAST_HEIGHT)
    tops = np.cumsum(heights) / heights.sum()
    bottoms = [0.0, *tops[:-1]]
    return [
        _Block(shorten(name, _NAME_LONGEST), int(size), float(bottom), float(top))
        for name, size, bottom, top in zip(names, sizes, bottoms, tops, strict=True)
    ]


def _edges(cells: pd.DataFrame, blocks: list[_Block]) -> npt.NDArray[np.float64]:
    """Give the heights between which the cells lie."""
    offsets = cells.groupby("ram_block")["offset_bytes"]
    bottoms = [block.place(own.to_numpy()) for block, (_, own) in zip(blocks, offsets, strict=True)]
    return np.concatenate((*bottoms, [1.0]))


def _picture(frame: pd.DataFrame, cell_count: int) -> npt.NDArray[np.uint8]:
    """Mix the colours of each cell.  Shape (cell, slice, 3)."""
    colours = np.array([to_rgb(colour) for colour in chart.state_colours()])
    sizes = frame[[f"{state}_bytes" for state in MAP_STATES]].to_numpy()
    shares = sizes / frame["length_bytes"].to_numpy()[:, np.newaxis]
    absent = 1 - shares.sum(axis=1, keepdims=True)
    mixed = shares @ colours + absent * np.array(to_rgb(chart.colour("background")))
    slices = np.rint(255 * mixed).astype(np.uint8).reshape(-1, cell_count, 3)
    picture: npt.NDArray[np.uint8] = slices.transpose(1, 0, 2)
    return picture


def _address_axis(axes: Axes, blocks: list[_Block]) -> None:
    """Write offsets beside each block, and the names of blocks where there are several."""
    largest_bytes = max(block.size_bytes for block in blocks)
    unit_bytes, unit = chart.byte_unit(largest_bytes)
    share = max(block.top - block.bottom for block in blocks)
    ticks = max(_TICKS_MAX * share, 1)
    step_bytes = int(2 ** math.ceil(math.log2(largest_bytes / unit_bytes / ticks)) * unit_bytes)
    places: list[tuple[float, str]] = []
    for block in blocks:
        for offset_bytes in range(0, block.size_bytes, step_bytes):
            place = float(block.place(offset_bytes))
            # Where a block begins is said before how far the one below it goes.
            while places and not offset_bytes and place - places[-1][0] < _TICK_GAP:
                places.pop()
            if not places or place - places[-1][0] >= _TICK_GAP:
                places.append((place, f"{offset_bytes / unit_bytes:,.6g}"))
    axes.set_yticks([place for place, _ in places], [text for _, text in places])
    axes.set_ylim(0, 1)
    where = blocks[0].name if len(blocks) == 1 else "the RAM block"
    axes.set_ylabel(f"offset in {where} ({unit})")
    if len(blocks) > 1:
        for block in blocks[1:]:
            axes.axhline(block.bottom, color=chart.colour("background"), linewidth=2)
        named = sorted(blocks, key=lambda block: block.size_bytes)[-_BLOCKS_NAMED:]
        ink = chart.colour("ink")
        chart.label_ends(axes, [((one.bottom + one.top) / 2, one.name, ink) for one in named])


def _legend(axes: Axes, frame: pd.DataFrame, *, is_within: bool) -> None:
    """Name the colours of what there is."""
    handles = [
        Patch(facecolor=colour, edgecolor=chart.colour("edge"), linewidth=0.5, label=_NAMES[state])
        for state, colour in zip(MAP_STATES, chart.state_colours(), strict=True)
        if frame[f"{state}_bytes"].any()
    ]
    if is_within:
        axes.legend(handles=handles, loc="upper left", fontsize=8, framealpha=0.9)
    else:
        axes.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(MAP_STATES),
            frameon=False, handlelength=1.2, borderaxespad=0.3, columnspacing=1.6,
        )  # fmt: skip
