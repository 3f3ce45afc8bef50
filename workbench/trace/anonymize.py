"""Make a trace that can be shared: what names people, machines and places is gone or shifted.

What a replay as captured goes by stays, so that its answer is the same: sizes, page states, the
order and the distances of events, and where pages are within the 4 MiB blocks of the allocator.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import numpy as np

from workbench import __version__
from workbench.schema import EVENTS, GUEST_SAMPLES, NO_BLOCK, SAMPLES, SCHEMA_VERSION, STATE, Kind
from workbench.trace.derived import copy_tables, fresh_trace, refuse_missing_segments
from workbench.trace.manifest import GuestFacts, NotCaptured, Probe
from workbench.trace.rotation import LARGEST_BLOCK_BYTES, Rotation, find_rotation
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.trace.manifest import HostFacts, Manifest, VirtualMachine
    from workbench.trace.reader import Columns, Trace

_START_NS: Final = 1_000 * NANOSECONDS
"""Where the clock of every anonymous trace begins: the host's says how long it has been up."""

_CREATED: Final = "1970-01-01T00:00:00+00:00"

_VERSION: Final = re.compile(r"\d{1,4}(\.\d{1,5}){1,2}")
"""The numbers of a version; who built it, and what for, comes after them."""

_MACHINES: Final = ("q35", "microvm", "virt", "isapc", "pc")
_ACCELERATORS: Final = {"kvm", "tcg", "xen", "hvf", "whpx", "nvmm", "qtest"}
_HUGE_PAGE_MODES: Final = {"always", "madvise", "never"}
_PROBES: Final = {"balloon", "memory", "swap", "collapse", "kvm", "events", "repair"}


def anonymize_trace(trace: Trace, output: Path, *, keeps_addresses: bool = False) -> None:
    """Write `trace` to `output` without what identifies its guests, its host or its owner.

    Equal traces give equal bytes: how far addresses are shifted follows from a digest of the
    trace's files, which the anonymous trace does not tell.

    Parameters
    ----------
    keeps_addresses
        Leave pages where they are, for questions that place a guest's memory anew: Linux chooses
        addresses, so that the answer to those is of other addresses otherwise.

    Raises
    ------
    InputError
        The trace is damaged, or segments of it are missing.
    UsageError
        Something is at `output` already.

    Notes
    -----
    Memory: a batch of events.  The events are read twice.
    """
    refuse_missing_segments(trace)
    key = hashlib.sha256(trace.files_digest.encode()).digest()
    rotations = {} if keeps_addresses else _rotations(trace, key)
    change = _Change(trace, rotations)
    manifest = _manifest(trace.manifest, change.start_ns)
    with fresh_trace(output, manifest) as writer:
        copy_tables(trace, writer, change)
        writer.close(manifest)


def _rotations(trace: Trace, key: bytes) -> dict[tuple[int, int], Rotation]:
    """Choose how far the pages of each RAM block are shifted."""
    return {
        (vm, number): find_rotation(trace, vm, number, key)
        for vm, machine in enumerate(trace.manifest.virtual_machines)
        for number in range(len(machine.ram_blocks))
    }


class _Change:
    """What is done to the rows of each table."""

    def __init__(self, trace: Trace, rotations: dict[tuple[int, int], Rotation]) -> None:
        self._rotations = rotations
        first_ns = trace.manifest.start_time_ns
        for table in (EVENTS, GUEST_SAMPLES, SAMPLES):
            for columns in trace.batches(table.name, ["time_ns"], row_count=1):
                first_ns = min(first_ns, int(columns["time_ns"][0]))
                break
        self._shift_ns = _START_NS - first_ns
        self.start_ns = trace.manifest.start_time_ns + self._shift_ns
        self._first: dict[tuple[str, int], int] = {}

    def __call__(self, table_name: str, columns: Columns) -> Columns:
        """Give the rows as they are to be written."""
        changed = dict(columns)
        if "time_ns" in columns:
            changed["time_ns"] = columns["time_ns"] + self._shift_ns
        for name in ("guest_time_ns", "qemu_cpu_ns", "capture_cpu_ns"):
            if name in columns:
                changed[name] = self._since_first(name, columns)
        if table_name == EVENTS.name:
            changed["offset_bytes"] = self._moved(columns)
        elif table_name == STATE.name:
            changed = self._split(columns)
        return changed

    def _since_first(self, name: str, columns: Columns) -> np.ndarray:
        """Count from the first row of each machine on: for how long it ran before is its own."""
        values = columns[name].copy()
        for vm in np.unique(columns["vm"]):
            rows = columns["vm"] == vm
            first = self._first.setdefault((name, int(vm)), int(values[rows][0]))
            values[rows] = np.maximum(values[rows] - first, 0)
        return values

    def _moved(self, columns: Columns) -> np.ndarray:
        offset = columns["offset_bytes"].copy()
        kind, block = columns["kind"], columns["ram_block"]
        # Without a block it is an address of the guest, unless it is a place in the config space.
        is_address = (block == NO_BLOCK) & (kind != Kind.CONFIG_WRITE)
        offset[is_address] %= LARGEST_BLOCK_BYTES
        for (vm, number), rotation in self._rotations.items():
            rows = (columns["vm"] == vm) & (block == number)
            offset[rows] = rotation.moved(offset[rows])
        return offset

    def _split(self, columns: Columns) -> Columns:
        nothing = {name: values[:0] for name, values in columns.items()}
        parts = [columns]
        for (vm, number), rotation in self._rotations.items():
            rest = []
            for part in parts:
                rows = (part["vm"] == vm) & (part["ram_block"] == number)
                rest.append({name: values[~rows] for name, values in part.items()})
                rest += rotation.pieces({name: values[rows] for name, values in part.items()})
            parts = [nothing, *(part for part in rest if part["vm"].size)]
        return {name: np.concatenate([part[name] for part in parts]) for name in columns}


