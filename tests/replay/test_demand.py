"""What a guest had free when its driver came, and when it gave back what it took."""

from __future__ import annotations

import numpy as np
import pytest

from tests.synthetic import (
    HUGE,
    START_NS,
    features,
    given_back,
    machine,
    report,
    touch,
    trace,
)
from workbench.model.guest import date_reports, new_demand
from workbench.model.guest.columns import GIVE, SAME_PAGE, TAKE
from workbench.replay import Device, replay
from workbench.replay.captured_pages import captured_events
from workbench.replay.demand import (
    _date_after_takes,
    _date_after_touches,
    _keep_pageblocks,
    guest_demand,
)
from workbench.replay.reporting import Reporting
from workbench.schema import Kind
from workbench.trace import GuestFacts
from workbench.units import NANOSECONDS, PAGE_BYTES


def resident_huge_pages(rows, **guest):
    """How many huge pages are in memory after 1 to 8 s, in a guest that does not report."""
    facts = machine(
        guest=GuestFacts(init_on_free=False, **{"reporting_order": 9, **guest}),
    )
    run = replay(trace(rows, machines=[facts]), device=Device(free_page_reporting=False))
    seconds = (run.columns["time_ns"] - run.trace.manifest.start_time_ns) // NANOSECONDS
    held = run.ledger.resident_delta_pages.cumsum() * 4096 // HUGE
    by_second = dict(zip(seconds.tolist(), held.tolist(), strict=True))
    return [max((s, by_second[s]) for s in by_second if s <= second)[1] for second in range(1, 9)]


def test_what_one_pass_reports_was_free_when_nearly_all_had_been_touched():
    """A small free at 3 s asks for the pass at 5; the job that ends just before it has held all."""
    held = resident_huge_pages(
        [
            features(0.5),
            *given_back(report(2, 0), report(2, HUGE), report(2, 2 * HUGE)),
            touch(3, 0),
            touch(4, HUGE),
            *given_back(report(5, 0), report(5, HUGE)),
            touch(7, 0),
        ]
    )

    assert held == [0, 0, 1, 2, 2, 2, 2, 2]


def test_memory_that_the_first_passes_did_not_come_to_is_taken_all_the_same():
    """A pass of one range at a time reports two of an order."""
    held = resident_huge_pages(
        [
            features(0.5),
            *given_back(report(2, 3 * HUGE), report(2, 2 * HUGE, element=1)),
            touch(3, 0),
            *given_back(report(4, HUGE, element=2)),
            touch(7, HUGE),
        ],
        reporting_capacity=1,
        reporting_delay_ns=2 * NANOSECONDS,
    )

    assert held == [0, 0, 1, 1, 1, 1, 2, 2]


def test_memory_that_nobody_had_touched_faults_whatever_the_settings():
    """It was in use when the driver came, as far as anybody knows."""
    held = resident_huge_pages(
        [features(0.5), *given_back(report(2, 0)), touch(5, HUGE), touch(5.5, HUGE + PAGE_BYTES)]
    )

    assert held == [0, 0, 0, 0, 1, 1, 1, 1]


def test_memory_in_use_when_its_driver_reports_is_not_free_at_first():
    """It was touched before the first pass, and is freed and reported soon after."""
    rows = [
        features(0.5),
        touch(1, 0),
        *given_back(report(2, 3 * HUGE), report(2, 2 * HUGE, element=1)),
        *given_back(report(4, HUGE, element=2), report(4, 0, element=3)),
        touch(5, 2 * HUGE),
    ]

    held = resident_huge_pages(rows, reporting_capacity=1, reporting_delay_ns=2 * NANOSECONDS)

    assert held == [1, 1, 1, 1, 1, 1, 1, 1], "it takes first what it freed last"


