"""How a real guest sets the balloon up, step by step, held against the model.

What QEMU's own trace shows of the driver's accesses is compared.  Debian's cloud kernel is built
without CONFIG_PAGE_POISONING, so that no guest here can write a pattern: page_poison=1 on its
command line would change nothing.  All guests boot at once.
"""

from __future__ import annotations

import functools
import queue
import re
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from workbench.lab import LabSettings, parse_scenario
from workbench.lab.kernel import guest_kernel
from workbench.lab.machine import Line, Machine, running_machine
from workbench.lab.words import Failure, FreeBlocks, Stage, parse_line
from workbench.model import GuestPoison, negotiate
from workbench.model.balloon.offer import Offer, Properties, Queue, make_offer
from workbench.model.linux_driver import LINUX_6_0, LINUX_6_1_188, LinuxDriver
from workbench.model.negotiation import features_written
from workbench.model.probe_order import (
    EnableQueue,
    Kick,
    Probe,
    ReadConfig,
    SetStatus,
    SetUpQueue,
    Step,
    WriteConfig,
    WriteFeatures,
    probe_steps,
)
from workbench.model.queue_numbers import driver_queues
from workbench.units import MIB, NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.lab.kernel import GuestKernel

pytestmark = pytest.mark.live

REPORTS_NS = 4 * NANOSECONDS
"""Reports begin 2 s after the driver is ready."""

SILENCE_SECONDS_MAX = 60

MEMORY_BYTES = 256 * MIB
"""Linux reports only from what is beyond its watermark and 64 MiB more (mm/page_reporting.c)."""

EVENTS = ("memory_region_ops_write", "memory_region_ops_read", "ram_block_discard_range")

ACCESS = re.compile(
    r"memory_region_ops_(read|write) cpu \d+ mr \S+ addr (0x\w+) value (0x\w+) size (\d) "
    r"name 'virtio-pci-(common|device|notify)-virtio-balloon'"
)

REGION_BYTES = 0x1000
"""Each part of the device's memory begins at a multiple of this, in every QEMU so far."""


class Row(NamedTuple):
    """One guest: what it does with free pages, and what its device offers beside REPORTING."""

    poison: str
    page_poison: bool
    free_page_hint: bool

    def guest(self) -> GuestPoison:
        """Give the model of the guest."""
        return GuestPoison(init_on_free=self.poison == "init_on_free", page_poisoning=False)

    def offer(self) -> Offer:
        """Give the model of the device."""
        properties = Properties(
            page_poison=self.page_poison,
            free_page_reporting=True,
            free_page_hint=self.free_page_hint,
        )
        return make_offer(properties)

    def settings(self) -> LabSettings:
        """Give what the lab starts."""
        return LabSettings(
            scenario=parse_scenario("idle 1\n", name="negotiation"),
            memory_bytes=MEMORY_BYTES,
            poison=self.poison,
            page_poison=self.page_poison,
            free_page_hint=self.free_page_hint,
        )


ROWS = [
    Row(poison, page_poison, hint)
    for poison in ("none", "init_on_free")
    for page_poison in (False, True)
    for hint in (False, True)
]
per_row = pytest.mark.parametrize("row", ROWS, ids=str)


class Seen(NamedTuple):
    """What a device saw, and did."""

    steps: list[Step]
    discards: int


def driver_of(kernel: GuestKernel) -> LinuxDriver:
    """Choose the model of Debian's driver: its package says which stable release it is from."""
    found = re.search(rb" Debian 6\.1\.(\d+)", kernel.image.read_bytes())
    assert found, f"{kernel.image} names no Debian kernel of 6.1"
    return LINUX_6_1_188 if int(found[1]) >= 188 else LINUX_6_0


@functools.cache
def observed() -> dict[Row, Seen]:
    """Boot all guests, and let each report what it has."""
    kernel = guest_kernel(lambda _: None)
    lines: queue.SimpleQueue[Line] = queue.SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="workbench-lab-") as name:
        folders = [Path(name) / str(vm) for vm in range(len(ROWS))]
        with ExitStack() as stack:
            for vm, row in enumerate(ROWS):
                folders[vm].mkdir()
                machine = running_machine(
                    row.settings(),
                    vm=vm,
                    kernel=kernel,
                    folder=folders[vm],
                    accelerator="tcg",
                    lines=lines,
                )
                start(stack.enter_context(machine))
            wait_for_reports(lines)
        logs = [(folder / "qemu.log").read_text("utf-8") for folder in folders]
    return {row: read_log(log) for row, log in zip(ROWS, logs, strict=True)}


def start(machine: Machine) -> None:
    """Let a guest run, with QEMU's trace of it."""
    for event in EVENTS:
        machine.qmp.execute("trace-event-set-state", name=event, enable=True)
    machine.qmp.execute("cont")