def _manifest(manifest: Manifest, start_ns: int) -> Manifest:
    shift_ns = start_ns - manifest.start_time_ns
    return manifest.model_copy(
        update={
            "schema_version": SCHEMA_VERSION,
            "tool_version": __version__,
            "command": "workbench anonymize",
            "scenario": "",
            "scenario_text": "",
            "lab_settings": {},
            "created": _CREATED,
            "clock": "CLOCK_MONOTONIC",
            "start_time_ns": start_ns,
            "access_source": None if manifest.access_source is None else "a sampler",
            "lowered_time_ns": _shifted(manifest.lowered_time_ns, shift_ns),
            "host": _host(manifest.host),
            "virtual_machines": tuple(
                _machine(machine, vm, shift_ns)
                for vm, machine in enumerate(manifest.virtual_machines)
            ),
            "not_captured": tuple(
                NotCaptured(name=f"other{number}", reason="not captured")
                for number in range(len(manifest.not_captured))
            ),
            "probes": tuple(_probe(probe, n) for n, probe in enumerate(manifest.probes)),
        }
    )


def _shifted(time_ns: int | None, shift_ns: int) -> int | None:
    return None if time_ns is None else max(time_ns + shift_ns, 0)


def _host(host: HostFacts) -> HostFacts:
    mode = host.transparent_huge_page
    return host.model_copy(
        update={
            "kernel": _version(host.kernel),
            "transparent_huge_page": mode if mode in _HUGE_PAGE_MODES else "unknown",
            # A model needs to know whether it is compressed memory, and no more.
            "swap": tuple(
                f"{'zram' if name.rpartition('/')[2].startswith('zram') else 'swap'}{number}"
                for number, name in enumerate(host.swap)
            ),
        }
    )


def _machine(machine: VirtualMachine, vm: int, shift_ns: int) -> VirtualMachine:
    kinds = (kind for kind in _MACHINES if kind in machine.machine_type)
    accelerator = machine.accelerator
    kernel = machine.guest.kernel
    return machine.model_copy(
        update={
            "name": f"guest{vm}",
            "qemu_version": _version(machine.qemu_version),
            "machine_type": next(kinds, "unknown"),
            "accelerator": accelerator if accelerator in _ACCELERATORS else "unknown",
            "arguments": (),
            "qemu_build_id": "",
            "attached_time_ns": _shifted(machine.attached_time_ns, shift_ns),
            "ended_time_ns": _shifted(machine.ended_time_ns, shift_ns),
            "ram_blocks": tuple(
                block.model_copy(update={"name": f"ram{number}"})
                for number, block in enumerate(machine.ram_blocks)
            ),
            "guest": GuestFacts.model_validate(
                machine.guest.model_dump()
                | {"kernel": None if kernel is None else _version(kernel)}
            ),
        }
    )


def _version(text: str) -> str:
    found = _VERSION.match(text)
    return found[0] if found else "unknown"


def _probe(probe: Probe, number: int) -> Probe:
    lost = sum(probe.lost.values())
    return Probe(
        name=probe.name if probe.name in _PROBES else f"probe{number}",
        attached=probe.attached,
        reason="" if probe.attached else "not attached",
        events=probe.events,
        unattributed=probe.unattributed,
        lost={"events": lost} if lost else {},
    )
