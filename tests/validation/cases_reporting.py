"""Cases 14 to 29: what is reported well."""

from dataclasses import replace
from struct import pack

from tests.validation.cases import (
    ACKNOWLEDGED,
    DRIVER,
    FEATURES,
    FEATURES_OK,
    MODERN,
    REPORT_QUEUE,
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
from workbench.model.balloon.offer import EVENT_IDX, RING_PACKED, Properties
from workbench.units import GIB, KIB, MIB, PAGE_BYTES
from workbench.validation.driver import Ring
from workbench.validation.setup import Backend

PAGE = PAGE_BYTES
THREE_GIB, FOUR_GIB = 0xC0000000, 0x100000000
VGA = 0xA0000

USED_PAGE = 0x231000
"""Where the used ring of the reporting queue lies, alone in its page."""

PACKED = Ring(REPORT_QUEUE, 32, packed=True).desc
BUFFER_ID, PACKED_WRITE, PACKED_NEXT, PACKED_AVAILABLE = 7, 2, 1, 0x80

PLACES = 240
WITH_EVENTS = ("start", FEATURES | 1 << EVENT_IDX, [(REPORT_QUEUE, PLACES)])
EVENT = (Ring(REPORT_QUEUE, PLACES, packed=False).used - PAGE, PAGE)
"""The page with used_event, and nothing else that matters, in a ring of so many places."""


def pages(count):
    """`count` pages, from P on."""
    return [(P + number * PAGE, PAGE) for number in range(count)]


def reports(*ranges):
    """Report ranges, each in an element of its own, with one kick."""
    return [*(element(each) for each in ranges), ("kick", REPORT_QUEUE)]


CASES = [
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
        says="One kick serves all elements that are there, and after each an interrupt is decided",
        steps=[
            *(START, fill(P, 3 * PAGE), *reports(*pages(3))),
            ok(
                *(0, 1, 2),
                trace=(discard(P), discard(P + PAGE), discard(P + 2 * PAGE)),
                content=(zeros(P, 3 * PAGE),),
            ),
            *(WITH_EVENTS, *report((P, PAGE))),
            ok(0, trace=(discard(P),)),
            # Wanted after the first element; the second takes the wish away, and so on.
            *(("used_event", REPORT_QUEUE, 1), *reports((P, PAGE), EVENT, (P, PAGE))),
            ok(*range(4), trace=(discard(P), discard(EVENT[0]), discard(P))),
            *(("used_event", REPORT_QUEUE, 5), *reports((P, PAGE), (P, PAGE), EVENT)),
            ok(*range(7), trace=(discard(P), discard(P), discard(EVENT[0]))),
            *(("used_event", REPORT_QUEUE, 9), *reports((P, PAGE), (P, PAGE), (P, PAGE))),
            ok(*range(10), trace=(discard(P), discard(P), discard(P))),
            *(("used_event", REPORT_QUEUE, 10), *reports(EVENT, (P, PAGE), (P, PAGE))),
        ],
        expects=ok(*range(13), isr=0, trace=(discard(EVENT[0]), discard(P), discard(P))),
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
        says="Of 4 GiB the last lies above 4 GiB, and in the block behind what is below",
        setup=replace(SETUP, memory=(Backend(size_bytes=FOUR_GIB),)),
        steps=[
            START,
            *(fill(at) for at in (THREE_GIB - PAGE, FOUR_GIB, FOUR_GIB + GIB - PAGE)),
            *report((THREE_GIB - PAGE, PAGE), (THREE_GIB, PAGE), (FOUR_GIB, PAGE)),
            *report((FOUR_GIB + GIB - PAGE, PAGE)),
        ],
        expects=ok(
            *(0, 3),
            trace=(
                discard(0xBFFFF000),
                bad_address(THREE_GIB),
                discard(0xC0000000),
                discard(0xFFFFF000),
            ),
            content=[zeros(at) for at in (THREE_GIB - PAGE, FOUR_GIB, FOUR_GIB + GIB - PAGE)],
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
