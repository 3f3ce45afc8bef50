"""Counts of a replay's events: what became of them, and what of it was otherwise in the capture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.model import Outcome, Surprise
from workbench.model.tally import DIFFERING
from workbench.schema import Kind

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay.decisions import Decisions
    from workbench.replay.ledger import Ledger
    from workbench.replay.tallies import Tallied

SKIPPED: Final = {
    "inhibited": Outcome.SKIPPED_INHIBITED,
    "poisoned": Outcome.SKIPPED_POISONED,
    "bad_address": Outcome.SKIPPED_BAD_ADDRESS,
    "unaligned": Outcome.SKIPPED_UNALIGNED,
    "overrun": Outcome.SKIPPED_OVERRUN,
}
"""By reason, in the order in which QEMU checks: the first that holds names the outcome."""


class EventCounts:
    """What became of the events so far, batch by batch or all at once.

    Attributes
    ----------
    total
        How many there were.
    """

    def __init__(self) -> None:
        self.total = 0
        self._reported = np.zeros(max(Outcome) + 1, np.int64)
        self._surprises = np.zeros(max(Surprise) + 1, np.int64)

    def add(self, ledger: Ledger) -> None:
        """Count the next events."""
        reported = ledger.outcome[ledger.kind == Kind.REPORT]
        self._add(
            ledger.kind.size,
            np.bincount(reported, minlength=self._reported.size),
            np.bincount(ledger.surprise, minlength=self._surprises.size),
        )

    def add_tallied(self, tallied: Tallied) -> None:
        """Count the next events, of which only what they came to is known."""
        reported = tallied.occurrences[:, Kind.REPORT].sum(axis=0)
        self._add(int(tallied.occurrences.sum()), reported, tallied.surprises)

    def _add(
        self, total: int, reported: npt.NDArray[np.int64], surprises: npt.NDArray[np.int64]
    ) -> None:
        self.total += total
        self._reported += reported
        self._surprises += surprises

    @property
    def surprises(self) -> dict[str, int]:
        """How often the host contradicted the model, by how."""
        return {
            surprise.name.lower(): int(self._surprises[surprise])
            for surprise in Surprise
            if surprise != Surprise.NO_SURPRISE
        }

    def to_dict(self) -> dict[str, Any]:
        """Give the counts as JSON takes them."""
        skipped = {reason: int(self._reported[outcome]) for reason, outcome in SKIPPED.items()}
        return {
            "total": self.total,
            "applied": self.total - sum(skipped.values()),
            "ranges": int(self._reported.sum()),
            "discarded": int(self._reported[Outcome.DISCARDED]),
            "discards_failed": int(self._reported[Outcome.DISCARD_FAILED]),
            "skipped": skipped,
            "surprises": self.surprises,
        }


class DecisionCounts:
    """How a replay as captured differs from what QEMU and the host did, as far as it has come."""

    def __init__(self) -> None:
        self._events = EventCounts()
        self._differing = 0

    def add(self, ledger: Ledger, decisions: Decisions) -> None:
        """Compare the next events of a replay as captured with QEMU's decisions about them."""
        self._events.add(ledger)
        asked = (ledger.outcome == Outcome.DISCARDED) | (ledger.outcome == Outcome.DISCARD_FAILED)
        was_report = ledger.kind == Kind.REPORT
        self._differing += int((was_report & (asked != decisions.discarded)).sum())
        self._differing += decisions.discards_without_report

    def add_tallied(self, tallied: Tallied, decisions: Decisions) -> None:
        """Compare them where only what they came to is known."""
        self._events.add_tallied(tallied)
        self._differing += int(tallied.sums[DIFFERING]) + decisions.discards_without_report

    def to_dict(self) -> dict[str, Any]:
        """Give the counts as JSON takes them."""
        return {"differing_decisions": self._differing, "surprises": self._events.surprises}


def late_notes(surprises: dict[str, int], as_captured: dict[str, int]) -> list[str]:
    """Say what only the replay itself could show: huge pages that no longer fit.

    The guest touched what it needed of them without further faults; one page stands for each.
    """
    name = Surprise.HUGE_PAGE_UNEXPECTED.name.lower()
    count = surprises[name] - as_captured[name]
    if count <= 0:
        return []
    note = (
        f"{count} huge pages of the capture find pages in their place that now stay: what the "
        "guest touched around them is not in the trace, resident memory is a lower bound there"
    )
    return [note]
