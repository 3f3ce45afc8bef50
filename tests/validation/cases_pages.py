"""Cases 69 to 77: inflate and deflate."""

from dataclasses import replace

from tests.validation.cases import (
    DEFLATE_QUEUE,
    INFLATE_QUEUE,
    RAM_BYTES,
    ROM,
    SAME,
    SETUP,
    Case,
    Expected,
    P,
    bad_address,
    before_6_2,
    discard,
    fill,
    inflate,
    kept,
    page_named,
    pfns,
    send,
    start,
    zeros,
)
from workbench.model.balloon.level import Level
from workbench.units import HUGE_PAGE_BYTES, MIB, PAGE_BYTES
from workbench.validation.setup import Backend

PAGE = PAGE_BYTES
START = start(INFLATE_QUEUE, DEFLATE_QUEUE)
LAST_PFN = 0xFFFFFFFF * PAGE
HUGE_WARNING = "Balloon used with backing page size > 4kiB, this may not be reliable"
NEXT_HUGE = P + HUGE_PAGE_BYTES


def back(*heads, trace=(), content=(), errors=(), isr=1, queue=INFLATE_QUEUE, length=0):
    """Elements with these heads came back from the inflate queue, with an interrupt."""
    return Expected(
        trace=trace,
        content=content,
        errors=errors,
        isr=isr,
        returned={queue: [(head, length) for head in heads]},
    )


def inflated(*addresses):
    """Tell of pages that were inflated, and discarded."""
    return [line for address in addresses for line in (page_named(address), discard(address))]


def named(*addresses):
    """Tell of pages of which nothing came."""
    return [page_named(address) for address in addresses]


def pages_of(address, count=512):
    """Addresses of pages, from this one on."""
    return [address + number * PAGE for number in range(count)]


FIRST, SECOND = pages_of(P, 256), pages_of(P + MIB, 256)
"""The halves of a huge page."""
WHOLE = ("discard", "m0", P, HUGE_PAGE_BYTES, False, True)
SHUFFLED = [*FIRST[::-1], *FIRST[:7], *SECOND]

