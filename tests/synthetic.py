"""Small traces written by hand, in files and in memory: every number in them has a reason.

A guest with 8 MiB of RAM, four huge pages, and what happens to it, one function per kind of event.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.schema import (
    CONFIG_POISON_OFFSET_BYTES,
    EVENTS,
    NO_BLOCK,
    NO_ELEMENT,
    TABLES,
    FaultFlag,
    Feature,
    Kind,
)
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
from workbench.units import MIB, NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START_NS = 1_000 * NANOSECONDS
RAM_BYTES = 8 * MIB
HUGE = 2 * MIB
POISON_VAL = 0xAAAAAAAA
REPORTING = 1 << Feature.REPORTING
PAGE_POISON = 1 << Feature.PAGE_POISON

Row = dict[str, int]


def event(seconds: float, kind: Kind, **columns: int) -> Row:
    """One event, `seconds` after the capture began; what is not given is none or 0."""
    row = {"ram_block": NO_BLOCK, "element": NO_ELEMENT, **columns}
    return {"time_ns": START_NS + round(seconds * NANOSECONDS), "kind": int(kind), **row}


def touch(seconds: float, offset: int, length: int = HUGE, vm: int = 0) -> Row:
    """A write, for which the host allocated `length` bytes."""
    flags = int(FaultFlag.WRITE)
    place = {"ram_block": 0, "offset_bytes": offset, "length_bytes": length}
    return event(seconds, Kind.FAULT, status=flags, vm=vm, **place)


def fault(seconds: float, offset_mib: int, length_mib: int = 2, vm: int = 0) -> Row:
    """The same, in MiB."""
    return touch(seconds, offset_mib * MIB, length_mib * MIB, vm)


def swap_in(seconds: float, offset: int) -> Row:
    """A write that brought a page back from swap."""
    flags = int(FaultFlag.WRITE | FaultFlag.SWAP_IN)
    return touch(seconds, offset, PAGE_BYTES) | {"status": flags}


def swap_out(seconds: float, offset: int, length: int = HUGE) -> Row:
    """Memory written to swap."""
    return event(seconds, Kind.SWAP_OUT, ram_block=0, offset_bytes=offset, length_bytes=length)


def report(seconds: float, offset: int, length: int = HUGE, element: int = 0, vm: int = 0) -> Row:
    """A reported range."""
    place = {"ram_block": 0, "offset_bytes": offset, "length_bytes": length}
    return event(seconds, Kind.REPORT, element=element, vm=vm, **place)


def discard(report_row: Row, status: int = 0, duration_ns: int = 2_000_000) -> Row:
    """QEMU's discard of a reported range."""
    took = {"status": status, "duration_ns": duration_ns}
    return {**report_row, "kind": int(Kind.DISCARD), **took}


def given_back(*report_rows: Row) -> list[Row]:
    """Reported ranges, each with its discard."""
    return [row for reported in report_rows for row in (reported, discard(reported))]


def inflate(seconds: float, offset: int, length: int = PAGE_BYTES) -> Row:
    """A discard that no report asked for."""
    place = {"ram_block": 0, "offset_bytes": offset, "length_bytes": length}
    return event(seconds, Kind.DISCARD, **place)


def features(seconds: float, bits: int = REPORTING) -> Row:
    """The driver set its features."""
    return event(seconds, Kind.FEATURES, status=bits)


def write_poison(seconds: float, value: int = POISON_VAL) -> Row:
    """The driver wrote poison_val."""
    place = {"offset_bytes": CONFIG_POISON_OFFSET_BYTES, "length_bytes": 4}
    return event(seconds, Kind.CONFIG_WRITE, status=value, **place)


def sample(seconds: float, resident: int, swapped: int = 0, vm: int = 0) -> Row:
    """What the host measured, in 1 ms."""
    return {
        "time_ns": START_NS + round(seconds * NANOSECONDS),
        "duration_ns": 1_000_000,
        "vm": vm,
        "resident_bytes": resident,
        "swapped_bytes": swapped,
    }


