"""Replay a trace under chosen settings, and say how right the model is and what it cannot answer.

Takes a trace and settings, gives a `Replay` with lineage and the model's own error; or samples of
a guest's free memory, and gives a `SeriesPrediction`.
"""

from typing import TYPE_CHECKING

from workbench.model import Outcome, Surprise
from workbench.replay.costs import SwapCosts, swap_costs
from workbench.replay.door import (
    Replay,
    at_samples,
    captured_facts,
    identify,
    lineage,
    lineage_of_files,
    replay,
)
from workbench.replay.event_counts import SKIPPED
from workbench.replay.every_size import Curve, curve
from workbench.replay.facts import NO_FAULTS
from workbench.replay.grid import replay_all
from workbench.replay.guest_series import (
    LINUX_REPORTING,
    Sampling,
    SeriesPrediction,
    predict_series,
    reporting_of,
)
from workbench.replay.identify import CANNOT_BE_PLACED, Identifiable, UnanswerableError, judge
from workbench.replay.in_batches import ROWS_AT_ONCE, ReplayInBatches
from workbench.replay.ledger import Ledger, pages_moved
from workbench.replay.migration import PagesSent, pages_sent
from workbench.replay.moment import moment_at
from workbench.replay.plain_requests import SwapCounts, lru_counts, lru_hits
from workbench.replay.question import choose
from workbench.replay.settings import (
    SWAP_DEVICES,
    Cost,
    Device,
    Guest,
    Host,
    Settings,
    read_settings,
)
from workbench.replay.shared_host import (
    Begun,
    GuestRequests,
    HostEvents,
    SharedHost,
    guest_requests,
)
from workbench.replay.tallies import Tallied
from workbench.replay.together import together
from workbench.replay.trace_run import LedgerInBatches
from workbench.spelling import only

__all__ = [
    "CANNOT_BE_PLACED",
    "LINUX_REPORTING",
    "NO_FAULTS",
    "ROWS_AT_ONCE",
    "SKIPPED",
    "SWAP_DEVICES",
    "Begun",
    "Cost",
    "Curve",
    "Device",
    "Guest",
    "GuestRequests",
    "Host",
    "HostEvents",
    "Identifiable",
    "Ledger",
    "LedgerInBatches",
    "Outcome",
    "PagesSent",
    "Replay",
    "ReplayInBatches",
    "Sampling",
    "SeriesPrediction",
    "Settings",
    "SharedHost",
    "Surprise",
    "SwapCosts",
    "SwapCounts",
    "Tallied",
    "UnanswerableError",
    "at_samples",
    "captured_facts",
    "choose",
    "curve",
    "guest_requests",
    "identify",
    "judge",
    "lineage",
    "lineage_of_files",
    "lru_counts",
    "lru_hits",
    "moment_at",
    "pages_moved",
    "pages_sent",
    "predict_series",
    "read_settings",
    "replay",
    "replay_all",
    "reporting_of",
    "swap_costs",
    "together",
]

if not TYPE_CHECKING:  # A type checker takes any name for right where a package has these.
    __getattr__, __dir__ = only(__name__, __all__)
