"""Accepted figures: written beside the user's budgets, and never without what they were."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gate.made_runs import FIGURES, PLAIN, changed, side
from workbench.errors import InputError, WriteError
from workbench.gate import accept, read_budget_file, read_side, write_accepted
from workbench.gate.accepted import stand_in
from workbench.gate.budgets import Accepted, Before

OWN = """# Why: the peak of this guest varies.
[budget.resident_bytes_peak]
relative = 0.5   # half
"""

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def accepted_entries():
    """Entries of any names and figures."""
    figures = st.dictionaries(TEXTS, NUMBERS)
    before = st.lists(st.builds(Before, model=TEXTS, figures=figures), max_size=2)
    return st.lists(
        st.builds(
            Accepted,
            name=TEXTS,
            trace=TEXTS,
            settings=TEXTS,
            model=TEXTS,
            trace_format=TEXTS,
            figures=figures,
            before=before,
        ),
        max_size=3,
    )


@given(entries=accepted_entries())
def test_what_is_written_is_what_is_read(entries, tmp_path_factory):
    """Whatever is in a name: quotes, controls, or a line that looks like a table."""
    path = tmp_path_factory.mktemp("accepted") / "budgets.toml"
    write_accepted(path, entries)

    assert read_budget_file(path).accepted == entries


def test_the_users_part_of_the_file_stays_as_it_is(tmp_path):
    path = tmp_path / "budgets.toml"
    path.write_text(OWN)
    write_accepted(path, accept([], [], [PLAIN]))
    once = path.read_text()
    write_accepted(path, accept(read_budget_file(path).accepted, [], [PLAIN]))

    assert once.startswith(OWN)
    assert path.read_text() == once
    assert read_budget_file(path).budget["resident_bytes_peak"].relative == 0.5


def test_old_numbers_are_kept_with_the_model_they_were_of():
    first = accept([], [], [PLAIN])
    second = accept(first, [], [replace(changed(refaults=200), model="second")])
    (third,) = accept(second, [], [replace(changed(refaults=220, reports=9), model="third")])

    assert third.figures == {**FIGURES, "refaults": 220, "reports": 9}
    assert [(each.model, each.figures) for each in third.before] == [
        ("second", {"refaults": 200, "reports": 12}),
        (PLAIN.model, {"refaults": 175}),
    ]


def test_the_first_acceptance_keeps_the_numbers_of_the_baseline():
    (entry,) = accept([], [PLAIN], [replace(changed(refaults=200), model="new")])

    assert [(each.model, each.figures) for each in entry.before] == [
        (PLAIN.model, {"refaults": 175})
    ]


def test_the_same_figures_of_another_model_need_no_history():
    (entry,) = accept(accept([], [], [PLAIN]), [], [replace(PLAIN, model="new")])

    assert (entry.model, entry.before) == ("new", [])


def test_accepted_figures_are_a_baseline(tmp_path):
    path = tmp_path / "accepted.toml"
    write_accepted(path, accept([], [], [PLAIN]))
    (run,) = read_side(str(path)).runs

    assert (run.trace, dict(run.model_figures)) == (PLAIN.trace, FIGURES)


def test_accepted_figures_stand_in_for_the_baselines():
    other = replace(PLAIN, name="other", trace="b" * 64)
    entries = accept([], [], [replace(changed(refaults=200), model="new")])
    baseline, told = stand_in(side(PLAIN, other), entries)

    assert told == ("Accepted instead of the baseline's figures: refaults of churn 200 (was 175).",)
    assert [run.model_figures["refaults"] for run in baseline.runs] == [200, 175]
    assert [run.model for run in baseline.runs] == ["new", PLAIN.model]


def test_that_a_metric_has_no_value_any_more_can_be_accepted():
    """The baseline still has one; a metric that nothing was accepted of keeps its value."""
    with_drain = changed(drain_seconds=2)
    entries = accept([], [with_drain], [PLAIN])
    baseline, (told,) = stand_in(side(changed(drain_seconds=2, discards=7)), entries)

    assert dict(baseline.runs[0].model_figures) == {**FIGURES, "discards": 7}
    assert "drain_seconds of churn none (was 2)" in told


def test_a_budget_after_the_accepted_figures_is_not_overwritten(tmp_path):
    path = tmp_path / "budgets.toml"
    write_accepted(path, accept([], [], [PLAIN]))
    text = path.read_text() + "\n" + OWN
    path.write_text(text)

    with pytest.raises(InputError, match="move it before"):
        write_accepted(path, [])
    assert path.read_text() == text


def test_where_nothing_can_be_written_the_file_stays(tmp_path):
    path = tmp_path / "none" / "budgets.toml"

    with pytest.raises(WriteError):
        write_accepted(path, [])
