"""Charts say what they show: axes with IEC units, the trace, the model, what was lost."""

from __future__ import annotations

import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from tests.synthetic import TWO_BLOCKS, started, write_off, write_trace, write_two_blocks
from workbench import plot
from workbench.errors import WriteError
from workbench.measure import (
    measured_over_time,
    measured_pair,
    memory_over_time,
    reclaimed_over_time,
    report_outcomes,
)
from workbench.plot import chart
from workbench.plot import texts as texts_room
from workbench.replay import Guest, replay
from workbench.units import GIB, MIB


@pytest.fixture
def run(tmp_path):
    """Replay a small trace as captured."""
    return replay(write_two_blocks(tmp_path))


def texts(figure):
    """Collect every text of a figure."""
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


def memory_frame(stop_s, largest_bytes, machines=1, lost_events=0):
    """Make a frame like `memory_over_time` gives."""
    part = pd.DataFrame(
        {
            "time_s": [0.0, stop_s / 2, stop_s],
            "resident_bytes": [0, largest_bytes, largest_bytes // 2],
            "swapped_bytes": 0,
        }
    )
    frame = pd.concat([part.assign(vm=vm) for vm in range(machines)], ignore_index=True)
    frame.attrs = {
        "title": "churn",
        "label": "as captured",
        "caption": "trace churn 12345678, model 9abcdef0",
        "lost_events": lost_events,
        "machines": [f"guest{vm}" for vm in range(machines)],
    }
    return frame


def test_predicted_and_measured_are_drawn_and_named(run):
    figure = plot.resident_memory(run)

    assert {"predicted", "measured", "guest RAM in memory (MiB)"} <= set(texts(figure))
    assert "Resident memory, predicted and measured" in texts(figure)
    assert len(figure.axes[0].lines) == 2


def test_the_caption_names_trace_and_model(run):
    caption = f"trace two-blocks {run.trace.digest[:8]}, model {run.lineage['model'][:8]}"

    assert caption in texts(plot.resident_memory(run))


def test_a_what_if_is_laid_over_what_was_captured(run):
    figure = plot.resident_memory(run, replay(run.trace, guest=Guest(poison_val=0xAAAAAAAA)))

    assert {"as captured", "poison_val 0xaaaaaaaa", "measured"} <= set(texts(figure))


def test_beside_a_what_if_alone_it_is_said_when_that_was_measured(run):
    figure = plot.resident_memory(replay(run.trace, guest=Guest(poison_val=0xAAAAAAAA)))

    assert "measured as captured" in texts(figure)


def test_a_frame_serves_as_well_as_a_run(run):
    frame, measured = memory_over_time(run), measured_over_time(run.trace)

    assert texts(plot.resident_memory(frame, measured=measured)) == texts(plot.resident_memory(run))


@pytest.mark.parametrize(
    ("stop_s", "largest_bytes", "time_label", "byte_label"),
    [
        (10, 512 * MIB, "time since the capture began (s)", "guest RAM in memory (MiB)"),
        (600, 32 * GIB, "time since the capture began (min)", "guest RAM in memory (GiB)"),
        (0.5, 64 << 10, "time since the capture began (s)", "guest RAM in memory (KiB)"),
        (86_400, 0, "time since the capture began (min)", "guest RAM in memory (KiB)"),
        (300_000, 0, "time since the capture began (h)", "guest RAM in memory (KiB)"),
        (1_000_000, 0, "time since the capture began (d)", "guest RAM in memory (KiB)"),
    ],
)
def test_axes_have_units_that_fit_and_few_round_ticks(
    stop_s, largest_bytes, time_label, byte_label
):
    figure = plot.resident_memory(memory_frame(stop_s, largest_bytes))
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]

    assert (axes.get_xlabel(), axes.get_ylabel()) == (time_label, byte_label)
    assert 2 <= len(ticks) <= 8
    assert len([tick for tick in axes.get_xticks() if tick <= axes.get_xlim()[1]]) <= 12
    assert axes.get_xlim() == (0, stop_s)


def test_each_machine_has_its_panel(tmp_path):
    trace = write_trace(
        tmp_path / "two.trace", TWO_BLOCKS, machines=[started("left"), started("right")]
    )
    figure = plot.resident_memory(replay(trace))

    assert len(figure.axes) == 2
    assert {"left", "right"} <= set(texts(figure))


def test_axes_of_the_caller_show_all_machines_together():
    figure = Figure()
    axes = figure.subplots()

    assert plot.resident_memory(memory_frame(10, 256 * MIB, machines=2), ax=axes) is figure
    assert axes.get_lines()[0].get_ydata().max() == 512 * MIB
    assert "trace churn" in " ".join(texts(figure))


