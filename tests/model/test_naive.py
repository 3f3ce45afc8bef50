"""The kernels against the naive model, and the laws that both obey."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.naive.naive_replay import Machine
from tests.strategies import (
    HUGE_PAGE_PAGES,
    ROWS,
    acceptable,
    block,
    config_write,
    fault,
    inflate,
    lay_out,
    machines,
    register,
    report,
    run_rows,
    swap_out,
)
from workbench.model import HELD_PAGES, OK, RESIDENT_PAGES, SWAPPED_PAGES, page_states
from workbench.schema import FaultFlag, Feature, PageState

CHOICES = st.fixed_dictionaries(
    {
        "frees_tables": st.booleans(),
        "always_poison": st.sampled_from([None, None, 0, 0xAAAAAAAA]),
        "always_inhibited": st.sampled_from([None, None, False, True]),
        "features": st.sampled_from([0, 1 << Feature.PAGE_POISON]),
        "poison_val": st.sampled_from([0, 0, 0xAA]),
    }
)
PLAIN = {"frees_tables": True}
ONE_BLOCK = lay_out([block()])


def naive_ledger(rows, blocks, **choices):
    machine = Machine(blocks, HUGE_PAGE_PAGES, **choices)
    ledger = list(itertools.takewhile(lambda row: row is not None, map(machine.step, rows)))
    return ledger, machine


@settings(max_examples=300)
@given(
    rows=ROWS, blocks=machines(), choices=CHOICES, accept_all=st.sampled_from([True, True, False])
)
@example(  # A report that ends exactly at the end of RAM is not an overrun.
    rows=[fault(7, HUGE_PAGE_PAGES), report(4, 4)],
    blocks=ONE_BLOCK,
    choices=PLAIN,
    accept_all=False,
)
@example(  # The last page of a partly discarded huge page frees all of it.
    rows=[fault(0), report(0, 3), fault(1, 1), report(3, 1)],
    blocks=ONE_BLOCK,
    choices=PLAIN,
    accept_all=False,
)
@example(  # A huge zero page that is written, whole and in part.
    rows=[fault(0, 0, 0), fault(1, HUGE_PAGE_PAGES), fault(4, 0, 0), fault(5, 1)],
    blocks=ONE_BLOCK,
    choices=PLAIN,
    accept_all=False,
)
@example(  # Half a huge page swapped: what was discarded of it becomes free.
    rows=[fault(0), report(0, 1), swap_out(2, 1), fault(2, 1, 3)],
    blocks=ONE_BLOCK,
    choices=PLAIN,
    accept_all=False,
)
@example(  # Stale bytes of the shadow bring a poison value back after a reset.
    rows=[
        register("features", 1 << Feature.PAGE_POISON),
        config_write(12, 4, 0xAAAAAAAA),
        register("reset"),
        register("features", 1 << Feature.PAGE_POISON),
        report(0, 1),
        config_write(4, 4, 0),
        report(0, 1),
    ],
    blocks=ONE_BLOCK,
    choices=PLAIN,
    accept_all=False,
)
def test_the_kernels_equal_the_naive_model(rows, blocks, choices, accept_all):
    """Every row's outcome and page counts, the row where it stops, and the final memory."""
    rows = acceptable(rows, blocks) if accept_all else rows
    result = run_rows(rows, blocks, **choices)
    expected, machine = naive_ledger(rows, blocks, **choices)

    assert result.ledger == expected
    assert result.stopped_at == (OK if len(expected) == len(rows) else len(expected))
    for state, pages in (
        (PageState.RESIDENT, machine.resident),
        (PageState.SWAPPED, machine.swapped),
        (PageState.ZERO_PAGE, machine.zero),
    ):
        found = set(np.flatnonzero(page_states(result.host) == state).tolist())
        assert found == {blocks[page[0]]["start"] + page[1] for page in pages}
    assert result.host.totals[HELD_PAGES] == machine.held()


@given(rows=ROWS, blocks=machines(), choices=CHOICES)
def test_pages_held_are_pages_backed_minus_pages_given_back(rows, blocks, choices):
    """At every event: the deltas add up to what is there, and no page is in two places."""
    kept = acceptable(rows, blocks)
    for count in range(0, len(kept) + 1, 5):
        result = run_rows(kept[:count], blocks, **choices)
        states = page_states(result.host)

        assert sum(row[2] for row in result.ledger) == (states == PageState.RESIDENT).sum()
        assert sum(row[3] for row in result.ledger) == (states == PageState.SWAPPED).sum()
        assert result.host.totals[RESIDENT_PAGES] == (states == PageState.RESIDENT).sum()
        assert result.host.totals[SWAPPED_PAGES] == (states == PageState.SWAPPED).sum()
        assert result.host.totals[HELD_PAGES] >= result.host.totals[RESIDENT_PAGES]


@given(rows=ROWS, cut=st.integers(0, 30), choices=CHOICES)
def test_the_past_does_not_depend_on_the_future(rows, cut, choices):
    """The ledger of the first rows is the first rows of the ledger."""
    whole = run_rows(rows, ONE_BLOCK, **choices)
    part = run_rows(rows[:cut], ONE_BLOCK, **choices)

    assert part.ledger == whole.ledger[: len(part.ledger)]
    assert len(part.ledger) == min(cut, len(whole.ledger))


@given(rows=ROWS, blocks=machines(), choices=CHOICES)
def test_equal_inputs_give_equal_bytes(rows, blocks, choices):
    """Two runs leave the same ledger and the same arrays."""
    one, other = run_rows(rows, blocks, **choices), run_rows(rows, blocks, **choices)

    assert one.ledger == other.ledger
    for mine, yours in zip(one.host, other.host, strict=True):
        assert mine.tobytes() == yours.tobytes()


@given(rows=ROWS, blocks=machines())
def test_a_poison_value_never_leaves_less_memory(rows, blocks):
    """Without discards of reports a guest holds at every event at least what it holds with them.

    Evidence of what the host allocated is left out: it belongs to the run it was captured in.
    """
    kept = [
        row if row[0] != "fault" else (*row[:3], -1, row[4] & FaultFlag.WRITE, *row[5:])
        for row in acceptable(rows, blocks)
        if row[0] in {"fault", "report"}
    ]
    normal = run_rows(kept, blocks).ledger
    poisoned = run_rows(kept, blocks, always_poison=0xAAAAAAAA).ledger

    assert not any(row[0] == "discarded" for row in poisoned)
    for one, other in zip(
        itertools.accumulate(row[2] for row in normal),
        itertools.accumulate(row[2] for row in poisoned),
        strict=True,
    ):
        assert one <= other


ALPHABET = [
    fault(0),
    fault(1, 1),
    fault(2, 0, 0),
    fault(3, HUGE_PAGE_PAGES),
    fault(1, 1, int(FaultFlag.WRITE | FaultFlag.SWAP_IN)),
    report(0, 4),
    report(1, 1),
    inflate(2, 2),
    swap_out(0, 4),
    swap_out(1, 1),
]


def test_every_trace_of_four_events_equals_the_naive_model():
    """All of them over one huge page, with and without empty page tables being freed."""
    blocks = lay_out([block(4)])
    for rows in itertools.product(ALPHABET, repeat=3):
        for frees_tables in (False, True):
            probe = (*rows, fault(0))  # Shows how the block was left mapped.
            expected, _ = naive_ledger(probe, blocks, frees_tables=frees_tables)
            assert run_rows(probe, blocks, frees_tables=frees_tables).ledger == expected
