"""Keep a capture within its budget: it records less before it disturbs, or loses, more."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from workbench.capture.records import TALLIED
from workbench.schema import NO_BLOCK, NO_ELEMENT, Detail, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.capture.guest import Guest
    from workbench.capture.probe import Probes
    from workbench.capture.records import Source
    from workbench.trace.reader import Columns

WINDOW: int = 5
"""Looks, one a second, over which the cost is averaged: a burst alone lowers nothing."""


@dataclass(slots=True)
class Budget:
    """Looks at what a capture costs, and lowers its detail where that is too much.

    Parameters
    ----------
    probes
        Those whose detail is lowered.
    share
        Part of one processor that probes and capture may take together; None does not limit them.
    """

    probes: Probes
    share: float | None = None
    detail: Detail = Detail.RANGES
    _costs: collections.deque[tuple[int, int]] = field(default_factory=collections.deque)
    """Times of the last looks, and what had been spent by then."""
    _known: dict[tuple[int, Source], tuple[int, int]] = field(default_factory=dict)

    def look(self, now_ns: int, spent_ns: int) -> str:
        """Take what has been spent so far.  Returns a sentence if the detail is lowered for it."""
        if self.share is None or self.detail is Detail.SAMPLES:
            return ""
        self._costs.append((now_ns, spent_ns))
        if len(self._costs) <= WINDOW:
            return ""
        then_ns, spent_then_ns = self._costs.popleft()
        used = (spent_ns - spent_then_ns) / (now_ns - then_ns)
        if used <= self.share:
            return ""
        self.detail = Detail(self.detail + 1)
        self.probes.lower(self.detail)
        self._costs.clear()
        return (
            f"the capture took {used:.1%} of a processor, its budget is {self.share:.1%}: from now "
            f"on it records {_WHAT[self.detail]}"
        )

    def note(self, now_ns: int, guests: Mapping[int, Guest]) -> Columns:
        """Note that the detail is now what it is, as an event of each guest."""
        rows = [
            (now_ns, guest.vm, Kind.DETAIL, 0, 0, int(self.detail)) for guest in guests.values()
        ]
        return _columns(rows)

    def take_counts(self, now_ns: int, guests: Mapping[int, Guest]) -> Columns:
        """Give what was only counted since the last call, as events of the guests."""
        if self.detail is Detail.RANGES:
            return {}
        tallies = self.probes.read_tallies()
        rows: list[tuple[int, ...]] = []
        for (process, source), (number, total_bytes) in tallies.items():
            guest = guests.get(process)
            before, bytes_before = self._known.get((process, source), (0, 0))
            if guest is not None and number > before:
                counted = (number - before, total_bytes - bytes_before)
                what = (Kind.COUNTED, *counted, TALLIED[source])
                rows.append((now_ns, guest.vm, *what))
        self._known = tallies
        return _columns(rows)


_WHAT = {
    Detail.COUNTS: "how many ranges and faults there are, and not which",
    Detail.SAMPLES: "no events any more, only samples of the guests' memory",
}


def _columns(rows: Sequence[tuple[int, ...]]) -> Columns:
    """Rows of time, guest, kind, offset, length and status, as columns of events."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 6)
    names = ("time_ns", "vm", "kind", "offset_bytes", "length_bytes", "status")
    columns = {name: table[:, number] for number, name in enumerate(names)}
    none = np.full(len(table), NO_BLOCK)
    return columns | {"ram_block": none, "element": np.full(len(table), NO_ELEMENT)}
