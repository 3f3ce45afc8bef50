"""Kinds of programs about registers, queue resets, bus mastering, and queues used too early."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.model.balloon import pci
from workbench.model.balloon.offer import EVENT_IDX
from workbench.units import PAGE_BYTES
from workbench.validation.driver import STOP
from workbench.validation.kinds.kind import Kind
from workbench.validation.kinds.parts import (
    FIRMWARE,
    HOLE,
    MODERN,
    OPTION_ROMS,
    legacy_features,
    random_features,
    random_range,
    report_steps,
    reporting_setup,
)

if TYPE_CHECKING:
    from random import Random

    from workbench.validation.driver import Step
    from workbench.validation.kinds.kind import Scene


def _transport(random: Random, scene: Scene) -> list[Step]:
    """Reset queues, take the right to access memory away, kick what is not there."""
    queue = scene.report
    features = random_features(random, scene)
    steps: list[Step] = [("start", features, [(queue, 0)])]
    for _ in range(random.randrange(1, 4)):
        steps += random.choice(
            (
                [("kick", queue, 4), *_without_bus_master(random, scene, queue)],
                [
                    ("register_write", pci.QUEUE_SELECT, 2, queue),
                    ("register_write", pci.QUEUE_RESET, 2, random.choice((0, 2))),
                    ("register_write", pci.QUEUE_RESET, 2, 1),
                    ("register_read", pci.QUEUE_ENABLE, 2),
                    ("kick", queue),
                    # Not before the reset: QEMU would go on where it was, through 65,536 places.
                    ("queue", queue, 0),
                ],
                [
                    ("register_write", pci.QUEUE_SELECT, 2, random.randrange(3)),
                    ("register_write", pci.QUEUE_DESC, 4, scene.regions[0].stop - 64),
                    ("register_write", pci.QUEUE_ENABLE, 2, 1),
                ],
                [("port_write", pci.LEGACY_QUEUE_PFN, 4, 0), ("start", features, [(queue, 0)])],
                _grown_queue(features, queue),
                _odd_place(random, scene, features, queue),
                _reset_while_held(random, features),
                _without_used_ring(features, queue),
                [
                    ("register_write", pci.QUEUE_SELECT, 2, queue),
                    ("register_write", pci.QUEUE_ENABLE, 2, random.choice((0, 2, 3))),
                ],
                [("kick", random.choice((0, 1, 2, 7, 100, 900)), random.choice((1, 2, 4)))],
                [
                    ("element", queue, [random_range(random, scene)], 0),
                    ("register_write", pci.NOTIFY + 4 * queue, random.choice((1, 2, 4)), 0x77),
                ],
                [("status", random.choice((0x0B, 0x03, 0x4F, 0x80, 0xFF, 0x8F)))],
                [
                    (
                        "register_write",
                        pci.QUEUE_SELECT,
                        2,
                        random.choice((3, 5, 1023, 1024, 1024, 0xFFFF)),
                    ),
                    ("register_read", pci.QUEUE_SIZE, 2),
                    ("register_read", pci.QUEUE_SELECT, 2),
                    ("register_read", pci.NUM_QUEUES, 2),
                    ("register_read", pci.QUEUE_NOTIFY_OFF, 2),
                ],
            )
        )
        steps += report_steps(random, scene, queue)
    return steps


def _grown_queue(features: int, queue: int) -> list[Step]:
    """Raise a queue's size behind QEMU's back: an error, as long as no entry was taken yet.

    With the event index, or later, it would end QEMU.
    """
    return [
        ("start", features & ~(1 << EVENT_IDX), [(queue, 0)]),
        ("register_write", pci.QUEUE_SELECT, 2, queue),
        ("register_write", pci.QUEUE_SIZE, 2, 64),
        ("element", queue, [(STOP, PAGE_BYTES, 1)], 0),
        ("kick", queue),
        ("observe",),
        ("start", features, [(queue, 0)]),
    ]


def _odd_place(random: Random, scene: Scene, features: int, queue: int) -> list[Step]:
    """Place rings where no memory is, before memory, in firmware, or over the last address."""
    places = (HOLE, (1 << 64) - 64, scene.regions[-1].stop, OPTION_ROMS, FIRMWARE)
    place = random.choice(places)
    ring = random.choice((pci.QUEUE_DESC, pci.QUEUE_DRIVER, pci.QUEUE_DEVICE))
    return [
        ("start", features, []),
        ("queue", queue, 0),
        ("register_write", pci.QUEUE_RESET, 2, 1),
        ("register_write", ring, 4, place & 0xFFFFFFFF),
        ("register_write", ring + 4, 4, place >> 32),
        ("register_write", pci.QUEUE_ENABLE, 2, 1),
        ("element", queue, [(STOP, PAGE_BYTES, 1)], 0),
        ("kick", queue),
        ("observe",),
        ("start", features, [(queue, 0)]),
    ]


def _reset_while_held(random: Random, features: int) -> list[Step]:
    """Reset the statistics queue while the device holds an element of it, and send two more."""
    send: list[Step] = [("element", 2, [(STOP, 100, 0)], 0), ("kick", 2), ("observe",)]
    return [
        ("queue", 2, random.choice((0, 8))),
        *send,
        ("register_write", pci.QUEUE_SELECT, 2, 2),
        ("register_write", pci.QUEUE_RESET, 2, 1),
        ("queue", 2, 0),
        # The timer returns what was held to a queue that knows nothing of it.
        *([("polling_interval", 1000)] if random.random() < 0.5 else []),
        *send,
        *send,
        ("polling_interval", 0),
        ("start", features, []),
    ]


def _without_used_ring(features: int, queue: int) -> list[Step]:
    """Place the used ring at address 0: elements are served, and never returned."""
    return [
        ("start", features, []),
        ("queue", queue, 2),
        ("register_write", pci.QUEUE_RESET, 2, 1),
        ("register_write", pci.QUEUE_DEVICE, 4, 0),
        ("register_write", pci.QUEUE_ENABLE, 2, 1),
        *([("element", queue, [(STOP, PAGE_BYTES, 1)], 0), ("kick", queue)] * 3),
        ("observe",),
        ("start", features, [(queue, 0)]),
    ]


def _without_bus_master(random: Random, scene: Scene, queue: int) -> list[Step]:
    """Seldom, because QEMU needs 30 ms to give the right to access memory, or to take it away."""
    if random.random() < 0.3:
        return []
    off = [("bus_master", 0), *report_steps(random, scene, queue)]
    if random.random() < 0.3:
        return [*off, ("bus_master", 1)]
    # A legacy driver need not give it back.
    legacy = ("start", legacy_features(random, scene), [(queue, 0)], True)
    modern = ("start", random_features(random, scene), [(queue, 0)])
    return [*off, legacy, *report_steps(random, scene, queue), modern]


def _early(random: Random, scene: Scene) -> list[Step]:
    """Use queues before the device was told that the driver is ready, or not negotiated at all."""
    queue = scene.report
    features = random.choice((MODERN, 0, random_features(random, scene))) & scene.offer.features
    stages: list[Step] = [("reset",)]
    stages += [("status", 1), ("status", 3), ("features", features)][: random.randrange(4)]
    if random.random() < 0.5:
        stages.append(("status", 0x0B))
    steps = [*stages, ("queue", queue, 0), *report_steps(random, scene, queue)]
    if random.random() < 0.4:
        steps += [("element", queue, [(STOP, 0, 1)], 0), ("kick", queue), ("observe",)]
    return steps


KINDS = (
    Kind(
        name="transport",
        about="queue resets, bus mastering, odd status values, kicks of nothing",
        setup=reporting_setup,
        program=_transport,
    ),
    Kind(
        name="early",
        about="queues used before the driver is ready",
        setup=reporting_setup,
        program=_early,
    ),
)
