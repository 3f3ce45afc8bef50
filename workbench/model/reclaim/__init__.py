"""The host's memory: what stays, what goes to swap, and what comes back."""

from workbench.model.reclaim.columns import (
    ACTIVE,
    INACTIVE,
    LEAST_RECENT,
    LIMIT_PAGES,
    LIST_PAGES,
    READ_AHEAD_PAGES,
    ROW,
    SLOTS_USED,
    TWO_LISTS,
    UNMET_PAGES,
    Memory,
    Moves,
    ReclaimConstants,
    ReclaimState,
    Requests,
)
from workbench.model.reclaim.lists import new_moves, new_reclaim, written_moves
from workbench.model.reclaim.run import begin_lists, run_requests
from workbench.model.reclaim.scan import SWAP_CLUSTER_PAGES
from workbench.model.reclaim.tally import MOVES_AT_ONCE, Served, run_served_tally
from workbench.model.reclaim.touch import held_pages

__all__ = [
    "ACTIVE",
    "INACTIVE",
    "LEAST_RECENT",
    "LIMIT_PAGES",
    "LIST_PAGES",
    "MOVES_AT_ONCE",
    "READ_AHEAD_PAGES",
    "ROW",
    "SLOTS_USED",
    "SWAP_CLUSTER_PAGES",
    "TWO_LISTS",
    "UNMET_PAGES",
    "Memory",
    "Moves",
    "ReclaimConstants",
    "ReclaimState",
    "Requests",
    "Served",
    "begin_lists",
    "held_pages",
    "new_moves",
    "new_reclaim",
    "run_requests",
    "run_served_tally",
    "written_moves",
]
