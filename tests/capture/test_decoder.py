"""From records to events: what belongs together is put together, and nothing is lost or doubled."""

from __future__ import annotations

import ctypes
import mmap
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.synthetic import write_trace
from workbench.capture.decoder import SWAP_IN_PATIENCE_NS, Decoder
from workbench.capture.frames import FrameTable
from workbench.capture.guest import Guest
from workbench.capture.page_map import PageMaps
from workbench.capture.records import FAULT_ALLOCATIONS_SHIFT, RAW_DTYPE, FaultBit, Source
from workbench.schema import FaultFlag, Kind
from workbench.units import GIB, HUGE_PAGE_BYTES, MIB, PAGE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

PROCESS, THREAD = 100, 101
RAM_ADDRESS, RAM_BYTES = 0x7F0000000000, 64 * MIB
WRITE = 1 << 1


def decoder(frame_of=lambda _process, _address: None, page_bytes=PAGE_BYTES) -> Decoder:
    """A decoder for one guest with 64 MiB of RAM."""
    facts = SimpleNamespace(used_bytes=RAM_BYTES, page_bytes=page_bytes)
    block = SimpleNamespace(host_address=RAM_ADDRESS, facts=facts)
    return Decoder({PROCESS: Guest(0, [block], RAM_BYTES)}, FrameTable(), frame_of)


def records(*rows: tuple[Source, int, dict[str, int]]) -> np.ndarray:
    """Records, one a nanosecond, of one thread unless they say otherwise."""
    made = np.zeros(len(rows), RAW_DTYPE)
    for number, (source, address, fields) in enumerate(rows):
        values = {"process": PROCESS, "thread": THREAD, "element": -1, "block": -1} | fields
        made[number]["time_ns"] = number
        made[number]["source"] = source
        made[number]["address"] = address
        for name, value in values.items():
            made[number][name] = value
    return made


def decode(*rows: tuple[Source, int, dict[str, int]]) -> dict[str, list[int]]:
    """Decode records, and give up waiting for whatever is still open."""
    made = decoder()
    made.feed(records(*rows))
    made.finish()
    return {name: values.tolist() for name, values in made.take_columns().items()}


def fault(
    offset: int = 0,
    *,
    frame: int = -1,
    order: int = 0,
    allocations: int | None = None,
    bits: FaultBit = FaultBit.SERVED,
    write: bool = True,
    **fields: int,
) -> tuple[Source, int, dict]:
    """A fault on guest RAM, served by one allocation of `frame` unless it says otherwise."""
    count = int(frame >= 0) if allocations is None else allocations
    value = bits | count << FAULT_ALLOCATIONS_SHIFT | (WRITE if write else 0)
    what = {"value": int(value), "element": frame, "length": order}
    return Source.FAULT, RAM_ADDRESS + offset, what | fields


NOT_SERVED = FaultBit(0)
REFUSED = FaultBit.SERVED | FaultBit.TRIED_HUGE
SWAPPED_IN = (Source.SWAP_IN, 0, {})


@pytest.mark.parametrize(
    ("rows", "length_bytes", "flags"),
    [
        ([fault(frame=512, order=9)], HUGE_PAGE_BYTES, FaultFlag.WRITE),
        ([fault(frame=512, order=9, bits=REFUSED)], HUGE_PAGE_BYTES, FaultFlag.WRITE),
        ([fault(frame=7)], PAGE_BYTES, FaultFlag.WRITE),
        ([fault(write=False, bits=NOT_SERVED)], 0, FaultFlag(0)),
        ([fault(frame=7, bits=NOT_SERVED)], 0, FaultFlag.WRITE),
        ([fault(frame=7, bits=FaultBit.TRIED_HUGE)], 0, FaultFlag.WRITE),
        ([fault()], -1, FaultFlag.WRITE),
        ([fault(frame=7, bits=REFUSED)], PAGE_BYTES, FaultFlag.WRITE | FaultFlag.HUGE_REFUSED),
        ([fault(frame=7), SWAPPED_IN], PAGE_BYTES, FaultFlag.WRITE | FaultFlag.SWAP_IN),
        (
            [fault(frame=7, bits=FaultBit.SERVED | FaultBit.SWAPPED_IN)],
            PAGE_BYTES,
            FaultFlag.WRITE | FaultFlag.SWAP_IN,
        ),
    ],
    ids=[
        "huge",
        "huge, as was tried",
        "single",
        "read of nothing",
        "allocated, never mapped",
        "tried huge, never mapped",
        "served from frames nobody saw",
        "huge page refused",
        "swapped in",
        "swapped in before it was served",
    ],
)
def test_a_fault_says_what_the_host_allocated_for_it(
    rows: list, length_bytes: int, flags: FaultFlag
) -> None:
    """One event for a fault, with its outcome."""
    events = decode(*rows)

    assert events["kind"] == [Kind.FAULT]
    assert events["length_bytes"] == [length_bytes]
    assert events["status"] == [int(flags)]


