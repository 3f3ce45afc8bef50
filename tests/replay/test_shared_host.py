"""Guests of several traces on one host, each under its own settings."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.naive.naive_shared_host import naive_shared_host
from tests.synthetic import (
    POISONED,
    REPORTED,
    TWO_BLOCKS,
    inflate,
    machine,
    started,
    touch,
    trace,
)
from workbench.errors import HostError, UnidentifiableError, UsageError
from workbench.measure import metrics
from workbench.replay import (
    Begun,
    Device,
    Guest,
    Host,
    Outcome,
    Settings,
    SharedHost,
    guest_requests,
    replay,
    together,
)
from workbench.schema import Kind
from workbench.trace import read_trace
from workbench.units import GIB, MIB, NANOSECONDS, PAGE_BYTES

TRACES = Path(__file__).parents[2] / "traces"
AS_CAPTURED = Settings()
WITHOUT_REPORTING = Settings(device=Device(free_page_reporting=False))
INHIBITED = Settings(device=Device(discard_inhibited=True))
AMPLE = Host(memory_bytes=64 * GIB)


def bundled(name):
    return read_trace(TRACES / f"{name}.trace")


def shared(guests, host, **options):
    """A host with guests of (trace, settings, shift), and all that it did."""
    known = {}
    for one, under, _ in guests:
        known.setdefault((one, under), guest_requests(one, under))
    begun = [Begun(known[one, under], shift_ns) for one, under, shift_ns in guests]
    served = SharedHost(begun, host, **options)
    return served, list(served.serve())


MOVED = ("time_ns", "vm", "kind", "ram_block", "offset_bytes", "length_bytes", "status")


def moves(parts):
    """All of it, row by row."""
    columns = [np.concatenate([part.columns[name] for part in parts]) for name in MOVED]
    return list(zip(*(column.tolist() for column in columns), strict=True))


def moves_of(run):
    """The same of a replay."""
    rows = np.isin(run.columns["kind"], (Kind.FAULT, Kind.SWAP_OUT, Kind.READ_AHEAD))
    columns = [run.columns[name][rows] for name in MOVED]
    return list(zip(*(column.tolist() for column in columns), strict=True))


def outcomes(parts):
    """How many pages came to which outcome."""
    found = Counter()
    for part in parts:
        for outcome in Outcome:
            rows = part.ledger.outcome == outcome
            found[outcome] += int(np.abs(part.ledger.resident_delta_pages[rows]).sum())
    return found


@pytest.mark.parametrize(
    ("name", "under"),
    [("churn-on", AS_CAPTURED), ("churn-on", INHIBITED), ("pressure-order0", WITHOUT_REPORTING)],
)
@pytest.mark.parametrize("swap", ["zram", "disk"])
def test_the_host_does_what_a_replay_of_the_traces_together_does(name, under, swap):
    """Move by move, where all guests have the same settings."""
    one, shifts_ns = bundled(name), (0, 9 * NANOSECONDS)
    host = Host(memory_bytes=450 * MIB, swap=swap)
    run = replay(together([one, one], shifts_ns), settings=under.model_copy(update={"host": host}))

    served, parts = shared([(one, under, shift_ns) for shift_ns in shifts_ns], host)

    assert moves(parts) == moves_of(run)
    assert outcomes(parts)[Outcome.SWAPPED_OUT] > 0
    assert sum(part.free_events for part in parts) == (run.columns["kind"] == Kind.FREE).sum()
    assert set(served.notes) == set(run.identifiable.notes)


@pytest.mark.parametrize("at_once", [1, 100, 10_000])
def test_how_many_requests_are_served_at_once_does_not_matter(at_once):
    one = trace([*REPORTED, *(touch(5 + n / 8, n * PAGE_BYTES, PAGE_BYTES) for n in range(9))])
    guests = [(one, AS_CAPTURED, shift_ns) for shift_ns in (0, 0, NANOSECONDS)]
    host = Host(memory_bytes=4 * MIB)

    whole, pieces = (shared(guests, host, requests_at_once=n)[1] for n in (1 << 20, at_once))

    assert moves(pieces) == moves(whole)
    assert len(pieces) >= len(whole)


@pytest.mark.parametrize("host", [Host(memory_bytes=600 * MIB), AMPLE])
def test_each_guest_has_its_own_settings(host):
    """One whose discards are inhibited keeps what the other gives back."""
    one = bundled("churn-on")
    both, one_of_two, none = (
        outcomes(shared([(one, first, 0), (one, second, NANOSECONDS)], host)[1])
        for first, second in (
            (AS_CAPTURED, AS_CAPTURED),
            (AS_CAPTURED, INHIBITED),
            (INHIBITED, INHIBITED),
        )
    )

    assert both[Outcome.REFAULT] > one_of_two[Outcome.REFAULT] > none[Outcome.REFAULT] == 0
    if host is AMPLE:
        assert 2 * one_of_two[Outcome.REFAULT] == both[Outcome.REFAULT]
        assert none[Outcome.SWAPPED_OUT] == both[Outcome.SWAPPED_OUT] == 0
    else:
        swapped = [each[Outcome.SWAPPED_OUT] for each in (both, one_of_two, none)]
        assert swapped == sorted(swapped)
        assert swapped[0] < swapped[2]


def test_two_of_one_trace_swap_as_two_that_were_captured_on_one_host():
    """From a capture at order 0, placed at the order at which the two guests reported.

    Each is 1 % larger at its peak than a live one (docs/validation.md), whatever the host has.
    """
    captured = bundled("staircase-two-guests")
    at_order_9 = Settings(guest=Guest(reporting_order=9))
    guests = [(bundled("staircase-order0"), at_order_9, 0)] * 2
    for memory in (600 * MIB, 300 * MIB):
        host = Host(memory_bytes=memory, swap="zram")

        found = outcomes(shared(guests, host)[1])[Outcome.SWAPPED_OUT]

        expected = metrics(replay(captured, host=host))["swap_out_pages"]["value"]
        assert found == pytest.approx(expected, rel=0.06)


SMALL = [trace(rows, machines=[started()]) for rows in (REPORTED, POISONED, TWO_BLOCKS)]
GUESTS = st.lists(
    st.tuples(
        st.sampled_from(SMALL),
        st.sampled_from([AS_CAPTURED, INHIBITED]),
        st.integers(0, 20 * NANOSECONDS),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=40)
@given(guests=GUESTS)
def test_with_ample_memory_guests_together_do_what_they_do_alone(guests):
    _, parts = shared(guests, AMPLE)

    alone = [shared([(one, under, 0)], AMPLE)[1] for one, under, _ in guests]
    expected = sorted(
        (time_ns + shift_ns, vm, *rest)
        for vm, ((_, _, shift_ns), own) in enumerate(zip(guests, alone, strict=True))
        for time_ns, _, *rest in moves(own)
    )
    assert sorted(moves(parts)) == expected
    assert outcomes(parts)[Outcome.SWAPPED_OUT] == 0


def happen_apart(guests):
    """Tell whether no two guests do anything at once: all of it is on tenths of seconds."""
    return len({shift_ns % (NANOSECONDS // 10) for *_, shift_ns in guests}) == len(guests)


@settings(max_examples=40)
@given(guests=GUESTS.filter(happen_apart))
def test_the_order_of_the_guests_does_not_matter(guests):
    """Where no two things happen at once."""
    host = Host(memory_bytes=4 * MIB)

    _, there = shared(guests, host)
    _, back = shared(guests[::-1], host)

    assert outcomes(there) == outcomes(back)


PLAIN = machine(
    ram_blocks=(machine().ram_blocks[0].model_copy(update={"transparent_huge_page": False}),)
)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 5_000), st.sampled_from(["touch"] * 5 + ["discard"]), st.integers(0, 700)
    ),
    min_size=1,
    max_size=120,
)


def of_one_page_each(events):
    """A trace of a guest that touches pages and gives some back; and what the twin takes."""
    in_order = sorted(events, key=lambda one: one[0])
    make = {
        "touch": lambda seconds, offset: touch(seconds, offset, PAGE_BYTES),
        "discard": inflate,
    }
    rows = [make[kind](time / 1000, page * PAGE_BYTES) for time, kind, page in in_order]
    return trace(rows, machines=[PLAIN]), in_order


def all_of(first, count, begin=0):
    return [(begin, "touch", page) for page in range(first, first + count)]


@settings(max_examples=60)
@given(
    guests=st.lists(st.tuples(EVENTS, st.integers(0, 4_000)), min_size=1, max_size=4),
    at_once=st.sampled_from([40, 1 << 20]),
)
@example(guests=[(all_of(0, 400), 0), (all_of(0, 400), 500)], at_once=1 << 20)
@example(guests=[(all_of(0, 300) + all_of(0, 300, 9), 0), (all_of(9, 400, 3), 1)], at_once=40)
def test_a_host_that_knows_every_access_swaps_as_a_naive_merge_says(guests, at_once):
    """With least memory a host can have, which is a huge page; and with enough for all."""
    made = [(*of_one_page_each(events), begin) for events, begin in guests]
    naive = [(begin, events) for _, events, begin in made]
    for size in (512, 4_000):
        host = Host(memory_bytes=size * PAGE_BYTES, reclaim="least-recent", swap="zram")
        begun = [(one, AS_CAPTURED, begin * 1_000_000) for one, _, begin in made]

        found = outcomes(shared(begun, host, requests_at_once=at_once)[1])

        names = (Outcome.SWAPPED_IN, Outcome.SWAPPED_OUT, Outcome.FIRST_TOUCH, Outcome.REFAULT)
        expected = naive_shared_host(naive, size=size)
        assert tuple(found[name] for name in names) == expected


@settings(max_examples=30)
@given(
    events=EVENTS.map(
        lambda events: list({time: (time, *rest) for time, *rest in events}.values())
    ),
    count=st.integers(2, 3),
)
@example(events=[(n, "touch", n * 7 % 640) for n in range(2_000)], count=3)
def test_guests_that_do_the_same_at_once_swap_as_one_does_that_has_its_part(events, count):
    """So many times as much, to the page: with exact recency they keep out of each other's way."""
    one, _ = of_one_page_each(events)

    alone, several = (
        outcomes(
            shared(
                [(one, AS_CAPTURED, 0)] * guests,
                Host(memory_bytes=guests * 512 * PAGE_BYTES, reclaim="least-recent"),
            )[1]
        )
        for guests in (1, count)
    )

    assert several == {outcome: count * pages for outcome, pages in alone.items()}


