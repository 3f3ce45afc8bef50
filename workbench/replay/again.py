"""One machine of a run, replayed once more, to look at its pages on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.model import WAS_DISCARDED, Outcome
from workbench.replay.decisions import Decisions, Happened
from workbench.replay.machine import Machine
from workbench.schema import PAGE_STATE_MASK

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay.door import Replay

_KNOWN_BITS: Final = PAGE_STATE_MASK | WAS_DISCARDED


class MachineAgain:
    """A machine as it was during a run, as far as its events were replayed again.

    Attributes
    ----------
    rows
        Of the run's events, those that are this machine's.
    blocks
        How its RAM blocks lie in the page space, as in `Constants.blocks`.
    """

    def __init__(self, run: Replay, vm: int) -> None:
        outcome = run.ledger.outcome
        # What the host answered is in the outcome: it need not be found among the events again.
        answers = (outcome == Outcome.DISCARD_FAILED).astype(np.int64)
        discarded = outcome == Outcome.DISCARDED
        decisions = Decisions(discarded, answers, int(discarded.sum()), 0)
        self._happened = Happened(run.columns, decisions)
        self._machine = Machine(run.trace, vm, run.settings)
        self._applied = 0
        self.rows = np.flatnonzero(run.columns["vm"] == vm)
        self.blocks = self._machine.blocks

    def advance(self, stop: int) -> npt.NDArray[np.intp]:
        """Replay up to the event before `rows[stop]`, and give the rows that this took."""
        rows = self.rows[self._applied : stop]
        self._machine.apply(self._happened, rows)
        self._applied = stop
        return rows

    def page_codes(self, huge_pages: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
        """Give the `page_state` of the pages of some huge pages of address space, as it is now.

        Shape (huge page, page of it).
        """
        constants, host = self._machine.constants, self._machine.host
        count, pages = host.huge_pages.shape[0], constants.huge_page_pages
        words = host.pages[: count * pages].reshape(count, pages)
        return (words[huge_pages] & np.uint16(_KNOWN_BITS)).astype(np.uint8)
