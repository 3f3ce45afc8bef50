"""Machines of a trace and their events, for the tests of what kernels add up."""

from __future__ import annotations

import numpy as np

from tests.strategies import (
    constants,
)
from workbench.model import OK, Ledger
from workbench.model.columns import DeviceState
from workbench.model.plain_fault import accept_events
from workbench.model.tally import (
    Fleet,
    TraceEvents,
)
from workbench.model.tally_run import run_tally
from workbench.schema import Kind

STEP_NS = 7


def fleet_of(blocks, host, vms=1):
    """Machines that have the same number of these blocks each."""
    fixed = constants(blocks)
    each = len(blocks) // vms
    first_block = np.arange(vms) * each
    zeros = np.zeros(vms, np.int64)
    devices = DeviceState(*(zeros.copy() for _ in DeviceState._fields))
    counts = np.full(vms, each)
    return Fleet(fixed, first_block, counts, devices, host)


def events_of(rows, vms=None, discarded=None):
    """Rows of `tests.strategies`, one every STEP_NS, as a trace has them."""
    codes = [99 if row[0] == "unknown" else int(Kind[row[0].upper()]) for row in rows]
    numbers = np.array([row[1:] for row in rows], np.int64).reshape(len(rows), 6)
    count = len(rows)
    columns = TraceEvents(
        time_ns=np.arange(count, dtype=np.int64) * STEP_NS,
        vm=np.zeros(count, np.int32) if vms is None else np.array(vms, np.int32),
        kind=np.array(codes, np.int8),
        ram_block=numbers[:, 0].astype(np.int16),
        offset_bytes=numbers[:, 1].copy(),
        length_bytes=numbers[:, 2].copy(),
        status=numbers[:, 3].copy(),
        element=numbers[:, 4].copy(),
        discard_status=numbers[:, 5].copy(),
        discarded=np.zeros(0 if discarded is None else count, np.bool_),
        plain_fault=np.empty(count, np.uint32),
    )
    if discarded is not None:
        columns.discarded[:] = discarded
    for column in columns[:-1]:
        column.flags.writeable = False
    return columns


def tally_rows(rows, captured, vms=None, discarded=None):
    """Apply rows up to the first that is not accepted, and tally them.  Returns where that was."""
    events = events_of(rows, vms, discarded)
    stopped_at = accept_events(events, captured.fleet)
    done = slice(0, len(rows) if stopped_at == OK else stopped_at)
    run_tally(
        TraceEvents._make(column[done] for column in events),
        captured._replace(ledger=Ledger._make(column[done] for column in captured.ledger)),
    )
    return stopped_at