def wait_for_reports(lines: queue.SimpleQueue[Line]) -> None:
    """Listen until every guest has been ready for long enough, by its own clock."""
    ready: dict[int, int] = {}
    waiting = set(range(len(ROWS)))
    while waiting:
        line = lines.get(timeout=SILENCE_SECONDS_MAX)
        match parse_line(line.text):
            case Stage("READY", time_ns):
                ready[line.vm] = time_ns
            case FreeBlocks(time_ns, _):
                if line.vm in ready and time_ns > ready[line.vm] + REPORTS_NS:
                    waiting.discard(line.vm)
            case Failure(what):
                pytest.fail(f"guest {ROWS[line.vm]}: {what}")


def read_log(text: str) -> Seen:
    """Read what the driver did out of QEMU's trace."""
    accesses = (match for line in text.splitlines() if (match := ACCESS.match(line)))
    discards = text.count("ram_block_discard_range")
    return Seen([*steps_in(accesses)], discards)


def steps_in(accesses: Iterator[re.Match[str]]) -> Iterator[Step]:
    """Name the driver's accesses; offsets are those of struct virtio_pci_common_cfg."""
    half, features, number = 0, 0, 0
    for direction, *numbers, size, region in (match.groups() for match in accesses):
        address, value = (int(text, 0) for text in numbers)
        offset = address % REGION_BYTES
        match region, direction, offset:
            case "device", "read", _:
                yield ReadConfig(offset, int(size))
            case "device", "write", _:
                yield WriteConfig(offset, int(size), value)
            case "notify", "write", _:
                yield Kick(value)
            case "common", "write", 0x08:
                half = value
            case "common", "write", 0x0C if half == 0:
                features = value
            case "common", "write", 0x0C:
                yield WriteFeatures(features | value << 32)
            case "common", "write", 0x14:
                yield SetStatus(value)
            case "common", "write", 0x16:
                number = value
            case "common", "write", 0x18:
                yield SetUpQueue(number, value)
            case "common", "write", 0x1C:
                assert value == 1
                yield EnableQueue(number)


def predicted(row: Row) -> Probe:
    """Give what the model says of a guest."""
    driver = driver_of(guest_kernel(lambda _: None))
    return probe_steps(row.guest(), row.offer(), driver=driver)


@per_row
def test_the_driver_sets_the_device_up_as_modelled(row: Row) -> None:
    """Status, features, queues, statistics, poison_val: all of it, in this order."""
    probe = predicted(row)

    assert probe.error == 0
    assert observed()[row].steps[: len(probe.steps)] == list(probe.steps)


@per_row
def test_reports_come_on_the_modelled_queue_or_not_at_all(row: Row) -> None:
    """Nothing but reports comes after the set-up; they are discarded, as nobody has a pattern."""
    driver = driver_of(guest_kernel(lambda _: None))
    features = features_written(row.guest(), row.offer().features, driver)[-1]
    queues = driver_queues(features)
    reports = {Kick(queues.index(Queue.REPORT))} if Queue.REPORT in queues else set()
    seen = observed()[row]
    answer = negotiate(row.guest(), offers_page_poison=row.page_poison, offers_reporting=True)

    assert set(seen.steps[len(predicted(row).steps) :]) == reports
    assert (seen.discards > 0) == answer.discards
    assert answer.reporting == bool(reports)


def test_what_a_device_saw_in_numbers() -> None:
    """The same once more, without the model: the numbers of the queues, and what was written."""
    kicks = {
        row: {step for step in observed()[row].steps if isinstance(step, Kick)} for row in ROWS
    }
    poison = {
        row: [step.value for step in observed()[row].steps if isinstance(step, WriteConfig)]
        for row in ROWS
    }

    assert kicks == {
        Row("none", page_poison=False, free_page_hint=False): {Kick(2), Kick(3)},
        Row("none", page_poison=False, free_page_hint=True): {Kick(2), Kick(4)},
        Row("none", page_poison=True, free_page_hint=False): {Kick(2), Kick(3)},
        Row("none", page_poison=True, free_page_hint=True): {Kick(2), Kick(4)},
        Row("init_on_free", page_poison=False, free_page_hint=False): {Kick(2)},
        Row("init_on_free", page_poison=False, free_page_hint=True): {Kick(2)},
        Row("init_on_free", page_poison=True, free_page_hint=False): {Kick(2), Kick(3)},
        Row("init_on_free", page_poison=True, free_page_hint=True): {Kick(2), Kick(4)},
    }
    assert poison == {
        row: [0] if row.poison == "init_on_free" and row.page_poison else [] for row in ROWS
    }
