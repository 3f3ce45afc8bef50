"""The ledger of a whole trace: what each of its events did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from workbench.model import Outcome

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.model import Ledger as MachineLedger
    from workbench.trace.reader import Columns


_Code = TypeVar("_Code", np.int8, np.int32, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """One row per event that was replayed, in order.  Columns are read-only.

    Attributes
    ----------
    time_ns, vm, kind
        As in the events.
    outcome, surprise
        Codes of `Outcome` and `Surprise`.
    resident_delta_pages, swapped_delta_pages
        What the event changed, in pages of 4 KiB.
    freed_pages
        Host pages that became free: less than left the resident set while the huge page that held
        them survives, more when such a huge page goes at last.
    """

    time_ns: npt.NDArray[np.int64]
    vm: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int8]
    outcome: npt.NDArray[np.int8]
    surprise: npt.NDArray[np.int8]
    resident_delta_pages: npt.NDArray[np.int64]
    swapped_delta_pages: npt.NDArray[np.int64]
    freed_pages: npt.NDArray[np.int64]


def pages_moved(ledger: Ledger) -> npt.NDArray[np.int64]:
    """Give how many pages each event moved between memory and swap, if it did.

    A page that comes from swap though nobody saw it go changes nothing, and is one page.
    """
    is_in = ledger.outcome == Outcome.SWAPPED_IN
    pages: npt.NDArray[np.int64] = np.abs(ledger.resident_delta_pages)
    return np.where(is_in, np.maximum(pages, 1), pages)


def merge_ledgers(
    events: Columns, rows: list[npt.NDArray[np.intp]], ledgers: list[MachineLedger]
) -> Ledger:
    """Put the machines' ledgers into the order of the events.

    Parameters
    ----------
    rows
        For each machine: the rows of the events that are its own.
    """
    # One scattered write for all columns: to gather from where each machine's are is quicker.
    place = np.empty(events["kind"].size, np.intp)
    place[np.concatenate(rows)] = np.arange(place.size)

    def merge(name: str, dtype: type[_Code]) -> npt.NDArray[_Code]:
        column: npt.NDArray[_Code] = np.concatenate([getattr(ledger, name) for ledger in ledgers])
        return _read_only(column[place].astype(dtype, copy=False))

    return Ledger(
        time_ns=_read_only(events["time_ns"].astype(np.int64)),
        vm=_read_only(events["vm"].astype(np.int32)),
        kind=_read_only(events["kind"].astype(np.int8)),
        outcome=merge("outcome", np.int8),
        surprise=merge("surprise", np.int8),
        resident_delta_pages=merge("resident_delta_pages", np.int64),
        swapped_delta_pages=merge("swapped_delta_pages", np.int64),
        freed_pages=merge("freed_pages", np.int64),
    )


def _read_only(column: npt.NDArray[_Code]) -> npt.NDArray[_Code]:
    column.flags.writeable = False
    return column
