"""Cases 40 to 58: what breaks the device, what only looks so, and interrupts."""

from struct import pack

from tests.validation.cases import (
    ACKNOWLEDGED,
    DRIVER,
    FEATURES,
    FEATURES_OK,
    HOLE,
    LEGACY_READY,
    NEEDS_RESET,
    POISON,
    RAM_BYTES,
    READY,
    REPORT_QUEUE,
    REPORTING,
    START,
    STATS,
    Case,
    Expected,
    P,
    discard,
    element,
    fill,
    kept,
    ok,
    report,
    start,
    zeros,
)
from workbench.model.balloon import pci
from workbench.model.balloon.offer import EVENT_IDX, NOTIFY_ON_EMPTY
from workbench.units import PAGE_BYTES
from workbench.validation.driver import Ring

PAGE = PAGE_BYTES
END = RAM_BYTES
KICK = ("kick", REPORT_QUEUE)

NEXT, WRITE, INDIRECT = 1, 2, 4
"""Flags of a descriptor."""

ZERO_SIZED = "virtio: zero sized buffers are not allowed"
BOGUS = "virtio: bogus descriptor or out of resources"
TOO_MANY = "virtio: too many write descriptors in indirect table"
WRONG_ORDER = "Incorrect order for descriptors"
LOOP = "Looped descriptor"
TABLE_SIZE = "Invalid size for indirect buffer table"


def broken(*errors, trace=(), content=(), isr=3):
    """The device says so, and nothing comes back."""
    return Expected(
        trace=trace,
        errors=errors,
        status=READY | NEEDS_RESET,
        isr=isr,
        returned={REPORT_QUEUE: []},
        content=content,
    )


def fatal(number, says, *attempts):
    """Say that each attempt, steps and an error, breaks the device until it is reset.

    Before it two pages are filled, and afterwards both are still there; then a good element is
    ignored, and works after a reset.
    """
    steps = []
    for attempt, error in attempts:
        steps += [START, fill(P, 2 * PAGE), *attempt, KICK]
        steps.append(broken(error, content=(kept(P, 2 * PAGE),)))
        steps += [*report((P, PAGE)), broken(content=(kept(P, 2 * PAGE),), isr=0)]
        steps += [START, *report((P, PAGE))]
        steps.append(ok(0, trace=(discard(P),), content=(zeros(P), kept(P + PAGE))))
    return Case(number=number, says=says, steps=steps[:-1], expects=steps[-1])


FATAL = [
    fatal(
        "40",
        "Two pages that are no memory break the device",
        ([element((HOLE, 8192))], BOGUS),
    ),
    fatal(
        "41",
        "So do two ranges of a page each",
        ([element((HOLE, PAGE), (HOLE + 0x10000, PAGE))], BOGUS),
    ),
    fatal("42", "A range of no bytes breaks the device", ([element((P, 0))], ZERO_SIZED)),
    fatal(
        "43",
        "It does so before anything of its element is discarded",
        ([element((P, PAGE), (P + PAGE, 0))], ZERO_SIZED),
    ),
    fatal(
        "44",
        "What the device may write must come last",
        ([("element", REPORT_QUEUE, [(P, PAGE, 1), (P + PAGE, PAGE, 0)])], WRONG_ORDER),
    ),
    fatal(
        "45",
        "A chain that leads back to itself breaks the device",
        ([("chain", REPORT_QUEUE, [(P, PAGE, WRITE | NEXT, 0)])], LOOP),
    ),
    fatal(
        "46",
        "A chain that leads beyond the table breaks the device",
        ([("chain", REPORT_QUEUE, [(P, PAGE, WRITE | NEXT, 32)])], "Desc next is 32"),
    ),
    fatal(
        "47",
        "A head beyond the table breaks the device",
        ([("available", REPORT_QUEUE, 32)], "Guest says index 32 is available"),
    ),
    fatal(
        "48",
        "A range that ends more than a page behind memory breaks the device",
        ([fill(END - PAGE), element((END - PAGE, 3 * PAGE))], BOGUS),
    ),
    fatal(
        "49",
        "A table of no bytes, or of no whole entries, breaks the device",
        ([("chain", REPORT_QUEUE, [(P, 0, INDIRECT, 0)])], TABLE_SIZE),
        ([("chain", REPORT_QUEUE, [(P, 17, INDIRECT, 0)])], TABLE_SIZE),
    ),
    fatal(
        "50",
        "1025 ranges break the device",
        ([element(*[(P, PAGE)] * 1025, indirect=True)], TOO_MANY),
    ),
    fatal(
        "51",
        "A table that is no memory reads as zeros, and so holds a range of no bytes",
        ([("chain", REPORT_QUEUE, [(HOLE, 32, INDIRECT, 0)])], ZERO_SIZED),
    ),
]

