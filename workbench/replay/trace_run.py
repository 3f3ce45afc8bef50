"""All machines of a trace, replayed one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.replay.ledger import Ledger, merge_ledgers
from workbench.replay.machine import run_machine

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


def run_trace(trace: Trace, replayed: Happened, settings: Settings) -> TraceRun:
    """Replay every machine of a trace.

    Raises
    ------
    InputError
        A row cannot be: memory that a machine does not have.
    """
    vms = range(len(trace.manifest.virtual_machines))
    rows = [np.flatnonzero(replayed.columns["vm"] == vm) for vm in vms]
    runs = [run_machine(trace, replayed, vm, rows[vm], settings) for vm in vms]
    return TraceRun(
        ledger=merge_ledgers(replayed.columns, rows, [run.ledger for run in runs]),
        initial_resident_pages=np.array([run.initial_resident_pages for run in runs], np.int64),
        initial_swapped_pages=np.array([run.initial_swapped_pages for run in runs], np.int64),
        final_held_pages=np.array([run.final_held_pages for run in runs], np.int64),
    )
