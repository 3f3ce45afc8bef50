"""The facts of a trace in batches, held against one batch and against the naive count."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.naive.naive_facts import naive_facts
from tests.replayed_rows import (
    CUTS,
    MACHINES_MAX,
    ROWS,
    add_in_batches,
    columns_of,
    ledger_of,
    random_cuts,
)
from tests.synthetic import machine, trace
from workbench.replay.facts import FactsSoFar
from workbench.replay.question import as_captured
from workbench.schema import PageState
from workbench.trace import read_trace

TRACES = sorted((Path(__file__).parents[2] / "traces").glob("*.trace"))


MOVED_NOTHING = {"outcome": "no_outcome", "resident": 0, "swapped": 0}


def facts_of(found, rows, cuts):
    so_far = FactsSoFar(found)
    add_in_batches(so_far, columns_of(rows), ledger_of(rows), cuts)
    return so_far.facts()


@given(
    rows=ROWS,
    cuts=CUTS,
    features=st.lists(
        st.sampled_from([None, 0, 0x20, 0x32]), min_size=MACHINES_MAX, max_size=MACHINES_MAX
    ),
    states=st.lists(st.sampled_from(PageState), max_size=2),
)
def test_however_a_trace_is_cut_its_facts_are_the_naive_count(rows, cuts, features, states):
    machines = [machine(f"guest{vm}", features=bits) for vm, bits in enumerate(features)]
    found = trace([], machines=machines, state=[{"page_state": int(state)} for state in states])
    facts = facts_of(found, rows, cuts)

    assert facts == facts_of(found, rows, [])
    expected = naive_facts(
        rows,
        machines=MACHINES_MAX,
        features=[bits or 0 for bits in features],
        began_swapped=PageState.SWAPPED in states,
    )
    names = expected[0]
    assert [{name: getattr(one, name) for name in names} for one in facts.machines] == expected
    is_collapsed = any(row["kind"] == "collapse" for row in rows)
    assert ["khugepaged" in note for note in facts.notes] == [True] * is_collapsed


@pytest.mark.parametrize("cut", range(7))
def test_each_negotiation_counts_with_its_last_word(cut):
    """REPORTING in the first, PAGE_POISON in the second, none in the third."""
    words = [("features", 0x30), ("features", 0x20), ("reset", 0), ("features", 0x10)]
    words += [("reset", 0), ("features", 0x30), ("features", 0)]
    rows = [
        {"time_ns": number, "vm": 0, "kind": kind, "status": bits, **MOVED_NOTHING}
        for number, (kind, bits) in enumerate(words)
    ]
    kept = [facts_of(trace([]), part, [cut]).machines[0] for part in (rows[:3], rows)]

    assert [one.negotiated_reporting for one in kept] == [True, True]
    assert [one.negotiated_page_poison for one in kept] == [False, True]


@given(rows=ROWS, cuts=CUTS, stop=st.integers(0, 40))
def test_asking_before_the_end_changes_nothing(rows, cuts, stop):
    """And gives the facts of what was added by then."""
    found = trace([], machines=[machine(f"guest{vm}") for vm in range(MACHINES_MAX)])
    so_far = FactsSoFar(found)
    add_in_batches(so_far, columns_of(rows[:stop]), ledger_of(rows[:stop]), cuts)

    assert so_far.facts() == facts_of(found, rows[:stop], [])
    add_in_batches(so_far, columns_of(rows[stop:]), ledger_of(rows[stop:]), cuts)
    assert so_far.facts() == facts_of(found, rows, [])


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_a_bundled_trace_cut_anywhere_has_the_facts_of_the_whole(path):
    found = read_trace(path)
    known = as_captured(found)
    for cuts in random_cuts(found.event_count):
        so_far = FactsSoFar(found)
        add_in_batches(so_far, found.columns("events"), known.run.ledger, cuts)

        assert so_far.facts() == known.facts
