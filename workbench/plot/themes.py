"""The colours of charts: for light pages, for dark pages, and for paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """What a chart is drawn in.

    Attributes
    ----------
    background, ink, quiet
        Of the page; of what is read first; of what is read second.
    edge, grid
        Of axes, and of the lines behind what is drawn.
    measured
        Of what no model made.
    blue, vermilion, green, orange, purple, sky
        Told apart with any colour vision.
    runs
        Names of the colours of lines, in order.
    states
        Of pages that are held, reported but kept, discarded, in swap, never backed; in print told
        apart in grey too.
    line_styles
        Of lines in the same order: where there is more than one, they differ without colour too.
    hatches
        Of areas, likewise.
    """

    background: str
    ink: str
    quiet: str
    edge: str
    grid: str
    measured: str
    blue: str
    vermilion: str
    green: str
    orange: str
    purple: str
    sky: str
    states: tuple[str, ...]
    runs: tuple[str, ...] = ("blue", "vermilion", "green", "purple", "ink")
    line_styles: tuple[Any, ...] = ("-",)
    hatches: tuple[str, ...] = ("",)

    def settings(self) -> dict[Any, Any]:
        """Give matplotlib's settings for this theme."""
        return {
            "font.size": 10,
            "figure.facecolor": self.background,
            "figure.dpi": 110,
            "savefig.dpi": 150,
            "axes.facecolor": self.background,
            "axes.edgecolor": self.edge,
            "axes.labelcolor": self.ink,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.axisbelow": True,
            "axes.titlelocation": "left",
            "grid.color": self.grid,
            "hatch.color": self.background,
            "xtick.color": self.quiet,
            "ytick.color": self.quiet,
            "text.color": self.ink,
            # A guest may have dollars in its name: no text of a chart is a formula.
            "text.parse_math": False,
            # Hinted letters are wider or narrower at other resolutions: what fits on a page would
            # be cut off in a file.
            "text.hinting": "none",
            # Text of an SVG stays text: it can be searched, and the fonts that stand in for
            # matplotlib's are as wide (Verdana) or narrower.
            "svg.fonttype": "none",
            "svg.hashsalt": "balloon-workbench",
        }


# Okabe and Ito's palette, "Color Universal Design" (2008): told apart with any colour vision.
_LIGHT: Final = Theme(
    background="#ffffff",
    ink="#222222",
    quiet="#6b6b6b",
    edge="#9a9a9a",
    grid="#e6e6e6",
    measured="#b0b0b0",
    blue="#0072B2",
    vermilion="#D55E00",
    green="#009E73",
    orange="#E69F00",
    purple="#CC79A7",
    sky="#56B4E9",
    states=("#0072B2", "#D55E00", "#A6D5F2", "#E69F00", "#EDEDED"),
)

# The same hues, lighter: on a dark page the palette's own blue and green are hard to see.
_DARK: Final = Theme(
    background="#14181d",
    ink="#e8eaed",
    quiet="#a2a9b1",
    edge="#6a727b",
    grid="#2b3138",
    measured="#666c74",
    blue="#5AB2F2",
    vermilion="#F0793A",
    green="#26BF94",
    orange="#F2BD4A",
    purple="#DF9CC1",
    sky="#9AD5F8",
    states=("#3E9BDC", "#F0793A", "#1F4E72", "#F2BD4A", "#252A31"),
)

# Black on white, and what colour tells, strokes and hatches tell as well.
_PRINT: Final = Theme(
    background="#ffffff",
    ink="#000000",
    quiet="#444444",
    edge="#555555",
    grid="#dddddd",
    measured="#a6a6a6",
    blue="#00598C",
    vermilion="#C45500",
    green="#00835F",
    orange="#E69F00",
    purple="#B65F90",
    sky="#56B4E9",
    states=("#0B3C5D", "#B04A00", "#AED3EB", "#D99A1C", "#F7F7F7"),
    line_styles=("-", (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.5, 1.2, 1.5)), (0, (9, 2.5))),
    hatches=("", "////", "....", "\\\\\\\\", "xxxx", "oo", "++++"),
)

THEMES: Final = {"light": _LIGHT, "dark": _DARK, "print": _PRINT}
