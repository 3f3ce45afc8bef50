"""How fast a whole replay in aggregates is, beside the least that must be done with its columns.

Run alone it prints these rows of the table of `make bench`: by the clock, on as many processors as
there are, and in processor time, of all threads.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, NamedTuple

import numba
import numpy as np
from bench_figure import PAGES, ROUNDS, SEED, TABLE_HEAD, Figure, table_row, zipf
from synthetic_trace import EVENT_NS, manifest_of

import workbench as wb
from workbench.measure.metric_totals import Totals
from workbench.replay import ReplayInBatches, swap_costs
from workbench.schema import NO_ELEMENT, FaultFlag, Kind
from workbench.trace import TraceWriter
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.trace import Trace

SEGMENT_ROWS = 1 << 20
MEMORY_PAGES = (PAGES * 2 // 5, PAGES // 32)
"""Memory that is full, with which nine in ten hit, and a third misses."""


def main() -> None:
    """Measure whole replays only, and print the rows of the table."""
    pages = zipf(np.random.default_rng(SEED))
    print(TABLE_HEAD)
    with tempfile.TemporaryDirectory() as folder:
        for memory_pages in MEMORY_PAGES:
            for figure in whole_replay(pages, memory_pages, Path(folder)):
                print(table_row(figure.document()), flush=True)


def whole_replay(pages: np.ndarray, memory_pages: int, folder: Path) -> list[Figure]:
    """All of a replay of touches of single pages, by a host with two lists.

    That is the device, what guests do and the host, as captured and with that much memory, and all
    that adds up.  The first half of the events fills the memory and is not measured.

    Returns
    -------
    With the columns in memory, by the clock and in processor time, and read from files, each
    against touching a byte for each event.
    """
    path = folder / f"touches-{memory_pages}.trace"
    write_touches(path, pages)
    host = wb.Host(memory_bytes=memory_pages * PAGE_BYTES, reclaim="two-list")
    settings = wb.Settings(host=host)
    kept = wb.read_trace(path)
    kept.columns("events")
    touched = np.zeros(PAGES, np.int8)
    touch_half(kept, touched)  # Compiled.
    touches, from_memory, from_files, hits = [], [], [], 0.0
    for _ in range(ROUNDS):
        spent, hits = second_half(kept, settings)
        from_memory.append(spent)
        from_files.append(second_half(wb.read_trace(path), settings)[0])
        begun = now()
        touch_half(kept, touched)
        touches.append(since(begun))
    target = "1/5" if hits > 4 / 5 else "1/10"
    ways = (
        ("columns in memory", 0, from_memory, target),
        ("columns in memory, processor time", 1, from_memory, ""),
        ("from files", 0, from_files, ""),
    )
    return [
        Figure(
            name=f"whole replay at {memory_pages:,} pages, {hits:.0%} hits, {how}",
            events=pages.size // 2,
            seconds=[each[clock] for each in times],
            other="reading the same columns and touching one byte a page",
            other_events=pages.size // 2,
            other_seconds=[each[clock] for each in touches],
            target=aim,
        )
        for how, clock, times, aim in ways
    ]


class Spent(NamedTuple):
    """Time that something took."""

    seconds: float
    processor_seconds: float
    """Of all threads."""


def now() -> Spent:
    """Read both clocks."""
    return Spent(perf_counter(), process_time())


def since(begun: Spent) -> Spent:
    """Say how long ago that was."""
    return Spent(*(later - earlier for later, earlier in zip(now(), begun, strict=True)))


def second_half(trace: Trace, settings: wb.Settings) -> tuple[Spent, float]:
    """Replay, and give the time that the second half took, and the share of hits in it."""
    run = ReplayInBatches(trace, settings)
    sums = Totals(
        trace.manifest,
        swap_costs(trace, settings),
        initial_resident_pages=run.initial_resident_pages,
        initial_swapped_pages=run.initial_swapped_pages,
    )
    half_ns = trace.manifest.duration_ns // 2
    begun, is_begun, events, misses = now(), False, 0, 0
    for batch in run.batches():
        sums.add_tallied(batch)
        if is_begun:
            events += batch.columns["kind"].size
            misses += int(batch.occurrences[:, Kind.FAULT].sum())
        elif batch.columns["time_ns"][-1] >= half_ns - 2 * EVENT_NS:
            begun, is_begun = now(), True
    run.to_dict()
    sums.values()
    return since(begun), 1 - misses / events


def write_touches(path: Path, pages: np.ndarray) -> None:
    """Write a trace of writes to single pages, one after the other."""
    manifest = manifest_of(pages.size, 1, PAGES)
    writer = TraceWriter(path, manifest)
    for first in range(0, pages.size, SEGMENT_ROWS):
        page = pages[first : first + SEGMENT_ROWS]
        rows = np.arange(first, first + page.size)
        writer.append(
            "events",
            {
                "time_ns": rows * EVENT_NS,
                "sequence": rows,
                "vm": np.zeros(page.size),
                "kind": np.full(page.size, int(Kind.FAULT)),
                "ram_block": np.zeros(page.size),
                "offset_bytes": page * PAGE_BYTES,
                "length_bytes": np.full(page.size, PAGE_BYTES),
                "status": np.full(page.size, int(FaultFlag.WRITE)),
                "element": np.full(page.size, NO_ELEMENT),
            },
        )
    writer.write_manifest(manifest)


def touch_half(trace: Trace, touched: np.ndarray) -> None:
    """Touch a byte for each event of the second half, by all columns that a replay reads."""
    events = trace.columns("events")
    half = events["kind"].size // 2
    names = (
        "time_ns",
        "vm",
        "kind",
        "ram_block",
        "offset_bytes",
        "length_bytes",
        "status",
        "element",
    )
    touch_only(tuple(events[name][half:] for name in names), touched)


@numba.njit
def touch_only(columns: tuple[np.ndarray, ...], touched: np.ndarray) -> None:
    """Do no more than anything must that looks at each event and at its page."""
    time_ns, vm, kind, ram_block, offset_bytes, length_bytes, status, element = columns
    for row in range(kind.size):
        used = time_ns[row] + vm[row] + kind[row] + ram_block[row] + length_bytes[row]
        touched[offset_bytes[row] // PAGE_BYTES] = used + status[row] + element[row]


if __name__ == "__main__":
    main()
