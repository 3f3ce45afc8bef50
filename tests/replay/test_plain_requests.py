"""Plain requests against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.naive.naive_curve import naive_curve
from workbench.errors import UsageError
from workbench.replay import lru_counts, lru_hits
from workbench.replay.plain_requests import _scattered


@pytest.mark.parametrize("keeps_copies", [False, True])
def test_plain_requests_are_counted_as_brute_force_counts_them(keeps_copies):
    generator = np.random.default_rng(3)
    page = np.minimum(generator.geometric(0.05, 3000) - 1, 99)
    is_write = generator.random(3000) < 0.3
    is_discard = generator.random(3000) < 0.1

    counts = lru_counts(
        page, is_write=is_write, is_discard=is_discard, page_count=100, keeps_copies=keeps_copies
    )

    words = np.where(is_discard, "discard", np.where(is_write, "write", "touch"))
    uses = [(str(word), int(number), 1) for word, number in zip(words, page, strict=True)]
    sizes = (1, 2, 7, 30, 60, 99, 100)
    expected = naive_curve(uses, sizes=sizes, keeps_copies=keeps_copies)
    assert [
        (int(counts.swap_in_pages[size - 1]), 0, int(counts.swap_out_pages[size - 1]), 0)
        for size in sizes
    ] == expected


REQUESTS = st.lists(st.tuples(st.integers(0, 11), st.booleans()), max_size=60)


@settings(max_examples=200, deadline=None)
@given(requests=REQUESTS, memory_pages=st.integers(1, 13))
def test_hits_of_one_size_are_what_all_sizes_say(requests, memory_pages):
    """A touch that is no hit is the first of its page since a discard, or read from swap."""
    page = np.array([page for page, _ in requests], np.int64)
    is_discard = np.array([discards for _, discards in requests], np.bool_)
    there: set[int] = set()
    first_touches = 0
    for number, discards in requests:
        first_touches += not discards and number not in there
        there.discard(number) if discards else there.add(number)

    hits = lru_hits(page, memory_pages=memory_pages, is_discard=is_discard, page_count=12)

    counts = lru_counts(page, is_discard=is_discard, page_count=12)
    reads = int(counts.swap_in_pages[min(memory_pages, 12) - 1])
    assert hits == (~is_discard).sum() - first_touches - reads


def test_without_discards_none_need_be_given():
    page = np.array([0, 1, 0, 2, 0, 1])

    assert lru_hits(page, memory_pages=2) == 2
    assert lru_hits(page, memory_pages=3) == 3
    assert lru_hits([], memory_pages=1) == 0


def test_a_host_without_memory_is_refused():
    with pytest.raises(UsageError, match="memory_pages is 0"):
        lru_hits([1], memory_pages=0)


@pytest.mark.parametrize(
    ("page", "options", "said"),
    [
        ([0.5], {}, "float64 of 1 dimensions"),
        ([[1]], {}, "2 dimensions"),
        ([-1, 3], {}, "pages are -1 to 3, expected 0 to 3"),
        ([1, 9], {"page_count": 9}, "pages are 1 to 9, expected 0 to 8"),
    ],
)
def test_plain_requests_that_cannot_be_are_refused(page, options, said):
    with pytest.raises(UsageError, match=said):
        lru_counts(page, **options)


def test_no_requests_swap_nothing():
    counts = lru_counts(np.array([], np.int64), page_count=3)

    assert counts.moved_pages.tolist() == [0, 0, 0]
    assert counts.pages_for(0) == 1


def zipf(generator, page_count, size):
    share = np.cumsum(1 / np.arange(1, page_count + 1))
    rank = np.searchsorted(share, generator.random(size) * share[-1])
    return generator.permutation(page_count)[rank]


@pytest.mark.parametrize("keeps_copies", [False, True])
def test_a_sixteenth_of_all_pages_says_nearly_the_same(keeps_copies):
    generator = np.random.default_rng(7)
    page_count = 1 << 15
    page = zipf(generator, page_count, 300_000)
    options = {
        "is_write": generator.random(page.size) < 0.3,
        "is_discard": generator.random(page.size) < 0.05,
        "page_count": page_count,
        "keeps_copies": keeps_copies,
    }

    exact = lru_counts(page, **options)
    sampled = lru_counts(page, **options, followed_pages=page_count // 16)

    assert sampled.step_pages == 16
    assert sampled.swap_in_pages.size == page_count // 16
    at = np.arange(16, page_count + 1, 16) - 1
    for name in ("swap_in_pages", "swap_out_pages"):
        difference = getattr(sampled, name) - getattr(exact, name)[at]
        assert np.abs(difference).mean() / page.size < 0.02


@settings(max_examples=50, deadline=None)
@given(requests=REQUESTS, followed_pages=st.integers(12, 100))
def test_where_all_pages_are_followed_nothing_is_scaled(requests, followed_pages):
    page = np.array([page for page, _ in requests], np.int64)
    is_discard = np.array([discards for _, discards in requests], np.bool_)

    exact = lru_counts(page, is_discard=is_discard, page_count=12)
    followed = lru_counts(page, is_discard=is_discard, page_count=12, followed_pages=followed_pages)

    assert followed.step_pages == 1
    assert (followed.swap_in_pages[:12] == exact.swap_in_pages).all()
    assert (followed.swap_out_pages[:12] == exact.swap_out_pages).all()


def test_no_page_shares_its_number_with_another():
    for bits in (1, 2, 3, 8, 11):
        assert len(set(_scattered(np.arange(1 << bits), bits).tolist())) == 1 << bits


def test_nobody_can_follow_no_page():
    with pytest.raises(UsageError, match="followed_pages is 0"):
        lru_counts([1], followed_pages=0)


@pytest.mark.parametrize("page_count", [(1 << 15) - 1, 1 << 15, (1 << 15) + 1])
def test_about_as_many_pages_are_followed_as_are_asked_for(page_count):
    page = np.arange(page_count)

    counts = lru_counts(page, page_count=page_count, followed_pages=1000)

    assert counts.step_pages == pytest.approx(page_count / 1000, rel=0.01)
    assert counts.swap_in_pages.size * counts.step_pages == pytest.approx(page_count, rel=0.01)
    assert counts.swap_out_pages[0] == pytest.approx(page_count, rel=0.15)
