"""The kernel of a migration against the naive model, and the laws that both obey."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.naive.naive_precopy import migrate
from workbench.model import precopy

PAGES = 12
WORDS = {
    "written": precopy.WRITTEN,
    "hinted": precopy.HINTED,
    "discarded": precopy.DISCARDED,
    "asked": precopy.ASKED,
    "completed": precopy.COMPLETED,
}
RANGES = st.tuples(st.integers(0, PAGES), st.integers(0, PAGES)).map(sorted)
STEPS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(sorted(set(WORDS) - {"completed"})), RANGES),
    max_size=12,
)
LIMITS = st.tuples(st.integers(1, 10), st.integers(1, 40), st.just(10), st.just(1))
SETS = st.sets(st.integers(0, PAGES - 1))


def in_order(steps, *, completes=True):
    """Put the steps in the order of time, and an end behind them."""
    ordered = sorted(steps, key=lambda step: step[0])
    last = ordered[-1][0] if ordered else 0
    return [*ordered, (last + 1, "completed", [0, 0])] if completes else ordered


def as_array(pages):
    """Whether each page is in the set."""
    return np.isin(np.arange(PAGES), list(pages))


def run(present, zeros, steps, limit, *, clears=False):
    """Run the kernel; give its state."""
    columns = precopy.PrecopySteps(
        time_ns=np.array([time for time, _, _ in steps], np.int64),
        kind=np.array([WORDS[word] for _, word, _ in steps], np.int8),
        first=np.array([first for _, _, (first, _) in steps], np.int64),
        stop=np.array([stop for _, _, (_, stop) in steps], np.int64),
    )
    state = precopy.new_precopy(as_array(present), as_array(zeros))
    precopy.run_precopy(columns, precopy.PrecopyConstants(*limit, clears), state)
    return state


@given(present=SETS, zeros=SETS, steps=STEPS, limit=LIMITS, choices=st.tuples(*2 * [st.booleans()]))
def test_the_kernel_sends_what_the_naive_model_sends(present, zeros, steps, limit, choices):
    clears, completes = choices
    steps = in_order(steps, completes=completes)
    # Nothing happens to memory that the machine does not have.
    steps = [step for step in steps if set(range(*step[2])) <= present]
    state = run(present, zeros, steps, limit, clears=clears)
    sent = migrate(
        present,
        zeros,
        [(time, word, set(range(*pages))) for time, word, pages in steps],
        limit,
        clears=clears,
    )

    assert state.totals[precopy.FULL_PAGES] == sum(not zero for _, zero in sent)
    assert state.totals[precopy.ZERO_PAGES] == sum(zero for _, zero in sent)
    assert set(np.flatnonzero(state.is_sent)) == {page for page, _ in sent}
    assert state.totals[precopy.MARKED_PAGES] == state.is_marked.sum()


@given(present=SETS, steps=STEPS, limit=LIMITS)
def test_without_hints_every_page_is_sent(present, steps, limit):
    steps = [step for step in in_order(steps) if step[1] != "hinted"]
    steps = [step for step in steps if set(range(*step[2])) <= present]
    state = run(present, set(), steps, limit)

    assert set(np.flatnonzero(state.is_sent)) == present


@given(present=SETS, steps=STEPS, limit=LIMITS)
def test_what_is_left_unsent_was_hinted(present, steps, limit):
    steps = [step for step in in_order(steps) if set(range(*step[2])) <= present]
    state = run(present, set(), steps, limit)
    hinted = {page for _, word, pages in steps if word == "hinted" for page in range(*pages)}

    assert present - set(np.flatnonzero(state.is_sent)) <= hinted


def test_a_page_that_was_written_is_sent_again_when_qemu_has_asked():
    """Two pages at once, one of them again; a hint for the other comes too late."""
    steps = [
        (1, "written", [0, 1]),
        (2, "hinted", [1, 2]),
        (3, "asked", [0, 0]),
        (4, "completed", [0, 0]),
    ]
    state = run({0, 1}, set(), steps, (100, 1000, 10, 1))

    assert state.totals[precopy.FULL_PAGES] == 3
    assert state.totals[precopy.ZERO_PAGES] == 0


def test_the_limit_holds_pages_back_until_a_hint_comes():
    """A page of 10 bytes is all that an interval of 100 ns allows; the hint comes in the first."""
    state = run({0, 1, 2}, {2}, [(50, "hinted", [1, 2])], (100, 5, 10, 1))
    assert list(state.is_sent[:3]) == [True, False, False]

    steps = [(50, "hinted", [1, 2]), (150, "asked", [0, 0])]
    state = run({0, 1, 2}, {2}, steps, (100, 5, 10, 1))
    assert list(state.is_sent[:3]) == [True, False, True]
    assert state.totals[precopy.WINDOW_BYTES] == 1
