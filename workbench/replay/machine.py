"""From a trace to the model's columns, one virtual machine at a time, and back.

This is the door: what the kernels must not meet is turned into a sentence here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import InputError
from workbench.model import (
    AS_CAPTURED,
    BLOCK_COLUMNS,
    BLOCK_PAGE_BYTES,
    FIRST_PAGE,
    HELD_PAGES,
    IS_SHARED,
    OK,
    PAGE_COUNT,
    RESIDENT_PAGES,
    SWAPPED_PAGES,
    TAKES_HUGE_PAGES,
    USED_BYTES,
    Constants,
    DeviceState,
    Events,
    HostState,
    Ledger,
    new_device,
    new_host,
    new_ledger,
    page_states,
    run_events,
    set_pages,
    settle_mappings,
)
from workbench.schema import PAGE_STATE_CODES, Kind
from workbench.trace import require_memory
from workbench.units import HUGE_PAGE_BYTES, PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay.decisions import Happened
    from workbench.replay.settings import Settings
    from workbench.trace import Trace, VirtualMachine
    from workbench.trace.reader import Columns

_HUGE_PAGE_PAGES = HUGE_PAGE_BYTES // PAGE_BYTES


_PAGE_STATE_BYTES = 4
"""Of each page of guest RAM: its word, and as much again where words are looked at together."""


class Machine:
    """One machine and its host, as far as its events were replayed.

    Attributes
    ----------
    constants, device, host
        What the kernels take.
    blocks
        How the RAM blocks lie in the page space, as in `Constants.blocks`.
    """

    def __init__(self, trace: Trace, vm: int, settings: Settings) -> None:
        machine = trace.manifest.virtual_machines[vm]
        self._trace = trace
        self.constants = machine_constants(
            machine, settings, frees_empty_page_tables=trace.manifest.host.frees_empty_page_tables
        )
        self.host = initial_host(trace, vm, self.constants)
        self.device = device_at_start(machine)
        self.blocks = self.constants.blocks

    def apply(self, happened: Happened, rows: npt.NDArray[np.intp], first_row: int = 0) -> Ledger:
        """Replay its next events, and say what they did.

        Parameters
        ----------
        happened
            Events: the trace's, or those that the model of the guest placed.
        rows
            The rows of those that are this machine's.
        first_row
            The number of the first of those events among all of the trace.

        Raises
        ------
        InputError
            A row cannot be: memory that the machine does not have.
        """
        ledger = new_ledger(rows.size)
        events = _machine_events(happened, rows)
        stopped_at = run_events(events, self.constants, self.device, self.host, ledger)
        if stopped_at != OK:
            row = int(rows[stopped_at])
            raise InputError(describe_row(self._trace, happened.columns, row, first_row))
        return ledger

    @property
    def resident_pages(self) -> int:
        """Pages in memory now."""
        return int(self.host.totals[RESIDENT_PAGES])

    @property
    def swapped_pages(self) -> int:
        """Pages in swap now."""
        return int(self.host.totals[SWAPPED_PAGES])

    @property
    def held_pages(self) -> int:
        """Host pages in use now, those of partly discarded huge pages included."""
        return int(self.host.totals[HELD_PAGES])

    @property
    def page_states(self) -> npt.NDArray[np.int8]:
        """The PageState of each page of the page space now."""
        return page_states(self.host)


def require_room(trace: Trace) -> None:
    """Refuse guests whose pages do not fit into this host's memory, even as two bytes each.

    Raises
    ------
    HostError
        They do not.
    """
    machines = trace.manifest.virtual_machines
    ram_bytes = sum(block.used_bytes for machine in machines for block in machine.ram_blocks)
    page_count = ram_bytes // PAGE_BYTES
    require_memory(
        _PAGE_STATE_BYTES * page_count,
        f"{trace.path}: to replay {page_count:,} pages of guests",
        "replay it on a larger host",
    )


def device_at_start(machine: VirtualMachine) -> DeviceState:
    """Give the registers of the machine's balloon when the trace begins."""
    device = new_device(machine.features or 0, machine.poison_val or 0)
    if machine.shadow_poison_val is not None:
        device.shadow_poison_val[0] = machine.shadow_poison_val
    device.discard_inhibited[0] = machine.discard_inhibited
    return device


