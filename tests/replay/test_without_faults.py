"""A trace without faults: what was reported is answered, what the guest held is refused."""

from __future__ import annotations

import pytest

from tests.qemu_lines import LINES, discard, imported, kick, pop
from workbench.errors import UnidentifiableError
from workbench.measure import METRICS, describe, memory_over_time, metrics, totals
from workbench.measure.dictionary import KNOWN_WITHOUT_FAULTS
from workbench.replay import (
    NO_FAULTS,
    Device,
    Guest,
    Host,
    UnanswerableError,
    curve,
    identify,
    replay,
)
from workbench.units import MIB

WORKED_OUT = {
    "reports": 2,
    "ranges": 4,
    "reported_bytes": 10 * MIB,
    "discards": 4,
    "discarded_bytes": 10 * MIB,
    "discards_failed": 0,
    "skipped_poisoned": 0,
    "events_lost": 1,
}


@pytest.fixture
def trace(tmp_path):
    """What `tests.qemu_lines` describes."""
    return imported(tmp_path, LINES)


def test_what_was_reported_is_counted(trace):
    found = metrics(replay(trace))

    assert {name: found[name]["value"] for name in WORKED_OUT} == WORKED_OUT
    assert totals(trace).metrics == found | {
        name: totals(trace).metrics[name] for name in found.keys() - WORKED_OUT.keys()
    }


def test_no_number_is_given_for_what_the_guest_held(trace):
    """Not even 0: an empty sum is not a measurement.  And each says why."""
    for found in (metrics(replay(trace)), totals(trace).metrics):
        unknown = {name: found[name] for name in found.keys() - KNOWN_WITHOUT_FAULTS}
        assert {entry["value"] for entry in unknown.values()} == {None}
        assert {entry["reason"] for entry in unknown.values()} == {NO_FAULTS}
    assert {metric.name for metric in METRICS} > KNOWN_WITHOUT_FAULTS


def test_the_replay_says_so(trace):
    assert "unknown memory" in repr(replay(trace))
    assert "unknown memory" in repr(totals(trace))
    assert "unknown memory" in replay(trace)._repr_html_()
    assert NO_FAULTS in replay(trace).identifiable.notes


def test_memory_over_time_is_refused(trace):
    with pytest.raises(UnidentifiableError, match="the trace has no faults"):
        memory_over_time(replay(trace))


@pytest.mark.parametrize(
    ("settings", "is_answerable"),
    [
        ({"guest": Guest(poison_val=0xAAAAAAAA)}, True),
        ({"device": Device(discard_inhibited=True)}, True),
        ({"device": Device(free_page_reporting=True)}, True),
        ({"device": Device(free_page_reporting=False)}, False),
        ({"host": Host(memory_bytes=8 * MIB)}, False),
        ({"guest": Guest(reporting_order=0)}, False),
        ({"guest": Guest(init_on_free=True)}, False),
    ],
    ids=str,
)
def test_what_only_the_device_decides_is_answered(trace, settings, is_answerable):
    """Which ranges it would have discarded; not what would have become of memory."""
    assert identify(trace, **settings).answerable is is_answerable


def test_a_poison_value_would_have_kept_every_range(trace):
    found = metrics(replay(trace, guest=Guest(poison_val=0xAAAAAAAA)))

    assert found["skipped_poisoned"]["value"] == 4
    assert found["discarded_bytes"]["value"] == 0
    assert found["resident_bytes_final"]["value"] is None


def test_a_guest_is_not_placed_anew_without_knowing_what_it_took(trace):
    reasons = identify(trace, device=Device(free_page_reporting=False)).reasons

    assert any("no fault is in the trace" in reason for reason in reasons)


def test_no_curve_comes_of_it(trace):
    with pytest.raises(UnanswerableError, match="the trace has no faults"):
        curve(trace)


def test_the_description_names_what_was_not_seen(trace):
    probes = {probe["name"]: probe for probe in describe(trace)["probes"]}

    assert not probes["memory"]["attached"]
    assert "how much memory was resident is not known" in probes["memory"]["reason"]


def test_elements_that_were_not_discarded_leave_gaps_in_the_numbers(tmp_path):
    """The second of three: its ranges are lost, and it is not counted as an element of 0."""
    lines = [kick(1), pop(1, 1), discard(1, 0), pop(2, 1), pop(3, 1), discard(3, 14)]
    trace = imported(tmp_path, lines)

    assert trace.manifest.lost_events == 1
    assert metrics(replay(trace))["reports"]["value"] == 2