LEGACY = STATS | POISON | REPORTING
LEGACY_START = start(REPORT_QUEUE, features=LEGACY, legacy=True)


def legacy_ok(*heads, **more):
    """The same as `ok`, for a driver that uses the legacy interface."""
    return ok(*heads, status=LEGACY_READY, **more)


OTHERS = [
    Case(
        number="52",
        says="A legacy driver cannot see that the device is broken",
        steps=[
            *(LEGACY_START, fill(P), element((P, 0)), KICK),
            legacy_ok(errors=(ZERO_SIZED,), isr=0),
            *(*report((P, PAGE)), legacy_ok(content=(kept(P),), isr=0)),
            *(LEGACY_START, *report((P, PAGE))),
        ],
        expects=legacy_ok(0, trace=(discard(P),), content=(zeros(P),)),
    ),
    Case(
        number="53",
        says="An index that jumps by more than there are places is not noticed",
        steps=[
            *(START, fill(P), ("chain", REPORT_QUEUE, [(P, PAGE, WRITE, 0)])),
            *(("avail_jump", REPORT_QUEUE, 39), KICK),
        ],
        expects=ok(*[0] * 40, trace=[discard(P)] * 40, content=(zeros(P),)),
    ),
    Case(
        number="54",
        says="An entry of a table that calls itself a table is a range",
        steps=[START, fill(P), ("chain", REPORT_QUEUE, [(P, PAGE, WRITE | INDIRECT, 0)], 1), KICK],
        expects=ok(0, trace=(discard(P),), content=(zeros(P),)),
    ),
]


def used_event_steps(count):
    """Report a page `count` times, and read each time whether there was an interrupt."""
    ring = Ring(REPORT_QUEUE, 32, packed=False)
    avail_event = ("peek", ring.used + 4 + 8 * ring.size, 2)
    isr = ("register_read", pci.ISR, 1)
    return [step for _ in range(count) for step in (*report((P, PAGE)), isr, avail_event)]


INTERRUPTS = [
    Case(
        number="55",
        says="Without interrupts the used ring goes on",
        steps=[START, fill(P), ("avail_flags", REPORT_QUEUE, 1), *report((P, PAGE))],
        expects=ok(0, trace=(discard(P),), content=(zeros(P),), isr=0),
    ),
    Case(
        number="56",
        says="There is one all the same when the queue is empty, if that was negotiated",
        steps=[
            start(REPORT_QUEUE, features=LEGACY | 1 << NOTIFY_ON_EMPTY, legacy=True),
            *(fill(P), ("avail_flags", REPORT_QUEUE, 1), *report((P, PAGE))),
        ],
        expects=legacy_ok(0, trace=(discard(P),), content=(zeros(P),)),
    ),
    Case(
        number="57",
        says="With an event index there are interrupts at the first element and at that one",
        steps=[
            start(REPORT_QUEUE, features=FEATURES | 1 << EVENT_IDX),
            *(("used_event", REPORT_QUEUE, 5), *used_event_steps(8)),
        ],
        expects=ok(
            *range(8),
            trace=[discard(P)] * 8,
            answers=[
                answer
                for served, isr in enumerate((1, 0, 0, 0, 0, 1, 0, 0), 1)
                for answer in (isr, pack("<H", served))
            ],
            isr=0,
        ),
    ),
    Case(
        number="58",
        says="A device that breaks before DRIVER_OK does not interrupt",
        steps=[
            *(("reset",), ("status", ACKNOWLEDGED), ("status", DRIVER), ("features", FEATURES)),
            *(("status", FEATURES_OK), ("queue", REPORT_QUEUE), element((P, 0)), KICK),
            ("register_read", pci.GENERATION, 1),
        ],
        expects=Expected(
            answers=(0,),
            errors=(ZERO_SIZED,),
            status=FEATURES_OK | NEEDS_RESET,
            isr=0,
            returned={REPORT_QUEUE: []},
        ),
    ),
]

CASES = [*FATAL, *OTHERS, *INTERRUPTS]
