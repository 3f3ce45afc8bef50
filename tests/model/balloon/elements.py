"""Hypothesis strategies for what drivers report: ranges at every kind of border, in elements.

At most five elements of six descriptors, so that all fit into the reporting queue at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.model.balloon.guest import (
    HOLE,
    HUGE,
    PAGE,
    RAM_STOP,
    ROM,
    ROM_STOP,
    SEAM,
    TOP,
)
from workbench.units import HUGE_PAGE_BYTES, PAGE_BYTES

Descriptor = tuple[int, int, int]
"""Address, length, and 1 where the device may write."""


class Element(NamedTuple):
    """One chain, in the ring or in a table of its own."""

    descriptors: tuple[Descriptor, ...]
    indirect: int


def weighted(*choices: tuple[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Choose by weight; `one_of` counts a strategy once, however often it is named."""
    entries = [strategy for weight, strategy in choices for _ in range(weight)]
    return st.integers(0, len(entries) - 1).flatmap(entries.__getitem__)


def _near(
    borders: list[int], lengths: st.SearchStrategy[int], extra: list[int]
) -> st.SearchStrategy[tuple[int, int]]:
    """Ranges that begin some pages before or behind a border."""
    addresses = st.builds(
        lambda border, pages, more: (border + pages * PAGE_BYTES + more) % TOP,
        st.sampled_from(borders),
        st.integers(-3, 1),
        st.sampled_from(extra),
    )
    return st.tuples(addresses, lengths)


_PAGES = st.integers(1, 4).map(lambda pages: pages * PAGE_BYTES)
_ODD = st.sampled_from([0x800, 3 * 0x800, PAGE_BYTES + 100, PAGE_BYTES - 1, 100, 1])
_HUGE = st.sampled_from([HUGE_PAGE_BYTES, HUGE_PAGE_BYTES, 2 * HUGE_PAGE_BYTES])

MEMORY = _near([PAGE + 16 * PAGE_BYTES, PAGE + 20 * PAGE_BYTES], _PAGES, [0, 0, 0, 0x800])
SPLIT = _near([SEAM], _PAGES, [0, 0, 0, 1])
UNALIGNED = _near([PAGE + 16 * PAGE_BYTES, SEAM], _ODD, [0, 0x800, 1])
HUGE_PAGES = st.tuples(st.sampled_from([HUGE, HUGE, HUGE + HUGE_PAGE_BYTES]), _HUGE)
HUGE_PARTS = _near([HUGE + HUGE_PAGE_BYTES], st.one_of(_PAGES, _HUGE), [0])
NOWHERE = _near([ROM, ROM_STOP, HOLE, HUGE, RAM_STOP, TOP], _PAGES, [0, 0, 0x800])
NOTHING = st.tuples(st.just(PAGE), st.just(0))

RANGES = weighted(
    (14, MEMORY),
    (6, SPLIT),
    (5, UNALIGNED),
    (5, HUGE_PAGES),
    (2, HUGE_PARTS),
    (4, NOWHERE),
    (1, NOTHING),
)
"""None of them reaches the driver's own memory."""
DESCRIPTORS = st.builds(
    lambda place, writable: (*place, writable), RANGES, st.sampled_from([1, 1, 1, 1, 1, 0])
)


def _readable_first(descriptors: list[Descriptor]) -> tuple[Descriptor, ...]:
    return tuple(sorted(descriptors, key=lambda descriptor: descriptor[2]))


_CHAINS = st.lists(DESCRIPTORS, min_size=1, max_size=6)
ELEMENTS = st.builds(
    Element,
    weighted((9, _CHAINS.map(_readable_first)), (1, _CHAINS.map(tuple))),
    st.sampled_from([0, 1]),
)
REPORTS = st.lists(ELEMENTS, min_size=1, max_size=5)
