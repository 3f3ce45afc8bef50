"""Events cut into batches, so that what belongs together stays together."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.replay import decisions
from workbench.replay.decisions import captured_decisions, whole_batches
from workbench.schema import NO_ELEMENT, Kind

FAULT, REPORT, DISCARD = int(Kind.FAULT), int(Kind.REPORT), int(Kind.DISCARD)


def columns_of(rows):
    """Rows of (time, kind, vm, element, range, status)."""
    names = ("time_ns", "kind", "vm", "element", "offset_bytes", "status")
    table = np.array(rows, np.int64).reshape(-1, len(names))
    columns = {name: table[:, number] for number, name in enumerate(names)}
    zeros = np.zeros(len(table), np.int64)
    return {**columns, "ram_block": zeros, "length_bytes": zeros}


@st.composite
def histories(draw):
    """Faults, and elements whose ranges are reported and then discarded, or not; times repeat."""
    rows = []
    time_ns = 0
    for element in range(draw(st.integers(0, 12))):
        time_ns += draw(st.integers(0, 1))
        rows += [(time_ns, FAULT, 0, NO_ELEMENT, 0, 0)] * draw(st.integers(0, 4))
        vm = draw(st.integers(0, 1))
        ranges = draw(st.lists(st.integers(0, 2), max_size=4))
        rows += [(time_ns, REPORT, vm, element, each, 0) for each in ranges]
        for each in ranges:
            time_ns += draw(st.integers(0, 1))
            if draw(st.booleans()):
                rows.append((time_ns, DISCARD, vm, element, each, draw(st.sampled_from([0, -12]))))
    return columns_of(rows)


def cut(columns, row_count):
    """Batches of so many rows."""
    size = columns["kind"].size
    return [
        {name: values[first : first + row_count] for name, values in columns.items()}
        for first in range(0, size, row_count)
    ]


@settings(max_examples=300)
@given(columns=histories(), row_count=st.integers(1, 20))
def test_nothing_is_lost_and_no_decision_is_parted_from_its_report(columns, row_count):
    whole = captured_decisions(columns)

    batches = list(whole_batches(cut(columns, row_count)))

    for name, values in columns.items():
        joined = np.concatenate([values[:0], *(batch[name] for batch in batches)])
        assert joined.tolist() == values.tolist()
    found = [captured_decisions(batch) for batch in batches]
    assert [b for each in found for b in each.discarded.tolist()] == whole.discarded.tolist()
    assert [s for each in found for s in each.status.tolist()] == whole.status.tolist()
    assert sum(each.discards_without_report for each in found) == whole.discards_without_report


@settings(max_examples=200)
@given(columns=histories(), row_count=st.integers(1, 20))
def test_events_of_one_time_are_in_one_batch(columns, row_count):
    batches = [batch["time_ns"] for batch in whole_batches(cut(columns, row_count))]

    filled = [times for times in batches if times.size]
    assert all(before[-1] < after[0] for before, after in itertools.pairwise(filled))


def test_a_report_that_is_never_discarded_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(decisions, "DISCARD_ROWS_MAX", 10)
    rows = [(0, REPORT, 0, 0, 0, 0)]
    rows += [(time_ns, FAULT, 0, NO_ELEMENT, 0, 0) for time_ns in range(1, 100)]

    sizes = [batch["kind"].size for batch in whole_batches(cut(columns_of(rows), 20))]

    assert sizes[0] == 19


@settings(max_examples=300)
@given(columns=histories(), row_count=st.integers(1, 20), rows_max=st.integers(1, 6))
def test_a_discard_that_comes_too_late_belongs_to_no_report_of_any_batch(
    columns, row_count, rows_max
):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(decisions, "DISCARD_ROWS_MAX", rows_max)
        whole = captured_decisions(columns)
        batches = list(whole_batches(cut(columns, row_count)))
        found = [captured_decisions(batch) for batch in batches]

    assert [s for each in found for s in each.status.tolist()] == whole.status.tolist()
    assert [b for each in found for b in each.discarded.tolist()] == whole.discarded.tolist()


def test_no_events_make_no_batch():
    assert list(whole_batches([])) == []


@pytest.mark.parametrize("row_count", [1, 2, 3, 4])
def test_a_refused_discard_is_known_when_its_report_is_replayed(row_count):
    rows = [(0, REPORT, 0, 0, 0, 0), (1, REPORT, 0, 0, 1, 0)]
    rows += [(2, DISCARD, 0, 0, 0, -12), (3, DISCARD, 0, 0, 1, -12), (4, FAULT, 0, -1, 0, 0)]

    for batch in whole_batches(cut(columns_of(rows), row_count)):
        reports = batch["kind"] == REPORT
        assert (captured_decisions(batch).status[reports] == -12).all()
