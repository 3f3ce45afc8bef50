"""Write a trace of any number of made-up events, to see what their number costs.

python tools/synthetic_trace.py FOLDER --events 1000000 --guests 4 --pages 1048576

Guests touch single pages, some far more often than others, and give one in twenty back by
inflating their balloons.  Nothing of it was captured: it says how fast a replay is, and no more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from workbench.schema import NO_ELEMENT, FaultFlag, Kind
from workbench.trace import (
    BalloonProperties,
    HostFacts,
    Manifest,
    RamBlock,
    TraceWriter,
    VirtualMachine,
)
from workbench.units import PAGE_BYTES

SEGMENT_ROWS = 1 << 20
EVENT_NS = 10_000
"""From one event to the next."""
SEED = 5


def main() -> None:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--guests", type=int, default=1)
    parser.add_argument("--pages", type=int, default=1 << 20, help="of all guests together")
    given = parser.parse_args()
    write_synthetic(given.folder, given.events, given.guests, given.pages)


def write_synthetic(folder: Path, event_count: int, guest_count: int, page_count: int) -> None:
    """Write a trace whose guests have as many pages each."""
    manifest = manifest_of(event_count, guest_count, page_count // guest_count)
    writer = TraceWriter(folder, manifest)
    generator = np.random.default_rng(SEED)
    for first in range(0, event_count, SEGMENT_ROWS):
        rows = np.arange(first, min(first + SEGMENT_ROWS, event_count))
        writer.append("events", some_events(generator, rows, guest_count, page_count))
    writer.write_manifest(manifest)


def some_events(
    generator: np.random.Generator, rows: np.ndarray, guest_count: int, page_count: int
) -> dict[str, np.ndarray]:
    """Draw events; pages of lower numbers are touched more often, and lie anywhere."""
    own_pages = page_count // guest_count
    page = (generator.random(rows.size) ** 3 * page_count).astype(np.int64)
    # A multiplication by an odd number takes a power of two of pages to all of them, once each.
    page = page * 0x9E3779B1 % page_count
    gives_back = generator.random(rows.size) < 1 / 20
    return {
        "time_ns": rows * EVENT_NS,
        "sequence": rows,
        "vm": page // own_pages,
        "kind": np.where(gives_back, int(Kind.DISCARD), int(Kind.FAULT)),
        "ram_block": np.zeros(rows.size),
        "offset_bytes": page % own_pages * PAGE_BYTES,
        "length_bytes": np.full(rows.size, PAGE_BYTES),
        "status": np.where(gives_back, 0, int(FaultFlag.WRITE)),
        "element": np.full(rows.size, NO_ELEMENT),
    }


def manifest_of(event_count: int, guest_count: int, own_pages: int) -> Manifest:
    """Describe guests without huge pages on a host that swaps to zram."""
    block = RamBlock(
        name="pc.ram",
        used_bytes=own_pages * PAGE_BYTES,
        page_bytes=PAGE_BYTES,
        shared=False,
        transparent_huge_page=False,
    )
    guests = [
        VirtualMachine(
            name=f"guest{number}",
            qemu_version="none",
            machine_type="none",
            accelerator="none",
            memory_bytes=block.used_bytes,
            ram_blocks=(block,),
            device=BalloonProperties(free_page_reporting=False),
        )
        for number in range(guest_count)
    ]
    return Manifest(
        tool_version="0",
        command="made up",
        created="2026-01-01T00:00:00Z",
        start_time_ns=0,
        duration_ns=event_count * EVENT_NS,
        complete=True,
        host=HostFacts(
            kernel="6.18.0",
            memory_bytes=guest_count * block.used_bytes,
            processors=2,
            transparent_huge_page="never",
            khugepaged_defrag=False,
            frees_empty_page_tables=True,
            swap=("/dev/zram0",),
        ),
        virtual_machines=tuple(guests),
    )


if __name__ == "__main__":
    main()
