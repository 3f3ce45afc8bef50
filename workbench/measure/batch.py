"""Some rows of a replay that follow each other, and what occurs in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.replay import Outcome
from workbench.schema import Kind

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay import Ledger
    from workbench.trace.reader import Columns

_OUTCOME_BITS: Final = max(Outcome).bit_length()
_KIND_COUNT: Final = max(Kind) + 1


class Batch(NamedTuple):
    """Rows of a replay: columns and ledger, and how often each kind came to each outcome.

    Attributes
    ----------
    code
        Kind and outcome of each row, as one number.
    occurrences
        Rows of each kind and outcome.  Shape (kind, outcome).
    """

    columns: Columns
    ledger: Ledger
    code: npt.NDArray[np.int16]
    occurrences: npt.NDArray[np.int64]

    def count(
        self, kind: Kind | slice = slice(None), outcome: Outcome | slice = slice(None)
    ) -> int:
        """Count the rows of a kind, of an outcome, or of both."""
        return int(self.occurrences[kind, outcome].sum())

    def rows(self, kind: Kind, outcome: Outcome) -> npt.NDArray[np.intp]:
        """Give the numbers of the rows of this kind that came to this outcome."""
        return np.flatnonzero(self.code == (kind << _OUTCOME_BITS | outcome))


def batch_of(columns: Columns, ledger: Ledger) -> Batch:
    """Look at each row's kind and outcome, once."""
    code = ledger.kind.astype(np.int16)
    code <<= _OUTCOME_BITS
    code |= ledger.outcome
    counts = np.bincount(code, minlength=_KIND_COUNT << _OUTCOME_BITS)
    return Batch(columns, ledger, code, counts.reshape(_KIND_COUNT, 1 << _OUTCOME_BITS))
