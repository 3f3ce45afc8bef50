"""Guests of several traces on one host, each under settings of its own and begun in its own time.

What a guest touches, frees and gives back does not depend on who else is on its host.  So that is
worked out once for each trace and settings, however many guests do the same; only what goes to
swap and comes back is decided for all of them together, piece by piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.errors import UsageError
from workbench.model import FIRST_PAGE, Outcome
from workbench.model.reclaim import Requests
from workbench.replay.ledger import Ledger
from workbench.replay.limits import AMPLE_BYTES, limits_under
from workbench.replay.memory import (
    ModelledHost,
    columns_of_moves,
    host_notes,
    recency_note,
    requests_of,
)
from workbench.replay.page_space import page_space
from workbench.replay.question import ask, touched
from workbench.replay.settings import Host, Settings
from workbench.replay.together import machines_together
from workbench.schema import Kind
from workbench.trace import require_memory
from workbench.units import PAGE_BYTES, format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from workbench.model.reclaim import Moves
    from workbench.trace import Trace
    from workbench.trace.reader import Columns

REQUESTS_AT_ONCE: Final = 1 << 20
"""So many are served together if time lets them be told apart: some 200 MB with what they cause."""

_BYTES_A_PAGE: Final = 24
"""Of guest RAM: its word, its place on a list and there 11 entries for eight pages make 12 bytes,
and as much again where requests are served."""

_STORED: Final = ("kind", "page", "page_count", "status", "allocated_bytes", "block")
"""What is known of requests before there is a host: all but how much memory that has."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GuestRequests:
    """What the guests of one trace ask of their host under some settings, whatever host that is.

    Attributes
    ----------
    time_ns
        Of each request, since the trace began.
    requests
        In the page space of the trace; the memory of the host is not filled in.
    notes
        What the answer leaves open.
    """

    trace: Trace
    settings: Settings
    time_ns: npt.NDArray[np.int64]
    requests: Requests
    notes: tuple[str, ...]


def guest_requests(trace: Trace, settings: Settings) -> GuestRequests:
    """Let the guests of a trace perform under some settings, and say what they ask of a host.

    Parameters
    ----------
    settings
        Of device and guest.

    Raises
    ------
    UsageError
        There are settings of the host, which is not theirs alone.
    UnanswerableError
        The trace does not hold what the answer needs; the message says what.
    InputError
        The trace is damaged.

    Notes
    -----
    Where guests are placed anew this takes as long as a replay; serving them takes a twentieth.
    Memory: 57 bytes a request.
    """
    if settings.host.is_chosen:
        raise UsageError(
            f"settings of the host are given for {trace.name} ({settings.label}), which shares "
            "its host; leave them to SharedHost"
        )
    ample = settings.model_copy(update={"host": Host(memory_bytes=AMPLE_BYTES)})
    asked = ask(trace, ample)
    told, run = touched(trace, asked.known.facts, ample, asked.replayed)
    limits = limits_under(ample.host, None)
    rows, requests = requests_of(told.columns, run.ledger, page_space(trace, ample), limits)
    return GuestRequests(
        trace=trace,
        settings=settings,
        time_ns=told.columns["time_ns"][rows] - trace.manifest.start_time_ns,
        requests=requests._replace(limit_pages=np.zeros(0, np.int64)),
        notes=(*asked.identifiable.notes, recency_note(trace)),
    )


class Begun(NamedTuple):
    """The guests of a trace, and when they begin, in nanoseconds since the host does."""

    guests: GuestRequests
    shift_ns: int


class HostEvents(NamedTuple):
    """What a host did in a while, as events and as a ledger of them.

    They are faults, swap-outs and what is read ahead.  `free_events` counts the guests' frees,
    which are not among them.
    """

    columns: Columns
    ledger: Ledger
    free_events: int


