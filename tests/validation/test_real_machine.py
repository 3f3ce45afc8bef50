"""A real QEMU is started, driven, looked into, and ended."""

import os
import signal
import struct
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest

from workbench.errors import HostError
from workbench.model.balloon.offer import Properties
from workbench.units import GIB, HUGE_PAGE_BYTES, MIB
from workbench.validation.abilities import NotBuildableError
from workbench.validation.huge_pages import huge_pages
from workbench.validation.real_machine import (
    LEGACY_PORT,
    MODERN_ADDRESS,
    QEMU,
    RealMachine,
    ending_with,
)
from workbench.validation.setup import Backend, Setup
from workbench.validation.wire import MachineDiedError, MachineStuckError

pytestmark = pytest.mark.qemu

REPORTING = Properties(free_page_reporting=True)
REPORT_QUEUE = 3
RINGS = 0x8000
"""Guest address of the rings; everything else is above 1 MiB."""

WRITE = 2
NEXT = 1
FILL = 0xA5

SECONDS_MAX = 10.0


@pytest.mark.parametrize(("parent", "said"), [(os.getpid(), "it runs\n"), (1 << 30, "")])
def test_what_is_run_for_a_parent_that_has_gone_is_not_run(parent, said):
    """Killed between starting it and its asking the kernel to end with us, we would leave it."""
    command = ending_with(parent, ["echo", "it runs"])

    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == said


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may lock so much memory")


@contextmanager
def running(folder, *, timeout_s=SECONDS_MAX, **setup):
    """Start a machine; huge pages are there if it needs any."""
    given = Setup(**{"properties": REPORTING} | setup)
    with ExitStack() as stack:
        if given.huge_page_count:
            try:
                stack.enter_context(huge_pages(given.huge_page_count))
            except HostError as error:
                pytest.skip(str(error))
        yield stack.enter_context(RealMachine(given, folder=folder, timeout_s=timeout_s))


def set_up(features=1 << 32 | 1 << 5 | 1 << 4):
    """Give the accesses that negotiate features and enable the reporting queue."""
    at = MODERN_ADDRESS
    accesses = [("writeb", at + 0x14, status) for status in (0, 1, 3)]
    for half in (0, 1):
        accesses += [
            ("writel", at + 8, half),
            ("writel", at + 12, features >> 32 * half & 0xFFFFFFFF),
        ]
    accesses += [("writeb", at + 0x14, 0x0B), ("memset", RINGS, 0x3000, 0)]
    accesses += [("writew", at + 0x16, REPORT_QUEUE)]
    for offset, address in ((0x20, RINGS), (0x28, RINGS + 0x1000), (0x30, RINGS + 0x2000)):
        accesses += [("writeq", at + offset, address)]
    return [*accesses, ("writew", at + 0x1C, 1), ("writeb", at + 0x14, 0x0F)]


def report(*ranges):
    """Give the accesses that report one element, the first, of (guest address, length) ranges."""
    table = b"".join(
        struct.pack("<QIHH", address, length, WRITE | (NEXT if row < len(ranges) else 0), row)
        for row, (address, length) in enumerate(ranges, 1)
    )
    return [
        ("write", RINGS, table),
        ("writel", RINGS + 0x1004, 0),
        ("writew", RINGS + 0x1002, 1),
        ("writew", MODERN_ADDRESS + 0x3000 + 4 * REPORT_QUEUE, 0),
        ("readw", RINGS + 0x2002),
    ]


METHODS = {
    "anonymous": (True, False),
    "memfd": (True, True),
    "file": (True, True),
    "hugetlb": (False, True),
}
"""Whether memory of a kind is given back by madvise, and by fallocate."""


def discards(machine):
    """Blocks, offsets and lengths of what was discarded since the last look."""
    return [line[:4] for line in machine.take_trace() if line[0] == "discard"]


