"""How far a replay is from the host's samples, and which samples count."""

from __future__ import annotations

import pytest

from tests.synthetic import (
    HUGE,
    RAM_BYTES,
    REPORTED,
    event,
    machine,
    report,
    sample,
    swap_out,
    touch,
    trace,
)
from workbench.replay import Guest, replay
from workbench.schema import UNKNOWN, Kind
from workbench.units import MIB, PAGE_BYTES

EXACT = [sample(0.8, 0), sample(1.6, 4 * MIB), sample(3.5, 4 * MIB), sample(9, 2 * MIB)]


def error_of(events, samples, **changes):
    return replay(trace(events, samples=samples, **changes)).model_error


def test_an_exact_replay_has_no_error():
    resident = error_of(REPORTED, EXACT)["resident_bytes"]

    assert (resident["mean"], resident["final"], resident["final_pages"]) == (0, 0, 0)
    assert resident["quiet_max"] == 0


def test_the_mean_is_over_time_and_relative_to_the_measured_peak():
    """Off by 1 MiB at one end of the first of two equal spans, of a peak of 4 MiB."""
    samples = [sample(5, 3 * MIB), sample(6, 2 * MIB), sample(7, 2 * MIB), sample(3.5, 4 * MIB)]
    samples.sort(key=lambda row: row["time_ns"])
    resident = error_of(REPORTED, samples)["resident_bytes"]

    assert resident["peak_bytes"] == 4 * MIB
    expected_mib_seconds = 1.5 * 1 / 2 + 1 * 1 / 2
    assert resident["mean"] == pytest.approx(expected_mib_seconds / 3.5 / 4)


def test_the_final_error_is_signed_and_at_the_last_quiet_sample():
    samples = [sample(3.5, 5 * MIB), sample(4.01, 9 * MIB)]
    resident = error_of(REPORTED, samples)["resident_bytes"]

    assert resident["final_pages"] == -MIB // PAGE_BYTES
    assert resident["final"] == pytest.approx(-1 / 9)


def test_the_largest_quiet_error_is_relative_to_the_guests_ram():
    resident = error_of(REPORTED, [sample(3.5, 5 * MIB), sample(9, 2 * MIB)])["resident_bytes"]

    assert resident["quiet_max"] == MIB / RAM_BYTES


@pytest.mark.parametrize(
    ("seconds", "quiet"),
    [
        (0.9, 1),  # Long before.
        (0.9485, 1),  # The reading takes 1 ms, so it ends more than 50 ms before the fault.
        (0.9495, 0),  # It ends less than 50 ms before.
        (1.0, 0),  # During.
        (1.0995, 0),  # Less than 100 ms after.
        (1.1005, 1),  # More.
    ],
)
def test_a_sample_is_quiet_if_nothing_moves_around_it(seconds, quiet):
    assert error_of([touch(1, 0)], [sample(seconds, 0)])["quiet_samples"] == quiet


def test_what_moves_nothing_disturbs_nothing():
    """A fault that allocated nothing, a marker, and whatever another machine does."""
    events = [touch(1, 0, 0), event(1, Kind.MARKER), touch(1, 0, vm=1)]
    machines = [machine("a"), machine("b")]
    error = error_of(events, [sample(1, 0), sample(5, HUGE, vm=1)], machines=machines)

    assert error["virtual_machines"][0]["quiet_samples"] == 1


def test_a_long_discard_disturbs_until_it_ends():
    long = {**report(1, 0), "kind": int(Kind.DISCARD), "duration_ns": 1_000_000_000}

    assert error_of([touch(0.5, 0), report(1, 0), long], [sample(1.5, 0)])["quiet_samples"] == 0


def test_without_a_quiet_sample_there_is_no_final_error():
    error = error_of([touch(1, 0)], [sample(1, HUGE)])

    assert error["resident_bytes"]["final"] is None
    assert error["resident_bytes"]["quiet_max"] is None
    assert error["reason"] == "no sample was taken while nothing moved"


def test_without_samples_the_error_is_unknown_and_says_why():
    error = error_of(REPORTED, [])

    assert error["resident_bytes"] is None
    assert error["swapped_bytes"] is None
    assert error["reason"] == "the trace has no samples of this machine"


def test_swapped_pages_have_their_own_error():
    samples = [sample(3, 0, HUGE), sample(4, 0, HUGE + PAGE_BYTES)]
    swapped = error_of([touch(1, 0), swap_out(2, 0)], samples)["swapped_bytes"]

    assert swapped["final_pages"] == -1
    assert swapped["quiet_max"] == PAGE_BYTES / RAM_BYTES


def test_what_was_not_measured_is_unknown():
    error = error_of(REPORTED, [sample(9, 2 * MIB, UNKNOWN)])

    assert error["swapped_bytes"] is None
    assert error["resident_bytes"]["final_pages"] == 0
    assert error["reason"] == "swapped_bytes were not measured"


def test_every_reason_is_given():
    error = error_of([touch(1, 0)], [sample(1, HUGE, UNKNOWN)])

    assert error["reason"] == (
        "no sample was taken while nothing moved; swapped_bytes were not measured"
    )


def test_nothing_measured_and_nothing_predicted_is_no_error():
    assert error_of([], [sample(1, 0)])["resident_bytes"]["mean"] == 0


def test_of_two_machines_the_worse_counts():
    events = [touch(1, 0, vm=0), touch(1, 0, vm=1)]
    samples = [sample(3, HUGE, vm=0), sample(3, HUGE + MIB, vm=1)]
    error = error_of(events, samples, machines=[machine("a"), machine("b")])

    assert error["resident_bytes"]["final_pages"] == -MIB // PAGE_BYTES
    assert [m["resident_bytes"]["final_pages"] for m in error["virtual_machines"]] == [0, -256]
    assert (error["samples"], error["quiet_samples"]) == (2, 2)


def test_a_machine_without_samples_leaves_the_whole_unknown():
    error = error_of([], [sample(3, 0)], machines=[machine("a"), machine("b")])

    assert error["resident_bytes"] is None
    assert error["virtual_machines"][0]["resident_bytes"]["final_pages"] == 0


def test_a_what_if_states_the_error_of_the_replay_as_captured():
    hand = trace(REPORTED, samples=EXACT)

    assert replay(hand, guest=Guest(poison_val=1)).model_error == replay(hand).model_error
