"""Kinds of programs about machines: their memory, its blocks, and their types."""

from __future__ import annotations

from dataclasses import replace
from struct import pack
from typing import TYPE_CHECKING

from workbench.model.balloon.offer import Properties
from workbench.units import HUGE_PAGE_BYTES, MIB, PAGE_BYTES
from workbench.validation.driver import STOP
from workbench.validation.kinds.device import KINDS as DEVICE_KINDS
from workbench.validation.kinds.kind import Kind
from workbench.validation.kinds.parts import random_features, reporting_setup
from workbench.validation.kinds.rings import KINDS as RING_KINDS
from workbench.validation.kinds.transport import KINDS as TRANSPORT_KINDS
from workbench.validation.setup import Backend, BackendKind, Setup

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from workbench.validation.driver import Step
    from workbench.validation.kinds.kind import Scene

    Variant = Callable[[Random, Setup], Setup]

_PROGRAMS = {kind.name: kind.program for kind in (*RING_KINDS, *TRANSPORT_KINDS, *DEVICE_KINDS)}
_FIRST_BLOCK = 6 * MIB
"""Room for the rings and some pages."""


def _mixed(random: Random, scene: Scene) -> list[Step]:
    """Write a program of one of the kinds to which it matters what memory is like."""
    name = random.choice(("reporting", "bounds", "malformed descriptors", "poison", "inflate"))
    return _PROGRAMS[name](random, scene)


def _backed_by(kind: BackendKind, *, shared: bool) -> Variant:
    def backed(_: Random, setup: Setup) -> Setup:
        return replace(setup, memory=(Backend(size_bytes=8 * MIB, kind=kind, shared=shared),))

    return backed


_BACKENDS = tuple(
    _backed_by(kind, shared=shared)
    for kind in ("anonymous", "memfd", "file")
    for shared in (True, False)
)


def _locked_setup(random: Random) -> Setup:
    return replace(reporting_setup(random), mem_lock=True)


def _nodes(random: Random, setup: Setup) -> Setup:
    sizes = (_FIRST_BLOCK, 2 * MIB, 4 * MIB)[: random.randrange(2, 4)]
    memory = tuple(Backend(size_bytes=size, shared=random.random() < 0.3) for size in sizes)
    return replace(setup, memory=memory)


def _modules(random: Random, setup: Setup) -> Setup:
    dimms = tuple(Backend(size_bytes=2 * MIB) for _ in range(random.randrange(1, 3)))
    return replace(setup, dimms=dimms)


def _high_memory(random: Random, setup: Setup) -> Setup:
    return replace(setup, max_ram_below_4g_bytes=random.choice((5 * MIB, 6 * MIB)))


def _graphics(_: Random, setup: Setup) -> Setup:
    return replace(setup, vga=True)


def _blocks(random: Random, scene: Scene) -> list[Step]:
    """Report over the borders between blocks."""
    steps: list[Step] = [("start", random_features(random, scene), [(scene.report, 0)])]
    for region in random.sample(scene.regions, k=min(2, len(scene.regions))):
        first = random.choice((region.first, region.stop)) - PAGE_BYTES * random.randrange(3)
        if scene.is_ours(first):
            steps.append(("fill", first, PAGE_BYTES, random.randrange(1, 256)))
        length = PAGE_BYTES * random.randrange(1, 6)
        if first >= STOP:
            steps.append(("element", scene.report, [(first, length, 1)], random.randrange(2)))
    steps += [("kick", scene.report), ("observe",)]
    if random.random() < 0.1:
        size = scene.setup_bytes - random.choice((0, 1, MIB))
        steps += [("balloon", size), ("query_balloon",), ("balloon", scene.setup_bytes)]
    return steps + _mixed(random, scene)


_VERSIONS = ("2.8", "2.12", "3.1", "4.0", "4.1", "4.2", "5.0", "5.1", "6.2", "7.1", "7.2")


def machine_type_setup(random: Random) -> Setup:
    """A machine of any type, old or new."""
    machine_type = f"pc-i440fx-{random.choice(_VERSIONS)}"
    return replace(reporting_setup(random), machine_type=machine_type)


def _of_type(*versions: str) -> Variant:
    """One of some machine types that are alike for the balloon."""

    def of_type(random: Random, setup: Setup) -> Setup:
        return replace(setup, machine_type=f"pc-i440fx-{random.choice(versions)}")

    return of_type


def _as_it_comes(*versions: str) -> Variant:
    """The same, where properties leave to the machine type what it can decide."""

    def as_it_comes(random: Random, setup: Setup) -> Setup:
        properties = replace(setup.properties, page_poison=None, qemu_4_0_config_size=None)
        return _of_type(*versions)(random, replace(setup, properties=properties))

    return as_it_comes