def machine_constants(
    machine: VirtualMachine, settings: Settings, *, frees_empty_page_tables: bool
) -> Constants:
    """Lay the machine's RAM blocks into one page space, and put the settings beside them."""
    poison_val = settings.guest.poison_val
    inhibited = settings.device.discard_inhibited
    return Constants(
        blocks=_lay_out(machine),
        huge_page_pages=_HUGE_PAGE_PAGES,
        huge_page_shift=_HUGE_PAGE_PAGES.bit_length() - 1,
        frees_empty_page_tables=frees_empty_page_tables,
        poison_val=AS_CAPTURED if poison_val is None else poison_val,
        discard_inhibited=AS_CAPTURED if inhibited is None else int(inhibited),
    )


def _lay_out(machine: VirtualMachine) -> npt.NDArray[np.int64]:
    """Place each block where its host address stands within a huge page, on a huge page of its own.

    Host mappings that touch could share a huge page; a trace has no event that shows it.
    """
    blocks = np.zeros((len(machine.ram_blocks), BLOCK_COLUMNS), np.int64)
    next_huge_page = 0
    for row, block in zip(blocks, machine.ram_blocks, strict=True):
        first = next_huge_page * _HUGE_PAGE_PAGES + block.huge_page_offset_bytes // PAGE_BYTES
        is_plain = block.page_bytes == PAGE_BYTES and not block.shared
        row[FIRST_PAGE] = first
        row[PAGE_COUNT] = -(-block.used_bytes // PAGE_BYTES)
        row[USED_BYTES] = block.used_bytes
        row[BLOCK_PAGE_BYTES] = block.page_bytes
        row[IS_SHARED] = block.shared
        row[TAKES_HUGE_PAGES] = block.transparent_huge_page and is_plain
        next_huge_page = -(-int(first + row[PAGE_COUNT]) // _HUGE_PAGE_PAGES)
    return blocks


def page_count_of(blocks: npt.NDArray[np.int64]) -> int:
    """Give the pages of a page space up to the end of its last block (`Constants.blocks`)."""
    return int((blocks[:, FIRST_PAGE] + blocks[:, PAGE_COUNT]).max(initial=0))


def initial_host(trace: Trace, vm: int, constants: Constants) -> HostState:
    """Give what of the machine is in memory, in swap or nowhere when the trace begins."""
    blocks = constants.blocks
    page_count = page_count_of(blocks)
    host = new_host(-(-page_count // _HUGE_PAGE_PAGES) * _HUGE_PAGE_PAGES, _HUGE_PAGE_PAGES)
    state = trace.columns("state")
    rows = np.flatnonzero(state["vm"] == vm)
    for row in rows:
        block = int(state["ram_block"][row])
        offset_bytes = int(state["offset_bytes"][row])
        stop_bytes = offset_bytes + int(state["length_bytes"][row])
        page_state = int(state["page_state"][row])
        known = 0 <= block < blocks.shape[0] and page_state in PAGE_STATE_CODES
        if not known or not 0 <= offset_bytes <= stop_bytes <= blocks[block, USED_BYTES]:
            raise InputError(
                f"{trace.path / 'state'}: row {row} has block {block}, offset {offset_bytes}, end "
                f"{stop_bytes}, state {page_state}, expected pages that the machine has; capture "
                "the trace again"
            )
        first_page = int(blocks[block, FIRST_PAGE])
        first = first_page + offset_bytes // PAGE_BYTES
        stop = first_page + -(-stop_bytes // PAGE_BYTES)
        set_pages(first, stop, page_state, constants, host)
    if rows.size:
        for block in range(blocks.shape[0]):
            settle_mappings(block, constants, host)
    return host


def _machine_events(happened: Happened, rows: npt.NDArray[np.intp]) -> Events:
    columns = happened.columns
    return Events(
        kind=columns["kind"][rows].astype(np.int8),
        ram_block=columns["ram_block"][rows].astype(np.int64),
        offset_bytes=columns["offset_bytes"][rows].astype(np.int64),
        length_bytes=columns["length_bytes"][rows].astype(np.int64),
        status=columns["status"][rows].astype(np.int64),
        element=columns["element"][rows].astype(np.int64),
        discard_status=happened.decisions.status[rows],
    )


def describe_row(trace: Trace, columns: Columns, row: int, first_row: int) -> str:
    """Say that a row cannot be, and what it holds."""
    names = ("vm", "ram_block", "offset_bytes", "length_bytes")
    found = ", ".join(f"{name} {columns[name][row]}" for name in names)
    kind = int(columns["kind"][row])
    name = Kind(kind).name.lower() if kind in list(Kind) else f"kind {kind}"
    where = f"{trace.path / 'events'}: row {first_row + row}"
    return (
        f"{where} is a {name} with {found}, expected memory that the machine has; the trace is "
        "damaged, or newer than this workbench"
    )
