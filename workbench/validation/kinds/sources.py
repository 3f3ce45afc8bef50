"""Kinds of programs about what a migration sends: the device's section, and memory in use."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.model.balloon import pci
from workbench.model.balloon.offer import EVENT_IDX
from workbench.schema import Feature
from workbench.units import MIB, PAGE_BYTES
from workbench.validation.driver import RING_STRIDE, RINGS, STOP, TABLES
from workbench.validation.kinds.device import KINDS as DEVICE_KINDS
from workbench.validation.kinds.hints import COMMANDS, hint_element
from workbench.validation.kinds.kind import SMALL, Kind
from workbench.validation.kinds.machines import machine_type_setup
from workbench.validation.kinds.parts import (
    legacy_features,
    random_features,
    random_properties,
)
from workbench.validation.kinds.rings import KINDS as RING_KINDS
from workbench.validation.kinds.transport import KINDS as TRANSPORT_KINDS
from workbench.validation.setup import Setup

if TYPE_CHECKING:
    from random import Random

    from workbench.validation.driver import Step
    from workbench.validation.kinds.kind import Scene

_PROGRAMS = {kind.name: kind.program for kind in (*RING_KINDS, *TRANSPORT_KINDS, *DEVICE_KINDS)}
_HINT = 1 << int(Feature.FREE_PAGE_HINT)
_ANY = (
    "reporting",
    "queue sizes",
    "malformed descriptors",
    "interrupts",
    "transport",
    "early",
    "poison",
    "config space",
    "features",
    "inflate",
    "statistics",
    "operator",
)
_USES = ("reporting", "bounds", "interrupts", "inflate", "statistics")
_FAULTY = ("malformed descriptors", "queue sizes", "poison", "transport")


def _saved_setup(random: Random) -> Setup:
    chance = random.random()
    setup = machine_type_setup(random)
    if chance < 0.3:
        return replace(setup, properties=replace(setup.properties, packed=True))
    if chance < 0.45:
        properties = replace(setup.properties, iommu_platform=True, disable_legacy=True)
        return replace(setup, properties=properties)
    return setup


def _saved(random: Random, scene: Scene) -> list[Step]:
    """Use the device in any way, and migrate: in the middle, or at the end."""
    if scene.setup.properties.packed:
        names: tuple[str, ...] = ("packed rings",)
    elif scene.setup.properties.iommu_platform:
        names = ("access platform",)
    else:
        names = _ANY if random.random() < 0.6 else ("malformed descriptors",)
    steps = _PROGRAMS[random.choice(names)](random, scene)
    if random.random() < 0.4:
        # Of a broken device this sets the ISR, and leaves the line as it is.
        steps.append(("balloon", 4 * MIB))
    if random.random() < 0.15:
        steps.append(("stop",))
    if random.random() < 0.3:
        steps.insert(random.randrange(1, len(steps) + 1), ("save",))
    return [*steps, ("save",)]


def _resized(random: Random, scene: Scene) -> list[Step]:
    """Change a queue's size behind QEMU's back, and let a migration map its rings anew.

    Before that nothing is taken from the queue, and there is no event index: else QEMU would end.
    """
    legacy = random.random() < 0.2
    choose = legacy_features if legacy else random_features
    features = choose(random, scene) & ~(1 << EVENT_IDX)
    queue = random.choice((0, scene.report))
    size = random.choice((1, 2, 8, 16))
    steps: list[Step] = [("start", features, [(queue, size)], legacy)]
    if random.random() < 0.4 and not legacy:
        steps += _at_the_end(random, scene, queue, size)
    steps += [
        ("register_write", pci.QUEUE_SELECT, 2, queue),
        ("register_write", pci.QUEUE_SIZE, 2, random.choice((1, 4, 16, 32, 64, 100, 128))),
    ]
    if random.random() < 0.2:
        steps += [("element", queue, [(STOP, PAGE_BYTES, 1)], 0), ("kick", queue), ("observe",)]
    if random.random() < 0.8:
        steps += [("stop",)] if random.random() < 0.3 else []
        steps.append(("save",))
    else:
        how = random.choice(("complete", "cancel", "fail"))
        steps += [("migration_begin",), ("migration_end", how)]
    for _ in range(random.randrange(1, 4)):
        pieces = [(scene.page(random), PAGE_BYTES, 1)]
        steps += [("element", queue, pieces, 0), ("kick", queue), ("observe",)]
    return [*steps, ("save",)] if random.random() < 0.3 else steps


def _at_the_end(random: Random, scene: Scene, queue: int, size: int) -> list[Step]:
    """Move one ring of a queue to the end of memory, where a longer one does not fit."""
    ring, length = random.choice(
        (
            (pci.QUEUE_DESC, 16 * size),
            (pci.QUEUE_DRIVER, 4 + 2 * size),
            (pci.QUEUE_DEVICE, 4 + 8 * size),
        )
    )
    place = scene.regions[-1].stop - length
    return [
        ("fill", place, length, 0),
        ("register_write", pci.QUEUE_SELECT, 2, queue),
        ("register_write", ring, 4, place & 0xFFFFFFFF),
        ("register_write", ring + 4, 4, place >> 32),
        ("register_write", pci.QUEUE_ENABLE, 2, 1),
    ]


def _used_setup(random: Random) -> Setup:
    properties = random_properties(random)
    hints = random.random() < 0.5
    return Setup(
        memory=SMALL,
        properties=replace(
            properties, free_page_hint=hints, packed=not hints and random.random() < 0.3
        ),
    )


def _used(random: Random, scene: Scene) -> list[Step]:
    """Use all queues while a migration is held, before or behind the guest's memory."""
    hints = scene.setup.properties.free_page_hint
    # With the event index nobody knows whether the hint queue's thread has already looked.
    features = random_features(random, scene, packed=random.random() < 0.7)
    features = (features | _HINT) & ~(1 << EVENT_IDX) if hints else features
    queues = [(number, 0) for number in range(len(scene.offer.queues))]
    steps: list[Step] = [("start", features, queues)]
    if hints:
        steps.append(("avail_flags", scene.hint, 1))
    steps += [
        ("fill", scene.page(random), 3 * PAGE_BYTES, random.randrange(1, 256)) for _ in range(3)
    ]
    steps += _work(random, scene) if random.random() < 0.5 else []
    steps += [("stop",)] if random.random() < 0.1 else []
    steps.append(("migration_begin",))
    if hints:
        steps += _hint_anything(random, scene)
    if random.random() < 0.5:
        steps += _work(random, scene)
    if random.random() < 0.7:
        steps.append(("migration_send",))
    for _ in range(random.randrange(1, 3)):
        steps += _work(random, scene)
    if not hints and random.random() < 0.3:
        steps += _PROGRAMS[random.choice(_FAULTY)](random, scene)
    return [*steps, ("migration_end", "complete"), ("observe",)]


