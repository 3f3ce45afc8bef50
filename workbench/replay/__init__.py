"""Replay a trace under chosen settings, and say how right the model is and what it cannot answer.

Takes a trace and settings, gives a `Replay` with lineage and the model's own error.
"""

from workbench.model import Outcome, Surprise
from workbench.replay.door import SKIPPED, Replay, captured_facts, identify, lineage, replay
from workbench.replay.identify import Identifiable, UnanswerableError, judge
from workbench.replay.ledger import Ledger
from workbench.replay.settings import Device, Guest, Settings, read_settings

__all__ = [
    "SKIPPED",
    "Device",
    "Guest",
    "Identifiable",
    "Ledger",
    "Outcome",
    "Replay",
    "Settings",
    "Surprise",
    "UnanswerableError",
    "captured_facts",
    "identify",
    "judge",
    "lineage",
    "read_settings",
    "replay",
]
