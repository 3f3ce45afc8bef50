"""Shift the pages of a RAM block by whole blocks of the allocator, its end to its start."""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.schema import EVENTS, Kind
from workbench.trace.derived import ROWS_AT_ONCE
from workbench.units import HUGE_PAGE_BYTES, LARGEST_ORDER, PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.trace.manifest import RamBlock
    from workbench.trace.reader import Columns, Trace

LARGEST_BLOCK_BYTES: Final = PAGE_BYTES << LARGEST_ORDER
"""4 MiB: what is aligned to its own size within the guest's allocator stays so."""

_NAMES: Final = ("vm", "kind", "ram_block", "offset_bytes", "length_bytes")


class Rotation(NamedTuple):
    """The bytes [first, cut) of a block go up, and [cut, stop) to where they began.

    What is outside of [first, stop) stays: pages that share a huge page with other memory of the
    host, or are too few for a block of the allocator.
    """

    first: int
    cut: int
    stop: int

    def moved(self, offset: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Give where each byte goes."""
        up, down = self.stop - self.cut, self.cut - self.first
        is_low = (offset >= self.first) & (offset < self.cut)
        is_high = (offset >= self.cut) & (offset < self.stop)
        return np.where(is_low, offset + up, np.where(is_high, offset - down, offset))

    def pieces(self, columns: Columns) -> list[Columns]:
        """Move ranges, each cut where its parts go to different places."""
        edges = (0, self.first, self.cut, self.stop, 2**62)
        starts = columns["offset_bytes"]
        stops = starts + columns["length_bytes"]
        pieces = []
        for low, high in itertools.pairwise(edges):
            first, stop = np.maximum(starts, low), np.minimum(stops, high)
            rows = first < stop
            inside = {name: values[rows] for name, values in columns.items()}
            inside["offset_bytes"] = self.moved(first[rows])
            inside["length_bytes"] = (stop - first)[rows]
            pieces.append(inside)
        return pieces


def find_rotation(trace: Trace, vm: int, number: int, key: bytes) -> Rotation:
    """Choose, by the key, one of the rotations that part no range of an event.

    A block has none where an event's range reaches over its ends, or it is too small; nor where
    the machine migrates, as QEMU sends pages in the order of their addresses.
    """
    block = trace.manifest.virtual_machines[vm].ram_blocks[number]
    unit = max(LARGEST_BLOCK_BYTES, block.page_bytes)
    first, stop = _movable(block, unit)
    still = Rotation(first, first, first)
    if stop - first <= unit:
        return still
    crossed = np.zeros(stop // unit + 2, np.int64)
    for columns in trace.batches(EVENTS.name, _NAMES, row_count=ROWS_AT_ONCE):
        own = columns["vm"] == vm
        if (columns["kind"][own] == Kind.MIGRATION_START).any():
            return still
        rows = own & (columns["ram_block"] == number)
        _count_crossings(crossed, unit, {name: values[rows] for name, values in columns.items()})
    is_crossed = np.cumsum(crossed)[:-1] > 0
    if is_crossed[first // unit] or is_crossed[stop // unit]:
        return still
    cuts = np.flatnonzero(~is_crossed[first // unit + 1 : stop // unit]) + first // unit + 1
    if not cuts.size:
        return still
    drawn = hashlib.sha256(key + f"{vm}:{number}".encode()).digest()
    return Rotation(first, int(cuts[int.from_bytes(drawn) % cuts.size]) * unit, stop)


def _movable(block: RamBlock, unit: int) -> tuple[int, int]:
    """Give the bytes of a block that lie in whole huge pages of the host and whole units."""
    begin = -block.huge_page_offset_bytes % HUGE_PAGE_BYTES
    whole = block.used_bytes - (block.huge_page_offset_bytes + block.used_bytes) % HUGE_PAGE_BYTES
    first = -(-begin // unit) * unit
    return first, max(whole // unit * unit, first)


def _count_crossings(crossed: npt.NDArray[np.int64], unit: int, columns: Columns) -> None:
    """Add up which multiples of the unit lie within a range: +1 at the first, -1 after the last."""
    length = np.maximum(columns["length_bytes"], 1)
    # What is allocated for a fault is aligned to its own size, wherever in it the touch was.
    is_fault = columns["kind"] == Kind.FAULT
    begin = np.where(is_fault, columns["offset_bytes"] // length * length, columns["offset_bytes"])
    last_unit = crossed.size - 2
    first = np.minimum(begin // unit + 1, last_unit + 1)
    stop = np.minimum((begin + length - 1) // unit + 1, last_unit + 1)
    crosses = first < stop
    np.add.at(crossed, first[crosses], 1)
    np.add.at(crossed, stop[crosses], -1)