CASES = [
    Case(
        number="69",
        says="A page that is inflated is discarded",
        steps=[START, fill(P - PAGE, 3 * PAGE), *inflate(P)],
        expects=back(0, trace=inflated(P), content=(kept(P - PAGE), zeros(P), kept(P + PAGE))),
        old=before_6_2(back(0, trace=inflated(P), content=(zeros(P),), length=4)),
    ),
    Case(
        number="70",
        says="Each page is discarded on its own, beside each other or not",
        steps=[START, fill(P, 512 * PAGE), *inflate(*pages_of(P))],
        expects=back(0, trace=inflated(*pages_of(P)), content=(zeros(P, 512 * PAGE),)),
        old=before_6_2(back(0, trace=inflated(*pages_of(P)), length=4 * 512)),
    ),
    Case(
        number="71",
        says="Any number of pages may be no memory, without keeping the others",
        steps=[
            *(START, fill(P, 2 * PAGE)),
            *inflate(P, RAM_BYTES, LAST_PFN, ROM, RAM_BYTES, P + PAGE),
        ],
        expects=back(
            0,
            trace=(
                *inflated(P),
                *map(bad_address, (RAM_BYTES, LAST_PFN, ROM, RAM_BYTES)),
                *inflated(P + PAGE),
            ),
            content=(zeros(P, 2 * PAGE),),
        ),
    ),
    Case(
        number="72",
        says="Bytes that make no whole number are ignored",
        steps=[
            *(START, fill(P, 2 * PAGE)),
            *send(INFLATE_QUEUE, pfns(P, P + PAGE)[:6]),
            *send(INFLATE_QUEUE, pfns(P + PAGE)[:2]),
        ],
        expects=back(0, 1, trace=inflated(P), content=(zeros(P), kept(P + PAGE))),
    ),
    Case(
        number="73",
        says="A number may lie in two pieces of the element",
        steps=[START, fill(P, 2 * PAGE), *send(INFLATE_QUEUE, pfns(P, P + PAGE), 3, 6)],
        expects=back(0, trace=inflated(P, P + PAGE), content=(zeros(P, 2 * PAGE),)),
        old=before_6_2(back(0, trace=inflated(P, P + PAGE), length=8)),
    ),
    Case(
        number="74",
        says="What the device may write is no list of pages",
        steps=[START, fill(P), ("element", INFLATE_QUEUE, [(P, 4, 1)]), ("kick", INFLATE_QUEUE)],
        expects=back(0, content=(kept(P),)),
        old=SAME,
    ),
    Case(
        number="75",
        says="Deflating changes nothing, whether the page is inflated, or memory, or not",
        steps=[
            *(START, fill(P, 2 * PAGE), *inflate(P)),
            back(0, trace=inflated(P), content=(zeros(P),)),
            *inflate(P, P + PAGE, RAM_BYTES, ROM, queue=DEFLATE_QUEUE),
        ],
        expects=back(
            0,
            trace=(*named(P, P + PAGE), bad_address(RAM_BYTES), bad_address(ROM)),
            content=(zeros(P), kept(P + PAGE)),
            queue=DEFLATE_QUEUE,
        ),
        old=before_6_2(
            back(0, trace=inflated(P), length=4),
            back(
                0,
                trace=(*named(P, P + PAGE), bad_address(RAM_BYTES), bad_address(ROM)),
                content=(zeros(P), kept(P + PAGE)),
                queue=DEFLATE_QUEUE,
                length=4 * 4,
            ),
        ),
    ),
    Case(
        number="76",
        says="A huge page is discarded when one element names all of it, with no other between",
        setup=replace(SETUP, memory=(Backend(size_bytes=RAM_BYTES, kind="hugetlb"),)),
        steps=[
            *(START, fill(P, 2 * HUGE_PAGE_BYTES), *inflate(*FIRST), *inflate(*SECOND)),
            back(
                *(0, 1),
                trace=named(*FIRST, *SECOND),
                content=(kept(P, 2 * HUGE_PAGE_BYTES),),
                errors=(HUGE_WARNING,),
            ),
            *inflate(*FIRST, NEXT_HUGE, *SECOND),
            back(
                *(0, 1, 2),
                trace=named(*FIRST, NEXT_HUGE, *SECOND),
                content=(kept(P, 2 * HUGE_PAGE_BYTES),),
            ),
            *inflate(*FIRST, *SECOND),
            back(
                *(0, 1, 2, 3),
                trace=(*named(*FIRST, *SECOND), WHOLE),
                content=(zeros(P, HUGE_PAGE_BYTES), kept(NEXT_HUGE, HUGE_PAGE_BYTES)),
            ),
            *(fill(P, HUGE_PAGE_BYTES), *inflate(*SHUFFLED)),
        ],
        expects=back(
            *(0, 1, 2, 3, 4),
            trace=(*named(*SHUFFLED), WHOLE),
            content=(zeros(P, HUGE_PAGE_BYTES), kept(NEXT_HUGE, HUGE_PAGE_BYTES)),
        ),
    ),
    Case(
        number="77",
        says="While discards are inhibited pages are named, and stay",
        setup=replace(SETUP, incoming="deferred", send_configuration=False),
        steps=[
            *(("colo",), START, fill(P), *inflate(P)),
            back(0, trace=named(P), content=(kept(P),)),
            ("machine", SETUP),
            *(START, fill(P), ("snapshot",), *inflate(P)),
            back(0, trace=named(P), content=(kept(P),)),
            *(("snapshot_end",), *inflate(P)),
        ],
        expects=back(0, 1, trace=inflated(P), content=(zeros(P),)),
        # COLO inhibits since 5.1, and background snapshots came with 6.0.
        old={Level.QEMU_5_1: [back(0, trace=named(P), content=(kept(P),), length=4)]},
    ),
]
