"""All machines of a trace, replayed one after the other, at once or batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.replay.ledger import Ledger, merge_ledgers
from workbench.replay.machine import Machine

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay.decisions import Happened
    from workbench.replay.settings import Settings
    from workbench.trace import Trace


class TraceRun(NamedTuple):
    """All machines of a trace, replayed.  Arrays of shape (vm,)."""

    ledger: Ledger
    initial_resident_pages: npt.NDArray[np.int64]
    initial_swapped_pages: npt.NDArray[np.int64]
    final_held_pages: npt.NDArray[np.int64]


class Machines:
    """All machines of a trace, as far as their events were replayed.

    Attributes
    ----------
    initial_resident_pages, initial_swapped_pages
        Of each machine, before its first event.
    """

    def __init__(self, trace: Trace, settings: Settings) -> None:
        vms = range(len(trace.manifest.virtual_machines))
        self._machines = [Machine(trace, vm, settings) for vm in vms]
        self.initial_resident_pages = np.array(
            [machine.resident_pages for machine in self._machines], np.int64
        )
        self.initial_swapped_pages = np.array(
            [machine.swapped_pages for machine in self._machines], np.int64
        )

    def apply(self, happened: Happened) -> Ledger:
        """Replay the next events, and say what they did.

        Raises
        ------
        InputError
            A row cannot be: memory that a machine does not have.
        """
        vm = happened.columns["vm"]
        rows = [np.flatnonzero(vm == own) for own in range(len(self._machines))]
        ledgers = [
            machine.apply(happened, own) for machine, own in zip(self._machines, rows, strict=True)
        ]
        return merge_ledgers(happened.columns, rows, ledgers)

    @property
    def held_pages(self) -> npt.NDArray[np.int64]:
        """Host pages that each machine uses now."""
        return np.array([machine.held_pages for machine in self._machines], np.int64)


def run_trace(trace: Trace, replayed: Happened, settings: Settings) -> TraceRun:
    """Replay every machine of a trace.

    Raises
    ------
    InputError
        A row cannot be: memory that a machine does not have.
    """
    machines = Machines(trace, settings)
    return TraceRun(
        ledger=machines.apply(replayed),
        initial_resident_pages=machines.initial_resident_pages,
        initial_swapped_pages=machines.initial_swapped_pages,
        final_held_pages=machines.held_pages,
    )
