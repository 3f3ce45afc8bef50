"""The trace: a folder of checked columns and one manifest; and samples of a guest's free memory.

Takes files, gives columns.  The formats are written down in docs/trace-format.md and
docs/guest-series.md.
"""

from typing import TYPE_CHECKING

from workbench.spelling import only
from workbench.trace.anonymize import anonymize_trace
from workbench.trace.guest_series import (
    GuestSeries,
    Reporting,
    read_guest_series,
    write_guest_series,
)
from workbench.trace.manifest import (
    BalloonProperties,
    GuestFacts,
    HostFacts,
    Manifest,
    NotCaptured,
    Probe,
    QueueIndices,
    RamBlock,
    VirtualMachine,
)
from workbench.trace.monitoring import read_monitoring
from workbench.trace.qemu_events import LOG_ARGUMENTS
from workbench.trace.reader import Trace, read_trace, require_trace
from workbench.trace.repair import Dropped, Repair, repair_trace
from workbench.trace.room import require_memory
from workbench.trace.slicing import Moment, Part, Registers, registers_at_start, write_slice
from workbench.trace.writer import TraceWriter

__all__ = [
    "LOG_ARGUMENTS",
    "BalloonProperties",
    "Dropped",
    "GuestFacts",
    "GuestSeries",
    "HostFacts",
    "Manifest",
    "Moment",
    "NotCaptured",
    "Part",
    "Probe",
    "QueueIndices",
    "RamBlock",
    "Registers",
    "Repair",
    "Reporting",
    "Trace",
    "TraceWriter",
    "VirtualMachine",
    "anonymize_trace",
    "read_guest_series",
    "read_monitoring",
    "read_trace",
    "registers_at_start",
    "repair_trace",
    "require_memory",
    "require_trace",
    "write_guest_series",
    "write_slice",
]

if not TYPE_CHECKING:  # A type checker takes any name for right where a package has these.
    __getattr__, __dir__ = only(__name__, __all__)
