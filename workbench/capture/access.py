"""Which pages of guest RAM the guest accessed, from the maps of QEMU's access plugin.

The plugin (workbench/lab/access.c) marks each page in a file of shared memory: a header of a page,
then two maps of a byte per page of guest RAM.  The header begins with the number of the interval;
in an even one the plugin writes the first map.  We go to the next, read the map of the one before,
and clear it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.errors import HostError
from workbench.schema import NO_ELEMENT, Kind
from workbench.units import NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from workbench.capture.qemu import Qemu

ACCESS_INTERVAL_NS: Final = NANOSECONDS // 5
"""Recency to a fifth of a second: shorter than a scenario's shortest pauses."""

ACCESS_SOURCE: Final = "the access plugin of QEMU's TCG"
"""The only source so far: a host's kernel can say which pages were accessed (Linux idle page
tracking, DAMON), but not for emulated guests which of them the guest accessed and not QEMU."""

FIRST_INTERVAL: Final = 2
"""Even, and not 0, which the plugin's memory of addresses begins with."""

_HEADER_BYTES: Final = 4096

_READ: Final = 1
"""What the plugin writes: 1 read, 2 written."""


def make_access_map(path: Path, memory_bytes: int) -> None:
    """Make the file for a guest of this size; the plugin sees from it how many pages there are."""
    with path.open("wb") as file:
        file.write(FIRST_INTERVAL.to_bytes(8, "little"))
        file.truncate(_HEADER_BYTES + 2 * (memory_bytes // PAGE_BYTES))


class AccessMap:
    """The marks of one guest."""

    def __init__(self, path: Path) -> None:
        content = np.memmap(path, np.uint8, "r+")
        self._interval = content[:_HEADER_BYTES].view(np.uint64)
        self._maps = content[_HEADER_BYTES:].reshape(2, -1)

    def take(self) -> npt.NDArray[np.uint8]:
        """Give the marks since the last call, a byte per page: 0 none, 1 read, 2 written."""
        read = int(self._interval[0]) % 2
        self._interval[0] += 1
        marks = np.array(self._maps[read])
        self._maps[read] = 0
        return marks


def accessed_ranges(
    marks: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Join neighbouring pages of one mark: first page, number of pages, 1 if written else 0."""
    starts = np.flatnonzero(np.diff(marks, prepend=np.uint8(0)))
    lengths = np.diff(starts, append=marks.size)
    mark = marks[starts].astype(np.int64)
    is_accessed = mark != 0
    return starts[is_accessed], lengths[is_accessed], mark[is_accessed] - _READ


@dataclass(slots=True)
class AccessSampler:
    """Collects ACCESS events of the table `events`, of the guests (keys) that have a map."""

    maps: Mapping[int, AccessMap]
    _parts: list[npt.NDArray[np.int64]] = field(default_factory=list)
    _next_ns: int = 0

    def sample(self, now_ns: int) -> None:
        """Take the marks of every guest, if it is time; the first time they are only cleared."""
        if now_ns < self._next_ns:
            return
        is_first, self._next_ns = self._next_ns == 0, now_ns + ACCESS_INTERVAL_NS
        for vm, access_map in self.maps.items():
            first_page, page_count, written = accessed_ranges(access_map.take())
            rows = np.empty((len(first_page), 5), np.int64)
            rows[:, 0], rows[:, 1] = now_ns, vm
            rows[:, 2], rows[:, 3], rows[:, 4] = first_page, page_count, written
            if not is_first:
                self._parts.append(rows)

    def take_columns(self) -> dict[str, npt.NDArray[np.int64]]:
        """Give the events since the last call, as columns of the trace."""
        rows = np.concatenate([np.zeros((0, 5), np.int64), *self._parts])
        self._parts.clear()
        return {
            "time_ns": rows[:, 0],
            "vm": rows[:, 1],
            "offset_bytes": rows[:, 2] * PAGE_BYTES,
            "length_bytes": rows[:, 3] * PAGE_BYTES,
            "status": rows[:, 4],
            "kind": np.full(len(rows), Kind.ACCESS),
            "element": np.full(len(rows), NO_ELEMENT),
        }


def open_access_maps(paths: Mapping[int, Path], qemus: Mapping[int, Qemu]) -> dict[int, AccessMap]:
    """Open the maps of the guests that have one.

    Raises
    ------
    HostError
        A guest has several blocks of RAM, which its map does not tell apart.
    """
    for vm in paths:
        if len(qemus[vm].blocks) != 1:
            raise HostError(
                f"pid {qemus[vm].pid} has {len(qemus[vm].blocks)} blocks of RAM; accesses can be "
                "recorded of a guest with one"
            )
    return {vm: AccessMap(path) for vm, path in paths.items()}
