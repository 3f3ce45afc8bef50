"""Every kind of event, of two real guests at once, against what others say happened.

The first reports, inflates, deflates, hands in statistics and hints while it migrates.  The memory
of the second is locked: of what it reports, QEMU discards nothing, and says so each time.
"""

from __future__ import annotations

import queue
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from tests.live.guest_sessions import (
    Received,
    hear_until_all,
    logged,
    migrated_away,
    ram_address,
    set_balloon,
    start_logging,
    take_statistics,
)
from tests.live.second_observer import SecondObserver
from workbench.capture.host import mounted_tracefs
from workbench.capture.recorder import Capture, Origin, Target
from workbench.lab import LabSettings, parse_scenario
from workbench.lab.kernel import guest_kernel
from workbench.lab.machine import Line, Machine, running_machine
from workbench.schema import Feature, Kind
from workbench.trace import Trace, read_trace
from workbench.units import MIB, PAGE_BYTES
from workbench.validation.stream_reader import StreamReader, read_stream
from workbench.validation.trace_log import parse_trace

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

pytestmark = pytest.mark.live

MEMORY_BYTES = 256 * MIB
PAGE_COUNT = MEMORY_BYTES // PAGE_BYTES
SCENARIO = "take work 48M\nfree work\nidle 3\n"
BALLOON_BYTES = 16 * MIB

LOGGED = (
    "ram_block_discard_range",
    "virtio_balloon_handle_output",
    "virtio_set_status",
    "migration_bitmap_sync_start",
    "memory_region_ops_write",
)

ERRORS = "qemu-system-x86_64: "
"""What QEMU's complaints begin with."""

MIGRATION_BYTES_PER_SECOND = 16 * MIB
IN_FLIGHT_BYTES = MIB
"""What QEMU can have sent that has not been received: its buffer of 32 KiB, and twice that of a
socket (Linux net/core/sock.c, SK_RMEM_MAX: 208 KiB)."""

RESET = b"14 value 0x0 size 1 name 'virtio-pci-common-virtio-balloon'"
"""The driver writes the status 0 (virtio 1.2, 4.1.4.3, device_status at 0x14; 2.4)."""

STATISTICS = ("swap-in", "swap-out", "major-faults", "minor-faults", "free-memory", "total-memory")
STATISTICS += ("available-memory", "disk-caches", "htlb-pgalloc", "htlb-pgfail")
"""By tag (virtio 1.2, 5.5.6.4), as QEMU names them."""


class Session(NamedTuple):
    """Two guests, and everybody's account of them."""

    trace: Trace
    logs: list[dict[str, list[bytes]]]
    ram_addresses: list[int]
    observers: list[SecondObserver]
    statistics: dict[str, int]
    received: Received

    def rows(self, vm: int, kinds: tuple[Kind, ...], *names: str) -> list[tuple[int, ...]]:
        """The chosen columns of a guest's events of some kinds."""
        events = self.trace.columns("events")
        chosen = (events["vm"] == vm) & np.isin(events["kind"], kinds)
        return list(zip(*(events[name][chosen].tolist() for name in names), strict=True))


def settings(*, hints: bool) -> LabSettings:
    """What the lab starts."""
    return LabSettings(
        scenario=parse_scenario(SCENARIO, name="events"),
        memory_bytes=MEMORY_BYTES,
        poison="init_on_free" if hints else "none",
        free_page_hint=hints,
        reporting_order=None if hints else 6,
        settle_s=3,
    )


def play(machine: Machine) -> tuple[dict[str, int], Received]:
    """What the first guest does besides its scenario."""
    statistics = take_statistics(machine.qmp)["stats"]
    set_balloon(machine.qmp, MEMORY_BYTES - BALLOON_BYTES)
    set_balloon(machine.qmp, MEMORY_BYTES)
    with migrated_away(machine.qmp, machine.folder, MIGRATION_BYTES_PER_SECOND) as received:
        pass
    return statistics, received


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Both guests from their first instruction to the end of the migration."""
    folder: Path = tmp_path_factory.mktemp("events")
    kernel = guest_kernel(lambda _: None)
    lines: queue.SimpleQueue[Line] = queue.SimpleQueue()
    with ExitStack() as stack:
        stack.enter_context(mounted_tracefs())
        machines = []
        for vm, hints in enumerate((True, False)):
            (folder / str(vm)).mkdir()
            machine = running_machine(
                settings(hints=hints),
                vm=vm,
                kernel=kernel,
                folder=folder / str(vm),
                accelerator="tcg",
                lines=lines,
                more_arguments=() if hints else ("-overcommit", "mem-lock=on"),
            )
            machines.append(stack.enter_context(machine))
        observers = [stack.enter_context(SecondObserver(machine.pid)) for machine in machines]
        targets = [Target(pid=machine.pid) for machine in machines]
        with Capture(targets, folder / "x.trace", Origin(command="test", mid_life=False)):
            for machine in machines:
                start_logging(machine, LOGGED)
                machine.qmp.execute("cont")
            hear_until_all("QUIET", len(machines), lines)
            statistics, received = play(machines[0])
            for machine in machines:
                machine.qmp.execute("stop")
        addresses = [ram_address(machine.qmp) for machine in machines]
        names = (*LOGGED, ERRORS)
        logs = [{name: logged(machine, name) for name in names} for machine in machines]
    trace = read_trace(folder / "x.trace")
    return Session(trace, logs, addresses, observers, statistics, received)


def test_nothing_was_lost(session: Session) -> None:
    """Else the others' accounts could not be equal."""
    assert session.trace.manifest.lost_events == 0