@pytest.mark.parametrize("shared", [False, True], ids=["private", "shared"])
@pytest.mark.parametrize("kind", METHODS)
def test_memory_of_every_kind_is_given_back(tmp_path, kind, shared):
    address, length = 2 * HUGE_PAGE_BYTES, HUGE_PAGE_BYTES
    backend = Backend(size_bytes=16 * MIB, kind=kind, shared=shared)
    with running(tmp_path, memory=(backend,)) as machine:
        fill = [("memset", address - 16, length + 32, FILL)]
        answers = machine.execute([*set_up(), *fill, *report((address, length))])
        content = machine.read_blocks()["m0"]

        assert answers[-1] == 1
        assert machine.take_trace() == [("discard", "m0", address, length, *METHODS[kind])]
        assert machine.take_trace() == []
        assert content[address : address + length].count(0) == length
        assert content[address - 16 : address] == bytes((FILL,)) * 16
        assert content[address + length : address + length + 16] == bytes((FILL,)) * 16
        (block,) = [block for block in machine.ram_blocks() if block.name == "m0"]
        assert block.page_bytes == (HUGE_PAGE_BYTES if kind == "hugetlb" else 4096)
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_is_read_by_every_way(tmp_path):
    data = bytes(range(256)) * 5
    with running(tmp_path) as machine:
        answers = machine.execute(
            [
                ("write", 0x123456, data),
                ("read", 0x123456, len(data)),
                ("writel", 0x200001, 0x11223344),
                ("readw", 0x200001),
                ("readb", 0x200004),
                ("writeq", 0x300000, 1 << 63 | 5),
                ("readq", 0x300000),
                ("inl", LEGACY_PORT),
                ("readw", MODERN_ADDRESS + 0x12),
            ]
        )
        blocks = machine.read_blocks()

        assert answers[:7] == [None, data, None, 0x3344, 0x11, None, 1 << 63 | 5]
        assert answers[7] & 1 << 5  # The legacy register offers reporting, ...
        assert answers[8] == 4  # ... and the modern one counts its queue.
        assert blocks["m0"][0x123456 : 0x123456 + len(data)] == data
        assert len(blocks["m0"]) == 16 * MIB
        assert blocks["pc.bios"][0xFFF0:0xFFF4] == b"\xfa\xf4\xeb\xfd"
        machine.execute([("memset", 0x123456, 16, 7)])
        assert machine.read_blocks()["m0"] is blocks["m0"]  # One set of buffers, used again.
        assert blocks["m0"][0x123456 : 0x123456 + 16] == b"\7" * 16


@pytest.mark.parametrize("shared", [False, True], ids=["private", "shared"])
@pytest.mark.parametrize("kind", METHODS)
def test_memory_that_is_read_in_part_is_what_is_read_in_full(tmp_path, kind, shared):
    """What QEMU does not hold is taken for zeros where that is sure, and read elsewhere."""
    random = Random(1)
    backend = Backend(size_bytes=8 * MIB, kind=kind, shared=shared)
    with running(tmp_path, memory=(backend,)) as machine:
        (address,) = [row.host_address for row in machine.ram_blocks() if row.name == "m0"]
        for _ in range(20):
            pages = [0x100000 + 4096 * random.randrange(0x700) for _ in range(24)]
            fills = [("memset", page, 4096, random.randrange(1, 256)) for page in pages]
            ranges = [(page, 4096) for page in pages[8:32]]
            ranges += [(HUGE_PAGE_BYTES * random.randrange(1, 4), HUGE_PAGE_BYTES)]
            answers = machine.execute(
                [("writeb", MODERN_ADDRESS + 0x14, 0), *set_up(), *fills, *report(*ranges)]
            )
            found = machine.read_blocks()["m0"]
            with Path(f"/proc/{machine.pid}/mem").open("rb") as memory:
                memory.seek(address)
                whole = memory.read(8 * MIB)

            assert answers[-1] == 1
            assert any(found[page : page + 4096].count(0) == 0 for page in pages)
            assert found == whole


