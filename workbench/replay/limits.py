"""How much memory the RAM of all guests had, and what else the host is like."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from workbench.model import Surprise
from workbench.model.reclaim import (
    LEAST_RECENT,
    SWAP_CLUSTER_PAGES,
    TWO_LISTS,
    ReclaimConstants,
)
from workbench.replay.facts import swaps_to_zram
from workbench.schema import Kind
from workbench.units import KIB, PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay.ledger import Ledger
    from workbench.replay.settings import Host
    from workbench.replay.trace_run import TraceRun
    from workbench.trace import Trace
    from workbench.trace.reader import Columns

POLICIES: Final = {"two-list": TWO_LISTS, "least-recent": LEAST_RECENT}

AMPLE_BYTES: Final = 1 << 60
"""Memory with which nothing goes to swap, the most a host may be asked to have."""

_AMPLE_PAGES: Final = 1 << 40
"""Room in swap where nobody says how much there is: more than there can be."""

_SKIPS_ZEROS_SINCE: Final = (6, 12)
"""Linux from which a page of zeros is swapped out without I/O (mm/page_io.c, swap_zeromap)."""


class Limits(NamedTuple):
    """Memory for the RAM of all guests, over time.  Columns of shape (change,)."""

    time_ns: npt.NDArray[np.int64]
    """From when on; the first holds from the beginning."""
    pages: npt.NDArray[np.int64]

    def at(self, time_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Give the memory there is at these times, in pages."""
        row = np.searchsorted(self.time_ns, time_ns, side="right") - 1
        pages: npt.NDArray[np.int64] = self.pages[np.maximum(row, 0)]
        return pages


def seen_limits(columns: Columns, captured: TraceRun) -> Limits | None:
    """Say how much memory the guests' RAM had, by what it held when the host swapped from it.

    A host that swaps has no more to give.  How much that is changes: what else it holds, such as
    QEMU's own memory, goes to swap too, and comes back.  So it is the most that was held at any of
    the last swap-outs, as many as Linux reclaims at once.

    Parameters
    ----------
    columns, captured
        The events of the capture, and what they did.

    Returns
    -------
    None where no page went to swap.
    """
    ledger = captured.ledger
    is_swap_out = (ledger.kind == Kind.SWAP_OUT) & (ledger.resident_delta_pages < 0)
    if not is_swap_out.any():
        return None
    gained = np.maximum(ledger.resident_delta_pages, 0) - ledger.freed_pages
    gained += _gone_unseen(columns, ledger)
    held_after = captured.initial_resident_pages.sum() + np.cumsum(gained)
    held = (held_after + ledger.freed_pages)[is_swap_out]
    before = np.full(SWAP_CLUSTER_PAGES - 1, held[0])
    latest = sliding_window_view(np.concatenate((before, held)), SWAP_CLUSTER_PAGES)
    return Limits(ledger.time_ns[is_swap_out], latest.max(axis=1))


def _gone_unseen(columns: Columns, ledger: Ledger) -> npt.NDArray[np.int64]:
    """Give the pages that leave memory and come back without the former's having been seen.

    A page that comes from swap though none saw it go was clean, on a device that keeps copies; it
    went at some time since its last fault, on average in the middle.

    Returns
    -------
    What is to be added to each event's pages: of a middle -1, of a swap-in 1.  Shape (event,).
    """
    faults = np.flatnonzero(ledger.kind == Kind.FAULT)
    page = columns["offset_bytes"][faults] // PAGE_BYTES
    by_page = np.lexsort((faults, page, columns["ram_block"][faults], columns["vm"][faults]))
    row = faults[by_page]
    is_same = np.ones(max(row.size - 1, 0), np.bool_)
    for name in ("vm", "ram_block"):
        is_same &= columns[name][row[1:]] == columns[name][row[:-1]]
    is_same &= page[by_page][1:] == page[by_page][:-1]
    is_missed = ledger.surprise[row[1:]] == Surprise.SWAP_OUT_MISSED
    before, after = row[:-1][is_same & is_missed], row[1:][is_same & is_missed]
    middle_ns = (ledger.time_ns[before] + ledger.time_ns[after]) // 2
    added = np.zeros(ledger.kind.size, np.int64)
    np.subtract.at(added, np.searchsorted(ledger.time_ns, middle_ns), 1)
    np.add.at(added, after, 1)
    return added


def limits_under(host: Host, seen: Limits | None) -> Limits:
    """Give the memory there is: what was asked for, or else what was seen."""
    if host.memory_bytes is not None:
        return Limits(np.zeros(1, np.int64), np.array([host.memory_bytes // PAGE_BYTES], np.int64))
    return seen or Limits(np.zeros(1, np.int64), np.array([_AMPLE_PAGES], np.int64))


def reclaim_constants(trace: Trace, host: Host, limits: Limits) -> ReclaimConstants:
    """Say what the host is like: as asked for, or else as the trace has it."""
    captured = trace.manifest.host
    answers_at_once = swaps_to_zram(trace)
    if host.swap is not None:
        answers_at_once = host.swap == "zram"
    page_cluster = captured.page_cluster if host.page_cluster is None else host.page_cluster
    low_pages, high_pages = _watermarks(int(limits.pages[-1])) if host.limit == "host" else (0, 0)
    return ReclaimConstants(
        policy=POLICIES[host.reclaim or "two-list"],
        low_free_pages=low_pages,
        high_free_pages=high_pages,
        swap_pages=_AMPLE_PAGES if host.swap_bytes is None else host.swap_bytes // PAGE_BYTES,
        keeps_copies=not answers_at_once,
        readahead_pages=1 if answers_at_once else 1 << page_cluster,
        skips_zeros=linux_version(captured.kernel) >= _SKIPS_ZEROS_SINCE,
        writes_zeros=host.content == "zero",
    )


def _watermarks(memory_pages: int) -> tuple[int, int]:
    """Give the free pages at which kswapd wakes, and at which it sleeps, of a host of one zone.

    Source: Linux v6.18 mm/page_alloc.c (calculate_min_free_kbytes, __setup_per_zone_wmarks, with
    the default watermark_scale_factor of 10 in 10,000).
    """
    memory_kib = memory_pages * PAGE_BYTES // KIB
    min_pages = min(max(math.isqrt(16 * memory_kib), 128), 262_144) * KIB // PAGE_BYTES
    step_pages = max(min_pages // 4, memory_pages * 10 // 10_000)
    return min_pages + step_pages, min_pages + 2 * step_pages


def linux_version(kernel: str) -> tuple[int, ...]:
    """Read major and minor from a kernel's release."""
    numbers = re.match(r"(\d+)\.(\d+)", kernel)
    return tuple(int(number) for number in numbers.groups()) if numbers else ()
