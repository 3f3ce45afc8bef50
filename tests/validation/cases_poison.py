"""Cases 59 to 68: poison_val, its shadow, and how it travels."""

from tests.validation.cases import (
    ACKNOWLEDGED,
    ACTUAL,
    CMD_ID,
    DRIVER,
    FEATURES,
    FEATURES_OK,
    HINT_FEATURES,
    HINT_QUEUE,
    HINTING,
    INFLATE_QUEUE,
    MODERN,
    NUM_PAGES,
    POISON_VAL,
    READY,
    REPORT_QUEUE,
    REPORT_QUEUE_BEHIND,
    REPORTING,
    SAME,
    START,
    STATS,
    Case,
    Expected,
    P,
    command,
    discard,
    element,
    fill,
    hint,
    inflate,
    kept,
    ok,
    page_named,
    read_config,
    report,
    start,
    write_config,
    zeros,
)
from workbench.units import MIB, PAGE_BYTES

PAGE = PAGE_BYTES
VALUE = 0xAAAAAAAA
NEGOTIATING = [("reset",), ("status", ACKNOWLEDGED), ("status", DRIVER)]
REPORT = report((P, PAGE))
ALL_FIELDS = [read_config(offset) for offset in (NUM_PAGES, ACTUAL, CMD_ID, POISON_VAL)]

NOT_DISCARDED = {"content": (kept(P),)}
DISCARDED = {"trace": (discard(P),), "content": (zeros(P),)}

