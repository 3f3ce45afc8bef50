"""What the migrations of a trace send of memory, with the hints that came and without them.

Only what the host sees of a guest is known: a page that is backed counts as having content, and a
page as written where the guest faulted on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.model import FIRST_PAGE, PAGE_COUNT, Outcome
from workbench.model import precopy as model
from workbench.replay.decisions import happened
from workbench.replay.hints import hint_rows, migrations, writes_of_hints
from workbench.replay.machine import Machine
from workbench.schema import FaultFlag, Kind, PageState
from workbench.units import MIB, NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay.door import Replay
    from workbench.replay.hints import Migration
    from workbench.trace.reader import Columns

_HEADER_BYTES: Final = 8
"""Offset and flags before each page (QEMU 7.2 migration/ram.c, save_page_header)."""

FULL_PAGE_BYTES: Final = _HEADER_BYTES + PAGE_BYTES
ZERO_PAGE_BYTES: Final = _HEADER_BYTES + 1
"""A byte that says which byte the page is full of (save_zero_page_to_file)."""

_BYTES_PER_SECOND: Final = 128 * MIB
"""What a migration may send unless it is told otherwise (QEMU 7.2 migration/migration.c,
MAX_THROTTLE)."""

_WINDOWS_PER_SECOND: Final = 10
"""How often QEMU asks whether it has sent that much (migration/migration.h, XFER_LIMIT_RATIO)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PagesSent:
    """What migrations send of guest RAM: pages of 4 KiB, each as often as it is sent."""

    full_pages: int = 0
    zero_pages: int = 0
    """Sent as the mere word that they are full of zeros."""
    unsent_pages: int = 0
    """Pages that were never sent, by any of the migrations that ran to their end."""

    @property
    def sent_bytes(self) -> int:
        """Their length in the stream."""
        return self.full_pages * FULL_PAGE_BYTES + self.zero_pages * ZERO_PAGE_BYTES

    def __add__(self, other: PagesSent) -> PagesSent:
        """Count two migrations together."""
        return PagesSent(
            full_pages=self.full_pages + other.full_pages,
            zero_pages=self.zero_pages + other.zero_pages,
            unsent_pages=self.unsent_pages + other.unsent_pages,
        )


def pages_sent(run: Replay) -> tuple[PagesSent, PagesSent]:
    """Work out what all migrations of a run send: as it is, and without its hints.

    A migration whose end is not in the trace is left out; one that failed or was cancelled counts
    with what it had sent by then.
    """
    with_hints = _pages_sent(run, np.ones(run.columns["kind"].size, np.bool_))
    served = hint_rows(run.columns)
    return with_hints, _pages_sent(run, ~served) if served.any() else with_hints


def _pages_sent(run: Replay, kept: npt.NDArray[np.bool_]) -> PagesSent:
    """Follow the migrations through the events that are kept."""
    columns = {name: values[kept] for name, values in run.columns.items()}
    outcome = run.ledger.outcome[kept]
    sent = (_follow(run, columns, outcome, migration) for migration in migrations(columns))
    return sum(sent, PagesSent())


def _follow(
    run: Replay, columns: Columns, outcome: npt.NDArray[np.int8], migration: Migration
) -> PagesSent:
    before = np.flatnonzero(columns["vm"][: migration.start] == migration.vm)
    machine = Machine(run.trace, migration.vm, run.settings)
    machine.apply(happened(columns), before)
    blocks, page_state = machine.blocks, machine.page_states
    in_memory = np.zeros(page_state.size, np.bool_)
    for first, count in blocks[:, [FIRST_PAGE, PAGE_COUNT]]:
        in_memory[first : first + count] = True
    is_zero = np.isin(page_state, (PageState.UNBACKED, PageState.ZERO_PAGE))
    state = model.new_precopy(in_memory, is_zero)
    completed = bool(columns["status"][migration.end])
    constants = model.PrecopyConstants(
        window_ns=NANOSECONDS // _WINDOWS_PER_SECOND,
        window_bytes=_BYTES_PER_SECOND // _WINDOWS_PER_SECOND,
        full_bytes=FULL_PAGE_BYTES,
        zero_bytes=ZERO_PAGE_BYTES,
        writes_hints=bool(writes_of_hints(columns, migration).any()),
    )
    model.run_precopy(_steps(columns, outcome, migration, blocks), constants, state)
    return PagesSent(
        full_pages=int(state.totals[model.FULL_PAGES]),
        zero_pages=int(state.totals[model.ZERO_PAGES]),
        unsent_pages=int((in_memory & ~state.is_sent).sum()) if completed else 0,
    )


def _steps(
    columns: Columns,
    outcome: npt.NDArray[np.int8],
    migration: Migration,
    blocks: npt.NDArray[np.int64],
) -> model.PrecopySteps:
    """Translate what happens during the migration, in pages of the page space."""
    rows = np.arange(migration.start, migration.end + 1)
    rows = rows[columns["vm"][rows] == migration.vm]
    kind, status = columns["kind"][rows], columns["status"][rows]
    step = np.full(rows.size, -1, np.int8)
    step[(kind == Kind.FAULT) & (status & FaultFlag.WRITE != 0)] = model.WRITTEN
    step[kind == Kind.HINT_RANGE] = model.HINTED
    step[outcome[rows] == Outcome.DISCARDED] = model.DISCARDED
    step[kind == Kind.BITMAP_SYNC] = model.ASKED
    step[(kind == Kind.MIGRATION_END) & (status == 1)] = model.COMPLETED
    block = columns["ram_block"][rows]
    has_place = block >= 0
    step[~has_place & (step <= model.DISCARDED)] = -1
    first_page = np.where(has_place, blocks[np.maximum(block, 0), FIRST_PAGE], 0)
    first_bytes = columns["offset_bytes"][rows]
    stop_bytes = first_bytes + columns["length_bytes"][rows]
    # QEMU rounds both ends of a hint down by themselves; a discard takes whole pages only.
    whole = step == model.DISCARDED
    first = np.where(whole, -(-first_bytes // PAGE_BYTES), first_bytes // PAGE_BYTES)
    page_count = columns["length_bytes"][rows] // PAGE_BYTES
    stop = np.where(whole, stop_bytes // PAGE_BYTES, first + page_count)
    stop = np.where(step == model.WRITTEN, first + 1, stop)
    limit = np.where(has_place, blocks[np.maximum(block, 0), PAGE_COUNT], 0)
    taken = step >= 0
    return model.PrecopySteps(
        time_ns=(columns["time_ns"][rows] - columns["time_ns"][migration.start])[taken],
        kind=step[taken],
        first=(first_page + np.minimum(first, limit))[taken],
        stop=(first_page + np.clip(stop, 0, limit))[taken],
    )
