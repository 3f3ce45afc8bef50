"""The events of a trace as its host would have served them with other memory, or to other guests.

What the guests touch, free and give back is taken from the events; what goes to swap and comes
back, and what of a fault costs memory, is decided by the model of the host
(`workbench.model.reclaim`), for all machines of the trace together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from workbench.errors import InputError
from workbench.model import BLOCK_PAGE_BYTES, FIRST_PAGE, HostState, Outcome
from workbench.model.reclaim import (
    LIMIT_PAGES,
    MOVES_AT_ONCE,
    ROW,
    UNMET_PAGES,
    Memory,
    Moves,
    ReclaimState,
    Requests,
    begin_lists,
    new_moves,
    new_reclaim,
    run_requests,
    written_moves,
)
from workbench.replay.decisions import happened
from workbench.replay.ledger import pages_moved
from workbench.replay.limits import limits_under, reclaim_constants, seen_limits
from workbench.replay.machine import page_count_of
from workbench.replay.page_space import hosts_at_start, in_one_space, page_space
from workbench.replay.settings import Settings
from workbench.replay.trace_run import run_trace
from workbench.schema import NO_ELEMENT, UNKNOWN, FaultFlag, Kind
from workbench.units import HUGE_PAGE_BYTES, PAGE_BYTES, format_bytes, format_ns

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay.decisions import Happened
    from workbench.replay.ledger import Ledger
    from workbench.replay.limits import Limits
    from workbench.replay.page_space import PageSpace
    from workbench.replay.trace_run import TraceRun
    from workbench.trace import Trace
    from workbench.trace.reader import Columns

_TOUCHES: Final = (Kind.FAULT, Kind.ACCESS, Kind.FREE)
PAGES_MAX: Final = 11 << 27
"""Of all guests: a folio on a list is found by the number of its entry, which has 31 bits; there is
room for three entries in eight more than folios."""

_DECIDED: Final = (Kind.FAULT, Kind.SWAP_OUT, Kind.READ_AHEAD)
"""Kinds whose events the model of the host writes anew."""


class Served(NamedTuple):
    """What guests did to their pages, and what their host did about it."""

    space: PageSpace
    rows: npt.NDArray[np.intp]
    """The event of each request."""
    requests: Requests
    moves: Moves


class ModelledHost:
    """The model of the host, as far as it has served the events of a trace.

    Parameters
    ----------
    seen
        Memory the guests' RAM had in the capture.

    Attributes
    ----------
    space
        The pages of all machines of the trace.
    limits
        Memory there is for them.
    """

    def __init__(self, trace: Trace, settings: Settings, seen: Limits | None) -> None:
        self.space = page_space(trace, settings)
        _refuse_too_many_pages(trace, self.space)
        self.limits = limits_under(settings.host, seen)
        host = in_one_space(hosts_at_start(trace))
        self._memory = Memory(
            constants=self.space.constants,
            rules=reclaim_constants(trace, settings.host, self.limits),
            host=host,
            reclaim=new_reclaim(host.pages.size, self.space.block_vm.size),
            moves=new_moves(0),
        )
        begin_lists(self._memory)

    def serve(self, columns: Columns, ledger: Ledger) -> Served:
        """Let the host serve what the next events ask of it.

        Parameters
        ----------
        columns
            The events, in order; captured faults count as touches, captured swap-outs not at all.
        ledger
            What became of them without this model, for what the device decided.
        """
        rows, requests = requests_of(columns, ledger, self.space, self.limits)
        return Served(self.space, rows, requests, self.serve_requests(requests))

    def serve_requests(self, requests: Requests) -> Moves:
        """Let the host serve what the guests ask next, and say what it did."""
        touches = requests.kind != Kind.DISCARD
        room = 2 * int(requests.page_count[touches].sum()) + 1000
        while True:
            begun = _copy(self._memory)._replace(moves=new_moves(room))
            count = run_requests(requests, begun)
            if count <= room:
                break
            room = count
        self._memory = begun
        moves = written_moves(begun)
        begun.reclaim.counts[ROW] = 0
        return moves

    def memory_with_room(self) -> Memory:
        """Give the host as it is, for `run_served_tally`, with room for the moves that wait.

        One touch may cause no more of them than all that is in memory, twice what the touch
        brings, and what it reads ahead.  Room that is not used takes no memory.
        """
        memory = self._memory
        if not memory.moves.shape[0]:
            largest = int(memory.constants.blocks[:, BLOCK_PAGE_BYTES].max(initial=0))
            brought = max(HUGE_PAGE_BYTES, largest) // PAGE_BYTES + memory.rules.readahead_pages
            room = memory.host.pages.size + 2 * brought + MOVES_AT_ONCE
            self._memory = memory = memory._replace(moves=new_moves(room))
            # Of settings alone there is one limit: those that were seen are known at the end.
            memory.reclaim.counts[LIMIT_PAGES] = self.limits.pages[0]
        return memory

    @property
    def unmet_bytes(self) -> int:
        """Given beyond the memory there is, because nothing could be reclaimed."""
        return int(self._memory.reclaim.counts[UNMET_PAGES]) * PAGE_BYTES


def _refuse_too_many_pages(trace: Trace, space: PageSpace) -> None:
    pages = page_count_of(space.constants.blocks)
    if pages > PAGES_MAX:
        found, most = format_bytes(pages * PAGE_BYTES), format_bytes(PAGES_MAX * PAGE_BYTES)
        raise InputError(
            f"{trace.path}: its guests have {found} of RAM together, the model of the host takes "
            f"up to {most}; capture fewer guests at a time"
        )


def _copy(memory: Memory) -> Memory:
    """Copy what serving changes: how many moves there will be is known only afterwards."""
    return memory._replace(
        host=HostState._make(column.copy() for column in memory.host),
        reclaim=ReclaimState._make(column.copy() for column in memory.reclaim),
    )


def serve_trace(
    trace: Trace, columns: Columns, ledger: Ledger, settings: Settings, seen: Limits | None
) -> tuple[Columns, int]:
    """Let the model of the host decide what goes to swap and comes back.

    Parameters
    ----------
    columns, ledger
        As for `ModelledHost.serve`.
    seen
        Memory the guests' RAM had in the capture.

    Returns
    -------
    The columns of the table of events, with faults and swap-outs as the host decides them; and the
    bytes given beyond the memory there is, because nothing could be reclaimed.
    """
    host = ModelledHost(trace, settings, seen)
    return written(columns, host.serve(columns, ledger)), host.unmet_bytes


def requests_of(
    columns: Columns, ledger: Ledger, space: PageSpace, limits: Limits
) -> tuple[npt.NDArray[np.intp], Requests]:
    """Say what the guests do to pages: touches, frees and what the device lets them give back.

    Returns
    -------
    The rows of the events, and the requests.
    """
    kind = columns["kind"]
    gives_back = np.isin(kind, (Kind.REPORT, Kind.DISCARD)) & (ledger.outcome == Outcome.DISCARDED)
    rows = np.flatnonzero(np.isin(kind, _TOUCHES) | gives_back)
    kind, vm, ram_block, offset_bytes, length_bytes, status = (
        columns[name][rows].astype(np.int64)
        for name in ("kind", "vm", "ram_block", "offset_bytes", "length_bytes", "status")
    )
    block = space.first_block[vm] + ram_block
    is_fault = kind == Kind.FAULT
    first = np.where(is_fault, offset_bytes // PAGE_BYTES, -(-offset_bytes // PAGE_BYTES))
    stop = np.where(is_fault, first + 1, (offset_bytes + length_bytes) // PAGE_BYTES)
    from_swap = is_fault & (status & FaultFlag.SWAP_IN != 0)
    # What came from swap came alone; that a write took nothing is no evidence of another host.
    allocated_bytes = np.where(length_bytes == 0, UNKNOWN, length_bytes)
    allocated_bytes = np.where(from_swap, PAGE_BYTES, allocated_bytes)
    requests = Requests(
        kind=np.where(gives_back[rows], int(Kind.DISCARD), kind).astype(np.int8),
        page=space.constants.blocks[block, FIRST_PAGE] + first,
        page_count=np.maximum(stop - first, 0),
        status=np.where(from_swap, status & FaultFlag.WRITE, status),
        allocated_bytes=np.where(is_fault, allocated_bytes, UNKNOWN),
        block=block,
        limit_pages=limits.at(columns["time_ns"][rows].astype(np.int64)),
    )
    return rows, requests


def written(columns: Columns, served: Served) -> Columns:
    """Put the moves in the place of the events that they stand for."""
    kept = np.flatnonzero(~np.isin(columns["kind"], _DECIDED))
    at = served.rows[served.moves.request]
    new = columns_of_moves(columns["time_ns"][at], served.moves, served.space)
    # What a request makes the host do comes before the request's own event, such as a report.
    order = np.argsort(np.concatenate((2 * at, 2 * kept + 1)), kind="stable")
    written = {
        name: np.concatenate((new[name], values[kept]))[order].astype(values.dtype)
        for name, values in columns.items()
    }
    written["sequence"] = np.arange(order.size, dtype=written["sequence"].dtype)
    return written


def columns_of_moves(time_ns: npt.NDArray[np.int64], moves: Moves, space: PageSpace) -> Columns:
    """Give moves as the columns of the table of events, in their order, not numbered yet.

    Parameters
    ----------
    time_ns
        When each was.
    """
    firsts = space.constants.blocks[:, FIRST_PAGE]
    block = np.searchsorted(firsts, moves.page, side="right") - 1
    vm = space.block_vm[block]
    return {
        "time_ns": time_ns,
        "sequence": np.zeros(time_ns.size, np.int64),
        "vm": vm,
        "kind": moves.kind,
        "ram_block": block - space.first_block[vm],
        "offset_bytes": (moves.page - firsts[block]) * PAGE_BYTES,
        "length_bytes": moves.page_count * PAGE_BYTES,
        "status": moves.status,
        "element": np.full(time_ns.size, NO_ELEMENT, np.int64),
        "duration_ns": np.zeros(time_ns.size, np.int64),
    }


def is_otherwise(run: TraceRun, captured: TraceRun) -> bool:
    """Tell whether a run has other events than the capture, or discards other ranges."""
    if run.ledger.kind.size != captured.ledger.kind.size:
        return True
    gives_back = np.isin(captured.ledger.kind, (Kind.REPORT, Kind.DISCARD))
    return bool((run.ledger.outcome != captured.ledger.outcome)[gives_back].any())


def serve_run(
    trace: Trace,
    replayed: Happened,
    run: TraceRun,
    settings: Settings,
    seen: Limits | None,
) -> tuple[Happened, TraceRun, list[str]]:
    """Replay once more, with what the model of the host decides about swap.

    Returns
    -------
    The events, the run, and what the answer leaves open.
    """
    columns, unmet_bytes = serve_trace(trace, replayed.columns, run.ledger, settings, seen)
    served = happened(columns)
    notes = host_notes(trace, settings, seen, unmet_bytes)
    return served, run_trace(trace, served, settings), notes


def host_notes(
    trace: Trace, settings: Settings, seen: Limits | None, unmet_bytes: int
) -> list[str]:
    """Say by what model the host decided, and what that leaves open."""
    reclaim = settings.host.reclaim or "two-list"
    most_bytes = int(limits_under(settings.host, seen).pages.max()) * PAGE_BYTES
    memory = format_bytes(most_bytes)
    notes = [
        f"swap is decided by a model of the host ({reclaim}, {memory} for the RAM of all guests)",
        recency_note(trace),
    ]
    if unmet_bytes:
        notes.append(
            f"{format_bytes(unmet_bytes)} were given beyond that, because nothing could be "
            "reclaimed: Linux would kill a process"
        )
    return notes


def recency_note(trace: Trace) -> str:
    """Say by what a host tells which pages are old."""
    access_ns = trace.manifest.access_interval_ns
    if access_ns is None:
        return "recency: by last fault, accesses were not recorded"
    return f"recency: accesses recorded every {format_ns(access_ns)}"


def host_error(trace: Trace, as_captured: Happened, captured: TraceRun) -> dict[str, Any] | None:
    """Compare the model of the host with the captured host, on what was captured.

    Returns
    -------
    ``swap_out_pages`` and ``swap_in_pages``, each with ``captured`` and ``model``; None where
    nothing was swapped.
    """
    seen = seen_limits(as_captured.columns, captured)
    if seen is None:
        return None
    settings = Settings()
    columns, _ = serve_trace(trace, as_captured.columns, captured.ledger, settings, seen)
    modelled = run_trace(trace, happened(columns), settings)
    return {
        f"{name}_pages": {
            "captured": _moved_pages(captured.ledger, outcome),
            "model": _moved_pages(modelled.ledger, outcome),
        }
        for name, outcome in (("swap_out", Outcome.SWAPPED_OUT), ("swap_in", Outcome.SWAPPED_IN))
    }


def _moved_pages(ledger: Ledger, outcome: Outcome) -> int:
    return int(pages_moved(ledger)[ledger.outcome == outcome].sum())
