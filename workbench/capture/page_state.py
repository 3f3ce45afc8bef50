"""The guest RAM that is there when a capture begins: what each page is, and in which frame."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from workbench.capture.page_map import ENTRY_BYTES, FRAME_MASK, PRESENT_BIT, SWAPPED_BIT
from workbench.errors import HostError
from workbench.schema import STATE, PageState
from workbench.units import HUGE_PAGE_BYTES, HUGE_PAGE_ORDER, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from workbench.capture.frames import FrameTable
    from workbench.capture.qemu import Qemu

_FLAG_HUGE, _FLAG_ZERO_PAGE = 22, 24
"""KPF_THP and KPF_ZERO_PAGE of /proc/kpageflags (Linux
Documentation/admin-guide/mm/pagemap.rst)."""

_HUGE_PAGES = HUGE_PAGE_BYTES // PAGE_BYTES


class BlockState(NamedTuple):
    """The pages of one RAM block; arrays of shape (page,)."""

    states: npt.NDArray[np.int8]
    frames: npt.NDArray[np.int64]
    in_huge_page: npt.NDArray[np.bool_]


def read_block_state(pid: int, host_address: int, used_bytes: int) -> BlockState:
    """Read what the pages of a block are.

    Raises
    ------
    HostError
        The process has gone, or frames are hidden from us.
    """
    first = host_address // PAGE_BYTES * ENTRY_BYTES
    entries = _read_words(Path(f"/proc/{pid}/pagemap"), first, used_bytes // PAGE_BYTES)
    present = entries >> np.uint64(PRESENT_BIT) & np.uint64(1) == 1
    swapped = entries >> np.uint64(SWAPPED_BIT) & np.uint64(1) == 1
    frames = (entries & np.uint64(FRAME_MASK)).astype(np.int64)
    flags = _frame_flags(frames[present])
    states = np.zeros(entries.size, np.int8)
    states[swapped] = PageState.SWAPPED
    is_zero_page = flags >> np.uint64(_FLAG_ZERO_PAGE) & np.uint64(1) == 1
    states[present] = np.where(is_zero_page, PageState.ZERO_PAGE, PageState.RESIDENT)
    in_huge_page = np.zeros(entries.size, np.bool_)
    in_huge_page[present] = flags >> np.uint64(_FLAG_HUGE) & np.uint64(1) == 1
    return BlockState(states, frames, in_huge_page)


def read_state(qemus: Mapping[int, Qemu], frames: FrameTable) -> dict[str, npt.NDArray[np.int64]]:
    """Read the state of guests (by number), as columns of the trace; note the frames in `frames`.

    Raises
    ------
    HostError
        A guest has gone.
    """
    rows: list[tuple[int, ...]] = []
    for vm, qemu in qemus.items():
        for number, block in enumerate(qemu.blocks):
            state = read_block_state(qemu.pid, block.host_address, block.facts.used_bytes)
            _note_frames(frames, vm, number, state)
            rows += [
                (vm, number, first * PAGE_BYTES, (stop - first) * PAGE_BYTES, page_state)
                for first, stop, page_state in _runs(state.states)
                if page_state != PageState.UNBACKED
            ]
    table = np.array(rows, dtype=np.int64).reshape(-1, len(STATE.columns))
    return {column.name: table[:, number] for number, column in enumerate(STATE.columns)}


def _runs(states: npt.NDArray[np.int8]) -> list[tuple[int, int, int]]:
    """Runs of equal state: first page, page behind the last, state."""
    edges = np.flatnonzero(np.diff(states)) + 1
    bounds = [0, *edges.tolist(), states.size]
    return [(first, stop, int(states[first])) for first, stop in itertools.pairwise(bounds)]


def _note_frames(frames: FrameTable, vm: int, block: int, state: BlockState) -> None:
    resident = np.flatnonzero(state.states == PageState.RESIDENT)
    whole = _whole_huge_pages(state)
    for page in resident[~np.isin(resident // _HUGE_PAGES, whole)].tolist():
        frames.put(int(state.frames[page]), 0, vm, block, page * PAGE_BYTES)
    for huge in whole.tolist():
        page = huge * _HUGE_PAGES
        frames.put(int(state.frames[page]), HUGE_PAGE_ORDER, vm, block, page * PAGE_BYTES)


def _whole_huge_pages(state: BlockState) -> npt.NDArray[np.int64]:
    """Numbers of the 2 MiB units that are one huge page, all of it mapped in order."""
    count = state.states.size // _HUGE_PAGES
    shape = (count, _HUGE_PAGES)
    frames = state.frames[: count * _HUGE_PAGES].reshape(shape)
    resident = (state.states[: count * _HUGE_PAGES] == PageState.RESIDENT).reshape(shape)
    huge = state.in_huge_page[: count * _HUGE_PAGES].reshape(shape)
    in_order = (frames - frames[:, :1] == np.arange(_HUGE_PAGES)).all(axis=1)
    aligned = frames[:, 0] % _HUGE_PAGES == 0
    return np.flatnonzero(in_order & aligned & resident.all(axis=1) & huge.all(axis=1))


def _frame_flags(frames: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Read the kernel's flags of frames, a run of frames at a time."""
    flags = np.zeros(frames.size, np.uint64)
    if frames.size == 0:
        return flags
    if not frames.any():
        message = "the kernel hides page frames from this process; run as root"
        raise HostError(message)
    path = Path("/proc/kpageflags")
    edges = np.flatnonzero(np.diff(frames) != 1) + 1
    bounds = [0, *edges.tolist(), frames.size]
    for first, stop in itertools.pairwise(bounds):
        flags[first:stop] = _read_words(path, int(frames[first]) * 8, stop - first)
    return flags


def _read_words(path: Path, offset: int, count: int) -> npt.NDArray[np.uint64]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read(count * 8)
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); run as root"
        raise HostError(message) from None
    if len(content) != count * 8:
        message = f"{path}: ends early; did the guest exit?"
        raise HostError(message)
    return np.frombuffer(content, dtype="<u8")
