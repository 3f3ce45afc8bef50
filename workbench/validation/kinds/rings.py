"""Kinds of programs about queues and rings: good and malformed, split and packed, old and new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.model.balloon import pci
from workbench.model.balloon.offer import (
    EVENT_IDX,
    NOTIFY_ON_EMPTY,
    QUEUE_SIZES,
    Properties,
    Queue,
)
from workbench.model.balloon.split_ring import F_INDIRECT, F_NEXT, F_WRITE
from workbench.units import PAGE_BYTES
from workbench.validation.driver import Ring
from workbench.validation.kinds.kind import SMALL, Kind
from workbench.validation.kinds.parts import (
    FIRMWARE,
    HOLE,
    LAST_FIRMWARE,
    LOCAL_APIC,
    OPTION_ROMS,
    POISON,
    legacy_features,
    random_features,
    random_range,
    report_steps,
    reporting_setup,
)
from workbench.validation.setup import Setup

if TYPE_CHECKING:
    from random import Random

    from workbench.validation.driver import Step
    from workbench.validation.kinds.kind import Scene

_POISON_OFFSET = 12


def _plain_setup(random: Random) -> Setup:
    poison = random.choice((None, False))
    return Setup(memory=SMALL, properties=Properties(free_page_reporting=True, page_poison=poison))


def _reporting(random: Random, scene: Scene) -> list[Step]:
    queue = scene.report
    legacy = random.random() < 0.3
    features = legacy_features(random, scene) if legacy else random_features(random, scene)
    steps: list[Step] = [("start", features, [(queue, 0)], legacy)]
    if random.random() < 0.15:
        steps.append(("config_write", _POISON_OFFSET, 4, random.choice((0, 1, POISON))))
    return steps + report_steps(random, scene, queue)


def _queue_sizes(random: Random, scene: Scene) -> list[Step]:
    queue = scene.report
    size = random.choice((1, 2, 3, 5, 16, 31, 32, 33, 64, 100, 256, 1000, 1024))
    steps: list[Step] = [("start", random_features(random, scene), [(queue, size)])]
    if random.random() < 0.3:
        ignored = random.choice((0, 1025, 2048, 0xFFFF))
        steps.append(("register_write", pci.QUEUE_SIZE, 2, ignored))
    for number in range(random.randrange(1, 7)):
        steps.append(("register_write", pci.QUEUE_SELECT, 2, number))
        steps.append(("register_read", pci.QUEUE_SIZE, 2))
    return steps + report_steps(random, scene, queue)


def _malformed(random: Random, scene: Scene) -> list[Step]:
    """Take a program that is right, and put one thing into it that is not."""
    queue = scene.report
    legacy = random.random() < 0.25
    features = legacy_features(random, scene) if legacy else random_features(random, scene)
    steps: list[Step] = [("start", features, [(queue, 0)], legacy)]
    page = scene.page(random)
    steps.append(("fill", page, PAGE_BYTES * 2, random.randrange(1, 256)))
    if random.random() < 0.5:
        steps += report_steps(random, scene, queue)
    good = (page, PAGE_BYTES, F_WRITE | F_NEXT)
    fault = random.randrange(14)
    chains: dict[int, Step] = {
        0: ("element", queue, [(page, PAGE_BYTES, 1), (page + PAGE_BYTES, 0, 1)]),
        1: ("element", queue, [(page, PAGE_BYTES, 1), (page, PAGE_BYTES, 0)], random.randrange(2)),
        2: ("chain", queue, [(*good, 1), (*good, 0)]),
        3: ("chain", queue, [(*good, random.choice((32, 33, 500, 0xFFFF)))]),
        4: ("available", queue, random.choice((32, 33, 1000, 0xFFFF))),
        5: ("chain", queue, [(page, random.choice((0, 8, 17, 24)), F_INDIRECT, 0)]),
        6: ("element", queue, [(page, PAGE_BYTES, 1)] * random.choice((1024, 1025)), 1),
        7: ("element", queue, [(page, PAGE_BYTES, 1)] * random.choice((31, 32)), 0),
        8: ("chain", queue, [(page, PAGE_BYTES, F_WRITE | F_INDIRECT, 0)] * 2, 1),
        9: ("avail_jump", queue, random.choice((1, 2, 33, 40, 64))),
        10: ("chain", queue, [(*good, 2), (*good, 0), (page, 2 * PAGE_BYTES, F_WRITE, 0)], 1),
        11: ("chain", queue, [(HOLE, 16 * random.randrange(1, 4), F_INDIRECT, 0)]),
        12: ("chain", queue, [(scene.regions[0].stop - 16, 32, F_INDIRECT | F_WRITE, 0)]),
        13: (
            "chain",
            queue,
            [(*good, 1), (page + PAGE_BYTES, PAGE_BYTES, F_WRITE | F_INDIRECT, 0)],
        ),
    }
    steps += [chains[fault], ("kick", queue), ("observe",)]
    if random.random() < 0.3:
        steps += report_steps(random, scene, queue)
    return steps


def _bounds(random: Random, scene: Scene) -> list[Step]:
    """Aim at where memory begins and ends, firmware, holes and the end of all addresses."""
    queue = scene.report
    steps: list[Step] = [("start", random_features(random, scene), [(queue, 0)])]
    end = random.choice(scene.regions).stop
    steps.append(("fill", end - 4 * PAGE_BYTES, 4 * PAGE_BYTES, random.randrange(1, 256)))
    places = (
        end,
        end - PAGE_BYTES,
        end - 2 * PAGE_BYTES,
        end - 2048,
        random.choice(scene.edges),
        max(random.choice(scene.edges) - PAGE_BYTES, 0),
        max(random.choice(scene.edges) - 2048, 0),
        LAST_FIRMWARE - 2048,
        FIRMWARE + 0xF800,
        0,
        0x1000,
        0xA0000,
        OPTION_ROMS,
        FIRMWARE,
        0xE0000,
        HOLE,
        LOCAL_APIC,
        (1 << 64) - PAGE_BYTES,
        1 << 63,
    )
    for _ in range(random.randrange(1, 4)):
        ranges = [
            (
                random.choice(places),
                random.choice((1, 2, 3, 4, 8)) * PAGE_BYTES + random.choice((0, 0, 0, 2048, 100)),
                1,
            )
            for _ in range(random.choice((1, 1, 1, 2)))
        ]
        if random.random() < 0.4:
            ranges.insert(random.randrange(len(ranges) + 1), random_range(random, scene))
        steps.append(("element", queue, ranges, random.randrange(2)))
    return [*steps, ("kick", queue), ("observe",)]


def _interrupts(random: Random, scene: Scene) -> list[Step]:
    if random.random() < 0.25:
        return _lost_event(random, scene)
    queue = scene.report
    legacy = random.random() < 0.5
    if legacy:
        features = legacy_features(random, scene) | (
            1 << NOTIFY_ON_EMPTY if random.random() < 0.7 else 0
        )
    else:
        features = random_features(random, scene)
    if random.random() < 0.5:
        features |= 1 << EVENT_IDX
    steps: list[Step] = [("start", features, [(queue, 0)], legacy), ("observe",)]
    for _ in range(random.randrange(2, 6)):
        chance = random.random()
        if chance < 0.35:
            steps.append(("avail_flags", queue, random.choice((0, 1, 1, 2, 3))))
        elif chance < 0.7:
            steps.append(("used_event", queue, random.choice((0, 1, 2, 3, 5, 0xFFFF))))
        steps += [
            ("element", queue, [random_range(random, scene)], 0)
            for _ in range(random.randrange(1, 4))
        ]
        if random.random() < 0.1:
            ring = Ring(queue, QUEUE_SIZES[Queue.REPORT], packed=False)
            steps.append(("element", queue, [(ring.used, PAGE_BYTES, 1)], 0))
        steps += [("kick", queue, 2), ("observe",)]
    return steps


def _lost_event(random: Random, scene: Scene) -> list[Step]:
    """Report the page of used_event in one of three elements of a kick: it is 0 from then on.

    Only so can be seen that each element is followed by a decision of its own.
    """
    queue = scene.report
    size = random.randrange(228, 256)  # With so many places used_event lies alone with heads.
    page = Ring(queue, size, packed=False).used - PAGE_BYTES
    ranges = [random_range(random, scene) for _ in range(3)]
    ranges[random.randrange(3)] = (page, PAGE_BYTES, 1)
    return [
        ("start", random_features(random, scene) | 1 << EVENT_IDX, [(queue, size)]),
        ("element", queue, [random_range(random, scene)], 0),
        *(("kick", queue), ("observe",)),
        ("used_event", queue, random.randrange(1, 4)),
        *(("element", queue, [each], 0) for each in ranges),
        *(("kick", queue), ("observe",)),
    ]


def _packed_setup(random: Random) -> Setup:
    return Setup(
        memory=SMALL,
        properties=Properties(
            free_page_reporting=True, packed=True, page_poison=random.choice((None, False))
        ),
    )


def _packed(random: Random, scene: Scene) -> list[Step]:
    queue = scene.report
    size = random.choice((0, 0, 1, 4, 13, 32, 64))
    features = random_features(random, scene, packed=True)
    steps: list[Step] = [("start", features, [(queue, size)])]
    if random.random() < 0.3:
        steps += [("register_write", pci.DEVICE_FEATURE_SELECT, 4, 1)]
        steps += [("register_read", pci.DEVICE_FEATURE, 4)]
    for _ in range(random.randrange(1, 5)):
        chance = random.random()
        if chance < 0.2:
            steps.append(("avail_flags", queue, random.randrange(3)))
        elif chance < 0.4:
            wrap = random.choice((0, 1 << 15))
            steps.append(("used_event", queue, random.randrange(8) | wrap))
        if chance > 0.9:
            page = scene.page(random)
            faulty = random.choice(
                (
                    [(page, PAGE_BYTES, F_WRITE | F_NEXT), (page, 0, F_WRITE)],
                    [(page, PAGE_BYTES, F_WRITE | F_NEXT), (page, PAGE_BYTES, 0)],
                    [(page, PAGE_BYTES, F_WRITE | F_NEXT)],
                    [(page, 24, F_INDIRECT)],
                    [(HOLE, 16, F_INDIRECT)],
                )
            )
            steps.append(("chain", queue, [(*entry, 0) for entry in faulty]))
            steps += [("kick", queue), ("observe",)]
        else:
            steps += report_steps(random, scene, queue)
    return steps


KINDS = (
    Kind(
        name="reporting",
        about="plain reports: set up, write memory, report some of it, look",
        setup=_plain_setup,
        program=_reporting,
        weight=300,
        machine_programs=2000,
        batch_programs=100,
    ),
    Kind(
        name="queue sizes",
        about="queues of any size, powers of two or not",
        setup=reporting_setup,
        program=_queue_sizes,
    ),
    Kind(
        name="malformed descriptors",
        about="chains and tables with one thing wrong",
        setup=reporting_setup,
        program=_malformed,
        weight=30,
    ),
    Kind(
        name="bounds",
        about="the ends of memory, holes, firmware, the last address",
        setup=reporting_setup,
        program=_bounds,
        weight=20,
    ),
    Kind(
        name="interrupts",
        about="interrupt suppression: flags, event index, notify on empty",
        setup=reporting_setup,
        program=_interrupts,
    ),
    Kind(
        name="packed rings",
        about="packed rings: wrap, tables, events, errors",
        setup=_packed_setup,
        program=_packed,
    ),
)
