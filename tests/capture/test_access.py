"""The marks of QEMU's access plugin: taken, cleared, and joined into events."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from workbench.capture.access import (
    ACCESS_INTERVAL_NS,
    AccessMap,
    AccessSampler,
    accessed_ranges,
    make_access_map,
    open_access_maps,
)
from workbench.errors import HostError
from workbench.schema import Kind
from workbench.units import PAGE_BYTES

PAGES = 16
HEADER_BYTES = 4096
START_NS = 10**9


@pytest.fixture
def path(tmp_path):
    """The file of a guest with 16 pages."""
    make_access_map(tmp_path / "accesses", PAGES * PAGE_BYTES)
    return tmp_path / "accesses"


class Plugin:
    """Marks pages as QEMU's plugin does: in the map of the interval that the header names."""

    def __init__(self, path):
        self.content = np.memmap(path, np.uint8, "r+")

    def mark(self, marks):
        """Mark pages (keys) as read (1) or written (2)."""
        interval = int.from_bytes(self.content[:8].tobytes(), "little")
        for page, access in marks.items():
            self.content[HEADER_BYTES + interval % 2 * PAGES + page] = access


def taken(access_map):
    """The pages that were marked, and how."""
    marks = access_map.take()
    return {int(page): int(marks[page]) for page in np.flatnonzero(marks)}


def test_every_mark_is_given_once(path) -> None:
    """Each interval has its own marks, whichever of the two maps they are in."""
    plugin, access_map = Plugin(path), AccessMap(path)
    found = []
    for marks in ({0: 1, 15: 2}, {0: 2}, {}, {7: 1}):
        plugin.mark(marks)
        found.append(taken(access_map))

    assert found == [{0: 1, 15: 2}, {0: 2}, {}, {7: 1}]


def test_neighbours_of_one_mark_are_one_range() -> None:
    """A range ends where the mark changes, and at the end of memory."""
    first, count, written = accessed_ranges(np.array([0, 2, 2, 1, 0, 1, 1, 2], np.uint8))

    assert list(zip(first.tolist(), count.tolist(), written.tolist(), strict=True)) == [
        (1, 2, 1),
        (3, 1, 0),
        (5, 2, 0),
        (7, 1, 1),
    ]


@pytest.mark.parametrize("mark", [0, 1, 2])
def test_all_pages_alike_are_one_range_or_none(mark) -> None:
    """Also from the first page on."""
    ranges = [column.tolist() for column in accessed_ranges(np.full(4, mark, np.uint8))]
    assert ranges == ([[0], [4], [mark - 1]] if mark else [[], [], []])


def test_samples_become_events_of_the_guests_that_have_a_map(path) -> None:
    """What was before the first sample is nobody's; a sample is taken when it is time."""
    plugin = Plugin(path)
    sampler = AccessSampler({1: AccessMap(path)})
    plugin.mark({3: 2})
    sampler.sample(START_NS)
    plugin.mark({4: 2, 5: 2, 6: 1})
    sampler.sample(START_NS + ACCESS_INTERVAL_NS // 2)
    sampler.sample(START_NS + ACCESS_INTERVAL_NS)
    events = sampler.take_columns()

    assert events["time_ns"].tolist() == [START_NS + ACCESS_INTERVAL_NS] * 2
    assert events["vm"].tolist() == [1, 1]
    assert events["kind"].tolist() == [Kind.ACCESS] * 2
    assert events["offset_bytes"].tolist() == [4 * PAGE_BYTES, 6 * PAGE_BYTES]
    assert events["length_bytes"].tolist() == [2 * PAGE_BYTES, PAGE_BYTES]
    assert events["status"].tolist() == [1, 0]
    assert sampler.take_columns()["time_ns"].size == 0


def test_a_guest_with_two_blocks_is_refused(path) -> None:
    """Its map could not say in which of them a page is."""
    qemus = (SimpleNamespace(pid=7, blocks=(1,)), SimpleNamespace(pid=8, blocks=(1, 2)))

    assert list(open_access_maps({0: path}, qemus)) == [0]
    with pytest.raises(HostError, match="pid 8 has 2 blocks"):
        open_access_maps({1: path}, qemus)
