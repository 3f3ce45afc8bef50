"""When to do again what is done again and again."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Pace:
    """Every so often, or as seldom as it takes to cost no more than a part of a processor.

    Parameters
    ----------
    interval_ns
        How long after one time the next is due.
    part
        One part in so many of a processor is what it may take; 0 does not limit it.
    """

    interval_ns: int
    part: int = 0
    next_ns: int = 0

    def is_due(self, now_ns: int) -> bool:
        """Whether it is to be done now."""
        return now_ns >= self.next_ns

    @contextlib.contextmanager
    def step(self, now_ns: int) -> Iterator[None]:
        """Do it inside, and know when next."""
        before_ns = time.thread_time_ns()
        yield
        cost_ns = time.thread_time_ns() - before_ns
        self.next_ns = now_ns + max(self.interval_ns, self.part * cost_ns)
