"""The trace: a folder of checked columns and one manifest.

Takes files, gives columns.  The format is written down in docs/trace-format.md.
"""

from workbench.trace.manifest import (
    BalloonProperties,
    GuestFacts,
    HostFacts,
    Manifest,
    Probe,
    RamBlock,
    VirtualMachine,
)
from workbench.trace.reader import Trace, read_trace
from workbench.trace.writer import TraceWriter

__all__ = [
    "BalloonProperties",
    "GuestFacts",
    "HostFacts",
    "Manifest",
    "Probe",
    "RamBlock",
    "Trace",
    "TraceWriter",
    "VirtualMachine",
    "read_trace",
]
