"""What is placed anew: which questions, and what becomes of the events."""

from __future__ import annotations

import numpy as np
import pytest

from tests.replay.test_identify import ONLY_FAULTS, ask, device, guest
from tests.synthetic import HUGE, RAM_BYTES, REPORTED, machine, report, trace
from workbench.replay import Device, Guest, identify, replay
from workbench.replay.identify import PLACED
from workbench.schema import Kind
from workbench.units import NANOSECONDS

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
