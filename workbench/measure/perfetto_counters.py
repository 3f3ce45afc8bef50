"""What is more or less of the guests of a trace, and of their host, as counters for Perfetto."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.replay import Outcome
from workbench.schema import GUEST_SAMPLES, SAMPLES, UNKNOWN
from workbench.units import HUGE_PAGE_ORDER, LARGEST_ORDER, NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.measure.trace_events import TraceEvents
    from workbench.replay import Ledger
    from workbench.trace import Trace

REPLAYED: Final = "bytes, replayed"
SAMPLED: Final = "bytes, sampled"

RATES: Final = {
    "first touches": Outcome.FIRST_TOUCH,
    "refaults": Outcome.REFAULT,
    "swapped in": Outcome.SWAPPED_IN,
    "swapped out": Outcome.SWAPPED_OUT,
}
"""Outcomes of faults and swap-outs, which are too many for a slice each."""

PER_SECOND: Final = "events a second"


@dataclass(slots=True)
class Buckets:
    """The equal parts of a trace for which a counter has a value."""

    origin_ns: int
    bucket_ns: int

    def of(self, time_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Give the part in which each time lies."""
        return (time_ns - self.origin_ns) // self.bucket_ns


@dataclass(slots=True)
class Replayed:
    """Writes the memory of one guest as replayed: what there is at the end of each part."""

    file: TraceEvents
    process: int
    name: str
    buckets: Buckets
    pages: int
    _shown: int | None = None
    _waiting: tuple[int, int] | None = None
    """The last part seen, and when its last event was: more of it may come."""

    def begin(self) -> None:
        """Show what there was before the first event."""
        self._show(0)

    def add(self, time_ns: npt.NDArray[np.int64], delta_pages: npt.NDArray[np.int64]) -> None:
        """Take the guest's next events."""
        moved = np.flatnonzero(delta_pages)
        if not moved.size:
            return
        time_ns, pages = time_ns[moved], self.pages + np.cumsum(delta_pages[moved])
        bucket = self.buckets.of(time_ns)
        if self._waiting is not None and self._waiting[0] != bucket[0]:
            self._show(self._waiting[1])
        last = np.flatnonzero(np.diff(bucket, append=bucket[-1] + 1))
        for row in last[:-1].tolist():
            self.pages = int(pages[row])
            self._show(int(time_ns[row]) - self.buckets.origin_ns)
        self.pages = int(pages[-1])
        self._waiting = int(bucket[-1]), int(time_ns[-1]) - self.buckets.origin_ns

    def finish(self) -> None:
        """Show what there is after the last event."""
        if self._waiting is not None:
            self._show(self._waiting[1])

    def _show(self, at_ns: int) -> None:
        if self.pages != self._shown:
            self.file.counter(self.process, at_ns, self.name, REPLAYED, self.pages * PAGE_BYTES)
            self._shown = self.pages


@dataclass(slots=True)
class Rates:
    """Writes how often a guest faults and swaps, in each part."""

    file: TraceEvents
    process: int
    buckets: Buckets
    _counts: dict[str, dict[int, int]] = field(default_factory=lambda: {name: {} for name in RATES})
    _shown: dict[str, float] = field(default_factory=lambda: dict.fromkeys(RATES, 0.0))
    _ends: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RATES, 0))
    """The part after the last that had any."""

    def add(self, time_ns: npt.NDArray[np.int64], ledger_outcome: npt.NDArray[np.int8]) -> None:
        """Take the guest's next events."""
        if not time_ns.size:
            return
        bucket = self.buckets.of(time_ns)
        for name, outcome in RATES.items():
            counts = self._counts[name]
            parts, added = np.unique(bucket[ledger_outcome == outcome], return_counts=True)
            for part, count in zip(parts.tolist(), added.tolist(), strict=True):
                counts[part] = counts.get(part, 0) + count
            self._write(name, before=int(bucket[-1]))

    def finish(self) -> None:
        """Write the last part."""
        for name, counts in self._counts.items():
            self._write(name, before=max(counts, default=0) + 1)
            self._show_end(name)

    def _write(self, name: str, *, before: int) -> None:
        """Write the parts that are complete; what follows one without any is 0."""
        counts = self._counts[name]
        for part in sorted(counts):
            if part >= before:
                break
            if self._ends[name] < part:
                self._show_end(name)
            self._show(name, part, counts.pop(part) * NANOSECONDS / self.buckets.bucket_ns)
            self._ends[name] = part + 1

    def _show_end(self, name: str) -> None:
        self._show(name, self._ends[name], 0.0)

    def _show(self, name: str, part: int, rate: float) -> None:
        if rate != self._shown[name]:
            at_ns = max(part, 0) * self.buckets.bucket_ns
            self.file.counter(self.process, at_ns, name, PER_SECOND, rate)
            self._shown[name] = rate


