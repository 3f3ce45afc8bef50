"""The trace: a folder of checked columns and one manifest; and samples of a guest's free memory.

Takes files, gives columns.  The formats are written down in docs/trace-format.md and
docs/guest-series.md.
"""

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
from workbench.trace.writer import TraceWriter

__all__ = [
    "LOG_ARGUMENTS",
    "BalloonProperties",
    "GuestFacts",
    "GuestSeries",
    "HostFacts",
    "Manifest",
    "NotCaptured",
    "Probe",
    "QueueIndices",
    "RamBlock",
    "Reporting",
    "Trace",
    "TraceWriter",
    "VirtualMachine",
    "read_guest_series",
    "read_trace",
    "write_guest_series",
]
