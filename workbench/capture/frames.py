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
    """Frames that hold guest RAM.

    A huge page is one entry until a part of it goes its own way: Linux swaps a whole one out in
    one piece, and splits one that was partly discarded first (mm/vmscan.c, shrink_folio_list).
    """

    def __init__(self) -> None:
        self._single: dict[int, Place] = {}
        self._huge: dict[int, Place] = {}
        self._frame_of_huge: dict[tuple[int, int, int], int] = {}

    def put(self, frame: int, order: int, vm: int, block: int, offset_bytes: int) -> None:
        """Note that 2**order frames from `frame` on now hold the pages around `offset_bytes`."""
        length_bytes = PAGE_BYTES << order
        place = Place(vm, block, offset_bytes - offset_bytes % length_bytes, length_bytes)
        # The host would not hand out a frame of a huge page that is still in use.
        self._drop_huge(frame - frame % _HUGE_FRAMES)
        if order == HUGE_PAGE_ORDER:
            replaced = self._frame_of_huge.get(place[:3])
            if replaced is not None:
                self._drop_huge(replaced)
            self._huge[frame] = place
            self._frame_of_huge[place[:3]] = frame
            return
        for number in range(1 << order):
            offset = place.offset_bytes + number * PAGE_BYTES
            self._single[frame + number] = Place(vm, block, offset, PAGE_BYTES)

    def forget(self, vm: int, block: int, offset_bytes: int, length_bytes: int) -> None:
        """Note that a range was discarded.

        Huge pages that lie wholly in it are gone; others are single pages from now on.  Frames of
        single pages keep their entry until the host gives them to somebody else, who then goes
        first: a frame that is not allocated cannot be swapped out.
        """
        first = offset_bytes - offset_bytes % HUGE_PAGE_BYTES
        stop_bytes = offset_bytes + length_bytes
        for start in range(first, stop_bytes, HUGE_PAGE_BYTES):
            frame = self._frame_of_huge.pop((vm, block, start), None)
            if frame is None:
                continue
            if start < offset_bytes or start + HUGE_PAGE_BYTES > stop_bytes:
                self._split(frame)
            else:
                del self._huge[frame]

    def take(self, frame: int) -> Place | None:
        """Say what `frame`, the first of what goes to swap, held, and forget it."""
        huge = self._drop_huge(frame)
        if huge is not None:
            return huge
        head = frame - frame % _HUGE_FRAMES
        if head in self._huge:
            self._frame_of_huge.pop(self._huge[head][:3])
            self._split(head)
        return self._single.pop(frame, None)

    def _drop_huge(self, frame: int) -> Place | None:
        place = self._huge.pop(frame, None)
        if place is not None:
            self._frame_of_huge.pop(place[:3])
        return place

    def _split(self, frame: int) -> None:
        place = self._huge.pop(frame)
        for number in range(_HUGE_FRAMES):
            offset = place.offset_bytes + number * PAGE_BYTES
            self._single[frame + number] = Place(place.vm, place.block, offset, PAGE_BYTES)
