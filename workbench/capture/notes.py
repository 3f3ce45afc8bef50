"""What others tell a capture while it runs: steps of a scenario, and what guests say of memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from workbench.schema import GUEST_SAMPLES, NO_BLOCK, NO_ELEMENT, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.trace.reader import Columns


@dataclass(slots=True)
class Notes:
    """Collects rows from other threads than the capture's."""

    _markers: list[tuple[int, ...]] = field(default_factory=list)
    _guest_samples: list[tuple[int, ...]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def mark(self, vm: int, step: int, time_ns: int) -> None:
        """Note that a guest began a step of its scenario."""
        with self._lock:
            self._markers.append((time_ns, vm, step))

    def guest_sample(
        self, vm: int, time_ns: int, guest_time_ns: int, free_blocks: Sequence[int]
    ) -> None:
        """Note what a guest said of its free blocks, by order from 0 to 10."""
        with self._lock:
            self._guest_samples.append((time_ns, guest_time_ns, vm, *free_blocks))

    def take_events(self) -> Columns:
        """Give the steps since the last call, as columns of `events`."""
        with self._lock:
            markers, self._markers = self._markers, []
        rows = np.array(markers, dtype=np.int64).reshape(-1, 3)
        count = len(rows)
        return {
            "time_ns": rows[:, 0],
            "vm": rows[:, 1],
            "status": rows[:, 2],
            "kind": np.full(count, Kind.MARKER),
            "ram_block": np.full(count, NO_BLOCK),
            "element": np.full(count, NO_ELEMENT),
        }

    def take_guest_samples(self) -> Columns:
        """Give the samples since the last call, as columns of `guest_samples`."""
        with self._lock:
            samples, self._guest_samples = self._guest_samples, []
        rows = np.array(samples, dtype=np.int64).reshape(-1, len(GUEST_SAMPLES.columns))
        return {column.name: rows[:, number] for number, column in enumerate(GUEST_SAMPLES.columns)}