@pytest.mark.parametrize(("lost_events", "shown"), [(0, 0), (12, 1)])
def test_lost_events_have_a_banner(lost_events, shown):
    figure = plot.resident_memory(memory_frame(10, 256 * MIB, lost_events=lost_events))

    assert sum("12 events lost" in text for text in texts(figure)) == shown


def test_a_long_run_is_thinned_but_keeps_its_peak():
    frame = memory_frame(10, 256 * MIB)
    times = np.linspace(0, 10, 100_000)
    long = pd.DataFrame({"time_s": times, "vm": 0, "resident_bytes": MIB, "swapped_bytes": 0})
    long.loc[54_321, "resident_bytes"] = 200 * MIB
    long.attrs = frame.attrs
    (line,) = plot.resident_memory(long).axes[0].get_lines()

    assert line.get_ydata().max() == 200 * MIB
    assert len(line.get_ydata()) <= 4000


def test_memory_reclaimed_says_how_much_and_of_what(tmp_path):
    frame = reclaimed_over_time(write_two_blocks(tmp_path), write_off(tmp_path))
    shown = texts(plot.memory_reclaimed(frame))

    assert "Memory reclaimed: 755 KiB on average, 22 % of reporting off" in shown
    assert {"reporting on", "reporting off"} <= set(shown)
    assert "measured pair: two-blocks and two-blocks-off, one live run each" in shown


def test_io_avoided_writes_the_counts_on_the_bars(tmp_path):
    frame = measured_pair(write_two_blocks(tmp_path), write_off(tmp_path)).set_index("metric")
    pages = {"measured_swap_out_pages": (39_900, 53_300), "measured_swap_in_pages": (2_400, 6_200)}
    for metric, (on, off) in pages.items():
        frame.loc[metric, ["reporting_on", "reporting_off", "saved"]] = (on, off, off - on)
    shown = texts(plot.io_avoided(frame.reset_index()))

    assert "I/O avoided: 17,200 pages, 29 % of reporting off" in shown
    assert "reporting off: 53,300 pages (208 MiB)" in shown
    assert "reporting on: 2,400 pages (9.38 MiB)" in shown
    assert "pages of 4 KiB, whole host" in shown


def test_skip_reasons_shows_only_reasons_that_occurred(run):
    poisoned = replay(run.trace, guest=Guest(poison_val=0xAAAAAAAA))
    shown = texts(plot.skip_reasons(report_outcomes(run, poisoned)))

    assert {"discarded", "skipped: poisoned", "skipped: unaligned", "reported ranges"} <= set(shown)
    assert "skipped: inhibited" not in shown
    assert "two-blocks, as captured" in shown


def test_a_run_without_reports_is_named_as_such(tmp_path):
    shown = texts(plot.skip_reasons(report_outcomes(replay(write_off(tmp_path)))))

    assert "no reports" in shown


def test_equal_inputs_give_equal_pictures(run, tmp_path):
    first = plot.save(plot.resident_memory(run), tmp_path / "a.png").read_bytes()
    again = plot.save(plot.resident_memory(run), tmp_path / "b.png").read_bytes()

    assert first[:8] == b"\x89PNG\r\n\x1a\n"
    assert first == again
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["a.png", "b.png"]


def test_charts_show_themselves_in_notebooks_and_leave_matplotlib_alone(run):
    before = dict(mpl.rcParams)
    picture, shown = plot.resident_memory(run)._repr_png_()

    assert picture.startswith(b"\x89PNG")
    width, height = (int.from_bytes(picture[at : at + 4]) for at in (16, 20))
    assert (width, height) == (2 * shown["width"], 2 * shown["height"])
    assert dict(mpl.rcParams) == before


@given(
    values=st.lists(st.floats(0, 100), min_size=1, max_size=5).map(sorted),
    gap=st.floats(0.5, 10),
)
@example(values=[85.0, 100.0, 100.0], gap=10.0)  # Pushed off the edge, a group met the next one.
def test_labels_are_apart_in_order_and_on_the_chart(values, gap):
    places = texts_room.spread(values, gap, 0, 100)

    assert all(after - before >= gap - 1e-6 for before, after in itertools.pairwise(places))
    assert places[0] >= -1e-6
    assert places[-1] <= 100 + 1e-6


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(150.4 * MIB, "150 MiB"), (1.5 * GIB, "1.50 GiB"), (-24.22 * MIB, "-24.2 MiB"), (0, "0 KiB")],
)
def test_measured_sizes_are_written_with_three_digits(size_bytes, text):
    assert chart.round_bytes(size_bytes) == text


def test_a_chart_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    path = tmp_path / "x.svg"
    path.mkdir()

    with pytest.raises(WriteError, match="directory"):
        plot.save(plot.resident_memory(replay(write_two_blocks(tmp_path))), path)
    assert not list(tmp_path.glob(".*.partial"))
