"""Cases 30 to 39: what is reported and left out in silence."""

from dataclasses import replace

from tests.validation.cases import (
    HOLE,
    RAM_BYTES,
    ROM,
    SAME,
    SETUP,
    START,
    Case,
    P,
    bad_address,
    discard,
    fill,
    kept,
    ok,
    report,
    zeros,
)
from workbench.units import HUGE_PAGE_BYTES, MIB, PAGE_BYTES
from workbench.validation.setup import Backend

PAGE = PAGE_BYTES
OPTION_ROM, TOP_ROM, LOCAL_APIC = 0xC0000, 0xFFFFF000, 0xFEE00000
END = RAM_BYTES
HUGE = replace(SETUP, memory=(Backend(size_bytes=RAM_BYTES, kind="hugetlb"),))


def in_huge_pages(offset, length):
    """Tell of a discard of memory with pages of 2 MiB."""
    return ("discard", "m0", offset, length, False, True)


CASES = [
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
