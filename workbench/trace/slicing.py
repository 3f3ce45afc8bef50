"""Cut a part out of a trace: what happened in it, and the state of the guests it begins with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.errors import UsageError
from workbench.schema import SCHEMA_VERSION, STATE, TABLES
from workbench.trace.derived import ROWS_AT_ONCE, fresh_trace, refuse_missing_segments
from workbench.units import format_ns

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.trace.manifest import Manifest, VirtualMachine
    from workbench.trace.reader import Columns, Trace


class Registers(NamedTuple):
    """What a balloon device knows at an instant."""

    features: int
    poison_val: int
    shadow_poison_val: int
    discard_inhibited: bool
    hint_command: int | None


class Moment(NamedTuple):
    """All that a trace needs to begin at an instant."""

    state: Columns
    """Rows of the table `state`, of all machines."""
    registers: tuple[Registers, ...]
    """Shape (vm,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which part of a trace is meant.

    Attributes
    ----------
    first_ns, stop_ns
        Since the trace began; None is from its first row, or to its last.
    machine
        The name of one machine; None is all of them.
    """

    first_ns: int | None = None
    stop_ns: int | None = None
    machine: str | None = None

    def check(self, trace: Trace) -> None:
        """Refuse a part that is none.

        Raises
        ------
        UsageError
            It is empty, begins after the trace, or is of a machine that the trace does not have.
        """
        manifest = trace.manifest
        first_ns = self.first_ns or 0
        if self.stop_ns is not None and self.stop_ns <= first_ns:
            raise UsageError(
                f"from {format_ns(first_ns)} to {format_ns(self.stop_ns)} is no time at all; "
                "the end must be later"
            )
        if first_ns and first_ns >= manifest.duration_ns:
            raise UsageError(
                f"{trace.path}: is {format_ns(manifest.duration_ns)} long, so nothing begins at "
                f"{format_ns(first_ns)}; name an earlier time"
            )
        names = [machine.name for machine in manifest.virtual_machines]
        if self.machine is not None and names.count(self.machine) != 1:
            found = "no machine" if self.machine not in names else "more than one machine"
            raise UsageError(
                f"{trace.path}: has {found} {self.machine!r}, expected one of {', '.join(names)}"
            )

    def begin_ns(self, manifest: Manifest) -> int | None:
        """Give the host's clock where the part begins."""
        return None if self.first_ns is None else manifest.start_time_ns + self.first_ns


def write_slice(trace: Trace, output: Path, part: Part, moment: Moment) -> None:
    """Write a part of a trace as a trace of its own.

    Parameters
    ----------
    moment
        What was where when the part begins, of all machines.

    Raises
    ------
    UsageError
        There is no such part, or something is at `output` already.
    InputError
        The trace is damaged, or segments of it are missing.
    """
    part.check(trace)
    refuse_missing_segments(trace)
    manifest = _manifest(trace.manifest, part, moment)
    chosen = _machine_number(trace.manifest, part)
    with fresh_trace(output, manifest) as writer:
        writer.append(STATE.name, _of_machine(moment.state, chosen))
        for name, table in TABLES.items():
            if table is STATE:
                continue
            for columns in trace.batches(name, table.column_names, row_count=ROWS_AT_ONCE):
                rows = _within(columns["time_ns"], trace.manifest, part)
                inside = {name: values[rows] for name, values in columns.items()}
                writer.append(name, _of_machine(inside, chosen))
                if rows.stop < columns["time_ns"].size:
                    break
        writer.close(manifest)


def _within(time_ns: np.ndarray, manifest: Manifest, part: Part) -> slice:
    """Give the rows of a batch, in order of time, that are in the part."""
    first_ns, last = part.begin_ns(manifest), time_ns.size
    first = 0 if first_ns is None else int(time_ns.searchsorted(first_ns, side="left"))
    if part.stop_ns is not None:
        last = int(time_ns.searchsorted(manifest.start_time_ns + part.stop_ns, side="left"))
    return slice(first, max(first, last))


def _machine_number(manifest: Manifest, part: Part) -> int | None:
    names = [machine.name for machine in manifest.virtual_machines]
    return None if part.machine is None else names.index(part.machine)


def _of_machine(columns: Columns, chosen: int | None) -> Columns:
    """Keep the rows of one machine, which is then the only one."""
    if chosen is None:
        return columns
    rows = columns["vm"] == chosen
    return {
        name: np.zeros_like(values[rows]) if name == "vm" else values[rows]
        for name, values in columns.items()
    }


def _manifest(manifest: Manifest, part: Part, moment: Moment) -> Manifest:
    """Say of the part what the trace says of itself; losses are those of the whole capture."""
    first_ns = part.first_ns or 0
    ends_within = part.stop_ns is not None and part.stop_ns <= manifest.duration_ns
    stop_ns = part.stop_ns if ends_within and part.stop_ns is not None else manifest.duration_ns
    machines = zip(manifest.virtual_machines, moment.registers, strict=True)
    begin_ns = manifest.start_time_ns + first_ns
    end_ns = manifest.start_time_ns + stop_ns
    described = [
        _present(_machine(machine, registers, is_later=first_ns > 0), begin_ns, end_ns)
        for machine, registers in machines
    ]
    chosen = _machine_number(manifest, part)
    return manifest.model_copy(
        update={
            "schema_version": SCHEMA_VERSION,
            "start_time_ns": begin_ns,
            "duration_ns": stop_ns - first_ns,
            "complete": manifest.complete or ends_within,
            "mid_life": manifest.mid_life or first_ns > 0,
            "virtual_machines": tuple(described if chosen is None else [described[chosen]]),
        }
    )


def _present(machine: VirtualMachine, begin_ns: int, end_ns: int) -> VirtualMachine:
    """Forget that a machine came before the part, or ended behind it: it is there throughout."""
    came_ns, ended_ns = machine.attached_time_ns, machine.ended_time_ns
    is_old = came_ns is None or came_ns <= begin_ns
    outlives = ended_ns is None or ended_ns >= end_ns
    return machine.model_copy(
        update={
            "attached_time_ns": None if is_old else came_ns,
            "ended_time_ns": None if outlives else ended_ns,
        }
    )


def _machine(machine: VirtualMachine, registers: Registers, *, is_later: bool) -> VirtualMachine:
    read = {"reporting_queue": None, "hint_queue": None, "hint_cmd_id": None}
    is_known = bool(registers.features or registers.poison_val)
    is_same = registers.shadow_poison_val == registers.poison_val
    return machine.model_copy(
        update={
            # A damaged trace may hold numbers that no manifest takes.
            "features": registers.features & (2**63 - 1) or None,
            "poison_val": registers.poison_val if is_known else None,
            "shadow_poison_val": None if is_same else registers.shadow_poison_val,
            "discard_inhibited": registers.discard_inhibited,
            "hint_command": registers.hint_command,
            # What the capture read when it began says nothing of later.
            **(read if is_later else {}),
        }
    )


def registers_at_start(machine: VirtualMachine) -> Registers:
    """Give the registers that a trace begins with."""
    poison_val = machine.poison_val or 0
    shadow = machine.shadow_poison_val
    return Registers(
        features=machine.features or 0,
        poison_val=poison_val,
        shadow_poison_val=poison_val if shadow is None else shadow,
        discard_inhibited=machine.discard_inhibited,
        hint_command=machine.hint_command,
    )
