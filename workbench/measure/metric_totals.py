"""Metrics that add up, over a replay that comes batch by batch."""

from __future__ import annotations

import copy
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.measure import series
from workbench.measure.batch import batch_of
from workbench.measure.counts import COUNTED, event_counts
from workbench.measure.elements import Elements
from workbench.measure.presence import Presence
from workbench.measure.residency import changes, span_ns
from workbench.measure.swap import swap_counts, swap_metrics
from workbench.measure.tallied import tallied_counts
from workbench.model.tally import LAST_NS
from workbench.schema import Kind
from workbench.units import NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.measure.presence import Deltas
    from workbench.replay import Ledger, SwapCosts, Tallied
    from workbench.replay.tallies import PagesSoFar
    from workbench.trace import Manifest
    from workbench.trace.reader import Columns


class Totals:
    """What a replay comes to, of all machines together, without keeping any of its rows.

    Parameters
    ----------
    initial_resident_pages, initial_swapped_pages
        Before the first event.  Shape (vm,).

    Notes
    -----
    Everything is added up in integers and divided once, in `values`: how the rows are cut into
    batches changes no bit of the result.
    """

    def __init__(
        self,
        manifest: Manifest,
        costs: SwapCosts,
        *,
        initial_resident_pages: npt.NDArray[np.int64],
        initial_swapped_pages: npt.NDArray[np.int64],
    ) -> None:
        self._manifest = manifest
        self._costs = costs
        self._last_ns: int | None = None
        self._resident = _Memory(manifest, initial_resident_pages)
        self._swapped = _Memory(manifest, initial_swapped_pages)
        self._counts: Counter[str] = Counter()
        self._elements: dict[int, Elements] = {}

    def add(self, columns: Columns, ledger: Ledger) -> None:
        """Take the next rows, in the order of time.

        Parameters
        ----------
        columns
            Of `events`; length_bytes, status and element are looked at.
        ledger
            What these same rows did.
        """
        if not ledger.time_ns.size:
            return
        self._last_ns = int(ledger.time_ns[-1])
        self._resident.add(ledger.time_ns, ledger.vm, ledger.resident_delta_pages)
        self._swapped.add(ledger.time_ns, ledger.vm, ledger.swapped_delta_pages)
        batch = batch_of(columns, ledger)
        self._counts.update(event_counts(batch))
        self._counts.update(swap_counts(batch))
        if batch.count(Kind.REPORT):
            self._add_elements(ledger.kind, ledger.vm, columns["element"])

    def add_tallied(self, tallied: Tallied) -> None:
        """Take the next rows, in the order of time, of which only what they came to is known."""
        if not tallied.occurrences.any():
            return
        self._last_ns = int(tallied.sums[LAST_NS])
        self._resident.follow(tallied.resident)
        self._swapped.follow(tallied.swapped)
        self._counts.update(tallied_counts(tallied))
        if tallied.occurrences[:, Kind.REPORT].any():
            columns = tallied.columns
            self._add_elements(columns["kind"], columns["vm"], columns["element"])

    def _add_elements(
        self,
        kind: npt.NDArray[np.integer],
        vm: npt.NDArray[np.integer],
        element: npt.NDArray[np.int64],
    ) -> None:
        rows = np.flatnonzero(kind == Kind.REPORT)
        vm, element = vm[rows], element[rows]
        for machine in np.flatnonzero(np.bincount(vm)).tolist():
            self._elements.setdefault(machine, Elements()).add(element[vm == machine])

    def values(self) -> dict[str, Any]:
        """Give every metric that adds up, by name; None where it has no value."""
        start_ns, stop_ns = span_ns(self._manifest, self._last_ns)
        return {
            **self._resident.values("resident", start_ns, stop_ns),
            **self._swapped.values("swapped", start_ns, stop_ns),
            **{name: self._counts[name] for name in COUNTED},
            "reports": sum(len(elements) for elements in self._elements.values()),
            **swap_metrics(self._counts, self._costs),
        }


class _Memory:
    """Pages of all machines, in memory or in swap, up to the last change."""

    def __init__(self, manifest: Manifest, initial_pages: npt.NDArray[np.int64]) -> None:
        machines = manifest.virtual_machines
        self._presence = Presence(machines, range(len(machines)), initial_pages)
        self._time_ns = manifest.start_time_ns
        self._pages = self._presence.initial_pages
        self._peak_pages = self._pages
        self._page_ns = 0

    def add(
        self,
        time_ns: npt.NDArray[np.int64],
        vm: npt.NDArray[np.integer],
        delta_pages: npt.NDArray[np.int64],
    ) -> None:
        """Take the next rows."""
        if delta_pages.any():
            self._follow(self._presence.merge(time_ns, vm, delta_pages))

    def _follow(self, deltas: Deltas) -> None:
        pages = changes(
            deltas.time_ns, deltas.pages, start_ns=self._time_ns, initial_pages=self._pages
        )
        self._page_ns += series.integral(pages)
        self._time_ns, self._pages = int(pages.time_ns[-1]), int(pages.value[-1])
        self._peak_pages = max(self._peak_pages, int(pages.value.max()))

    def follow(self, so_far: PagesSoFar) -> None:
        """Take what the next rows left."""
        self._pages, self._time_ns, self._peak_pages, self._page_ns = so_far

    def values(self, name: str, start_ns: int, stop_ns: int) -> dict[str, float | int]:
        """Let the pages stay until the end, or until their machine's, and sum up."""
        whole = copy.deepcopy(self)  # More rows may follow.
        whole._follow(whole._presence.rest())  # noqa: SLF001 - our own copy.
        return whole._values(name, start_ns, stop_ns)  # noqa: SLF001

    def _values(self, name: str, start_ns: int, stop_ns: int) -> dict[str, float | int]:
        final_bytes = self._pages * PAGE_BYTES
        byte_ns = self._page_ns * PAGE_BYTES + final_bytes * (stop_ns - self._time_ns)
        return {
            f"{name}_bytes_mean": series.average(byte_ns, stop_ns - start_ns, final_bytes),
            f"{name}_bytes_peak": self._peak_pages * PAGE_BYTES,
            f"{name}_bytes_final": final_bytes,
            f"{name}_byte_seconds": byte_ns / NANOSECONDS,
        }
