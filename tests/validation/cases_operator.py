"""Cases 78 to 82: targets, `actual`, and statistics."""

from dataclasses import replace
from struct import pack

from tests.validation.cases import (
    ACTUAL,
    NUM_PAGES,
    REPORT_QUEUE,
    SAME,
    SETUP,
    STATS_QUEUE,
    Case,
    Expected,
    before_6_2,
    read_config,
    send,
    start,
    write_config,
)
from workbench.model.balloon import pci
from workbench.units import MIB
from workbench.validation.setup import Backend

SETUP_256 = replace(SETUP, memory=(Backend(size_bytes=256 * MIB),))
START = start(REPORT_QUEUE)
START_STATS = start(STATS_QUEUE)
NEEDS_SIZE = "Parameter 'target' expects a size"
GENERATION = ("register_read", pci.GENERATION, 1)
ISR = ("register_read", pci.ISR, 1)

UNSET = 0xFFFFFFFFFFFFFFFF


def target(value):
    """Set a target, and read what the driver is told."""
    return [("balloon", value), read_config(NUM_PAGES)]


def records(*numbers):
    """Give statistics as the driver sends them: tag and value."""
    return b"".join(pack("<HQ", tag, value) for tag, value in numbers)


def statistics(**values):
    """All ten numbers by tag, of which these are known: tag0=17."""
    return [values.get(f"tag{tag}", UNSET) for tag in range(10)]


FIRST = records((0, 17), (4, 1 << 40), (5, 256 * MIB), (9, 3), (99, 12345))
FIRST_KNOWN = statistics(tag0=17, tag4=1 << 40, tag5=256 * MIB, tag9=3)
SECOND = records((1, 21))

CASES = [
    Case(
        number="78",
        says="A target is announced, and again if it is the same",
        setup=SETUP_256,
        steps=[
            *(START, GENERATION, *target(128 * MIB), ISR, GENERATION),
            *(*target(128 * MIB), ISR, GENERATION),
        ],
        expects=Expected(
            answers=(0, None, 0x8000, 3, 1, None, 0x8000, 3, 2),
            trace=[("to_target", 0x8000000, 0x8000)] * 2,
        ),
        old=SAME,
    ),
    Case(
        number="79",
        says="A target of nothing or less is refused, one beyond all memory is that, pages round",
        setup=SETUP_256,
        steps=[
            *(START, ("balloon", 0), ("balloon", -1), read_config(NUM_PAGES), ISR),
            *(*target(1), *target(512 * MIB), *target(100 * MIB + 1)),
        ],
        expects=Expected(
            answers=(NEEDS_SIZE, NEEDS_SIZE, 0, 0, None, 0xFFFF, None, 0, None, 0x9BFF),
            trace=(
                ("to_target", 1, 0xFFFF),
                ("to_target", 256 * MIB, 0),
                ("to_target", 100 * MIB + 1, 0x9BFF),
            ),
            isr=3,
        ),
        old=SAME,
    ),
    Case(
        number="80",
        says="A changed `actual` is an event, the same one is not, and of ten the first and last",
        setup=SETUP_256,
        steps=[
            *(START, write_config(ACTUAL, 0x1000), write_config(ACTUAL, 0x1000)),
            *(("balloon_changes", 1, 1), ("query_balloon",)),
            Expected(answers=([251658240], 251658240)),
            *(write_config(ACTUAL, 0x2000), ("balloon_changes", 1)),
            Expected(answers=([234881024],)),
            ("machine", SETUP_256),
            *(START, *(write_config(ACTUAL, 0x1000 * count) for count in range(1, 11))),
            ("balloon_changes", 2),
        ],
        expects=Expected(answers=([251658240, 100663296],)),
        old=SAME,
    ),
    Case(
        number="81",
        says="`actual` is believed, whatever it is",
        setup=SETUP_256,
        steps=[START, write_config(ACTUAL, 0xFFFFFFFF), read_config(ACTUAL), ("query_balloon",)],
        expects=Expected(answers=(0xFFFFFFFF, -17591917604864)),
        old=SAME,
    ),
    Case(
        number="82",
        says="Statistics are kept until the next come, or until they are polled",
        steps=[
            *(START_STATS, *send(STATS_QUEUE, FIRST), ("guest_statistics",)),
            Expected(answers=(FIRST_KNOWN,), returned={STATS_QUEUE: []}),
            *(*send(STATS_QUEUE, SECOND), ("guest_statistics",)),
            Expected(answers=(statistics(tag1=21),), isr=1, returned={STATS_QUEUE: [(0, 0)]}),
            ("polling_interval", 1),
            Expected(answers=(None,), isr=1, returned={STATS_QUEUE: [(0, 0), (1, 0)]}),
            *(("clock",), *send(STATS_QUEUE, FIRST)),
            Expected(returned={STATS_QUEUE: [(0, 0), (1, 0)]}),
            *(("polling_time",), ("polling_interval", 0)),
            Expected(answers=(1, None), isr=1, returned={STATS_QUEUE: [(0, 0), (1, 0), (2, 0)]}),
            *(*send(STATS_QUEUE, FIRST[:9]), ("guest_statistics",)),
        ],
        expects=Expected(answers=(statistics(),), returned={STATS_QUEUE: [(0, 0), (1, 0), (2, 0)]}),
        # What a second element returns had length 0 there too; what is polled had not.
        old=before_6_2(
            Expected(answers=(FIRST_KNOWN,), returned={STATS_QUEUE: []}),
            Expected(answers=(statistics(tag1=21),), isr=1, returned={STATS_QUEUE: [(0, 0)]}),
            Expected(answers=(None,), isr=1, returned={STATS_QUEUE: [(0, 0), (1, 10)]}),
            Expected(returned={STATS_QUEUE: [(0, 0), (1, 10)]}),
            Expected(answers=(1, None), isr=1, returned={STATS_QUEUE: [(0, 0), (1, 10), (2, 50)]}),
            Expected(answers=(statistics(),), returned={STATS_QUEUE: [(0, 0), (1, 10), (2, 50)]}),
        ),
    ),
]
