"""Charts: one frame (or run) in, one matplotlib figure out.

Every chart of a replay names its trace and model, and every chart of a measured pair its two
traces.  Each carries a banner if events were lost, and measures bytes in IEC units.  No function
here opens a window or touches matplotlib's global state.
"""

from typing import TYPE_CHECKING

from workbench.plot.address_map import address_map
from workbench.plot.both_sides import both_sides
from workbench.plot.capacity import guests_against_risk, memory_of_many
from workbench.plot.chart import save, theme
from workbench.plot.counts import io_avoided, skip_reasons
from workbench.plot.curve import io_avoided_over_memory, swap_over_memory
from workbench.plot.drain import drain
from workbench.plot.guest_series import guest_series
from workbench.plot.matters import drain_times, sensitivity
from workbench.plot.memory import memory_reclaimed, resident_memory
from workbench.plot.predicted import predicted_against_measured
from workbench.plot.refaults import refaults_over_time
from workbench.plot.report_sizes import report_sizes
from workbench.plot.setting_matrix import setting_matrix
from workbench.spelling import only

__all__ = [
    "address_map",
    "both_sides",
    "drain",
    "drain_times",
    "guest_series",
    "guests_against_risk",
    "io_avoided",
    "io_avoided_over_memory",
    "memory_of_many",
    "memory_reclaimed",
    "predicted_against_measured",
    "refaults_over_time",
    "report_sizes",
    "resident_memory",
    "save",
    "sensitivity",
    "setting_matrix",
    "skip_reasons",
    "swap_over_memory",
    "theme",
]

if not TYPE_CHECKING:  # A type checker takes any name for right where a package has these.
    __getattr__, __dir__ = only(__name__, __all__)
