"""Totals of a modelled host are what its rows come to: where swap is full, and at a block's end."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.synthetic import event, given_back, report, started, touch, trace
from workbench.measure import metrics, totals
from workbench.replay import Host, Settings, replay
from workbench.schema import Kind
from workbench.trace import RamBlock
from workbench.units import MIB, PAGE_BYTES

HUGE_PAGES = 512
RAM_PAGES = 3 * HUGE_PAGES + 100
"""The last huge page of it is cut off."""


def two_blocks():
    """A guest that reports, of which nobody can tell what is free in it: it has two RAM blocks."""
    block = RamBlock(
        name="pc.ram",
        used_bytes=RAM_PAGES * PAGE_BYTES,
        page_bytes=PAGE_BYTES,
        shared=False,
        transparent_huge_page=True,
    )
    other = block.model_copy(update={"name": "dimm0"})
    return started().model_copy(
        update={"ram_blocks": (block, other), "memory_bytes": 2 * block.used_bytes}
    )


def with_recorded_accesses(captured):
    """Else what a fault brings is accessed at once, and one that is cut off is refused."""
    manifest = captured.manifest.model_copy(update={"access_interval_ns": 10_000_000})
    return replace(captured, manifest=manifest)


def written(page, pages):
    """A write for which the host allocated some pages."""
    return [touch(0, page * PAGE_BYTES, pages * PAGE_BYTES)]


def reported(page, pages):
    """A range that QEMU discards, as much of it as there is."""
    pages = min(pages, RAM_PAGES - page)
    return given_back(report(0, page * PAGE_BYTES, pages * PAGE_BYTES))


def accessed(page, pages):
    """Pages that a guest reads."""
    place = {"ram_block": 0, "offset_bytes": page * PAGE_BYTES}
    return [event(0, Kind.ACCESS, length_bytes=min(pages, RAM_PAGES - page) * PAGE_BYTES, **place)]


HUGE_PAGE = st.integers(0, 3).map(lambda huge_page: huge_page * HUGE_PAGES)
PAGE = st.builds(lambda first, page: first + page, HUGE_PAGE, st.integers(0, 99))
AT_THE_END = st.integers(RAM_PAGES - 40, RAM_PAGES - 1)
STEPS = st.one_of(
    st.builds(written, HUGE_PAGE, st.just(HUGE_PAGES)),
    st.builds(written, AT_THE_END | PAGE, st.sampled_from([1, 3, 16, 24, 64, 300, HUGE_PAGES])),
    st.builds(reported, HUGE_PAGE, st.sampled_from([100, 511, 512])),
    st.builds(reported, PAGE | AT_THE_END, st.sampled_from([1, 8, 100, 600])),
    st.builds(accessed, PAGE | AT_THE_END, st.sampled_from([1, 30, 600])),
)
HOSTS = st.builds(
    Host,
    memory_bytes=st.sampled_from([2 * MIB, 3 * MIB, 5 * MIB]),
    swap_bytes=st.sampled_from([0, PAGE_BYTES, 40 * PAGE_BYTES, MIB, 64 * MIB]),
    swap=st.sampled_from(["zram", "ssd"]),
    reclaim=st.sampled_from(["two-list", "least-recent"]),
)
SWAP_OF_ONE_PAGE = Host(
    memory_bytes=2 * MIB, swap_bytes=PAGE_BYTES, swap="ssd", reclaim="least-recent"
)


def added(entries):
    """The metrics that add up: all but drains."""
    return {name: entry for name, entry in entries.items() if not name.startswith("drain_seconds")}


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEPS, min_size=1, max_size=14), host=HOSTS)
@example(steps=[written(3 * HUGE_PAGES + 90, 64)], host=Host(memory_bytes=8 * MIB))
@example(
    steps=[
        written(0, 1),
        written(HUGE_PAGES, HUGE_PAGES),
        reported(HUGE_PAGES, 100),
        accessed(0, 1),
        written(3 * HUGE_PAGES, 16),
        reported(HUGE_PAGES + 100, 100),
    ],
    host=SWAP_OF_ONE_PAGE,
)
def test_totals_are_what_rows_come_to(steps, host):
    rows = [row for step in steps for row in step]
    step_ns = 10_000_000
    rows = [row | {"time_ns": row["time_ns"] + (n + 1) * step_ns} for n, row in enumerate(rows)]
    captured = with_recorded_accesses(trace(rows, machines=[two_blocks()]))
    chosen = Settings(host=host)

    run = replay(captured, settings=chosen)
    summed = totals(captured, settings=chosen, row_count=5, progress=False).to_dict()

    assert added(summed["metrics"]) == added(metrics(run))
    document = run.to_dict()
    assert summed["events"] == document["events"]
    assert summed["identifiable"]["notes"] == document["identifiable"]["notes"]