def _work(random: Random, scene: Scene) -> list[Step]:
    """Give the queues something to do, and the device pieces that begin within a page."""
    program = _PROGRAMS[random.choice(_USES)](random, scene)
    steps = [step for step in program if step[0] not in {"start", "queue"}]
    if random.random() < 0.5:
        queue = random.choice((0, 1, 2, scene.report))
        pieces = [
            (scene.page(random) + random.choice((0, 1, 0x800, 4095)), random.choice((1, 4097)), 1)
            for _ in range(random.randrange(1, 3))
        ]
        steps += [("element", queue, pieces, random.randrange(2)), ("kick", queue)]
    return steps


def _hint_anything(random: Random, scene: Scene) -> list[Step]:
    """Hint pages of the guest's own and pages that hold rings, tables and commands."""
    queue = scene.hint
    steps: list[Step] = [
        ("write_cmd_id", COMMANDS, 0),
        ("element", queue, [(COMMANDS, 4, 0)], 0),
        ("kick", queue),
    ]
    for _ in range(random.randrange(1, 5)):
        number = random.randrange(len(scene.offer.queues))
        place = random.choice(
            (
                scene.inner_page(random),
                RINGS + number * RING_STRIDE + random.randrange(12) * PAGE_BYTES,
                TABLES + random.randrange(64) * PAGE_BYTES,
                COMMANDS,
            )
        )
        pieces = [(place, random.choice((1, 2, 8)) * PAGE_BYTES, 1)]
        steps += [("element", queue, pieces, random.randrange(2)), ("kick", queue)]
    return [*steps, *hint_element(random, scene, 0, safe=True)]


KINDS = (
    Kind(
        name="saved state",
        about="the device's section of a migration stream, after any use of it",
        setup=_saved_setup,
        program=_saved,
        weight=3,
        machine_programs=10,
        batch_programs=5,
    ),
    Kind(
        name="rings mapped anew",
        about="queues whose size was changed, when a migration begins or ends",
        setup=lambda random: Setup(memory=SMALL, properties=random_properties(random)),
        program=_resized,
        prologue=(("ballast",),),
        weight=0.4,
        machine_programs=30,
        batch_programs=1,
    ),
    Kind(
        name="queues during a migration",
        about="all queues while a migration is held, and which pages it then sends, and how",
        setup=_used_setup,
        program=_used,
        prologue=(("ballast",),),
        weight=0.5,
        machine_programs=20,
        batch_programs=1,
    ),
)