CASES = [
    Case(
        number="59",
        says="With a poison_val of 0 pages are discarded",
        steps=[START, write_config(POISON_VAL, 0), fill(P), *REPORT],
        expects=ok(0, **DISCARDED),
        old=SAME,
    ),
    Case(
        number="60",
        says="With any other value they are not",
        steps=[
            step
            for value in (0x000000AA, 0x0000AA00, 0x00AA0000, 0xAA000000, 1, VALUE)
            for step in (
                *(START, write_config(POISON_VAL, value), fill(P), *REPORT),
                ok(0, **NOT_DISCARDED),
            )
        ][:-1],
        expects=ok(0, **NOT_DISCARDED),
        old=SAME,
    ),
    Case(
        number="61",
        says="Cleared byte by byte, it counts until the last of them is 0",
        steps=[
            *(START, write_config(POISON_VAL, VALUE), fill(P)),
            *(write_config(POISON_VAL, 0, 1), *REPORT, read_config(POISON_VAL)),
            ok(0, **NOT_DISCARDED, answers=(0xAAAAAA00,)),
            *(write_config(POISON_VAL + 1, 0, 1), *REPORT, read_config(POISON_VAL)),
            ok(0, 1, **NOT_DISCARDED, answers=(0xAAAA0000,)),
            *(write_config(POISON_VAL + 2, 0, 1), *REPORT, read_config(POISON_VAL)),
            ok(0, 1, 2, **NOT_DISCARDED, answers=(0xAA000000,)),
            *(write_config(POISON_VAL + 3, 0, 1), *REPORT, read_config(POISON_VAL)),
        ],
        expects=ok(0, 1, 2, 3, **DISCARDED, answers=(0,)),
        old=SAME,
    ),
    Case(
        number="62",
        says="Not negotiated, it stays 0 whatever is written",
        steps=[
            start(REPORT_QUEUE, features=STATS | REPORTING | MODERN),
            *(write_config(POISON_VAL, VALUE), fill(P), *REPORT, read_config(POISON_VAL)),
        ],
        expects=ok(0, **DISCARDED, answers=(0,)),
        old=SAME,
    ),
    Case(
        number="63",
        says="It is dropped before the features are written, and stored before FEATURES_OK",
        steps=[
            *(*NEGOTIATING, write_config(POISON_VAL, VALUE), read_config(POISON_VAL)),
            *(("features", FEATURES), write_config(POISON_VAL, VALUE), read_config(POISON_VAL)),
            *(("status", FEATURES_OK), ("queue", REPORT_QUEUE), ("status", READY)),
            *(fill(P), *REPORT, read_config(POISON_VAL)),
        ],
        expects=ok(0, **NOT_DISCARDED, answers=(0, VALUE, VALUE)),
        old=SAME,
    ),
    Case(
        number="64",
        says="It stays when `actual` is written",
        steps=[
            *(START, write_config(POISON_VAL, VALUE), write_config(ACTUAL, 5)),
            *(fill(P), *REPORT, read_config(POISON_VAL), read_config(ACTUAL)),
        ],
        expects=ok(0, **NOT_DISCARDED, answers=(VALUE, 5)),
        old=SAME,
    ),
    Case(
        number="65",
        says="A reset clears it, and keeps the target and `actual`",
        steps=[
            *(START, write_config(POISON_VAL, VALUE), write_config(ACTUAL, 5)),
            *(("balloon", 12 * MIB), *ALL_FIELDS, START, *ALL_FIELDS, fill(P), *REPORT),
        ],
        expects=ok(
            0,
            trace=(("to_target", 12 * MIB, 0x400), discard(P)),
            content=(zeros(P),),
            answers=(None, 0x400, 5, 0, VALUE, 0x400, 5, 0, 0),
        ),
        old=SAME,
    ),
    Case(
        number="66",
        says="It comes back from the shadow when `actual` is written; not if something was read",
        steps=[
            *(START, write_config(POISON_VAL, VALUE)),
            *(START, fill(P), *REPORT),
            ok(0, **DISCARDED),
            *(write_config(ACTUAL, 1), fill(P), *REPORT, read_config(POISON_VAL)),
            ok(0, 1, **NOT_DISCARDED, answers=(VALUE,)),
            *(START, read_config(NUM_PAGES), write_config(ACTUAL, 2), fill(P), *REPORT),
            read_config(POISON_VAL),
        ],
        expects=ok(0, **DISCARDED, answers=(0, 0)),
        old=SAME,
    ),
    Case(
        number="67",
        says="Inflated pages are discarded, and hinted ones not sent, whatever it is",
        setup=HINTING,
        steps=[
            start(INFLATE_QUEUE, HINT_QUEUE, features=HINT_FEATURES),
            *(("avail_flags", HINT_QUEUE, 1), write_config(POISON_VAL, VALUE)),
            *(fill(P, 8 * PAGE), *inflate(P), read_config(POISON_VAL)),
            Expected(
                trace=(page_named(P), discard(P)),
                isr=1,
                returned={INFLATE_QUEUE: [(0, 0)]},
                content=(zeros(P), kept(P + PAGE, 7 * PAGE)),
                answers=(VALUE,),
            ),
            *(("migration",), *command(0x80000001), *hint((P + PAGE, 4 * PAGE))),
            *(("remaining",), ("finish",), read_config(POISON_VAL)),
        ],
        expects=Expected(
            answers=(4, [], VALUE),
            isr=3,
            returned={HINT_QUEUE: [(0, 0), (1, 0)]},
            content=(kept(P + PAGE, 7 * PAGE),),
        ),
    ),
    Case(
        number="68",
        says="It arrives at the destination of a migration, with the target, `actual`, and DONE",
        setup=HINTING,
        steps=[
            start(HINT_QUEUE, REPORT_QUEUE_BEHIND, features=HINT_FEATURES),
            *(write_config(POISON_VAL, 0x55AA55AA), write_config(ACTUAL, 0x123)),
            *(("balloon", 12 * MIB), fill(P)),
            Expected(answers=(None,), trace=(("to_target", 12 * MIB, 0x400),), isr=3),
            *(("migrated",), *ALL_FIELDS),
            *(element((P, PAGE), queue=REPORT_QUEUE_BEHIND), ("kick", REPORT_QUEUE_BEHIND)),
        ],
        expects=Expected(
            answers=(0x400, 0x123, 1, 0x55AA55AA),
            isr=3,
            returned={HINT_QUEUE: [], REPORT_QUEUE_BEHIND: [(0, 0)]},
            content=(kept(P),),
        ),
    ),
    Case(
        number="68b",
        says="What the shadow holds arrives too, and comes back there",
        steps=[
            *(START, write_config(POISON_VAL, VALUE)),
            *(START, ("migrated",), fill(P), *REPORT),
            ok(0, **DISCARDED),
            *(write_config(ACTUAL, 1), fill(P), *REPORT, read_config(POISON_VAL)),
        ],
        expects=ok(0, 1, **NOT_DISCARDED, answers=(VALUE,)),
    ),
]
