"""The frame table says of every frame what a dictionary of all frames says."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from tests.naive.naive_frames import NaiveFrames
from workbench.capture.frames import FrameTable
from workbench.units import PAGE_BYTES

HUGE = 512
FRAMES = st.integers(0, 2).flatmap(
    lambda huge: st.sampled_from([huge * HUGE + small for small in (0, 1, 7, 511)])
)
PAGES = FRAMES

OPERATIONS = st.one_of(
    st.tuples(st.just("put huge"), st.sampled_from([0, HUGE, 2 * HUGE]), PAGES),
    st.tuples(st.just("put"), FRAMES, PAGES),
    st.tuples(st.just("forget"), PAGES, st.sampled_from([1, 8, HUGE, HUGE + 3])),
    st.tuples(st.just("take"), FRAMES, st.just(0)),
)


@given(operations=st.lists(OPERATIONS, max_size=12))
@example(operations=[("put huge", 0, 3), ("take", 1, 0), ("take", 0, 0), ("take", 2, 0)])
@example(operations=[("put huge", 0, 0), ("put huge", HUGE, 0), ("take", 0, 0)])
@example(  # A frame that a page left belongs to somebody else when it goes to swap.
    operations=[("put", 0, 7), ("forget", 7, 1), ("put", HUGE, 7), ("take", 0, 0)]
)
def test_the_table_equals_a_dictionary_of_all_frames(
    operations: list[tuple[str, int, int]],
) -> None:
    """Whatever is put, discarded and swapped out, the same pages leave with the same frames."""
    table, naive = FrameTable(), NaiveFrames()
    for word, first, second in operations:
        if word.startswith("put"):
            is_huge = word == "put huge"
            table.put(first, 9 if is_huge else 0, 0, 0, second * PAGE_BYTES)
            naive.put(first, is_huge, second)
        elif word == "forget":
            table.forget(0, 0, first * PAGE_BYTES, second * PAGE_BYTES)
            naive.forget(first, first + second)
        else:
            place = table.take(first)
            expected = naive.take(first)
            pages = [] if place is None else [place.offset_bytes // PAGE_BYTES]
            if place is not None and place.length_bytes > PAGE_BYTES:
                pages = list(range(pages[0], pages[0] + place.length_bytes // PAGE_BYTES))
            assert expected == pages


def test_guests_do_not_share_pages() -> None:
    """A discard of one guest leaves another's huge page at the same offset alone."""
    table = FrameTable()
    table.put(0, 9, 0, 0, 0)
    table.put(HUGE, 9, 1, 0, 0)

    table.forget(0, 0, PAGE_BYTES, PAGE_BYTES)

    assert [place.length_bytes for frame in (0, HUGE) if (place := table.take(frame))] == [
        PAGE_BYTES,
        HUGE * PAGE_BYTES,
    ]
