"""Events by guest pages: what faults and passes tell of each page."""

from __future__ import annotations

import numpy as np

from tests.synthetic import HUGE, RAM_BYTES, START_NS, report, touch, trace
from workbench.replay.accesses import with_accesses
from workbench.replay.captured_pages import (
    NEVER_NS,
    captured_events,
    first_backed_ns,
    without_untaken,
)
from workbench.schema import Kind
from workbench.units import NANOSECONDS, PAGE_BYTES

PAGES = RAM_BYTES // PAGE_BYTES


def captured_of(rows, *, assumed=False):
    """The events of rows, with the accesses that are assumed of huge pages or without."""
    of_rows = trace(rows)
    events = of_rows.columns("events")
    events = with_accesses(of_rows, events) if assumed else events
    return captured_events(events, PAGES, np.ones(events["kind"].size, np.bool_))


def accessed(rows):
    """Ranges of pages that the guest is still taken to access, of (second, first page, pages)."""
    left = without_untaken(captured_of(rows, assumed=True), 2 * NANOSECONDS)
    rows = np.flatnonzero(left.kind == Kind.ACCESS)
    seconds = (left.time_ns - START_NS) / NANOSECONDS
    return [(seconds[row], int(left.page[row]), int(left.page_count[row])) for row in rows]


def pages(first, count, seconds):
    """A report of pages."""
    return report(seconds, first * PAGE_BYTES, count * PAGE_BYTES)


def test_a_page_is_backed_by_the_first_fault_that_brings_it():
    rows = [touch(1, 0, PAGE_BYTES), touch(2, 3 * PAGE_BYTES), touch(3, HUGE), report(4, HUGE)]
    seconds = (first_backed_ns(captured_of(rows), PAGES) - START_NS) / NANOSECONDS

    assert seconds[:2].tolist() == [1, 2]
    assert set(seconds[2:512]) == {2}
    assert set(seconds[512:1024]) == {3}
    assert (first_backed_ns(captured_of(rows), PAGES)[1024:] == NEVER_NS).all()


def test_what_the_next_pass_reports_beside_the_page_that_was_touched_was_never_taken():
    """The guest touched page 8; the pass soon reports what it has not used of the huge page."""
    rows = [touch(3, 8 * PAGE_BYTES), pages(0, 8, 4), pages(16, 32, 4), pages(256, 256, 4)]

    assert accessed(rows) == [(3, 8, 8), (3, 48, 208)]


def test_what_is_given_back_with_it_was_taken():
    assert accessed([touch(3, 8 * PAGE_BYTES), pages(8, 8, 4)]) == [(3, 0, 512)]


def test_what_a_pass_reports_much_later_was_taken():
    """It would have been reported before, or by the same pass."""
    assert accessed([touch(3, 0), pages(256, 256, 5.5)]) == [(3, 0, 512)]


def test_only_the_next_pass_tells():
    rows = [touch(3, 0), pages(512, 1, 3.5), pages(256, 256, 4.9)]

    assert accessed(rows) == [(3, 0, 512)]


def test_other_events_stay_as_they_are():
    rows = [touch(1, HUGE), touch(3, 0), pages(256, 256, 4), touch(5, 2 * HUGE)]
    whole = captured_of(rows, assumed=True)
    left = without_untaken(whole, 2 * NANOSECONDS)

    assert accessed(rows) == [(1, 512, 512), (3, 0, 256), (5, 1024, 512)]
    for before, after in zip(whole, left, strict=True):
        others = whole.kind != Kind.ACCESS
        assert before[others].tolist() == after[left.kind != Kind.ACCESS].tolist()


def test_captures_without_reports_or_huge_pages_stay_as_they_are():
    for rows in ([touch(1, 0)], [touch(1, 0, PAGE_BYTES), report(2, HUGE)], [report(2, HUGE)]):
        whole = captured_of(rows, assumed=True)
        left = without_untaken(whole, 2 * NANOSECONDS)

        assert [column.tolist() for column in left] == [column.tolist() for column in whole]
