"""What a trace can answer, and each refusal with its reason."""

from __future__ import annotations

import re

import pytest

from tests.synthetic import (
    HUGE,
    PAGE_POISON,
    POISON_VAL,
    POISONED,
    REPORTED,
    REPORTING,
    discard,
    event,
    features,
    inflate,
    machine,
    report,
    swap_in,
    swap_out,
    touch,
    trace,
)
from workbench.errors import UnidentifiableError
from workbench.replay import Device, Guest, Host, Settings, UnanswerableError, identify, replay
from workbench.schema import Kind, PageState
from workbench.trace import BalloonProperties, GuestFacts
from workbench.units import NANOSECONDS

REPORTING_OFF = BalloonProperties(free_page_reporting=False, page_poison=True)
POISON_OFF = BalloonProperties(free_page_reporting=True, page_poison=False)
UNKNOWN_DEVICE = BalloonProperties()

ONLY_FAULTS = [features(0.5, 0), touch(1, 0)]
_ROW = report(2, 0)
SWAPPING = [features(0.5), touch(1, 0), touch(1, HUGE), swap_out(1.5, HUGE), _ROW, discard(_ROW)]
CAME_BACK = [*SWAPPING[:3], swap_in(1.5, HUGE), *SWAPPING[4:]]
"""Pages were swapped, but no swap-out shows how much memory there was."""
INIT_ON_FREE = [features(0.5, REPORTING | PAGE_POISON), touch(1, 0), _ROW, discard(_ROW)]
INHIBITED = [features(0.5), touch(1, 0), event(1.5, Kind.INHIBIT, status=1), report(2, 0)]


def ask(events, settings, **changes):
    device = changes.pop("captured_device", None)
    guest = changes.pop("captured_guest", None)
    facts = {
        **({} if device is None else {"device": device}),
        **({} if guest is None else {"guest": guest}),
    }
    return identify(trace(events, machines=[machine(**facts)], **changes), settings)


def device(**values):
    return Settings(device=Device(**values))


def guest(**values):
    return Settings(guest=Guest(**values))


def host(**values):
    return Settings(host=Host(**values))


@pytest.mark.parametrize(
    "events", [REPORTED, POISONED, SWAPPING, INHIBITED, ONLY_FAULTS, INIT_ON_FREE, []]
)
def test_as_captured_is_always_answerable(events):
    assert ask(events, Settings()).answerable


ANSWERABLE = {
    "poison value, nothing swapped": (REPORTED, guest(poison_val=POISON_VAL), {}),
    "poison value with swapping": (SWAPPING, guest(poison_val=1), {}),
    "inhibited with swapping": (SWAPPING, device(discard_inhibited=True), {}),
    "reporting off where pages were swapped": (SWAPPING, device(free_page_reporting=False), {}),
    "reporting off where pages came back, of a host whose memory is known": (
        CAME_BACK,
        Settings(device=Device(free_page_reporting=False), host=Host(memory_bytes="64M")),
        {},
    ),
    "a host of another size where pages were swapped": (SWAPPING, host(reclaim="two-list"), {}),
    "a host of a size where none were": (ONLY_FAULTS, host(memory_bytes=HUGE), {}),
    "poison value with PAGE_POISON offered anew": (
        REPORTED,
        Settings(device=Device(page_poison=True), guest=Guest(poison_val=POISON_VAL)),
        {"captured_device": POISON_OFF},
    ),
    "poison value that was there already": (POISONED, guest(poison_val=1), {}),
    "poison value where nothing is reported": (ONLY_FAULTS, guest(poison_val=1), {}),
    "poison value 0 where it was 0": (INIT_ON_FREE, guest(poison_val=0), {}),
    "poison value 0 where none was written": (REPORTED, guest(poison_val=0), {}),
    "discards inhibited": (REPORTED, device(discard_inhibited=True), {}),
    "hints left out": (
        [*REPORTED, event(9, Kind.HINT_RANGE, offset_bytes=HUGE, length_bytes=HUGE)],
        device(free_page_hint=False),
        {},
    ),
    "hints left out where there were none, swap or not": (
        SWAPPING,
        device(free_page_hint=False),
        {},
    ),
    "hinting where it was on": (
        ONLY_FAULTS,
        device(free_page_hint=True),
        {"captured_device": BalloonProperties(free_page_hint=True)},
    ),
    "discards inhibited where there were none, though pages were swapped": (
        [touch(1, 0), swap_out(2, 0)],
        device(discard_inhibited=True),
        {},
    ),
    "discards not inhibited where they never were": (
        REPORTED,
        device(discard_inhibited=False),
        {},
    ),
    "reporting on where it was on": (REPORTED, device(free_page_reporting=True), {}),
    "reporting off where it was off": (
        ONLY_FAULTS,
        device(free_page_reporting=False),
        {"captured_device": REPORTING_OFF},
    ),
    "reporting off where the driver did not take it": (
        ONLY_FAULTS,
        device(free_page_reporting=False),
        {},
    ),
    "PAGE_POISON off where the driver did not keep it": (REPORTED, device(page_poison=False), {}),
    "PAGE_POISON on for a driver that reports without it": (
        REPORTED,
        device(page_poison=True),
        {"captured_device": POISON_OFF},
    ),
    "reporting on for a driver that took it from an unknown device": (
        REPORTED,
        device(free_page_reporting=True),
        {"captured_device": UNKNOWN_DEVICE},
    ),
    "PAGE_POISON off for a driver that kept nothing of an unknown device": (
        REPORTED,
        device(page_poison=False),
        {"captured_device": UNKNOWN_DEVICE},
    ),
    "PAGE_POISON on where no reporting is offered": (
        ONLY_FAULTS,
        device(page_poison=True),
        {"captured_device": BalloonProperties(free_page_reporting=False, page_poison=False)},
    ),
    "the captured order": (REPORTED, guest(reporting_order=9), {}),
    "the captured delay": (REPORTED, guest(reporting_delay_ns=2 * NANOSECONDS), {}),
    "the captured capacity": (REPORTED, guest(reporting_capacity=32), {}),
    "any order where nothing is reported": (ONLY_FAULTS, guest(reporting_order=0), {}),
}


