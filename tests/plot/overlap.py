"""What is written on a chart, where it lands when it is drawn: nothing overlaps or is cut off."""

from __future__ import annotations

import itertools
from unittest.mock import patch

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

_TOUCHING_PIXELS = 0.75
"""Boxes are larger than their glyphs; that far into each other, two texts do not touch."""


def written(figure):
    """Draw the figure, and give each text on it with its box in pixels.

    What matplotlib makes and then leaves out, such as ticks beyond the axis, is not among them.
    """
    drawn = {}
    draw = Text.draw

    def recorded(text, renderer):
        if text.get_visible() and text.get_text().strip():
            drawn[text] = renderer
        draw(text, renderer)

    with patch.object(Text, "draw", recorded):
        FigureCanvasAgg(figure).draw()
    return [(text.get_text(), _box(text, renderer)) for text, renderer in drawn.items()]


def assert_legible(figure):
    """Say that no two texts of the figure overlap, and that none leaves it."""
    texts = written(figure)
    assert texts, "nothing is written on this figure"
    for text, box in texts:
        edges = (
            -box.x0,
            -box.y0,
            box.x1 - figure.bbox.x1,
            box.y1 - figure.bbox.y1,
        )
        assert max(edges) <= _TOUCHING_PIXELS, f"{text!r} is cut off by {max(edges):.1f} pixels"
    for (text, box), (other, other_box) in itertools.combinations(texts, 2):
        width = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
        height = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
        assert min(width, height) <= _TOUCHING_PIXELS, (
            f"{text!r} and {other!r} overlap by {width:.1f} x {height:.1f} pixels"
        )


def _box(text, renderer):
    patch_around = text.get_bbox_patch()
    if patch_around is not None:
        return patch_around.get_window_extent(renderer)
    # Not the annotation's own, which is also of the line that leads to it.
    return Text.get_window_extent(text, renderer)