def export_samples(
    file: TraceEvents, trace: Trace, origin_ns: int, *, host: int, first_guest: int
) -> None:
    """Write what the host measured: of each guest, and of itself, as the first guest's rows say."""
    names = SAMPLES.column_names
    before: tuple[int, int, int] | None = None
    for batch in trace.batches(SAMPLES.name, names):
        rows = zip(*(batch[name].tolist() for name in names), strict=True)
        for row in (dict(zip(names, values, strict=True)) for values in rows):
            at_ns = row["time_ns"] - origin_ns
            guest = first_guest + row["vm"]
            for name in ("resident", "swapped"):
                if row[f"{name}_bytes"] != UNKNOWN:
                    file.counter(guest, at_ns, name, SAMPLED, row[f"{name}_bytes"])
            if row["vm"] != 0:
                continue
            if row["host_free_bytes"] != UNKNOWN:
                file.counter(host, at_ns, "free memory", "bytes", row["host_free_bytes"])
            now = (row["time_ns"], row["swap_in_pages"], row["swap_out_pages"])
            if before is not None and now[0] > before[0]:
                _show_swap_rates(file, host, before, now, origin_ns)
            before = now


def _show_swap_rates(
    file: TraceEvents,
    host: int,
    before: tuple[int, int, int],
    now: tuple[int, int, int],
    origin_ns: int,
) -> None:
    """A rate holds from the sample before to this one."""
    seconds = (now[0] - before[0]) / NANOSECONDS
    for name, earlier, later in zip(("swap in", "swap out"), before[1:], now[1:], strict=True):
        if UNKNOWN not in (earlier, later):
            rate = (later - earlier) / seconds
            file.counter(host, before[0] - origin_ns, name, "pages a second", rate)


def export_guest_samples(
    file: TraceEvents, trace: Trace, origin_ns: int, *, first_guest: int
) -> None:
    """Write what guests say of their free memory."""
    orders = range(LARGEST_ORDER + 1)
    pages = np.array([1 << order for order in orders])
    for batch in trace.batches(GUEST_SAMPLES.name, GUEST_SAMPLES.column_names):
        blocks = np.stack([batch[f"free_blocks_order_{order}"] for order in orders], axis=1)
        free = blocks * pages * PAGE_BYTES
        huge = free[:, HUGE_PAGE_ORDER:].sum(axis=1)
        for time_ns, vm, all_bytes, huge_bytes in zip(
            batch["time_ns"].tolist(),
            batch["vm"].tolist(),
            free.sum(axis=1).tolist(),
            huge.tolist(),
            strict=True,
        ):
            guest, at_ns = first_guest + vm, time_ns - origin_ns
            file.counter(guest, at_ns, "free", "bytes", all_bytes)
            file.counter(guest, at_ns, "free", "bytes, in blocks of 2 MiB or more", huge_bytes)


@dataclass(slots=True)
class Counters:
    """The counters of one guest that come from its replay."""

    vm: int
    resident: Replayed
    swapped: Replayed
    rates: Rates

    def add(self, ledger: Ledger) -> None:
        """Take the next rows of all guests."""
        own = np.flatnonzero(ledger.vm == self.vm)
        time_ns = ledger.time_ns[own]
        self.resident.add(time_ns, ledger.resident_delta_pages[own])
        self.swapped.add(time_ns, ledger.swapped_delta_pages[own])
        self.rates.add(time_ns, ledger.outcome[own])

    def finish(self) -> None:
        """Write what waits."""
        self.resident.finish()
        self.swapped.finish()
        self.rates.finish()