@pytest.mark.parametrize(("events", "settings", "changes"), ANSWERABLE.values(), ids=ANSWERABLE)
def test_what_can_be_answered(events, settings, changes):
    judged = ask(events, settings, **changes)

    assert judged.reasons == ()
    assert judged.answerable


REFUSED = {
    "poison value 0 on a poisoned capture": (
        POISONED,
        guest(poison_val=0),
        {},
        "refaults that follow were never captured",
    ),
    "poison value with swapping": (CAME_BACK, guest(poison_val=1), {}, "pages were swapped"),
    "poison value after a swap-in": (
        [*REPORTED, swap_in(5, 0)],
        guest(poison_val=1),
        {},
        "pages were swapped",
    ),
    "poison value with swap from the start": (
        REPORTED,
        guest(poison_val=1),
        {"state": [{"length_bytes": 4096, "page_state": PageState.SWAPPED}]},
        "pages were swapped",
    ),
    "poison value without PAGE_POISON": (
        REPORTED,
        guest(poison_val=1),
        {"captured_device": POISON_OFF},
        "ask with device.page_poison=on",
    ),
    "poison value with PAGE_POISON taken away": (
        REPORTED,
        Settings(device=Device(page_poison=False), guest=Guest(poison_val=1)),
        {},
        "ask with device.page_poison=on",
    ),
    "inhibited with swapping": (
        CAME_BACK,
        device(discard_inhibited=True),
        {},
        "pages were swapped",
    ),
    "inhibited with swapping under an inflated balloon": (
        [touch(1, 0), inflate(2, 0), swap_in(3, 0)],
        device(discard_inhibited=True),
        {},
        "pages were swapped",
    ),
    "a host of unknown size where none were": (
        ONLY_FAULTS,
        host(reclaim="least-recent"),
        {},
        "nothing went to swap, .*: set host.memory_bytes",
    ),
    "not inhibited on an inhibited capture": (
        INHIBITED,
        device(discard_inhibited=False),
        {},
        "discards were inhibited for a while",
    ),
    "reporting off where pages were swapped": (
        CAME_BACK,
        device(free_page_reporting=False),
        {},
        "without it the guest would use other addresses, .*: pages were swapped",
    ),
    "reporting off where discards were inhibited": (
        INHIBITED,
        device(free_page_reporting=False),
        {},
        "placed anew: discards were inhibited for a while",
    ),
    "reporting off where nothing was discarded": (
        POISONED,
        device(free_page_reporting=False),
        {},
        "QEMU did not discard [0-9]+ poisoned ranges",
    ),
    "reporting off where nothing was reported yet": (
        [features(0.5), touch(1, 0)],
        device(free_page_reporting=False),
        {},
        "no report is in the trace",
    ),
    "reporting off where the balloon was inflated": (
        [*REPORTED, inflate(9, 0)],
        device(free_page_reporting=False),
        {},
        "pages were in the balloon",
    ),
    "reporting off where pages were hinted": (
        [*REPORTED, event(9, Kind.HINT_RANGE, offset_bytes=HUGE, length_bytes=HUGE)],
        device(free_page_reporting=False),
        {},
        "the guest held pages that it hinted",
    ),
    "hints left out where pages were swapped": (
        [*SWAPPING, event(9, Kind.HINT_RANGE, offset_bytes=HUGE, length_bytes=HUGE)],
        device(free_page_hint=False),
        {},
        "pages were swapped: without the pages that the guest took",
    ),
    "hinting": (
        ONLY_FAULTS,
        device(free_page_hint=True),
        {},
        "captured without free_page_hint: what the guest would have hinted",
    ),
    "reporting on": (
        ONLY_FAULTS,
        device(free_page_reporting=True),
        {"captured_device": REPORTING_OFF},
        "captured with free_page_reporting off",
    ),
    "reporting of an unknown device": (
        ONLY_FAULTS,
        device(free_page_reporting=True),
        {"captured_device": UNKNOWN_DEVICE},
        "does not say whether free_page_reporting was on",
    ),
    "PAGE_POISON off where the driver kept it, and pages were hinted": (
        [*INIT_ON_FREE, event(9, Kind.HINT_RANGE, offset_bytes=HUGE, length_bytes=HUGE)],
        device(page_poison=False),
        {},
        "the driver drops REPORTING, because PAGE_POISON is not offered: the guest would use",
    ),
    "PAGE_POISON on where the driver dropped REPORTING": (
        ONLY_FAULTS,
        device(page_poison=True),
        {"captured_device": POISON_OFF},
        "with it on the guest may report",
    ),
    "PAGE_POISON of an unknown device": (
        ONLY_FAULTS,
        device(page_poison=True),
        {"captured_device": UNKNOWN_DEVICE},
        "does not say whether page_poison was on",
    ),
    "a finer order": (
        REPORTED,
        guest(reporting_order=0),
        {},
        "what a finer one would report is not in the trace",
    ),
    "a coarser order where pages were swapped": (
        CAME_BACK,
        guest(reporting_order=10),
        {},
        "with a coarser one the guest would use other addresses",
    ),
    "a shorter delay": (
        REPORTED,
        guest(reporting_delay_ns=NANOSECONDS),
        {},
        "what a shorter one would report",
    ),
    "a longer delay where pages were swapped": (
        CAME_BACK,
        guest(reporting_delay_ns=3 * NANOSECONDS),
        {},
        "with a longer one the guest",
    ),
    "a larger capacity": (
        REPORTED,
        guest(reporting_capacity=64),
        {},
        "what a larger one would report",
    ),
    "a smaller capacity where pages were swapped": (
        CAME_BACK,
        guest(reporting_capacity=16),
        {},
        "with a smaller one the guest",
    ),
    "an order nobody knows": (
        REPORTED,
        guest(reporting_order=9),
        {"captured_guest": GuestFacts()},
        "does not say which reporting_order",
    ),
}


