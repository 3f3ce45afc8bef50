"""The simple answers, on traces small enough to work them out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.synthetic import (
    HUGE,
    discard,
    event,
    fault,
    given_back,
    inflate,
    report,
    swap_in,
    trace,
)
from workbench.replay import replay
from workbench.schema import Kind
from workbench.units import MIB, PAGE_BYTES
from workbench.validation.validate.baselines import (
    CUT,
    HIGH_WATER,
    IGNORING_DISCARDS,
    baselines,
    cut_events,
)

LIFE = [
    fault(1, 0),
    fault(2, 2),
    *given_back(report(3, 0)),
    fault(4, 4),
    *given_back(report(5, 2 * MIB, MIB, element=1)),
]
"""2, 4, 2, 4 and 3 MiB are resident; 6 MiB were ever touched."""


def final_mib(events, order):
    """What each baseline leaves resident at the end."""
    found = baselines(replay(trace(events)), order)
    return {name: one.memory.value[-1] / MIB for name, one in found.items()}


def test_each_is_what_it_is_by_hand():
    """At order 9 half a huge page is no block: it stays."""
    assert final_mib(LIFE, 9) == {IGNORING_DISCARDS: 6, HIGH_WATER: 4, CUT: 4}


def test_without_reporting_there_is_nothing_to_cut():
    assert final_mib(LIFE, None) == {IGNORING_DISCARDS: 6, HIGH_WATER: 4}


def test_discards_cannot_be_ignored_where_pages_were_swapped_from_unknown_memory():
    """The host would have swapped others, and nothing shows how much it could keep."""
    assert set(final_mib([*LIFE, swap_in(6, 4 * MIB)], None)) == {HIGH_WATER}


def columns(rows):
    """The events of a trace in memory."""
    return trace(rows).columns("events")


def ranges(events):
    """Kind, offset and length of each event."""
    names = ("kind", "offset_bytes", "length_bytes")
    return list(zip(*(events[name].tolist() for name in names), strict=True))


def test_a_range_keeps_its_whole_blocks():
    """From page 1 to page 1,536 there are two aligned huge pages; a range of 1 MiB has none."""
    rows = [
        *given_back(report(1, PAGE_BYTES, 6 * MIB - PAGE_BYTES)),
        *given_back(report(2, 0, MIB)),
    ]
    cut = ranges(cut_events(columns(rows), 9))

    assert cut == [(Kind.REPORT, HUGE, 2 * HUGE), (Kind.DISCARD, HUGE, 2 * HUGE)]


@pytest.mark.parametrize(
    "row",
    [
        fault(1, 0),
        inflate(1, PAGE_BYTES),
        event(1, Kind.REPORT, offset_bytes=5, length_bytes=7, element=0),
        event(1, Kind.HINT_RANGE, ram_block=0, offset_bytes=5, length_bytes=7),
    ],
)
def test_what_is_no_reported_range_of_ram_is_left_alone(row):
    events = columns([row])

    assert ranges(cut_events(events, 9)) == ranges(events)


PAGES = st.integers(0, 2000)
REPORTS = st.lists(st.tuples(PAGES, st.integers(1, 2000)), max_size=8)


@given(reports=REPORTS, order=st.integers(0, 10))
def test_what_is_cut_is_aligned_and_was_reported(reports, order):
    rows = [report(1, first * PAGE_BYTES, pages * PAGE_BYTES) for first, pages in reports]
    events = columns([row for one in rows for row in (one, discard(one))])
    cut = cut_events(events, order)
    block = PAGE_BYTES << order
    reported = [set(range(first, first + pages)) for first, pages in reports]
    kept = [
        set(range(offset // PAGE_BYTES, (offset + length) // PAGE_BYTES))
        for kind, offset, length in ranges(cut)
        if kind == Kind.REPORT
    ]

    assert (cut["offset_bytes"] % block == 0).all()
    assert (cut["length_bytes"] % block == 0).all()
    assert all(any(pages <= whole for whole in reported) for pages in kept)
    lost = len(set().union(*reported)) - len(set().union(*kept))
    assert lost <= 2 * len(reports) * (block // PAGE_BYTES - 1)
    assert ranges(cut_events(cut, order)) == ranges(cut)


@given(reports=REPORTS)
def test_at_order_0_nothing_is_cut(reports):
    rows = [report(1, first * PAGE_BYTES, pages * PAGE_BYTES) for first, pages in reports]
    events = columns([row for one in rows for row in (one, discard(one))])

    assert ranges(cut_events(events, 0)) == ranges(events)


@given(steps=st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_the_high_water_mark_never_falls_and_is_never_lower(steps):
    """Each step takes a huge page, or gives it back if it was taken."""
    rows, held = [], set()
    for number, block in enumerate(steps):
        if block in held:
            rows += given_back(report(number + 1, block * HUGE, element=number))
            held.remove(block)
        else:
            rows.append(fault(number + 1, 2 * block))
            held.add(block)
    captured = replay(trace(rows))
    memory = baselines(captured, None)[HIGH_WATER].memory

    assert (np.diff(memory.value) >= 0).all()
    assert memory.value[-1] >= captured.final_resident_bytes
