"""Kinds of programs about free page hinting."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING

from workbench.model.balloon.hinting import CMD_ID_MIN
from workbench.model.balloon.offer import EVENT_IDX, Properties
from workbench.schema import Feature
from workbench.units import MIB, PAGE_BYTES
from workbench.validation.driver import STOP
from workbench.validation.kinds.kind import SMALL, Kind
from workbench.validation.kinds.parts import HOLE, random_features
from workbench.validation.setup import Setup

if TYPE_CHECKING:
    from random import Random

    from workbench.validation.driver import Step
    from workbench.validation.kinds.kind import Scene

PAGE_POISON = 1 << int(Feature.PAGE_POISON)
HINT = 1 << int(Feature.FREE_PAGE_HINT)
COMMANDS = STOP + 2 * MIB
"""Where commands are written; the pages that are hinted are elsewhere."""


def hint_setup(random: Random) -> Setup:
    """A machine that offers hinting."""
    return Setup(
        memory=SMALL,
        properties=Properties(
            free_page_hint=True,
            free_page_reporting=random.random() < 0.5,
            page_poison=random.choice((None, False)),
        ),
    )


def hint_features(random: Random, scene: Scene) -> int:
    """Choose features; most drivers take hinting.

    Not the event index: with it nobody knows whether the device has already looked.
    """
    features = random_features(random, scene) & ~(1 << EVENT_IDX)
    if random.random() < 0.5:
        features |= PAGE_POISON & scene.offer.features
    return features | HINT if random.random() < 0.8 else features & ~HINT


def hint_element(
    random: Random, scene: Scene, command: int | None, *, safe: bool = False, inside: bool = False
) -> list[Step]:
    """Send a command, pages, or both; `safe` ones, and those `inside` memory, break no device.

    Safe ones have no tables, which are written anew after some elements: those may still wait.
    """
    steps: list[Step] = []
    pieces = []
    if command is not None:
        steps.append(("poke", COMMANDS, pack("<II", command, 0x1234).hex()))
        pieces += command_pieces(random)
    if command is None or random.random() < 0.2:
        for _ in range(random.randrange(1, 4)):
            page = scene.inner_page(random) if inside else scene.page(random)
            address = page + random.choice((0, 0, 0, 0x800))
            length = PAGE_BYTES * random.randrange(1, 4) + random.choice((0, 0, 0, 2048))
            pieces.append((STOP if safe else address, length, 1))
        if random.random() < 0.1 and not safe:
            pieces.append((HOLE, PAGE_BYTES, 1))
    queue = scene.hint
    return [
        *steps,
        ("element", queue, pieces, 0 if safe else random.randrange(2)),
        ("kick", queue),
    ]


def command_pieces(random: Random) -> list[tuple[int, int, int]]:
    """Name the bytes of a command: its four, more, or in two pieces."""
    length = random.choice((4, 4, 4, 8))
    if random.random() < 0.8:
        return [(COMMANDS, length, 0)]
    cut = random.randrange(1, 4)
    return [(COMMANDS, cut, 0), (COMMANDS + cut, length - cut, 0)]


def quiet_start(random: Random, scene: Scene) -> list[Step]:
    """Set the hint queue up without interrupts, as Linux does."""
    queue = scene.hint
    size = random.choice((0, 0, 64))
    return [
        ("start", hint_features(random, scene), [(queue, size)]),
        ("avail_flags", queue, 1),
    ]


def _idle(random: Random, scene: Scene) -> list[Step]:
    """Send commands and pages although nobody asked, also to a stopped machine."""
    queue = scene.hint
    steps = quiet_start(random, scene)
    stopped = False
    for _ in range(random.randrange(1, 6)):
        chance = random.random()
        if chance < 0.12:
            steps.append(("cont",) if stopped else ("stop",))
            stopped = not stopped
        elif chance < 0.18 and not stopped:
            steps += [
                ("poke", COMMANDS, "01000080"),
                ("element", queue, [(COMMANDS, random.randrange(1, 4), 0)], 0),
                ("kick", queue),
            ]
        else:
            command = random.choice((None, 0, 1, CMD_ID_MIN, CMD_ID_MIN + 1))
            # What waits for the machine to go on must not break the device: QEMU's worker may do
            # so before or after the main thread has written the status (virtio_set_status).
            steps += hint_element(random, scene, command, safe=stopped)
    if stopped:
        steps.append(("cont",))
    return [*steps, ("config_read", 8, 4), ("observe",)]


KINDS = (
    Kind(
        name="hints nobody asked for",
        about="the hint queue without a migration",
        setup=hint_setup,
        program=_idle,
        batch_programs=20,
    ),
)
