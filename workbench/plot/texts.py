"""Texts find room: long ones are cut in the middle, and labels that collide move apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import UsageError
from workbench.spelling import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.text import Text


def fit(artist: Text, room_inches: float) -> None:
    """Shorten what is written until it is no wider than its place.

    Parameters
    ----------
    artist
        In a figure, upright and of one line.
    """
    text = artist.get_text()
    if width_inches(artist) <= room_inches:
        return
    fits, too_many = 1, len(text)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        artist.set_text(shorten(text, middle))
        if width_inches(artist) <= room_inches:
            fits = middle
        else:
            too_many = middle
    artist.set_text(shorten(text, fits))


def width_inches(artist: Text) -> float:
    """Say how wide a text of a figure will be."""
    figure = artist.get_figure(root=True)
    if figure is None:
        raise UsageError("this text belongs to no figure any more")
    return float(artist.get_window_extent().width) / figure.dpi


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
