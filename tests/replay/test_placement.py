"""What is placed anew: which questions, and what becomes of the events."""

from __future__ import annotations

import numpy as np
import pytest

from tests.replay.test_identify import ONLY_FAULTS, ask, device, guest
from tests.synthetic import (
    HUGE,
    RAM_BYTES,
    REPORTED,
    START_NS,
    features,
    given_back,
    machine,
    report,
    touch,
    trace,
)
from workbench.replay import Device, Guest, identify, replay
from workbench.replay.identify import PLACED
from workbench.schema import Kind
from workbench.trace import GuestFacts
from workbench.units import NANOSECONDS, PAGE_BYTES

PLACED_ANEW = [
    device(free_page_reporting=False),
    guest(reporting_order=10),
    guest(reporting_delay_ns=3 * NANOSECONDS),
    guest(reporting_capacity=16),
]


@pytest.mark.parametrize("settings", PLACED_ANEW)
def test_what_the_guest_notices_is_placed_anew_and_says_so(settings):
    judged = ask(REPORTED, settings)

    assert judged.answerable
    assert judged.notes == (PLACED,)


def placed_pages(rows, kind, **changes):
    """First page and pages of each event of this kind after 2.5 s, in a guest of order 0."""
    facts = machine(guest=GuestFacts(init_on_free=False, reporting_order=0, reporting_capacity=32))
    columns = replay(trace(rows, machines=[facts]), guest=Guest(**changes)).columns
    late = (columns["kind"] == kind) & (columns["time_ns"] > START_NS + 2.5 * NANOSECONDS)
    first, count = (columns[name][late] // PAGE_BYTES for name in ("offset_bytes", "length_bytes"))
    return list(zip(first.tolist(), count.tolist(), strict=True))


FIRST_REPORTS = [
    features(0.5),
    touch(1, 0),
    *given_back(report(2, HUGE // 2, HUGE // 2), report(2, HUGE), report(2, 2 * HUGE)),
]
"""When the driver comes half of the first huge page and all of the last are in use."""


def test_what_is_taken_from_a_pageblock_in_use_keeps_its_address():
    """Page 300 is in such a block; page 900 is the first page of the lists elsewhere."""
    rows = [
        *FIRST_REPORTS,
        touch(3, 300 * PAGE_BYTES, PAGE_BYTES),
        touch(3, 900 * PAGE_BYTES, PAGE_BYTES),
    ]

    assert [page for page, _ in placed_pages(rows, Kind.FAULT, reporting_order=1)] == [300, 512]


@pytest.mark.parametrize(("order", "expected"), [(5, [(320, 64), (288, 32)]), (6, [(320, 64)])])
def test_what_is_given_back_there_is_reported_if_it_is_large_enough(order, expected):
    """Of half a pageblock that was taken: 64, 32 and 8 pages."""
    taken = [touch(3, page * PAGE_BYTES, PAGE_BYTES) for page in range(256, 512)]
    rows = [report(6, 320 * PAGE_BYTES, 64 * PAGE_BYTES, 3)]
    rows += [
        report(6, 288 * PAGE_BYTES, 32 * PAGE_BYTES, 3),
        report(6, 272 * PAGE_BYTES, 8 * PAGE_BYTES, 3),
    ]

    found = placed_pages(
        [*FIRST_REPORTS, *taken, *given_back(*rows)],
        Kind.REPORT,
        reporting_order=order,
        reporting_capacity=4,
    )
    assert found == expected


def test_a_guest_that_ceases_to_report_reports_nothing_there():
    rows = [*FIRST_REPORTS, *given_back(report(6, HUGE // 2, HUGE // 2))]
    run = replay(trace(rows), device=Device(free_page_reporting=False))

    assert not (run.columns["kind"] == Kind.REPORT).any()


def test_such_a_block_merges_with_the_next_when_all_of_it_is_free():
    """The two are reported as one of 4 MiB."""
    rows = [*FIRST_REPORTS, *given_back(report(6, 0, 2 * HUGE))]

    assert placed_pages(rows, Kind.REPORT, reporting_order=10, reporting_capacity=1) == [(0, 1024)]


@pytest.mark.parametrize("settings", PLACED_ANEW)
@pytest.mark.parametrize(
    ("count", "page_bytes", "reason"),
    [(1, HUGE, "its memory is of huge pages"), (2, 4096, "its memory is in 2 RAM blocks")],
)
def test_other_memory_is_not_placed_anew(settings, count, page_bytes, reason):
    (block,) = machine().ram_blocks
    blocks = tuple(
        block.model_copy(update={"name": f"ram{number}", "page_bytes": page_bytes})
        for number in range(count)
    )
    judged = identify(trace(REPORTED, machines=[machine(ram_blocks=blocks)]), settings)

    assert [reason in found for found in judged.reasons] == [True]


def test_a_guest_that_does_not_report_has_no_reports():
    run = replay(trace(REPORTED), device=Device(free_page_reporting=False))

    assert not (run.columns["kind"] == Kind.REPORT).any()
    assert run.events["ranges"] == 0


def test_what_is_not_about_memory_stays_as_captured():
    """Features, markers and resets keep their times and values; time never goes back."""
    captured = replay(trace(REPORTED))
    placed = replay(trace(REPORTED), guest=Guest(reporting_order=10))
    stays = [
        [
            (int(time_ns), int(kind), int(status))
            for time_ns, kind, status in zip(
                run.columns["time_ns"], run.columns["kind"], run.columns["status"], strict=True
            )
            if kind not in {Kind.FAULT, Kind.REPORT, Kind.DISCARD}
        ]
        for run in (captured, placed)
    ]

    assert stays[0] == stays[1] != []
    assert (np.diff(placed.columns["time_ns"]) >= 0).all()
    assert placed.columns["sequence"].tolist() == list(range(placed.columns["kind"].size))


@pytest.mark.parametrize("settings", PLACED_ANEW[1:])
def test_a_guest_that_does_not_report_does_not_care_how(settings):
    captured = replay(trace(ONLY_FAULTS))
    run = replay(trace(ONLY_FAULTS), settings=settings)

    assert run.columns is run.trace.columns("events")
    assert run.final_resident_bytes == captured.final_resident_bytes


@pytest.mark.parametrize(
    ("offset", "pages"), [(RAM_BYTES - HUGE, 1024), (RAM_BYTES, 512), (64 * RAM_BYTES, 512)]
)
@pytest.mark.parametrize("settings", PLACED_ANEW)
def test_a_report_of_what_is_not_there_changes_nothing(settings, offset, pages):
    row = {**report(9, 0), "offset_bytes": offset, "length_bytes": pages * 4096, "element": 77}
    without = replay(trace(REPORTED), settings=settings)
    run = replay(trace([*REPORTED, row]), settings=settings)

    assert run.final_resident_bytes == without.final_resident_bytes
