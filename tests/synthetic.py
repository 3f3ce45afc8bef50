"""Small traces written by hand, for tests that need files: every number in them has a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.schema import EVENTS, NO_BLOCK, NO_ELEMENT, FaultFlag, Feature, Kind
from workbench.trace import (
    BalloonProperties,
    GuestFacts,
    HostFacts,
    Manifest,
    Probe,
    RamBlock,
    Trace,
    TraceWriter,
    VirtualMachine,
    read_trace,
)
from workbench.units import MIB, NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

START_NS = 1_000 * NANOSECONDS
RAM_BYTES = 8 * MIB

Row = dict[str, int]


def event(seconds: float, kind: Kind, **columns: int) -> Row:
    """One event, `seconds` after the capture began."""
    row = {"ram_block": NO_BLOCK, "element": NO_ELEMENT, **columns}
    return {"time_ns": START_NS + round(seconds * NANOSECONDS), "kind": int(kind), **row}


def fault(seconds: float, offset_mib: int, length_mib: int = 2, vm: int = 0) -> Row:
    """A write that was given a huge page."""
    return event(
        seconds,
        Kind.FAULT,
        vm=vm,
        ram_block=0,
        offset_bytes=offset_mib * MIB,
        length_bytes=length_mib * MIB,
        status=int(FaultFlag.WRITE),
    )


def report(seconds: float, element: int, offset_bytes: int, length_bytes: int, vm: int = 0) -> Row:
    """A range of a reported element."""
    return event(
        seconds,
        Kind.REPORT,
        vm=vm,
        ram_block=0,
        offset_bytes=offset_bytes,
        length_bytes=length_bytes,
        element=element,
    )


def discard(seconds: float, element: int, offset_bytes: int, length_bytes: int, vm: int = 0) -> Row:
    """What QEMU did about that range."""
    return report(seconds, element, offset_bytes, length_bytes, vm) | {"kind": int(Kind.DISCARD)}


def machine(name: str = "guest0", *, reporting: bool = True) -> VirtualMachine:
    """A guest with 8 MiB of RAM that may be backed by huge pages."""
    feature = (1 << Feature.REPORTING | 1 << Feature.PAGE_POISON) if reporting else 0
    return VirtualMachine(
        name=name,
        qemu_version="7.2.0",
        machine_type="pc",
        accelerator="tcg",
        memory_bytes=RAM_BYTES,
        ram_blocks=(
            RamBlock(
                name="pc.ram",
                used_bytes=RAM_BYTES,
                page_bytes=4096,
                shared=False,
                transparent_huge_page=True,
            ),
        ),
        device=BalloonProperties(
            free_page_reporting=reporting, page_poison=True, free_page_hint=False
        ),
        guest=GuestFacts(kernel="6.1.0", init_on_free=False, reporting_order=9),
        features=feature,
        poison_val=0,
    )


def manifest(
    *,
    machines: Sequence[VirtualMachine] | None = None,
    seconds: float = 10,
    scenario: str = "two-blocks",
    swap: tuple[str, ...] = (),
    probe: Probe | None = None,
    lab_settings: Mapping[str, str] | None = None,
) -> Manifest:
    """What a trace says of itself."""
    return Manifest(
        tool_version="0",
        command="written by hand",
        lab_settings=dict(lab_settings or {}),
        scenario=scenario,
        created="2026-01-01T00:00:00Z",
        start_time_ns=START_NS,
        duration_ns=round(seconds * NANOSECONDS),
        complete=True,
        host=HostFacts(
            kernel="6.18.0",
            memory_bytes=1 << 30,
            processors=2,
            transparent_huge_page="madvise",
            khugepaged_defrag=False,
            frees_empty_page_tables=True,
            swap=swap,
        ),
        virtual_machines=tuple(machines or [machine()]),
        probes=() if probe is None else (probe,),
    )


def write_trace(
    path: Path,
    events: Sequence[Row],
    *,
    machines: Sequence[VirtualMachine] | None = None,
    seconds: float = 10,
    samples: Mapping[str, Sequence[int]] | None = None,
    lost: int = 0,
    scenario: str = "two-blocks",
    swap: tuple[str, ...] = (),
    lab_settings: Mapping[str, str] | None = None,
) -> Trace:
    """Write a trace folder and read it back."""
    probe = Probe(name="events", attached=True, events=len(events), lost={"ring full": lost})
    facts = manifest(
        machines=machines,
        seconds=seconds,
        scenario=scenario,
        swap=swap,
        probe=probe,
        lab_settings=lab_settings,
    )
    writer = TraceWriter(path, facts)
    columns = {name: [row.get(name, 0) for row in events] for name in EVENTS.column_names}
    columns["sequence"] = list(range(len(events)))
    writer.append("events", {name: np.array(values) for name, values in columns.items()})
    if samples is not None:
        writer.append("samples", {name: np.array(values) for name, values in samples.items()})
    writer.close(facts)
    return read_trace(path)


TWO_BLOCKS: list[Row] = [
    fault(1, 0),
    fault(2, 2),
    event(3, Kind.MARKER, status=1),
    report(4, 0, 0, 2 * MIB),
    report(4, 0, 4 * MIB, 2048),
    discard(4, 0, 0, 2 * MIB),
    fault(6, 0),
    event(7, Kind.MARKER, status=2),
    report(8, 1, 2 * MIB, 2 * MIB),
    discard(8, 1, 2 * MIB, 2 * MIB),
    event(9, Kind.HINT_RANGE, ram_block=0, offset_bytes=4 * MIB, length_bytes=MIB),
]
"""Two huge pages are taken, one given back and taken again, then the other is given back.

