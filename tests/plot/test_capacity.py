"""Charts of studies say how many guests fit, and at which risk."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests.plot.drawing import LONG_NAME, quickly, texts
from tests.plot.overlap import assert_legible
from workbench import plot
from workbench.errors import UsageError
from workbench.plot.themes import THEMES
from workbench.units import GIB

CAPTION = "study spring 1a2b3c4d, model 9abcdef0, seeds 1, 2"


def names_of(count):
    """Name so many things that are compared."""
    named = ["without reporting", "order 9, delay 2 s"]
    return [*named, *(f"order {n}, delay 250 ms, capacity 4,096" for n in range(20))][:count]


def attributes(hosts, title="spring"):
    """Give what frames of a study carry."""
    return {
        "title": title,
        "caption": CAPTION,
        "lost_events": 0,
        "share_of_time": 0.99,
        "hosts": hosts,
    }


def risk_frame(fits_by_host, title="spring"):
    """Make a frame in which as many guests fit as are given, and half of the time two more do."""
    rows = [
        (host, label, guests, max(0, guests - fits) / 4, guests <= fits)
        for host, fits_of_each in fits_by_host.items()
        for label, fits in zip(names_of(len(fits_of_each)), fits_of_each, strict=True)
        for guests in range(1, fits + 5)
    ]
    frame = pd.DataFrame(rows, columns=["host", "label", "guests", "over_share", "fits"])
    frame["page_cache_given_back"] = frame["label"].str.contains("page cache")
    frame.attrs = attributes(dict.fromkeys(fits_by_host, 64 * GIB), title)
    return frame


def memory_frame(*needs_bytes, hosts):
    """Make a frame of guests that need so much at most, and half of it on average."""
    rows = [
        (label, n, n * need // 2, n * need * 95 // 100, n * need * 99 // 100, n * need)
        for label, need in zip(names_of(len(needs_bytes)), needs_bytes, strict=True)
        for n in range(1, 40)
    ]
    sizes = [f"{name}_bytes" for name in ("mean", "p95", "p99", "peak")]
    frame = pd.DataFrame(rows, columns=["label", "guests", *sizes])
    frame["page_cache_given_back"] = frame["label"].str.contains("page cache")
    frame.attrs = attributes(hosts)
    return frame


@pytest.mark.parametrize("own_axes", [False, True])
def test_it_says_how_many_fit_with_the_first_and_with_the_best(own_axes):
    axes = Figure().subplots() if own_axes else None
    figure = plot.guests_against_risk(risk_frame({"64 GiB": [13, 18, 16]}), ax=axes)
    said = " ".join(texts(figure))

    assert "64 GiB takes 13 without reporting, 18 with order 9, delay 2 s" in said
    assert "limit 1 % of the time" in said
    assert {"13 fit", "18 fit"} <= set(texts(figure))
    assert "16 fit" not in said
    assert CAPTION in said


def test_the_numbers_that_fit_stand_where_the_lines_are():
    figure = plot.guests_against_risk(risk_frame({"64 GiB": [13, 18]}))
    dots = [line.get_xydata().tolist() for line in figure.axes[0].lines if line.get_marker() == "o"]

    assert dots == [[[13, 0]], [[18, 0]]]


def test_what_is_always_short_stays_so_up_to_the_edge_and_what_is_not_ends():
    frame = risk_frame({"64 GiB": [3, 30, 12]})
    is_counted = (frame["label"] != names_of(3)[2]) | (frame["guests"] < 15)
    attrs = frame.attrs
    frame = frame[is_counted]
    frame.attrs = attrs
    (axes,) = plot.guests_against_risk(frame).axes
    ends = {line.get_label(): line.get_xydata()[-1].tolist() for line in axes.lines}
    edge = axes.get_xlim()[1]

    for label in names_of(2):
        guests, risk = ends[label]
        assert guests > edge
        assert risk == 1
    assert ends[names_of(3)[2]] == [14, 0.5]


def test_a_host_says_what_it_has_for_guests_where_its_name_does_not():
    hosts = {"64 GiB": 62 * GIB, "128 GiB": 128 * GIB, "2.00 TiB": 2048 * GIB}
    said = texts(plot.memory_of_many(memory_frame(4 * GIB, 3 * GIB, hosts=hosts)))

    assert {"64 GiB, 62.0 GiB for guests", "128 GiB"} <= set(said)


def test_a_host_on_which_no_guest_fits_is_drawn_too():
    figure = plot.guests_against_risk(risk_frame({"1 GiB": [0, 0]}))

    assert "none fits" in texts(figure)
    assert_legible(figure)


def test_of_many_only_the_first_and_the_best_are_named():
    fits = [13, *range(14, 33)]
    figure = quickly(lambda: plot.guests_against_risk(risk_frame({"64 GiB": fits})))
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]

    assert legend == [names_of(20)[0], names_of(20)[-1], "18 others"]
    assert {"13 fit", "32 fit"} <= set(texts(figure))


def test_what_no_setting_does_is_drawn_and_is_not_the_best():
    frame = risk_frame({"64 GiB": [13, 18, 30]})
    third = frame["label"] == names_of(3)[2]
    frame.loc[third, "label"] = "order 9, delay 2 s, page cache given back"
    frame.loc[third, "page_cache_given_back"] = True
    figure = plot.guests_against_risk(frame)
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]

    assert {"13 fit", "18 fit"} <= set(texts(figure))
    assert "30 fit" not in texts(figure)
    assert legend[-1] == "order 9, delay 2 s, page cache given back"


def test_hosts_have_panels_and_beyond_four_it_is_said_how_many_are_missing():
    hosts = {f"{size} GiB": [size // 5, size // 3] for size in (64, 96, 128, 192, 256)}
    figure = plot.guests_against_risk(risk_frame(hosts))

    assert len(figure.axes) == 4
    assert "the first 4 of 5 hosts" in " ".join(texts(figure))
    assert {"64 GiB", "192 GiB"} <= set(texts(figure))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("count", [1, 3, 20])
def test_charts_are_legible_whatever_they_show(theme, count):
    fits = [13, *range(32, 32 - count, -1)][:count]
    hosts = {LONG_NAME: 64 * GIB, f"{LONG_NAME}-2": 65 * GIB}
    with plot.theme(theme):
        assert_legible(plot.guests_against_risk(risk_frame(dict.fromkeys(hosts, fits), LONG_NAME)))
        needs = [GIB * need // 8 for need in range(20, 20 - count, -1)]
        assert_legible(plot.memory_of_many(memory_frame(*needs, hosts=hosts)))


def test_memory_of_many_is_of_the_first_and_of_what_needs_least():
    frame = memory_frame(4 * GIB, 3 * GIB, 2 * GIB, hosts={"a": 64 * GIB, "b": 32 * GIB})
    figure = plot.memory_of_many(frame)
    (axes,) = figure.axes
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    ends = {line.get_ydata()[-1] for line in axes.lines if len(line.get_ydata()) > 2}

    assert legend == [names_of(3)[0], names_of(3)[2]]
    # Thick and thin, of the 39th guest.
    assert ends == {39 * need * GIB * share // 100 for need in (4, 2) for share in (95, 99)}
    assert {"a, 64.0 GiB for guests", "b, 32.0 GiB for guests", "needed together (GiB)"} <= set(
        texts(figure)
    )


@pytest.mark.parametrize("draw", [plot.guests_against_risk, plot.memory_of_many])
def test_another_frame_is_answered_with_where_the_right_one_is(draw):
    with pytest.raises(UsageError, match=r"takes a frame of wb\.plan\(study\)\."):
        draw(pd.DataFrame({"x": [1]}))


def test_dollars_in_names_are_no_formulas():
    figure = plot.guests_against_risk(risk_frame({"$\\frac{": [1, 2]}))

    assert any("$\\frac{" in text for text in texts(figure))
    assert isinstance(figure, mpl.figure.Figure)
