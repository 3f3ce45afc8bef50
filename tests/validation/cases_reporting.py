"""Cases 14 to 39: what is reported well, and what is left out in silence."""

from dataclasses import replace
from struct import pack

from tests.validation.cases import (
    ACKNOWLEDGED,
    DRIVER,
    FEATURES,
    FEATURES_OK,
    HOLE,
    MODERN,
    RAM_BYTES,
    REPORT_QUEUE,
    ROM,
    SAME,
    SETUP,
    START,
    STATS,
    Case,
    P,
    bad_address,
    discard,
    element,
    fill,
    kept,
    ok,
    report,
    start,
    zeros,
)
from workbench.model.balloon.offer import RING_PACKED, Properties
from workbench.units import HUGE_PAGE_BYTES, KIB, MIB, PAGE_BYTES
from workbench.validation.driver import Ring
from workbench.validation.setup import Backend

PAGE = PAGE_BYTES
FOUR_GIB = 0x100000000
VGA = 0xA0000
OPTION_ROM, TOP_ROM, LOCAL_APIC = 0xC0000, 0xFFFFF000, 0xFEE00000

USED_PAGE = 0x231000
"""Where the used ring of the reporting queue lies, alone in its page."""

PACKED = Ring(REPORT_QUEUE, 32, packed=True).desc
BUFFER_ID, PACKED_WRITE, PACKED_NEXT, PACKED_AVAILABLE = 7, 2, 1, 0x80


def pages(count):
    """`count` pages, from P on."""
    return [(P + number * PAGE, PAGE) for number in range(count)]


def in_huge_pages(offset, length):
    """Tell of a discard of memory with pages of 2 MiB."""
    return ("discard", "m0", offset, length, False, True)


