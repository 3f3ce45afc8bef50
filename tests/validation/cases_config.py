"""Cases 1 to 13: identification, config space, features."""

from dataclasses import replace

from tests.validation.cases import (
    ACKNOWLEDGED,
    ACTUAL,
    CMD_ID,
    DRIVER,
    FEATURES,
    FEATURES_OK,
    MODERN,
    NUM_PAGES,
    PLAIN,
    POISON_VAL,
    READY,
    REPORT_QUEUE,
    REPORTING,
    SAME,
    SETUP,
    START,
    STATS,
    Case,
    Expected,
    P,
    discard,
    fill,
    ok,
    read_config,
    report,
    write_config,
    zeros,
)
from workbench.model.balloon import pci
from workbench.model.balloon.level import Level
from workbench.model.balloon.offer import Properties

ONES = 0xFFFFFFFF
NOT_OFFERED = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 7
"""MUST_TELL_HOST, DEFLATE_ON_OOM, FREE_PAGE_HINT, and a bit without a meaning."""

OFFERED = [
    ("register_write", pci.DEVICE_FEATURE_SELECT, 4, 0),
    ("register_read", pci.DEVICE_FEATURE, 4),
    ("register_write", pci.DEVICE_FEATURE_SELECT, 4, 1),
    ("register_read", pci.DEVICE_FEATURE, 4),
]
"""Ask for the features, lower and upper half."""

CONFIG = [read_config(offset) for offset in (NUM_PAGES, ACTUAL, CMD_ID, POISON_VAL, 16)]
"""Ask for every field of the config space, and for one that is beyond."""


def queue_sizes(count):
    """Ask for the number of queues, and for the size of each and of the first that is not there."""
    steps = [("register_read", pci.NUM_QUEUES, 2)]
    for queue in range(count + 1):
        steps += [
            ("register_write", pci.QUEUE_SELECT, 2, queue),
            ("register_read", pci.QUEUE_SIZE, 2),
        ]
    return steps


def offering(**properties):
    """A machine whose balloon has these properties."""
    return replace(SETUP, properties=Properties(**properties))


def of_type(version):
    """A machine of an older type, with a balloon as it is there by default."""
    return ("machine", replace(PLAIN, machine_type=f"pc-i440fx-{version}"))


def untouched(*answers):
    """Only answers: the device was not set up."""
    return Expected(answers=answers, status=0)


OLD_TYPES = ("5.0", "4.2", "4.1", "3.1", "2.12")

