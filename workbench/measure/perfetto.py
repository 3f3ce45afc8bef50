"""Export a trace, and its replay as captured, for ui.perfetto.dev.

A process for the host and one for each guest.  Of a guest: counters of resident, swapped and free
memory, as sampled and as replayed; how often it faults and swaps; elements of the reporting queue
with their discards, the balloon, hints and migrations, the scenario's steps, and what the driver
wrote, each as slices or instants of a track.  Of the host: free memory, and the rate of swapping.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench import __version__
from workbench.measure.perfetto_counters import (
    Buckets,
    Counters,
    Rates,
    Replayed,
    export_guest_samples,
    export_samples,
)
from workbench.measure.perfetto_slices import TRACKS, Slices
from workbench.measure.trace_events import trace_events
from workbench.replay import ROWS_AT_ONCE, LedgerInBatches
from workbench.schema import EVENTS, GUEST_SAMPLES, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from workbench.measure.trace_events import TraceEvents
    from workbench.trace import Trace

HOST: Final = 1
"""The process that stands for the host; guest `vm` is process `vm + FIRST_GUEST`."""

FIRST_GUEST: Final = 2

BUCKETS_MAX: Final = 20_000
SHORTEST_BUCKET_NS: Final = 1_000_000
"""Counters of the replay have a value for each of so many parts of the trace, and not for every
event: a screen is a few thousand pixels wide."""


def export_perfetto(
    trace: Trace,
    path: Path,
    *,
    row_count: int = ROWS_AT_ONCE,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Write `path`, as JSON, or compressed if its name ends in .gz.

    Parameters
    ----------
    row_count
        Events at a time.  What is shown does not depend on it.
    progress
        Called with the number of events that were written since the last call.

    Raises
    ------
    UsageError
        `path` is there already.
    InputError
        The trace is damaged.
    HostError
        There is no room, or no such folder.
    """
    manifest = trace.manifest
    origin_ns = _origin_ns(trace)
    about = {
        "trace": trace.name,
        "made_by": f"balloon workbench {__version__}, export perfetto",
        "clock": manifest.clock,
        "begins_at_ns": str(origin_ns),
        "command": manifest.command,
        "scenario": manifest.scenario_text,
    }
    with trace_events(path, about) as file:
        _name_tracks(file, trace)
        places = {"host": HOST, "first_guest": FIRST_GUEST}
        export_samples(file, trace, origin_ns, **places)
        export_guest_samples(file, trace, origin_ns, first_guest=FIRST_GUEST)
        _export_events(file, LedgerInBatches(trace, row_count, progress), origin_ns)


def _origin_ns(trace: Trace) -> int:
    """The time that is shown as 0: what was drained first may be older than the manifest says."""
    times = [trace.manifest.start_time_ns]
    for name in (EVENTS.name, SAMPLES.name, GUEST_SAMPLES.name):
        first = next(iter(trace.batches(name, ["time_ns"], row_count=1)), None)
        if first is not None:
            times.append(int(first["time_ns"][0]))
    return min(times)


def _name_tracks(file: TraceEvents, trace: Trace) -> None:
    file.process(HOST, "host")
    for vm, machine in enumerate(trace.manifest.virtual_machines):
        file.process(FIRST_GUEST + vm, f"guest {machine.name}")
        for thread, name in TRACKS.items():
            file.thread(FIRST_GUEST + vm, thread, name)


def _export_events(file: TraceEvents, run: LedgerInBatches, origin_ns: int) -> None:
    manifest = run.trace.manifest
    span_ns = manifest.start_time_ns + manifest.duration_ns - origin_ns
    buckets = Buckets(origin_ns, max(SHORTEST_BUCKET_NS, -(-span_ns // BUCKETS_MAX)))
    guests = range(len(manifest.virtual_machines))
    slices = [Slices(file, FIRST_GUEST + vm, vm, origin_ns) for vm in guests]
    counters = [_counters(file, run, vm, buckets) for vm in guests if manifest.saw_faults]
    stop_ns = manifest.start_time_ns + manifest.duration_ns
    for columns, ledger in run.batches():
        for vm in guests:
            slices[vm].add(columns, ledger)
        for each in counters:
            each.add(ledger)
        if ledger.time_ns.size:
            stop_ns = max(stop_ns, int(ledger.time_ns[-1]))
    for vm in guests:
        slices[vm].finish(stop_ns)
    for each in counters:
        each.finish()


def _counters(file: TraceEvents, run: LedgerInBatches, vm: int, buckets: Buckets) -> Counters:
    process = FIRST_GUEST + vm
    resident = Replayed(file, process, "resident", buckets, int(run.initial_resident_pages[vm]))
    swapped = Replayed(file, process, "swapped", buckets, int(run.initial_swapped_pages[vm]))
    resident.begin()
    swapped.begin()
    return Counters(vm, resident, swapped, Rates(file, process, buckets))
