"""Frames of a trace's tables hold what its columns hold, in words that people read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.synthetic import discard, fault, report, write_trace
from workbench.errors import UsageError
from workbench.schema import TABLES, Kind
from workbench.trace import frames, read_trace

REPORTED = report(2.5, 0)
EVENTS = [fault(1, 0), fault(2, 2), REPORTED, discard(REPORTED), fault(4, 4)]


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """Five events."""
    return write_trace(tmp_path_factory.mktemp("traces") / "five.trace", EVENTS)


def test_events_have_seconds_and_names(trace):
    frame = trace.frame("events")

    assert list(frame.columns) == ["time_s", *TABLES["events"].column_names]
    assert frame["time_s"].tolist() == [1, 2, 2.5, 2.5, 4]
    assert frame["kind"].tolist() == ["fault", "fault", "report", "discard", "fault"]
    assert frame["kind"].value_counts().to_dict() == {"fault": 3, "report": 1, "discard": 1}


@pytest.mark.parametrize("table_name", TABLES)
@pytest.mark.parametrize("name", ["staircase-mid-life", "pressure-order0"])
def test_all_else_is_as_in_the_columns(name, table_name):
    trace = read_trace(f"traces/{name}.trace")
    frame, columns = trace.frame(table_name), trace.columns(table_name)

    for column in columns.keys() - {"kind", "page_state"}:
        assert (frame[column].to_numpy() == columns[column]).all()
    if table_name == "events":
        codes = frame["kind"].astype(str).map({kind.name.lower(): kind for kind in Kind})
        assert (codes.to_numpy(np.int64) == columns["kind"]).all()


def test_states_of_pages_have_names():
    frame = read_trace("traces/staircase-mid-life.trace").frame("state")

    assert set(frame["page_state"]) <= {"resident", "swapped", "zero_page", "unbacked"}
    assert (frame["page_state"] == "resident").any()
    assert frames._state_name(1 | 8 | 16) == "resident|huge|table"


@given(first=st.integers(0, 7), count=st.integers(0, 7), at_once=st.integers(1, 6))
def test_a_part_is_the_same_rows_of_the_whole(trace, first, count, at_once):
    """However they are read, and whether the table was read before or not."""
    whole = read_trace(trace.path).frame("events")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(frames, "ROWS_AT_ONCE", at_once)
        unread = read_trace(trace.path)
        part = unread.frame("events", first_row=first, stop_row=first + count)

    expected = whole.iloc[first : first + count]
    assert part.astype({"kind": str}).equals(expected.astype({"kind": str}))
    assert part.index.tolist() == expected.index.tolist()
    assert unread._tables == {}


def test_a_table_that_is_not_there_is_an_empty_frame(trace):
    frame = trace.frame("state", stop_row=10)

    assert frame.empty
    assert list(frame.columns) == list(TABLES["state"].column_names)
    assert isinstance(frame["page_state"].dtype, pd.CategoricalDtype)


@pytest.mark.parametrize("rows", [(-1, None), (3, 2)])
def test_rows_that_cannot_be_are_refused(trace, rows):
    with pytest.raises(UsageError, match="expected a first row of 0 or more"):
        trace.frame("events", first_row=rows[0], stop_row=rows[1])
