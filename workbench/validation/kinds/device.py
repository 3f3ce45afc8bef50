"""Kinds of programs about what is the balloon's own: config space, poison, pages, statistics."""

from __future__ import annotations

from dataclasses import replace
from struct import pack
from typing import TYPE_CHECKING

from workbench.model.balloon import pci
from workbench.model.balloon.offer import ACCESS_PLATFORM, EVENT_IDX
from workbench.schema import Feature
from workbench.units import MIB, PAGE_BYTES
from workbench.validation.driver import STOP
from workbench.validation.kinds.kind import SMALL, Kind
from workbench.validation.kinds.parts import (
    FIRMWARE,
    HOLE,
    POISON,
    legacy_features,
    random_features,
    random_properties,
    report_steps,
    reporting_setup,
)
from workbench.validation.setup import Setup

if TYPE_CHECKING:
    from random import Random

    from workbench.validation.driver import Step
    from workbench.validation.kinds.kind import Scene

_ACTUAL, _POISON = 4, 12
_PAGE_POISON = 1 << int(Feature.PAGE_POISON)
_VALUES = (0, 0, 1, 0xAA, 0xAA00, POISON, 0xFFFFFFFF, 0x80000000)


def any_setup(random: Random) -> Setup:
    """A machine whose device may offer anything."""
    return Setup(
        memory=SMALL, properties=random_properties(random, reporting=random.random() < 0.7)
    )


def _full_config(_: Random, setup: Setup) -> Setup:
    return replace(setup, properties=replace(setup.properties, page_poison=None))


def _fixed_config(_: Random, setup: Setup) -> Setup:
    properties = replace(setup.properties, page_poison=False, qemu_4_0_config_size=True)
    return replace(setup, properties=properties)


def _config_with_hints(_: Random, setup: Setup) -> Setup:
    properties = replace(
        setup.properties, page_poison=False, qemu_4_0_config_size=None, free_page_hint=True
    )
    return replace(setup, properties=properties)


def _least_config(_: Random, setup: Setup) -> Setup:
    properties = replace(
        setup.properties, page_poison=False, qemu_4_0_config_size=None, free_page_hint=False
    )
    return replace(setup, properties=properties)


def _platform_setup(random: Random) -> Setup:
    """A machine with the one feature that a driver must not refuse."""
    properties = replace(random_properties(random), iommu_platform=True, disable_legacy=True)
    return Setup(memory=SMALL, properties=properties)


def _start(random: Random, scene: Scene, queues: list[tuple[int, int]]) -> Step:
    legacy = random.random() < 0.3
    features = legacy_features(random, scene) if legacy else random_features(random, scene)
    return ("start", features, queues, legacy)


def _poison(random: Random, scene: Scene) -> list[Step]:
    """Write poison_val whole, in bytes, early, late, and around resets."""
    queue = scene.report
    features = random_features(random, scene) | (_PAGE_POISON if random.random() < 0.8 else 0)
    start: Step = ("start", features & scene.offer.features, [(queue, 0)], random.random() < 0.3)
    steps: list[Step] = [start]
    if random.random() < 0.15:
        steps = [("reset",), ("status", 3), ("features", features & scene.offer.features)]
        steps += [("config_write", _POISON, 4, random.choice(_VALUES)), ("status", 0x0B)]
        steps += [("queue", queue, 0), ("status", 0x0F)]
    for _ in range(random.randrange(1, 5)):
        chance = random.random()
        if chance < 0.4:
            steps.append(("config_write", _POISON, 4, random.choice(_VALUES)))
        elif chance < 0.55:
            byte = random.randrange(4)
            steps.append(("config_write", _POISON + byte, 1, random.choice((0, 0xAA))))
        elif chance < 0.7:
            steps.append(("config_write", _ACTUAL, 4, random.randrange(8)))
        elif chance < 0.8:
            steps.append(("config_read", random.choice((0, 4, 8, 12)), 4))
        else:
            steps.append(start)
            if random.random() < 0.5:
                field = random.choice((_ACTUAL, _ACTUAL, 0, 8))
                steps.append(("config_write", field, 4, random.randrange(8, 16)))
        if random.random() < 0.4:
            steps += report_steps(random, scene, queue)
    steps += report_steps(random, scene, queue)
    return [*steps, ("config_read", _POISON, 4)]


def _config_space(random: Random, scene: Scene) -> list[Step]:
    """Read and write with every width at every place, inside and beyond."""
    steps: list[Step] = [_start(random, scene, [])]
    legacy = steps[0][3]
    if random.random() < 0.2:
        steps = [("reset", legacy)]
    for _ in range(random.randrange(3, 12)):
        offset = random.randrange(20)
        width = random.choice((1, 2, 4, 4) if legacy else (1, 2, 4, 4, 8))
        if random.random() < 0.5:
            steps.append(("config_read", offset, width))
        else:
            value = random.choice((0, 1, POISON, random.getrandbits(8 * width)))
            steps.append(("config_write", offset, width, value & ((1 << 8 * width) - 1)))
    return [*steps, ("observe",)]


