"""Guest memory: blocks, where the guest finds them, and what is between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.balloon.guest import (
    HOLE,
    HUGE,
    RAM_STOP,
    ROM,
    ROM_STOP,
    SEAM,
    TOP,
    small_memory,
)
from workbench.model.balloon.memory import GuestMemory, RamBlock, Region
from workbench.units import GIB, PAGE_BYTES


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (0, ("low", 0, ROM)),
        (ROM - 1, ("low", ROM - 1, 1)),
        (ROM, ("rom", 0, ROM_STOP - ROM)),
        (ROM_STOP, ("low", ROM_STOP, SEAM - ROM_STOP)),
        (SEAM - 1, ("low", SEAM - 1, 1)),
        (SEAM, ("next", 0, HOLE - SEAM)),
        (HUGE + 5, ("huge", 5, RAM_STOP - HUGE - 5)),
        (TOP + 7, ("low", 7, ROM - 7)),
    ],
)
def test_an_address_leads_into_a_block_up_to_the_end_of_its_region(address, expected):
    """Addresses have 64 bits: one more leads to the bottom again."""
    place = small_memory().find(address)

    assert (place.region.block.name, place.offset_bytes, place.length_bytes) == expected


@pytest.mark.parametrize("address", [HOLE, HUGE - 1, RAM_STOP, 1 << 63, TOP - 1])
def test_where_no_region_is_there_is_no_memory(address):
    assert small_memory().find(address) is None


def test_below_the_first_region_is_no_memory():
    block = RamBlock("ram", PAGE_BYTES, PAGE_BYTES, unmaps=True, punches=False)
    memory = GuestMemory([Region(GIB, GIB + PAGE_BYTES, block, 0, writable=True)])
    memory.write(GIB - 2, b"\1\2\3\4")

    assert memory.find(0) is None
    assert memory.read(GIB - 2, 4) == b"\0\0\3\4"
    assert memory.read(0, 4) == bytes(4)


def test_high_memory_goes_on_in_the_block_where_low_memory_ended():
    """A machine of which only part lies below 4 GiB (the book's 2.2)."""
    block = RamBlock("ram", 4 * PAGE_BYTES, PAGE_BYTES, unmaps=True, punches=False)
    memory = GuestMemory(
        [
            Region(4 * GIB, 4 * GIB + PAGE_BYTES, block, 3 * PAGE_BYTES, writable=True),
            Region(0, 3 * PAGE_BYTES, block, 0, writable=True),
        ]
    )
    memory.write(4 * GIB, b"high")

    assert memory.find(4 * GIB).offset_bytes == 3 * PAGE_BYTES
    assert block.content[3 * PAGE_BYTES :][:4] == b"high"
    assert memory.blocks == (block,)


def test_what_is_written_to_firmware_is_dropped():
    memory = small_memory()
    memory.find(ROM).region.block.content[:4] = b"code"
    memory.write(ROM, b"data")

    assert memory.read(ROM, 4) == b"code"


def test_an_access_goes_over_blocks_holes_and_firmware():
    memory = small_memory()
    memory.write(HOLE - 2, b"\1" * (HUGE - HOLE + 4))
    memory.write(ROM - 2, b"\2" * (ROM_STOP - ROM + 4))

    assert memory.read(HOLE - 2, 4) == b"\1\1\0\0"
    assert memory.read(HUGE - 2, 6) == b"\0\0\1\1\0\0"
    assert memory.read(ROM - 2, 4) == b"\2\2\0\0"
    assert memory.read(ROM_STOP - 2, 6) == b"\0\0\2\2\0\0"


def test_an_access_goes_over_the_top_to_the_bottom():
    memory = small_memory()
    memory.write(TOP - 2, b"\1\2\3\4")

    assert memory.read(TOP - 2, 4) == b"\0\0\3\4"
    assert memory.read(0, 2) == b"\3\4"


def test_an_access_may_begin_beyond_the_top():
    """Where a ring lies at the top, its entries lie at the bottom."""
    memory = small_memory()
    memory.write(TOP + 2, b"\3\4")

    assert memory.read(2, 2) == memory.read(TOP + 2, 2) == b"\3\4"


ADDRESSES = st.builds(
    lambda border, offset: (border + offset) % TOP,
    st.sampled_from([0, ROM, ROM_STOP, SEAM, HOLE, HUGE, RAM_STOP]),
    st.integers(-40, 40),
)


@given(ADDRESSES, st.binary(min_size=1, max_size=80))
def test_memory_is_bytes_each_of_which_is_found_by_itself(address, data):
    """However long an access is, it does to each byte what an access of that byte would do."""
    at_once, one_by_one = small_memory(), small_memory()
    at_once.write(address, data)
    for number in range(len(data)):
        one_by_one.write((address + number) % TOP, data[number : number + 1])
    bytes_read = [at_once.read((address + n) % TOP, 1) for n in range(len(data))]

    assert [block.content for block in at_once.blocks] == [
        block.content for block in one_by_one.blocks
    ]
    assert at_once.read(address, len(data)) == b"".join(bytes_read)


def test_a_block_says_what_it_is():
    block = RamBlock("pc.ram", 1 << 20, PAGE_BYTES, unmaps=True, punches=False)

    assert repr(block) == "RamBlock('pc.ram', 0x100000 bytes, page 4096)"
