"""Logs that a real QEMU wrote, of what a driver without a guest did: every event is known."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from tests.capture.qtest import (
    DEFLATE_QUEUE,
    INDIRECT,
    INFLATE_QUEUE,
    MEMORY_BYTES,
    NOT_RAM,
    PAGE_POISON,
    REPORTING,
    VERSION_1,
    halted_machine,
)
from tests.capture.segments import rows
from workbench.schema import CONFIG_POISON_OFFSET_BYTES, NO_ELEMENT, Kind
from workbench.trace import LOG_ARGUMENTS, read_trace
from workbench.trace.qemu_blocks import ONLY
from workbench.trace.qemu_log import LogOptions, import_qemu_log
from workbench.units import MIB, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.capture.qtest import Device
    from workbench.trace import Trace

pytestmark = pytest.mark.qemu

FEATURES = VERSION_1 | REPORTING | PAGE_POISON | INDIRECT
ACTUAL = 4


def logged(folder: Path, drive: Callable[[Device], None], *, tidy: bool = True) -> Trace:
    """Let a driver do something, and import what QEMU wrote about it."""
    log = folder / "qemu.log"
    with halted_machine(folder, arguments=["-D", str(log), *LOG_ARGUMENTS]) as (_, device):
        device.set_up(FEATURES)
        drive(device)
        device.used_count()  # Answered after all before it.
    import_qemu_log(log, folder / "x.trace", LogOptions({ONLY: MEMORY_BYTES} if tidy else {}))
    return read_trace(folder / "x.trace")


def inflate_and_report(device: Device) -> None:
    """Three pages into the balloon, two out of it, and two elements, one range of them not RAM."""
    device.fill(8 * MIB, 8 * MIB)
    device.tell(INFLATE_QUEUE, struct.pack("<3I", 0x900, 0x901, 0x905))
    device.report([(10 * MIB, PAGE_BYTES), (12 * MIB, 3 * PAGE_BYTES)])
    device.tell(DEFLATE_QUEUE, struct.pack("<2I", 0x900, 0x901))
    device.report([(NOT_RAM, PAGE_BYTES), (14 * MIB, 2 * PAGE_BYTES)])


def test_pages_of_the_balloon_tell_where_memory_begins(tmp_path: Path) -> None:
    """Their guest address and QEMU's own are both there, so every offset is right, unasked."""
    trace = logged(tmp_path, inflate_and_report)
    place = ("offset_bytes", "length_bytes", "status", "element")

    assert rows(trace, Kind.DISCARD, *place) == [
        (0x900 * PAGE_BYTES, PAGE_BYTES, 0, NO_ELEMENT),
        (0x901 * PAGE_BYTES, PAGE_BYTES, 0, NO_ELEMENT),
        (0x905 * PAGE_BYTES, PAGE_BYTES, 0, NO_ELEMENT),
        (10 * MIB, PAGE_BYTES, 0, 0),
        (12 * MIB, 3 * PAGE_BYTES, 0, 0),
        (14 * MIB, 2 * PAGE_BYTES, 0, 1),
    ]
    assert rows(trace, Kind.INFLATE, "offset_bytes", "length_bytes") == [
        (0x900 * PAGE_BYTES, PAGE_BYTES),
        (0x901 * PAGE_BYTES, PAGE_BYTES),
        (0x905 * PAGE_BYTES, PAGE_BYTES),
    ]
    assert rows(trace, Kind.REPORT, *place) == [
        (10 * MIB, PAGE_BYTES, 0, 0),
        (12 * MIB, 3 * PAGE_BYTES, 0, 0),
        (14 * MIB, 2 * PAGE_BYTES, 0, 1),
    ]
    probes = {probe.name: probe for probe in trace.manifest.probes}
    assert "as pages of the balloon show" in probes["ram_block_discard_range"].reason
    assert probes["virtio_balloon_handle_output"].events == 3
    assert probes["virtio_balloon_handle_output"].unattributed == 2


def test_a_range_that_qemu_did_not_discard_is_counted_as_lost(tmp_path: Path) -> None:
    """The log has its element's number of ranges, and not where it was."""
    trace = logged(tmp_path, inflate_and_report)

    assert trace.manifest.lost_events == 1
    assert {p.name: p.lost for p in trace.manifest.probes if p.lost} == {
        "virtqueue_pop": {"not_discarded": 1}
    }


def test_what_the_driver_wrote_is_there_as_far_as_the_log_says(tmp_path: Path) -> None:
    """A write of `actual` shows, one of poison_val does not; every status does, and the reset."""

    def drive(device: Device) -> None:
        device.write_config(ACTUAL, 0x123)
        device.write_config(CONFIG_POISON_OFFSET_BYTES, 0xAAAAAAAA)
        device.write_config(ACTUAL, 0x124)
        device.report([(10 * MIB, PAGE_BYTES)])
        device.write_config(CONFIG_POISON_OFFSET_BYTES, 0)
        device.report([(10 * MIB, PAGE_BYTES)])
        device.set_up(FEATURES)

    trace = logged(tmp_path, drive)
    probes = {probe.name: probe for probe in trace.manifest.probes}
    columns = ("offset_bytes", "length_bytes", "status")
    status = [value for (value,) in rows(trace, Kind.STATUS, "status") if value]

    assert rows(trace, Kind.CONFIG_WRITE, *columns) == [(ACTUAL, 4, 0x123), (ACTUAL, 4, 0x124)]
    assert probes["virtio_balloon_set_config"].unattributed == 2
    assert status == [1, 3, 0x0B, 0x0F] * 2
    assert len(rows(trace, Kind.RESET, "status")) == 2
    assert rows(trace, Kind.REPORT, "element") == [(1,)]  # The poisoned one was element 0.
    assert trace.manifest.lost_events == 1


def test_without_the_memory_it_is_at_least_what_was_discarded(tmp_path: Path) -> None:
    trace = logged(tmp_path, inflate_and_report, tidy=False)
    machine = trace.manifest.virtual_machines[0]

    assert machine.memory_bytes == machine.ram_blocks[0].used_bytes == 16 * MIB
    assert machine.device.free_page_reporting is True
    assert trace.manifest.mid_life


def test_reports_of_which_nothing_was_discarded_are_not_passed_over(tmp_path: Path) -> None:
    """No discard tells which queue they came from; that they may have been there is said."""

    def drive(device: Device) -> None:
        device.write_config(CONFIG_POISON_OFFSET_BYTES, 0xAAAAAAAA)
        device.report([(10 * MIB, PAGE_BYTES)])
        device.report([(12 * MIB, PAGE_BYTES), (14 * MIB, PAGE_BYTES)])

    trace = logged(tmp_path, drive)
    probes = {probe.name: probe for probe in trace.manifest.probes}

    assert rows(trace, Kind.REPORT, "element") == []
    assert probes["virtqueue_pop"].unattributed == 2
    assert "2 elements may be reports" in probes["virtqueue_pop"].reason
