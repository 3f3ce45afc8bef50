"""The project gates itself: what the bundled traces give is stored, and compared exactly."""

from __future__ import annotations

from pathlib import Path

from workbench.gate import compare_sides, headline, read_budget_file, read_side
from workbench.gate.words import reasons

TRACES = Path(__file__).resolve().parents[2] / "traces"
STORED = TRACES / "accepted.toml"


def test_the_bundled_traces_give_the_figures_that_were_accepted():
    """If a change of the model is meant: workbench compare traces/accepted.toml traces --accept.

    Figures are compared, and not the model's digest: an edit that changes no figure passes.
    """
    comparison = compare_sides(read_side(str(STORED)), read_side(str(TRACES)))
    told = [headline(comparison), *reasons(comparison.in_order)]

    assert comparison.exit_code == 0, "\n".join(told)
    assert {figure.verdict.value for figure in comparison.figures} == {"same"}


def test_nothing_in_the_file_widens_a_budget():
    """Any difference counts: the file holds accepted figures only."""
    assert read_budget_file(STORED).budget == {}