@pytest.mark.parametrize(("events", "settings", "changes", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_and_why(events, settings, changes, reason):
    judged = ask(events, settings, **changes)

    assert not judged.answerable
    assert [bool(re.search(reason, found)) for found in judged.reasons] == [True]


def test_an_unknown_device_can_be_asked_about_a_poison_value():
    """That the driver may keep PAGE_POISON is part of the question."""
    assert ask(REPORTED, guest(poison_val=1), captured_device=UNKNOWN_DEVICE).answerable


def test_a_refused_replay_raises_with_the_reasons_and_the_exit_code():
    with pytest.raises(UnidentifiableError, match="hand: captured with a poison_val") as caught:
        replay(trace(POISONED), guest=Guest(poison_val=0))

    assert caught.value.exit_code == 8
    assert isinstance(caught.value, UnanswerableError)
    assert len(caught.value.identifiable.reasons) == 1


def test_every_reason_is_given():
    settings = Settings(device=Device(free_page_reporting=False), guest=Guest(reporting_order=0))

    assert len(ask(CAME_BACK, settings).reasons) == 2


def test_a_reason_names_its_machine_where_there_are_more():
    machines = [machine("quiet"), machine("busy")]
    events = [{**row, "vm": 1} for row in REPORTED]
    judged = identify(trace(events, machines=machines), guest=Guest(reporting_order=0))

    assert [reason.partition(":")[0] for reason in judged.reasons] == ["busy"]


@pytest.mark.parametrize("settings", [guest(poison_val=1), device(discard_inhibited=True)])
def test_what_one_guest_keeps_changes_what_another_swaps(settings):
    """Only one reports and only the other swaps: with fewer discards there is less room for it."""
    machines = [machine("reporting"), machine("swapping")]
    other = [{**row, "vm": 1} for row in (touch(1, 0), swap_in(5, 0))]

    judged = identify(trace([*REPORTED, *other], machines=machines), settings)

    (reason,) = judged.reasons
    assert reason.startswith("reporting: pages were swapped")
    assert identify(trace([*REPORTED, other[0]], machines=machines), settings).answerable


def test_the_judgement_is_json():
    assert ask(POISONED, guest(poison_val=0)).to_dict()["answerable"] is False
