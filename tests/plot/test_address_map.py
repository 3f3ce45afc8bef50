"""The address map shows each cell as the frame has it, named and readable."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from tests.plot.overlap import assert_legible, written
from tests.synthetic import REPORTED, trace
from workbench import plot
from workbench.measure import MAP_STATES, address_map_frame
from workbench.plot.themes import THEMES
from workbench.replay import replay
from workbench.units import GIB, MIB

LONG = "a-guest-of-which-the-name-is-" + "very-" * 5 + "long-01"


def map_frame(shares, *, blocks=(("pc.ram", 8 * MIB),), cells=4, stop_s=10.0, **attributes):
    """Make a frame like `address_map_frame` gives.

    Parameters
    ----------
    shares
        Of each state, for each slice of time: the same in all cells.
    """
    rows = []
    for number, slice_shares in enumerate(shares):
        for block, (_, size_bytes) in enumerate(blocks):
            for cell in range(cells):
                length_bytes = size_bytes // cells
                place = {
                    "time_s": stop_s * (number + 1) / len(shares),
                    "ram_block": block,
                    "offset_bytes": cell * length_bytes,
                    "length_bytes": length_bytes,
                }
                parts = zip(MAP_STATES, slice_shares, strict=True)
                rows.append(
                    place | {f"{name}_bytes": int(part * length_bytes) for name, part in parts}
                )
    frame = pd.DataFrame(rows)
    frame.attrs = {
        "title": "churn",
        "label": "as captured",
        "caption": "trace churn 12345678, model 9abcdef0",
        "lost_events": 0,
        "machines": ["guest0"],
        "machine": "guest0",
        "ram_blocks": [name for name, _ in blocks],
        **attributes,
    }
    return frame


def picture(figure):
    """Give the map's colours, from the lowest address up.  Shape (cell, slice, 3)."""
    (image,) = figure.axes[0].images
    return np.asarray(image._A)[:, :, :3]


def as_bytes(colour):
    return [round(255 * part) for part in to_rgb(colour)]


ALL = np.eye(len(MAP_STATES))


@pytest.mark.parametrize("theme", THEMES)
def test_a_cell_of_one_state_has_its_colour_and_the_legend_says_so(theme):
    with plot.theme(theme):
        figure = plot.address_map(map_frame(ALL))
    colours = [as_bytes(colour) for colour in THEMES[theme].states]

    assert picture(figure).tolist() == [colours] * 4
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [
        "held", "reported, but kept", "discarded", "in swap", "never backed",
    ]  # fmt: skip
    patches = [as_bytes(patch.get_facecolor()) for patch in legend.get_patches()]
    assert patches == colours


def test_a_cell_of_two_states_is_mixed_of_them_as_much_as_there_is_of_each():
    figure = plot.address_map(map_frame([[0.25, 0, 0.75, 0, 0], [0, 0, 0, 0, 0]]))
    held, discarded = (np.array(as_bytes(THEMES["light"].states[state])) for state in (0, 2))

    assert np.abs(picture(figure)[0, 0] - (held + 3.0 * discarded) / 4).max() <= 1
    assert picture(figure)[0, 1].tolist() == as_bytes(THEMES["light"].background)
    assert {"held", "discarded"} <= {text for text, _ in written(figure)}
    assert "in swap" not in {text for text, _ in written(figure)}


def test_a_map_of_a_replay_shows_what_its_frame_says():
    frame = address_map_frame(replay(trace(REPORTED)), time_bins=20, address_bins=4)
    figure = plot.address_map(frame)
    colours = np.array([to_rgb(colour) for colour in THEMES["light"].states])
    shares = frame[[f"{state}_bytes" for state in MAP_STATES]].to_numpy() / (2 * MIB)
    expected = (255 * shares @ colours).reshape(20, 4, 3).transpose(1, 0, 2)

    assert np.abs(picture(figure) - expected).max() <= 0.5 + 1e-9
    assert len(np.unique(picture(figure).reshape(-1, 3), axis=0)) > 1
    assert figure.axes[0].images[0].get_extent() == (0, 10, 0, 1)
    assert "offset in pc.ram (MiB)" in {text for text, _ in written(figure)}


def test_blocks_lie_above_each_other_by_their_size_and_are_named():
    blocks = (("ram-node0", 3 * GIB), ("ram-node1", GIB), ("bios", 256 << 10))
    figure = plot.address_map(map_frame(ALL, blocks=blocks))
    shown = {text: (box.y0 + box.y1) / 2 for text, box in written(figure)}
    edges = figure.axes[0].images[0]._Ay

    assert shown["ram-node0"] < shown["ram-node1"] < shown["bios"]
    assert edges[4] == pytest.approx(0.75 / 1.05, rel=1e-4)
    assert 1 - edges[8] == pytest.approx(0.05 / 1.05, rel=1e-4)
    assert "offset in the RAM block (GiB)" in shown
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels.count("0") == 3


@pytest.mark.parametrize("theme", ["light", "print"])
@pytest.mark.parametrize(
    "frame",
    [
        map_frame(ALL, machine=LONG, title="x" * 200, label="y" * 200, lost_events=1_234_567),
        map_frame(ALL, blocks=[(f"{LONG}-{one}", GIB) for one in range(2)]),
        map_frame(ALL, blocks=[(f"dimm{one}", (one + 1) * GIB) for one in range(40)], cells=1),
        map_frame(ALL, blocks=[("pc.ram", 4096)], cells=1, stop_s=0.0),
        map_frame(ALL[:1], blocks=[("pc.ram", 1 << 40)], stop_s=1e6),
    ],
    ids=["long names, lost events", "two nodes", "40 blocks", "one page", "a terabyte"],
)
def test_nothing_overlaps_or_is_cut_off(frame, theme):
    with plot.theme(theme):
        assert_legible(plot.address_map(frame))


def test_axes_of_the_caller_are_drawn_on():
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()

    assert plot.address_map(map_frame(ALL), ax=axes) is figure
    assert len(axes.images) == 1
    assert "trace churn 12345678" in " ".join(text for text, _ in written(figure))
    assert_legible(figure)


def test_the_largest_map_is_drawn_in_under_two_seconds():
    shares = np.random.default_rng(1).dirichlet(np.ones(len(MAP_STATES)), 600)
    frame = map_frame(shares, cells=300, blocks=[("pc.ram", 300 * 2 * MIB)])
    started = time.process_time()
    plot.address_map(frame).canvas.draw()

    assert time.process_time() - started < 2
