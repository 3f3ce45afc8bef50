"""Themes: readable on their page, kept by the chart, told apart without colour in print."""

from __future__ import annotations

import itertools
import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from tests.plot.overlap import assert_legible
from tests.plot.test_charts import memory_frame
from workbench import plot
from workbench.errors import UsageError
from workbench.plot import chart
from workbench.plot.themes import THEMES
from workbench.units import MIB


def luminance(colour):
    """Give the relative luminance of a colour (WCAG 2.2, "relative luminance")."""
    return float(np.dot([0.2126, 0.7152, 0.0722], linear_rgb(colour)))


def linear_rgb(colour):
    """Give the light of a colour (IEC 61966-2-1, sRGB)."""
    parts = np.array(to_rgb(colour))
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(colour, other):
    """Give the contrast ratio of two colours (WCAG 2.2, "contrast ratio")."""
    light, dark = sorted((luminance(colour), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_the_recommendation():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", THEMES)
def test_every_line_stands_out_and_every_text_is_readable(name):
    with plot.theme(name):
        background = chart.colour("background")
        for index in range(5):
            assert contrast(chart.run_style(index)["color"], background) >= 3
        for text in ("ink", "quiet"):
            assert contrast(chart.colour(text), background) >= 4.5


def test_on_a_dark_page_every_colour_stands_out():
    dark = THEMES["dark"]
    for name in ("blue", "vermilion", "green", "orange", "purple", "sky", "measured"):
        assert contrast(getattr(dark, name), dark.background) >= 3


def test_in_print_lines_and_areas_are_told_apart_without_colour():
    with plot.theme("print"):
        styles = [chart.run_style(index)["linestyle"] for index in range(5)]
        hatches = [chart.hatch(index) for index in range(6)]

    assert all(one != other for one, other in itertools.combinations(styles, 2))
    assert all(one != other for one, other in itertools.combinations(hatches, 2))
    assert [chart.hatch(index) for index in range(6)] == [""] * 6


# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency" (2009), table 1, severity 1.0; of linear RGB.
SEEN_BY = {
    "most": np.eye(3),
    "protanopes": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopes": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopes": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    "nobody, in grey": [[0.2126, 0.7152, 0.0722]] * 3,
}


def lab(colour, seen_by):
    """Give a colour as CIE 1976 L*a*b* (white D65), as somebody sees it."""
    linear = np.clip(np.asarray(SEEN_BY[seen_by]) @ linear_rgb(colour), 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    parts = to_xyz @ linear / [0.9505, 1, 1.089]
    x, y, z = np.where(parts > (6 / 29) ** 3, np.cbrt(parts), parts * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(colour, other, seen_by):
    """Say how far apart two colours are seen: 2.3 is just noticed."""
    return float(np.linalg.norm(lab(colour, seen_by) - lab(other, seen_by)))


def test_distance_is_that_of_the_definition():
    assert distance("#000000", "#ffffff", "most") == pytest.approx(100, abs=0.1)
    assert distance("#ff0000", "#00ff00", "most") == pytest.approx(170.6, abs=0.5)
    assert distance("#ff0000", "#4c7f00", "nobody, in grey") < 15


@pytest.mark.parametrize(
    ("name", "seen_by"),
    [*itertools.product(THEMES, list(SEEN_BY)[:4]), ("print", "nobody, in grey")],
)
def test_states_of_pages_are_told_apart_by_everybody(name, seen_by):
    for one, other in itertools.combinations(THEMES[name].states, 2):
        assert distance(one, other, seen_by) >= 12, (one, other)


@pytest.mark.parametrize("seen_by", list(SEEN_BY)[:4])
@pytest.mark.parametrize("name", THEMES)
def test_lines_are_told_apart_by_everybody(name, seen_by):
    with plot.theme(name):
        colours = [chart.run_style(index)["color"] for index in range(5)]

    for one, other in itertools.combinations(colours, 2):
        assert distance(one, other, seen_by) >= 10, (one, other)


@pytest.mark.parametrize(
    ("name", "close"), [("darkk", "dark"), ("Light", "light"), ("paper print", "print")]
)
def test_a_theme_that_does_not_exist_is_answered_with_the_closest(name, close):
    with pytest.raises(UsageError, match=f"did you mean '{close}'"), plot.theme(name):
        pass


def test_a_chart_keeps_the_theme_it_was_drawn_in(tmp_path):
    with plot.theme("dark"):
        figure = plot.resident_memory(memory_frame(10, 256 * MIB))
        inside = plot.save(figure, tmp_path / "inside.png").read_bytes()
    outside = plot.save(figure, tmp_path / "outside.png").read_bytes()
    with plot.theme("print"):
        elsewhere = plot.save(figure, tmp_path / "elsewhere.png").read_bytes()

    assert inside == outside == elsewhere
    assert to_hex(figure.get_facecolor()) == THEMES["dark"].background
    labels = [label.get_color() for label in figure.axes[0].get_xticklabels()]
    assert set(labels) == {THEMES["dark"].quiet}


def test_themes_nest_and_leave_matplotlib_as_it_was():
    before = dict(mpl.rcParams)
    with plot.theme("dark"):
        with plot.theme("print"):
            assert chart.colour("ink") == THEMES["print"].ink
        assert chart.colour("ink") == THEMES["dark"].ink
        assert to_hex(Figure().get_facecolor()) == THEMES["dark"].background

    assert chart.colour("ink") == THEMES["light"].ink
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("suffix", [".png", ".svg"])
@pytest.mark.parametrize("name", THEMES)
def test_equal_charts_give_equal_files(name, suffix, tmp_path):
    paths = [tmp_path / f"{copy}{suffix}" for copy in "ab"]
    for path in paths:
        with plot.theme(name):
            figure = plot.resident_memory(memory_frame(10, 256 * MIB))
        assert plot.save(figure, path) == path

    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == paths


def test_an_svg_holds_its_text_as_text_and_neither_date_nor_version(tmp_path):
    path = plot.save(plot.resident_memory(memory_frame(10, 256 * MIB)), str(tmp_path / "a.svg"))
    svg = path.read_text()

    assert ">trace churn 12345678, model 9abcdef0</text>" in svg
    assert "dc:date" not in svg
    assert mpl.__version__ not in svg
    assert not re.search(r'href="(?!#|data:|http://www.w3.org)', svg)


@pytest.mark.parametrize("name", ["chart.pdf", "chart", "chart.svgz"])
def test_other_suffixes_are_refused_naming_both(name, tmp_path):
    with pytest.raises(UsageError, match=r"\.png or \.svg") as refused:
        plot.save(plot.resident_memory(memory_frame(10, 256 * MIB)), tmp_path / name)

    assert str(tmp_path / name) in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_overlapping_and_cut_texts_are_found():
    figure = Figure()
    figure.text(0.5, 0.5, "one")
    assert_legible(figure)
    figure.text(0.5, 0.51, "other")
    with pytest.raises(AssertionError, match="overlap"):
        assert_legible(figure)

    figure = Figure()
    figure.text(0.99, 0.5, "sticks out")
    with pytest.raises(AssertionError, match="cut off"):
        assert_legible(figure)
