"""Hypothesis strategies for a guest's memory and its demand, and the way into their kernels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from tests.naive.naive_guest import Guest
from workbench.model.guest import (
    NEXT_PASS_NS,
    NO_REPORTING,
    NOT_FREE,
    Captured,
    Demand,
    GuestConstants,
    Ownership,
    date_reports,
    free_blocks,
    new_demand,
    new_guest,
    new_placed,
    place_demand,
    read_demand,
)
from workbench.model.guest.buddy import SETS
from workbench.model.guest.columns import CAPTURE, NO_GROUP, NO_PAGE, SAME_PAGE
from workbench.schema import NO_ELEMENT, Kind

ORDERS = 11
KINDS = {"fault": Kind.FAULT, "report": Kind.REPORT, "read": Kind.ACCESS, "written": Kind.ACCESS}
NAMES = {
    int(Kind.FAULT): "fault",
    int(Kind.REPORT): "report",
    int(Kind.FREE): "free",
    int(Kind.ACCESS): "written",
}


class Scene(NamedTuple):
    """A guest, how it begins, and what it takes and gives back."""

    zones: list[range]
    watermarks: list[int]
    order: int | None
    delay: int
    capacity: int
    blocks: list[tuple[int, int]]
    barred: list[int]
    demand: list[tuple[int, ...]]
    stop: int
    first_pass: int | None
    follows: bool
    kept: list[int]

    @property
    def pages(self) -> int:
        """Pages of all zones."""
        return self.zones[-1].stop


def scene(zones=((0, 64),), **changes: Any) -> Scene:
    """A guest that reports everything, and is given nothing to do unless told."""
    chosen = {
        "watermarks": [0] * len(zones),
        "order": 0,
        "delay": 100,
        "capacity": 2,
        "blocks": [],
        "barred": [],
        "demand": [],
        "stop": 1000,
        "first_pass": None,
        "follows": False,
        "kept": [],
    }
    return Scene(zones=[range(*zone) for zone in zones], **(chosen | changes))


# --- the kernels ----------------------------------------------------------------------------------


def constants_of(played):
    """The constants of a scene's guest."""
    return GuestConstants(
        np.array([zone.start for zone in played.zones], np.int64),
        np.array([zone.stop for zone in played.zones], np.int64),
        np.array(played.watermarks, np.int64),
        NO_REPORTING if played.order is None else played.order,
        played.delay,
        played.capacity,
        played.follows,
    )


def begin(played):
    """A guest as the scene begins, and its constants."""
    constants = constants_of(played)
    guest = new_guest(played.pages, constants)
    if played.first_pass is not None:
        guest.worker[NEXT_PASS_NS] = played.first_pass
    guest.kept_for[played.kept] = CAPTURE
    blocks = np.array(played.blocks, np.int64).reshape(-1, 2)
    is_free = np.zeros(played.pages, np.bool_)
    is_free[played.barred] = True
    free_blocks(blocks[:, 0].copy(), blocks[:, 1].copy(), is_free, constants, guest)
    return guest, constants


def demand_of(rows):
    """Rows of (time, action, page) as columns, in this order; of a take also its group."""
    return Demand(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int8),
        np.array([row[2] for row in rows], np.int64),
        np.arange(len(rows)),
        np.array([row[3] if len(row) > 3 else NO_GROUP for row in rows], np.int64),
    )


def events_of(placed, count):
    """The first events, as the naive guest writes them."""
    columns = (column[:count].tolist() for column in placed)
    return [
        (time, NAMES[kind] if writes or kind != Kind.ACCESS else "read", page, pages, element)
        for time, kind, page, pages, element, writes in zip(*columns, strict=True)
    ]


def place(played, room=20_000):
    """Play a scene.  Gives how many events there are, those that had room, and the guest."""
    guest, constants = begin(played)
    placed = new_placed(room)
    count = place_demand(demand_of(played.demand), played.stop, constants, guest, placed)
    return count, events_of(placed, min(count, room)), guest


def place_naively(played):
    """Play a scene in the naive guest, which is returned; it keeps its events."""
    naive = Guest(
        played.zones,
        played.watermarks,
        played.order,
        played.delay,
        played.capacity,
        follows=played.follows,
        kept=played.kept,
    )
    naive.begin_free(played.blocks, played.barred)
    naive.next_pass = played.first_pass
    naive.place(played.demand, played.stop)
    return naive


def list_of(guest, lists, order):
    """Walk one free list from its head; its links, ends and count must tell the same."""
    pages = []
    page, previous = guest.first_page[lists, order], NO_PAGE
    while page != NO_PAGE:
        next_page, previous_page = guest.links[page >> 1].tolist()
        assert previous_page == previous
        assert guest.block_order[page] == order
        assert len(pages) < guest.block_count[lists, order]
        pages.append(int(page))
        page, previous = next_page, page
    assert guest.last_page[lists, order] == previous
    assert len(pages) == guest.block_count[lists, order]
    return pages


def all_lists_of(guest):
    """All free lists by order, two sets for each zone; they must hold every free block."""
    sets = range(SETS * guest.free_pages.size)
    lists = [[list_of(guest, number, order) for order in range(ORDERS)] for number in sets]
    blocks = sum(len(pages) for orders in lists for pages in orders)
    assert blocks == np.count_nonzero(guest.block_order != NOT_FREE)
    sizes = [sum(len(pages) << order for order, pages in enumerate(orders)) for orders in lists]
    assert guest.free_pages.tolist() == [sum(both) for both in zip(*[iter(sizes)] * 2, strict=True)]
    return lists


def lists_of(guest):
    """The free lists of each zone by order, where nothing is kept."""
    assert not guest.kept_for.any()
    return all_lists_of(guest)[::SETS]


