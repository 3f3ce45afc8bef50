"""The rules of the device, each with an id, so that a run can count which of them it exercised.

The sections are named in docs/conformance.md.
"""

from __future__ import annotations

from typing import Final

from workbench.model.balloon.rules.balloon import *  # noqa: F403 - one name for all rules.
from workbench.model.balloon.rules.hints import *  # noqa: F403
from workbench.model.balloon.rules.interface import *  # noqa: F403
from workbench.model.balloon.rules.migration import *  # noqa: F403
from workbench.model.balloon.rules.registers import *  # noqa: F403
from workbench.model.balloon.rules.reports import *  # noqa: F403
from workbench.model.balloon.rules.rings import *  # noqa: F403
from workbench.model.balloon.rules.rule import RULES as RULES
from workbench.model.balloon.rules.rule import Rule as Rule
from workbench.model.balloon.rules.rule import Tally as Tally

UNPROVED: Final = (
    "The levels v22 and 5.1: no binary is at hand; they are tested against tables only.",
    "Inhibitors that need hardware: VFIO, vDPA, SEV, RDMA.",
    "Targets of big-endian order or with pages other than 4 KiB.",
    "Transports other than PCI (MMIO, CCW), MSI-X, and hot-unplug.",
    "Discards that fail for other reasons than locked memory.",
    "Memory of 1 GiB pages.",
    "The device's own registers as its memory, other than in a kick that it serves at once.",
    "Several command ids in one migration: here its second bitmap sync finds the VM stopped.",
    "The interrupts of the hint worker's turns that return nothing: nobody could say how many.",
)
"""What the model says without ground truth here."""
