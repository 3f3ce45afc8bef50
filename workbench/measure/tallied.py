"""What is counted event by event, of events of which the kernels have added up what they did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.model import tally
from workbench.replay import SKIPPED, Outcome
from workbench.schema import Kind
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.replay import Tallied


def tallied_counts(tallied: Tallied) -> dict[str, int]:
    """Count, by the names that `event_counts` and `swap_counts` use for rows."""
    occurrences = tallied.occurrences.sum(axis=0).tolist()
    sums = tallied.sums.tolist()
    reported = occurrences[Kind.REPORT]
    of_outcome = [sum(counts) for counts in zip(*occurrences, strict=True)]

    def length(halves: int) -> int:
        return int((sums[halves] << tally.HALF_BITS) + sums[halves + 1])

    return {
        "ranges": sum(reported),
        "discards": reported[Outcome.DISCARDED],
        "discards_failed": reported[Outcome.DISCARD_FAILED],
        **{f"skipped_{reason}": reported[outcome] for reason, outcome in SKIPPED.items()},
        "zero_fill_faults": of_outcome[Outcome.FIRST_TOUCH],
        "refaults": of_outcome[Outcome.REFAULT],
        "reported_bytes": length(tally.REPORTED_HALVES),
        "discarded_bytes": length(tally.DISCARDED_HALVES),
        "hinted_bytes": length(tally.HINTED_HALVES),
        "reclaimed_bytes": sums[tally.RECLAIMED_PAGES] * PAGE_BYTES,
        "host_freed_bytes": sums[tally.FREED_PAGES] * PAGE_BYTES,
        "inflated_bytes": sums[tally.INFLATED_PAGES] * PAGE_BYTES,
        "swap_freed_bytes": sums[tally.SWAP_FREED_PAGES] * PAGE_BYTES,
        "free_events": sum(occurrences[Kind.FREE]),
        "read_ahead_pages": sum(occurrences[Kind.READ_AHEAD]),
        "swap_in_events": of_outcome[Outcome.SWAPPED_IN],
        "swap_out_events": of_outcome[Outcome.SWAPPED_OUT],
        "swap_in_pages": sums[tally.SWAP_IN_PAGES],
        "swap_in_dead_pages": sums[tally.SWAP_IN_DEAD_PAGES],
        "asked_pages": sums[tally.ASKED_PAGES],
        "swap_waits": sums[tally.SWAP_WAITS],
        "swap_out_pages": sums[tally.SWAP_OUT_PAGES],
        "swap_out_dead_pages": sums[tally.SWAP_OUT_DEAD_PAGES],
        "swap_written_pages": sums[tally.SWAP_WRITTEN_PAGES],
    }
