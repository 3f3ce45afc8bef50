"""Traces in memory: a guest with 8 MiB of RAM, four huge pages, and events written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.schema import NO_BLOCK, NO_ELEMENT, TABLES, FaultFlag, Feature, Kind
from workbench.trace import (
    BalloonProperties,
    GuestFacts,
    HostFacts,
    Manifest,
    Probe,
    RamBlock,
    Trace,
    VirtualMachine,
)
from workbench.units import MIB, NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RAM_BYTES = 8 * MIB
HUGE = 2 * MIB
POISON_VAL = 0xAAAAAAAA
REPORTING = 1 << Feature.REPORTING
PAGE_POISON = 1 << Feature.PAGE_POISON

Row = dict[str, int]


def event(seconds: float, kind: Kind, **columns: int) -> Row:
    """One event; what is not given is none or 0."""
    given = {"ram_block": NO_BLOCK, "element": NO_ELEMENT, **columns}
    return {"time_ns": round(seconds * NANOSECONDS), "kind": int(kind), **given}


def touch(seconds: float, offset: int, length: int = HUGE, vm: int = 0) -> Row:
    """A write, for which the host allocated `length` bytes."""
    flags = int(FaultFlag.WRITE)
    place = {"ram_block": 0, "offset_bytes": offset, "length_bytes": length}
    return event(seconds, Kind.FAULT, status=flags, vm=vm, **place)


def swap_in(seconds: float, offset: int) -> Row:
    """A write that brought a page back from swap."""
    return {
        **touch(seconds, offset, PAGE_BYTES),
        "status": int(FaultFlag.WRITE | FaultFlag.SWAP_IN),
    }


def swap_out(seconds: float, offset: int, length: int = HUGE) -> Row:
    """Memory written to swap."""
    return event(seconds, Kind.SWAP_OUT, ram_block=0, offset_bytes=offset, length_bytes=length)


def report(seconds: float, offset: int, length: int = HUGE, element: int = 0, vm: int = 0) -> Row:
    """A reported range."""
    place = {"ram_block": 0, "offset_bytes": offset, "length_bytes": length}
    return event(seconds, Kind.REPORT, element=element, vm=vm, **place)


def discard(report_row: Row, status: int = 0) -> Row:
    """QEMU's discard of a reported range."""
    return {**report_row, "kind": int(Kind.DISCARD), "status": status, "duration_ns": 2_000_000}


def inflate(seconds: float, offset: int, length: int = PAGE_BYTES) -> Row:
    """A discard that no report asked for."""
    place = {"ram_block": 0, "offset_bytes": offset, "length_bytes": length}
    return event(seconds, Kind.DISCARD, **place)


def features(seconds: float, bits: int = REPORTING) -> Row:
    """The driver set its features."""
    return event(seconds, Kind.FEATURES, status=bits)


def write_poison(seconds: float, value: int = POISON_VAL) -> Row:
    """The driver wrote poison_val."""
    place = {"offset_bytes": 12, "length_bytes": 4}
    return event(seconds, Kind.CONFIG_WRITE, status=value, **place)


def machine(name: str = "guest", **changes: Any) -> VirtualMachine:
    """A guest whose device offers REPORTING and PAGE_POISON."""
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
            free_page_reporting=True, page_poison=True, free_page_hint=False
        ),
        "guest": GuestFacts(
            kernel="6.1.0",
            reporting_order=9,
            reporting_delay_ns=2 * NANOSECONDS,
            reporting_capacity=32,
        ),
    }
    return VirtualMachine(**{**facts, **changes})


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
    """Make a trace whose columns nobody can write to, in the order of time."""
    manifest = Manifest(
        tool_version="0",
        command="written by hand",
        created="2026-01-01T00:00:00Z",
        start_time_ns=0,
        duration_ns=10 * NANOSECONDS,
        complete=complete,
        host=HostFacts(
            kernel="6.18.0",
            memory_bytes=1 << 30,
            processors=2,
            transparent_huge_page="madvise",
            khugepaged_defrag=False,
            frees_empty_page_tables=True,
        ),
        virtual_machines=tuple(machines or [machine()]),
        probes=(Probe(name="memory", attached=True, lost={"ring full": lost}),),
    )
    ordered = sorted(events, key=lambda row: row["time_ns"])
    numbered = [{**row, "sequence": number} for number, row in enumerate(ordered)]
    rows = {
        "events": numbered,
        "samples": samples,
        "state": state,
        "guest_samples": guest_samples,
    }
    tables = {name: _columns(name, rows[name]) for name in TABLES}
    return Trace(Path("hand.trace"), manifest, tables)


def _columns(table_name: str, rows: Sequence[Mapping[str, int]]) -> dict[str, Any]:
    columns = {}
    for column in TABLES[table_name].columns:
        values = np.array([row.get(column.name, 0) for row in rows], column.dtype)
        values.flags.writeable = False
        columns[column.name] = values
    return columns


def sample(seconds: float, resident: int, swapped: int = 0, vm: int = 0) -> Row:
    """What the host measured, in 1 ms."""
    return {
        "time_ns": round(seconds * NANOSECONDS),
        "duration_ns": 1_000_000,
        "vm": vm,
        "resident_bytes": resident,
        "swapped_bytes": swapped,
    }


_FIRST, _SECOND = report(2, 0), report(4, HUGE, element=1)

REPORTED = [
    features(0.5),
    touch(1, 0),
    touch(1.1, HUGE),
    _FIRST,
    discard(_FIRST),
    touch(3, 0),
    _SECOND,
    discard(_SECOND),
]
"""Two huge pages come, one goes and comes back, then the other goes: 2 MiB stay."""

POISONED = [
    features(0.4, REPORTING | PAGE_POISON),
    write_poison(0.5),
    touch(1, 0),
    touch(1.1, HUGE),
    report(2, 0),
    report(2, HUGE),
    touch(3, 2 * HUGE),
]
"""Two huge pages come and are reported in vain, then a third comes: 6 MiB stay."""