CASES = [
    Case(
        number="1",
        says="By default a device offers statistics and poison, has 16 bytes and three queues",
        setup=PLAIN,
        steps=[*OFFERED, ("port_read", 0, 4), *CONFIG, *queue_sizes(3)],
        expects=untouched(
            *(0x30000012, 0x101, 0x79000012),
            *(0, 0, 0, 0, ONES),
            *(3, 128, 128, 128, 0),
        ),
    ),
    Case(
        number="2",
        says="With reporting there is a fourth queue, of 32",
        steps=[*OFFERED, *CONFIG, *queue_sizes(4)],
        expects=untouched(0x30000032, 0x101, 0, 0, 0, 0, ONES, 4, 128, 128, 128, 32, 0),
    ),
    Case(
        number="3",
        says="With hints too, the queue of hints comes before that of reports",
        setup=offering(free_page_reporting=True, free_page_hint=True),
        steps=[*OFFERED, *queue_sizes(5)],
        expects=untouched(0x3000003A, 0x101, 5, 128, 128, 128, 1024, 32, 0),
        old={
            Level.V22: [untouched(0x3000003A, 0x1, 5, 128, 128, 128, 32, 1024, 0)],
            Level.QEMU_5_1: [untouched(0x3000003A, 0x1, 5, 128, 128, 128, 1024, 32, 0)],
        },
    ),
    Case(
        number="4",
        says="With hints alone, they have the fourth queue",
        setup=offering(free_page_hint=True),
        steps=[*OFFERED, *queue_sizes(4)],
        expects=untouched(0x3000001A, 0x101, 4, 128, 128, 128, 1024, 0),
    ),
    Case(
        number="5",
        says="Without poison the config space has 8 bytes, with reporting or not",
        setup=offering(page_poison=False),
        steps=[
            *(*OFFERED, *CONFIG),
            ("machine", offering(page_poison=False, free_page_reporting=True)),
            *(*OFFERED, *CONFIG),
        ],
        expects=untouched(
            *(0x30000002, 0x101, 0, 0, ONES, ONES, ONES),
            *(0x30000022, 0x101, 0, 0, ONES, ONES, ONES),
        ),
    ),
    Case(
        number="6",
        says="Without poison but with hints it has 12 bytes; with QEMU 4.0's size 16",
        setup=offering(page_poison=False, free_page_hint=True),
        steps=[
            *CONFIG,
            ("machine", offering(page_poison=False, qemu_4_0_config_size=True)),
            *CONFIG,
        ],
        expects=untouched(0, 0, 0, ONES, ONES, 0, 0, 0, 0, ONES),
    ),
    Case(
        number="7",
        says="Machine types before 5.1 offer no poison; that of 4.0 has 16 bytes all the same",
        setup=replace(PLAIN, machine_type="pc-i440fx-5.1"),
        steps=[
            *(*OFFERED, *CONFIG, of_type("4.0"), *OFFERED, *CONFIG),
            *(step for old in OLD_TYPES for step in (of_type(old), *OFFERED, *CONFIG)),
        ],
        expects=untouched(
            *(0x30000012, 0x1, 0, 0, 0, 0, ONES),
            *(0x30000002, 0x1, 0, 0, 0, 0, ONES),
            *(0x30000002, 0x1, 0, 0, ONES, ONES, ONES) * len(OLD_TYPES),
        ),
        old={
            Level.V22: [untouched(*(0x30000012, 0x1, 0, 0, 0, 0, ONES) * (2 + len(OLD_TYPES)))],
            Level.QEMU_5_1: (),
        },
    ),
    Case(
        number="8",
        says="Hints without a thread of their own are refused",
        steps=[("refused", offering(free_page_hint=True, iothread=False))],
        expects=untouched("'free-page-hint' requires 'iothread' to be set"),
        old={Level.V22: [untouched(None)], Level.QEMU_5_1: ()},
    ),
    Case(
        number="9",
        says="A second balloon is refused",
        steps=[("refused", replace(SETUP, balloon_count=2))],
        expects=untouched("Only one balloon device is supported"),
        modelled=False,
    ),
    Case(
        number="10",
        says="The target, the command id, and what is beyond the config space cannot be written",
        steps=[
            START,
            *(write_config(offset, 0x12345678) for offset in (NUM_PAGES, CMD_ID, 16)),
            *CONFIG,
        ],
        expects=Expected(answers=(0, 0, 0, 0, ONES)),
        old=SAME,
    ),
    Case(
        number="11",
        says="Of four bytes written over the end, those in the config space are stored",
        steps=[
            START,
            write_config(POISON_VAL, 0x12345678),
            write_config(POISON_VAL + 2, ONES),
            read_config(POISON_VAL),
        ],
        expects=Expected(answers=(0xFFFF5678,)),
        old=SAME,
    ),
    Case(
        number="12",
        says="A feature that is not offered can be taken, and has no effect",
        setup=offering(free_page_reporting=True, page_poison=False, qemu_4_0_config_size=True),
        steps=[
            *(("reset",), ("status", ACKNOWLEDGED), ("status", DRIVER)),
            *(("features", FEATURES | NOT_OFFERED), ("status", FEATURES_OK)),
            ("register_read", pci.STATUS, 1),
            *(("queue", REPORT_QUEUE), ("status", READY), fill(P)),
            *(write_config(POISON_VAL, ONES), read_config(POISON_VAL), *report((P, 4096))),
        ],
        expects=ok(0, answers=(FEATURES_OK, 0), trace=(discard(P),), content=(zeros(P),)),
    ),
    Case(
        number="13",
        says="Features that change after FEATURES_OK have no effect, though they read back",
        steps=[
            *(("reset",), ("status", ACKNOWLEDGED), ("status", DRIVER)),
            *(("features", STATS | REPORTING | MODERN), ("status", FEATURES_OK)),
            *(("features", FEATURES), ("register_write", pci.DRIVER_FEATURE_SELECT, 4, 0)),
            ("register_read", pci.DRIVER_FEATURE, 4),
            *(("queue", REPORT_QUEUE), ("status", READY), fill(P)),
            *(write_config(POISON_VAL, ONES), read_config(POISON_VAL), *report((P, 4096))),
        ],
        expects=ok(0, answers=(0x32, 0), trace=(discard(P),), content=(zeros(P),)),
        old=SAME,
    ),
]
