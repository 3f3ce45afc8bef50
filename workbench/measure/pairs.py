"""Measured pairs: two live captures of one scenario, with reporting on and with it off.

A pair answers what no replay of one trace can: which addresses a guest uses depends on whether it
reports.  Both halves are measurements, and two runs of one command differ too (docs/models.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from workbench.errors import UsageError
from workbench.measure import series
from workbench.measure.dictionary import BY_NAME, MEASURED_METRICS
from workbench.measure.measured import measured_metrics, measured_quantity, measured_series
from workbench.schema import CONFIG_POISON_OFFSET_BYTES, Kind
from workbench.spelling import on_one_line
from workbench.trace import require_trace
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    import pandas as pd

    from workbench.measure.metric_frame import MetricFrame
    from workbench.trace import Trace, VirtualMachine

_REPORTING_FACTS = frozenset({"reporting_order", "reporting_delay_ns", "reporting_capacity"})
"""What a guest that does not report need not agree in."""

_FREE_SETTINGS = frozenset({"reporting", "reporting_order"})
"""Settings of the lab in which the halves of a pair may differ."""

_NO_SAMPLES = "has no samples, and a measured pair consists of them"

_GRID_POINTS = 2000
"""Times of the common grid of `reclaimed_over_time`: more than a chart has pixels across."""


def reports(trace: Trace) -> bool:
    """Whether every guest of the trace ran with free page reporting."""
    machines = trace.manifest.virtual_machines
    return all(machine.device.free_page_reporting is True for machine in machines)


def never_reports(trace: Trace) -> bool:
    """Whether every guest of the trace ran without free page reporting."""
    machines = trace.manifest.virtual_machines
    return all(machine.device.free_page_reporting is False for machine in machines)


def is_pair(on: Trace, off: Trace) -> bool:
    """Whether two traces are the same scenario and settings, apart from free_page_reporting."""
    for trace in (on, off):
        require_trace(trace)
    return (
        reports(on)
        and never_reports(off)
        and on.manifest.scenario != ""
        and _setup(on) == _setup(off)
    )


def find_pair(on: Trace, traces: Iterable[Trace]) -> Trace | None:
    """Find the trace that was captured like `on`, but with reporting off."""
    return next((trace for trace in traces if is_pair(on, trace)), None)


def find_on(off: Trace, traces: Iterable[Trace]) -> Trace | None:
    """Find the trace that was captured like `off`, but with reporting on."""
    return next((trace for trace in traces if is_pair(trace, off)), None)


def _setup(trace: Trace) -> tuple[object, ...]:
    manifest = trace.manifest
    host = manifest.host
    settings = {
        name: value for name, value in manifest.lab_settings.items() if name not in _FREE_SETTINGS
    }
    return (
        manifest.scenario,
        manifest.scenario_text,
        manifest.mid_life,
        [_machine_setup(machine) for machine in manifest.virtual_machines],
        (host.kernel, host.transparent_huge_page),
        poison_values(trace),
        _steps(trace),
        # The lab brings the swap it was asked for; what else the host has is not the scenario's.
        settings if manifest.lab_settings else {"swap": str(len(host.swap) > 0)},
    )


def _steps(trace: Trace) -> list[tuple[int, int]]:
    """The scenario's steps that each machine began: a run that broke off has fewer."""
    events = trace.columns("events")
    markers = events["kind"] == Kind.MARKER
    steps = zip(events["vm"][markers].tolist(), events["status"][markers].tolist(), strict=True)
    return sorted(steps)


def poison_values(trace: Trace) -> list[int]:
    """The values other than 0 that the guests wrote to poison_val."""
    events = trace.columns("events")
    writes = events["kind"] == Kind.CONFIG_WRITE
    values = events["status"][writes & (events["offset_bytes"] == CONFIG_POISON_OFFSET_BYTES)]
    return [int(value) for value in np.unique(values[values != 0])]


def _machine_setup(machine: VirtualMachine) -> dict[str, object]:
    facts = machine.model_dump(
        include={"machine_type", "accelerator", "memory_bytes", "qemu_version"}
    )
    facts["device"] = machine.device.model_dump(exclude={"free_page_reporting"})
    facts["guest"] = machine.guest.model_dump(exclude=set(_REPORTING_FACTS))
    return facts