def machine(name: str = "guest0", *, reporting: bool = True, **changes: Any) -> VirtualMachine:
    """A guest that may be backed by huge pages, on a device that offers PAGE_POISON."""
    block = RamBlock(
        name="pc.ram",
        used_bytes=RAM_BYTES,
        page_bytes=PAGE_BYTES,
        shared=False,
        transparent_huge_page=True,
    )
    facts: dict[str, Any] = {
        "name": name,
        "qemu_version": "7.2.0",
        "machine_type": "pc",
        "accelerator": "tcg",
        "memory_bytes": RAM_BYTES,
        "ram_blocks": (block,),
        "device": BalloonProperties(
            free_page_reporting=reporting, page_poison=True, free_page_hint=False
        ),
        "guest": GuestFacts(
            kernel="6.1.0",
            init_on_free=False,
            reporting_order=9,
            reporting_delay_ns=2 * NANOSECONDS,
            reporting_capacity=32,
        ),
    }
    return VirtualMachine(**{**facts, **changes})


def started(name: str = "guest0", *, reporting: bool = True) -> VirtualMachine:
    """A guest whose driver had done its part when the capture began."""
    kept = (REPORTING | PAGE_POISON) if reporting else 0
    return machine(name, reporting=reporting, features=kept, poison_val=0)


def manifest(
    *,
    machines: Sequence[VirtualMachine] | None = None,
    seconds: float = 10,
    scenario: str = "two-blocks",
    swap: tuple[str, ...] = (),
    probe: Probe | None = None,
    lab_settings: Mapping[str, str] | None = None,
    complete: bool = True,
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
        complete=complete,
        host=HostFacts(
            kernel="6.18.0",
            memory_bytes=1 << 30,
            processors=2,
            transparent_huge_page="madvise",
            khugepaged_defrag=False,
            frees_empty_page_tables=True,
            swap=swap,
        ),
        virtual_machines=tuple(machines or [started()]),
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


def trace(
    events: Sequence[Row],
    *,
    machines: Sequence[VirtualMachine] | None = None,
    samples: Sequence[Row] = (),
    state: Sequence[Row] = (),
    guest_samples: Sequence[Row] = (),
    lost: int = 0,
    complete: bool = True,
) -> Trace:
    """Make a trace in memory, of columns that nobody can write to, in the order of time."""
    probe = Probe(name="memory", attached=True, lost={"ring full": lost})
    facts = manifest(machines=machines or [machine()], scenario="", probe=probe, complete=complete)
    ordered = sorted(events, key=lambda row: row["time_ns"])
    rows: dict[str, Sequence[Row]] = {
        "events": [{**row, "sequence": number} for number, row in enumerate(ordered)],
        "samples": samples,
        "state": state,
        "guest_samples": guest_samples,
    }
    return Trace(Path("hand.trace"), facts, {name: _columns(name, rows[name]) for name in TABLES})


def _columns(table_name: str, rows: Sequence[Row]) -> dict[str, Any]:
    columns = {}
    for column in TABLES[table_name].columns:
        values = np.array([row.get(column.name, 0) for row in rows], column.dtype)
        values.flags.writeable = False
        columns[column.name] = values
    return columns


REPORTED: list[Row] = [
    features(0.5),
    touch(1, 0),
    touch(1.1, HUGE),
    *given_back(report(2, 0)),
    touch(3, 0),
    *given_back(report(4, HUGE, element=1)),
]
"""Two huge pages come, one goes and comes back, then the other goes: 2 MiB stay."""

POISONED: list[Row] = [
    features(0.4, REPORTING | PAGE_POISON),
    write_poison(0.5),
    touch(1, 0),
    touch(1.1, HUGE),
    report(2, 0),
    report(2, HUGE),
    touch(3, 2 * HUGE),
]
"""Two huge pages come and are reported in vain, then a third comes: 6 MiB stay."""


TWO_BLOCKS: list[Row] = [
    fault(1, 0),
    fault(2, 2),
    event(3, Kind.MARKER, status=1),
    report(4, 0),
    report(4, 4 * MIB, 2048),
    discard(report(4, 0), duration_ns=0),
    fault(6, 0),
    event(7, Kind.MARKER, status=2),
    report(8, HUGE, element=1),
    discard(report(8, HUGE, element=1), duration_ns=0),
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
        machines=[started(reporting=False)],
        samples=off_samples(),
    )
