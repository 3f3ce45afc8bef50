"""Which page of guest RAM each frame of the host holds.

Linux names swapped-out memory by frame; the allocation of the frame, or a look at the page tables,
said whose page it is.
"""

from __future__ import annotations

from typing import NamedTuple

from workbench.units import HUGE_PAGE_BYTES, HUGE_PAGE_ORDER, PAGE_BYTES

_HUGE_FRAMES = 1 << HUGE_PAGE_ORDER


class Place(NamedTuple):
    """A range of guest RAM."""

    vm: int
    block: int
    offset_bytes: int
    length_bytes: int


class FrameTable:
    """Frames that hold guest RAM; a page is in one frame, and a frame holds one page.

    A huge page is one entry until a part of it goes its own way: Linux swaps a whole one out in
    one piece, and splits one that was partly discarded first (mm/vmscan.c, shrink_folio_list).
    """

    def __init__(self) -> None:
        self._place: dict[int, Place] = {}
        """By frame; of a huge page only its first frame."""
        self._frame: dict[tuple[int, int, int], int] = {}
        """By guest, block and offset; of a huge page only its first page, in `_huge_frame`."""
        self._huge_frame: dict[tuple[int, int, int], int] = {}

    def put(self, frame: int, order: int, vm: int, block: int, offset_bytes: int) -> None:
        """Note that 2**order frames from `frame` on now hold the pages around `offset_bytes`."""
        length_bytes = PAGE_BYTES << order
        start = offset_bytes - offset_bytes % length_bytes
        self._vacate(frame, 1 << order)
        self.forget(vm, block, start, length_bytes)
        if order == HUGE_PAGE_ORDER:
            self._place[frame] = Place(vm, block, start, length_bytes)
            self._huge_frame[vm, block, start] = frame
            return
        for number in range(1 << order):
            self._put_single(frame + number, vm, block, start + number * PAGE_BYTES)

    def forget(self, vm: int, block: int, offset_bytes: int, length_bytes: int) -> None:
        """Note that a range was discarded; a huge page that keeps a part is split."""
        stop_bytes = offset_bytes + length_bytes
        first = offset_bytes - offset_bytes % HUGE_PAGE_BYTES
        for start in range(first, stop_bytes, HUGE_PAGE_BYTES):
            frame = self._huge_frame.get((vm, block, start))
            if frame is None:
                continue
            if start < offset_bytes or start + HUGE_PAGE_BYTES > stop_bytes:
                self._split(frame)
            else:
                self._drop(frame)
        for offset in range(offset_bytes, stop_bytes, PAGE_BYTES):
            frame = self._frame.get((vm, block, offset))
            if frame is not None:
                self._drop(frame)

    def forget_guest(self, vm: int) -> None:
        """Note that a guest has ended: all its frames are the host's again."""
        for frame in [frame for frame, place in self._place.items() if place.vm == vm]:
            self._drop(frame)

    def holds(self, frame: int) -> bool:
        """Tell whether a frame is known to hold guest RAM."""
        return frame in self._place or self._is_huge(frame - frame % _HUGE_FRAMES)

    def take(self, frame: int) -> Place | None:
        """Say what `frame`, the first of what goes to swap, held, and forget it."""
        if frame not in self._place:
            head = frame - frame % _HUGE_FRAMES
            if self._is_huge(head):
                self._split(head)
        return self._drop(frame)

    def _is_huge(self, frame: int) -> bool:
        place = self._place.get(frame)
        return place is not None and place.length_bytes == HUGE_PAGE_BYTES

    def _vacate(self, frame: int, count: int) -> None:
        """Drop whatever the frames held: the host hands out none that is still in use."""
        head = frame - frame % _HUGE_FRAMES
        if self._is_huge(head):
            self._drop(head)
        for number in range(count):
            self._drop(frame + number)

    def _put_single(self, frame: int, vm: int, block: int, offset_bytes: int) -> None:
        self._place[frame] = Place(vm, block, offset_bytes, PAGE_BYTES)
        self._frame[vm, block, offset_bytes] = frame

    def _drop(self, frame: int) -> Place | None:
        place = self._place.pop(frame, None)
        if place is not None:
            pages = self._frame if place.length_bytes == PAGE_BYTES else self._huge_frame
            del pages[place[:3]]
        return place

    def _split(self, frame: int) -> None:
        place = self._drop(frame)
        if place is not None:
            for number in range(_HUGE_FRAMES):
                offset_bytes = place.offset_bytes + number * PAGE_BYTES
                self._put_single(frame + number, place.vm, place.block, offset_bytes)
