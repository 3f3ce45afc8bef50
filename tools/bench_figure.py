"""What a benchmark says: how long something took, beside something else in the same run."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES = 1 << 20
ROUNDS = 5
REQUESTS = 4_000_000
EXPONENT = 1.0
"""Of Zipf's law: the page of rank r is asked for in proportion to 1 / r."""
SEED = 20_201_204
TABLE_HEAD = """| what | ns an event | held against | ns an event | times as fast | target |
| --- | --- | --- | --- | --- | --- |"""


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


def table_row(figure: dict[str, Any]) -> str:
    """Give the row of docs/performance.md for a figure, given as JSON takes it."""
    own, others = (
        f"{statistics.median(each):.1f} ({min(each):.1f} to {max(each):.1f})"
        for each in (figure["ns_per_event"], figure["other_ns_per_event"])
    )
    return (
        f"| {figure['name']} | {own} | {figure['other']} | {others} | "
        f"{figure['times_as_fast']:.3g} | {figure['target']} |"
    )


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Give how many seconds it took, and its answer."""
    began = time.perf_counter()
    answer = run()
    return time.perf_counter() - began, answer


def zipf(generator: np.random.Generator) -> np.ndarray:
    """Make requests, whose most frequent pages lie anywhere."""
    share = np.cumsum(np.arange(1, PAGES + 1, dtype=np.float64) ** -EXPONENT)
    rank = np.searchsorted(share, generator.random(REQUESTS) * share[-1])
    return generator.permutation(PAGES)[rank]