def test_a_fault_counts_from_when_it_was_served() -> None:
    """A page that is fetched while its eviction is still being written is in memory afterwards."""
    made = decoder()
    made.feed(
        records(
            fault(frame=7),
            (Source.SWAP_OUT, 7, {"thread": 1}),
            fault(frame=8, duration_ns=2),
            SWAPPED_IN,
        )
    )
    made.finish()
    events = made.take_columns()
    order = np.argsort(events["time_ns"], kind="stable")

    assert events["kind"][order].tolist() == [Kind.FAULT, Kind.SWAP_OUT, Kind.FAULT]
    assert events["time_ns"][order].tolist() == [0, 1, 3]
    assert events["duration_ns"][order].tolist() == [0, 0, 3]


def test_a_fault_that_is_never_served_counts_from_when_it_began() -> None:
    """What was allocated for it in vain says nothing of it."""
    events = decode(fault(bits=NOT_SERVED), fault(frame=7, bits=NOT_SERVED, duration_ns=1))

    assert events["time_ns"] == [0, 0]
    assert events["duration_ns"] == [0, 0]


def test_a_swap_in_is_waited_for_a_while() -> None:
    """A fault that nothing follows becomes an event even if its thread sleeps for ever."""
    made = decoder()
    made.feed(records(fault(frame=7)))
    made.finish_faults(SWAP_IN_PATIENCE_NS)

    assert made.take_columns()["time_ns"].size == 0

    made.finish_faults(SWAP_IN_PATIENCE_NS + 1)

    assert made.take_columns()["time_ns"].size == 1


def test_where_counters_are_kept_back_an_allocation_ends_a_fault() -> None:
    """Linux before 6.2 lets a thread change 64 pages before its process's counters move."""
    made = decoder()
    made.counts_are_exact = False
    rows = [(0, 7), (MIB, -1), (2 * MIB, 8)]
    made.feed(records(*(fault(at, frame=frame, bits=NOT_SERVED) for at, frame in rows)))
    made.finish()
    events = made.take_columns()

    assert dict(zip(events["offset_bytes"], events["length_bytes"], strict=True)) == {
        0: PAGE_BYTES,
        MIB: 0,
        2 * MIB: PAGE_BYTES,
    }


def test_threads_do_not_share_faults() -> None:
    """A page that comes from swap is that of the fault of its own thread."""
    events = decode(
        fault(0, frame=7), fault(MIB, frame=8, thread=102), SWAPPED_IN, fault(2 * MIB, frame=9)
    )
    from_swap = [bool(status & FaultFlag.SWAP_IN) for status in events["status"]]

    assert dict(zip(events["offset_bytes"], from_swap, strict=True)) == {
        0: True,
        MIB: False,
        2 * MIB: False,
    }


@given(st.lists(st.sampled_from(["served", "not served", "swap in"]), max_size=12))
def test_every_fault_becomes_one_event(words: list[str]) -> None:
    """No order of records loses a fault or makes one up."""
    rows = {
        "served": fault(frame=7),
        "not served": fault(bits=NOT_SERVED),
        "swap in": SWAPPED_IN,
    }

    events = decode(*(rows[word] for word in words))

    assert events["kind"] == [Kind.FAULT] * (len(words) - words.count("swap in"))


