"""Kinds of programs about registers, and nothing at all, in the place of memory."""

from __future__ import annotations

from dataclasses import replace
from struct import pack
from typing import TYPE_CHECKING

from workbench.model.balloon import pci
from workbench.model.balloon.machine import BAR
from workbench.model.balloon.split_ring import F_INDIRECT, F_NEXT, F_WRITE
from workbench.units import PAGE_BYTES
from workbench.validation.driver import STOP
from workbench.validation.kinds.kind import SMALL, Kind
from workbench.validation.kinds.parts import (
    FIRMWARE,
    HOLE,
    random_features,
    random_properties,
    report_steps,
)
from workbench.validation.setup import Setup

if TYPE_CHECKING:
    from random import Random

    from workbench.validation.driver import Step
    from workbench.validation.kinds.kind import Scene

_INFLATE = 0


def _setup(random: Random) -> Setup:
    properties = replace(random_properties(random), packed=random.random() < 0.3)
    return Setup(memory=SMALL, properties=properties)


def _place(random: Random) -> int:
    """Choose a place in the registers, often near the border between two kinds of them."""
    border = BAR + pci.STRUCTURE_BYTES * random.randrange(5)
    return border + random.choice((0, 0, 2, 16, 0x100, 0x800, -64, -16, -8, -1))


def _registers(random: Random, scene: Scene) -> list[Step]:
    """Give the device its own registers: as a buffer, a table, or a ring.

    Not on the hint queue, whose thread would read them, and so lower interrupts.
    """
    queue = random.choice((_INFLATE, scene.report))
    features = random_features(random, scene, packed=random.random() < 0.8)
    place = _place(random)
    steps: list[Step] = [("start", features, [(queue, 0)])]
    use = random.randrange(5)
    if use == 0:
        writable = random.randrange(2)
        steps.append(("element", queue, [(place, random.choice((1, 4, 16, 4096)), writable)], 0))
    elif use == 1:
        pieces = [(STOP, 8, 0), (place, 64, 0), (STOP + PAGE_BYTES, PAGE_BYTES, 1)]
        steps.append(("element", queue, pieces, random.randrange(2)))
    elif use == 2:
        steps.append(("chain", queue, [(place, 16 * random.randrange(1, 4), F_INDIRECT, 0)]))
    elif use == 3:
        steps.append(("chain", queue, [(place, 2 * PAGE_BYTES, F_WRITE, 0)]))
    else:
        steps += _ring(random, queue, features, place)
    steps += [("kick", queue), ("observe",), ("start", features, [(scene.report, 0)])]
    return steps + report_steps(random, scene, scene.report)


def _ring(random: Random, queue: int, features: int, place: int) -> list[Step]:
    ring = random.choice((pci.QUEUE_DESC, pci.QUEUE_DRIVER, pci.QUEUE_DEVICE))
    return [
        ("start", features, []),
        ("queue", queue, random.choice((0, 8))),
        ("register_write", pci.QUEUE_RESET, 2, 1),
        ("register_write", ring, 4, place & 0xFFFFFFFF),
        ("register_write", ring + 4, 4, place >> 32),
        ("register_write", pci.QUEUE_ENABLE, 2, 1),
        ("element", queue, [(STOP, PAGE_BYTES, 1)], 0),
    ]


def _nowhere(random: Random, scene: Scene) -> list[Step]:
    """Put a ring or a table where no memory is, and into low memory what QEMU finds instead."""
    queue = random.choice((_INFLATE, scene.report))
    features = random_features(random, scene, packed=random.random() < 0.8)
    place = random.choice((HOLE, FIRMWARE, BAR, BAR + pci.CONFIG, scene.regions[-1].stop))
    place += random.choice((0, 0, 0, 2, 4, 8, 16, 1))
    low = b"".join(
        pack(
            "<IIIHH",
            random.getrandbits(32),
            random.choice((0, 0, 0, 1, 0xFFFFFFFF)),
            PAGE_BYTES * random.choice((0, 1, 1, 2)) + random.choice((0, 0, 100)),
            random.choice((0, F_NEXT, F_WRITE, F_WRITE, F_WRITE | F_NEXT)),
            random.randrange(4),
        )
        for _ in range(4)
    )
    steps: list[Step] = [("start", features, [(queue, 0)])]
    if random.random() < 0.5:
        steps.append(("chain", queue, [(place, 16 * random.randrange(1, 5), F_INDIRECT, 0)]))
    else:
        steps += _ring(random, queue, features, place)
    steps += [("poke", 0, low.hex()), ("kick", queue), ("observe",), ("peek", 0, 128)]
    return [*steps, ("start", features, [(scene.report, 0)])]


KINDS = (
    Kind(
        name="rings in no memory",
        about="rings and tables where no memory is, and low memory that QEMU takes for them",
        setup=_setup,
        program=_nowhere,
        weight=7,
        machine_programs=100,
    ),
    Kind(
        name="registers as memory",
        about="buffers, tables and rings in the device's own registers",
        setup=_setup,
        program=_registers,
        weight=8,
        machine_programs=60,
    ),
)
