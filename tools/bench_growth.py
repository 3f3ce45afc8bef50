"""Measure how the cost of an event grows with events, pages, guests and settings.

make growth      writes .build/growth.json, and prints a table; takes some six minutes

Traces are made up (tools/synthetic_trace.py) and replayed batch by batch as captured, and once more
by the model of a host that has memory for half of the pages.
"""

from __future__ import annotations

import json
import resource
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_figure import PAGES, ROUNDS, timed
from synthetic_trace import write_synthetic

import workbench as wb
from workbench.units import MIB, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / ".build" / "growth.json"

EVENTS = (100_000, 1_000_000, 10_000_000, 100_000_000)
GUESTS = (1, 4, 16, 64)
PAGE_COUNTS = (1 << 16, 1 << 18, 1 << 20, 1 << 22)
USUAL_EVENTS = 10_000_000
SETTINGS = (1, 2, 4, 8)


def main() -> None:
    """Measure everything, one thing after the other, and write it down."""
    cases = [("events", events, events, 1, PAGES) for events in EVENTS]
    cases += [("guests", guests, USUAL_EVENTS, guests, PAGES) for guests in GUESTS]
    cases += [("pages", pages, USUAL_EVENTS, 1, pages) for pages in PAGE_COUNTS]
    print("| by | so many | ns an event | most memory, MiB |")
    print("| --- | --- | --- | --- |")
    rows = [measured(*case) for case in cases]
    rows += [shown("settings", count, *alone(of_settings, count)) for count in SETTINGS]
    RESULT.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def measured(name: str, count: int, events: int, guests: int, pages: int) -> dict[str, Any]:
    """Measure one case, and print it."""
    RESULT.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULT.parent) as folder:
        path = Path(folder) / "made-up.trace"
        write_synthetic(path, events, guests, pages)
        return shown(name, count, *alone(of_trace, path, pages))


def alone(measure: Callable[..., list[float]], *arguments: object) -> tuple[list[float], int]:
    """Measure in a process of its own, and give the most memory that it took, in MiB, too."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        times = pool.submit(measure, *arguments).result()
        return times, pool.submit(peak_mib).result()


def peak_mib() -> int:
    """Give the most memory that this process took."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def of_trace(path: Path, pages: int) -> list[float]:
    """Give the nanoseconds for each event of a trace, in every round but one before them."""
    host = wb.Host(memory_bytes=pages // 2 * PAGE_BYTES)
    events = wb.read_trace(path).event_count
    rounds = [
        timed(lambda: wb.totals(wb.read_trace(path), host=host))[0] for _ in range(ROUNDS + 1)
    ]
    return [1e9 * seconds / events for seconds in rounds[1:]]


def of_settings(count: int) -> list[float]:
    """Replay a bundled trace with so many settings, on all processors."""
    trace = wb.read_trace(ROOT / "traces" / "pressure-off.trace")
    hosts = [wb.Host(memory_bytes=(100 + number) * MIB) for number in range(count)]
    settings = [wb.Settings(host=host) for host in hosts]
    rounds = [timed(lambda: wb.replay_all(trace, settings))[0] for _ in range(ROUNDS + 1)]
    return [1e9 * seconds / (count * trace.event_count) for seconds in rounds[1:]]


def shown(name: str, count: int, times: list[float], peak: int) -> dict[str, Any]:
    """Print a row of docs/performance.md, and give it."""
    span = f"{statistics.median(times):.0f} ({min(times):.0f} to {max(times):.0f})"
    print(f"| {name} | {count:,} | {span} | {peak:,} |", flush=True)
    return {"by": name, "count": count, "ns_per_event": times, "peak_mib": peak}


if __name__ == "__main__":
    main()