def measured_pair(on: Trace, off: Trace) -> MetricFrame:
    """Compare two live captures of one scenario, with reporting on and off.

    Returns
    -------
    One row per measured metric: metric, unit, reporting_on, reporting_off, saved (off minus on)
    and saved_percent_of_off.  `saved` of resident bytes is memory reclaimed; `saved` of swap
    pages is I/O avoided.

    Raises
    ------
    UsageError
        The traces differ in more than free_page_reporting.
    """
    from workbench.measure.metric_frame import MetricFrame  # noqa: PLC0415 - It imports pandas.

    _check(on, off)
    metrics_on, metrics_off = measured_metrics(on), measured_metrics(off)
    names = [metric.name for metric in MEASURED_METRICS]
    frame = MetricFrame(
        {
            "metric": names,
            "unit": [BY_NAME[name].unit for name in names],
            "reporting_on": [measured_quantity(metrics_on, name) for name in names],
            "reporting_off": [measured_quantity(metrics_off, name) for name in names],
        }
    )
    frame["saved"] = frame["reporting_off"] - frame["reporting_on"]
    off_values = frame["reporting_off"].where(frame["reporting_off"] != 0)
    frame["saved_percent_of_off"] = 100 * frame["saved"] / off_values
    frame.attrs = _pair_attributes(on, off)
    return frame


class Savings(NamedTuple):
    """What reporting saved in a measured pair, and what that is a part of."""

    resident_bytes: float
    """Guest RAM in memory on average, reporting off minus on."""
    resident_bytes_off: float
    swap_pages: int
    """Pages the whole host wrote to swap and read from it, reporting off minus on."""
    swap_pages_off: int


def savings(on: Trace, off: Trace) -> Savings:
    """Sum up a measured pair.

    Raises
    ------
    UsageError
        The traces differ in more than free_page_reporting, or one has no samples.
    """
    _check(on, off)
    resident_on, swap_on = _sums(on)
    resident_off, swap_off = _sums(off)
    return Savings(resident_off - resident_on, resident_off, swap_off - swap_on, swap_off)


def _sums(trace: Trace) -> tuple[float, int]:
    metrics = measured_metrics(trace)
    mean = metrics["measured_resident_bytes_mean"]["value"]
    swapped = [metrics[f"measured_swap_{way}_pages"]["value"] for way in ("out", "in")]
    if not isinstance(mean, float):
        raise UsageError(f"{trace.path}: {_NO_SAMPLES}")
    return mean, sum(pages for pages in swapped if isinstance(pages, int))


def reclaimed_over_time(on: Trace, off: Trace) -> pd.DataFrame:
    """Lay the two halves of a pair over each other, each from the start of its own capture.

    Returns
    -------
    Columns time_s, reporting_on_bytes, reporting_off_bytes: all machines together, as measured,
    up to the end of the shorter capture.

    Raises
    ------
    UsageError
        The traces differ in more than free_page_reporting, or one has no samples.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    _check(on, off)
    halves = {}
    for name, trace in (("reporting_on_bytes", on), ("reporting_off_bytes", off)):
        half = measured_series(trace, "resident_bytes")
        if half is None:
            raise UsageError(f"{trace.path}: {_NO_SAMPLES}")
        halves[name] = half._replace(time_ns=half.time_ns - trace.manifest.start_time_ns)
    end_ns = min(int(half.time_ns[-1]) for half in halves.values())
    grid_ns = np.linspace(0, end_ns, _GRID_POINTS).astype(np.int64)
    columns = {name: series.value_at(half, grid_ns) for name, half in halves.items()}
    frame = pd.DataFrame({"time_s": grid_ns / NANOSECONDS, **columns})
    saved = savings(on, off)
    frame.attrs = {
        **_pair_attributes(on, off),
        "saved_bytes": saved.resident_bytes,
        "saved_of_bytes": saved.resident_bytes_off,
    }
    return frame


def _check(on: Trace, off: Trace) -> None:
    if not is_pair(on, off):
        message = (
            f"{on.name} and {off.name} are no measured pair: they must be captures of one "
            "scenario, the first with reporting on, the second off, and alike in everything else"
        )
        raise UsageError(message)


def _pair_attributes(on: Trace, off: Trace) -> dict[Hashable | None, Any]:
    return {
        "title": on_one_line(on.manifest.scenario),
        "caption": on_one_line(f"measured pair: {on.name} and {off.name}, one live run each"),
        "lost_events": on.manifest.lost_events + off.manifest.lost_events,
    }
