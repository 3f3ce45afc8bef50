"""The trace: a folder of checked columns and one manifest; and samples of a guest's free memory.

Takes files, gives columns.  The formats are written down in docs/trace-format.md and
docs/guest-series.md.
"""

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
from workbench.trace.qemu_events import LOG_ARGUMENTS
from workbench.trace.reader import Trace, read_trace
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
    "read_trace",
    "registers_at_start",
    "repair_trace",
    "require_memory",
    "write_guest_series",
    "write_slice",
]
