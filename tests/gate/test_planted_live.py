"""Regressions planted in live guests are found, from the figures of those guests.

Booting them again takes minutes; their figures are in lab_runs/, with the command that made them.
`workbench lab repeat SCENARIO --setting on --setting order10 --setting locked` makes them anew.
"""

from __future__ import annotations

import re

import pytest

from tests.gate.lab_tables import lab_side
from workbench.gate import compare_sides, headline, markdown

PLANTED = {
    "order 10 instead of 9, by a write to sysfs": (
        "pieces",
        "pieces-order-10",
        r"Regression: reclaimed_bytes is \d\d\.\d\d MiB less \(-\d\d\.\d %\)",
    ),
    "a host that refuses to discard, by mem-lock=on": (
        "quick",
        "quick-locked",
        r"Regression: reclaimed_bytes is 1\d\d\.\d\d MiB less \(-100\.0 %\)",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_regression_planted_in_live_guests_is_found_and_named(name):
    before, after, first_line = PLANTED[name]
    old, new = lab_side(before), lab_side(after)
    comparison = compare_sides(old, new)

    assert comparison.exit_code == 5
    assert re.match(first_line, headline(comparison))
    assert re.match(first_line, markdown(comparison).splitlines()[0])


@pytest.mark.parametrize("name", ["quick", "swapping"])
def test_half_of_the_runs_against_the_other_half_is_no_regression(name):
    """Every second run against the rest, enough on either side: nothing was planted."""
    whole = lab_side(name)
    odd, even = (type(whole)(label=name, runs=whole.runs[start::2]) for start in (0, 1))

    counts = compare_sides(odd, even).counts

    assert counts["worse"] == 0
    assert counts["same"] > 0, "so few runs decide nothing"


def test_refused_discards_are_worse_as_well():
    figures = compare_sides(lab_side("quick"), lab_side("quick-locked")).figures
    verdicts = {figure.metric: figure.verdict.value for figure in figures}

    assert verdicts["discards_failed"] == "worse"
    assert verdicts["resident_bytes_mean"] == "worse"
