"""What a pre-copy migration sends of memory, page by page, and when it comes to a page.

QEMU marks every page at first, sends the marked ones in the order of memory and unmarks them.  A
hint unmarks pages that were not sent yet.  Pages that were written are marked again when QEMU asks
which those are, and at the end everything marked is sent.

Source: QEMU 7.2 migration/ram.c (ram_list_init_bitmaps, migration_bitmap_sync, save_zero_page,
ram_find_and_save_block, qemu_guest_free_page_hint), migration/migration.c (migration_rate_limit,
migration_completion).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.model.compiled import kernel

if TYPE_CHECKING:
    from workbench.model.columns import BoolArray, Int8Array, Int64Array

WRITTEN: Final = 0
"""The guest wrote the pages."""
HINTED: Final = 1
"""The guest said that the pages need not be sent."""
DISCARDED: Final = 2
"""The host took the pages: they read as zeros, and that is no write."""
ASKED: Final = 3
"""QEMU asked which pages were written."""
COMPLETED: Final = 4
"""QEMU asked for the last time, and sent what was left."""

FULL_PAGES: Final = 0
ZERO_PAGES: Final = 1
MARKED_PAGES: Final = 2
NEXT_PAGE: Final = 3
WINDOW: Final = 4
WINDOW_BYTES: Final = 5
"""Index into the totals: sent in full and as zeros, still marked, where to look next, the interval
of the limit, and what was sent in it."""


class PrecopySteps(NamedTuple):
    """What happens while a migration runs, in order.  Columns of shape (step,)."""

    time_ns: Int64Array
    """Since the migration began."""
    kind: Int8Array
    first: Int64Array
    stop: Int64Array
    """The pages [first, stop) that it is about; none for ASKED and COMPLETED."""


class PrecopyConstants(NamedTuple):
    """Numbers that a migration does not change."""

    window_ns: int
    window_bytes: int
    """In each interval QEMU sends until it has sent so much, and then waits for the next."""
    full_bytes: int
    zero_bytes: int
    """What a page takes in the stream."""
    writes_hints: bool
    """Whether the guest clears the pages that it takes out of use in order to hint them."""


class PrecopyState(NamedTuple):
    """How far a migration is.  Columns of shape (page,)."""

    is_marked: BoolArray
    is_written: BoolArray
    """Whether the page was written since QEMU asked last."""
    is_zero: BoolArray
    is_sent: BoolArray
    """Whether the page was sent at all."""
    totals: Int64Array


def new_precopy(in_memory: BoolArray, is_zero: BoolArray) -> PrecopyState:
    """Begin a migration.

    Parameters
    ----------
    in_memory, is_zero
        Which pages of the page space the machine has, and which of them read as zeros.
    """
    totals = np.zeros(6, np.int64)
    totals[MARKED_PAGES] = in_memory.sum()
    return PrecopyState(
        is_marked=in_memory.copy(),
        is_written=np.zeros(in_memory.size, np.bool_),
        is_zero=is_zero.copy(),
        is_sent=np.zeros(in_memory.size, np.bool_),
        totals=totals,
    )


@kernel
def send_next_page(constants: PrecopyConstants, state: PrecopyState) -> None:
    """Send the next marked page; there must be one."""
    totals = state.totals
    page = totals[NEXT_PAGE]
    while not state.is_marked[page]:
        page = (page + 1) % state.is_marked.size
    state.is_marked[page] = False
    state.is_sent[page] = True
    totals[MARKED_PAGES] -= 1
    totals[NEXT_PAGE] = (page + 1) % state.is_marked.size
    if state.is_zero[page]:
        totals[ZERO_PAGES] += 1
        totals[WINDOW_BYTES] += constants.zero_bytes
    else:
        totals[FULL_PAGES] += 1
        totals[WINDOW_BYTES] += constants.full_bytes


@kernel
def send_until(time_ns: int, constants: PrecopyConstants, state: PrecopyState) -> None:
    """Send what the limit allows until `time_ns`.

    Sending itself takes no time: what an interval allows is sent when it begins.
    """
    totals = state.totals
    window = time_ns // constants.window_ns
    for number in range(totals[WINDOW], window + 1):
        if number > totals[WINDOW]:
            totals[WINDOW] = number
            totals[WINDOW_BYTES] = 0
        while totals[WINDOW_BYTES] < constants.window_bytes and totals[MARKED_PAGES] > 0:
            send_next_page(constants, state)


@kernel
def unmark_pages(first: int, stop: int, constants: PrecopyConstants, state: PrecopyState) -> None:
    """Take a hint.  A guest that clears what it takes has written the pages just before."""
    for page in range(first, stop):
        if state.is_marked[page]:
            state.is_marked[page] = False
            state.totals[MARKED_PAGES] -= 1
        if constants.writes_hints:
            state.is_written[page] = True
            state.is_zero[page] = True


@kernel
def mark_written_pages(state: PrecopyState) -> None:
    """Mark what was written since QEMU asked last."""
    for page in range(state.is_marked.size):
        if state.is_written[page]:
            state.is_written[page] = False
            if not state.is_marked[page]:
                state.is_marked[page] = True
                state.totals[MARKED_PAGES] += 1


@kernel
def run_precopy(steps: PrecopySteps, constants: PrecopyConstants, state: PrecopyState) -> None:
    """Let a migration send until its last step."""
    for row in range(steps.kind.size):
        kind, first, stop = steps.kind[row], steps.first[row], steps.stop[row]
        send_until(steps.time_ns[row], constants, state)
        if kind == WRITTEN:
            state.is_written[first:stop] = True
            state.is_zero[first:stop] = False
        elif kind == HINTED:
            unmark_pages(first, stop, constants, state)
        elif kind == DISCARDED:
            state.is_zero[first:stop] = True
        elif kind == ASKED:
            mark_written_pages(state)
        else:  # COMPLETED
            mark_written_pages(state)
            while state.totals[MARKED_PAGES] > 0:
                send_next_page(constants, state)
