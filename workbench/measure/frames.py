"""Frames for notebooks and charts: one question a function, units in the column names."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from workbench.errors import UsageError
from workbench.measure.attributes import run_attributes, run_label, runs_attributes
from workbench.measure.dictionary import BY_NAME, METRICS, SKIP_REASONS
from workbench.measure.measured import measured_over_time
from workbench.measure.metrics import metrics
from workbench.measure.required import require_run
from workbench.measure.residency import machine_indexes, resident_series, swapped_series
from workbench.measure.series import add, value_at
from workbench.replay import Replay
from workbench.spelling import suggestion
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    import pandas as pd

    from workbench.measure.metric_frame import MetricFrame


MemorySource: TypeAlias = "Replay | pd.DataFrame"
"""A run, or the frame `memory_over_time` makes of it."""


def memory_frame(source: MemorySource) -> pd.DataFrame:
    """Give the frame of a source that may be a run or a frame already."""
    return memory_over_time(source) if isinstance(source, Replay) else source


def measured_frame(source: MemorySource) -> pd.DataFrame | None:
    """Give the measurement that belongs to a source, if it is a run."""
    return measured_over_time(source.trace) if isinstance(source, Replay) else None


def memory_over_time(run: Replay) -> pd.DataFrame:
    """Say how much guest RAM is where, as the replay predicts it.

    Returns
    -------
    One row per machine and time of change: time_s (since the capture began), vm, resident_bytes,
    swapped_bytes.  Values hold until the machine's next row.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    require_run(run)
    start_ns = run.trace.manifest.start_time_ns
    parts = []
    for vm in machine_indexes(run):
        resident, swapped = resident_series(run, vm), swapped_series(run, vm)
        time_ns = add((resident, swapped)).time_ns
        columns = {
            "time_s": (time_ns - start_ns) / NANOSECONDS,
            "vm": np.full(time_ns.size, vm),
            "resident_bytes": value_at(resident, time_ns),
            "swapped_bytes": value_at(swapped, time_ns),
        }
        parts.append(pd.DataFrame(columns))
    frame = pd.concat(parts, ignore_index=True)
    frame.attrs = run_attributes(run)
    return frame


def metric_table(run: Replay, *names: str) -> MetricFrame:
    """Say what these metrics are; `BY_NAME` says what they mean.

    Parameters
    ----------
    names
        Metrics of the dictionary; all of them if none is named.

    Returns
    -------
    One row per metric that has a value: metric, unit, value.

    Raises
    ------
    UsageError
        There is no such metric; the message has the closest.
    """
    from workbench.measure.metric_frame import MetricFrame  # noqa: PLC0415 - It imports pandas.

    values = _values(run)
    for name in names:
        if name not in BY_NAME:
            raise UsageError(f"there is no metric {name!r}{suggestion(name, BY_NAME)}")
    shown = [name for name in names or values if name in values]
    frame = MetricFrame(
        {
            "metric": shown,
            "unit": [BY_NAME[name].unit for name in shown],
            "value": [values[name] for name in shown],
        }
    )
    frame.attrs = run_attributes(run)
    return frame


def compare(run: Replay, other: Replay) -> MetricFrame:
    """Say what other settings change.

    Returns
    -------
    One row per metric of the dictionary that both runs have: metric, unit, one column per run
    named by its settings, difference (the second minus the first), difference_percent_of_NAME
    (of the first run's value) and better (which way is an improvement).  In a notebook its numbers
    are shown in their units, without the rows that are 0 throughout; `readable` gives that as text.

    Examples
    --------
    >>> import workbench as wb
    >>> trace = wb.read_trace("traces/churn-on.trace")
    >>> poisoned = wb.replay(trace, guest=wb.Guest(poison_val=0xAAAAAAAA))
    >>> found = wb.compare(wb.replay(trace), poisoned).set_index("metric")
    >>> int(found.loc["resident_bytes_final", "difference"]) // 2**20
    394
    """
    from workbench.measure.metric_frame import MetricFrame  # noqa: PLC0415 - It imports pandas.

    for each in (run, other):
        require_run(each)
    name, other_name = run.settings.label, other.settings.label
    if run.trace.digest != other.trace.digest:
        name, other_name = f"{run.trace.name}: {name}", f"{other.trace.name}: {other_name}"
    if name == other_name:
        other_name = f"{other_name} (again)"
    values, other_values = _values(run), _values(other)
    shared = [metric for metric in METRICS if metric.name in values and metric.name in other_values]
    frame = MetricFrame(
        {
            "metric": [metric.name for metric in shared],
            "unit": [metric.unit for metric in shared],
            name: [values[metric.name] for metric in shared],
            other_name: [other_values[metric.name] for metric in shared],
        }
    )
    frame["difference"] = frame[other_name] - frame[name]
    base = frame[name].where(frame[name] != 0)
    frame[f"difference_percent_of_{name}"] = 100 * frame["difference"] / base
    frame["better"] = [metric.better.value for metric in shared]
    frame.attrs = run_attributes(run)
    return frame


def report_outcomes(*runs: Replay) -> pd.DataFrame:
    """Say what became of the reported ranges, and why.

    Returns
    -------
    One row per run: label, then the number of ranges discarded, refused by the host, and skipped
    for each reason.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    rows = []
    for run in runs:
        found = metrics(run)
        counts = {
            f"skipped_{name}_ranges": found[f"skipped_{name}"]["value"] for name in SKIP_REASONS
        }
        rows.append(
            {
                "label": run_label(run),
                "discarded_ranges": found["discards"]["value"],
                "discard_failed_ranges": found["discards_failed"]["value"],
                **counts,
            }
        )
    frame = pd.DataFrame(rows)
    frame.attrs = runs_attributes(runs)
    return frame


def _values(run: Replay) -> dict[str, float | int]:
    found = metrics(run)
    return {
        name: entry["value"]
        for name, entry in found.items()
        if isinstance(entry["value"], int | float)
    }
