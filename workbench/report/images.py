"""Charts as pictures that stand in the page itself."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.plot import save, theme
from workbench.report.document import Figure, Image
from workbench.report.text import name_text

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

_TEXTS: Final = ["label", "host", "setting", "values"]
"""Columns of frames that hold names."""

SVG_BYTES_MAX: Final = 160_000
"""Of a chart as SVG, sharp at any size: a larger one, a map for example, is smaller as PNG."""


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Give a frame whose texts a picture can hold: what names a run or a guest may be anything."""
    shown = frame.copy(deep=False)
    shown.attrs = {name: _plain(value) for name, value in frame.attrs.items()}
    for name in frame.columns.intersection(_TEXTS):
        shown[name] = [_plain(text) for text in frame[name]]
    return shown


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a frame says of itself.
    if isinstance(value, str):
        return name_text(value)
    if isinstance(value, dict):
        return {_plain(name): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def figure_of(key: str, *, caption: str, alt: str, draw: Callable[[], Any]) -> Figure:
    """Draw a chart for a light page (and paper), and for a dark one.

    Parameters
    ----------
    draw
        Draws it in the theme that is current: a function of `workbench.plot` with its frame.
    """
    images = []
    for name in ("light", "dark"):
        with theme(name):
            images.append(_image(draw))
    light, dark = images
    return Figure(key=key, caption=caption, alt=alt, light=light, dark=dark)


def _image(draw: Callable[[], Any]) -> Image:
    drawn = draw()
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        svg = save(drawn, Path(folder) / "chart.svg").read_bytes()
        if len(svg) <= SVG_BYTES_MAX:
            return Image(media_type="image/svg+xml", content=svg)
        png = save(drawn, Path(folder) / "chart.png").read_bytes()
        return Image(media_type="image/png", content=png)
