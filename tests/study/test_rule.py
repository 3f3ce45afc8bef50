"""How long a free takes to leave, by the rule: against Linux's allocator as the model has it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import UsageError
from workbench.model.guest import Demand, GuestConstants, new_guest, new_placed, place_demand
from workbench.study.rule import drain_seconds
from workbench.trace import Reporting
from workbench.units import GIB, MIB, NANOSECONDS, PAGE_BYTES

LINUX = Reporting(order=9, delay_ns=2 * NANOSECONDS, capacity=32)


def seconds_of_allocator(freed_pages, reporting, *shares):
    """Free pages of a guest in which all others are in use, and wait for these shares of them."""
    delay = reporting.delay_ns
    constants = GuestConstants(
        zone_first=np.array([0], np.int64),
        zone_stop=np.array([freed_pages], np.int64),
        low_watermark_pages=np.array([0], np.int64),
        reporting_order=reporting.order,
        reporting_delay_ns=delay,
        reporting_capacity=reporting.capacity,
        follows_touches=False,
    )
    guest = new_guest(freed_pages, constants)
    placed = new_placed(freed_pages)
    rows = np.zeros((freed_pages, 3), np.int64)
    rows[:, 2] = np.arange(freed_pages)
    demand = Demand(rows[:, 0], rows[:, 1].astype(np.int8), rows[:, 2], rows[:, 2], rows[:, 0] - 1)
    count = place_demand(demand, 40 * delay, constants, guest, placed)
    reported = np.cumsum(placed.page_count[:count])
    found = []
    for share in shares:
        enough = np.flatnonzero(reported >= share * freed_pages)
        found.append(placed.time_ns[enough[0]] / NANOSECONDS if enough.size else math.inf)
    return found


def test_an_idle_guest_of_32_gib_needs_16_passes():
    drained = drain_seconds(32 * GIB, LINUX, free_bytes=32 * GIB, share=1)

    assert drained == 16 * 2
    assert drain_seconds(32 * GIB, LINUX, free_bytes=32 * GIB) == 14 * 2


def test_a_gib_is_four_passes_in_a_guest_that_has_nothing_else_and_one_where_much_is_free():
    """256 blocks of 4 MiB, of which a pass takes two reports of 32."""
    assert drain_seconds(GIB, LINUX, free_bytes=GIB) == 8
    assert drain_seconds(GIB, LINUX, free_bytes=32 * GIB) == 2


@pytest.mark.parametrize(
    ("order", "capacity"), [(9, 32), (9, 1), (0, 32), (10, 7), (5, 64), (9, 100)]
)
def test_a_gib_takes_the_allocator_as_long(order, capacity):
    reporting, shares = Reporting(order, 2 * NANOSECONDS, capacity), (0.5, 0.9, 1)
    by_rule = [drain_seconds(GIB, reporting, free_bytes=GIB, share=share) for share in shares]

    assert by_rule == seconds_of_allocator(GIB // PAGE_BYTES, reporting, *shares)


@settings(max_examples=30)
@given(
    mib=st.integers(64, 200),
    odd_pages=st.integers(0, 511),
    order=st.integers(0, 4),
    capacity=st.integers(1, 16),
)
def test_any_size_takes_the_allocator_as_long(mib, odd_pages, order, capacity):
    """Pages that do not fill a block of 4 MiB lie on the shorter lists."""
    pages = mib * MIB // PAGE_BYTES + odd_pages
    reporting = Reporting(order, NANOSECONDS, capacity)
    size = pages * PAGE_BYTES
    by_rule = drain_seconds(size, reporting, free_bytes=size)

    assert [by_rule] == seconds_of_allocator(pages, reporting, 0.9)


@given(
    blocks=st.integers(64, 1024),
    order=st.integers(0, 10),
    delay_ms=st.integers(1, 10_000),
    capacity=st.integers(1, 16),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_the_delay_is_a_factor_and_more_is_never_sooner(blocks, order, delay_ms, capacity, shares):
    reporting = Reporting(order, delay_ms * 1_000_000, capacity)
    size = blocks * 4 * MIB
    less, more = (
        drain_seconds(size, reporting, free_bytes=size, share=share) for share in sorted(shares)
    )
    twice = reporting._replace(delay_ns=2 * reporting.delay_ns)

    assert less <= more <= 17 * delay_ms / 1000
    assert drain_seconds(size, twice, free_bytes=size, share=max(shares)) == pytest.approx(2 * more)


def test_what_is_too_small_to_be_reported_never_drains():
    assert drain_seconds(MIB, LINUX, free_bytes=GIB) == math.inf
    assert drain_seconds(3 * MIB, LINUX, free_bytes=GIB, share=0.6) == 2
    assert drain_seconds(3 * MIB, LINUX, free_bytes=GIB) == math.inf


@given(pages=st.integers(0, 5), rest=st.integers(0, PAGE_BYTES - 1))
def test_a_part_of_a_page_keeps_nothing_from_draining(pages, rest):
    every_page = LINUX._replace(order=0)
    drained = drain_seconds(pages * PAGE_BYTES + rest, every_page, free_bytes=GIB, share=1)

    assert drained == (2 if pages else 0)


def test_where_little_is_free_a_report_cannot_be_isolated():
    """512 blocks of 2 MiB are a GiB: Linux wants more than that to be free."""
    large = LINUX._replace(capacity=512)

    assert drain_seconds(GIB, large, free_bytes=GIB) == math.inf
    assert drain_seconds(GIB, large, free_bytes=4 * GIB) == 2


def test_nothing_is_drained_at_once():
    assert drain_seconds(0, LINUX, free_bytes=GIB) == 0
    assert drain_seconds(GIB, LINUX, free_bytes=GIB, share=0) == 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"freed_bytes": -1}, "freed_bytes is -1"),
        ({"freed_bytes": 2 * GIB}, "expected 0 to what is free then"),
        ({"reporting": LINUX._replace(order=11)}, "order is 11, expected 0 to 10"),
        ({"reporting": LINUX._replace(capacity=0)}, "capacity is 0"),
        ({"share": 1.1}, "share is 1"),
    ],
)
def test_what_cannot_be_is_refused(changes, says):
    asked = {"freed_bytes": GIB, "reporting": LINUX, "free_bytes": GIB} | changes
    with pytest.raises(UsageError, match=says):
        drain_seconds(**asked)
