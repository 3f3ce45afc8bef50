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
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from bench_figure import (
    PAGES,
    REQUESTS,
    ROUNDS,
    SEED,
    TABLE_HEAD,
    Figure,
    table_row,
    timed,
    zipf,
)
from bench_host import beside_naive, blocks, memory_speed, two_lists
from bench_replay import MEMORY_PAGES, whole_replay

from workbench.replay import lru_counts, lru_hits

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / ".build" / "bench.json"
OTHER_PYTHON = ROOT / ".build" / "bench" / "bin" / "python"


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
        for memory_pages in MEMORY_PAGES:
            figures += whole_replay(pages, memory_pages, Path(folder))
    figures += [two_lists(pages, memory_pages) for memory_pages in MEMORY_PAGES]
    figures += [blocks(), beside_naive(pages)]
    document = {
        "machine": f"{cpu_name()}, {os.cpu_count()} processors, Python {platform.python_version()}",
        "requests": REQUESTS,
        "pages": PAGES,
        "figures": [figure.document() for figure in figures],
        "bytes_per_second": memory_speed(pages),
        "followed": followed(generator, pages),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    show(document)


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


def cpu_name() -> str:
    """Name the processor."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def show(document: dict[str, Any]) -> None:
    """Print the table of docs/performance.md."""
    print(f"{document['machine']}; medians of {ROUNDS} rounds in turn")
    print(TABLE_HEAD)
    for figure in document["figures"]:
        print(table_row(figure))

    copied, touched = (each / 1e9 for each in document["bytes_per_second"])
    print(f"memory: {copied:.1f} GB/s copied, {touched:.1f} GB/s read while touching pages")
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
    blocks()
    main()