def test_batches_do_not_matter() -> None:
    """The same records in one batch or one by one give the same events."""
    rows = records(fault(frame=512, order=9), fault(4 * MIB, frame=7), SWAPPED_IN)
    whole, parts = decoder(), decoder()
    whole.feed(rows)
    for number in range(len(rows)):
        parts.feed(rows[number : number + 1])
    for one in (whole, parts):
        one.finish()

    first, second = whole.take_columns(), parts.take_columns()

    assert {name: values.tolist() for name, values in first.items()} == {
        name: values.tolist() for name, values in second.items()
    }


def test_a_frame_that_goes_to_swap_is_named_by_its_page() -> None:
    """A huge page leaves whole, after a partial discard page by page; others' frames not at all."""
    discarded = (Source.DISCARD, PAGE_BYTES, {"length": PAGE_BYTES, "block": 0})
    made = decoder()
    made.feed(
        records(
            *(fault(frame=512, order=9), (Source.SWAP_OUT, 512, {})),
            *(fault(frame=1024, order=9), discarded, (Source.SWAP_OUT, 1024, {})),
            (Source.SWAP_OUT, 99, {}),
        )
    )
    events = made.take_columns()
    is_swap = events["kind"] == Kind.SWAP_OUT

    assert events["length_bytes"][is_swap].tolist() == [HUGE_PAGE_BYTES, PAGE_BYTES]
    assert made.unattributed_swap_outs == 1


@pytest.mark.parametrize(
    ("rows", "asked"),
    [
        ([fault(), SWAPPED_IN], [0]),
        ([fault(frame=6, allocations=2), SWAPPED_IN], [0]),
        ([fault(frame=6), SWAPPED_IN], []),
    ],
    ids=["read ahead before", "read together with another", "read alone"],
)
def test_the_frame_of_a_page_that_came_from_swap_in_company_is_asked_for(rows, asked) -> None:
    """Which of the frames that were allocated it got, or got before, no event says."""
    questions = []

    def frame_of(process, address):
        questions.append((process, address))
        return 6

    made = decoder(frame_of)
    made.feed(records(*rows, (Source.SWAP_OUT, 6, {}), (Source.SWAP_OUT, 5, {})))
    made.finish()
    events = made.take_columns()

    assert questions == [(PROCESS, RAM_ADDRESS + offset) for offset in asked]
    assert events["offset_bytes"][events["kind"] == Kind.SWAP_OUT].tolist() == [0]
    assert made.unattributed_swap_outs == 1


@pytest.mark.parametrize("answer", [None, 6], ids=["gone again", "another page's, at that time"])
def test_an_answer_that_says_nothing_about_then_is_not_taken(answer) -> None:
    """Frame 6 goes to swap as what the events say it held."""
    made = decoder(lambda _process, _address: answer)
    first = fault(PAGE_BYTES, frame=6)
    made.feed(records(first, fault(0), SWAPPED_IN, (Source.SWAP_OUT, 6, {})))
    made.finish()
    events = made.take_columns()

    assert events["offset_bytes"][events["kind"] == Kind.SWAP_OUT].tolist() == [PAGE_BYTES]


def test_the_kernel_says_in_which_frame_a_page_is() -> None:
    """A page of our own is in one, and stays there; an address where nothing is, in none."""
    page = mmap.mmap(-1, PAGE_BYTES)
    page[:1] = b"x"
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    maps = PageMaps([os.getpid()])
    frame = maps.frame_of(os.getpid(), address)

    assert frame is not None
    assert maps.frame_of(os.getpid(), address + 5) == frame
    assert maps.frame_of(os.getpid(), 0) is None
    maps.close()
    assert maps.frame_of(os.getpid(), address) is None


