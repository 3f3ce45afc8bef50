"""Cases 83 to 96: free page hinting, and the reset of one queue."""

from tests.validation.cases import (
    CMD_ID,
    FEATURES,
    HINT_QUEUE,
    HINTING,
    HOLE,
    NEEDS_RESET,
    RAM_BYTES,
    READY,
    REPORT_QUEUE,
    START_HINTS,
    Case,
    Expected,
    P,
    command,
    discard,
    fill,
    hint,
    kept,
    ok,
    read_config,
    report,
    send,
    start,
    zeros,
)
from workbench.model.balloon import pci
from workbench.model.balloon.level import Level
from workbench.model.balloon.offer import RING_RESET
from workbench.units import MIB, PAGE_BYTES

PAGE = PAGE_BYTES
ID = read_config(CMD_ID)
ISR = ("register_read", pci.ISR, 1)
FIRST, SECOND, THIRD = 0x80000001, 0x80000002, 0x80000003
STOP, DONE = 0, 1
BAD_COMMAND = "received an incorrect cmd id"
BAD_HINT = "qemu_guest_free_page_hint unexpected error"
MIGRATION, CANCEL, REMAINING, FINISH = ("migration",), ("cancel",), ("remaining",), ("finish",)
FILLED = fill(P, 16 * PAGE)


def seen(*answers, isr=0, heads=None, length=0, **more):
    """What was answered, and which elements came back from the queue of hints."""
    returned = {} if heads is None else {HINT_QUEUE: [(head, length) for head in heads]}
    return Expected(answers=answers, isr=isr, returned=returned, **more)


def in_5_1(*expected):
    """What is seen in QEMU 5.1.  In the series as posted this queue is not that of hints."""
    return {Level.QEMU_5_1: expected}


TARGET = (("to_target", 12 * MIB, 0x400),)
ENDED = (1, 1, STOP, 1, STOP, 1, 1, STOP, 1, STOP)