def test_the_kernel_counts_how_often_the_probes_run(session: Session) -> None:
    """Faults come in every second; reports may all be in seconds that are not counted."""
    (memory,) = (probe for probe in session.trace.manifest.probes if probe.name == "memory")

    assert memory.run_count
    assert memory.run_time_ns
    assert memory.run_time_ns > memory.run_count  # A run takes more than a nanosecond.


def test_the_discards_are_those_of_qemus_own_trace(session: Session) -> None:
    """One by one, in order, with the same ranges: none missing, none extra."""
    for vm in (0, 1):
        lines = session.logs[vm]["ram_block_discard_range"]
        said = parse_trace(lines, {"pc.ram": session.ram_addresses[vm]})
        found = session.rows(vm, (Kind.DISCARD,), "status", "offset_bytes", "length_bytes")

        done = [(offset, length) for status, offset, length in found if status == 0]
        assert done == [line[2:4] for line in said]
        assert bool(done) == (vm == 0)


def test_the_failed_discards_are_those_qemu_complains_about(session: Session) -> None:
    """In number, range and result."""
    lines = b"\n".join(session.logs[1][ERRORS]).decode()
    said = re.findall(r"Failed to discard range pc\.ram:(\w+) \+(\w+) \((-\d+)\)", lines)
    found = session.rows(1, (Kind.DISCARD,), "offset_bytes", "length_bytes", "status")

    assert found == [(int(a, 16), int(b, 16), int(c)) for a, b, c in said]
    assert len(found) > 20
    assert session.logs[0][ERRORS] == []


def test_the_reported_ranges_are_those_a_second_observer_saw(session: Session) -> None:
    """Where QEMU returns elements it has what it had where it took them."""
    for vm in (0, 1):
        reported = session.rows(vm, (Kind.REPORT,), "offset_bytes", "length_bytes")

        assert len(reported) > 20
        assert reported in session.observers[vm].ranges.values()


def test_the_balloons_pages_are_those_of_qemus_own_trace(session: Session) -> None:
    """Inflated and deflated, one by one, in order; and as many discards as inflated pages."""
    lines = session.logs[0]["virtio_balloon_handle_output"]
    said = [line[2] for line in parse_trace(lines, {})]
    found = session.rows(0, (Kind.INFLATE, Kind.DEFLATE), "kind", "offset_bytes")
    inflated = [offset for kind, offset in found if kind == Kind.INFLATE]
    discards = session.rows(0, (Kind.DISCARD,), "element", "offset_bytes")

    assert [offset for _, offset in found] == said
    assert len(inflated) == len(found) - len(inflated) == BALLOON_BYTES // PAGE_BYTES
    assert [offset for element, offset in discards if element == -1] == inflated


def test_the_statistics_are_those_qemu_has(session: Session) -> None:
    """What was handed in last, by tag."""
    told = session.rows(0, (Kind.STATISTIC,), "offset_bytes", "status")
    last = {f"stat-{STATISTICS[tag]}": value for tag, value in told if tag < len(STATISTICS)}

    assert last.items() <= session.statistics.items()
    assert last["stat-total-memory"] > MEMORY_BYTES // 2


