"""The chart of reports by size: bars as high as the frame says, for one run and for twenty."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests.plot.drawing import LONG_NAME, quickly, texts
from tests.plot.overlap import assert_legible
from tests.synthetic import write_off, write_two_blocks
from workbench import measure, plot
from workbench.plot.themes import THEMES
from workbench.replay import Guest, replay
from workbench.trace import read_trace
from workbench.units import KIB, MIB

TRACES = Path(__file__).parents[2] / "traces"
OUTCOMES = list(measure.REPORT_OUTCOMES.values())


def frame_of(rows, labels=("made, as captured",)):
    """Make a frame: run, smallest_bytes, outcome, ranges and length_bytes of each row."""
    names = ["run", "smallest_bytes", "outcome", "ranges", "length_bytes"]
    frame = pd.DataFrame(rows, columns=names)
    frame.insert(1, "label", [labels[run] for run in frame["run"]])
    frame.attrs = {
        "title": "made",
        "label": "as captured",
        "caption": "trace made 12345678, model 9abcdef0",
        "lost_events": 0,
        "labels": list(labels),
    }
    return frame


def everything(runs, ranges, length_bytes, outcomes=OUTCOMES):
    """Make a frame in which each run has every size and outcome."""
    sizes = [0, *(4 * KIB << order for order in range(11))]
    return frame_of(
        [
            (run, size, outcome, ranges, length_bytes)
            for run in range(runs)
            for size in sizes
            for outcome in outcomes
        ],
        [f"{LONG_NAME}-{run}, as captured" for run in range(runs)],
    )


def bars(axes):
    """Give place, bottom and height of every bar."""
    boxes = [path.get_extents() for part in axes.collections for path in part.get_paths()]
    return [(round((box.x0 + box.x1) / 2), box.y0, box.height) for box in boxes]


def test_bars_are_as_high_as_the_frame_says():
    frame = frame_of(
        [
            (0, 512 * KIB, "discarded", 3, 2 * MIB),
            (0, 2 * MIB, "discarded", 1, 3 * MIB),
            (0, 2 * MIB, "skipped_poisoned", 2, 5 * MIB),
            (0, 4 * MIB, "discarded", 4, 16 * MIB),
        ]
    )
    in_bytes, in_ranges = plot.report_sizes(frame).axes

    # 512 KiB, 1, 2 and 4 MiB; what was skipped stands on what was discarded.
    assert bars(in_bytes) == [
        (0, 0, 2 * MIB), (2, 0, 3 * MIB), (3, 0, 16 * MIB), (2, 3 * MIB, 5 * MIB),
    ]  # fmt: skip
    assert bars(in_ranges) == [(0, 0, 3), (2, 0, 1), (3, 0, 4), (2, 1, 2)]


@pytest.mark.parametrize(
    ("smallest", "shown"),
    [
        (512 * KIB, ["512\nKiB", "1\nMiB", "2\nMiB", "4\nMiB"]),
        (64 * KIB, ["64\nKiB", "128", "256", "512", "1\nMiB", "2", "4\nMiB"]),
    ],
)
def test_of_few_sizes_each_has_its_unit(smallest, shown):
    figure = plot.report_sizes(frame_of([(0, smallest, "discarded", 1, 4 * MIB)]))

    for panel in figure.axes:
        assert [text.get_text() for text in panel.get_xticklabels()] == shown


def test_the_words_are_those_of_the_frame():
    run = replay(read_trace(TRACES / "churn-poisoned.trace"))
    shown = texts(plot.report_sizes(measure.report_sizes(run)))

    assert "Reports by size: 297 ranges, 1.09 GiB, 0 % of it discarded" in shown
    assert {"skipped: poisoned", "reported (MiB)", "ranges", "churn: as captured"} <= set(shown)
    assert "discarded" not in shown
    assert f"trace churn-poisoned {run.trace.digest[:8]}, model {run.lineage['model'][:8]}" in shown


def test_several_runs_share_a_scale_and_say_what_they_come_to(tmp_path):
    run = replay(write_two_blocks(tmp_path))
    poisoned = replay(run.trace, guest=Guest(poison_val=0xAAAAAAAA))
    off = replay(write_off(tmp_path))
    figure = plot.report_sizes(measure.report_sizes(run, poisoned, off))
    in_bytes, in_ranges = figure.axes

    def heights(axes, bottom):
        return [height for _, low, height in bars(axes) if bottom <= low < bottom + 1]

    # The first run is on top.  Half a page is a 2048th of the highest bar, of two huge pages.
    for bottom in (2, 1):
        assert sorted(heights(in_bytes, bottom)) == pytest.approx([0.86 / 2048, 0.86])
        assert sorted(heights(in_ranges, bottom)) == pytest.approx([0.43, 0.86])
    assert heights(in_bytes, 0) == []
    shown = texts(figure)
    assert {"4.00 MiB", "3", "no reports", "two-blocks-off, as captured"} <= set(shown)
    assert "size of the reported range, at least\nranges; the highest bar: 2" in shown
    assert_legible(figure)


def test_axes_of_the_caller_show_bytes():
    figure = Figure()
    axes = figure.subplots()
    frame = frame_of([(0, 4 * MIB, "discarded", 4, 16 * MIB)])

    assert plot.report_sizes(frame, ax=axes) is figure
    assert bars(axes) == [(3, 0, 16 * MIB)]


@pytest.mark.parametrize(
    "frame",
    [
        frame_of([]),
        frame_of([], [LONG_NAME, "b"]),
        frame_of([(0, 0, "skipped_unaligned", 1, 0)]),
        frame_of([(0, 4 * KIB, "discarded", 1, 4 * KIB)]),
        everything(1, 1, 1),
        everything(1, 10**10, 2**54),
        everything(2, 1, 2**54),
        everything(20, 123_456, 2**40, OUTCOMES[:3]),
    ],
    ids=["none", "none of two", "nothing", "a page", "tiny", "huge", "two", "twenty"],
)
def test_nothing_overlaps_or_is_cut_off_and_nobody_waits(frame):
    assert_legible(quickly(lambda: plot.report_sizes(frame)))


def test_in_print_outcomes_differ_without_colour():
    with plot.theme("print"):
        figure = plot.report_sizes(everything(1, 1, 1))

    hatches = {part.get_hatch() for part in figure.axes[0].collections}
    assert len(hatches) == len(OUTCOMES)


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_is_legible(theme):
    with plot.theme(theme):
        assert_legible(plot.report_sizes(everything(3, 5, MIB)))