class SharedHost:
    """Guests of several traces on a modelled host.

    Parameters
    ----------
    begun
        Which guests there are, and when each begins.  They do it once, and keep what they end
        with; what a capture in mid-life began with they have from the start on.
    host
        Its memory, swap and reclaim.
    requests_at_once
        How many requests are served together.  The answer does not depend on it.

    Attributes
    ----------
    trace
        The machines of all of them, without events.

    Raises
    ------
    UsageError
        There is no guest, a shift cannot be, or the traces are of hosts that are not alike.
    InputError
        The guests have more RAM than the model of the host takes.
    HostError
        Or than it can take in this machine's memory.

    Notes
    -----
    Memory: 12 bytes for each page of guest RAM, twice while requests are served, and some 200
    bytes for each of those.  Time: by requests and moves; a guest more costs what its own take.
    """

    def __init__(
        self, begun: Sequence[Begun], host: Host, *, requests_at_once: int = REQUESTS_AT_ONCE
    ) -> None:
        traces = [guests.trace for guests, _ in begun]
        self.trace = machines_together(traces, [shift_ns for _, shift_ns in begun])
        self.settings = Settings(host=host)
        _require_room(self.trace)
        self._begun = begun
        self._at_once = requests_at_once
        self._host = ModelledHost(self.trace, self.settings, None)
        space = self._host.space
        machines = np.array([len(trace.manifest.virtual_machines) for trace in traces])
        self._first_block = space.first_block[np.cumsum(machines) - machines]
        own = [page_space(trace, Settings()).constants.blocks[0, FIRST_PAGE] for trace in traces]
        self._first_page = space.constants.blocks[self._first_block, FIRST_PAGE] - own

    def serve(self) -> Iterator[HostEvents]:
        """Let all guests perform, and give what their host does, in order.  To be called once."""
        for first_ns, stop_ns in self._pieces():
            time_ns, requests = self._between(first_ns, stop_ns)
            moves = self._host.serve_requests(requests)
            columns = columns_of_moves(time_ns[moves.request], moves, self._host.space)
            free_events = int(np.count_nonzero(requests.kind == Kind.FREE))
            yield HostEvents(columns, _ledger(columns, moves), free_events)

    @property
    def unmet_bytes(self) -> int:
        """Given beyond the memory there is, because nothing could be reclaimed."""
        return self._host.unmet_bytes

    @property
    def notes(self) -> tuple[str, ...]:
        """What the answer leaves open, once all was served."""
        of_guests = (note for guests, _ in self._begun for note in guests.notes)
        of_host = host_notes(self.trace, self.settings, None, self.unmet_bytes)
        return tuple(dict.fromkeys((*of_guests, *of_host)))

    def _pieces(self) -> Iterator[tuple[int, int]]:
        """Cut time into pieces [first, stop) with not too many requests each."""
        ends = [
            int(guests.time_ns[-1]) + shift_ns
            for guests, shift_ns in self._begun
            if guests.time_ns.size
        ]
        pieces = [(0, max(ends, default=0) + 1)]
        while pieces:
            first_ns, stop_ns = pieces.pop()
            count = sum(rows.stop - rows.start for rows in self._rows(first_ns, stop_ns))
            if count > self._at_once and stop_ns - first_ns > 1:
                middle_ns = (first_ns + stop_ns) // 2
                pieces += [(middle_ns, stop_ns), (first_ns, middle_ns)]
            elif count:
                yield first_ns, stop_ns

    def _rows(self, first_ns: int, stop_ns: int) -> list[slice]:
        """Give the requests of each that are between two times."""
        return [
            slice(*guests.time_ns.searchsorted([first_ns - shift_ns, stop_ns - shift_ns]))
            for guests, shift_ns in self._begun
        ]

    def _between(self, first_ns: int, stop_ns: int) -> tuple[npt.NDArray[np.int64], Requests]:
        """Put together what all guests ask between two times, in order."""
        rows = self._rows(first_ns, stop_ns)
        counts = [each.stop - each.start for each in rows]
        parts = list(zip(self._begun, rows, strict=True))
        time_ns = np.concatenate(
            [begun.guests.time_ns[own] + begun.shift_ns for begun, own in parts]
        )
        columns = {
            name: np.concatenate(
                [getattr(begun.guests.requests, name)[own] for begun, own in parts]
            )
            for name in _STORED
        }
        columns["page"] += np.repeat(self._first_page, counts)
        columns["block"] += np.repeat(self._first_block, counts)
        by_time = np.argsort(time_ns, kind="stable")
        time_ns = time_ns[by_time]
        columns = {name: values[by_time] for name, values in columns.items()}
        return time_ns, Requests(**columns, limit_pages=self._host.limits.at(time_ns))


def _require_room(trace: Trace) -> None:
    machines = trace.manifest.virtual_machines
    ram_bytes = sum(block.used_bytes for machine in machines for block in machine.ram_blocks)
    require_memory(
        ram_bytes // PAGE_BYTES * _BYTES_A_PAGE,
        f"to serve {len(machines):,} guests with {format_bytes(ram_bytes)} of RAM",
        "ask for fewer, or on a larger machine",
    )


def _ledger(columns: Columns, moves: Moves) -> Ledger:
    """Give what the moves did, as a replay of them would say."""
    is_swap = np.isin(moves.outcome, (Outcome.SWAPPED_IN, Outcome.SWAPPED_OUT))
    return Ledger(
        time_ns=columns["time_ns"],
        vm=columns["vm"].astype(np.int32),
        kind=moves.kind.astype(np.int8),
        outcome=moves.outcome.astype(np.int8),
        surprise=moves.surprise.astype(np.int8),
        resident_delta_pages=moves.gained_pages,
        swapped_delta_pages=np.where(is_swap, -moves.gained_pages, 0),
        freed_pages=np.where(moves.outcome == Outcome.SWAPPED_OUT, -moves.gained_pages, 0),
    )