_MACHINE_TYPES = (
    _as_it_comes("4.0"),
    _as_it_comes("4.1", "4.2", "5.0"),
    _as_it_comes("5.1", "6.2", "7.1"),
    _as_it_comes("2.8", "2.12", "3.1"),
    _of_type("2.8", "2.12", "3.1", "4.0", "4.1", "4.2", "5.0"),
    _of_type("5.1", "6.2", "7.1", "7.2"),
)


def _machine_types(random: Random, scene: Scene) -> list[Step]:
    names = ("config space", "features", "poison", "reporting", "transport")
    return _PROGRAMS[random.choice(names)](random, scene)


def _huge_setup(random: Random) -> Setup:
    shared = random.random() < 0.5
    size = 16 * MIB
    return Setup(
        memory=(Backend(size_bytes=size, kind="hugetlb", shared=shared),),
        properties=Properties(free_page_reporting=True, page_poison=random.choice((None, False))),
    )


def _in_one_piece(_: Random, setup: Setup) -> Setup:
    return setup


def _in_two_pieces(_: Random, setup: Setup) -> Setup:
    """Guest addresses and offsets in the block are aligned differently above 4 GiB."""
    return replace(setup, max_ram_below_4g_bytes=9 * MIB)


def _huge_pages(random: Random, scene: Scene) -> list[Step]:
    """Report and inflate whole huge pages, parts of them, and what only looks aligned."""
    steps: list[Step] = [
        ("start", random_features(random, scene), [(0, 0), (scene.report, 0)]),
    ]
    region = random.choice(scene.regions)
    huge = -(-max(region.first, STOP) // HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES
    places = [huge, huge + HUGE_PAGE_BYTES, region.stop - HUGE_PAGE_BYTES]
    first = random.choice(places) + random.choice((0, 0, 0, MIB, PAGE_BYTES))
    steps.append(("fill", first, 2 * PAGE_BYTES, random.randrange(1, 256)))
    if random.random() < 0.6:
        length = random.choice((1, 1, 2, 0.5, 1 + 1 / 512)) * HUGE_PAGE_BYTES
        steps.append(("element", scene.report, [(first, int(length), 1)], 0))
        return [*steps, ("kick", scene.report), ("observe",)]
    frames = [first // PAGE_BYTES + page for page in range(512)]
    change = random.randrange(6)
    if change == 0:
        frames.pop()
    elif change == 1:
        frames.insert(random.randrange(512), 0x900)
    elif change == 2:
        random.shuffle(frames)
    elif change == 4:
        frames.insert(random.randrange(512), random.choice(frames))
    array = 0x500000
    steps.append(("poke", array, pack(f"<{len(frames)}I", *frames).hex()))
    cut = 256 if change == 3 else len(frames)
    steps.append(("element", 0, [(array, 4 * cut, 0)], 0))
    if cut < len(frames):
        steps.append(("element", 0, [(array + 4 * cut, 4 * (len(frames) - cut), 0)], 0))
    return [*steps, ("kick", 0), ("observe",)]


def _either(random: Random, scene: Scene) -> list[Step]:
    return (_huge_pages if random.random() < 0.7 else _mixed)(random, scene)


KINDS = (
    Kind(
        name="memory backends",
        about="anonymous, shared, memfd and file memory",
        setup=reporting_setup,
        variants=_BACKENDS,
        program=_mixed,
        weight=20,
        machine_programs=100,
    ),
    Kind(
        name="locked memory",
        about="memory that the host does not take back",
        setup=_locked_setup,
        variants=_BACKENDS,
        program=_mixed,
        # What a discard leaves depends on the backend: there must be many.
        machine_programs=16,
        needs=frozenset({"locked memory"}),
    ),
    Kind(
        name="several RAM blocks",
        about="NUMA nodes, DIMMs, memory above 4 GiB, graphics memory",
        setup=reporting_setup,
        variants=(_nodes, _modules, _high_memory, _graphics),
        program=_blocks,
        weight=20,
    ),
    Kind(
        name="machine types",
        about="pc-i440fx from 2.8 to 7.2",
        setup=reporting_setup,
        variants=_MACHINE_TYPES,
        program=_machine_types,
        machine_programs=55,
    ),
    Kind(
        name="huge pages",
        about="memory of 2 MiB pages",
        setup=_huge_setup,
        variants=(_in_one_piece, _in_two_pieces),
        program=_either,
        weight=15,
        machine_programs=25,
        needs=frozenset({"huge pages"}),
    ),
)