Resident: 2 MiB from 1 s, 4 from 2 s, 2 from 4 s, 4 from 6 s, 2 from 8 s to the end at 10 s.
A range of half a page is reported too, which QEMU skips.
"""


def two_block_samples(*, swap_out_pages: int = 0, swap_in_pages: int = 0) -> dict[str, list[int]]:
    """What a host would have measured during `TWO_BLOCKS`: every half second, between events."""
    times_s = [0.25 + 0.5 * number for number in range(20)]
    resident_mib = [
        0 if t < 1 else 2 if t < 2 else 4 if t < 4 else 2 if t < 6 else 4 if t < 8 else 2
        for t in times_s
    ]
    return _samples(times_s, resident_mib, swap_out_pages, swap_in_pages)


def off_samples(*, swap_out_pages: int = 0, swap_in_pages: int = 0) -> dict[str, list[int]]:
    """The same scenario without reporting: nothing comes back."""
    times_s = [0.25 + 0.5 * number for number in range(20)]
    resident_mib = [0 if t < 1 else 2 if t < 2 else 4 for t in times_s]
    return _samples(times_s, resident_mib, swap_out_pages, swap_in_pages)


def _samples(
    times_s: list[float], resident_mib: list[int], swap_out_pages: int, swap_in_pages: int
) -> dict[str, list[int]]:
    last = len(times_s) - 1
    return {
        "time_ns": [START_NS + round(t * NANOSECONDS) for t in times_s],
        "vm": [0] * len(times_s),
        "resident_bytes": [size * MIB for size in resident_mib],
        "swap_out_pages": [swap_out_pages * number // last for number in range(last + 1)],
        "swap_in_pages": [swap_in_pages * number // last for number in range(last + 1)],
        "swap_in_zero_pages": [-1] * len(times_s),
        "swap_out_zero_pages": [-1] * len(times_s),
        "qemu_cpu_ns": [number * NANOSECONDS // 4 for number in range(last + 1)],
        "capture_cpu_ns": [number * NANOSECONDS // 100 for number in range(last + 1)],
    }


OFF: list[Row] = [
    fault(1, 0),
    fault(2, 2),
    event(3, Kind.MARKER, status=1),
    event(7, Kind.MARKER, status=2),
]
"""The guest of `TWO_BLOCKS` without reporting: it takes the block again that it still has."""


def write_two_blocks(folder: Path) -> Trace:
    """Write the trace with reporting on."""
    return write_trace(folder / "two-blocks.trace", TWO_BLOCKS, samples=two_block_samples())


def write_off(folder: Path) -> Trace:
    """Write its partner with reporting off."""
    return write_trace(
        folder / "two-blocks-off.trace",
        OFF,
        machines=[machine(reporting=False)],
        samples=off_samples(),
    )
