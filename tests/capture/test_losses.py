"""What is recorded and what is lost is all there was: whoever made the events says how many.

The halted machine's driver offers elements as fast as the device takes them, and knows how many
ranges they had; a process touches pages, and knows how many.
"""

from __future__ import annotations

import functools
import mmap
import os
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from tests.capture.qtest import (
    INDIRECT,
    PAGE_POISON,
    REPORTING,
    VERSION_1,
    Device,
    halted_machine,
)
from tests.capture.segments import rows
from workbench.capture import recorder
from workbench.capture.host import mounted_tracefs
from workbench.capture.privileges import require_privileges
from workbench.capture.probe import Probes, load_probes
from workbench.capture.recorder import Capture, Origin, Target
from workbench.capture.records import Source
from workbench.schema import Kind
from workbench.trace import Probe, Trace, read_trace
from workbench.units import MIB, NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live

FIRST: Final = 4 * MIB
ELEMENTS: Final = 32
"""In the ring at once, which is as many as fit."""

SMALL_RING_PAGES: Final = 16
"""64 KiB: 900 records."""

RATE_MIN: Final = 100_000
"""Events a second, while they come."""


def poisoned(device: Device, *, range_count: int, kick_count: int) -> int:
    """Report whatever is there while a pattern forbids to discard it; gives how many ranges."""
    device.write_config(12, 0xAAAAAAAA)
    produced = report(device, range_count=range_count, kick_count=kick_count)
    device.write_config(12, 0)
    return produced


def report(device: Device, *, range_count: int, kick_count: int) -> int:
    """Report the same ranges over and over; gives how many, once all have been returned."""
    ranges = [(FIRST + number * PAGE_BYTES, PAGE_BYTES) for number in range(range_count)]
    device.offer([ranges] * ELEMENTS)
    before = device.used_count()
    for _ in range(kick_count):
        device.kick(ELEMENTS)
    returned = (device.used_count() - before) % (1 << 16)
    assert returned == ELEMENTS * kick_count
    return returned * range_count


def balloon_probe(trace: Trace) -> Probe:
    """What the manifest says of the probe of the balloon."""
    (found,) = (probe for probe in trace.manifest.probes if probe.name == "balloon")
    return found


def captured_burst(folder: Path) -> tuple[Trace, int, int]:
    """Capture more than comes in a day; give how many ranges were discarded and ignored, too."""
    with (
        halted_machine(folder) as (process, device),
        Capture([Target(pid=process.pid)], folder / "x.trace", Origin(command="test")),
    ):
        device.set_up(VERSION_1 | REPORTING | PAGE_POISON | INDIRECT)
        discarded = report(device, range_count=32, kick_count=60)
        ignored = poisoned(device, range_count=1024, kick_count=9)
    return read_trace(folder / "x.trace"), discarded, ignored


def test_a_hundred_thousand_events_a_second_are_recorded_whole(tmp_path: Path) -> None:
    """Every range and every discard of 400,000 events; nothing is lost."""
    trace, discarded, ignored = captured_burst(tmp_path)
    times = np.array(rows(trace, Kind.REPORT, "time_ns")).ravel()[discarded:]
    rate = times.size / (times[-1] - times[0]) * NANOSECONDS

    assert trace.manifest.lost_events == 0
    assert len(rows(trace, Kind.DISCARD, "status")) == discarded
    assert len(times) == ignored
    assert rate >= RATE_MIN, f"{rate:,.0f} events a second"


def test_what_a_small_ring_does_not_hold_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each kind: what is in the trace, and what its manifest says was lost, is all there was."""
    small = functools.partial(load_probes, ring_pages=SMALL_RING_PAGES)
    monkeypatch.setattr(recorder, "load_probes", small)
    trace, discarded, ignored = captured_burst(tmp_path)
    lost = balloon_probe(trace).lost
    recorded = {kind: len(rows(trace, kind, "status")) for kind in (Kind.REPORT, Kind.DISCARD)}

    assert recorded[Kind.REPORT] + lost["report_range: ring_full"] == discarded + ignored
    assert recorded[Kind.DISCARD] + lost["discard: ring_full"] == discarded
    assert min(*recorded.values(), *lost.values()) > 0
    assert trace.manifest.lost_events == sum(lost.values())


@pytest.fixture
def probes() -> Iterator[Probes]:
    """Probes that see no guest, with a ring for 58,000 records."""
    with mounted_tracefs():
        require_privileges()
        loaded = load_probes(ring_pages=1024)
        try:
            yield loaded
        finally:
            loaded.close()


def test_every_touch_of_a_page_is_recorded_or_counted(probes: Probes) -> None:
    """As many faults as pages; when nobody empties the ring meanwhile, the rest is counted."""
    page_count = 10_000
    size = page_count * PAGE_BYTES
    produced = recorded = 0
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        area.madvise(mmap.MADV_NOHUGEPAGE)
        pages = np.frombuffer(area, np.uint8)[::PAGE_BYTES]
        address = pages.ctypes.data
        with probes.watching(os.getpid(), address, size):
            for rounds in (1, 1, 20):
                for _ in range(rounds):
                    area.madvise(mmap.MADV_DONTNEED)
                    pages[:] = 1
                produced += rounds * page_count
                records = probes.read()
                own = records[records["process"] == os.getpid()]
                recorded += int((own["source"] == Source.FAULT).sum())
                if rounds == 1:
                    assert recorded == produced
        del pages
    (memory,) = (probe for probe in probes.facts() if probe.name == "memory")

    assert recorded + memory.lost["fault: ring_full"] == produced
    assert recorded > 2 * page_count
