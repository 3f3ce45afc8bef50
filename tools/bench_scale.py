"""Measure how the cost of an event grows with events, pages, guests and settings.

make bench-scale      writes .build/scale.json, and prints a table; takes a quarter of an hour

Traces are made up (tools/synthetic_trace.py) and replayed batch by batch as captured, and once more
by the model of a host that has memory for half of the pages.
"""

from __future__ import annotations

import json
import resource
import statistics
import tempfile
from pathlib import Path
from typing import Any

from bench_figure import PAGES, ROUNDS, timed
from synthetic_trace import write_synthetic

import workbench as wb
from workbench.units import MIB, PAGE_BYTES

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / ".build" / "scale.json"

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
    replay_synthetic(1_000, 1, PAGES)  # Compiled, or read from the cache.
    print("| by | so many | ns an event, as captured and modelled | most memory, MiB |")
    print("| --- | --- | --- | --- |")
    rows = [measured(*case) for case in cases]
    rows += [of_settings(count) for count in SETTINGS]
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def measured(name: str, count: int, events: int, guests: int, pages: int) -> dict[str, Any]:
    """Measure one case, and print it."""
    row = {"by": name, "count": count, "ns_per_event": replay_synthetic(events, guests, pages)}
    return shown(row)


def replay_synthetic(events: int, guests: int, pages: int) -> list[float]:
    """Give the nanoseconds for each event of a trace, in every round."""
    with tempfile.TemporaryDirectory(dir=ROOT / ".build") as folder:
        path = Path(folder) / "made-up.trace"
        write_synthetic(path, events, guests, pages)
        host = wb.Host(memory_bytes=pages // 2 * PAGE_BYTES)
        return [
            1e9 * timed(lambda: wb.totals(wb.read_trace(path), host=host))[0] / events
            for _ in range(ROUNDS)
        ]


def of_settings(count: int) -> dict[str, Any]:
    """Replay a bundled trace with so many settings, on all processors."""
    trace = wb.read_trace(ROOT / "traces" / "pressure-off.trace")
    hosts = [wb.Host(memory_bytes=(100 + number) * MIB) for number in range(count)]
    settings = [wb.Settings(host=host) for host in hosts]
    wb.replay(trace)  # What it says as captured is worked out once, whatever the settings.
    seconds = [timed(lambda: wb.replay_all(trace, settings))[0] for _ in range(ROUNDS)]
    events = count * trace.event_count
    return shown(
        {"by": "settings", "count": count, "ns_per_event": [1e9 * s / events for s in seconds]}
    )


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """Print a row of docs/performance.md, and give it."""
    row["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    times = row["ns_per_event"]
    span = f"{statistics.median(times):.0f} ({min(times):.0f} to {max(times):.0f})"
    print(f"| {row['by']} | {row['count']:,} | {span} | {row['peak_mib']:,} |", flush=True)
    return row


if __name__ == "__main__":
    main()
