"""Several traces as one: their guests on one host, each begun at a time of its own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

import workbench
from workbench.errors import UsageError
from workbench.replay.facts import swaps_to_zram
from workbench.replay.limits import linux_version
from workbench.schema import EVENTS, SCHEMA_VERSION, TABLES
from workbench.spelling import on_one_line
from workbench.trace import Trace, require_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from workbench.trace import Manifest, VirtualMachine
    from workbench.trace.reader import Columns

_Value = TypeVar("_Value")

_STOP_NS: Final = 2**62
"""No time of a trace is as late (docs/trace-format.md)."""

_NAMES_SHOWN: Final = 3
"""More traces than that are named by their number."""

_OF_HOSTS: Final[Mapping[str, Callable[[Trace], object]]] = {
    "Linux": lambda trace: ".".join(map(str, linux_version(trace.manifest.host.kernel))),
    "transparent_huge_page": lambda trace: trace.manifest.host.transparent_huge_page,
    "frees_empty_page_tables": lambda trace: trace.manifest.host.frees_empty_page_tables,
    "page_cluster": lambda trace: trace.manifest.host.page_cluster,
    "swap on zram": swaps_to_zram,
}
"""What the model of a host takes from a manifest: one host has one of each."""

_OF_CAPTURES: Final[Mapping[str, Callable[[Trace], object]]] = {
    "mid_life": lambda trace: trace.manifest.mid_life,
    "access_interval_ns": lambda trace: trace.manifest.access_interval_ns,
}
"""What a trace says once, of all of its guests."""


def together(traces: Sequence[Trace], shifts_ns: Sequence[int]) -> Trace:
    """Make one trace of several, as if their guests had been on one host.

    Parameters
    ----------
    traces
        The same may be there more than once: each time it is another guest that does the same.
    shifts_ns
        When each begins, in nanoseconds since the new trace does.  One per trace.

    Returns
    -------
    A trace in memory, whose time counts from 0.  It has no samples: nobody measured it.  A guest
    has what its trace began with from the start on, and keeps what it ended with.

    Raises
    ------
    UsageError
        There is no trace, or not one shift for each; a shift is below 0 or far beyond any clock;
        or the traces are of hosts that are not alike, or were captured in different ways.
    InputError
        A trace is damaged.

    Examples
    --------
    >>> import workbench as wb
    >>> from workbench.replay import Host, together
    >>> trace = wb.read_trace("traces/churn-on.trace")
    >>> two = together([trace, trace], [0, 20_000_000_000])
    >>> two.event_count
    2138
    >>> metrics = wb.measure.metrics(wb.replay(two, host=Host(memory_bytes="512M")))
    >>> metrics["swap_out_pages"]["value"] > 0
    True

    Notes
    -----
    Cost: a copy and a sort of all events.  Every guest is then placed anew by itself where
    settings ask for that; for many guests of few traces, `SharedHost` does so once per trace.
    """
    _refuse_unlike(traces, {**_OF_HOSTS, **_OF_CAPTURES})
    empty = machines_together(traces, shifts_ns)
    events = _joined(traces, EVENTS.name)
    lengths = [trace.event_count for trace in traces]
    starts = [trace.manifest.start_time_ns for trace in traces]
    events["time_ns"] = events["time_ns"] + np.repeat(np.subtract(shifts_ns, starts), lengths)
    by_time = np.argsort(events["time_ns"], kind="stable")
    events = {name: values[by_time] for name, values in events.items()}
    events["sequence"] = np.arange(by_time.size, dtype=events["sequence"].dtype)
    tables = {name: empty.columns(name) for name in TABLES} | {EVENTS.name: events}
    return Trace(empty.path, empty.manifest, tables)


def machines_together(traces: Sequence[Trace], shifts_ns: Sequence[int]) -> Trace:
    """Make the same of them without an event: their machines, and what these began with.

    Raises
    ------
    UsageError
        As for `together`, but for how they were captured.
    InputError
        A trace is damaged.
    """
    for trace in traces:
        require_trace(trace)
    _refuse_wrong_shifts(traces, shifts_ns)
    _refuse_unlike(traces, _OF_HOSTS)
    tables: dict[str, Columns] = {
        name: {column.name: np.zeros(0, column.dtype) for column in table.columns}
        for name, table in TABLES.items()
    }
    tables["state"] = _joined(traces, "state")
    return Trace(Path(f"{_name(traces)}.trace"), _manifest(traces, shifts_ns), tables)


def _refuse_wrong_shifts(traces: Sequence[Trace], shifts_ns: Sequence[int]) -> None:
    if not traces:
        raise UsageError("no trace is given, expected one or more to put together")
    if len(shifts_ns) != len(traces):
        raise UsageError(
            f"{len(shifts_ns)} shifts are given for {len(traces)} traces, expected one for each"
        )
    for trace, shift_ns in zip(traces, shifts_ns, strict=True):
        if not 0 <= shift_ns < _STOP_NS - trace.manifest.duration_ns:
            raise UsageError(
                f"{trace.name} is shifted by {shift_ns} ns, expected 0 or more, and an end within "
                "what a trace can tell of time (2**62 ns)"
            )


def _refuse_unlike(
    traces: Sequence[Trace], looked_at: Mapping[str, Callable[[Trace], object]]
) -> None:
    for name, look in looked_at.items():
        for trace in traces[1:]:
            first, found = (on_one_line(str(look(each))) for each in (traces[0], trace))
            if found != first:
                raise UsageError(
                    f"{trace.name} has {name} {found}, {traces[0].name} has {first}: one host "
                    "has one; put traces together that were captured on hosts alike, in one way"
                )


def _name(traces: Sequence[Trace]) -> str:
    counts = Counter(trace.name for trace in traces)
    if len(counts) > _NAMES_SHOWN:
        return f"{len(traces)} traces"
    return " + ".join(f"{count} x {name}" if count > 1 else name for name, count in counts.items())


def _joined(traces: Sequence[Trace], table_name: str) -> Columns:
    """Put the rows of a table behind each other, with machines numbered anew."""
    parts = [trace.columns(table_name) for trace in traces]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    machines = [len(trace.manifest.virtual_machines) for trace in traces]
    before = np.repeat(np.cumsum(machines) - machines, [part["vm"].size for part in parts])
    joined["vm"] = (joined["vm"] + before).astype(joined["vm"].dtype)
    return joined


def _manifest(traces: Sequence[Trace], shifts_ns: Sequence[int]) -> Manifest:
    manifests = [trace.manifest for trace in traces]
    moved = list(zip(manifests, shifts_ns, strict=True))
    lowered = [_moved(each.lowered_time_ns, each, shift_ns) for each, shift_ns in moved]
    swap = dict.fromkeys(name for each in manifests for name in each.host.swap)
    return manifests[0].model_copy(
        update={
            "schema_version": SCHEMA_VERSION,
            "tool_version": workbench.__version__,
            "command": f"{len(traces)} traces together",
            "scenario": _same([each.scenario for each in manifests]) or "",
            "scenario_text": _same([each.scenario_text for each in manifests]) or "",
            "lab_settings": {},
            "created": min(each.created for each in manifests),
            "start_time_ns": 0,
            "duration_ns": max(each.duration_ns + shift_ns for each, shift_ns in moved),
            "complete": all(each.complete for each in manifests),
            "mid_life": any(each.mid_life for each in manifests),
            "lowered_time_ns": min((at for at in lowered if at is not None), default=None),
            "access_interval_ns": _same([each.access_interval_ns for each in manifests]),
            "access_source": _same([each.access_source for each in manifests]),
            "host": manifests[0].host.model_copy(update={"swap": tuple(swap)}),
            "virtual_machines": _machines(moved),
            "not_captured": tuple(one for each in manifests for one in each.not_captured),
            "probes": tuple(probe for each in manifests for probe in each.probes),
        }
    )


def _same(values: Sequence[_Value]) -> _Value | None:
    """Give what all of them say; None where they differ."""
    return values[0] if len(set(values)) == 1 else None


def _moved(time_ns: int | None, manifest: Manifest, shift_ns: int) -> int | None:
    return None if time_ns is None else time_ns - manifest.start_time_ns + shift_ns


def _machines(moved: Sequence[tuple[Manifest, int]]) -> tuple[VirtualMachine, ...]:
    """Give all machines, each by a name of its own."""
    machines = []
    taken: set[str] = set()
    copies: Counter[str] = Counter()
    for manifest, shift_ns in moved:
        for machine in manifest.virtual_machines:
            name = machine.name
            while name in taken:
                copies[machine.name] += 1
                name = f"{machine.name} ({copies[machine.name] + 1})"
            taken.add(name)
            came = _moved(machine.attached_time_ns, manifest, shift_ns)
            ended = _moved(machine.ended_time_ns, manifest, shift_ns)
            changes = {"name": name, "attached_time_ns": came, "ended_time_ns": ended}
            machines.append(machine.model_copy(update=changes))
    return tuple(machines)
