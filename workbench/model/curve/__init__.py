"""Every memory size at once: what hosts of each size would read from swap and write to it."""

from workbench.model.curve.columns import (
    IN_SWAP,
    READS,
    SLOT,
    WRITES,
    Rules,
    Stack,
    Tally,
    Uses,
    new_stack,
    new_tally,
)
from workbench.model.curve.one_size import HITS, count_hits
from workbench.model.curve.run import count_final_writes, run_uses

__all__ = [
    "HITS",
    "IN_SWAP",
    "READS",
    "SLOT",
    "WRITES",
    "Rules",
    "Stack",
    "Tally",
    "Uses",
    "count_final_writes",
    "count_hits",
    "new_stack",
    "new_tally",
    "run_uses",
]
