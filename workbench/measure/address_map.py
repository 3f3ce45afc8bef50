"""What lies where in a guest's memory, over time: held, kept, discarded, in swap, never backed.

The run's events are replayed once more, a slice of time after the other, and after each slice only
those huge pages are counted anew of which an event told something.  So the map is exact to the
page, in memory for the cells and a few bytes for each page of the guest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from workbench.errors import UnidentifiableError, UsageError
from workbench.measure.attributes import run_attributes
from workbench.measure.page_ranges import (
    HUGE_PAGE_PAGES,
    Ranges,
    paint,
    ranges_of,
    touched_huge_pages,
)
from workbench.measure.required import require_run
from workbench.measure.residency import span_ns
from workbench.model import FIRST_PAGE, PAGE_COUNT
from workbench.replay import NO_FAULTS
from workbench.replay.again import MachineAgain
from workbench.schema import PAGE_STATE_MASK, PageFlag, PageState
from workbench.spelling import on_one_line
from workbench.units import NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from workbench.replay import Replay

HELD, REPORTED, DISCARDED, SWAPPED, NEVER_BACKED = range(5)

MAP_STATES: Final = ("held", "reported", "discarded", "swapped", "never_backed")
"""What a page of an address map is, in the order of the frame's columns."""


_BITS_AT_ONCE: Final = 64


class _Cells(NamedTuple):
    """The cells of one column of a map, in the order of the page space.  Shape (cell,)."""

    unit_pages: int
    """Pages that are counted together: the same part of every huge page, or all of it."""
    first_unit: npt.NDArray[np.int64]
    ram_block: npt.NDArray[np.int64]
    offset_pages: npt.NDArray[np.int64]
    page_count: npt.NDArray[np.int64]


def address_map_frame(
    run: Replay, vm: int = 0, *, time_bins: int = 600, address_bins: int = 300
) -> pd.DataFrame:
    """Say how much of each part of a guest's memory is what, over time.

    Parameters
    ----------
    vm
        The machine, by its number in the trace.
    time_bins
        Equal slices of the capture's time.
    address_bins
        Most cells that its RAM blocks are cut into; each has at least one.  Cells are as large as
        each other, whole pages or huge pages, but where a block begins or ends.

    Returns
    -------
    One row per slice of time and cell: time_s, at which the slice ends (since the capture began);
    ram_block, offset_bytes, length_bytes, which say where the cell is; and of what is there at
    time_s, events of that moment included:

    held_bytes
        In memory.
    reported_bytes
        In memory although the guest reported it: the report was skipped, or its discard failed.
        Whether the guest uses it again by now, nobody sees: a page counts as reported until it
        leaves memory, or the host serves a fault there.
    discarded_bytes
        Given back, and not backed since, but perhaps by the shared page of zeros.
    swapped_bytes
        In swap.
    never_backed_bytes
        The rest: never backed, or only by the page of zeros.

    They add up to length_bytes; all are 0 where the machine is not there, before its capture began
    or after it ended.  Held and reported together are what `memory_over_time` says is resident.

    Raises
    ------
    UnidentifiableError
        The trace has no faults.
    UsageError
        There is no such machine, or there are no bins.
    """
    _check(run, vm, time_bins, address_bins)
    machine = MachineAgain(run, vm)
    cells = _cells(machine.blocks, address_bins)
    times_ns = _times(run, time_bins)
    pages = np.zeros((time_bins, cells.page_count.size, len(MAP_STATES)), np.int64)
    counted = _Counted(run, machine, cells)
    facts = run.trace.manifest.virtual_machines[vm]
    time_ns = run.columns["time_ns"][machine.rows]
    stops = np.searchsorted(time_ns, times_ns, side="right")
    for index, (at_ns, stop) in enumerate(zip(times_ns, stops.tolist(), strict=True)):
        counted.advance(stop)
        is_here = facts.attached_time_ns is None or facts.attached_time_ns <= at_ns
        is_over = facts.ended_time_ns is not None and facts.ended_time_ns <= at_ns
        if is_here and not is_over:
            pages[index] = counted.pages()
    return _frame(run, vm, cells, times_ns, pages)


