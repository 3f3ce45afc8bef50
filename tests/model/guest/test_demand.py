"""What a capture says its guest takes and gives back, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.guest_memory import date, read, read_rows
from tests.naive.naive_guest import date_reports, read_demand
from workbench.model.guest.columns import NO_GROUP
from workbench.model.guest.demand import group_what_stays, order_of

PAGES = 128

GIVE, TAKE, READ, WRITE = 0, 1, 2, 3


@st.composite
def captures(draw):
    """Events of a capture, its delay and capacity, and which pages are free before it."""
    delay = draw(st.sampled_from([2, 7, 100]))
    gaps = st.sampled_from([0, 0, 0, 1, delay // 2, delay // 2 + 1, delay, delay + delay // 2])
    time = 0
    events = []
    for kind in draw(
        st.lists(st.sampled_from(["report", "report", "fault", "read", "written"]), max_size=40)
    ):
        time += draw(gaps)
        pages = draw(st.sampled_from([1, 1, 2, 2, 3, 16]))
        first = draw(st.integers(0, PAGES - pages))
        touched = [draw(st.integers(first, first + pages - 1))] if kind == "fault" else []
        events.append((time, kind, first, pages, *touched))
    free = draw(st.sets(st.integers(0, PAGES - 1)))
    return events, delay, draw(st.integers(1, 3)), free


@given(captured=captures())
def test_the_dates_match_the_naive_ones(captured):
    events, delay, capacity, _ = captured

    assert date(events, delay, capacity) == date_reports(events, delay, capacity)


@given(captured=captures())
def test_the_demand_matches_the_naive_one(captured):
    events, delay, capacity, free = captured
    dates = date_reports(events, delay, capacity)

    assert read(events, dates, free, PAGES) == read_demand(events, dates, free)


@given(captured=captures())
def test_what_is_reported_was_free_one_delay_before_at_least(captured):
    events, delay, capacity, _ = captured

    for number, free_since in date(events, delay, capacity).items():
        assert free_since <= events[number][0] - delay


@given(captured=captures())
def test_a_page_is_taken_and_given_back_by_turns(captured):
    """And no page is given back before it was taken."""
    events, delay, capacity, free = captured
    rows, free_after = read(events, date_reports(events, delay, capacity), free, PAGES)

    is_free = set(free)
    last = {}
    for time, action, page, _ in rows:
        assert (page in is_free) == (action == TAKE)
        is_free ^= {page} if action in (TAKE, GIVE) else set()
        if action == GIVE:
            assert time >= last.get(page, 0)
        last[page] = time
    assert is_free == free_after


@pytest.mark.parametrize(
    ("pages", "order"),
    [(1, 0), (2, 1), (3, 1), (4, 2), (512, 9), (1023, 9), (1024, 10), (9999, 10)],
)
def test_the_order_of_a_range_is_that_of_the_largest_block_in_it(pages, order):
    assert order_of(pages) == order


def reports(time, count, pages=1):
    """As many ranges of one pass."""
    return [(time, "report", 0, pages)] * count


def test_a_report_was_freed_one_delay_before_its_pass():
    """A pass begins with its first range: what it reports a little later is of the same pass."""
    events = [*reports(500, 1), *reports(550, 1), *reports(551, 1)]

    assert date(events, 100, 32) == {0: 400, 1: 400, 2: 451}


def test_what_follows_a_pass_that_was_cut_was_free_since_the_first():
    """A pass that reports a sixteenth of a list, two blocks of 32, is followed by others."""
    events = [*reports(500, 32), *reports(600, 32), *reports(700, 1)]

    assert set(date(events, 100, 32).values()) == {400}


def test_a_pass_that_was_not_cut_ends_the_chain():
    """31 blocks are less than one report: all that was free went."""
    events = [*reports(500, 32), *reports(600, 31), *reports(700, 1)]
    dates = date(events, 100, 32)

    assert {dates[number] for number in range(63)} == {400}
    assert dates[63] == 600


def test_a_pass_that_comes_much_later_than_one_delay_ends_the_chain():
    for time, freed in ((649, 400), (650, 550)):
        events = [*reports(500, 32), *reports(time, 1)]

        assert date(events, 100, 32)[32] == freed


def test_each_order_has_a_chain_of_its_own():
    """Of order 1 all went in the first pass; of order 3 there was nothing in it."""
    events = [*reports(500, 2), *reports(500, 1, 2), *reports(600, 1), *reports(600, 1, 2)]
    events += reports(600, 1, 8)
    dates = date(events, 100, 2)

    assert [dates[number] for number in (3, 4, 5)] == [400, 500, 500]


def test_faults_are_not_dated():
    events = [(10, "fault", 0, 1), *reports(500, 1), (560, "fault", 0, 1), *reports(600, 1)]

    assert date(events, 100, 32) == {1: 400, 3: 500}


def test_a_page_in_use_since_before_the_capture_is_given_back_by_its_report():
    rows, free = read([(500, "report", 4, 2)], {0: 400}, set(), 8)

    assert rows == [(400, GIVE, 4, 0), (400, GIVE, 5, 0)]
    assert free == {4, 5}


def test_a_report_of_what_is_free_changes_nothing_and_a_fault_in_use_is_a_touch():
    events = [(500, "report", 4, 2), (510, "fault", 0, 2, 1)]
    rows, free = read(events, {0: 400}, {4, 5}, 8)

    assert rows == [(510, WRITE, 1, 0)]
    assert free == {4, 5}


def test_a_fault_takes_the_page_it_touched_and_an_access_what_it_brought_besides():
    """The host backed four pages; the guest uses three of them, and page 7 stays free."""
    events = [(510, "fault", 4, 4, 5), (520, "read", 4, 3)]
    rows, free = read(events, {}, {5, 6, 7}, 8)

    assert rows == [(510, TAKE, 5, 0), (520, READ, 4, 1), (520, READ, 5, 2), (520, TAKE, 6, 3)]
    assert free == {7}


def test_an_access_to_what_was_given_back_since_is_no_demand():
    """It was found in a sample after the report; nothing has brought the page back."""
    events = [(10, "fault", 4, 1), (500, "report", 4, 1), (510, "written", 4, 1)]
    rows, free = read(events, {1: 400}, {4}, 8)

    assert rows == [(10, TAKE, 4, 0), (400, GIVE, 4, 0)]
    assert free == {4}


def test_what_one_pass_reports_was_given_back_in_the_order_in_which_it_was_taken():
    """Whatever their addresses: page 6 was taken before 4, and 5 was in use before both."""
    events = [(10, "written", 1, 1), (20, "fault", 6, 1), (30, "fault", 4, 1)]
    events += [(500, "report", 4, 4)]
    rows, _ = read(events, {3: 400}, {4, 6, 7}, 8)
    given = [row for row in rows if row[1] == GIVE]

    assert [page for _, _, page, _ in sorted(given, key=lambda row: row[3])] == [5, 6, 4]


def test_a_page_is_not_given_back_before_it_was_taken():
    """It was taken less than one delay before the pass that reports it."""
    events = [(450, "fault", 4, 1), (500, "report", 4, 2)]
    rows, _ = read(events, {1: 400}, {4}, 8)

    assert rows == [(450, TAKE, 4, 0), (450, GIVE, 4, 0), (400, GIVE, 5, 0)]


def test_what_stays_is_grouped_by_the_pageblock_it_lay_in():
    """Pages 3 and 700 are taken and stay; 5 is given back, 9 was in use before."""
    events = [
        (10, "fault", 3, 1),
        (20, "fault", 5, 1),
        (30, "fault", 700, 1),
        (40, "written", 9, 1),
    ]
    events += [(500, "report", 5, 1)]
    demand, guest, rows = read_rows(events, {4: 400}, {3, 5, 700}, 1024)
    group_what_stays(demand, guest)
    groups = dict(zip(demand.page[:rows].tolist(), demand.group[:rows].tolist(), strict=True))

    assert groups == {3: 0, 5: NO_GROUP, 700: 1, 9: NO_GROUP}


def test_of_a_page_that_was_taken_twice_the_last_take_is_grouped():
    events = [(10, "fault", 3, 1), (500, "report", 3, 1), (600, "fault", 3, 1)]
    demand, guest, rows = read_rows(events, {1: 400}, {3}, 8)
    group_what_stays(demand, guest)

    assert demand.group[:rows].tolist() == [NO_GROUP, NO_GROUP, 0]