def test_places_in_several_blocks_have_their_own_offsets(tmp_path):
    """Two nodes, cut in two at 3 MiB below 4 GiB, and a module beyond."""
    setup = {
        "memory": (
            Backend(size_bytes=2 * MIB + 4096),
            Backend(size_bytes=4 * MIB - 4096, kind="memfd"),
        ),
        "dimms": (Backend(size_bytes=2 * MIB, kind="file"),),
        "max_ram_below_4g_bytes": 3 * MIB,
    }
    with running(tmp_path, **setup) as machine:
        memory = [region for region in machine.memory_map() if region.kind == "ram"]
        places = ((2 * MIB, 0x2000), (4 * GIB, 4096), (5 * GIB + 0x5000, 4096))
        machine.execute([*set_up(), *report(*places)])

        assert discards(machine) == [
            ("discard", "m0", 2 * MIB, 0x1000),
            ("discard", "m1", 0, 0x1000),
            ("discard", "m1", MIB - 4096, 0x1000),
            ("discard", "d0", 0x5000, 0x1000),
        ]
        assert [tuple(region) for region in memory[2:]] == [
            (MIB, 2 * MIB + 4096, "ram", "m0", MIB),
            (2 * MIB + 4096, 3 * MIB, "ram", "m1", 0),
            (4 * GIB, 4 * GIB + 3 * MIB, "ram", "m1", MIB - 4096),
            (5 * GIB, 5 * GIB + 2 * MIB, "ram", "d0", 0),
        ]
        assert {"m0", "m1", "d0"} < set(machine.read_blocks())


def test_a_graphics_card_hides_memory(tmp_path):
    with running(tmp_path, vga=True) as machine:
        (region,) = [region for region in machine.memory_map() if region.first == 0xA0000]
        assert region.kind == "io"
        machine.read_blocks()


@pytest.mark.parametrize("machine_type", ["pc-q35-7.2", "pc-i440fx-5.0", "pc-i440fx-4.0"])
def test_machines_of_other_types_are_mapped_alike(tmp_path, machine_type):
    with running(tmp_path, machine_type=machine_type) as machine:
        answers = machine.execute([*set_up(), *report((0x200000, 4096))])

        assert answers[-1] == 1
        assert discards(machine) == [("discard", "m0", 0x200000, 4096)]
        assert machine.take_errors() == []


def test_without_the_legacy_interface_its_ports_are_empty(tmp_path):
    properties = Properties(free_page_reporting=True, disable_legacy=True)
    with running(tmp_path, properties=properties) as machine:
        answers = machine.execute([("inl", LEGACY_PORT), *set_up(), *report((0x200000, 4096))])
        assert (answers[0], answers[-1]) == (0xFFFFFFFF, 1)


def test_a_bad_address_and_a_complaint_are_told(tmp_path):
    with running(tmp_path) as machine:
        machine.execute([*set_up(), *report((0xF0000, 4096))])
        assert machine.take_trace() == [("bad_addr", 0xF0000)]
        assert machine.take_errors() == []

        machine.execute([*set_up(), *report((0x200000, 0))])
        (complaint,) = machine.take_errors()
        assert "zero sized buffers are not allowed" in complaint
        assert machine.take_errors() == []


@needs_root
def test_locked_memory_is_not_given_back(tmp_path):
    with running(tmp_path, mem_lock=True) as machine:
        machine.execute([*set_up(), *report((0x200000, 4096))])
        assert machine.take_trace() == []
        assert "Failed to discard range" in machine.take_errors()[0]


def test_the_monitor_answers_and_events_are_kept(tmp_path):
    with running(tmp_path) as machine:
        assert machine.take_events() == []
        assert machine.qmp("query-balloon") == {"return": {"actual": 16 * MIB}}
        error = machine.qmp("balloon", value=0)["error"]
        assert error["class"] == "GenericError"
        assert "target" in error["desc"]

        machine.execute([*set_up(), ("writel", MODERN_ADDRESS + 0x2004, 16)])
        event = machine.wait_for_event("BALLOON_CHANGE")
        assert event["data"] == {"actual": 16 * MIB - 16 * 4096}
        machine.qmp("balloon", value=8 * MIB)
        assert machine.take_trace() == [("to_target", 8 * MIB, 2048)]
        machine.qmp("stop")
        assert [event["event"] for event in machine.take_events()] == ["STOP"]
        assert machine.version == ".".join(
            str(machine.qmp("query-version")["return"]["qemu"][part])
            for part in ("major", "minor", "micro")
        )


