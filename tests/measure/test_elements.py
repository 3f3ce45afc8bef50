"""Elements of the reporting queue are counted once each, in little memory."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from workbench.measure.elements import Elements

LOWEST, HIGHEST = -(2**63), 2**63 - 1
NUMBER = st.one_of(st.integers(-1, 12), st.sampled_from([LOWEST, LOWEST + 1, HIGHEST - 1, HIGHEST]))


@given(batches=st.lists(st.lists(NUMBER, max_size=12), max_size=6))
@example(batches=[[LOWEST], [LOWEST], [HIGHEST], [LOWEST]])
@example(batches=[[1, 3], [2], [0, 4]])
def test_the_count_is_that_of_a_set(batches):
    elements = Elements()
    for batch in batches:
        elements.add(np.array(batch, np.int64))

    assert len(elements) == len({number for batch in batches for number in batch})


def test_what_a_capture_numbers_takes_one_run():
    """Each element has three ranges; a batch may end between them."""
    elements = Elements()
    for batch in np.array_split(np.repeat(np.arange(50_000), 3), 100):
        elements.add(batch)

    assert len(elements) == 50_000
    assert elements._first.tolist() == [0]


def test_a_gap_takes_a_run_until_it_is_filled():
    elements = Elements()
    elements.add(np.array([0, 1, 2, 7, 8]))
    assert elements._first.tolist() == [0, 7]

    elements.add(np.array([6, 3, 5, 4]))
    assert (len(elements), elements._first.tolist(), elements._last.tolist()) == (9, [0], [8])
