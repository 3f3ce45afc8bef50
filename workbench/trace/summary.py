"""What a trace says of itself in a terminal and in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.card import Card
from workbench.errors import WorkbenchError
from workbench.schema import EVENTS, GUEST_SAMPLES, SAMPLES, Kind
from workbench.trace.segments import count_rows
from workbench.units import GIB, MIB, NANOSECONDS, format_ns

if TYPE_CHECKING:
    from workbench.schema import Table
    from workbench.trace.manifest import Manifest, VirtualMachine
    from workbench.trace.reader import Trace

_COUNTED_MAX: Final = 1 << 20
"""Events up to which they are read to be counted by kind, which takes a tenth of a second."""

_MACHINES_SHOWN: Final = 2


def trace_card(trace: Trace) -> Card:
    """Say what a trace holds, what it lost, and what that can answer, without a long wait."""
    try:
        return _card(trace)
    except WorkbenchError as error:  # A repr has something to say of any trace.
        return Card(
            title=f"Trace {trace.name}: damaged",
            facts=[("path", str(trace.path))],
            remarks=[str(error)],
        )


def _card(trace: Trace) -> Card:
    manifest = trace.manifest
    count, kinds = _events(trace)
    return Card(
        title=f"Trace {trace.name}: {count:,} events over {format_ns(manifest.duration_ns)}",
        facts=[
            ("captured", _origin(manifest)),
            *_machines(manifest),
            ("events", kinds),
            ("lost", _losses(manifest)),
            ("can show", ", ".join(_abilities(trace))),
            ("can answer", "measure.questions(trace) says which settings, and why not others"),
        ],
        remarks=_remarks(manifest),
    )


def _events(trace: Trace) -> tuple[int, str]:
    """Give the number of events, and in words how many of each kind, the most frequent first."""
    count = trace.event_count
    if count > _COUNTED_MAX:
        return count, "too many to count by kind at once"
    codes = np.bincount(trace.columns(EVENTS.name)["kind"], minlength=max(Kind) + 1)
    found = sorted((-codes[kind], kind.name.lower()) for kind in Kind if codes[kind])
    return count, ", ".join(f"{-number:,} {name}" for number, name in found) or "none"


def _origin(manifest: Manifest) -> str:
    begun = "in mid-life" if manifest.mid_life else "from the guest's start"
    scenario = f"scenario {manifest.scenario}, " if manifest.scenario else ""
    return f"{scenario}{begun}, {manifest.created}, by {manifest.command}"


def _machines(manifest: Manifest) -> list[tuple[str, str]]:
    machines = manifest.virtual_machines
    name = "guest" if len(machines) == 1 else "guests"
    shown = [(name, _machine(machine)) for machine in machines[:_MACHINES_SHOWN]]
    more = len(machines) - len(shown)
    return [*shown, (name, f"and {more:,} more")] if more else shown


def _machine(machine: VirtualMachine) -> str:
    size = machine.memory_bytes
    memory = f"{size / GIB:g} GiB" if size >= GIB else f"{size / MIB:g} MiB"
    switches = [
        f"{name} {'on' if value else 'off'}"
        for name, value in machine.device.model_dump().items()
        if value is not None
    ]
    version, _, _ = machine.qemu_version.partition(" ")  # A distribution's own words follow.
    return ", ".join([f"{machine.name}: {memory}", *switches, f"QEMU {version}"])


def _losses(manifest: Manifest) -> str:
    reasons = [
        f"{count:,} by {probe.name} ({reason})"
        for probe in manifest.probes
        for reason, count in probe.lost.items()
        if count
    ]
    return ", ".join(reasons) or "nothing"


def _abilities(trace: Trace) -> list[str]:
    """Say what the tables and probes of a trace are good for."""
    manifest = trace.manifest
    interval_ns = manifest.access_interval_ns
    found = [
        "resident memory" if manifest.saw_faults else "no resident memory (faults not captured)",
        "the model's error" if _has_rows(trace, SAMPLES) else "no model error (no samples)",
    ]
    if _has_rows(trace, GUEST_SAMPLES):
        found.append("what the guest says is free")
    if interval_ns is not None:
        found.append(f"which pages are in use (every {interval_ns / NANOSECONDS:g} s)")
    return found


def _has_rows(trace: Trace, table: Table) -> bool:
    return trace.has(table.name) and count_rows(trace.path / table.name, table) > 0


def _remarks(manifest: Manifest) -> list[str]:
    remarks = []
    if not manifest.complete:
        remarks.append("not complete: the capture runs still, or was killed")
    if manifest.lowered_time_ns is not None:
        after = format_ns(manifest.lowered_time_ns - manifest.start_time_ns)
        remarks.append(f"{after} after its start the capture lowered its detail")
    remarks += [f"{one.name} was not captured: {one.reason}" for one in manifest.not_captured[:3]]
    return remarks
