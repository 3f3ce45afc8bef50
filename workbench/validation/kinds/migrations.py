"""Kinds of programs about migrations: what they forbid, what they ask for, and where they lead."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from workbench.model.balloon.offer import EVENT_IDX, Properties
from workbench.schema import Feature
from workbench.units import MIB, PAGE_BYTES
from workbench.validation.kinds.device import KINDS as DEVICE_KINDS
from workbench.validation.kinds.hints import (
    COMMANDS,
    HINT,
    PAGE_POISON,
    command_pieces,
    hint_element,
    hint_setup,
    quiet_start,
)
from workbench.validation.kinds.kind import SMALL, Kind
from workbench.validation.kinds.parts import (
    HOLE,
    POISON,
    random_features,
    random_properties,
    report_steps,
)
from workbench.validation.kinds.rings import KINDS as RING_KINDS
from workbench.validation.setup import Backend, Setup

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from workbench.validation.driver import Step
    from workbench.validation.kinds.kind import Scene
    from workbench.validation.setup import BackendKind

_PROGRAMS = {kind.name: kind.program for kind in (*RING_KINDS, *DEVICE_KINDS)}
_POISON = 12
REPORTING = 1 << int(Feature.REPORTING)


def _incoming_setup(random: Random) -> Setup:
    kinds: tuple[BackendKind, ...] = ("anonymous", "memfd")
    backend = Backend(size_bytes=8 * MIB, kind=random.choice(kinds))
    return Setup(
        memory=(backend,),
        properties=random_properties(random),
        incoming="deferred",
        send_configuration=False,
    )


def _inhibited(random: Random, scene: Scene) -> list[Step]:
    names = ("reporting", "inflate", "malformed descriptors", "bounds", "poison")
    return _PROGRAMS[random.choice(names)](random, scene)


def _snapshot_setup(random: Random) -> Setup:
    kinds: tuple[BackendKind, ...] = ("anonymous", "memfd")
    backend = Backend(size_bytes=8 * MIB, kind=random.choice(kinds), shared=random.random() < 0.5)
    return Setup(memory=(backend,), properties=random_properties(random))


def _snapshot(random: Random, scene: Scene) -> list[Step]:
    """Report and inflate before, during and after a background snapshot."""
    start: Step = ("start", random_features(random, scene), [(0, 0), (scene.report, 0)])
    steps = [start, *report_steps(random, scene, scene.report), ("snapshot_begin",)]
    for _ in range(random.randrange(1, 4)):
        steps += report_steps(random, scene, scene.report)
        if random.random() < 0.5:
            steps += _PROGRAMS["inflate"](random, scene)
            steps.append(start)
    steps += [("snapshot_end",), ("observe",), ("config_read", 8, 4)]
    return steps + report_steps(random, scene, scene.report)


def _with_everything(_: Random, setup: Setup) -> Setup:
    properties = replace(setup.properties, page_poison=None, free_page_reporting=True)
    return replace(setup, properties=properties)


def _as_chosen(_: Random, setup: Setup) -> Setup:
    return setup


def _begin_hints(random: Random, scene: Scene) -> list[Step]:
    """Fill memory, and begin a migration: in a running machine, most of the time."""
    steps = quiet_start(random, scene)
    steps.append(("fill", scene.page(random), 3 * PAGE_BYTES, random.randrange(1, 256)))
    if random.random() < 0.5:
        steps.append(("config_write", _POISON, 4, POISON))
    return [*steps, ("migration_begin",), ("config_read", 8, 4), ("observe",)]


def _hints(random: Random, scene: Scene) -> list[Step]:
    """Answer a migration that asks for hints: right, wrong, early, late, or not at all."""
    queue = scene.hint
    postcopy = random.random() < 0.2
    stopped = random.random() < 0.1 and not postcopy
    if random.random() < 0.15:
        return _reset_of_hints(random, scene)
    safe = stopped
    how = "complete" if stopped else random.choice(("complete", "complete", "cancel", "fail"))
    # Nor does anybody know when the worker of a broken device goes to sleep: before what it then
    # writes into the ring is sent, or after.
    inside = how == "complete"
    steps: list[Step] = [("postcopy_capability", 1)] if postcopy else []
    begin = _begin_hints(random, scene)
    if stopped:
        begin.insert(-3, ("stop",))
    steps += begin
    if random.random() < 0.3:
        steps += hint_element(random, scene, None, safe=safe, inside=inside)
    # What waits in a stopped machine must fit into the ring: it is not taken meanwhile.
    for _ in range(random.randrange(1, 3 if stopped else 5)):
        if random.random() < 0.7:
            pages = [(scene.page(random), PAGE_BYTES, 1)] if random.random() < 0.7 else []
            steps += _right_command(random, queue, pages, safe=safe)
            steps += hint_element(random, scene, None, safe=safe, inside=inside)
            if random.random() < 0.8 and not safe:
                page = scene.inner_page(random) if inside else scene.page(random)
                pieces = [(HOLE, PAGE_BYTES, 1), (page + 0x800, 2 * PAGE_BYTES, 1)]
                steps += [("element", queue, pieces, 0), ("kick", queue)]
        if random.random() < 0.5:
            steps += _right_command(random, queue, safe=safe)
        for _ in range(random.randrange(3)):
            command = None if random.random() < 0.85 else random.choice((0, 1, 0x12345678))
            steps += hint_element(random, scene, command, safe=safe, inside=inside)
        steps += _meanwhile(random, scene)
    # The next program begins with a reset, which races with a worker that polls.
    steps += [*hint_element(random, scene, 0, safe=True), ("config_read", 8, 4)]
    if postcopy:
        # To complete, QEMU would wait for a destination that answers.
        how = "cancel"
    steps += [("migration_end", how), ("observe",), ("config_read", 8, 4)]
    return [*steps, ("postcopy_capability", 0)] if postcopy else steps


def _reset_of_hints(random: Random, scene: Scene) -> list[Step]:
    """Reset a device that is asked for hints, and whose worker nobody has woken.

    One that was may interrupt, or write to the ring, when the reset has ended: a race in QEMU.
    """
    how = random.choice(("complete", "cancel", "fail"))
    steps = [*_begin_hints(random, scene), ("reset",), ("config_read", 8, 4)]
    return [*steps, ("migration_end", how), ("observe",), ("config_read", 8, 4)]


def _meanwhile(random: Random, scene: Scene) -> list[Step]:
    """Do what is no hint."""
    chance = random.random()
    if chance < 0.2:
        return [("config_read", 8, 4)]
    if chance < 0.3:
        return [("balloon", 4 * MIB), ("observe",), ("config_read", 8, 4)]
    if chance < 0.4:
        return [("fill", scene.page(random), PAGE_BYTES, random.randrange(1, 256))]
    if chance < 0.6 and scene.report < len(scene.offer.queues):
        return [("queue", scene.report, 0), *report_steps(random, scene, scene.report)]
    return []


def _right_command(
    random: Random, queue: int, pages: Sequence[tuple[int, int, int]] = (), *, safe: bool = False
) -> list[Step]:
    """Send the id that was asked for, or one beside it, and pages with it."""
    ahead = random.choice((0, 0, 0, 0, 1, -1))
    indirect = 0 if safe else random.randrange(2)
    return [
        ("write_cmd_id", COMMANDS, ahead),
        ("element", queue, [*command_pieces(random), *pages], indirect),
        ("kick", queue),
    ]


def _wrap(random: Random, scene: Scene) -> list[Step]:
    """Begin just before the last id."""
    first = 0xFFFFFFFF - random.randrange(2)
    start = ("start", scene.offer.features & ~(1 << EVENT_IDX), [(scene.hint, 0)])
    steps: list[Step] = [start, ("avail_flags", scene.hint, 1)]
    status = random.choice((0, 1, 2, 2, 2, 2, 3))
    steps += [("age_hints", first, status), ("ballast",), ("config_read", 8, 4)]
    for _ in range(2):
        steps += hint_element(random, scene, None, safe=True)
    for _ in range(random.randrange(1, 4)):
        steps += [("migration_begin",), ("config_read", 8, 4)]
        steps += [*_right_command(random, scene.hint), ("config_read", 8, 4)]
        steps += hint_element(random, scene, 0, safe=True)
        steps += [("migration_end", "cancel"), ("config_read", 8, 4)]
    return steps


def _over_setup(random: Random) -> Setup:
    properties = random_properties(random)
    if random.random() < 0.6:
        properties = replace(properties, page_poison=None)
    return Setup(memory=SMALL, properties=properties)


def _over(random: Random, scene: Scene) -> list[Step]:
    """Use a device, migrate it to one that offers what it likes, and go on there.

    Half of the devices have a stale shadow; others expect as little as can be of the destination.
    """
    queues = [(number, 0) for number in range(len(scene.offer.queues)) if number != scene.hint]
    legacy = random.random() < 0.25
    # What is the reporting queue here may be the hint queue there, whose thread must be waited for.
    features = random_features(random, scene) & ~(1 << EVENT_IDX)
    scenario = random.choice(("stale", "stale", "bare", "any"))
    if scenario == "stale":
        features |= PAGE_POISON & scene.offer.features
    elif scenario == "bare" and random.random() < 0.8:
        features &= ~(REPORTING | HINT | PAGE_POISON)
    steps: list[Step] = [("start", features & 0xFFFFFFFF if legacy else features, queues, legacy)]
    if scenario == "stale" or random.random() < 0.7:
        values = (1, POISON) if scenario == "stale" else (0, 1, POISON, POISON)
        steps.append(("config_write", _POISON, 4, random.choice(values)))
    if random.random() < 0.5:
        steps.append(("config_write", 4, 4, random.randrange(64)))
    if random.random() < 0.4:
        steps.append(("balloon", random.choice((1, 4, 7)) * MIB))
    if scenario == "stale" or random.random() < 0.2:
        steps += [("reset", legacy), steps[0]]
        if random.random() < 0.5:
            steps.append(("config_write", _POISON, 4, POISON))
    if random.random() < 0.8:
        steps += [("element", 2, [(COMMANDS, 100, 0)], 0), ("kick", 2)]
    if random.random() < 0.4:
        steps += [("element", scene.report, [(COMMANDS, 0, 1)], 0), ("kick", scene.report)]
    steps += report_steps(random, scene, scene.report)
    stopped = random.random() < 0.2
    steps += [("stop",)] if stopped else []
    steps += [("migrate_over", asdict(_destination(random, scene, scenario))), ("observe",)]
    if stopped and random.random() < 0.5:
        steps.append(("cont",))
    if random.random() < 0.5:
        steps.append(("config_write", 4, 4, random.randrange(64)))
    steps += [("config_read", offset, 4) for offset in (0, 4, 8, 12)]
    if random.random() < 0.4:
        steps += [("poke", COMMANDS, "0400" + "11" * 8), ("element", 2, [(COMMANDS, 10, 0)], 0)]
        steps += [("kick", 2), ("guest_statistics",)]
    return steps + report_steps(random, scene, scene.report)


def _destination(random: Random, scene: Scene, scenario: str) -> Properties:
    """Choose what the destination offers: more, other queues, as little as can be, or anything."""
    ours = scene.setup.properties
    bare = Properties(page_poison=False)  # Refused, if reports or poison were taken.
    if scenario == "bare":
        return bare
    other_queues = replace(ours, free_page_hint=not ours.free_page_hint)
    if scenario == "stale":
        return random.choice((replace(ours, deflate_on_oom=True), other_queues))
    return random.choice((other_queues, other_queues, bare, random_properties(random)))


KINDS = (
    Kind(
        name="inhibited by COLO",
        about="discards forbidden by an incoming COLO stream",
        setup=_incoming_setup,
        program=_inhibited,
        prologue=(("inhibit_colo",),),
    ),
    Kind(
        name="inhibited by postcopy",
        about="discards forbidden by an incoming postcopy stream",
        setup=_incoming_setup,
        program=_inhibited,
        prologue=(("inhibit_postcopy",),),
    ),
    Kind(
        name="background snapshot",
        about="discards forbidden for a while by a background snapshot",
        setup=_snapshot_setup,
        program=_snapshot,
        prologue=(("ballast",),),
        weight=0.6,
        machine_programs=50,
        batch_programs=1,
    ),
    Kind(
        name="hints during a migration",
        about="hints that a migration has asked for, and which pages it then sends",
        setup=hint_setup,
        program=_hints,
        variants=(_with_everything, _with_everything, _as_chosen),
        prologue=(("ballast",),),
        weight=4.5,
        machine_programs=20,
        batch_programs=1,
    ),
    Kind(
        name="last command id",
        about="hints at the end of the ids",
        setup=hint_setup,
        program=_wrap,
        weight=1,
        machine_programs=1,
        batch_programs=1,
    ),
    Kind(
        name="migration to a second machine",
        about="a device that goes on in another QEMU, which offers something else",
        setup=_over_setup,
        program=_over,
        weight=4,
        machine_programs=5,
        batch_programs=1,
    ),
)
