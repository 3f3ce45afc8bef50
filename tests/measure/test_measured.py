"""What the host measured, and pairs of live captures."""

from __future__ import annotations

import numpy as np
import pytest

from tests.synthetic import (
    OFF,
    TWO_BLOCKS,
    event,
    fault,
    off_samples,
    started,
    two_block_samples,
    write_off,
    write_trace,
    write_two_blocks,
)
from workbench.errors import InputError, UsageError
from workbench.measure import (
    find_on,
    find_pair,
    is_pair,
    measured_metrics,
    measured_over_time,
    measured_pair,
    reclaimed_over_time,
    savings,
)
from workbench.schema import CONFIG_POISON_OFFSET_BYTES, Kind
from workbench.units import MIB


@pytest.fixture
def pair(tmp_path):
    """One scenario, captured with reporting on and off."""
    return write_two_blocks(tmp_path), write_off(tmp_path)


# Twenty samples from 0.25 s to 9.75 s, half a second apart; each holds until the next.
ON_MEAN_MIB = (2 * 2 + 4 * 4 + 2 * 4 + 4 * 4 + 2 * 3) / 19
OFF_MEAN_MIB = (2 * 2 + 4 * 15) / 19


def test_measured_metrics_come_from_the_samples(pair):
    found = {name: entry["value"] for name, entry in measured_metrics(pair[0]).items()}

    assert found["measured_resident_bytes_mean"] == pytest.approx(ON_MEAN_MIB * MIB)
    assert found["measured_resident_bytes_peak"] == 4 * MIB
    assert found["measured_resident_bytes_final"] == 2 * MIB
    assert found["measured_qemu_cpu_seconds"] == 19 / 4
    assert found["measured_capture_cpu_seconds"] == 0.19


@pytest.mark.parametrize("column", ["resident_bytes", "qemu_cpu_ns"])
@pytest.mark.parametrize("wrong", [-(2**63), -2, 2**62, 2**63 - 1])
def test_samples_that_cannot_be_are_damaged(tmp_path, column, wrong):
    samples = off_samples()
    samples[column] = [wrong] * len(samples[column])
    trace = write_trace(tmp_path / "x.trace", OFF, samples=samples)

    with pytest.raises(InputError, match=rf"samples have {column} {wrong}, expected -1 to"):
        measured_metrics(trace)


def test_what_the_host_does_not_count_has_a_reason_and_no_value(pair):
    entry = measured_metrics(pair[0])["measured_swap_in_zero_pages"]

    assert entry == {"value": None, "unit": "pages", "reason": "the host does not count it"}


def test_without_samples_nothing_is_measured(tmp_path):
    trace = write_trace(tmp_path / "bare.trace", TWO_BLOCKS)

    assert {entry["value"] for entry in measured_metrics(trace).values()} == {None}
    assert measured_over_time(trace).empty


def test_swap_counters_belong_to_the_host_and_not_to_each_machine(tmp_path):
    samples = two_block_samples(swap_out_pages=190, swap_in_pages=19)
    both = {name: [*values, *values] for name, values in samples.items()}
    both["vm"] = [0] * 20 + [1] * 20
    machines = [started("guest0"), started("guest1")]
    trace = write_trace(tmp_path / "two.trace", TWO_BLOCKS, machines=machines, samples=both)
    found = measured_metrics(trace)

    assert found["measured_swap_out_pages"]["value"] == 190
    assert found["measured_swap_in_pages"]["value"] == 19
    assert found["measured_resident_bytes_peak"]["value"] == 8 * MIB
    assert found["measured_qemu_cpu_seconds"]["value"] == 2 * 19 / 4


def test_a_pair_is_one_scenario_with_reporting_on_and_off(pair):
    on, off = pair

    assert is_pair(on, off)
    assert not is_pair(off, on)
    assert find_pair(on, [on, off]) is off
    assert find_on(off, [off, on]) is on