GOOD = [
    Case(
        number="14",
        says="A page is discarded, and what is beside it stays",
        steps=[START, fill(P - PAGE, 3 * PAGE), *report((P, PAGE))],
        expects=ok(
            0, trace=(discard(P, 0x1000),), content=(kept(P - PAGE), zeros(P), kept(P + PAGE))
        ),
        old=SAME,
    ),
    Case(
        number="15",
        says="2 MiB are discarded at once",
        steps=[START, fill(P - PAGE, 2 * MIB + 2 * PAGE), *report((P, 2 * MIB))],
        expects=ok(
            0,
            trace=(discard(P, 0x200000),),
            content=(kept(P - PAGE), zeros(P, 2 * MIB), kept(P + 2 * MIB)),
        ),
        old=SAME,
    ),
    Case(
        number="16",
        says="Ranges of one element are discarded in the order of the chain",
        steps=[
            *(START, fill(P, MIB)),
            *report((P + 0x40000, 4 * KIB), (P, 8 * KIB), (P + 0x20000, 64 * KIB)),
        ],
        expects=ok(
            0,
            trace=(
                discard(P + 0x40000, 0x1000),
                discard(P, 0x2000),
                discard(P + 0x20000, 0x10000),
            ),
            content=(zeros(P, 0x2000), kept(P + 0x2000, 0x1E000), zeros(P + 0x20000, 0x10000)),
        ),
        old=SAME,
    ),
    Case(
        number="17",
        says="A page that is named twice is discarded twice, wholly or in part",
        steps=[
            *(START, fill(P, 4 * PAGE)),
            *report((P, PAGE), (P, PAGE)),
            *report((P, 2 * PAGE), (P + PAGE, 2 * PAGE)),
        ],
        expects=ok(
            *(0, 2),
            trace=(
                discard(P),
                discard(P),
                discard(P, 2 * PAGE),
                discard(P + PAGE, 2 * PAGE),
            ),
            content=(zeros(P, 3 * PAGE), kept(P + 3 * PAGE)),
        ),
        old=SAME,
    ),
    Case(
        number="18",
        says="An element has as many ranges as it likes: 32, or 64 and 1024 through a table",
        steps=[
            *(START, fill(P, 1024 * PAGE), *report(*pages(32))),
            ok(
                0,
                trace=[discard(P + number * PAGE) for number in range(32)],
                content=(zeros(P, 32 * PAGE), kept(P + 32 * PAGE, 992 * PAGE)),
            ),
            *report(*pages(64), indirect=True),
            ok(0, 0, trace=[discard(P + number * PAGE) for number in range(64)]),
            *report(*pages(1024), indirect=True),
        ],
        expects=ok(
            *(0, 0, 1),
            trace=[discard(P + number * PAGE) for number in range(1024)],
            content=(zeros(P, 1024 * PAGE),),
        ),
    ),
    Case(
        number="19",
        says="One kick serves all elements that are there",
        steps=[
            *(START, fill(P, 3 * PAGE)),
            *(element(each) for each in pages(3)),
            ("kick", REPORT_QUEUE),
        ],
        expects=ok(
            *(0, 1, 2),
            trace=(discard(P), discard(P + PAGE), discard(P + 2 * PAGE)),
            content=(zeros(P, 3 * PAGE),),
        ),
        old=SAME,
    ),
    Case(
        number="20",
        says="Of an element only what the device may write is discarded",
        steps=[
            *(START, fill(P, 2 * PAGE)),
            ("element", REPORT_QUEUE, [(P, PAGE, 0), (P + PAGE, PAGE, 1)]),
            ("kick", REPORT_QUEUE),
        ],
        expects=ok(0, trace=(discard(P + PAGE),), content=(kept(P), zeros(P + PAGE))),
        old=SAME,
    ),
    Case(
        number="21",
        says="An element of which the device may write nothing comes back",
        steps=[START, fill(P), ("element", REPORT_QUEUE, [(P, PAGE, 0)]), ("kick", REPORT_QUEUE)],
        expects=ok(0, content=(kept(P),)),
        old=SAME,
    ),
    Case(
        number="22",
        says="The queue works before DRIVER_OK, without FEATURES_OK, and not negotiated",
        steps=[
            *(("reset",), ("status", ACKNOWLEDGED), ("status", DRIVER), ("features", FEATURES)),
            *(("status", FEATURES_OK), ("queue", REPORT_QUEUE), fill(P), *report((P, PAGE))),
            ok(0, trace=(discard(P),), content=(zeros(P),), status=FEATURES_OK),
            *(("reset",), ("status", ACKNOWLEDGED), ("status", DRIVER), ("features", FEATURES)),
            *(("queue", REPORT_QUEUE), fill(P), *report((P, PAGE))),
            ok(0, trace=(discard(P),), content=(zeros(P),), status=DRIVER),
            *(start(REPORT_QUEUE, features=STATS | MODERN), fill(P), *report((P, PAGE))),
        ],
        expects=ok(0, trace=(discard(P),), content=(zeros(P),)),
        old=SAME,
    ),
    Case(
        number="23",
        says="The page of the used ring is discarded, and then used",
        steps=[START, fill(USED_PAGE, PAGE), *report((USED_PAGE, PAGE))],
        expects=ok(
            0,
            trace=(discard(USED_PAGE),),
            content=(zeros(USED_PAGE, 2), zeros(USED_PAGE + 3, PAGE - 3)),
        ),
    ),
    Case(
        number="24",
        says="A discarded page can be written, read, and discarded again",
        steps=[
            *(START, fill(P), *report((P, PAGE))),
            ok(0, trace=(discard(P),), content=(zeros(P),)),
            *(("poke", P + 100, "cafe"), ("peek", P + 99, 4), *report((P, PAGE))),
        ],
        expects=ok(
            0, 1, trace=(discard(P),), content=(zeros(P),), answers=(bytes.fromhex("00cafe00"),)
        ),
        old=SAME,
    ),
    Case(
        number="25",
        says="Address 0 is memory; so is 0xa0000, unless there is a graphics card",
        steps=[
            *(START, fill(0), fill(VGA), *report((0, PAGE), (VGA, PAGE))),
            ok(0, trace=(discard(0), discard(VGA)), content=(zeros(0), zeros(VGA))),
            ("machine", replace(SETUP, vga=True)),
            *(START, fill(0), *report((0, PAGE), (VGA, PAGE))),
        ],
        expects=ok(0, trace=(discard(0), bad_address(VGA)), content=(zeros(0),)),
        old=SAME,
    ),
    Case(
        number="26",
        says="What is above 4 GiB lies in the block behind what is below",
        setup=replace(SETUP, max_ram_below_4g_bytes=12 * MIB),
        steps=[
            *(START, fill(FOUR_GIB), fill(FOUR_GIB + 4 * MIB - PAGE)),
            *report((FOUR_GIB, PAGE), (FOUR_GIB + 4 * MIB - PAGE, PAGE)),
        ],
        expects=ok(
            0,
            trace=(discard(0xC00000), discard(0xFFF000)),
            content=(zeros(FOUR_GIB), zeros(FOUR_GIB + 4 * MIB - PAGE)),
        ),
    ),
    Case(
        number="27",
        says="A range over two blocks of memory is discarded in two pieces",
        setup=replace(SETUP, memory=(Backend(size_bytes=8 * MIB), Backend(size_bytes=8 * MIB))),
        steps=[START, fill(P - 64 * KIB, 128 * KIB), *report((P - 64 * KIB, 128 * KIB))],
        expects=ok(
            0,
            trace=(discard(0x7F0000, 0x10000, "m0"), discard(0, 0x10000, "m1")),
            content=(zeros(P - 64 * KIB, 128 * KIB),),
        ),
        old=SAME,
    ),
    Case(
        number="28",
        says="A memory module at 4 GiB is a block of its own",
        setup=replace(SETUP, dimms=(Backend(size_bytes=2 * MIB),)),
        steps=[START, fill(FOUR_GIB, 2 * PAGE), *report((FOUR_GIB, PAGE))],
        expects=ok(
            0,
            trace=(discard(0, PAGE, "d0"),),
            content=(zeros(FOUR_GIB), kept(FOUR_GIB + PAGE)),
        ),
        old=SAME,
    ),
    Case(
        number="29",
        says="A chain in a packed ring comes back in its first place, under its buffer's id",
        setup=replace(SETUP, properties=Properties(free_page_reporting=True, packed=True)),
        steps=[
            *(start(REPORT_QUEUE, features=FEATURES | 1 << RING_PACKED), fill(P, 2 * PAGE)),
            *(
                ("poke", PACKED + 16 * place, pack("<QIHH", address, PAGE, BUFFER_ID, flags).hex())
                for place, address, flags in (
                    (0, P, PACKED_WRITE | PACKED_NEXT | PACKED_AVAILABLE),
                    (1, P + PAGE, PACKED_WRITE | PACKED_AVAILABLE),
                )
            ),
            *(("kick", REPORT_QUEUE), ("peek", PACKED + 8, 8), ("peek", PACKED + 24, 8)),
        ],
        expects=ok(
            trace=(discard(P), discard(P + PAGE)),
            answers=(pack("<IHH", 0, 7, 0x8080), pack("<IHH", PAGE, 7, 0x82)),
            content=(zeros(P, 2 * PAGE),),
            returned={},
        ),
    ),
]

