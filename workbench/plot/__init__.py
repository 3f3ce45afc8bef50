"""Charts: one frame (or run) in, one matplotlib figure out.

Every chart of a replay names its trace and model, and every chart of a measured pair its two
traces.  Each carries a banner if events were lost, and measures bytes in IEC units.  No function
here opens a window or touches matplotlib's global state.
"""

from workbench.plot.chart import save
from workbench.plot.counts import io_avoided, skip_reasons
from workbench.plot.curve import swap_over_memory
from workbench.plot.guest_series import guest_series
from workbench.plot.memory import memory_reclaimed, resident_memory

__all__ = [
    "guest_series",
    "io_avoided",
    "memory_reclaimed",
    "resident_memory",
    "save",
    "skip_reasons",
    "swap_over_memory",
]
