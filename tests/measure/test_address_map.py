"""The address map is true to the page, at every moment, and adds up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.naive.naive_replay import Machine as NaiveMachine
from tests.qemu_lines import LINES, imported
from tests.synthetic import (
    HUGE,
    PAGE_POISON,
    REPORTED,
    REPORTING,
    discard,
    event,
    features,
    given_back,
    inflate,
    report,
    started,
    swap_out,
    touch,
    trace,
    write_poison,
)
from workbench.errors import UnidentifiableError, UsageError
from workbench.measure import MAP_STATES, address_map_frame, memory_over_time
from workbench.replay import Device, Guest, replay
from workbench.schema import FaultFlag, Kind
from workbench.trace import RamBlock
from workbench.units import NANOSECONDS, PAGE_BYTES

BYTES = [f"{state}_bytes" for state in MAP_STATES]
HUGE_PAGES = HUGE // PAGE_BYTES

BLOCKS = (
    {"pages": 1300, "offset": 200, "page_bytes": PAGE_BYTES, "shared": False},
    {"pages": 700, "offset": 0, "page_bytes": PAGE_BYTES, "shared": True},
    {"pages": 1024, "offset": 0, "page_bytes": 2 * HUGE, "shared": False},
)
"""One that begins and ends within a huge page, one that is shared, one of a page that is larger
still, and not aligned to its own size in the page space."""


def blocks_of(manifest_blocks):
    """Lay blocks out as the naive machine takes them."""
    placed, next_huge = [], 0
    for one in manifest_blocks:
        start = next_huge * HUGE_PAGES + one["offset"]
        is_plain = one["page_bytes"] == PAGE_BYTES and not one["shared"]
        placed.append({**one, "start": start, "thp": is_plain})
        next_huge = -(-(start + one["pages"]) // HUGE_PAGES)
    return placed


def guest(**facts):
    """Give the machine of a trace that has those blocks."""
    blocks = tuple(
        RamBlock(
            name=f"block{number}",
            used_bytes=one["pages"] * PAGE_BYTES,
            page_bytes=one["page_bytes"],
            shared=one["shared"],
            transparent_huge_page=True,
            huge_page_offset_bytes=one["offset"] * PAGE_BYTES,
        )
        for number, one in enumerate(BLOCKS)
    )
    return started().model_copy(update={"ram_blocks": blocks, **facts})


class PageByPage:
    """What each page is, after one event after the other, from the naive machine."""

    def __init__(self):
        self.machine = NaiveMachine(blocks_of(BLOCKS), HUGE_PAGES, features=REPORTING | PAGE_POISON)
        self.reported = set()

    def step(self, row, refusal=0):
        kind = Kind(row["kind"]).name.lower()
        block, offset, length = (
            row.get(name, 0) for name in ("ram_block", "offset_bytes", "length_bytes")
        )
        before = set(self.machine.resident)
        outcome, *_ = self.machine.step(
            (kind, block, offset, length, row.get("status", 0), row["element"], refusal)
        )
        if kind == "report" and outcome != "discarded" and block >= 0:
            whole = range(-(-offset // PAGE_BYTES), (offset + length) // PAGE_BYTES)
            self.reported |= {(block, number) for number in whole}
        if kind == "fault":
            self.reported -= self.served((block, offset // PAGE_BYTES), length, before)
        self.reported &= self.machine.resident

    def served(self, page, length, before):
        """Give the pages of the allocation that served a fault."""
        if len(self.machine.resident - before) <= 1:
            return {page}
        block = BLOCKS[page[0]]
        is_plain = block["page_bytes"] == PAGE_BYTES and not block["shared"]
        if is_plain and not 0 < length < HUGE:
            return set(self.machine.family(self.machine.home(page)))
        return set(self.machine.allocation(page, length))

    def state(self, page):
        if page in self.reported:
            return "reported"
        if page in self.machine.resident:
            return "held"
        if page in self.machine.swapped:
            return "swapped"
        return "discarded" if page in self.machine.given_back else "never_backed"


SECONDS = st.integers(0, 20).map(lambda halves: halves / 2)
PAGES = st.sampled_from([0, 1, 300, 311, 312, 313, 320, 511, 512, 600, 699])
PLACES = st.tuples(st.integers(0, len(BLOCKS) - 1), PAGES)
COUNTS = st.sampled_from([1, 2, 16, 200, 312, HUGE_PAGES, 700])


WORDS = (
    *("touch", "touch", "read", "report", "report", "refused", "inflate"),
    *("out", "in", "poison", "inhibit", "unaligned"),
)


@st.composite
def happenings(draw):
    """Draw events of all kinds that move pages, or leave them."""
    rows = []
    for _ in range(draw(st.integers(1, 14))):
        seconds, (block, page), count = draw(SECONDS), draw(PLACES), draw(COUNTS)
        word = draw(st.sampled_from(WORDS))
        offset = page * PAGE_BYTES
        pages = min(count, BLOCKS[block]["pages"] - page)
        if word in {"touch", "read", "in"}:
            flags = {"touch": FaultFlag.WRITE, "read": 0, "in": FaultFlag.SWAP_IN}[word]
            allocated = draw(st.sampled_from([-1, 1, 4, 16, HUGE_PAGES])) * PAGE_BYTES
            allocated = -1 if allocated < 0 else 0 if word == "read" else allocated
            row = touch(seconds, offset, allocated) | {"status": int(flags)}
        elif word == "report":
            row = report(seconds, offset, count * PAGE_BYTES)
        elif word == "refused":
            row = report(seconds, 0, 2 * HUGE if block == 2 else pages * PAGE_BYTES, element=1)
        elif word == "unaligned":
            row = report(seconds, offset + 512, pages * PAGE_BYTES)
        elif word == "inflate":
            row = inflate(seconds, offset, pages * PAGE_BYTES)
        elif word == "out":
            row = swap_out(seconds, offset, pages * PAGE_BYTES)
        elif word == "poison":
            row = write_poison(seconds, draw(st.sampled_from([0, 1])))
        else:
            row = event(seconds, Kind.INHIBIT, status=draw(st.integers(0, 1)))
        rows.append(row if row["ram_block"] < 0 else row | {"ram_block": block})
        if word == "refused":
            rows.append(discard(rows[-1], status=-22))
    return sorted(rows, key=lambda row: row["time_ns"])


def refusals(rows):
    """Give for each event what the host answered to its discard, as the naive machine takes it."""
    keys = ("time_ns", "ram_block", "offset_bytes", "length_bytes", "element")
    refused = [
        {key: row.get(key) for key in keys} for row in rows if row["kind"] == Kind.DISCARD
        and row["element"] != -1
    ]  # fmt: skip
    answers = []
    for row in rows:
        place = {key: row.get(key) for key in keys}
        is_refused = row["kind"] == Kind.REPORT and place in refused
        if is_refused:
            refused.remove(place)
        answers.append(-22 if is_refused else 0)
    return answers


@given(
    rows=happenings(), time_bins=st.integers(1, 6), address_bins=st.sampled_from([1, 7, 90, 4000])
)
@example(
    # A page that is touched after it was reported is held again, and its neighbours are not.
    rows=[
        write_poison(1), touch(1, 312 * PAGE_BYTES), report(2, 312 * PAGE_BYTES, 16 * PAGE_BYTES),
        touch(3, 313 * PAGE_BYTES, PAGE_BYTES),
    ],
    time_bins=5, address_bins=4000,
)  # fmt: skip
@settings(max_examples=60)
def test_the_map_is_what_each_page_is_one_by_one(rows, time_bins, address_bins):
    run = replay(trace(rows, machines=[guest()]))
    frame = address_map_frame(run, time_bins=time_bins, address_bins=address_bins)
    naive, answers, done = PageByPage(), refusals(rows), 0
    start_ns = run.trace.manifest.start_time_ns

    for time_s, cells in frame.groupby("time_s", sort=True):
        while done < len(rows) and rows[done]["time_ns"] - start_ns <= time_s * NANOSECONDS:
            naive.step(rows[done], answers[done])
            done += 1
        for cell in cells.itertuples():
            first, count = cell.offset_bytes // PAGE_BYTES, cell.length_bytes // PAGE_BYTES
            states = [naive.state((cell.ram_block, first + page)) for page in range(count)]
            expected = [states.count(state) * PAGE_BYTES for state in MAP_STATES]
            assert [getattr(cell, name) for name in BYTES] == expected
    assert done == len(rows)


@given(rows=happenings(), address_bins=st.integers(1, 5000))
@settings(max_examples=30)
def test_cells_cover_every_block_once_and_are_no_more_than_asked_for(rows, address_bins):
    frame = address_map_frame(
        replay(trace(rows, machines=[guest()])), time_bins=1, address_bins=address_bins
    )

    assert len(frame) <= max(address_bins, len(BLOCKS))
    for block, cells in frame.groupby("ram_block"):
        stops = cells["offset_bytes"] + cells["length_bytes"]
        assert cells["offset_bytes"].iloc[0] == 0
        assert cells["offset_bytes"].iloc[1:].tolist() == stops.iloc[:-1].tolist()
        assert stops.iloc[-1] == BLOCKS[block]["pages"] * PAGE_BYTES


@given(rows=happenings(), time_bins=st.integers(1, 50))
@settings(max_examples=30)
def test_cells_add_up_to_their_length_and_to_resident_memory_over_time(rows, time_bins):
    run = replay(trace(rows, machines=[guest()]))
    frame = address_map_frame(run, time_bins=time_bins)
    memory = memory_over_time(run)

    assert (frame[BYTES].sum(axis=1) == frame["length_bytes"]).all()
    assert (frame[BYTES] >= 0).all().all()
    sums = frame.groupby("time_s")[BYTES].sum()
    at = np.searchsorted(memory["time_s"], sums.index, side="right") - 1
    resident = sums["held_bytes"] + sums["reported_bytes"]
    assert resident.tolist() == memory["resident_bytes"].to_numpy()[at].tolist()
    assert sums["swapped_bytes"].tolist() == memory["swapped_bytes"].to_numpy()[at].tolist()


def test_settings_that_skip_reports_leave_them_in_memory():
    rows = [features(0.5), touch(1, 0), *given_back(report(2, 0)), touch(3, HUGE)]
    poisoned = replay(trace(rows, machines=[started()]), guest=Guest(poison_val=0xAA))
    inhibited = replay(trace(rows, machines=[started()]), device=Device(discard_inhibited=True))

    for run in (poisoned, inhibited):
        end = address_map_frame(run, time_bins=2, address_bins=4).tail(4)
        assert end["reported_bytes"].tolist() == [HUGE, 0, 0, 0]
        assert end["held_bytes"].tolist() == [0, HUGE, 0, 0]
        assert end["discarded_bytes"].tolist() == [0, 0, 0, 0]


def test_a_machine_that_comes_late_and_ends_early_has_nothing_before_and_after():
    rows = [touch(4, 0), touch(6, HUGE)]
    start_ns = trace(rows).manifest.start_time_ns
    facts = {
        "attached_time_ns": start_ns + 3 * NANOSECONDS,
        "ended_time_ns": start_ns + 8 * NANOSECONDS,
    }
    late = started().model_copy(update=facts)
    frame = address_map_frame(replay(trace(rows, machines=[late])), time_bins=10)
    held = frame.groupby("time_s")[["held_bytes", "never_backed_bytes"]].sum()

    assert held["held_bytes"].tolist() == [0, 0, 0, HUGE, HUGE, 2 * HUGE, 2 * HUGE, 0, 0, 0]
    assert held.sum(axis=1).tolist() == [0, 0, *[4 * HUGE] * 5, 0, 0, 0]


def test_each_machine_has_its_own_map_and_its_name():
    rows = [touch(1, 0), touch(2, HUGE, vm=1), touch(3, 2 * HUGE, vm=1)]
    run = replay(trace(rows, machines=[started("left"), started("right")]))
    maps = [address_map_frame(run, vm, time_bins=1) for vm in range(2)]

    assert [one["held_bytes"].sum() for one in maps] == [HUGE, 2 * HUGE]
    assert [one.attrs["machine"] for one in maps] == ["left", "right"]
    assert maps[0].attrs["ram_blocks"] == ["pc.ram"]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"vm": 1}, r"no machine 1, expected one of 0 \(guest0\)"),
        ({"vm": -1}, "no machine -1"),
        ({"time_bins": 0}, "time_bins is 0, expected 1 or more"),
        ({"address_bins": -3}, "address_bins is -3, expected 1 or more"),
    ],
)
def test_what_there_is_not_is_refused(choice, message):
    run = replay(trace(REPORTED))

    with pytest.raises(UsageError, match=message):
        address_map_frame(run, **choice)


def test_a_trace_without_faults_has_no_map(tmp_path):
    with pytest.raises(UnidentifiableError):
        address_map_frame(replay(imported(tmp_path, LINES)))