CASES = [
    Case(
        number="83",
        says="Without a migration commands and hints are taken, and nothing comes of it",
        setup=HINTING,
        steps=[
            *(*START_HINTS, FILLED, *command(FIRST), *hint((P, PAGE)), ID),
            *(*command(0), *command(0xFFFFFFFF), *hint((P, 2 * PAGE), (P, PAGE)), ID),
        ],
        expects=seen(STOP, STOP, heads=(0, 1, 2, 3, 4), content=(kept(P, 16 * PAGE),)),
        old=in_5_1(seen(STOP, STOP, heads=(0, 1, 2, 3, 4), length=1)),
    ),
    Case(
        number="84",
        says="A command of two bytes breaks the device",
        setup=HINTING,
        steps=[*START_HINTS, *send(HINT_QUEUE, b"\1\0"), ("settle", HINT_QUEUE)],
        expects=seen(isr=3, heads=(), errors=(BAD_COMMAND,), status=READY | NEEDS_RESET),
        old=in_5_1(),
    ),
    Case(
        number="85",
        says="When a migration begins an id is announced",
        setup=HINTING,
        steps=[*START_HINTS, FILLED, ID, MIGRATION, ID],
        expects=seen(STOP, FIRST, isr=3),
        old=in_5_1(),
    ),
    Case(
        number="86",
        says="Another id, and hints before the right one, are ignored",
        setup=HINTING,
        steps=[
            *(*START_HINTS, FILLED, MIGRATION, *hint((P, PAGE)), *command(FIRST + 1), ID),
            *(*hint((P + PAGE, PAGE)), *command(STOP), *hint((P + 2 * PAGE, PAGE)), ID, REMAINING),
        ],
        expects=seen(FIRST, FIRST, 0, isr=3, heads=(0, 1, 2, 3, 4)),
        old=in_5_1(seen(FIRST, FIRST, 0, isr=3, heads=(0, 1, 2, 3, 4), length=1)),
    ),
    Case(
        number="87",
        says="After the right id 0 is read, and hinted pages, all of an element, are not sent",
        setup=HINTING,
        steps=[
            *(*START_HINTS, FILLED, MIGRATION, *command(FIRST), ID),
            *(*hint((P, 4 * PAGE), (P + 8 * PAGE, 2 * PAGE)), REMAINING, FINISH, ID),
        ],
        expects=seen(STOP, 6, [], DONE, isr=3, heads=(0, 1), content=(kept(P, 16 * PAGE),)),
        old=in_5_1(seen(STOP, 4, [], DONE, isr=3, heads=(0, 1), length=1)),
    ),
    Case(
        number="88",
        # A page that a range begins within counts as written when the element comes back
        # (QEMU 7.2 softmmu/physmem.c, address_space_unmap).
        says="A hint that is no memory is reported once; one not aligned is taken, and sent again",
        setup=HINTING,
        steps=[
            *(*START_HINTS, FILLED, MIGRATION, *command(FIRST), *hint((HOLE, PAGE))),
            seen(isr=3, heads=(0, 1), errors=(BAD_HINT,)),
            *(*hint((RAM_BYTES, PAGE)), *hint((P + 0x800, PAGE)), REMAINING),
            seen(1, heads=(0, 1, 2, 3)),
            *(*hint((P + 8 * PAGE, 2048)), *hint((P + 8 * PAGE, 2 * PAGE + 2048)), REMAINING),
            FINISH,
        ],
        expects=seen(3, [P], isr=3, heads=(0, 1, 2, 3, 4, 5)),
    ),
    Case(
        number="89",
        says="Any command ends hinting, the same id too, and does not begin it again",
        setup=HINTING,
        steps=[
            *(*START_HINTS, FILLED, MIGRATION, *command(FIRST), *hint((P, PAGE)), REMAINING),
            *(*command(STOP), *hint((P + PAGE, PAGE)), REMAINING, ID),
            *(*command(FIRST), *hint((P + PAGE, PAGE)), REMAINING, ID),
            *(CANCEL, MIGRATION, *command(SECOND), *hint((P + PAGE, PAGE)), REMAINING),
            *(*command(SECOND), *hint((P + 2 * PAGE, PAGE)), REMAINING, ID),
            *(CANCEL, MIGRATION, *command(THIRD), *hint((P, PAGE)), *command(0x12345)),
            *(*hint((P + PAGE, PAGE)), REMAINING, ID),
        ],
        expects=seen(*ENDED, isr=3, heads=range(14)),
        old=in_5_1(seen(*ENDED, isr=3, heads=range(14), length=1)),
    ),
    Case(
        number="90",
        says="A migration that is cancelled is done, and the next has the next id",
        setup=HINTING,
        steps=[*START_HINTS, MIGRATION, ID, ISR, CANCEL, ID, ISR, MIGRATION, ID],
        expects=seen(FIRST, 3, DONE, 3, SECOND, isr=3),
        old=in_5_1(),
    ),
    Case(
        number="91",
        says="A reset stops hinting until the migration ends",
        setup=HINTING,
        steps=[*START_HINTS, MIGRATION, ID, *START_HINTS, ID, ISR, CANCEL, ID],
        expects=seen(FIRST, STOP, 0, DONE, isr=3),
        old=in_5_1(),
    ),
    Case(
        number="91b",
        says="Ids are counted on over a reset of the device, and of the machine",
        setup=HINTING,
        steps=[
            *(*START_HINTS, MIGRATION, ID, CANCEL, *START_HINTS, MIGRATION, ID, CANCEL),
            *(("system_reset",), *START_HINTS, MIGRATION, ID),
        ],
        expects=seen(FIRST, SECOND, THIRD, isr=3),
        old=in_5_1(),
    ),
    Case(
        number="91c",
        says="While the machine is stopped the queue of hints waits",
        setup=HINTING,
        steps=[
            *(*START_HINTS, ("stop",), *command(FIRST)),
            seen(heads=()),
            *(("cont",), ("settle", HINT_QUEUE)),
        ],
        expects=seen(heads=(0,)),
        old=in_5_1(seen(heads=()), seen(heads=(0,), length=1)),
    ),
    Case(
        number="92",
        says="A migration of a stopped machine is done at once, and takes no id",
        setup=HINTING,
        steps=[*START_HINTS, ("stop",), MIGRATION, ID, ISR, CANCEL, ("cont",), MIGRATION, ID],
        expects=seen(DONE, 3, FIRST, isr=3),
        old=in_5_1(),
    ),
    Case(
        number="93",
        # The end of a snapshot is told like that of any migration (migration/savevm.c,
        # qemu_savevm_state_cleanup).
        says="No hints are asked for with postcopy, not negotiated, or for a snapshot",
        setup=HINTING,
        steps=[
            *(*START_HINTS, ("capability", "postcopy-ram", 1), MIGRATION, ID, CANCEL, ID),
            seen(STOP, STOP),
            *(("capability", "postcopy-ram", 0), ("machine", HINTING)),
            *(start(HINT_QUEUE), MIGRATION, ID, CANCEL, ID),
            seen(STOP, STOP),
            *(("machine", HINTING), *START_HINTS, ("snapshot",), ID, ISR, ("snapshot_end",), ID),
        ],
        expects=seen(STOP, 0, DONE, isr=3),
        # Background snapshots came with 6.0.
        old=in_5_1(seen(FIRST, DONE, isr=3), seen(STOP, STOP)),
    ),
    Case(
        number="94",
        says="A target that comes while hinting runs looks to the driver like its end",
        setup=HINTING,
        steps=[
            *(*START_HINTS, FILLED, MIGRATION, *command(FIRST), ISR, ("balloon", 12 * MIB)),
            *(ISR, ID, *hint((P, PAGE)), REMAINING),
        ],
        expects=seen(*(3, None, 3, STOP, 1), heads=(0, 1), trace=TARGET),
        old=in_5_1(seen(*(3, None, 3, STOP, 1), heads=(0, 1), trace=TARGET, length=1)),
    ),
    Case(
        number="95",
        says="After the id 0xffffffff comes 0x80000000",
        setup=HINTING,
        steps=[
            *(*START_HINTS, ("migrated_with", 0xFFFFFFFF), ID),
            *(MIGRATION, ID, CANCEL, MIGRATION, ID),
        ],
        expects=seen(DONE, 0x80000000, FIRST, isr=3),
    ),
    Case(
        number="96",
        says="A queue can be reset and set up again; to disable it otherwise breaks the device",
        steps=[
            start(REPORT_QUEUE, features=FEATURES | 1 << RING_RESET),
            *(fill(P, 2 * PAGE), *report((P, PAGE))),
            ok(0, trace=(discard(P),), content=(zeros(P), kept(P + PAGE))),
            ("register_write", pci.QUEUE_SELECT, 2, REPORT_QUEUE),
            ("register_write", pci.QUEUE_RESET, 2, 1),
            *(("register_read", pci.QUEUE_ENABLE, 2), *report((P + PAGE, PAGE))),
            Expected(answers=(0,), content=(zeros(P), kept(P + PAGE))),
            *(("queue", REPORT_QUEUE), *report((P + PAGE, PAGE))),
            ok(0, trace=(discard(P + PAGE),), content=(zeros(P, 2 * PAGE),)),
            ("register_write", pci.QUEUE_ENABLE, 2, 0),
        ],
        expects=Expected(
            errors=("wrong value for queue_enable 0",),
            status=READY | NEEDS_RESET,
            isr=3,
            returned={REPORT_QUEUE: [(0, 0)]},
        ),
    ),
]
