"""How much memory a host had for its guests, read from what it swapped."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.synthetic import HUGE, fault, swap_in, swap_out, touch, trace
from workbench.replay import Settings
from workbench.replay.decisions import happened
from workbench.replay.limits import Limits, seen_limits
from workbench.replay.trace_run import TraceRun, run_trace
from workbench.trace import read_trace
from workbench.units import PAGE_BYTES


def run_of(one) -> tuple[dict[str, np.ndarray], TraceRun]:
    """The events of a trace, and the trace replayed as captured."""
    columns = one.columns("events")
    return columns, run_trace(one, happened(columns), Settings())


def test_where_nothing_was_swapped_nobody_knows():
    assert seen_limits(*run_of(trace([fault(1, 0)]))) is None


def test_it_is_what_was_held_before_a_page_went():
    """Two huge pages were there when the first went, one and a page when that went."""
    page = touch(4, 2 * HUGE, PAGE_BYTES)
    events = [fault(1, 0), fault(2, 2), swap_out(3, 0), page, swap_out(5, HUGE)]
    limits = seen_limits(*run_of(trace(events)))

    assert limits.pages.tolist() == [1024, 1024]
    assert limits.at(limits.time_ns - 1).tolist() == [1024, 1024]


def test_it_falls_when_thirty_two_swap_outs_in_a_row_found_less():
    """A guest of single pages that has lost a hundred of them to something else."""
    pages = [touch(1, number * PAGE_BYTES, PAGE_BYTES) for number in range(400)]
    outs = [swap_out(2 + number / 100, number * PAGE_BYTES, PAGE_BYTES) for number in range(40)]
    limits = seen_limits(*run_of(trace(pages + outs)))

    assert limits.pages.tolist() == [400] * 32 + [400 - number for number in range(1, 9)]


@pytest.mark.parametrize(("seconds", "pages"), [(4, 72), (6, 71), (9, 72)])
def test_a_page_that_came_back_though_nobody_saw_it_go_was_away_for_half_the_time(seconds, pages):
    """It faulted at 2 s and came from swap at 8 s: so it went at 5 s."""
    others = [touch(1, (50 + number) * PAGE_BYTES, PAGE_BYTES) for number in range(71)]
    events = [*others, touch(2, PAGE_BYTES, PAGE_BYTES), swap_in(8, PAGE_BYTES)]
    events.append(swap_out(seconds, 60 * PAGE_BYTES, PAGE_BYTES))
    limits = seen_limits(*run_of(trace(sorted(events, key=lambda row: row["time_ns"]))))

    assert limits.pages.tolist() == [pages]


COLUMNS, CAPTURED = run_of(read_trace("traces/pressure-off.trace"))
WHOLE = seen_limits(COLUMNS, CAPTURED)


def columns_of(limits: Limits | None) -> list[list[int]]:
    """As lists; two empty ones where there are none."""
    return [[], []] if limits is None else [column.tolist() for column in limits]


@given(row=st.integers(0, CAPTURED.ledger.kind.size))
def test_the_past_does_not_depend_on_the_future(row):
    """What is seen of a trace that ends earlier is the beginning of what is seen of the whole."""
    columns = {
        name: column[:row] if isinstance(column, np.ndarray) else column
        for name, column in dataclasses.asdict(CAPTURED.ledger).items()
    }
    events = {name: column[:row] for name, column in COLUMNS.items()}
    part = seen_limits(events, CAPTURED._replace(ledger=type(CAPTURED.ledger)(**columns)))
    count = len(columns_of(part)[0])

    assert columns_of(part) == [column[:count] for column in columns_of(WHOLE)]