def _features(random: Random, scene: Scene) -> list[Step]:
    """Negotiate anything, at any time, in any order, and see what it is worth."""
    queue = scene.report
    legacy = random.random() < 0.3
    wide = random.getrandbits(41) & ~(1 << 34)  # A packed ring needs its own programs.
    steps: list[Step] = [("reset", legacy), ("status", 1), ("status", 3)]
    for select in (0, 1, 2) if not legacy else ():
        steps += [("register_write", 0, 4, select), ("register_read", 4, 4)]
    if legacy:
        steps += [("port_read", 0, 4), ("features", wide & 0xFFFFFFFF), ("port_read", 4, 4)]
        steps += [("port_write", pci.LEGACY_QUEUE_SELECT, 2, random.randrange(7))]
        steps += [("port_read", pci.LEGACY_QUEUE_NUM, 2)]
    else:
        chosen = random.choice((wide, scene.offer.features & wide, scene.offer.features))
        steps += [("features", chosen & ~(1 << 34)), ("status", 0x0B)]
        if random.random() < 0.5:
            steps.append(("features", random.getrandbits(41) & ~(1 << 34)))
        steps += [("register_read", 0x0C, 4), ("register_read", 0x14, 1)]
    steps += [("queue", queue, 0), ("status", 7 if legacy else 0x0F)]
    steps.append(("config_write", _POISON, 4, random.choice((0, POISON))))
    return steps + report_steps(random, scene, queue)


def _platform(random: Random, scene: Scene) -> list[Step]:
    """Refuse the feature, or take it and lose the right to access memory."""
    if random.random() < 0.3:
        refused = scene.offer.features & ~(1 << ACCESS_PLATFORM | 1 << EVENT_IDX)
        return [("start", refused, [(scene.report, 0)]), ("status_read",), ("observe",)]
    if random.random() < 0.5:
        return _features(random, scene)
    start: Step = ("start", scene.offer.features & ~(1 << EVENT_IDX), [(scene.report, 0)])
    steps: list[Step] = [("bus_master", 0)] if random.random() < 0.3 else []
    steps += [start, *report_steps(random, scene, scene.report), ("bus_master", 0)]
    steps += [*report_steps(random, scene, scene.report), ("bus_master", 1)]
    return [*steps, *report_steps(random, scene, scene.report), start]


def _pfns(random: Random, scene: Scene, count: int) -> bytes:
    frames = []
    for _ in range(count):
        frame = scene.page(random) // PAGE_BYTES
        if random.random() < 0.1:
            frame = random.choice((0xFFFFFFFF, FIRMWARE >> 12, HOLE >> 12, 0xC0, 0x10000000, 0))
        frames.append(frame)
    return pack(f"<{count}I", *frames)


def _inflate(random: Random, scene: Scene) -> list[Step]:
    """Inflate and deflate pages that are there, and others."""
    steps: list[Step] = [_start(random, scene, [(0, 0), (1, 0)])]
    if random.random() < 0.3:
        steps.append(("config_write", _POISON, 4, POISON))
    array = STOP + 2 * MIB + random.randrange(4) * PAGE_BYTES
    for _ in range(random.randrange(1, 4)):
        steps.append(("fill", scene.page(random), 2 * PAGE_BYTES, random.randrange(1, 256)))
        data = _pfns(random, scene, random.choice((1, 1, 2, 3, 5, 40)))
        if random.random() < 0.1:
            data += pack("<I", array >> 12) * 2  # The pages that hold the list itself.
        steps.append(("poke", array, data.hex()))
        length = max(1, len(data) - random.choice((0, 0, 0, 1, 2, 3)))
        pieces = [(array, length, 0)]
        if length > 6 and random.random() < 0.3:
            cut = random.randrange(1, length)
            pieces = [(array, cut, 0), (array + cut, length - cut, 0)]
        chance = random.random()
        if chance < 0.1:
            pieces.append((scene.page(random), PAGE_BYTES, 1))
        elif chance < 0.15:
            pieces = [(scene.page(random), PAGE_BYTES, 1)]
        elif chance < 0.2:
            pieces = [(random.choice((FIRMWARE, HOLE)), 16, 0)]
        queue = 0 if random.random() < 0.7 else 1
        steps += [("element", queue, pieces, random.randrange(2)), ("kick", queue), ("observe",)]
    return steps


