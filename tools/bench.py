"""Measure how fast the workbench is, each figure beside something else measured in turn with it.

make bench      writes .build/bench.json, and prints a table

Timings of a machine differ from hour to hour by more than what is looked for, so only ratios
within one run are compared: what is measured and what it is held against run alternately, and the
figure is the ratio of the medians.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np

from workbench.model import AS_CAPTURED, Constants, new_host
from workbench.model.reclaim import (
    TWO_LISTS,
    Memory,
    ReclaimConstants,
    Requests,
    new_moves,
    new_reclaim,
    run_requests,
)
from workbench.model.reclaim.columns import MOVE_KIND
from workbench.replay import lru_counts, lru_hits
from workbench.schema import FaultFlag, Kind
from workbench.units import HUGE_PAGE_BYTES, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / ".build" / "bench.json"
OTHER_PYTHON = ROOT / ".build" / "bench" / "bin" / "python"

PAGES = 1 << 20
REQUESTS = 4_000_000
ROUNDS = 5
EXPONENT = 1.0
"""Of Zipf's law: the page of rank r is asked for in proportion to 1 / r."""
SEED = 20_201_204


class Figure(NamedTuple):
    """Seconds of each round, of what is measured and of what it is held against."""

    name: str
    events: int
    seconds: list[float]
    other: str
    other_events: int
    other_seconds: list[float]
    target: str

    def document(self) -> dict[str, Any]:
        """Give it as JSON takes it."""
        own = [1e9 * each / self.events for each in self.seconds]
        others = [1e9 * each / self.other_events for each in self.other_seconds]
        return {
            "name": self.name,
            "ns_per_event": own,
            "other": self.other,
            "other_ns_per_event": others,
            "times_as_fast": statistics.median(others) / statistics.median(own),
            "target": self.target,
        }


