"""How runs are put together, summed up and compared."""

from __future__ import annotations

import numpy as np
import pytest

from tests.synthetic import TWO_BLOCKS, event, fault, swap_out, two_block_samples, write_trace
from workbench.errors import UsageError
from workbench.measure import Series, metrics
from workbench.replay import replay
from workbench.schema import Kind
from workbench.trace import read_trace
from workbench.units import MIB, NANOSECONDS
from workbench.validation.validate.bootstrap import Interval
from workbench.validation.validate.figures import (
    DEAD,
    SWAP,
    Figures,
    figures,
    first_of,
    predicted_figures,
    starting_at,
)
from workbench.validation.validate.predictions import (
    Compared,
    compare_figures,
    compare_settings,
    relative_difference,
)
from workbench.validation.validate.setting import Setting, setting_of, settings_to_ask

LAB = {
    "reporting": "True",
    "reporting_order": "0",
    "poison": "none",
    "free_page_hint": "False",
    "memory_limit_bytes": "None",
    "guest_count": "1",
}


def made_by_lab(folder, name, events=TWO_BLOCKS, **settings):
    """A trace as if of the lab."""
    return write_trace(folder / f"{name}.trace", events, lab_settings={**LAB, **settings})


def line(*points, seconds):
    """A step function of seconds and MiB, and its end."""
    times = [time for time, _ in points]
    return Series(
        np.array([*times, seconds], np.int64) * NANOSECONDS,
        np.array([*(value for _, value in points), points[-1][1]], np.int64) * MIB,
    )


def run_of(*points, seconds, peak=8, drain=None, swapped=(0, 0)):
    """The figures of a run."""
    return Figures(
        memory=line(*points, seconds=seconds),
        peak_bytes=peak * MIB,
        drain_seconds=drain,
        swap={
            **dict.fromkeys((*SWAP, *DEAD)),
            "swap_out_pages": float(swapped[0]),
            "swap_in_pages": float(swapped[1]),
        },
    )


def setting(order, poison="none", *, hints=False):
    return Setting(order, poison, hints, None)


def test_a_mean_is_over_the_window_and_byte_seconds_over_the_whole_run():
    """2 MiB for 2 s and 4 MiB for 6 s; within 4 s both for 2 s."""
    values = run_of((0, 2), (2, 4), seconds=8).values(4 * NANOSECONDS)

    assert values["resident_bytes_mean"] == 3 * MIB
    assert values["resident_byte_seconds"] == 28 * MIB
    assert values["resident_bytes_final"] == 4 * MIB


def test_a_series_begins_where_it_is_told_to():
    later = starting_at(line((0, 1), (2, 3), seconds=5), NANOSECONDS)

    assert later.time_ns.tolist() == [0, NANOSECONDS, 4 * NANOSECONDS]
    assert (later.value / MIB).tolist() == [1, 3, 3]
    assert first_of(later, 2 * NANOSECONDS).time_ns.tolist()[-1] == 2 * NANOSECONDS


def test_the_window_begins_at_the_first_marker_or_the_first_event(tmp_path):
    """The trace lasts 10 s; its marker is at 3 s, its first event at 1 s."""
    marked = figures(replay(made_by_lab(tmp_path, "marked")))
    events = [row for row in TWO_BLOCKS if row["kind"] != Kind.MARKER]
    unmarked = figures(replay(made_by_lab(tmp_path, "unmarked", events)))

    assert marked.window_ns == 7 * NANOSECONDS
    assert unmarked.window_ns == 9 * NANOSECONDS
    assert marked.memory.value[0] == 4 * MIB


def test_runs_are_compared_by_their_means_and_swapped_pages_by_the_median():
    """Live: 4 and 6 MiB, 100, 200 and 900 pages.  Predicted: 5.1 MiB on average, 210 pages."""
    live = [run_of((0, size), seconds=4, swapped=(pages, 0)) for size, pages in LIVE]
    predicted = [run_of((0, size), seconds=4, swapped=(210, 0)) for size in (5, 6)]
    simple = {"high_water": [run_of((0, 10), seconds=4)]}
    found = compare_figures(predicted, live, simple, 4 * NANOSECONDS)

    memory, swap = found["resident_bytes_mean"], found["swap_out_pages"]
    assert (memory.predicted / MIB, memory.live / MIB) == (5.5, 5)
    assert memory.difference == pytest.approx(0.1)
    assert memory.baselines == {"high_water": 1.0}
    assert (swap.predicted, swap.live, swap.verdict) == (210, 200, "inside 10 %")
    assert swap.interval == Interval(100, 900)
    assert swap.baselines == {}
    assert "swap_in_pages" not in found
    assert found["drain_seconds"].verdict == "no value"


LIVE = ((4, 100), (5, 200), (6, 900))


@pytest.mark.parametrize(
    ("predicted", "live", "interval", "verdict"),
    [
        (103.0, 100.0, None, "inside 3 %"),
        (104.0, 100.0, None, "outside"),
        (104.0, 100.0, Interval(95.0, 105.0), "inside the interval"),
        (104.0, 100.0, Interval(94.0, 106.0), "interval too wide"),
        (107.0, 100.0, Interval(94.0, 106.0), "outside"),
        (0.0, 0.0, None, "inside 3 %"),
        (1.0, 0.0, None, "outside"),
        (None, 100.0, None, "no value"),
        (1.0, None, None, "no value"),
    ],
)
def test_a_verdict_is_by_the_tolerance_and_else_by_the_live_runs(
    predicted, live, interval, verdict
):
    compared = Compared(predicted=predicted, live=live, interval=interval, tolerance=0.03)

    assert compared.verdict == verdict


