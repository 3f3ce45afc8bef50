"""What is counted event by event, of one batch of a replay: reports, faults and hints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.measure.sums import total
from workbench.replay import SKIPPED, Outcome
from workbench.schema import NO_ELEMENT, Kind
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.measure.batch import Batch

COUNTED: Final = (
    "reclaimed_bytes",
    "host_freed_bytes",
    "inflated_bytes",
    "swap_freed_bytes",
    "ranges",
    "reported_bytes",
    "discards",
    "discarded_bytes",
    "discards_failed",
    *(f"skipped_{reason}" for reason in SKIPPED),
    "zero_fill_faults",
    "refaults",
    "hinted_bytes",
)
"""The metrics that are a sum over events.  `reports` is none: an element may be in two batches."""


def event_counts(batch: Batch) -> dict[str, int]:
    """Count, by the names of the metrics; what is left out is 0."""
    counts = {
        "ranges": batch.count(Kind.REPORT),
        "discards": batch.count(Kind.REPORT, Outcome.DISCARDED),
        "discards_failed": batch.count(Kind.REPORT, Outcome.DISCARD_FAILED),
        "zero_fill_faults": batch.count(outcome=Outcome.FIRST_TOUCH),
        "refaults": batch.count(outcome=Outcome.REFAULT),
    }
    for reason, outcome in SKIPPED.items():
        counts[f"skipped_{reason}"] = batch.count(Kind.REPORT, outcome)
    if counts["ranges"]:
        counts["reported_bytes"] = _lengths(batch, Kind.REPORT)
    if batch.count(Kind.HINT_RANGE):
        counts["hinted_bytes"] = _lengths(batch, Kind.HINT_RANGE)
    return counts | _given_back(batch)


def _lengths(batch: Batch, kind: Kind) -> int:
    return total(batch.columns["length_bytes"][batch.ledger.kind == kind])


def _given_back(batch: Batch) -> dict[str, int]:
    """What discards took, of reported ranges and of an inflating balloon."""
    ledger, columns = batch.ledger, batch.columns
    counts = {}
    swap_freed_pages = 0
    if batch.count(Kind.REPORT, Outcome.DISCARDED):
        rows = batch.rows(Kind.REPORT, Outcome.DISCARDED)
        counts["discarded_bytes"] = total(columns["length_bytes"][rows])
        counts["reclaimed_bytes"] = -total(ledger.resident_delta_pages[rows]) * PAGE_BYTES
        counts["host_freed_bytes"] = total(ledger.freed_pages[rows]) * PAGE_BYTES
        swap_freed_pages -= total(ledger.swapped_delta_pages[rows])
    if batch.count(Kind.DISCARD):
        rows = np.flatnonzero(ledger.kind == Kind.DISCARD)
        rows = rows[columns["element"][rows] == NO_ELEMENT]
        counts["inflated_bytes"] = -total(ledger.resident_delta_pages[rows]) * PAGE_BYTES
        swap_freed_pages -= total(ledger.swapped_delta_pages[rows])
    counts["swap_freed_bytes"] = swap_freed_pages * PAGE_BYTES
    return counts