@pytest.mark.parametrize(
    "difference",
    [
        {"scenario": "another"},
        {"swap": ("zram0",)},
        {"machines": [started(reporting=False), started("guest1", reporting=False)]},
        {
            "events": [
                *OFF,
                event(
                    1,
                    Kind.CONFIG_WRITE,
                    offset_bytes=CONFIG_POISON_OFFSET_BYTES,
                    length_bytes=4,
                    status=0xAAAAAAAA,
                ),
            ]
        },
        {"events": [fault(1, 0), event(3, Kind.MARKER, status=1)]},
    ],
    ids=["scenario", "swap", "machines", "poison_val", "steps"],
)
def test_captures_that_differ_in_anything_else_are_no_pair(pair, tmp_path, difference):
    facts = {"events": OFF, "machines": [started(reporting=False)], **difference}
    other = write_trace(tmp_path / "other.trace", facts.pop("events"), **facts)

    assert not is_pair(pair[0], other)
    assert find_pair(pair[0], [other]) is None
    with pytest.raises(UsageError, match="no measured pair"):
        measured_pair(pair[0], other)


@pytest.mark.parametrize(
    ("on_settings", "off_settings", "expected"),
    [
        ({"reporting": "True"}, {"reporting": "False"}, True),
        ({"reporting_order": "0"}, {"reporting_order": "None"}, True),
        ({"memory_limit_bytes": "300"}, {"memory_limit_bytes": "None"}, False),
        ({"zram_bytes": "1", "guest_count": "1"}, {"zram_bytes": "1", "guest_count": "1"}, True),
    ],
)
def test_the_settings_of_the_lab_belong_to_the_setup(tmp_path, on_settings, off_settings, expected):
    on = write_trace(tmp_path / "on.trace", TWO_BLOCKS, lab_settings=on_settings)
    off = write_trace(
        tmp_path / "off.trace",
        OFF,
        lab_settings=off_settings,
        machines=[started(reporting=False)],
    )

    assert is_pair(on, off) is expected


def test_swap_that_the_lab_did_not_ask_for_does_not_separate_a_pair(tmp_path):
    settings = {"zram_bytes": "None"}
    on = write_trace(tmp_path / "on.trace", TWO_BLOCKS, lab_settings=settings, swap=("zram0",))
    off = write_trace(
        tmp_path / "off.trace", OFF, lab_settings=settings, machines=[started(reporting=False)]
    )

    assert is_pair(on, off)


def test_a_trace_without_a_scenario_has_no_pair(tmp_path):
    on = write_trace(tmp_path / "on.trace", TWO_BLOCKS, scenario="")
    off = write_trace(tmp_path / "off.trace", OFF, scenario="", machines=[started(reporting=False)])

    assert not is_pair(on, off)


def test_the_pair_says_what_was_saved_and_of_what(pair):
    frame = measured_pair(*pair).set_index("metric")
    mean = frame.loc["measured_resident_bytes_mean"]

    assert mean["saved"] == pytest.approx((OFF_MEAN_MIB - ON_MEAN_MIB) * MIB)
    assert mean["saved_percent_of_off"] == pytest.approx(100 * (1 - ON_MEAN_MIB / OFF_MEAN_MIB))
    assert frame.loc["measured_resident_bytes_final", "saved"] == 2 * MIB
    assert np.isnan(frame.loc["measured_swap_in_pages", "saved_percent_of_off"])


def test_savings_are_those_of_the_frame_and_of_the_chart(tmp_path):
    on = write_trace(
        tmp_path / "on.trace",
        TWO_BLOCKS,
        samples=two_block_samples(swap_out_pages=95, swap_in_pages=19),
    )
    off = write_trace(
        tmp_path / "off.trace",
        OFF,
        machines=[started(reporting=False)],
        samples=off_samples(swap_out_pages=190, swap_in_pages=38),
    )
    saved = savings(on, off)
    frame = measured_pair(on, off).set_index("metric")
    chart = reclaimed_over_time(on, off)

    assert (saved.swap_pages, saved.swap_pages_off) == (114, 228)
    assert saved.resident_bytes == frame.loc["measured_resident_bytes_mean", "saved"]
    assert chart.attrs["saved_bytes"] == saved.resident_bytes
    assert chart["reporting_off_bytes"].iloc[-1] == 4 * MIB
    assert chart["reporting_on_bytes"].iloc[-1] == 2 * MIB


def test_a_pair_needs_samples(pair, tmp_path):
    bare = write_trace(tmp_path / "bare.trace", OFF, machines=[started(reporting=False)])

    for question in (savings, reclaimed_over_time):
        with pytest.raises(UsageError, match="has no samples"):
            question(pair[0], bare)