def test_registers_are_written_as_qemu_logs_it(session: Session) -> None:
    """Every status, and every write to the config space: poison_val, and the balloon's size."""
    write = re.compile(rb"addr 0x\w*(\w{3}) value (0x\w+) size (\d) name 'virtio-pci-device-")
    for vm in (0, 1):
        statuses = [int(line.split()[-1]) for line in session.logs[vm]["virtio_set_status"]]
        writes = [
            (int(found[1], 16), int(found[3]), int(found[2], 16))
            for line in session.logs[vm]["memory_region_ops_write"]
            if (found := write.search(line))
        ]
        captured = session.rows(vm, (Kind.CONFIG_WRITE,), "offset_bytes", "length_bytes", "status")

        assert [status for (status,) in session.rows(vm, (Kind.STATUS,), "status")] == statuses
        assert captured == writes
        resets = [line for line in session.logs[vm]["memory_region_ops_write"] if RESET in line]
        assert len(session.rows(vm, (Kind.RESET,), "vm")) == len(resets) > 0
        features = session.rows(vm, (Kind.FEATURES,), "status")[-1][0]
        assert features >> Feature.REPORTING & 1
        assert features >> Feature.FREE_PAGE_HINT & 1 == (vm == 0)
    assert (12, 4, 0) in session.rows(
        0, (Kind.CONFIG_WRITE,), "offset_bytes", "length_bytes", "status"
    )


def test_a_migration_has_its_points_in_order(session: Session) -> None:
    """Asked for written pages as often as QEMU logs it; hints come between start and stop."""
    kinds = (Kind.MIGRATION_START, Kind.BITMAP_SYNC, Kind.PRECOPY_COMPLETE, Kind.MIGRATION_END)
    points = [Kind(kind) for (kind,) in session.rows(0, kinds, "kind")]
    commands = [status for (status,) in session.rows(0, (Kind.HINT_COMMAND,), "status")]
    syncs = session.logs[0]["migration_bitmap_sync_start"]

    assert points[:2] == [Kind.BITMAP_SYNC, Kind.MIGRATION_START]
    assert points[-3:] == [Kind.PRECOPY_COMPLETE, Kind.BITMAP_SYNC, Kind.MIGRATION_END]
    assert points.count(Kind.BITMAP_SYNC) == len(syncs) >= 2
    assert session.rows(0, (Kind.MIGRATION_END,), "status") == [(1,)]
    # QEMU 7.2 virtio-balloon.c: ids count from 0x80000001; Linux says 0 when it has told all.
    assert commands[0] == 0x80000001
    assert 0 in commands


def sent_at(reader: StreamReader, page_count: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Which pages of guest RAM were sent, and at which byte of the stream each, in that order."""
    pages, places, place = [], [], 0
    for page in reader.sent:
        place = page.at if page.at is not None else place
        if page.block == "pc.ram":
            pages.append(page.offset_bytes // PAGE_BYTES)
            places.append(place)
    assert max(pages) < page_count
    return np.array(pages), np.array(places)


def sent_in_spite(session: Session, hints: list[tuple[int, ...]]) -> int:
    """How often a page was sent that a hint (time, offset, length) should have kept back.

    QEMU asks which pages were written; a hinted page is sent after that only if it was.  When
    a byte of the stream was sent is known to what can be on its way.
    """
    times, sizes = np.array(session.received.times).T
    pages, places = sent_at(read_stream(bytes(session.received.content)), PAGE_COUNT)
    syncs = np.array(session.rows(0, (Kind.BITMAP_SYNC,), "time_ns")).ravel()
    received = np.append(0, sizes)
    is_wrong = np.zeros(pages.size, np.bool_)
    for time_ns, offset, length in hints:
        first, stop = offset // PAGE_BYTES, (offset + length) // PAGE_BYTES
        later = syncs[syncs > time_ns]
        began = received[np.searchsorted(times, time_ns)] + IN_FLIGHT_BYTES
        asked = received[np.searchsorted(times, later[0])] if later.size else np.inf
        is_own = (pages >= first) & (pages < stop)
        is_wrong |= is_own & (places > began) & (places < asked)
    return int(is_wrong.sum())


def test_what_was_hinted_is_what_the_stream_left_out(session: Session) -> None:
    """Apart from what had been sent before the hint, or was sent after QEMU asked again."""
    pages, _ = sent_at(read_stream(bytes(session.received.content)), PAGE_COUNT)
    hints = session.rows(0, (Kind.HINT_RANGE,), "time_ns", "offset_bytes", "length_bytes")
    hinted = np.zeros(PAGE_COUNT, np.bool_)
    for _, offset, length in hints:
        hinted[offset // PAGE_BYTES : (offset + length) // PAGE_BYTES] = True
    left_out = np.ones(PAGE_COUNT, np.bool_)
    left_out[pages] = False

    assert not (left_out & ~hinted).any()
    assert (hinted & left_out).sum() > hinted.sum() // 2
    assert sent_in_spite(session, hints) == 0


def test_a_hint_that_was_none_would_be_found(session: Session) -> None:
    """If all memory had been hinted when the migration began, its stream would not be this one."""
    ((began_ns,),) = session.rows(0, (Kind.MIGRATION_START,), "time_ns")

    assert sent_in_spite(session, [(began_ns, 0, MEMORY_BYTES)]) > 1000
