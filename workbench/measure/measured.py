"""What the host measured: the only functions that read the `samples` of a trace.

Nothing here predicts.  A number from here is labelled `measured` wherever it is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.errors import InputError
from workbench.measure import series
from workbench.measure.dictionary import MEASURED_METRICS
from workbench.measure.names import Metrics
from workbench.measure.series import Series
from workbench.schema import UNKNOWN
from workbench.trace import require_trace
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from workbench.trace import Trace

_HOST_COUNTERS = ("swap_in_pages", "swap_out_pages", "swap_in_zero_pages", "swap_out_zero_pages")

_STOP: Final = 1 << 62
"""All machines together stay below it: for that, and for how it changes, an int64 has room."""

_NO_SAMPLES = "the trace has no samples"


def measured_series(trace: Trace, column: str, vm: int | None = None) -> Series | None:
    """Give a sampled column over time, for one machine or for all together.

    Returns
    -------
    None where there is no sample of the machine, or of one of the machines.

    Raises
    ------
    InputError
        A value cannot be: the samples are damaged.
    """
    require_trace(trace)
    samples = trace.columns("samples")
    machines = range(len(trace.manifest.virtual_machines)) if vm is None else [vm]
    parts = []
    for machine in machines:
        rows = samples["vm"] == machine
        if not rows.any():
            return None
        values = samples[column][rows]
        stop = _STOP // len(machines)
        if values.min() < UNKNOWN or values.max() >= stop:
            wrong = int(values[(values < UNKNOWN) | (values >= stop)][0])
            raise InputError(
                f"{trace.path}: samples have {column} {wrong}, expected {UNKNOWN} to {stop - 1}; "
                "they are damaged, take the trace from where it was copied"
            )
        parts.append(Series(samples["time_ns"][rows], values))
    return series.add(parts) if parts else None


def measured_metrics(trace: Trace) -> Metrics:
    """Work out the measured metrics of the dictionary, each ``{value, unit}``.

    A metric that was not measured has the value None and a `reason`.
    """
    values = _values(trace)
    result = Metrics()
    for metric in MEASURED_METRICS:
        value = values.get(metric.name)
        result[metric.name] = {"value": value, "unit": metric.unit}
        if value is None:
            reason = "the host does not count it" if values else _NO_SAMPLES
            result[metric.name]["reason"] = reason
    return result


def _values(trace: Trace) -> dict[str, float | int | None]:
    resident = measured_series(trace, "resident_bytes")
    if resident is None:
        return {}
    samples = trace.columns("samples")
    values: dict[str, float | int | None] = {
        "measured_resident_bytes_mean": series.mean(resident),
        "measured_resident_bytes_peak": int(resident.value.max()),
        "measured_resident_bytes_final": int(resident.value[-1]),
        "measured_resident_byte_seconds": series.integral(resident) / NANOSECONDS,
        "measured_capture_cpu_seconds": _growth(samples["capture_cpu_ns"]) / NANOSECONDS,
    }
    for name in _HOST_COUNTERS:
        counter = samples[name]
        counted = not (counter == UNKNOWN).any()
        values[f"measured_{name}"] = _growth(counter) if counted else None
    qemu_cpu = measured_series(trace, "qemu_cpu_ns")
    if qemu_cpu is not None:
        values["measured_qemu_cpu_seconds"] = _growth(qemu_cpu.value) / NANOSECONDS
    return values


def _growth(counter: npt.NDArray[np.int64]) -> int:
    return int(counter[-1]) - int(counter[0])


def measured_over_time(trace: Trace) -> pd.DataFrame:
    """Give the samples of guest RAM over time, one row per sample and machine.

    Returns
    -------
    Columns time_s (since the capture began), vm, measured_resident_bytes and
    measured_swapped_bytes.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    require_trace(trace)
    samples = trace.columns("samples")
    return pd.DataFrame(
        {
            "time_s": (samples["time_ns"] - trace.manifest.start_time_ns) / NANOSECONDS,
            "vm": samples["vm"],
            "measured_resident_bytes": samples["resident_bytes"],
            "measured_swapped_bytes": samples["swapped_bytes"],
        }
    )


def measured_quantity(metrics: Mapping[str, Mapping[str, object]], name: str) -> float:
    """Give a metric as a number, NaN where it was not measured: for frames only."""
    value = metrics[name]["value"]
    return float(value) if isinstance(value, int | float) else float("nan")
