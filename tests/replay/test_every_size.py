"""Curves over the host's memory, held against replays of one size and against brute force."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pandas as pd
import pytest

from tests.synthetic import HUGE, given_back, machine, report, started, swap_in, touch, trace
from workbench.errors import InputError, UsageError
from workbench.measure import curve_document, memory_needed, metrics
from workbench.replay import Device, Guest, Host, UnanswerableError, curve, replay
from workbench.schema import PageState
from workbench.trace import RamBlock, read_trace
from workbench.units import MIB, PAGE_BYTES

TRACES = Path(__file__).parents[2] / "traces"
NAMES = ("swap_in_pages", "swap_out_pages", "swap_in_dead_pages", "swap_out_dead_pages")


def small_pages(name="guest0"):
    """A guest of 8 MiB that gets no huge pages."""
    block = RamBlock(
        name="pc.ram",
        used_bytes=8 * MIB,
        page_bytes=PAGE_BYTES,
        shared=False,
        transparent_huge_page=False,
    )
    kept = started()
    return machine(name, features=kept.features, poison_val=0, ram_blocks=(block,))


def random_life(seed, machines):
    """Touches of one page each, and what is given back between them."""
    choose = random.Random(seed)
    rows = []
    for number in range(6000):
        seconds = 1 + number / 1000
        vm = choose.randrange(machines)
        if choose.random() < 0.005:
            rows += given_back(report(seconds, choose.randrange(4) * HUGE, element=number, vm=vm))
        else:
            page = min(int(choose.expovariate(1 / 400)), 2047)
            rows.append(touch(seconds, page * PAGE_BYTES, PAGE_BYTES, vm))
    return trace(rows, machines=[small_pages(f"guest{vm}") for vm in range(machines)])


@pytest.mark.parametrize("machines", [1, 2])
@pytest.mark.parametrize("swap", ["zram", "disk"])
def test_each_size_is_what_a_replay_of_that_size_says(machines, swap):
    made = random_life(machines, machines)

    counts = curve(made, host=Host(swap=swap)).counts

    for memory_mib in (2, 3, 5, 7, 16):
        host = Host(
            memory_bytes=memory_mib * MIB, reclaim="least-recent", swap=swap, page_cluster=0
        )
        found = metrics(replay(made, host=host))
        place = min(memory_mib * MIB // PAGE_BYTES, counts.swap_in_pages.size) - 1
        at_size = [int(getattr(counts, name)[place]) for name in NAMES]
        replayed = [found[name]["value"] for name in NAMES]
        if swap == "disk":
            replayed[1] = found["swap_written_pages"]["value"]
            at_size, replayed = at_size[:2], replayed[:2]
        assert at_size == replayed, memory_mib
    assert counts.swap_in_pages[2 * MIB // PAGE_BYTES] > 0


def test_reporting_spares_swap_at_every_size_where_it_frees_memory():
    made = read_trace(TRACES / "pressure-order0.trace")

    on, off = curve(made), curve(made, device=Device(free_page_reporting=False))

    assert on.has_recency
    assert on.bytes_for(100) < off.bytes_for(100)
    at = slice(100 * MIB // PAGE_BYTES, None)
    assert (on.counts.moved_pages[at] <= off.counts.moved_pages[at]).all()
    assert off.counts.swap_out_dead_pages.max() > 10 * on.counts.swap_out_dead_pages.max()


def test_less_swap_takes_more_memory():
    made = curve(read_trace(TRACES / "churn-on.trace"))

    needed = [made.bytes_for(rate) for rate in (10_000, 1_000, 100, 10, 0)]
    assert needed == sorted(needed)
    assert needed[-1] == replay(made.trace).ledger.resident_delta_pages.cumsum().max() * PAGE_BYTES
    assert not made.has_recency
    assert "by last fault" in made.identifiable.notes[-1]


def test_equal_questions_have_equal_answers():
    made = random_life(1, 1)

    one, other = curve(made), curve(made)

    assert one.lineage == other.lineage
    assert all((getattr(one.counts, n) == getattr(other.counts, n)).all() for n in NAMES)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (Host(memory_bytes="1G"), "host.memory_bytes is 1073741824"),
        (Host(reclaim="two-list"), "host.reclaim is two-list"),
        (Host(swap_bytes="1G"), "swap that never fills"),
        (Host(limit="host"), "host.limit is host"),
    ],
)
def test_a_host_of_one_size_or_policy_is_refused(host, said):
    with pytest.raises(UsageError, match=said):
        curve(random_life(1, 1), host=host)


def test_what_a_trace_cannot_answer_has_no_curve():
    with pytest.raises(UnanswerableError, match="finer"):
        curve(random_life(1, 1), guest=Guest(reporting_order=0))


def test_where_pages_were_in_swap_before_no_memory_is_enough():
    """One of them is read back, at every size."""
    before = {"ram_block": 0, "length_bytes": PAGE_BYTES, "page_state": int(PageState.SWAPPED)}

    made = curve(trace([swap_in(1, 0)], machines=[small_pages()], state=[before]))

    assert made.counts.swap_in_pages.tolist() == [1] * 2048
    assert made.bytes_for(0) is None
    assert made.bytes_for(1) == PAGE_BYTES
    assert "read with any memory" in repr(made)
    assert memory_needed([made], [0, 1]).iloc[:, 1].tolist() == [pd.NA, PAGE_BYTES]
    assert curve_document([made], [0])["memory_needed"][0]["memory_bytes"] == [None]


def test_a_capture_that_took_no_time_has_no_rates():
    made = random_life(1, 1)
    timeless = dataclasses.replace(
        made, manifest=made.manifest.model_copy(update={"duration_ns": 0})
    )

    with pytest.raises(InputError, match="took no time"):
        curve(timeless)