def _check(run: Replay, vm: int, time_bins: int, address_bins: int) -> None:
    require_run(run)
    if not run.trace.manifest.saw_faults:
        raise UnidentifiableError(f"{run.trace.name}: {NO_FAULTS}")
    machines = run.trace.manifest.virtual_machines
    if not 0 <= vm < len(machines):
        known = ", ".join(f"{number} ({one.name})" for number, one in enumerate(machines))
        raise UsageError(f"{run.trace.name} has no machine {vm}, expected one of {known}")
    for name, bins in (("time_bins", time_bins), ("address_bins", address_bins)):
        if bins < 1:
            raise UsageError(f"{name} is {bins}, expected 1 or more")


def _times(run: Replay, time_bins: int) -> list[int]:
    """Give the ends of equal slices, as Python's integers: products of long times are large."""
    time_ns = run.ledger.time_ns
    start_ns, stop_ns = span_ns(run.trace.manifest, int(time_ns[-1]) if time_ns.size else None)
    return [
        start_ns + (stop_ns - start_ns) * number // time_bins for number in range(1, time_bins + 1)
    ]


class _Counted:
    """Pages of each part of a machine by what they are, as far as its events were replayed."""

    def __init__(self, run: Replay, machine: MachineAgain, cells: _Cells) -> None:
        self._run, self._machine, self._cells = run, machine, cells
        page_count = int((machine.blocks[:, FIRST_PAGE] + machine.blocks[:, PAGE_COUNT]).max())
        huge_page_count = -(-page_count // HUGE_PAGE_PAGES)
        self._is_reported = np.zeros((huge_page_count, HUGE_PAGE_PAGES), np.bool_)
        self._parts = HUGE_PAGE_PAGES // cells.unit_pages
        self._counts = np.zeros((huge_page_count, self._parts, NEVER_BACKED), np.int64)
        self._count(np.arange(huge_page_count))

    def advance(self, stop: int) -> None:
        """Replay up to the event before the machine's row `stop`."""
        rows = self._machine.advance(stop)
        ranges = ranges_of(self._run, rows, self._machine.blocks)
        if not ranges.first.size:
            return
        self._paint(ranges)
        self._count(touched_huge_pages(ranges, self._counts.shape[0]))

    def pages(self) -> npt.NDArray[np.int64]:
        """Give the pages of each cell by state.  Shape (cell, state)."""
        counts = self._counts.reshape(-1, NEVER_BACKED)
        known = np.add.reduceat(counts, self._cells.first_unit, axis=0)
        rest = self._cells.page_count - known.sum(axis=1)
        return np.concatenate((known, rest[:, np.newaxis]), axis=1)

    def _paint(self, ranges: Ranges) -> None:
        if ranges.is_reported.any() or self._is_reported.any():
            paint(self._is_reported.reshape(-1), ranges)

    def _count(self, huge_pages: npt.NDArray[np.intp]) -> None:
        codes = self._machine.page_codes(huge_pages)
        state = codes & np.uint8(PAGE_STATE_MASK)
        is_resident = state == PageState.RESIDENT
        is_reported = is_resident & self._is_reported[huge_pages]
        # What is in memory or in swap is not marked as discarded.
        is_in = {
            HELD: is_resident & ~is_reported,
            REPORTED: is_reported,
            DISCARDED: codes & np.uint8(PageFlag.DISCARDED) != 0,
            SWAPPED: state == PageState.SWAPPED,
        }
        for name, pages in is_in.items():
            self._counts[huge_pages, :, name] = _count_parts(pages, self._parts)


def _count_parts(is_in: npt.NDArray[np.bool_], part_count: int) -> npt.NDArray[np.int64]:
    """Count pages in each part of huge pages.  Shape (huge page, part)."""
    counts: npt.NDArray[np.int64]
    count = is_in.shape[0]
    if HUGE_PAGE_PAGES // part_count < _BITS_AT_ONCE:
        counts = is_in.reshape(count, part_count, -1).sum(axis=2)
        return counts
    # 64 pages at once.
    bits = np.bitwise_count(np.packbits(is_in, axis=1).view(np.uint64))
    counts = bits.reshape(count, part_count, -1).sum(axis=2, dtype=np.int64)
    return counts


def _cells(blocks: npt.NDArray[np.int64], address_bins: int) -> _Cells:
    """Cut RAM blocks into the smallest cells that are no more than so many."""
    most = max(address_bins, blocks.shape[0])
    least_pages = -(-int(blocks[:, PAGE_COUNT].sum()) // most)
    # Parts of a huge page are halves of halves of it; what is larger is whole huge pages.
    cell_pages = min(1 << (least_pages - 1).bit_length(), HUGE_PAGE_PAGES)
    while True:
        cells = _cells_of(blocks, cell_pages)
        if cells.page_count.size <= most:
            return cells
        if cell_pages < HUGE_PAGE_PAGES:
            cell_pages *= 2
        else:
            enough = -(-least_pages // HUGE_PAGE_PAGES)
            cell_pages = max(cell_pages // HUGE_PAGE_PAGES + 1, enough) * HUGE_PAGE_PAGES


def _cells_of(blocks: npt.NDArray[np.int64], cell_pages: int) -> _Cells:
    starts = []
    for block in blocks:
        first, stop = int(block[FIRST_PAGE]), int(block[FIRST_PAGE] + block[PAGE_COUNT])
        # No two blocks share a huge page, so cells can begin where the block's first one does.
        origin = first // HUGE_PAGE_PAGES * HUGE_PAGE_PAGES
        skipped = (first - origin) // cell_pages
        starts.append(np.arange(origin + skipped * cell_pages, stop, cell_pages))
    sizes = [part.size for part in starts]
    start, of_block = np.concatenate(starts), np.repeat(np.arange(len(sizes)), sizes)
    block_first = blocks[of_block, FIRST_PAGE]
    first = np.maximum(start, block_first)
    stop = np.minimum(start + cell_pages, block_first + blocks[of_block, PAGE_COUNT])
    unit_pages = min(cell_pages, HUGE_PAGE_PAGES)
    return _Cells(unit_pages, start // unit_pages, of_block, first - block_first, stop - first)


def _frame(
    run: Replay, vm: int, cells: _Cells, times_ns: list[int], pages: npt.NDArray[np.int64]
) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    time_count, cell_count = pages.shape[:2]
    since_start_ns = np.array(times_ns) - run.trace.manifest.start_time_ns
    by_cell: dict[str, npt.NDArray[np.int64]] = {
        "ram_block": cells.ram_block,
        "offset_bytes": cells.offset_pages * PAGE_BYTES,
        "length_bytes": cells.page_count * PAGE_BYTES,
    }
    time_s = np.repeat(since_start_ns / NANOSECONDS, cell_count)
    columns: dict[str, npt.NDArray[Any]] = {"time_s": time_s}
    columns |= {name: np.tile(values, time_count) for name, values in by_cell.items()}
    flat = pages.reshape(-1, len(MAP_STATES)) * PAGE_BYTES
    columns |= {f"{name}_bytes": flat[:, state] for state, name in enumerate(MAP_STATES)}
    frame = pd.DataFrame(columns)
    machine = run.trace.manifest.virtual_machines[vm]
    frame.attrs = {
        **run_attributes(run),
        "machine": on_one_line(machine.name),
        "ram_blocks": [on_one_line(block.name) for block in machine.ram_blocks],
    }
    return frame
