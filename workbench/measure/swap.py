"""What went to swap and came back: the I/O of it, its time, and how much of it was of no use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.replay import Outcome, pages_moved, swap_costs
from workbench.schema import FaultFlag, Kind, SwapOutFlag
from workbench.units import NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    from workbench.replay import Replay

DEAD: Final = ("swap_in_dead_pages", "swap_out_dead_pages")
"""Metrics that have no value where nothing tells what was free in the guests."""

UNKNOWN_DEAD: Final = (
    "what was free in the guest is known only where the model of the host decides what goes to "
    "swap, of a guest that was captured with reporting"
)


def swap_metrics(run: Replay) -> dict[str, Any]:
    """Work out the metrics about swap."""
    ledger = run.ledger
    pages = pages_moved(ledger)
    status, kind = run.columns["status"], run.columns["kind"]
    is_in = ledger.outcome == Outcome.SWAPPED_IN
    is_out = ledger.outcome == Outcome.SWAPPED_OUT
    is_written = is_out & (status & (SwapOutFlag.CLEAN | SwapOutFlag.ZEROS) == 0)
    is_read = is_in & (status & FaultFlag.WITHOUT_READ == 0)
    # One that took no memory found its page in the swap cache, and waited for nobody.
    is_waited_for = is_read & (run.columns["length_bytes"] > 0)
    read_ahead_pages = int((kind == Kind.READ_AHEAD).sum())
    written_pages = int(pages[is_written].sum())
    costs = swap_costs(run.trace, run.settings)
    wait_ns = int(is_waited_for.sum()) * costs.read_latency_ns
    follow_seconds = read_ahead_pages * PAGE_BYTES / costs.read_bytes_per_second
    knows_dead = bool((kind == Kind.FREE).any()) or not (is_in | is_out).any()
    return {
        "swap_in_pages": int(pages[is_in].sum()),
        "swap_out_pages": int(pages[is_out].sum()),
        "swap_in_dead_pages": int(pages[is_in & (status & FaultFlag.DEAD != 0)].sum())
        if knows_dead
        else None,
        "swap_out_dead_pages": int(pages[is_out & (status & SwapOutFlag.DEAD != 0)].sum())
        if knows_dead
        else None,
        "swap_read_pages": int(pages[is_read].sum()) + read_ahead_pages,
        "swap_written_pages": written_pages,
        "swap_wait_seconds": wait_ns / NANOSECONDS + follow_seconds,
        "swap_write_seconds": written_pages * PAGE_BYTES / costs.write_bytes_per_second,
    }