def test_a_range_that_is_not_ram_keeps_its_guest_address() -> None:
    """QEMU's bounce buffer says nothing; the guest's address does."""
    events = decode((Source.REPORT_RANGE, 0x1234, {"value": 0xF0000, "length": 4096}))

    assert events["ram_block"] == [-1]
    assert events["offset_bytes"] == [0xF0000]


def test_a_guest_may_report_any_address(tmp_path: Path) -> None:
    """The last page of 64 bits is no page of any machine, and must not make a trace unreadable."""
    events = decode((Source.REPORT_RANGE, 0x1234, {"value": -4096, "length": 4096}))
    (row,) = zip(*events.values(), strict=True)
    trace = write_trace(tmp_path / "x.trace", [dict(zip(events, row, strict=True))])

    assert events["offset_bytes"] == [2**63 - 1]
    assert trace.columns("events")["offset_bytes"].tolist() == [2**63 - 1]


def test_a_migration_is_its_first_and_its_last_step() -> None:
    """SETUP and CLEANUP, with whether COMPLETE came between them (QEMU PrecopyNotifyReason)."""
    steps = [(Source.PRECOPY, 0, {"value": reason}) for reason in (0, 1, 2, 3, 4, 0, 1, 2, 4)]

    events = decode(*steps)

    start, end = Kind.MIGRATION_START, Kind.MIGRATION_END
    assert events["kind"] == [start, Kind.PRECOPY_COMPLETE, end, start, end]
    assert events["status"] == [0, 0, 1, 0, 0]


def test_a_bitmap_sync_is_an_event() -> None:
    """From there on a migration sends what was written before."""
    assert decode((Source.BITMAP_SYNC, 0, {"value": 0}))["kind"] == [Kind.BITMAP_SYNC]


def test_a_guest_address_above_4_gib_is_high_ram() -> None:
    """What does not fit below the device window begins at 4 GiB (QEMU 7.2 hw/i386/pc_piix.c)."""
    facts = SimpleNamespace(used_bytes=4 * GIB)
    guest = Guest(0, [SimpleNamespace(host_address=RAM_ADDRESS, facts=facts)], 3 * GIB)

    assert guest.locate_guest_address(0x1000) == (0, 0x1000)
    assert guest.locate_guest_address(4 * GIB) == (0, 3 * GIB)
    assert guest.locate_guest_address(3 * GIB + 5) == (-1, 3 * GIB + 5)


def test_a_guest_address_behind_a_small_first_block_is_nowhere() -> None:
    """The RAM below the device window may be of several blocks; of the first only this is known."""
    facts = SimpleNamespace(used_bytes=GIB)
    guest = Guest(0, [SimpleNamespace(host_address=RAM_ADDRESS, facts=facts)] * 2, 2 * GIB)

    assert guest.locate_guest_address(GIB - PAGE_BYTES) == (0, GIB - PAGE_BYTES)
    assert guest.locate_guest_address(GIB) == (-1, GIB)


def test_a_reclaim_says_how_much_and_how_long() -> None:
    """In bytes, whoever they were of."""
    made = decoder()
    made.feed(records((Source.RECLAIM, 0, {"length": 32, "duration_ns": 7})))
    events = made.take_columns()

    assert events["kind"].tolist() == [Kind.RECLAIM]
    assert events["length_bytes"].tolist() == [32 * PAGE_BYTES]
    assert events["duration_ns"].tolist() == [7]


def test_a_fault_on_a_page_of_hugetlbfs_brings_all_of_it_at_once() -> None:
    """No allocation and no counter tells of it (Linux mm/hugetlb.c, hugetlb_no_page)."""
    made = decoder(page_bytes=HUGE_PAGE_BYTES)
    made.feed(records(fault(3 * MIB), fault(9 * MIB, write=False)))
    events = made.take_columns()

    assert events["offset_bytes"].tolist() == [HUGE_PAGE_BYTES, 8 * MIB]
    assert events["length_bytes"].tolist() == [HUGE_PAGE_BYTES] * 2
    assert events["status"].tolist() == [FaultFlag.WRITE, 0]