class LibCacheSim:
    """libCacheSim's LRU in a process of its own, which answers one question at a time."""

    def __init__(self, pages: np.ndarray, folder: Path) -> None:
        path = folder / "requests.bin"
        record = np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
        requests = np.zeros(pages.size, record)
        requests["id"], requests["size"], requests["next"] = pages + 1, 1, -1
        requests.tofile(path)
        self._process = subprocess.Popen(
            [OTHER_PYTHON, ROOT / "tools" / "bench_libcachesim.py", path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, memory_pages: int) -> tuple[float, float]:
        """Give the seconds of one run, and the ratio of misses."""
        self._process.stdin.write(f"{memory_pages}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().split()
        if not answer:
            sys.exit("libCacheSim has ended; remove .build/bench and run `make bench` again")
        return float(answer[0]), float(answer[1])


def main() -> None:
    """Measure everything, and write it down."""
    generator = np.random.default_rng(SEED)
    pages = zipf(generator)
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        other = LibCacheSim(pages, Path(folder))
        figures += [one_size(pages, PAGES // part, other) for part in (10, 2)]
        figures.append(every_size(generator, pages, PAGES // 10, other))
    figures += [two_lists(pages, PAGES // part) for part in (2, 12)]
    document = {
        "machine": f"{cpu_name()}, {os.cpu_count()} processors, Python {platform.python_version()}",
        "requests": REQUESTS,
        "pages": PAGES,
        "figures": [figure.document() for figure in figures],
        "followed": followed(generator, pages),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    show(document)


def zipf(generator: np.random.Generator) -> np.ndarray:
    """Make requests, whose most frequent pages lie anywhere."""
    share = np.cumsum(np.arange(1, PAGES + 1, dtype=np.float64) ** -EXPONENT)
    rank = np.searchsorted(share, generator.random(REQUESTS) * share[-1])
    return generator.permutation(PAGES)[rank]


def one_size(pages: np.ndarray, memory_pages: int, other: LibCacheSim) -> Figure:
    """Exact LRU at one size: the same hits, and how much faster."""
    hits, seconds, other_seconds = 0, [], []
    for _ in range(ROUNDS):
        took, hits = timed(lambda: lru_hits(pages, memory_pages=memory_pages, page_count=PAGES))
        seconds.append(took)
        took, misses = other(memory_pages)
        other_seconds.append(took)
        if hits != round((1 - misses) * pages.size):
            sys.exit(f"{hits} hits, libCacheSim {(1 - misses) * pages.size}")
    return Figure(
        name=f"exact LRU at {memory_pages:,} pages, {hits / pages.size:.0%} hits",
        events=pages.size,
        seconds=seconds,
        other="libCacheSim LRU at the same size, same hits",
        other_events=pages.size,
        other_seconds=other_seconds,
        target="20",
    )


def every_size(
    generator: np.random.Generator, pages: np.ndarray, memory_pages: int, other: LibCacheSim
) -> Figure:
    """The exact curve for all sizes, with discards, against one run at one size without."""
    page, options = with_discards(generator, pages)
    seconds, other_seconds = [], []
    for number in range(ROUNDS):
        took, _ = timed(
            lambda keeps=number % 2 == 0: lru_counts(page, keeps_copies=keeps, **options)
        )
        seconds.append(took)
        other_seconds.append(other(memory_pages)[0])
    return Figure(
        name=f"curve of all {PAGES:,} sizes, one discard in ten added",
        events=page.size,
        seconds=seconds,
        other=f"libCacheSim LRU at {memory_pages:,} pages only, without discards",
        other_events=pages.size,
        other_seconds=other_seconds,
        target="2.5",
    )


def with_discards(
    generator: np.random.Generator, pages: np.ndarray
) -> tuple[np.ndarray, dict[str, Any]]:
    """Let one discard in ten be among the requests, and half of them write."""
    discards = pages.size // 10
    at = np.sort(generator.integers(0, pages.size, discards))
    page = np.insert(pages, at, generator.choice(pages, discards))
    is_discard = np.insert(np.zeros(pages.size, np.bool_), at, True)
    is_write = generator.random(page.size) < 1 / 2
    return page, {"is_write": is_write, "is_discard": is_discard, "page_count": PAGES}


def followed(generator: np.random.Generator, pages: np.ndarray) -> list[dict[str, Any]]:
    """Say how far curves of a part of all pages are from the exact one, in parts of requests."""
    page, options = with_discards(generator, pages)
    took, exact = timed(lambda: lru_counts(page, **options))
    rows = []
    for part in (16, 256, 1024, 8192):
        followed_pages = PAGES // part
        part_took, curve = timed(
            lambda count=followed_pages: lru_counts(page, followed_pages=count, **options)
        )
        at = np.arange(part, PAGES + 1, part) - 1
        errors = [
            np.abs(getattr(curve, name) - getattr(exact, name)[at]) / page.size
            for name in ("swap_in_pages", "swap_out_pages")
        ]
        rows.append(
            {
                "followed_pages": followed_pages,
                "mean_error": [float(error.mean()) for error in errors],
                "largest_error": [float(error.max()) for error in errors],
                "times_as_fast": took / part_took,
            }
        )
    return rows


def two_lists(pages: np.ndarray, memory_pages: int) -> Figure:
    """The host with Linux's two lists, against reading the same columns and touching a byte each.

    The first half of the requests fills its memory and is not measured.
    """
    half = pages.size // 2
    touched = np.zeros(PAGES, np.int8)
    seconds, other_seconds, misses = [], [], 0
    requests = Requests(
        kind=np.full(pages.size, Kind.FAULT, np.int8),
        page=pages,
        page_count=np.ones(pages.size, np.int64),
        status=np.full(pages.size, FaultFlag.WRITE, np.int64),
        allocated_bytes=np.full(pages.size, PAGE_BYTES, np.int64),
        block=np.zeros(pages.size, np.int64),
        limit_pages=np.full(pages.size, memory_pages, np.int64),
    )
    first, second = (
        Requests._make(column[part] for column in requests)
        for part in (slice(0, half), slice(half, None))
    )
    for _ in range(ROUNDS):
        memory = empty_host(2 * pages.size)
        before = run_requests(first, memory)
        took, after = timed(lambda memory=memory: run_requests(second, memory))
        seconds.append(took)
        misses = int((memory.moves[before:after, MOVE_KIND] == Kind.FAULT).sum())
        other_seconds.append(timed(lambda: touch_only(second, touched))[0])
    return Figure(
        name=f"host with two lists at {memory_pages:,} pages, {1 - misses / half:.0%} hits",
        events=half,
        seconds=seconds,
        other="reading the same columns and touching one byte a page",
        other_events=half,
        other_seconds=other_seconds,
        target="1/5" if misses < half / 5 else "1/10",
    )


def empty_host(move_count: int) -> Memory:
    """Make a host with zram, that holds nothing yet of a guest without huge pages."""
    blocks = np.array([[0, PAGES, PAGES * PAGE_BYTES, PAGE_BYTES, False, False]])
    huge_page_pages = HUGE_PAGE_BYTES // PAGE_BYTES
    host = new_host(PAGES, huge_page_pages)
    return Memory(
        constants=Constants(
            blocks=blocks,
            huge_page_pages=huge_page_pages,
            frees_empty_page_tables=True,
            poison_val=AS_CAPTURED,
            discard_inhibited=AS_CAPTURED,
        ),
        rules=ReclaimConstants(
            policy=TWO_LISTS,
            low_free_pages=0,
            high_free_pages=0,
            swap_pages=1 << 40,
            keeps_copies=False,
            readahead_pages=1,
            skips_zeros=True,
            writes_zeros=False,
        ),
        host=host,
        reclaim=new_reclaim(PAGES, host.huge_pages.shape[0], 1),
        moves=new_moves(move_count),
    )


@numba.njit
def touch_only(requests: Requests, touched: np.ndarray) -> None:
    """Do no more than anything must that looks at each request and at its page."""
    for row in range(requests.kind.size):
        used = requests.page_count[row] + requests.allocated_bytes[row] + requests.block[row]
        used += requests.limit_pages[row] + requests.kind[row]
        touched[requests.page[row]] = requests.status[row] + used


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Give how long it took, and its answer."""
    began = time.perf_counter()
    answer = run()
    return time.perf_counter() - began, answer


def cpu_name() -> str:
    """Name the processor."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def show(document: dict[str, Any]) -> None:
    """Print the table of docs/performance.md."""
    print(f"{document['machine']}; medians of {ROUNDS} rounds in turn")
    print("| what | ns an event | held against | ns an event | times as fast | target |")
    print("| --- | --- | --- | --- | --- | --- |")
    for figure in document["figures"]:
        own, others = (
            f"{statistics.median(each):.1f} ({min(each):.1f} to {max(each):.1f})"
            for each in (figure["ns_per_event"], figure["other_ns_per_event"])
        )
        print(
            f"| {figure['name']} | {own} | {figure['other']} | {others} | "
            f"{figure['times_as_fast']:.3g} | {figure['target']} |"
        )

    print("| pages followed | mean error of swap-ins, swap-outs | largest | times as fast |")
    print("| --- | --- | --- | --- |")
    for row in document["followed"]:
        mean, largest = (
            ", ".join(f"{error:.2%}" for error in row[name])
            for name in ("mean_error", "largest_error")
        )
        print(f"| {row['followed_pages']:,} | {mean} | {largest} | {row['times_as_fast']:.1f} |")


if __name__ == "__main__":
    lru_hits([0], memory_pages=1)  # Compiled, or read from the cache.
    lru_counts([0], is_write=[True], is_discard=[False])
    two_lists(np.zeros(2, np.int64), PAGES)
    main()