def dated(rows, date, delay_ns=2 * NANOSECONDS, capacity=32):
    """Since when each reported range is free, and when it was reported, in seconds."""
    events = trace(rows).columns("events")
    wanted = np.ones(events["kind"].size, np.bool_)
    captured = captured_events(events, 4 * HUGE // PAGE_BYTES, wanted)
    free_ns = np.zeros(captured.kind.size, np.int64)
    date_reports(captured, delay_ns, capacity, np.zeros((2, 11), np.int64), free_ns)
    date(captured, free_ns)
    is_report = captured.kind == Kind.REPORT
    both = (free_ns[is_report], captured.time_ns[is_report])
    return [((times - START_NS) / NANOSECONDS).round(3).tolist() for times in both]


def dates(rows, **settings):
    """The same, by when it was touched."""
    return dated(rows, _date_after_touches, **settings)


def dates_by_takes(rows, free):
    """The same, by what was taken; these pages are free at first."""
    is_free = np.isin(np.arange(4 * HUGE // PAGE_BYTES), list(free))
    return dated(rows, lambda captured, free_ns: _date_after_takes(captured, is_free, free_ns))[0]


def page(number):
    return number * PAGE_BYTES


def test_two_pages_are_free_when_both_were_touched():
    free, _ = dates(
        [touch(5, page(0), PAGE_BYTES), touch(9, page(1), PAGE_BYTES), report(10, 0, page(2))]
    )

    assert free == [9]


def test_a_page_of_a_hundred_that_was_touched_later_does_not_count():
    rows = [touch(5, page(number), PAGE_BYTES) for number in range(127)]
    free, _ = dates([*rows, touch(6.5, page(127), PAGE_BYTES), report(8, 0, page(128))])

    assert free == [6]


def test_nothing_is_free_later_than_it_is_reported():
    """A pass of one range at a time reports what is left of a long list in the next one."""
    rows = [touch(5, 0, PAGE_BYTES), report(8, 0, page(1))]
    rows += [touch(9, page(2), PAGE_BYTES), report(10, page(2), page(1))]

    free, reported = dates(rows, capacity=1)

    assert free == [8, 9]
    assert all(since <= at for since, at in zip(free, reported, strict=True))


def test_reports_of_no_memory_say_nothing_about_what_was_free():
    rows = [features(0.5), report(2, 8 * HUGE), touch(3, 0)]

    assert len(resident_huge_pages(rows)) == 8


ALL = range(4 * HUGE // PAGE_BYTES)


def test_a_pageblock_is_free_after_the_last_faults_on_other_free_memory():
    """They would have got it.  What was left of 4 MiB that were split before came first."""
    rows = [touch(5 + number / 10, number * HUGE) for number in range(4)]

    assert dates_by_takes([*rows, report(7, 3 * HUGE)], ALL) == [5.1]
    assert dates_by_takes([*rows[:3], report(7, 2 * HUGE)], ALL) == [5.0]


def test_faults_before_anything_could_be_taken_and_after_the_report_say_nothing():
    rows = [touch(5 + number / 10, number * HUGE) for number in range(4)]

    assert dates_by_takes([*rows[:2], report(7, HUGE)], ALL) == [5]
    assert dates_by_takes([report(4, 3 * HUGE), *rows], ALL) == [2]


def test_faults_on_memory_in_use_take_nothing():
    rows = [touch(5 + number / 10, number * HUGE) for number in range(4)]

    assert dates_by_takes([*rows, report(7, 3 * HUGE)], []) == [5]


def test_what_was_reported_is_taken_by_the_next_fault_on_it_and_by_no_other():
    rows = [report(1, 0), report(1, HUGE), report(1, 2 * HUGE)]
    rows += [touch(4 + number / 10, number * HUGE) for number in range(3)]
    again = [touch(6, 5 * PAGE_BYTES, PAGE_BYTES), touch(6, HUGE)]

    assert dates_by_takes([*rows, *again, report(7, 0)], [])[-1] == 5


def test_less_than_a_pageblock_is_dated_as_before():
    """It may belong to the kernel, and what is taken meanwhile does not come from there."""
    rows = [touch(5 + number / 10, number * HUGE) for number in range(4)]

    assert dates_by_takes([*rows, report(7, 0, HUGE // 2)], ALL) == [5]


KEEPING = 3
"""Added to a group's number, of two pageblocks and the rest: it keeps its own."""


def groups_of(takes_and_gives, grouped):
    """The groups of takes ("T") and gives ("G") of pages, where those of `grouped` stay."""
    rows = len(takes_and_gives)
    demand = new_demand(rows)
    demand.time_ns[:] = range(rows)
    demand.action[:] = [TAKE if action == "T" else GIVE for action, _ in takes_and_gives]
    demand.page[:] = [page for _, page in takes_and_gives]
    is_grouped = np.isin(demand.page, grouped) & (demand.action == TAKE)
    demand.group[is_grouped] = demand.page[is_grouped] >> 9
    _keep_pageblocks(demand, KEEPING)
    return demand.group[np.isin(demand.page, grouped)].tolist()


OTHERS = [("T", 512 + number) for number in range(512)]
"""As much as a pageblock is taken elsewhere."""


def test_a_group_keeps_a_pageblock_that_others_have_left_alone():
    rows = [("T", 0), ("T", 1), *OTHERS, ("T", 2), ("T", 3)]

    assert groups_of(rows, [0, 1, 2, 3]) == [0, KEEPING, KEEPING, KEEPING]


def test_a_group_keeps_nothing_where_others_had_less_to_take():
    assert groups_of([("T", 0), *OTHERS[1:], ("T", 1)], [0, 1]) == [0, 0]


def test_a_group_keeps_nothing_where_something_was_given_back_meanwhile():
    """That it found something free there need not have been so before."""
    rows = [("T", 0), ("T", 9), *OTHERS, ("G", 9), ("T", 1)]

    assert groups_of(rows, [0, 1]) == [0, 0]
    assert groups_of([("T", 0), ("G", 1025), *OTHERS, ("T", 1)], [0, 1]) == [KEEPING, KEEPING]


@pytest.mark.parametrize("is_sampled", [False, True])
def test_only_takes_of_a_sure_time_tell_what_was_left_alone(is_sampled):
    """In the first pageblock, and the last, which the capture's keep, pages are the same."""
    rows = [touch(3, 0, PAGE_BYTES)]
    rows += [touch(4, HUGE + page * PAGE_BYTES, PAGE_BYTES) for page in range(512)]
    rows += [touch(5, PAGE_BYTES, PAGE_BYTES), touch(6, 2 * HUGE, PAGE_BYTES)]
    events = trace(rows).columns("events")
    captured = captured_events(events, 3 * HUGE // PAGE_BYTES, np.ones(len(rows), np.bool_))
    is_free = np.ones(3 * HUGE // PAGE_BYTES, np.bool_)
    before = Reporting(order=0, delay_ns=2 * NANOSECONDS, capacity=32)
    is_kept = np.array([False, False, True, False])
    none = np.zeros(4, np.bool_)
    demand = guest_demand(
        captured,
        is_free,
        is_kept,
        before,
        was_reset=none,
        is_reclaimable=none,
        is_sampled=is_sampled,
    )
    first_group = 0 if is_sampled else is_kept.size

    assert demand.group[demand.page < 512].tolist() == [first_group, first_group]
    assert demand.group[demand.page >= 1024].tolist() == [SAME_PAGE]


def test_data_is_not_taken_from_pageblocks_that_only_the_captures_guest_made_movable():
    """Runs of more than 8 pages are data; the kernel's own objects stay where they were."""
    rows = [touch(3, page * PAGE_BYTES, PAGE_BYTES) for page in (*range(8), *range(16, 25))]
    rows += [touch(4, HUGE + page * PAGE_BYTES, PAGE_BYTES) for page in range(9)]
    events = trace(rows).columns("events")
    captured = captured_events(events, 2 * HUGE // PAGE_BYTES, np.ones(len(rows), np.bool_))
    is_free = np.ones(2 * HUGE // PAGE_BYTES, np.bool_)
    before = Reporting(order=0, delay_ns=2 * NANOSECONDS, capacity=32)
    demand = guest_demand(
        captured,
        is_free,
        np.array([True, True, False]),
        before,
        was_reset=np.array([True, False, False]),
        is_reclaimable=np.zeros(3, np.bool_),
        is_sampled=True,
    )

    assert (demand.group[demand.page < 8] == SAME_PAGE).all()
    assert (demand.group[(demand.page >= 16) & (demand.page < 512)] != SAME_PAGE).all()
    assert (demand.group[demand.page >= 512] == SAME_PAGE).all()
