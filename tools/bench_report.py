"""Measure what a report on a large trace takes beyond its replays.

python tools/bench_report.py [--events 10000000] [--guests 4]

The trace is made up (tools/synthetic_trace.py).  Its replay is timed first, and kept; what is
timed then is everything else: metrics, charts, and the page.  Processor time, because this machine
may have other work.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from synthetic_trace import write_synthetic

from workbench.replay import Settings, replay
from workbench.report import find, render, report_on
from workbench.trace import read_trace
from workbench.units import KIB, format_bytes

PAGES = 1 << 20


def main() -> None:
    """Measure it once, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--guests", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.trace"
        write_synthetic(path, given.events, given.guests, PAGES)
        measure(path)


def measure(path: Path) -> None:
    """Time the replay of a trace, and then the rest of its report."""
    begun_s = time.process_time()
    trace = read_trace(path)
    replay(trace)
    replayed_s = time.process_time()
    # Asked again, a trace gives its replay as captured from memory.
    page = render(report_on(find(trace, Settings())))
    done_s = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB
    print(f"{trace.event_count:,} events: read and replayed in {replayed_s - begun_s:.1f} s")
    print(f"the rest of the report: {done_s - replayed_s:.1f} s, {len(page):,} bytes")
    print(f"most memory of all of it: {format_bytes(peak)}")


if __name__ == "__main__":
    main()