def filled(lists):
    """The lists of one zone that hold something, by order."""
    return {order: pages for order, pages in enumerate(lists) if pages}


def captured_of(events):
    """Events of (time, kind, page, pages) as columns of a capture; of a fault also what it touched.

    Which is the first of its pages unless it is said.
    """
    return Captured(
        np.array([event[0] for event in events], np.int64),
        np.array([KINDS[event[1]] for event in events], np.int8),
        np.array([event[2] for event in events], np.int64),
        np.array([event[3] for event in events], np.int64),
        np.array([event[4] if len(event) > 4 else event[2] for event in events], np.int64),
        np.full(len(events), NO_ELEMENT, np.int64),
        np.array([event[1] != "read" for event in events], np.bool_),
    )


def date(events, delay, capacity):
    """Date the reports among events: number of event to time."""
    free_ns = np.full(len(events), -1, np.int64)
    seen = np.zeros((2, ORDERS), np.int64)
    date_reports(captured_of(events), delay, capacity, seen, free_ns)
    return {number: int(free_ns[number]) for number, row in enumerate(events) if row[1] == "report"}


def read_rows(events, dates, free, page_count):
    """Read the demand of events.  Gives it, who holds what, and how many rows there are."""
    is_free = np.zeros(page_count, np.bool_)
    is_free[sorted(free)] = True
    free_ns = np.array([dates.get(number, 0) for number in range(len(events))], np.int64)
    room = sum(event[3] for event in events)
    demand = new_demand(room)
    nothing = np.zeros((2, page_count), np.int64)
    guest = Ownership(is_free, np.zeros(page_count, np.bool_), *nothing)
    return demand, guest, read_demand(captured_of(events), free_ns, guest, demand)


def read(events, dates, free, page_count):
    """Read the demand of events.  Gives its rows, and what is free after the last event."""
    demand, guest, rows = read_rows(events, dates, free, page_count)
    columns = (column[:rows].tolist() for column in demand[:4])
    return list(zip(*columns, strict=True)), set(np.flatnonzero(guest.is_free).tolist())


# --- strategies -----------------------------------------------------------------------------------

SIZES = st.one_of(st.integers(1, 300), st.sampled_from([64, 256, 1024, 2048]))


@st.composite
def zones(draw: st.DrawFn) -> list[range]:
    """One zone or two, of any size: ends need not be aligned, but zones begin at even pages."""
    last = draw(SIZES)
    first = draw(st.none() | SIZES)
    if first is None:
        return [range(last)]
    first += first % 2
    return [range(first), range(first, first + last)]


@st.composite
def blocks_of(draw: st.DrawFn, chosen: list[range]) -> list[tuple[int, int]]:
    """Aligned blocks of (page, pages), each of one zone; they may overlap."""
    blocks = []
    for order in draw(st.lists(st.integers(0, ORDERS - 1), min_size=1, max_size=12)):
        page = draw(st.integers(0, chosen[-1].stop >> order)) << order
        last = page + (1 << order) - 1
        if any(page in zone and last in zone for zone in chosen):
            blocks.append((page, 1 << order))
    return blocks


@st.composite
def demands(draw: st.DrawFn, page_count: int, free: set[int]) -> list[tuple[int, ...]]:
    """Bursts of takes, gives, reads or writes, of neighbours or of scattered pages.

    Some takes are of a group, which may keep its pageblock, or of the same page.
    """
    blocks = (page_count >> 9) + 1
    rows = []
    free = set(free)
    time = 0
    for action in draw(st.lists(st.sampled_from([0, 0, 1, 1, 2, 3]), min_size=2, max_size=6)):
        time += draw(st.sampled_from([0, 1, 7, 50, 300]))
        first = draw(st.integers(0, page_count - 1))
        count = draw(st.integers(1, 120))
        stride = draw(st.sampled_from([1, 1, 2, 3, 8]))
        group = draw(st.sampled_from([NO_GROUP, SAME_PAGE, 0, blocks - 1, blocks, 2 * blocks - 1]))
        for step in range(count):
            page = (first + step * stride) % page_count
            if (page in free) == (action == 1):
                rows.append((time, action, page, group) if action == 1 else (time, action, page))
                free ^= {page} if action < 2 else set()
    return rows


@st.composite
def scenes(draw: st.DrawFn, **fixed: Any) -> Scene:
    """A small guest, some of whose memory is free as it begins."""
    chosen = draw(zones())
    pages = chosen[-1].stop
    blocks = draw(blocks_of(chosen))
    barred = draw(st.lists(st.integers(0, pages - 1), max_size=2))
    drawn = {
        "zones": chosen,
        "watermarks": [draw(st.sampled_from([0, 0, 0, 20])) for _ in chosen],
        "order": draw(st.sampled_from([None, 0, 0, 0, 1, 2, 3, 6, 9, 10])),
        "delay": draw(st.sampled_from([1, 7, 40])),
        "capacity": draw(st.integers(1, 3)),
        "follows": draw(st.booleans()),
        "blocks": blocks,
        "barred": barred,
        "stop": draw(st.sampled_from([0, 20, 1000])),
        "kept": draw(st.lists(st.integers(0, pages >> 9), max_size=2)),
    } | fixed
    naive = Guest(chosen, [], None, 0, 0)
    naive.begin_free(blocks, barred)
    free = {page for page, place in naive.places.items() if place is None}
    demand = draw(demands(pages, free))
    drawn["stop"] += max((row[0] for row in demand), default=0)
    first_pass = None if drawn["order"] is None else draw(st.sampled_from([0, 0, 5, 60, None]))
    return Scene(demand=demand, first_pass=first_pass, **drawn)
