"""Guest RAM that is shared, in a memfd, or of hugetlbfs: captured alike, to the page, all at once.

QEMU discards by madvise, by fallocate or by both, as the memory needs it (QEMU 7.2
softmmu/physmem.c, ram_block_discard_range).
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.capture.qtest import (
    INDIRECT,
    MEMORY_BYTES,
    PAGE_POISON,
    REPORTING,
    VERSION_1,
    halted_machine,
)
from tests.capture.segments import rows, wait_for_segments
from workbench.capture.recorder import Capture, Origin, Target
from workbench.replay import replay
from workbench.schema import Kind
from workbench.trace import Trace, read_trace
from workbench.units import HUGE_PAGE_BYTES, MIB, PAGE_BYTES
from workbench.validation.huge_pages import huge_pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.live

FIRST: Final = 4 * MIB

BACKENDS: Final = (
    ("memory-backend-ram,share=on", PAGE_BYTES),
    ("memory-backend-memfd,share=on", PAGE_BYTES),
    ("memory-backend-memfd,share=off", PAGE_BYTES),
    ("memory-backend-memfd,hugetlb=on,share=on", HUGE_PAGE_BYTES),
    ("memory-backend-memfd,hugetlb=on,share=off", HUGE_PAGE_BYTES),
)
per_backend = pytest.mark.parametrize(
    "vm", range(len(BACKENDS)), ids=[name for name, _ in BACKENDS]
)


def reported(page_bytes: int) -> list[tuple[int, int]]:
    """What each guest reports."""
    return [(FIRST, page_bytes), (FIRST + 3 * page_bytes, 2 * page_bytes)]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """All guests in one capture: each writes eight pages, reports three, writes one again."""
    folder: Path = tmp_path_factory.mktemp("backends")
    with ExitStack() as stack:
        huge = sum(page_bytes > PAGE_BYTES for _, page_bytes in BACKENDS)
        stack.enter_context(huge_pages(huge * MEMORY_BYTES // HUGE_PAGE_BYTES))
        machines = []
        for vm, (backend, _) in enumerate(BACKENDS):
            (folder / str(vm)).mkdir()
            memory = f"{backend},id=ram0,size={MEMORY_BYTES // MIB}M"
            arguments = ("-object", memory, "-machine", "memory-backend=ram0")
            machine = halted_machine(folder / str(vm), arguments=arguments)
            machines.append(stack.enter_context(machine))
        targets = [Target(pid=process.pid) for process, _ in machines]
        with Capture(targets, folder / "x.trace", Origin(command="test")):
            for (_, page_bytes), (_, device) in zip(BACKENDS, machines, strict=True):
                device.set_up(VERSION_1 | REPORTING | PAGE_POISON | INDIRECT)
                device.fill(FIRST, 8 * page_bytes)
                device.report(reported(page_bytes))
                device.fill(FIRST + 3 * page_bytes, 1)
            wait_for_segments(folder / "x.trace")
    return read_trace(folder / "x.trace")


def own(trace: Trace, vm: int, kind: Kind, *names: str) -> Iterator[tuple[int, ...]]:
    """The chosen columns of a guest's events of a kind."""
    return (row[1:] for row in rows(trace, kind, "vm", *names) if row[0] == vm)


@per_backend
def test_every_discard_is_seen_however_qemu_does_it(trace: Trace, vm: int) -> None:
    """With its range and result, and the memory described as what it is."""
    backend, page_bytes = BACKENDS[vm]
    (block,) = trace.manifest.virtual_machines[vm].ram_blocks
    discards = own(trace, vm, Kind.DISCARD, "offset_bytes", "length_bytes", "status")

    assert (block.page_bytes, block.shared) == (page_bytes, "share=on" in backend)
    assert list(discards) == [(*one, 0) for one in reported(page_bytes)]


@per_backend
def test_a_fault_brings_a_page_of_the_size_that_the_memory_has(trace: Trace, vm: int) -> None:
    """The touch after the discard: a page, or a page of hugetlbfs, which no allocation shows."""
    page_bytes = BACKENDS[vm][1]
    faults = own(trace, vm, Kind.FAULT, "offset_bytes", "length_bytes")
    again = [length for offset, length in faults if offset == FIRST + 3 * page_bytes]

    assert again[-1] == page_bytes


def test_the_replay_ends_with_what_the_host_holds(trace: Trace) -> None:
    """To the page, over all of them."""
    run = replay(trace)

    assert trace.manifest.lost_events == 0
    assert run.model_error["resident_bytes"]["final_pages"] == 0
    assert run.events["as_captured"]["differing_decisions"] == 0
