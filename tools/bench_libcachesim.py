"""Run libCacheSim's LRU over a file of requests, once for each size read from stdin.

Run by tools/bench.py in an environment that has libCacheSim: its loop in C reads the file, and no
request passes through Python.
"""

from __future__ import annotations

import sys
import time

import libcachesim


def main() -> None:
    """Answer until nobody asks."""
    for line in sys.stdin:
        reader = libcachesim.TraceReader(
            sys.argv[1],
            libcachesim.TraceType.ORACLE_GENERAL_TRACE,
            libcachesim.ReaderInitParam(ignore_obj_size=True),
        )
        cache = libcachesim.LRU(cache_size=int(line))
        began = time.perf_counter()
        miss_ratio, _ = cache.process_trace(reader)
        print(time.perf_counter() - began, miss_ratio, flush=True)


if __name__ == "__main__":
    main()