def test_a_difference_from_nothing_has_no_ratio():
    assert relative_difference(1.0, 0.0) is None
    assert relative_difference(None, 5.0) is None


@pytest.mark.parametrize(
    ("captured", "asked", "changed"),
    [
        (setting(0), setting(9), {"guest.reporting_order": 9}),
        (setting(0), setting(None), {"device.free_page_reporting": False}),
        (setting(None), setting(5), {"device.free_page_reporting": True}),
        (setting(0, hints=True), setting(0), {"device.free_page_hint": False}),
        (setting(9, "init_on_free"), setting(9, "170"), {"guest.poison_val": 170}),
        (setting(9, "170"), setting(9, "init_on_free"), {"guest.poison_val": 0}),
    ],
)
def test_a_difference_is_asked_by_its_setting(captured, asked, changed):
    assert settings_to_ask(captured, asked).changed == changed


def test_another_memory_limit_is_listed_with_the_reason(tmp_path):
    captured = made_by_lab(tmp_path, "captured", memory_limit_bytes=str(260 * MIB))
    limit = str(300 * MIB)
    live = made_by_lab(tmp_path, "live", memory_limit_bytes=limit, reporting_order="5")
    reasons = [reason for found in compare_settings([captured, live]) for reason in found.reasons]

    assert reasons
    assert all("under another memory limit" in reason for reason in reasons)


def test_a_setting_has_a_name(tmp_path):
    trace = made_by_lab(
        tmp_path, "named", poison="170", memory_limit_bytes=str(260 * MIB), free_page_hint="True"
    )
    workload, found = setting_of(trace)

    assert found.label == "order 0, poison_val 0xaa, hinting, limit 260.00 MiB"
    assert workload.label == "two-blocks"
    _, off = setting_of(made_by_lab(tmp_path, "off", reporting="False"))
    _, usual = setting_of(made_by_lab(tmp_path, "usual", reporting_order="None"))
    assert (off.label, usual.label) == ("off", "order 9")


def test_a_trace_that_the_lab_did_not_make_has_no_setting(tmp_path):
    with pytest.raises(UsageError, match="names no scenario and no settings of the lab"):
        setting_of(write_trace(tmp_path / "x.trace", TWO_BLOCKS))


def test_what_no_replay_can_answer_is_listed_with_the_reason(tmp_path):
    """There is a capture at order 0 and a live run at order 5; the former moves no report."""
    captured = made_by_lab(tmp_path, "captured", [fault(1, 0), event(2, Kind.MARKER)])
    live = made_by_lab(tmp_path, "live", reporting_order="5")
    (found,) = compare_settings([captured, live])

    assert (found.captures, found.live, found.quantities) == ((), ("live",), {})
    assert found.reasons[0].startswith("captured: ")


def test_other_work_is_not_compared(tmp_path):
    """Two guests at once are another workload."""
    captured = made_by_lab(tmp_path, "captured")
    live = made_by_lab(tmp_path, "live", reporting_order="5", guest_count="2")

    assert compare_settings([captured, live]) == []


def test_an_unknown_setting_is_answered_with_the_closest(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'order 0'"):
        compare_settings([made_by_lab(tmp_path, "captured")], captured_label="order 00")


def test_the_bundled_traces_are_predicted_as_by_single_replays():
    """From order 0 the guest of `fragment` is predicted at order 9 and without reporting."""
    names = ("fragment-order0", "fragment-order9", "fragment-off")
    traces = [read_trace(f"traces/{name}.trace") for name in names]
    off, coarse = compare_settings(traces)
    wanted = settings_to_ask(setting(0), setting(9))
    predicted = metrics(replay(traces[0], settings=wanted))
    live = metrics(replay(traces[1]))

    assert (off.asked.label, coarse.asked.label) == ("off", "order 9")
    assert off.captures == coarse.captures == ("fragment-order0",)
    for name in ("resident_bytes_peak", "resident_bytes_final", "drain_seconds"):
        assert coarse.quantities[name].predicted == pytest.approx(predicted[name]["value"])
        assert coarse.quantities[name].live == pytest.approx(live[name]["value"])
    assert off.quantities["resident_bytes_final"].verdict == "inside 3 %"
    for baseline in ("ignoring_discards", "high_water"):
        error = coarse.quantities["resident_bytes_final"].baselines[baseline]
        assert abs(error) > abs(coarse.quantities["resident_bytes_final"].difference)
    assert off.model_error < 0.005


def test_captures_to_predict_from_can_be_named():
    names = ("fragment-order0", "fragment-order9", "fragment-off")
    traces = [read_trace(f"traces/{name}.trace") for name in names]
    off, fine = compare_settings(traces, captured_label="order 9")

    assert off.captures == ("fragment-order9",)
    assert "a finer one would report" in fine.reasons[0]


def test_of_the_setting_that_was_captured_the_predicted_io_is_what_the_host_counted(tmp_path):
    """What the host swapped besides, and the part of it that was zeros, is taken from there."""
    zeros = [900 * number // 19 for number in range(20)]
    samples = two_block_samples(swap_out_pages=300) | {
        "swap_out_zero_pages": zeros,
        "swap_in_zero_pages": [0] * 20,
    }
    run = replay(write_trace(tmp_path / "t.trace", [fault(1, 0), swap_out(2, 0)], samples=samples))

    swap = predicted_figures(run, run).swap

    assert swap["swap_out_pages"] == 512
    assert swap["swap_written_pages"] == 300
    assert swap["swap_read_pages"] == 0
