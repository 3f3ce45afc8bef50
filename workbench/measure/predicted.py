"""What a replay predicts beside what the host measured, sample by sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.measure.attributes import runs_attributes
from workbench.measure.required import require_run
from workbench.replay import at_samples
from workbench.schema import UNKNOWN
from workbench.spelling import on_one_line
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    import pandas as pd

    from workbench.replay import Replay

QUANTITIES: Final = ("resident_bytes", "swapped_bytes")
"""What is both predicted and measured."""


def predicted_against_measured(*runs: Replay) -> pd.DataFrame:
    """Lay what replays as captured say beside every sample of their traces.

    Returns
    -------
    One row per run, machine and sample: run (its number), label (the trace's name), vm, time_s
    (since the capture began), is_quiet (nothing moved pages shortly before, during or after: only
    there can both agree to the page), predicted_resident_bytes, measured_resident_bytes,
    predicted_swapped_bytes and measured_swapped_bytes (measured: missing where it was not).  In
    `attrs`, labels and model_error of each run.

    Raises
    ------
    UsageError
        A run has other settings than its capture: those nobody measured.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    for run in runs:
        require_run(run)
    parts = [
        pd.DataFrame({"run": number, "label": on_one_line(run.trace.name), "vm": vm, **columns})
        for number, run in enumerate(runs)
        for vm, columns in enumerate(_columns(run))
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame.attrs = {
        **runs_attributes(runs),
        "labels": [run.trace.name for run in runs],
        "model_error": [run.model_error for run in runs],
    }
    return frame


def _columns(run: Replay) -> list[dict[str, Any]]:
    start_ns = run.trace.manifest.start_time_ns
    machines = []
    for found in at_samples(run):
        columns: dict[str, Any] = {
            "time_s": (found.measured.time_ns - start_ns) / NANOSECONDS,
            "is_quiet": found.is_quiet,
        }
        for name in QUANTITIES:
            columns[f"predicted_{name}"] = getattr(found, name)
            measured_bytes = getattr(found.measured, name)
            is_known = measured_bytes != UNKNOWN
            columns[f"measured_{name}"] = np.where(is_known, measured_bytes, np.nan)
        machines.append(columns)
    return machines
