"""What reporting avoided: worked out by hand on a few runs, and on the bundled traces."""

from __future__ import annotations

import numpy as np
import pytest

from tests.synthetic import fault, swap_out, write_trace
from workbench.measure import Series, metrics
from workbench.replay import Device, Host, replay
from workbench.trace import read_trace
from workbench.validation.validate.avoided import avoided
from workbench.validation.validate.bootstrap import Interval
from workbench.validation.validate.figures import DEAD, SWAP, Figures, figures, live_figures
from workbench.validation.validate.predictions import Comparison, RunFigures, compare_settings
from workbench.validation.validate.setting import Setting, Workload

WORK = Workload("test", "", ())
OFF, COARSE, FINE = (
    Setting(order, poison="none", hints=False, memory_limit_bytes=None) for order in (None, 9, 0)
)


def run_of(out_pages, dead_pages=None):
    """A run that swapped so many pages out."""
    swap = {
        **dict.fromkeys((*SWAP, *DEAD)),
        "swap_out_pages": out_pages,
        "swap_written_pages": out_pages,
        "swap_out_dead_pages": dead_pages,
    }
    memory = Series(np.array([0, 1]), np.array([1, 1]))
    return Figures(memory=memory, peak_bytes=1, drain_seconds=None, swap=swap)


def compared(asked, *, live, predicted, captured=(), modelled=(), workload=WORK):
    """A comparison of runs, predicted from captures at order 0."""
    runs = RunFigures(modelled=modelled, captured=captured, predicted=predicted, live=live)
    return Comparison(
        workload=workload, captured=FINE, asked=asked, captures=(), live=(), figures=runs
    )


WITHOUT = compared(
    OFF,
    live=(run_of(900.0), run_of(1000.0), run_of(1300.0)),
    predicted=(run_of(1100.0, 500.0), run_of(1300.0, 700.0)),
    captured=(run_of(300.0), run_of(500.0)),
    modelled=(run_of(200.0, 40.0), run_of(400.0, 60.0)),
)
WITH = compared(COARSE, live=(run_of(600.0),), predicted=(run_of(700.0, None),))


def test_it_is_the_runs_without_reporting_minus_those_with_it():
    """Measured: medians 1000 - 400.  Predicted: means 1200 - 300, of that 600 - 50 dead."""
    at_capture, coarse = avoided([WITHOUT, WITH])
    pages = at_capture.pages[0]

    assert (at_capture.setting, coarse.setting) == (FINE, COARSE)
    assert (at_capture.live_without, at_capture.live_with) == (3, 2)
    assert pages.quantity == "swap_out_pages"
    assert (pages.without, pages.measured) == (1000.0, 600.0)
    assert (pages.predicted, pages.predicted_dead) == (900.0, 550.0)
    assert Interval(400.0, 1000.0) == pages.interval


def test_a_single_run_has_no_interval_and_what_nobody_knows_is_none():
    _, coarse = avoided([WITHOUT, WITH])
    pages, came_back = coarse.pages[:2]

    assert (pages.measured, pages.interval) == (400.0, None)
    assert (pages.predicted, pages.predicted_dead) == (500.0, None)
    assert (came_back.without, came_back.measured, came_back.predicted) == (None, None, None)


def test_on_a_device_that_keeps_copies_nobody_knows_what_went(tmp_path):
    """A live run of it has the host's counters, and no pages that went to swap."""
    events = [fault(1, 0), swap_out(2, 0)]
    run = replay(write_trace(tmp_path / "x.trace", events, swap=("/dev/loop0",)))

    assert live_figures(run).swap["swap_out_pages"] is None
    assert figures(run).swap["swap_out_pages"] == 512


def test_other_work_and_runs_that_do_not_swap_are_left_out():
    other = compared(COARSE, live=WITH.figures.live, predicted=(), workload=WORK._replace(text="x"))
    ample = compared(OFF, live=(run_of(0.0),), predicted=(run_of(0.0),))

    assert len(avoided([WITHOUT, other])) == 1
    assert avoided([ample, WITH]) == []


def test_the_bundled_pair_under_pressure():
    """Both predictions are the models'; what was measured is the two live runs."""
    on, off = (read_trace(f"traces/pressure-{name}.trace") for name in ("on", "off"))
    (found,) = avoided(compare_settings([on, off]))
    by_name = {pages.quantity: pages for pages in found.pages}
    predicted = [
        metrics(replay(on, device=Device(free_page_reporting=False))),
        metrics(replay(on, host=Host(reclaim="two-list"))),
    ]
    live = [metrics(replay(trace)) for trace in (off, on)]

    for name in ("swap_out_pages", "swap_in_pages"):
        without, given = (one[name]["value"] for one in predicted)
        assert by_name[name].predicted == pytest.approx(without - given)
        assert by_name[name].measured == live[0][name]["value"] - live[1][name]["value"]
    assert 0 < by_name["swap_out_pages"].predicted_dead <= by_name["swap_out_pages"].predicted
    assert by_name["swap_written_pages"].measured > 0
