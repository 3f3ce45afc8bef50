"""A guest with init_on_free, asked of a capture without: which questions, and what it touches."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.replay.test_identify import CAME_BACK, INIT_ON_FREE, ONLY_FAULTS, ask, guest
from tests.synthetic import (
    HUGE,
    RAM_BYTES,
    REPORTED,
    START_NS,
    fault,
    features,
    given_back,
    machine,
    report,
    touch,
    trace,
)
from workbench.replay import Device, Guest, Settings, replay
from workbench.replay.identify import CLEARED, PLACED
from workbench.schema import Kind
from workbench.trace import GuestFacts
from workbench.units import MIB, NANOSECONDS, PAGE_BYTES

INIT_ON_FREE_GUEST = GuestFacts(init_on_free=True)

ANSWERABLE = {
    "init_on_free": (REPORTED, guest(init_on_free=True), {}),
    "init_on_free where nobody said, of a driver that reports without PAGE_POISON": (
        REPORTED,
        guest(init_on_free=True),
        {"captured_guest": GuestFacts()},
    ),
    "init_on_free where it was on": (
        INIT_ON_FREE,
        guest(init_on_free=True),
        {"captured_guest": INIT_ON_FREE_GUEST},
    ),
    "no init_on_free where there was none": (REPORTED, guest(init_on_free=False), {}),
    "init_on_free without PAGE_POISON, which ends reporting": (
        REPORTED,
        Settings(device=Device(page_poison=False), guest=Guest(init_on_free=True)),
        {},
    ),
}


@pytest.mark.parametrize(("events", "settings", "changes"), ANSWERABLE.values(), ids=ANSWERABLE)
def test_what_can_be_answered(events, settings, changes):
    assert ask(events, settings, **changes).reasons == ()


REFUSED = {
    "no init_on_free": (
        INIT_ON_FREE,
        guest(init_on_free=False),
        {"captured_guest": INIT_ON_FREE_GUEST},
        "what the guest would have touched without it is not in the trace",
    ),
    "init_on_free where nobody knows": (
        ONLY_FAULTS,
        guest(init_on_free=True),
        {"captured_guest": GuestFacts()},
        "does not say whether the guest had init_on_free",
    ),
    "init_on_free in a guest that fills its pages otherwise": (
        INIT_ON_FREE,
        guest(init_on_free=True),
        {},
        "fills its free pages with a pattern",
    ),
    "init_on_free where nothing is reported": (
        ONLY_FAULTS,
        guest(init_on_free=True),
        {},
        "with it on the guest would use other addresses, .*: no report is in the trace",
    ),
    "init_on_free where pages came back from swap": (
        CAME_BACK,
        guest(init_on_free=True),
        {},
        "with it on the guest would use other addresses, .*: pages were swapped",
    ),
}


@pytest.mark.parametrize(("events", "settings", "changes", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_and_why(events, settings, changes, reason):
    judged = ask(events, settings, **changes)

    assert [bool(re.search(reason, found)) for found in judged.reasons] == [True]


def test_init_on_free_is_placed_anew_and_says_so():
    assert ask(REPORTED, guest(init_on_free=True)).notes == (PLACED, CLEARED)


def resident_mib(run):
    """Time in the capture and resident memory after it, for each time at which that changes."""
    after = np.cumsum(run.ledger.resident_delta_pages) * PAGE_BYTES // MIB
    times = (run.columns["time_ns"] - START_NS) / NANOSECONDS
    changes = run.ledger.resident_delta_pages != 0
    return dict(zip(times[changes].tolist(), after[changes].tolist(), strict=True))


def test_a_guest_with_init_on_free_has_touched_all_of_its_memory_when_it_has_booted():
    """Half of the rest with the boot's first fault, half with its second; too little to report."""
    run = replay(trace(REPORTED), guest=Guest(init_on_free=True))

    assert resident_mib(run) == {1: 4, 1.1: 8}


@pytest.mark.parametrize("first_mib", [0, 6])
def test_what_nobody_clears_below_1_mib_comes_only_with_its_huge_page(first_mib):
    """Of 6 MiB that were not faulted on, 1 or none is where firmware and graphics memory are."""
    (block,) = machine().ram_blocks
    small = block.model_copy(update={"transparent_huge_page": False})
    rows = [features(0.5), fault(1, first_mib), *given_back(report(2, 4 * MIB))]
    run = replay(
        trace(rows, machines=[machine(ram_blocks=(small,))]), guest=Guest(init_on_free=True)
    )

    assert resident_mib(run) == {1: 8 if first_mib == 0 else 7}


def test_without_a_fault_of_the_boot_memory_is_cleared_when_it_is_first_reported():
    rows = [features(0.5), *given_back(report(2, 0)), touch(3, 0)]
    run = replay(trace(rows), guest=Guest(init_on_free=True))

    assert resident_mib(run) == {2: 8}


def test_what_a_guest_with_init_on_free_reported_is_touched_anew():
    """As without it, once the boot is over; 256 MiB are enough to report some of."""
    memory = 256 * MIB
    (block,) = machine().ram_blocks
    large = machine(ram_blocks=(block.model_copy(update={"used_bytes": memory}),))
    reports = [report(2, offset) for offset in range(128 * MIB, memory, HUGE)]
    rows = [features(0.5), fault(1, 0), *given_back(*reports), fault(3, 128)]
    runs = [
        resident_mib(replay(trace(rows, machines=[large]), guest=Guest(**changes)))
        for changes in ({"init_on_free": True}, {"reporting_delay_ns": 2 * NANOSECONDS + 1})
    ]

    assert runs[0] == {1: 256, 2: 128, 3: 130}
    assert list(runs[1].values())[-1] == 4


def test_without_page_poison_a_guest_with_init_on_free_does_not_report():
    """The device could not know that a reported page must come back cleared."""
    run = replay(trace(REPORTED), device=Device(page_poison=False), guest=Guest(init_on_free=True))

    assert not (run.columns["kind"] == Kind.REPORT).any()
    assert run.final_resident_bytes == RAM_BYTES