def test_memory_beyond_what_swap_takes_is_counted():
    one = trace([touch(1 + n, n * 2 * MIB) for n in range(4)])
    host = Host(memory_bytes=4 * MIB, swap_bytes=0)

    served, _ = shared([(one, AS_CAPTURED, 0)] * 2, host)

    assert served.unmet_bytes > 0
    assert "Linux would kill a process" in " ".join(served.notes)


def test_more_ram_than_this_machine_can_follow_is_refused_before_it_is_tried():
    large = machine().ram_blocks[0].model_copy(update={"used_bytes": 64 * GIB})
    one = guest_requests(trace([touch(1, 0)], machines=[machine(ram_blocks=(large,))]), AS_CAPTURED)

    with pytest.raises(
        HostError, match=r"4,000 guests with 256,000.00 GiB of RAM takes .* ask for fewer"
    ):
        SharedHost([Begun(one, 0)] * 4_000, AMPLE)


def test_settings_of_the_host_are_not_a_guests():
    with pytest.raises(UsageError, match="shares its host"):
        guest_requests(SMALL[0], Settings(host=Host(memory_bytes=MIB * 4)))


def test_a_guest_whose_trace_cannot_answer_is_refused():
    with pytest.raises(UnidentifiableError, match="reporting_order"):
        guest_requests(bundled("churn-on"), Settings(guest=Guest(reporting_order=0)))


def test_without_a_guest_there_is_no_host():
    with pytest.raises(UsageError, match="no trace is given"):
        SharedHost([], AMPLE)
