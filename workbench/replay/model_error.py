"""How far the replay as captured is from what the host measured.

This file alone of this room reads `samples`, and nothing it finds goes back into a replay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from workbench.replay.standing import Standing
from workbench.schema import UNKNOWN, FaultFlag, Kind
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from workbench.model import Ledger as MachineLedger
    from workbench.replay.ledger import Ledger
    from workbench.trace import Trace, VirtualMachine
    from workbench.trace.reader import Columns

QUIET_BEFORE_NS: Final = 100_000_000
"""A sample counts as quiet if nothing moved for this long before it: many times the 2.5 ms that
QEMU was seen to take over an element, and a twentieth of the time between two passes of reports."""

QUIET_AFTER_NS: Final = 50_000_000
"""And if nothing moves for this long after it: a fault's event may carry a slightly later time."""

_NEVER_NS: Final = int(np.iinfo(np.int64).min)
"""Before any time: how long an event moves pages that moves none."""


class Measured(NamedTuple):
    """The samples of one machine.  Columns of shape (sample,)."""

    time_ns: npt.NDArray[np.int64]
    duration_ns: npt.NDArray[np.int64]
    resident_bytes: npt.NDArray[np.int64]
    swapped_bytes: npt.NDArray[np.int64]


class AtSamples(NamedTuple):
    """What a replay says of one machine at the moments of its samples.  Shape (sample,)."""

    measured: Measured
    resident_bytes: npt.NDArray[np.int64]
    """As the replay has it, like the next."""
    swapped_bytes: npt.NDArray[np.int64]
    is_quiet: npt.NDArray[np.bool_]
    """Whether nothing moved pages shortly before, during or after the sample."""


class ErrorSoFar:
    """The distance of a replay as captured from the samples, of events that come in batches.

    However they are cut, the document is the same to the bit.  Of a batch nothing is kept.

    Parameters
    ----------
    trace
        Only its manifest and its samples are read.
    initial_resident_pages, initial_swapped_pages
        Before the first event, in pages of 4 KiB.  Shape (vm,).
    """

    def __init__(
        self,
        trace: Trace,
        initial_resident_pages: npt.NDArray[np.int64],
        initial_swapped_pages: npt.NDArray[np.int64],
    ) -> None:
        self._machines = [
            _MachineSoFar(
                machine,
                _measured(trace, vm),
                int(initial_resident_pages[vm]),
                int(initial_swapped_pages[vm]),
            )
            for vm, machine in enumerate(trace.manifest.virtual_machines)
        ]

    @property
    def needs_rows(self) -> bool:
        """Whether there is any sample: else there is nothing to compare."""
        return any(machine.is_measured for machine in self._machines)

    def add(self, columns: Columns, ledger: Ledger | MachineLedger) -> None:
        """Take the next rows.

        Parameters
        ----------
        columns
            Of the events, in their order: `time_ns`, `vm`, `kind`, `length_bytes`, `status` and
            `duration_ns`.
        ledger
            Of the same rows.
        """
        if not self.needs_rows:
            return
        rows = _Rows(
            columns["time_ns"],
            _moved_until_ns(columns),
            ledger.resident_delta_pages,
            ledger.swapped_delta_pages,
        )
        for machine, own in zip(
            self._machines, _per_machine(columns["vm"], rows, len(self._machines)), strict=True
        ):
            if machine.is_measured:
                machine.add(own)

    def at_samples(self) -> list[AtSamples]:
        """Give what was added up to each sample, machine by machine, as if no event followed."""
        return [machine.at_samples() for machine in self._machines]

    def document(self) -> dict[str, Any]:
        """Compare what was added with the samples, as if no event followed.

        Returns
        -------
        ``resident_bytes`` and ``swapped_bytes``, each with

        - ``mean``: the mean distance over time, as a fraction of the measured peak;
        - ``final``: the predicted minus the measured value at the last quiet sample, likewise;
        - ``final_pages``: the same in pages of 4 KiB;
        - ``quiet_max``: the largest distance at a quiet sample, as a fraction of the guest's RAM;

        or None where it was not measured; of several machines the worst of each.  Then the number
        of ``samples`` and ``quiet_samples``, a ``reason`` where something is None, and the same
        for each of the ``virtual_machines``.
        """
        machines = [machine.document() for machine in self._machines]
        reasons = dict.fromkeys(machine["reason"] for machine in machines if machine["reason"])
        return {
            "resident_bytes": _worst([machine["resident_bytes"] for machine in machines]),
            "swapped_bytes": _worst([machine["swapped_bytes"] for machine in machines]),
            "samples": sum(machine["samples"] for machine in machines),
            "quiet_samples": sum(machine["quiet_samples"] for machine in machines),
            "reason": "; ".join(reasons) or None,
            "virtual_machines": machines,
        }


class _Rows(NamedTuple):
    """What is looked at of events.  Columns of shape (event,)."""

    time_ns: npt.NDArray[np.int64]
    moved_until_ns: npt.NDArray[np.int64]
    resident_delta_pages: npt.NDArray[np.int64]
    swapped_delta_pages: npt.NDArray[np.int64]


