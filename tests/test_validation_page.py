"""The page of predictions: what it says of live runs, the models still say from a bundled capture.

A single capture stands for the five of the page, so that it is held less tightly than they are: two
live runs of one command differ by 4 to 6 %, and in what stays at order 9 by more.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from workbench.measure import metrics
from workbench.replay import Device, replay
from workbench.trace import read_trace
from workbench.units import MIB
from workbench.validation.validate.figures import Figures, figures
from workbench.validation.validate.setting import Setting, settings_to_ask

PAGE = Path("docs/validation.md").read_text(encoding="utf-8")
QUANTITIES = {
    "mean": "resident_bytes_mean",
    "peak": "resident_bytes_peak",
    "final": "resident_bytes_final",
}
ROW = re.compile(
    r"^\| ([a-z-]+) \| (off|order \d|init_on_free) \| \d+ / \d+ \| (mean|peak|final) \| "
    r"[\d.]+ \| ([\d.]+) \|",
    re.MULTILINE,
)
ROWS = [(scenario, asked, word, float(live)) for scenario, asked, word, live in ROW.findall(PAGE)]
WHAT_STAYS = {"order 9", "init_on_free"}


def setting(order: int | None, poison: str = "none") -> Setting:
    return Setting(order=order, poison=poison, hints=False, memory_limit_bytes=None)


ASKED = {
    "off": setting(None),
    "order 5": setting(5),
    "order 9": setting(9),
    "init_on_free": setting(9, "init_on_free"),
}


@cache
def predicted(scenario: str, asked: str) -> Figures:
    """What the models make of the bundled capture at order 0."""
    trace = read_trace(f"traces/{scenario}-order0.trace")
    return figures(replay(trace, settings=settings_to_ask(setting(0), ASKED[asked])))


def test_the_page_has_every_setting_of_every_scenario():
    scenarios = {scenario for scenario, *_ in ROWS}

    assert len(ROWS) == len(scenarios) * len(ASKED) * len(QUANTITIES) > 0


@pytest.mark.parametrize(("scenario", "asked", "word", "live"), ROWS)
def test_a_prediction_is_near_the_live_runs_of_the_page(scenario, asked, word, live):
    found = predicted(scenario, asked)
    value = found.values(found.window_ns)[QUANTITIES[word]] / MIB
    tolerance = 0.16 if word == "final" and asked in WHAT_STAYS else 0.06
    if (scenario, word) == ("migration", "mean"):
        tolerance = 0.08  # It is short, and its one job takes 3 to 6 s from run to run.

    assert value == pytest.approx(live, rel=tolerance)


def test_under_pressure_the_bundled_runs_without_reporting_are_predicted():
    """From accesses at order 0; one run each, of different days."""
    captured = read_trace("traces/pressure-order0.trace")
    off = metrics(replay(captured, device=Device(free_page_reporting=False)))
    live = metrics(replay(read_trace("traces/pressure-off.trace")))

    for name in ("swap_out_pages", "swap_in_pages"):
        assert off[name]["value"] == pytest.approx(live[name]["value"], rel=0.2)
