"""The events of a guest as it would have run, written down as they happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.model.compiled import kernel
from workbench.model.guest.columns import ELEMENT, NOW_NS, ROW, Placed
from workbench.schema import NO_ELEMENT, Kind

if TYPE_CHECKING:
    from workbench.model.guest.columns import GuestState


REPORT: Final = int(Kind.REPORT)


def new_placed(row_count: int) -> Placed:
    """Make room for that many events."""
    return Placed(
        time_ns=np.zeros(row_count, np.int64),
        kind=np.zeros(row_count, np.int8),
        page=np.zeros(row_count, np.int64),
        page_count=np.zeros(row_count, np.int64),
        element=np.zeros(row_count, np.int64),
        writes=np.zeros(row_count, np.bool_),
    )


@kernel
def write_event(kind: int, page: int, page_count: int, guest: GuestState, placed: Placed) -> None:
    """Write an event down if there is room, and count it; a report belongs to an element."""
    row = guest.worker[ROW]
    guest.worker[ROW] = row + 1
    if row < placed.kind.size:
        placed.time_ns[row] = guest.worker[NOW_NS]
        placed.kind[row] = kind
        placed.page[row] = page
        placed.page_count[row] = page_count
        placed.element[row] = guest.worker[ELEMENT] if kind == REPORT else NO_ELEMENT


@kernel
def write_touch(
    kind: int,
    page: int,
    writes: int,
    guest: GuestState,
    placed: Placed,
) -> None:
    """Write down that the guest faults on a page, accesses or frees it; 1 if it writes."""
    row = guest.worker[ROW]
    write_event(kind, page, 1, guest, placed)
    if row < placed.kind.size:
        placed.writes[row] = writes