class _MachineSoFar:
    """One machine: what its events came to, at each of its samples."""

    def __init__(
        self,
        machine: VirtualMachine,
        measured: Measured,
        initial_resident_pages: int,
        initial_swapped_pages: int,
    ) -> None:
        self._name = machine.name
        self._ram_bytes = sum(block.used_bytes for block in machine.ram_blocks)
        self._measured = measured
        # The pages are read one after the other; the middle of the reading is the fairest instant.
        middle_ns = measured.time_ns + measured.duration_ns // 2
        stop_ns = measured.time_ns + measured.duration_ns
        self._resident_pages = Standing(np.add, initial_resident_pages, middle_ns)
        self._swapped_pages = Standing(np.add, initial_swapped_pages, middle_ns)
        self._moved_until_ns = Standing(np.maximum, _NEVER_NS, stop_ns + QUIET_AFTER_NS)

    @property
    def is_measured(self) -> bool:
        """Whether there is any sample: else there is nothing to compare."""
        return self._measured.time_ns.size > 0

    def add(self, rows: _Rows) -> None:
        """Take the machine's next events."""
        self._resident_pages.add(rows.time_ns, rows.resident_delta_pages)
        self._swapped_pages.add(rows.time_ns, rows.swapped_delta_pages)
        self._moved_until_ns.add(rows.time_ns, rows.moved_until_ns)

    def at_samples(self) -> AtSamples:
        """Give what the machine's events came to at each sample."""
        measured = self._measured
        return AtSamples(
            measured,
            self._resident_pages.at_instants() * PAGE_BYTES,
            self._swapped_pages.at_instants() * PAGE_BYTES,
            self._moved_until_ns.at_instants() < measured.time_ns - QUIET_BEFORE_NS,
        )

    def document(self) -> dict[str, Any]:
        """Compare the machine with its samples."""
        measured, resident_bytes, swapped_bytes, is_quiet = self.at_samples()
        error: dict[str, Any] = {
            "name": self._name,
            "resident_bytes": None,
            "swapped_bytes": None,
            "samples": measured.time_ns.size,
            "quiet_samples": int(is_quiet.sum()),
            "reason": None,
        }
        if not self.is_measured:
            error["reason"] = "the trace has no samples of this machine"
            return error
        reasons = [] if is_quiet.any() else ["no sample was taken while nothing moved"]
        for name, predicted_bytes, measured_bytes in (
            ("resident_bytes", resident_bytes, measured.resident_bytes),
            ("swapped_bytes", swapped_bytes, measured.swapped_bytes),
        ):
            if (measured_bytes == UNKNOWN).any():
                reasons.append(f"{name} were not measured")
                continue
            error[name] = _distance(
                predicted_bytes - measured_bytes,
                measured_bytes,
                measured.time_ns,
                is_quiet,
                self._ram_bytes,
            )
        error["reason"] = "; ".join(reasons) or None
        return error


def _distance(
    difference_bytes: npt.NDArray[np.int64],
    measured_bytes: npt.NDArray[np.int64],
    time_ns: npt.NDArray[np.int64],
    is_quiet: npt.NDArray[np.bool_],
    ram_bytes: int,
) -> dict[str, Any]:
    # A quantity that is nowhere, such as swap on most hosts, is compared with a single page.
    peak_bytes = max(int(measured_bytes.max()), PAGE_BYTES)
    distance = np.abs(difference_bytes)
    quiet = np.flatnonzero(is_quiet)
    final_bytes = int(difference_bytes[quiet[-1]]) if quiet.size else None
    return {
        "mean": _mean_over_time(time_ns, distance) / peak_bytes,
        "final": None if final_bytes is None else final_bytes / peak_bytes,
        "final_pages": None if final_bytes is None else final_bytes // PAGE_BYTES,
        "quiet_max": int(distance[quiet].max()) / ram_bytes if quiet.size else None,
        "peak_bytes": peak_bytes,
    }


def _mean_over_time(time_ns: npt.NDArray[np.int64], values: npt.NDArray[np.int64]) -> float:
    span_ns = int(time_ns[-1] - time_ns[0])
    if span_ns == 0:
        return float(values.mean())
    seconds = (time_ns - time_ns[0]) / span_ns
    return float(np.trapezoid(values, seconds))


def _measured(trace: Trace, vm: int) -> Measured:
    samples = trace.columns("samples")
    own = samples["vm"] == vm
    return Measured(**{name: samples[name][own] for name in Measured._fields})


def _moved_until_ns(columns: Columns) -> npt.NDArray[np.int64]:
    """Give for each event until when it may have moved pages; _NEVER_NS if it cannot have.

    Judged by the trace alone, so that a wrong replay cannot choose its own judges.
    """
    kind = columns["kind"]
    moves = kind == Kind.FAULT
    if moves.any():
        moves &= (columns["length_bytes"] != 0) | (columns["status"] & FaultFlag.SWAP_IN != 0)
    for other in (Kind.REPORT, Kind.DISCARD, Kind.SWAP_OUT, Kind.COLLAPSE):
        moves |= kind == other
    until_ns = columns["time_ns"] + columns["duration_ns"]
    np.copyto(until_ns, _NEVER_NS, where=~moves)
    return until_ns


def _per_machine(vm: npt.NDArray[np.integer], rows: _Rows, machines: int) -> Iterator[_Rows]:
    """Give the rows of each machine, in their order."""
    if machines == 1:
        yield rows
        return
    # NumPy sorts codes of one or two bytes in linear time, and wider ones not.
    order = np.argsort(vm.astype(np.min_scalar_type(machines)), kind="stable")
    ordered = _Rows(*(column.take(order) for column in rows))
    stop = 0
    for count in np.bincount(vm, minlength=machines):
        start, stop = stop, stop + int(count)
        yield _Rows(*(column[start:stop] for column in ordered))


def _worst(errors: list[dict[str, Any] | None]) -> dict[str, Any] | None:
    """Take from the machines the largest of each figure; None where a machine has none."""
    known = [error for error in errors if error is not None]
    if not known or len(known) < len(errors):
        return None
    return {name: _largest([error[name] for error in known]) for name in known[0]}


def _largest(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known, key=abs) if len(known) == len(values) else None