END = RAM_BYTES
HUGE = replace(SETUP, memory=(Backend(size_bytes=RAM_BYTES, kind="hugetlb"),))

FILTERED = [
    Case(
        number="30",
        says="A page that begins in the middle of one is not discarded",
        steps=[START, fill(P, 2 * PAGE), *report((P + 0x800, PAGE))],
        expects=ok(0, content=(kept(P, 2 * PAGE),)),
        old=SAME,
    ),
    Case(
        number="31",
        says="Half a page is not discarded",
        steps=[START, fill(P), *report((P, 2048))],
        expects=ok(0, content=(kept(P),)),
        old=SAME,
    ),
    Case(
        number="32",
        says="Ranges that are not whole pages do not keep others of the element",
        steps=[
            *(START, fill(P, 4 * PAGE)),
            *report((P + 0x10, PAGE), (P + PAGE, PAGE), (P, 100), (P + 3 * PAGE, PAGE)),
        ],
        expects=ok(
            0,
            trace=(discard(P + PAGE), discard(P + 3 * PAGE)),
            content=(kept(P), zeros(P + PAGE), kept(P + 2 * PAGE), zeros(P + 3 * PAGE)),
        ),
        old=SAME,
    ),
    Case(
        number="33",
        says="Of memory in huge pages only whole huge pages are discarded",
        setup=HUGE,
        steps=[
            *(START, fill(P, 8 * MIB)),
            *(*report((P, PAGE)), *report((P + PAGE, HUGE_PAGE_BYTES))),
            *(*report((P, HUGE_PAGE_BYTES)), *report((P + 4 * MIB, 2 * HUGE_PAGE_BYTES))),
        ],
        expects=ok(
            *(0, 1, 2, 3),
            trace=(in_huge_pages(P, 0x200000), in_huge_pages(P + 4 * MIB, 0x400000)),
            content=(zeros(P, 2 * MIB), kept(P + 2 * MIB, 2 * MIB), zeros(P + 4 * MIB, 4 * MIB)),
        ),
        old=SAME,
    ),
    Case(
        number="34",
        says="What lies behind memory, or far from it, is traced and passed over",
        steps=[START, fill(END - PAGE), *report((END, PAGE)), *report((HOLE, 100))],
        expects=ok(0, 1, trace=(bad_address(END), bad_address(HOLE)), content=(kept(END - PAGE),)),
    ),
    Case(
        number="35",
        says="One page that is no memory does not keep others of the element",
        steps=[
            *(START, fill(P, 2 * PAGE)),
            *report((P, PAGE), (HOLE, PAGE), (P + PAGE, PAGE)),
        ],
        expects=ok(
            0,
            trace=(discard(P), bad_address(HOLE), discard(P + PAGE)),
            content=(zeros(P, 2 * PAGE),),
        ),
        old=SAME,
    ),
    Case(
        number="36",
        says="Firmware and registers are no memory",
        steps=[
            START,
            *(
                step
                for address in (ROM, OPTION_ROM, TOP_ROM, LOCAL_APIC)
                for step in report((address, PAGE))
            ),
        ],
        expects=ok(
            *(0, 1, 2, 3),
            trace=[bad_address(address) for address in (ROM, OPTION_ROM, TOP_ROM, LOCAL_APIC)],
        ),
    ),
    Case(
        number="37",
        says="Of a range over the end of memory, what is memory is discarded",
        steps=[START, fill(END - 2 * PAGE, 2 * PAGE), *report((END - PAGE, 2 * PAGE))],
        expects=ok(
            0,
            trace=(discard(END - PAGE), bad_address(END)),
            content=(kept(END - 2 * PAGE), zeros(END - PAGE)),
        ),
        old=SAME,
    ),
    Case(
        number="38",
        says="Locked memory cannot be discarded, which QEMU says, and the driver cannot see",
        setup=replace(SETUP, mem_lock=True),
        steps=[START, fill(P), *report((P, PAGE))],
        expects=ok(
            0,
            errors=("ram_block_discard_range: Failed to discard range m0:800000 +1000 (-22)",),
            content=(kept(P),),
        ),
    ),
    Case(
        number="39",
        says="While a background snapshot is taken nothing is discarded",
        steps=[
            *(START, fill(P), ("snapshot",), *report((P, PAGE))),
            ok(0, content=(kept(P),)),
            *(("snapshot_end",), *report((P, PAGE))),
        ],
        expects=ok(0, 1, trace=(discard(P),), content=(zeros(P),)),
    ),
]

CASES = [*GOOD, *FILTERED]
