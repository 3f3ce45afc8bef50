"""Guests that come and go in the middle of a trace, against a dictionary followed by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.synthetic import HUGE, START_NS, started, touch, trace
from workbench.errors import UnidentifiableError
from workbench.measure import memory_over_time, metrics
from workbench.measure.presence import Deltas, Presence
from workbench.replay import Host, replay
from workbench.schema import PageState
from workbench.units import NANOSECONDS

TIMES = st.integers(0, 12)
STAY = st.one_of(
    st.tuples(st.none(), st.one_of(st.none(), TIMES)),
    st.tuples(TIMES, st.none()),
    st.lists(TIMES, min_size=2, max_size=2).map(sorted).map(tuple),
)
"""When a machine comes and when it ends; None: it is there from the start, or to the end."""
ROWS = st.lists(st.tuples(TIMES, st.integers(0, 2), st.integers(-5, 5)), max_size=12).map(sorted)
INITIAL = np.array([100, 20, 3], np.int64)


def machines(turns):
    """Three machines with these times of coming and going."""
    return [
        started(f"guest{vm}").model_copy(
            update={"attached_time_ns": attached, "ended_time_ns": ended}
        )
        for vm, (attached, ended) in enumerate(turns)
    ]


def held_by_hand(turns, rows, time_ns):
    """Pages at the end of an instant: of those that have come, and have not ended."""
    total = 0
    for vm, (attached, ended) in enumerate(turns):
        has_come = attached is None or attached <= time_ns
        has_ended = ended is not None and ended <= time_ns
        own = [pages for when, machine, pages in rows if machine == vm and when <= time_ns]
        if not has_ended:
            total += has_come * int(INITIAL[vm]) + sum(own)
    return total


def columns(rows):
    """The same rows as arrays."""
    table = np.array(rows, np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


@given(
    turns=st.lists(STAY, min_size=3, max_size=3),
    rows=ROWS,
    cuts=st.lists(st.integers(0, 12), max_size=4).map(sorted),
)
@example(turns=[(None, 5), (5, None), (None, None)], rows=[(5, 0, 1), (5, 1, 2)], cuts=[1])
def test_what_is_held_is_what_those_that_are_there_hold(turns, rows, cuts) -> None:
    """At every instant, however the rows are cut."""
    presence = Presence(machines(turns), range(3), INITIAL)
    bounds = [0, *(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts: list[Deltas] = []
    for first, stop in itertools.pairwise(bounds):
        if first < stop:
            parts.append(presence.merge(*columns(rows[first:stop])))
    parts.append(presence.rest())
    time_ns = np.concatenate([part.time_ns for part in parts])
    pages = np.concatenate([part.pages for part in parts])

    assert (np.diff(time_ns) >= 0).all()
    for instant in range(13):
        held = presence.initial_pages + int(pages[time_ns <= instant].sum())
        assert held == held_by_hand(turns, rows, instant)


@pytest.fixture
def visited():
    """One guest that stays, and one that is there from 2 s to 6 s of 10."""
    guests = [started("host"), started("visitor")]
    guests[1] = guests[1].model_copy(
        update={
            "attached_time_ns": START_NS + 2 * NANOSECONDS,
            "ended_time_ns": START_NS + 6 * NANOSECONDS,
        }
    )
    state = [{"vm": 1, "length_bytes": HUGE, "page_state": PageState.RESIDENT}]
    return trace([touch(1, 0), touch(4, HUGE, vm=1)], machines=guests, state=state)


def test_a_visitor_counts_while_it_is_there(visited) -> None:
    """1 unit from 1 s on; the visitor's first from 2 s to 6 s, its second from 4 s to 6 s."""
    run = replay(visited)
    values = {name: metric["value"] for name, metric in metrics(run).items()}
    frame = memory_over_time(run)
    last = frame[frame["vm"] == 1].iloc[-1]

    assert values["resident_byte_seconds"] == HUGE * (9 + 4 + 2)
    assert values["resident_bytes_peak"] == 3 * HUGE
    assert values["resident_bytes_final"] == HUGE == run.final_resident_bytes
    assert last["resident_bytes"] == 0
    (note,) = [note for note in run.identifiable.notes if "visitor" in note]
    assert "came 2.00 s after the start" in note
    assert "ended 6.00 s after the start" in note


def test_the_model_of_the_host_knows_no_visitors(visited) -> None:
    """A question about its memory is refused, with the reason."""
    with pytest.raises(UnidentifiableError, match="visitor: the guest came after the start"):
        replay(visited, host=Host(memory_bytes=8 * HUGE))