def test_the_registers_are_mapped_again_after_a_reset(tmp_path):
    offered = [("writel", MODERN_ADDRESS, 0), ("readl", MODERN_ADDRESS + 4)]
    with running(tmp_path) as machine:
        before = machine.execute(offered)
        machine.qmp("system_reset")
        machine.wait_for_event("RESET")
        assert machine.execute(offered) != before
        machine.remap()
        assert machine.execute(offered) == before


def test_a_machine_can_wait_to_be_started_or_for_a_migration(tmp_path):
    with running(tmp_path, stopped=True) as machine:
        assert machine.qmp("query-status")["return"]["status"] == "prelaunch"
    with running(tmp_path, incoming="deferred", send_configuration=False) as machine:
        assert machine.qmp("query-status")["return"]["status"] == "inmigrate"
        assert machine.execute([*set_up(), *report((0x200000, 4096))])[-1] == 1


def test_a_machine_without_a_balloon_says_so(tmp_path):
    with running(tmp_path, balloon_count=0) as machine:
        assert machine.qmp("query-balloon")["error"]["class"] == "DeviceNotActive"


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        ({"balloon_count": 2}, "Only one balloon device is supported"),
        (
            {"properties": Properties(free_page_hint=True, iothread=False)},
            "'free-page-hint' requires 'iothread' to be set",
        ),
    ],
)
def test_a_refusal_is_told_in_qemus_words(tmp_path, setup, words):
    with pytest.raises(MachineDiedError, match=words), running(tmp_path, **setup):
        pytest.fail("it started")
    assert list(tmp_path.iterdir()) == []


def test_a_machine_type_that_qemu_does_not_know_is_told(tmp_path):
    with pytest.raises(NotBuildableError, match="pc-i440fx-1: this QEMU has no such machine type"):
        RealMachine(Setup(machine_type="pc-i440fx-1"), folder=tmp_path)


def test_hinting_has_its_thread(tmp_path):
    with running(tmp_path, properties=Properties(free_page_hint=True)) as machine:
        assert len(machine.qmp("query-iothreads")["return"]) == 1


def test_a_missing_qemu_is_told(tmp_path):
    with pytest.raises(HostError, match="no-such-qemu"):
        RealMachine(Setup(), qemu="no-such-qemu", folder=tmp_path)


def test_the_edges_of_what_may_be_accessed_do_not_end_qemu(tmp_path):
    top = (1 << 64) - 1
    with running(tmp_path) as machine:
        accesses = [
            *(("outl", 0xFFFF, top), ("inl", 0xFFFF), ("inw", 0xFFFF)),
            *(("writeq", top - 3, top), ("readq", top - 3), ("readb", top)),
            *(("memset", top, 3, 300), ("memset", 0, 0, 0), ("memset", 0x1000, 64 * MIB, 0)),
            *(("write", top - 2, bytes(9)), ("write", 5, b""), ("read", top - 7, 16)),
        ]
        answers = machine.execute(accesses)

        assert answers[-1] == bytes(16)
        assert machine.is_alive()


def test_an_end_is_noticed(tmp_path):
    with running(tmp_path) as machine:
        machine.read_blocks()
        os.kill(machine.pid, signal.SIGKILL)
        with pytest.raises(MachineDiedError, match="QEMU has ended: exit code -9"):
            machine.execute([("readb", 0)])
        with pytest.raises(MachineDiedError):
            machine.qmp("query-status")
        with pytest.raises(HostError, match="pid"):
            machine.read_blocks()
        assert not machine.is_alive()


def test_a_stop_is_noticed_in_time(tmp_path):
    with running(tmp_path, timeout_s=1.0) as machine:
        os.kill(machine.pid, signal.SIGSTOP)
        start_s = time.monotonic()
        with pytest.raises(MachineStuckError, match="not answered for 1 s"):
            machine.execute([("readb", 0)] * 10_000)
        assert time.monotonic() - start_s < SECONDS_MAX
        assert machine.is_alive()


def test_nothing_is_left_behind(tmp_path):
    with running(tmp_path) as machine:
        pid = machine.pid
        assert Path(f"/proc/{pid}").exists()
        assert QEMU in Path(f"/proc/{pid}/cmdline").read_text()
    assert not Path(f"/proc/{pid}").exists()
    assert list(tmp_path.iterdir()) == []
    machine.close()  # A second time it does nothing.
