"""Parts that programs of many kinds are put together from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workbench.model.balloon.offer import (
    EVENT_IDX,
    INDIRECT_DESC,
    NOTIFY_ON_EMPTY,
    RING_PACKED,
    RING_RESET,
    VERSION_1,
    Properties,
)
from workbench.schema import Feature
from workbench.units import PAGE_BYTES
from workbench.validation.kinds.kind import SMALL
from workbench.validation.setup import Setup

if TYPE_CHECKING:
    from random import Random

    from workbench.validation.driver import Step
    from workbench.validation.kinds.kind import Scene

HOLE: Final = 0x3000_0000
"""An address far from all memory of the machines that programs run on."""
FIRMWARE: Final = 0xF0000
OPTION_ROMS: Final = 0xC0000
LAST_FIRMWARE: Final = 0xFFFF0000
"""The same firmware again, below 4 GiB; nothing is before it."""
LOCAL_APIC: Final = 0xFEE00000

FILL: Final = 0xA5
POISON: Final = 0xAAAAAAAA

_BALLOON_BITS: Final = tuple(int(feature) for feature in Feature)
MODERN: Final = 1 << VERSION_1
TRANSPORT_BITS: Final = (INDIRECT_DESC, EVENT_IDX, RING_RESET)


def reporting_setup(random: Random) -> Setup:
    """A machine that reports; whether it offers more is chance."""
    return Setup(memory=SMALL, properties=random_properties(random))


def random_properties(random: Random, *, reporting: bool = True) -> Properties:
    """Choose what else the device offers."""
    poison = random.choice((None, None, True, False))
    return Properties(
        free_page_reporting=reporting,
        free_page_hint=random.random() < 0.25,
        page_poison=poison,
        deflate_on_oom=random.random() < 0.25,
        qemu_4_0_config_size=random.choice((None, None, None, True)),
    )


def random_features(random: Random, scene: Scene, *, packed: bool = False) -> int:
    """Choose what a modern driver takes of what is offered."""
    bits = [bit for bit in (*_BALLOON_BITS, *TRANSPORT_BITS) if random.random() < 0.6]
    features = MODERN | sum(1 << bit for bit in bits)
    if packed:
        features |= 1 << RING_PACKED
    return features & scene.offer.features


def legacy_features(random: Random, scene: Scene) -> int:
    """Choose what a legacy driver takes of what is offered."""
    bits = (*_BALLOON_BITS, INDIRECT_DESC, EVENT_IDX, NOTIFY_ON_EMPTY)
    chosen = sum(1 << bit for bit in bits if random.random() < 0.5)
    return chosen & scene.offer.features


def random_length(random: Random) -> int:
    """Choose how long a reported range is: whole pages, most of the time."""
    chance = random.random()
    if chance < 0.85:
        return PAGE_BYTES * random.choice((1, 1, 1, 2, 4, 8))
    return random.choice((1, 512, 2048, 4095, 4097, 6144, 3 * PAGE_BYTES + 16))


def random_range(random: Random, scene: Scene) -> tuple[int, int, int]:
    """Choose a range to report: aligned and in memory, most of the time."""
    address = scene.page(random)
    length = random_length(random)
    chance = random.random()
    if chance < 0.08:
        address += random.choice((1, 8, 0x200, 0x800))
    elif chance < 0.12:
        address = random.choice((HOLE, FIRMWARE, OPTION_ROMS, LOCAL_APIC, (1 << 64) - PAGE_BYTES))
        length = min(length, PAGE_BYTES)
    return address, length, 1


def report_steps(random: Random, scene: Scene, queue: int) -> list[Step]:
    """Write memory, report some of it in a few elements, and look."""
    steps: list[Step] = []
    for _ in range(random.randrange(1, 3)):
        page = scene.page(random)
        steps.append(("fill", page, PAGE_BYTES * random.randrange(1, 4), random.randrange(1, 256)))
    for _ in range(random.randrange(1, 4)):
        ranges = [random_range(random, scene) for _ in range(random.choice((1, 1, 2, 3, 5)))]
        chance = random.random()
        if chance < 0.06:
            ranges.insert(0, (scene.page(random), random_length(random), 0))
        elif chance < 0.08:
            ranges = [(scene.page(random), PAGE_BYTES, 0)]
        steps.append(("element", queue, ranges, int(random.random() < 0.3)))
        if random.random() < 0.7:
            steps.append(("kick", queue))
    steps += [("kick", queue), ("observe",)]
    return steps
