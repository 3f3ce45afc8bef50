"""What a benchmark says: how long something took, beside something else in the same run."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES = 1 << 20
ROUNDS = 5


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


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Give how long it took, and its answer."""
    began = time.perf_counter()
    answer = run()
    return time.perf_counter() - began, answer