def _statistics(random: Random, scene: Scene) -> list[Step]:
    """Send numbers, ask for them, hold two elements, reset in between."""
    steps: list[Step] = [_start(random, scene, [(2, 0), (0, 0)])]
    array = STOP + 2 * MIB
    reports = scene.report < len(scene.offer.queues)
    for number in range(random.randrange(1, 5)):
        records = b"".join(
            pack("<HQ", random.choice((0, 1, 4, 5, 9, 10, 15, 99)), random.getrandbits(64))
            for _ in range(random.randrange(1, 8))
        )
        length = max(1, len(records) - random.choice((0, 0, 1, 9)))
        place = array + number * PAGE_BYTES
        steps.append(("poke", place, records.hex()))
        chance = random.random()
        pieces = [(place, length, 0)]
        if chance < 0.1:
            pieces = [(HOLE, 100, 0)]
        elif chance < 0.2:
            pieces = [(place, 10, 1)]
        steps += [("element", 2, pieces, random.randrange(2)), ("kick", 2), ("observe",)]
        if chance < 0.05 and reports:
            steps += [("queue", scene.report, 0), ("element", scene.report, [(HOLE, 1, 1)], 0)]
            steps += [("kick", scene.report), ("observe",)]
        if random.random() < 0.2:
            steps.append(("avail_jump", 2, random.choice((1, 2, 0xFFFF))))
        if random.random() < 0.15:
            steps.append(_start(random, scene, [(2, 0), (0, 0)]))
    if reports:
        steps += [("queue", scene.report, 0), *report_steps(random, scene, scene.report)]
    return steps


def _polling(random: Random, scene: Scene) -> list[Step]:
    """The same, with an operator who polls, and may stop the machine, whose timer then waits.

    Intervals are long enough never to end.
    """
    steps = _statistics(random, scene)
    stopped = random.random() < 0.6
    if stopped:
        steps.insert(random.randrange(1, len(steps) + 1), ("stop",))
    first = steps.index(("stop",)) if stopped else 1
    for _ in range(random.randrange(1, 5)):
        value = random.choice((0, 0, 1000, 1000, 2000, -1, (1 << 32) - 1, 1 << 32))
        steps.insert(random.randrange(first, len(steps) + 1), ("polling_interval", value))
    if stopped:
        place = random.randrange(steps.index(("stop",)) + 1, len(steps) + 1)
        steps.insert(place, ("cont",))
    return [*steps, ("guest_statistics",), ("observe",), ("polling_interval", 0)]


def _operator(random: Random, scene: Scene) -> list[Step]:
    """Set targets, stop and reset the machine, and ask how large it is."""
    queue = scene.report
    queues = [(0, 0), (queue, 0)] if queue < len(scene.offer.queues) else [(0, 0)]
    start = _start(random, scene, queues)
    steps: list[Step] = [start] if random.random() < 0.9 else [("reset",)]
    stopped = False
    for _ in range(random.randrange(2, 7)):
        chance = random.random()
        if chance < 0.35:
            size = random.choice((1, 4 * MIB, 8 * MIB, 8 * MIB + 1, 1 << 40, 5 * MIB - 1, 0, -1))
            steps += [("balloon", size), ("observe",), ("config_read", 0, 4)]
        elif chance < 0.6:
            value = random.choice((0, 1, 0x400, 0xFFFFFFFF, random.getrandbits(32)))
            steps += [("config_write", _ACTUAL, 4, value), ("query_balloon",)]
        elif chance < 0.75:
            steps.append(("cont",) if stopped else ("stop",))
            stopped = not stopped
        elif chance < 0.8 and not stopped:
            steps += [("system_reset",), start]
        elif start[2][1:]:
            steps += report_steps(random, scene, queue)
    if stopped:
        steps.append(("cont",))
    return [*steps, ("balloon", scene.setup_bytes), ("query_balloon",)]


KINDS = (
    Kind(
        name="poison",
        about="poison_val before and after resets, whole and in bytes",
        setup=reporting_setup,
        program=_poison,
        weight=20,
        machine_programs=50,
    ),
    Kind(
        name="config space",
        about="every width at every offset",
        setup=any_setup,
        program=_config_space,
        variants=(_full_config, _fixed_config, _config_with_hints, _least_config),
        machine_programs=80,
    ),
    Kind(
        name="features",
        about="any features, at any time",
        setup=reporting_setup,
        program=_features,
        weight=20,
    ),
    Kind(
        name="access platform",
        about="the one feature whose refusal the device refuses",
        setup=_platform_setup,
        program=_platform,
        weight=7,
    ),
    Kind(
        name="inflate",
        about="inflate and deflate",
        setup=any_setup,
        program=_inflate,
        weight=20,
        machine_programs=50,
    ),
    Kind(name="statistics", about="the statistics queue", setup=any_setup, program=_statistics),
    Kind(
        name="polling",
        about="statistics, and an operator who asks for them",
        setup=any_setup,
        program=_polling,
    ),
    Kind(
        name="operator",
        about="targets, stops and resets from outside",
        setup=any_setup,
        program=_operator,
        patient=True,
    ),
)
