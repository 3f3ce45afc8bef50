"""What was where at an instant of a trace: the state that a slice of it begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.model import (
    FIRST_PAGE,
    HUGE_PAGE,
    IS_HUGE,
    MAPPING,
    OCCUPIED_PAGES,
    PAGE_COUNT,
    PAGE_TABLE,
    PAGES_LEFT,
    TAKES_HUGE_PAGES,
    USED_BYTES,
    WAS_DISCARDED,
)
from workbench.replay.decisions import happened, whole_batches
from workbench.replay.in_batches import ROWS_AT_ONCE
from workbench.replay.settings import Settings
from workbench.replay.trace_run import Machines
from workbench.schema import EVENTS, PAGE_STATE_MASK, STATE, Kind, PageFlag, PageState
from workbench.trace import Moment, Registers, registers_at_start
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from workbench.model import Constants, HostState
    from workbench.trace import Trace
    from workbench.trace.reader import Columns

_HINT_COMMAND_MASK = 2**32 - 1
"""cmd_id is 32 bits wide (QEMU 7.2 include/hw/virtio/virtio-balloon.h, free_page_hint_cmd_id)."""


def moment_at(
    trace: Trace, time_ns: int | None, *, progress: Callable[[int], None] = lambda _: None
) -> Moment:
    """Replay a trace as captured up to an instant, and give what was where then.

    Parameters
    ----------
    time_ns
        Host clock; events of this very time are still to come.  None is before the first event.
    progress
        Called with the number of events that were read since the last call.

    Raises
    ------
    InputError
        The trace is damaged.

    Notes
    -----
    Where no event comes before, the answer is the trace's own `state`, row for row.  Memory: a
    batch of events, and a few bytes for each page of guest RAM.
    """
    if time_ns is None:
        return _as_begun(trace)
    machines = Machines(trace, Settings())
    hints = [machine.hint_command for machine in trace.manifest.virtual_machines]
    is_later = False
    batches = trace.batches(EVENTS.name, EVENTS.column_names, row_count=ROWS_AT_ONCE)
    for columns in whole_batches(batches):
        stop = int(columns["time_ns"].searchsorted(time_ns, side="left"))
        is_later = is_later or stop > 0
        machines.advance(happened(columns), stop)
        for row in np.flatnonzero(columns["kind"][:stop] == Kind.HINT_COMMAND):
            hints[columns["vm"][row]] = int(columns["status"][row]) & _HINT_COMMAND_MASK
        progress(stop)
        if stop < columns["time_ns"].size:
            break
    if not is_later:
        return _as_begun(trace)
    return Moment(_state_of(machines), tuple(_registers(machines, hints)))


def _as_begun(trace: Trace) -> Moment:
    registers = map(registers_at_start, trace.manifest.virtual_machines)
    return Moment(trace.columns(STATE.name), tuple(registers))


def _registers(machines: Machines, hints: list[int | None]) -> list[Registers]:
    return [
        Registers(
            features=int(machine.device.features[0]),
            poison_val=int(machine.device.poison_val[0]),
            shadow_poison_val=int(machine.device.shadow_poison_val[0]),
            discard_inhibited=bool(machine.device.discard_inhibited[0]),
            hint_command=hint,
        )
        for machine, hint in zip(machines.machines, hints, strict=True)
    ]


def _state_of(machines: Machines) -> Columns:
    parts = []
    for vm, machine in enumerate(machines.machines):
        rows = state_rows(machine.host, machine.constants)
        parts.append({"vm": np.full(rows["offset_bytes"].size, vm), **rows})
    return {
        column.name: np.concatenate([part[column.name] for part in parts]).astype(column.dtype)
        for column in STATE.columns
    }


def state_rows(host: HostState, constants: Constants) -> Columns:
    """Write a host down as rows of `state`, which `set_pages` and `settle_mappings` take back.

    Runs of pages that agree are one row; what `settle_mappings` finds out by itself is left out.
    """
    codes = _codes(host, constants)
    rows: list[npt.NDArray[np.int64]] = []
    for number, block in enumerate(constants.blocks):
        own = codes[block[FIRST_PAGE] : block[FIRST_PAGE] + block[PAGE_COUNT]]
        starts = np.flatnonzero(np.diff(own, prepend=-1))
        stops = np.append(starts[1:], own.size)
        is_told = own[starts] != PageState.UNBACKED
        starts, stops = starts[is_told], stops[is_told]
        first_bytes = starts * PAGE_BYTES
        stop_bytes = np.minimum(stops * PAGE_BYTES, block[USED_BYTES])
        of_block = np.full(starts.size, number)
        rows.append(np.stack([of_block, first_bytes, stop_bytes - first_bytes, own[starts]]))
    names = ("ram_block", "offset_bytes", "length_bytes", "page_state")
    return dict(zip(names, np.concatenate(rows, axis=1), strict=True))


def _codes(host: HostState, constants: Constants) -> npt.NDArray[np.int8]:
    """Give the `page_state` of each page.  Shape (page,)."""
    count, pages = host.huge_pages.shape[0], constants.huge_page_pages
    words = host.pages[: count * pages] & (PAGE_STATE_MASK | WAS_DISCARDED | IS_HUGE)
    codes = words.astype(np.int8).reshape(count, pages)
    state = codes & PAGE_STATE_MASK
    mapping, left = host.huge_pages[:, MAPPING], host.huge_pages[:, PAGES_LEFT]
    may_be_huge = _may_be_huge(constants, count)
    # What a trace without flags would be taken for.
    seems_huge = may_be_huge & (state == PageState.RESIDENT).all(axis=1)
    seems_zero = may_be_huge & (state == PageState.ZERO_PAGE).all(axis=1)
    codes[seems_huge & (mapping == HUGE_PAGE)] = PageState.RESIDENT
    seems_empty = host.huge_pages[:, OCCUPIED_PAGES] == 0
    surprises = (seems_huge | seems_zero | seems_empty) & (mapping == PAGE_TABLE) & (left == 0)
    codes[surprises] |= int(PageFlag.TABLE)
    return codes.reshape(-1)


def _may_be_huge(constants: Constants, count: int) -> npt.NDArray[np.bool_]:
    """Tell for each huge page of address space whether it may be mapped as one.  Shape (huge,)."""
    may = np.zeros(count, np.bool_)
    pages = constants.huge_page_pages
    for block in constants.blocks:
        if block[TAKES_HUGE_PAGES]:
            first, stop = block[FIRST_PAGE], block[FIRST_PAGE] + block[PAGE_COUNT]
            may[-(-first // pages) : stop // pages] = True
    return may
