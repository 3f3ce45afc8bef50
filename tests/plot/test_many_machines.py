"""Resident memory of one guest, of a few, of a rack: what is drawn is what the frame says."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests.plot.overlap import assert_legible, written
from workbench import plot
from workbench.errors import UsageError
from workbench.measure import Series, add
from workbench.units import GIB, MIB, NANOSECONDS

LONG = "a-guest-in-a-rack-with-a-name-of-sixty-characters-or-more-{}"


def rack(machines, *, rows=30, seed=0, stop_s=600.0, name=LONG, largest_bytes=GIB, **attributes):
    """Make a frame like `memory_over_time` gives, of so many machines."""
    choose = np.random.default_rng(seed)
    times_s = np.sort(choose.uniform(0, stop_s, (machines, rows)), axis=1)
    times_s[:, 0], times_s[:, -1] = 0, stop_s
    frame = pd.DataFrame(
        {
            "time_s": times_s.reshape(-1),
            "vm": np.repeat(np.arange(machines), rows),
            "resident_bytes": choose.integers(0, largest_bytes, machines * rows, endpoint=True),
            "swapped_bytes": 0,
        }
    )
    frame.attrs = {
        "title": "fleet",
        "label": "as captured",
        "run": "fleet, as captured",
        "caption": "trace fleet 12345678, model 9abcdef0",
        "lost_events": 0,
        "machines": [name.format(vm) for vm in range(machines)],
        **attributes,
    }
    return frame


def measured(frame):
    return frame.iloc[::3].rename(columns={"resident_bytes": "measured_resident_bytes"})


def of_machine(frame, vm):
    rows = frame[frame["vm"] == vm]
    return rows["time_s"].tolist(), rows["resident_bytes"].tolist()


def drawn(line):
    return list(line.get_xdata()), list(line.get_ydata())


def test_a_few_machines_have_a_panel_each():
    frame = rack(6)
    figure = plot.resident_memory(frame)

    assert len(figure.axes) == 6
    for vm, panel in enumerate(figure.axes):
        (line,) = panel.get_lines()
        assert np.allclose(drawn(line), of_machine(frame, vm))


def test_a_rack_is_drawn_small_to_one_scale_below_its_sum():
    frame = rack(20)
    figure = plot.resident_memory(frame)
    above, *small = figure.axes
    (total,) = above.get_lines()
    parts = [
        Series((rows["time_s"] * NANOSECONDS).round().astype("int64").to_numpy(),
               rows["resident_bytes"].to_numpy())
        for _, rows in frame.groupby("vm")
    ]  # fmt: skip

    assert len(small) == 20
    assert len({panel.get_ylim() for panel in small}) == 1
    assert len({panel.get_xlim() for panel in figure.axes}) == 1
    for vm, panel in enumerate(small):
        assert np.allclose(drawn(panel.get_lines()[0]), of_machine(frame, vm))
        name = panel.get_title(loc="left")
        assert name.startswith("a-guest-in")
        assert name.endswith(f"-{vm}")
    assert list(total.get_ydata()) == add(parts).value.tolist()
    assert "all 20 machines together" in {text for text, _ in written(figure)}


def test_what_was_measured_and_every_run_are_in_each_small_panel_and_in_the_legend():
    frame, other = rack(7), rack(7, seed=1, label="free_page_reporting off")
    above, *small = plot.resident_memory(frame, other, measured=measured(frame)).axes

    assert [len(panel.get_lines()) for panel in (above, *small)] == [3] * 8
    names = [text.get_text() for text in above.get_legend().get_texts()]
    assert names == ["measured", "as captured", "free_page_reporting off"]
    handles = above.get_legend().legend_handles
    assert [line.get_color() for line in handles] == [line.get_color() for line in small[0].lines]
    assert np.allclose(drawn(small[3].lines[2]), of_machine(other, 3))


@pytest.mark.parametrize("machines", [2, 7])
def test_a_machine_without_samples_has_no_dots_and_neither_has_the_sum(machines):
    frame = rack(machines)
    dots = measured(frame)
    figure = plot.resident_memory(frame, measured=dots[dots["vm"] != 1])
    lines = [len(panel.get_lines()) for panel in figure.axes]

    assert lines[-machines:] == [2, 1] + [2] * (machines - 2)
    assert lines[:-machines] == [1] * (len(lines) - machines)
    assert_legible(figure)


def test_of_very_many_machines_the_largest_are_drawn_and_that_is_said():
    frame = rack(100, rows=4)
    figure = plot.resident_memory(frame)
    peaks = frame.groupby("vm")["resident_bytes"].max()
    shown = {int(panel.get_title(loc="left").rsplit("-", 1)[1]) for panel in figure.axes[1:]}

    assert shown == set(peaks.nlargest(40).index)
    texts = [text.get_text() for text in figure.texts]
    assert "the 40 largest of 100 machines; fleet: as captured" in texts


@pytest.mark.parametrize("theme", ["light", "print"])
@pytest.mark.parametrize(
    "frames",
    [
        [rack(1, lost_events=1234)],
        [rack(1, largest_bytes=0, rows=2, stop_s=0.0)],
        [rack(1, title="x" * 200, label="y" * 200, caption="z" * 300)],
        [rack(3), rack(3, seed=1, label="free_page_reporting off, and much more besides " * 3)],
        [rack(6, seed=one, label=f"reporting_order {one}") for one in range(5)],
        [rack(20, lost_events=10**9), rack(20, seed=1, label="free_page_reporting off " * 9)],
        [rack(20, stop_s=1e6, largest_bytes=500 * GIB, name="W" * 60)],
        [rack(22, stop_s=290.0, largest_bytes=700 * MIB)],
    ],
    ids=["lost", "nothing", "long", "two of three", "five of six", "two of 20", "huge", "22"],
)
def test_nothing_overlaps_or_is_cut_off(frames, theme):
    with plot.theme(theme):
        assert_legible(plot.resident_memory(*frames, measured=measured(frames[0])))


def test_of_all_machines_on_axes_of_the_caller_nothing_overlaps():
    figure = Figure(figsize=(9, 5), layout="constrained")
    plot.resident_memory(rack(20), ax=figure.subplots())

    assert_legible(figure)


def test_no_run_and_too_many_are_refused():
    with pytest.raises(UsageError, match="6 runs, expected 1 to 5"):
        plot.resident_memory(*[rack(1)] * 6)
    with pytest.raises(UsageError, match="0 runs, expected 1 to 5"):
        plot.resident_memory()


@pytest.mark.parametrize("machines", [1, 20])
def test_a_long_run_is_drawn_in_less_than_two_seconds(machines):
    frame = rack(machines, rows=1_000_000 // machines)
    started = time.process_time()
    plot.resident_memory(frame).canvas.draw()

    assert time.process_time() - started < 2
