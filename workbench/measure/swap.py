"""What went to swap and came back: the I/O of it, its time, and how much of it was of no use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.measure.sums import total
from workbench.replay import Outcome, pages_moved
from workbench.schema import FaultFlag, Kind, SwapOutFlag
from workbench.units import NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.measure.batch import Batch
    from workbench.replay import SwapCosts

DEAD: Final = ("swap_in_dead_pages", "swap_out_dead_pages")
"""Metrics that have no value where nothing tells what was free in the guests."""

UNKNOWN_DEAD: Final = (
    "what was free in the guest is known only where the model of the host decides what goes to "
    "swap, of a guest that was captured with reporting"
)


def swap_counts(batch: Batch) -> dict[str, int]:
    """Count what `swap_metrics` goes by, of one batch; what is left out is 0."""
    outcome, status = batch.ledger.outcome, batch.columns["status"]
    counts = {
        "free_events": batch.count(Kind.FREE),
        "read_ahead_pages": batch.count(Kind.READ_AHEAD),
        "swap_in_events": batch.count(outcome=Outcome.SWAPPED_IN),
        "swap_out_events": batch.count(outcome=Outcome.SWAPPED_OUT),
    }
    if not counts["swap_in_events"] and not counts["swap_out_events"]:
        return counts
    pages = pages_moved(batch.ledger)
    if counts["swap_in_events"]:
        rows = np.flatnonzero(outcome == Outcome.SWAPPED_IN)
        flags, pages_in = status[rows], pages[rows]
        is_read = flags & FaultFlag.WITHOUT_READ == 0
        # One that took no memory found its page in the swap cache, and waited for nobody.
        is_waited_for = is_read & (batch.columns["length_bytes"][rows] > 0)
        counts["swap_in_pages"] = total(pages_in)
        counts["swap_in_dead_pages"] = total(pages_in[flags & FaultFlag.DEAD != 0])
        counts["asked_pages"] = total(pages_in[is_read])
        counts["swap_waits"] = int(np.count_nonzero(is_waited_for))
    if counts["swap_out_events"]:
        rows = np.flatnonzero(outcome == Outcome.SWAPPED_OUT)
        flags, pages_out = status[rows], pages[rows]
        is_written = flags & (SwapOutFlag.CLEAN | SwapOutFlag.ZEROS) == 0
        counts["swap_out_pages"] = total(pages_out)
        counts["swap_out_dead_pages"] = total(pages_out[flags & SwapOutFlag.DEAD != 0])
        counts["swap_written_pages"] = total(pages_out[is_written])
    return counts


def swap_metrics(counts: Mapping[str, int], costs: SwapCosts) -> dict[str, Any]:
    """Work out the metrics about swap.

    Parameters
    ----------
    counts
        What `swap_counts` gives, added up over all batches, every name of it.
    """
    swap_events = counts["swap_in_events"] + counts["swap_out_events"]
    knows_dead = bool(counts["free_events"]) or not swap_events
    wait_ns = counts["swap_waits"] * costs.read_latency_ns
    follow_seconds = counts["read_ahead_pages"] * PAGE_BYTES / costs.read_bytes_per_second
    write_bytes = counts["swap_written_pages"] * PAGE_BYTES
    return {
        "swap_in_pages": counts["swap_in_pages"],
        "swap_out_pages": counts["swap_out_pages"],
        **{name: counts[name] if knows_dead else None for name in DEAD},
        "swap_read_pages": counts["asked_pages"] + counts["read_ahead_pages"],
        "swap_written_pages": counts["swap_written_pages"],
        "swap_wait_seconds": wait_ns / NANOSECONDS + follow_seconds,
        "swap_write_seconds": write_bytes / costs.write_bytes_per_second,
    }
