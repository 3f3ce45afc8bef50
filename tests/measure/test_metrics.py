"""The metric dictionary on traces small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.synthetic import (
    HUGE,
    START_NS,
    TWO_BLOCKS,
    event,
    fault,
    given_back,
    inflate,
    report,
    started,
    swap_in,
    swap_out,
    touch,
    write_trace,
    write_two_blocks,
)
from workbench.errors import UsageError
from workbench.measure import BY_NAME, METRICS, compare, memory_over_time, metric_table, metrics
from workbench.measure.names import metric_text, quantity_text, readable
from workbench.replay import Device, Guest, migration, replay
from workbench.schema import Kind
from workbench.units import MIB, NANOSECONDS, PAGE_BYTES

BY_HAND = {
    "resident_bytes_mean": (0 * 1 + 2 * 1 + 4 * 2 + 2 * 2 + 4 * 2 + 2 * 2) * MIB / 10,
    "resident_bytes_peak": 4 * MIB,
    "resident_bytes_final": 2 * MIB,
    "resident_byte_seconds": 26.0 * MIB,
    "swapped_bytes_mean": 0,
    "swapped_bytes_peak": 0,
    "swapped_bytes_final": 0,
    "swapped_byte_seconds": 0,
    "reclaimed_bytes": 4 * MIB,
    "host_freed_bytes": 4 * MIB,
    "inflated_bytes": 0,
    "swap_freed_bytes": 0,
    "reports": 2,
    "ranges": 3,
    "reported_bytes": 4 * MIB + 2048,
    "discards": 2,
    "discarded_bytes": 4 * MIB,
    "skipped_inhibited": 0,
    "skipped_poisoned": 0,
    "skipped_bad_address": 0,
    "skipped_unaligned": 1,
    "skipped_overrun": 0,
    "discards_failed": 0,
    "zero_fill_faults": 2,
    "refaults": 1,
    "swap_in_pages": 0,
    "swap_out_pages": 0,
    "swap_in_dead_pages": 0,
    "swap_out_dead_pages": 0,
    "swap_read_pages": 0,
    "swap_written_pages": 0,
    "swap_wait_seconds": 0.0,
    "swap_write_seconds": 0.0,
    "drain_seconds": 1.0,
    "hinted_bytes": MIB,
    "migration_full_pages": 0,
    "migration_zero_pages": 0,
    "migration_unsent_pages": 0,
    "migration_sent_bytes": 0,
    "migration_full_pages_not_sent": 0,
    "migration_zero_pages_not_sent": 0,
    "migration_bytes_not_sent": 0,
    "model_error_mean": 0.0,
    "model_error_final": 0.0,
    "events_lost": 0,
}


@pytest.fixture
def run(tmp_path):
    """Replay the two blocks as captured."""
    return replay(write_two_blocks(tmp_path))


@pytest.mark.parametrize("name", [metric.name for metric in METRICS])
def test_a_metric_is_what_it_is_by_hand(run, name):
    assert metrics(run)[name] == {"value": BY_HAND[name], "unit": BY_NAME[name].unit}


def test_metrics_do_not_depend_on_the_samples(run, tmp_path):
    without = write_trace(tmp_path / "bare" / "two-blocks.trace", TWO_BLOCKS)
    mine, bare = metrics(run), metrics(replay(without))
    differing = {name for name in mine if mine[name] != bare[name]}

    assert differing == {"model_error_mean", "model_error_final"}
    assert bare["model_error_mean"]["value"] is None
    assert bare["model_error_mean"]["reason"]


def test_a_final_error_without_a_quiet_sample_says_so(tmp_path):
    """There are samples, so their absence would be a false reason."""
    samples = {"time_ns": [START_NS + NANOSECONDS], "vm": [0], "resident_bytes": [2 * MIB]}
    found = metrics(replay(write_trace(tmp_path / "busy.trace", [fault(1, 0)], samples=samples)))

    assert found["model_error_mean"]["value"] is not None
    assert found["model_error_final"]["value"] is None
    assert found["model_error_final"]["reason"] == "no sample was taken while nothing moved"


def test_a_poisoned_guest_gives_nothing_back_and_every_range_says_why(run):
    poisoned = metrics(replay(run.trace, guest=Guest(poison_val=0xAAAAAAAA)))

    assert poisoned["skipped_poisoned"]["value"] == 3
    assert poisoned["discards"]["value"] == 0
    assert poisoned["reclaimed_bytes"]["value"] == 0
    assert poisoned["resident_bytes_final"]["value"] == 4 * MIB
    assert poisoned["drain_seconds"]["value"] is None


def test_part_of_a_huge_page_leaves_the_resident_set_but_not_the_host(tmp_path):
    events = [fault(1, 0), *given_back(report(2, 0, MIB))]
    found = metrics(replay(write_trace(tmp_path / "half.trace", events)))

    assert found["reclaimed_bytes"]["value"] == MIB
    assert found["host_freed_bytes"]["value"] == 0


def test_an_inflated_balloon_is_no_report(tmp_path):
    events = [fault(1, 0), inflate(2, 0, HUGE)]
    found = metrics(replay(write_trace(tmp_path / "inflate.trace", events)))

    assert found["inflated_bytes"]["value"] == 2 * MIB
    assert found["reclaimed_bytes"]["value"] == 0
    assert found["discards"]["value"] == 0


def test_swap_is_counted_in_pages_and_held_until_it_is_read_or_discarded(tmp_path):
    events = [
        fault(1, 0),
        swap_out(2, 0),
        swap_in(4, 0),
        *given_back(report(6, 0)),
    ]
    found = metrics(replay(write_trace(tmp_path / "swap.trace", events)))

    assert found["swap_out_pages"]["value"] == 512
    assert found["swap_in_pages"]["value"] == 1
    assert found["swapped_bytes_peak"]["value"] == 2 * MIB
    assert found["swap_freed_bytes"]["value"] == 511 * 4096
    assert found["swapped_byte_seconds"]["value"] == 2 * (512 + 511) * 4096


def test_the_slowest_machine_gives_the_drain_time(tmp_path):
    events = [fault(1, 0), fault(1, 0, vm=1)]
    events += [event(2, Kind.MARKER), event(2, Kind.MARKER, vm=1)]
    events += given_back(report(3, 0), report(6, 0, vm=1))
    trace = write_trace(
        tmp_path / "two.trace", events, machines=[started("guest0"), started("guest1")]
    )
    found = metrics(replay(trace))

    assert found["drain_seconds"]["value"] == 4.0
    assert found["reports"]["value"] == 2
    assert found["resident_bytes_peak"]["value"] == 4 * MIB


MIGRATED = [
    fault(1, 0),
    fault(2, 2),
    event(3, Kind.MIGRATION_START),
    event(3.05, Kind.HINT_RANGE, ram_block=0, offset_bytes=2 * MIB, length_bytes=MIB),
    event(3.06, Kind.HINT_RANGE, ram_block=0, offset_bytes=6 * MIB, length_bytes=MIB),
    touch(3.2, 0, PAGE_BYTES),
    event(3.3, Kind.BITMAP_SYNC),
    event(3.4, Kind.MIGRATION_END, status=1),
]
"""Of 8 MiB, 4 are backed when a migration begins that may send 12.8 MiB at once."""


def slow(monkeypatch, bytes_per_second):
    """Let migrations send so much."""
    monkeypatch.setattr(migration, "_BYTES_PER_SECOND", bytes_per_second)


def test_a_hint_that_comes_before_its_pages_spares_them(tmp_path, monkeypatch):
    """At 4,104 bytes in each tenth of a second a page goes before the hints come.

    They spare 256 pages with content and 256 without.  The page that was sent is sent again, for it
    was written.
    """
    slow(monkeypatch, 10 * 4104)
    found = metrics(replay(write_trace(tmp_path / "x.trace", MIGRATED)))
    moved = {name: entry["value"] for name, entry in found.items() if "migration" in name}

    assert moved == {
        "migration_full_pages": 1024 - 256 + 1,
        "migration_zero_pages": 1024 - 256,
        "migration_unsent_pages": 512,
        "migration_sent_bytes": 769 * 4104 + 768 * 9,
        "migration_full_pages_not_sent": 256,
        "migration_zero_pages_not_sent": 256,
        "migration_bytes_not_sent": 256 * 4104 + 256 * 9,
    }


def test_a_hint_that_comes_after_its_pages_spares_nothing(tmp_path):
    """All 2,048 pages go at once; the page that was written goes again."""
    found = metrics(replay(write_trace(tmp_path / "x.trace", MIGRATED)))

    assert found["migration_full_pages"]["value"] == 1024 + 1
    assert found["migration_zero_pages"]["value"] == 1024
    assert found["migration_bytes_not_sent"]["value"] == 0


def test_a_guest_that_clears_what_it_hints_has_it_sent_as_zeros(tmp_path, monkeypatch):
    """A fault on a page that is hinted next shows that it does: 512 pages come back as zeros.

    Without hints neither that fault nor its page would be there.
    """
    slow(monkeypatch, 10 * 4104)
    events = [*MIGRATED[:3], touch(3.04, 6 * MIB, PAGE_BYTES), *MIGRATED[3:]]
    trace = write_trace(tmp_path / "x.trace", events)
    found = metrics(replay(trace))
    off = metrics(replay(trace, device=Device(free_page_hint=False)))

    assert found["migration_full_pages"]["value"] == 1024 - 256 + 1
    assert found["migration_zero_pages"]["value"] == 1024 - 256 + 512
    assert found["migration_unsent_pages"]["value"] == 0
    assert found["migration_zero_pages_not_sent"]["value"] == -256
    assert off["migration_full_pages"]["value"] == 1024 + 1
    assert off["migration_zero_pages"]["value"] == 1024
    assert off["hinted_bytes"]["value"] == off["migration_bytes_not_sent"]["value"] == 0
    assert off["resident_bytes_final"]["value"] == 4 * MIB


def test_lost_events_are_a_metric(tmp_path):
    trace = write_trace(tmp_path / "lossy.trace", TWO_BLOCKS, lost=12)

    assert metrics(replay(trace))["events_lost"]["value"] == 12


def test_memory_over_time_holds_each_change_from_start_to_end(run):
    frame = memory_over_time(run)

    assert list(frame.columns) == ["time_s", "vm", "resident_bytes", "swapped_bytes"]
    assert frame["time_s"].tolist() == [0, 1, 2, 4, 6, 8, 10]
    assert (frame["resident_bytes"] / MIB).tolist() == [0, 2, 4, 2, 4, 2, 2]


def test_a_killed_capture_ends_at_its_last_event(tmp_path):
    run = replay(write_trace(tmp_path / "killed.trace", TWO_BLOCKS, seconds=0))

    assert run.trace.manifest.start_time_ns == START_NS
    assert memory_over_time(run)["time_s"].iloc[-1] == 9
    assert np.diff(run.ledger.time_ns).max() <= 9 * NANOSECONDS


def test_compare_says_of_what_its_percentages_are(run):
    poisoned = replay(run.trace, guest=Guest(poison_val=0xAAAAAAAA))
    frame = compare(run, poisoned).set_index("metric")
    final = frame.loc["resident_bytes_final"]

    assert final["difference"] == 2 * MIB
    assert final["difference_percent_of_as captured"] == 100
    assert final["better"] == "lower"
    assert np.isnan(frame.loc["swap_in_pages", "difference_percent_of_as captured"])
    assert "drain_seconds" not in frame.index


def test_comparing_a_run_with_itself_finds_no_difference(run):
    assert (compare(run, run)["difference"] == 0).all()


def test_readable_frames_carry_units_and_leave_out_what_is_zero(run):
    frame = readable(metric_table(run, "resident_bytes_peak", "refaults", "swap_in_pages"))

    assert frame["value"].to_dict() == {"resident_bytes_peak": "4.00 MiB", "refaults": "1 fault"}


def test_an_unknown_metric_is_answered_with_the_closest_name(run):
    with pytest.raises(UsageError, match="did you mean 'refaults'"):
        metric_table(run, "refault")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1536.0, "bytes", "1.50 KiB"),
        (3.0 * MIB, "byte-seconds", "3.00 MiB-seconds"),
        (0.0123, "of the peak", "1.230 % of the peak"),
        (2.5, "s", "2.50 s"),
        (1234, "pages", "1,234 pages"),
        (float("nan"), "pages", "-"),
    ],
)
def test_a_quantity_is_written_with_its_unit(value, unit, text):
    assert quantity_text(value, unit) == text


def test_a_metric_without_a_value_is_written_with_its_reason():
    assert metric_text({"value": None, "unit": "s", "reason": "no fall"}) == "none: no fall"
