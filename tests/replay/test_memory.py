"""Replays in which a model of the host decides what goes to swap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.synthetic import machine, write_trace
from workbench.errors import InputError, UsageError
from workbench.measure import metrics
from workbench.replay import Cost, Device, Guest, Host, Settings, read_settings, replay
from workbench.replay.costs import DEVICES
from workbench.replay.memory import ModelledHost
from workbench.schema import FaultFlag, Kind, SwapOutFlag
from workbench.trace import read_trace
from workbench.units import GIB, MIB, PAGE_BYTES

TRACES = Path(__file__).parents[2] / "traces"
TWO_LIST = Host(reclaim="two-list")


def bundled(name):
    return read_trace(TRACES / f"{name}.trace")


def swap_pages(run):
    values = metrics(run)
    return {name: values[f"{name}_pages"]["value"] for name in ("swap_out", "swap_in")}


def resident_pages(run):
    return run.initial_resident_pages.sum() + np.cumsum(run.ledger.resident_delta_pages)


@pytest.mark.parametrize(
    "name", ["churn-on", "churn-off", "fragment-order0", "staircase-two-guests", "file-cache-on"]
)
def test_with_ample_memory_the_host_does_what_was_captured(name):
    """The pages that are resident after the last event are the same, at the peak and at the end."""
    trace = bundled(name)

    captured = replay(trace)
    modelled = replay(trace, host=Host(memory_bytes=8 * GIB))

    assert swap_pages(modelled) == {"swap_out": 0, "swap_in": 0}
    assert resident_pages(modelled)[-1] == resident_pages(captured)[-1]
    assert resident_pages(modelled).max() == resident_pages(captured).max()
    assert (modelled.final_held_pages == captured.final_held_pages).all()


@pytest.mark.parametrize("name", ["pressure-on", "pressure-off"])
@pytest.mark.parametrize("reclaim", ["two-list", "least-recent"])
def test_what_the_model_writes_down_is_a_capture_without_surprises(name, reclaim):
    """Replayed as events of a trace, its faults and swap-outs fit each other to the page."""
    run = replay(bundled(name), host=Host(reclaim=reclaim))

    assert set(run.events["surprises"].values()) == {0}
    assert swap_pages(run)["swap_out"] > 0
    assert "by last fault" in " ".join(run.identifiable.notes)


def test_the_guests_never_hold_more_than_there_is():
    memory_bytes = 150 * MIB

    run = replay(bundled("pressure-on"), host=Host(memory_bytes=memory_bytes))

    assert resident_pages(run).max() * PAGE_BYTES <= memory_bytes
    assert swap_pages(run)["swap_out"] > swap_pages(replay(run.trace, host=TWO_LIST))["swap_out"]


def test_a_what_if_under_swap_says_how_far_the_model_is_from_what_was_captured():
    trace = bundled("pressure-on")
    captured = swap_pages(replay(trace))

    run = replay(trace, device=Device(free_page_reporting=False))

    error = run.model_error["host"]
    assert {name: error[f"{name}_pages"]["captured"] for name in captured} == captured
    assert swap_pages(run)["swap_in"] > swap_pages(replay(trace, host=TWO_LIST))["swap_in"]
    assert set(run.events["surprises"].values()) == {0}


def test_a_setting_that_changes_nothing_keeps_the_captured_swap():
    trace = bundled("pressure-on")

    assert swap_pages(replay(trace, guest=Guest(poison_val=0))) == swap_pages(replay(trace))


def test_without_reporting_dead_pages_go_to_swap():
    run = replay(bundled("pressure-on"), device=Device(free_page_reporting=False))
    events = run.columns
    swapped_out = events["kind"] == Kind.SWAP_OUT
    is_dead = events["status"] & SwapOutFlag.DEAD != 0

    dead_bytes = events["length_bytes"][swapped_out & is_dead].sum()
    assert 0 < dead_bytes < events["length_bytes"][swapped_out].sum()


def values(run, *names):
    found = metrics(run)
    return [found[name]["value"] for name in names]


DEAD = ("swap_out_dead_pages", "swap_in_dead_pages")


def test_without_reporting_more_dead_pages_go_to_swap_and_come_back():
    """What a guest that reports has free is followed too, where its addresses are as captured."""
    trace = bundled("pressure-on")

    on = values(replay(trace, host=TWO_LIST), *DEAD)
    off = values(replay(trace, device=Device(free_page_reporting=False)), *DEAD)

    assert None not in on
    assert on[0] < off[0]
    assert on[1] < off[1]


def test_what_was_free_is_unknown_in_swap_as_captured_and_of_guests_that_never_reported():
    captured = metrics(replay(bundled("pressure-on")))
    never = metrics(replay(bundled("pressure-off"), host=TWO_LIST))

    for found in (captured, never):
        assert [found[name]["value"] for name in DEAD] == [None, None]
        assert "known only where" in found["swap_in_dead_pages"]["reason"]


def test_pages_of_zeros_and_pages_read_ahead_cost_no_io_of_their_own():
    zeros = replay(bundled("pressure-on"), host=Host(content="zero"))
    ahead = replay(bundled("pressure-off"), host=Host(swap="ssd", page_cluster=3))
    out_pages, written, read = values(
        zeros, "swap_out_pages", "swap_written_pages", "swap_read_pages"
    )
    read_ahead = int((ahead.columns["kind"] == Kind.READ_AHEAD).sum())
    in_pages, total_read = values(ahead, "swap_in_pages", "swap_read_pages")
    is_fault = ahead.columns["kind"] == Kind.FAULT
    hits = int((is_fault & (ahead.columns["status"] & FaultFlag.WITHOUT_READ != 0)).sum())

    assert out_pages > 0
    assert (written, read) == (0, 0)
    assert 0 < hits < read_ahead
    assert total_read == in_pages - hits + read_ahead


def test_a_slower_device_costs_more_time_and_moves_the_same_pages():
    trace = bundled("pressure-on")
    slow = Cost(
        swap_read_latency_ns=1_000_000,
        swap_read_bytes_per_second=4096,
        swap_write_bytes_per_second=4096,
    )
    quick, late = replay(trace), replay(trace, cost=slow)
    moved = ("swap_read_pages", "swap_written_pages")
    read, written = values(late, *moved)

    assert values(quick, *moved) == [read, written]
    assert values(late, "swap_write_seconds") == [written]
    assert values(late, "swap_wait_seconds") == [pytest.approx(read / 1000)]
    assert values(quick, "swap_wait_seconds") == [pytest.approx(read * 2_235 / 1e9)]


def test_costs_alone_leave_a_run_as_captured():
    trace = bundled("pressure-on")
    settings = read_settings(["cost.swap_read_latency_ns=85us"])
    run, captured = replay(trace, settings=settings), replay(trace)

    assert settings.label == "swap_read_latency_ns 85000"
    assert swap_pages(run) == swap_pages(captured)
    assert run.columns is captured.columns or all(
        np.array_equal(run.columns[name], captured.columns[name]) for name in run.columns
    )


@pytest.mark.parametrize("name", ["ssd", "disk"])
def test_a_device_has_the_costs_of_its_kind(name):
    run = replay(bundled("pressure-on"), host=Host(swap=name, page_cluster=0))
    read, written = values(run, "swap_read_pages", "swap_written_pages")
    latency_ns, _, rate = DEVICES[name]

    assert values(run, "swap_wait_seconds") == [pytest.approx(read * latency_ns / 1e9)]
    assert values(run, "swap_write_seconds") == [pytest.approx(written * PAGE_BYTES / rate)]


def test_a_host_that_keeps_memory_free_swaps_more_than_a_cgroup():
    trace = bundled("pressure-off")
    memory_bytes = 200 * MIB

    cgroup = replay(trace, host=Host(memory_bytes=memory_bytes, limit="cgroup"))
    whole = replay(trace, host=Host(memory_bytes=memory_bytes, limit="host"))

    assert swap_pages(whole)["swap_out"] > swap_pages(cgroup)["swap_out"]
    assert resident_pages(whole).max() < resident_pages(cgroup).max()


def test_a_full_swap_is_said_aloud():
    run = replay(bundled("pressure-off"), host=Host(memory_bytes=100 * MIB, swap_bytes=8 * MIB))

    assert "Linux would kill a process" in " ".join(run.identifiable.notes)
    assert run.ledger.swapped_delta_pages.cumsum().max() * PAGE_BYTES <= 8 * MIB


def test_pages_of_zeros_are_told_apart_where_the_guests_write_zeros():
    run = replay(bundled("pressure-on"), host=Host(content="zero"))
    swapped_out = run.columns["kind"] == Kind.SWAP_OUT

    assert (run.columns["status"][swapped_out] & SwapOutFlag.ZEROS != 0).all()


def test_readahead_reads_what_nobody_asked_for():
    trace = bundled("pressure-off")

    plain = replay(trace, host=Host(swap="ssd", page_cluster=0))
    ahead = replay(trace, host=Host(swap="disk", page_cluster=3))

    assert not (plain.columns["kind"] == Kind.READ_AHEAD).any()
    assert (ahead.columns["kind"] == Kind.READ_AHEAD).any()


def test_settings_of_the_host_are_read_from_text():
    settings = read_settings(["host.memory_bytes=64M", "host.reclaim=least-recent"])

    assert settings.host == Host(memory_bytes=64 * MIB, reclaim="least-recent")
    assert settings.label == "memory_bytes 67108864, reclaim least-recent"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("host.memory=64M", "did you mean 'memory_bytes'"),
        ("host.memory_bytes=4K", "expected a whole number from"),
        ("host.memory_bytes=much", "expected a whole number from"),
        ("host.reclaim=mglru", "expected two-list or least-recent"),
        ("host.swap=tape", "expected zram or ssd or disk"),
        ("host.limit=none", "expected cgroup or host"),
        ("host.page_cluster=11", "expected a whole number from 0 to 10"),
    ],
)
def test_a_wrong_setting_of_the_host_says_what_is_possible(assignment, message):
    with pytest.raises(UsageError, match=message):
        read_settings([assignment])


def test_more_ram_than_lists_have_numbers_for_is_refused_before_it_is_made(tmp_path):
    huge = machine().ram_blocks[0].model_copy(update={"used_bytes": 8192 * GIB})
    trace = write_trace(tmp_path / "huge", [], machines=[machine(ram_blocks=(huge,))])

    with pytest.raises(InputError, match=r"8,192.00 GiB of RAM .* up to 5,632.00 GiB"):
        ModelledHost(trace, Settings(host=TWO_LIST), None)
