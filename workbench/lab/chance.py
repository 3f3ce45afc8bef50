"""Scenarios made up at random, for tests that nobody could have tuned a model to."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from workbench.lab.scenario import FILLS, Scenario, parse_scenario
from workbench.units import KIB, MIB, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


MOST_BYTES: Final = 256 * MIB
STEPS: Final = 14


def random_scenario(seed: int) -> Scenario:
    """Make up a scenario: the same seed always gives the same one.

    It holds at most 256 MiB at a time, idles at most 2 s at a time, and frees everything in
    the end, so that it takes an emulated guest some 15 s.
    """
    choose = random.Random(seed)
    lines = [f"# Made up from seed {seed}."]
    held: dict[str, tuple[str, int]] = {}
    for number in range(STEPS):
        room_bytes = MOST_BYTES - sum(size for _, size in held.values())
        lines.append(_random_step(choose, f"file{number}", held, room_bytes))
        lines.append(f"idle {choose.randrange(1, 21) * 100}ms")
    lines += [f"free {name}" for name in held]
    text = "\n".join(lines) + "\n"
    return parse_scenario(text, name=f"random-{seed}", origin=f"random scenario of seed {seed}")


def _random_step(
    choose: random.Random, name: str, held: dict[str, tuple[str, int]], room_bytes: int
) -> str:
    makers: list[Callable[[], str]] = []
    if room_bytes >= 8 * MIB:
        makers += [lambda: _random_take(choose, name, held, room_bytes)] * 3
        makers += [lambda: _random_scatter(choose, name, held, room_bytes)]
    if held:
        makers += [lambda: _random_use(choose, held, "free")] * 2
    if any(word == "take" for word, _ in held.values()):
        makers += [lambda: _random_use(choose, held, choose.choice(("touch", "rewrite")))]
    return choose.choice(makers)()


def _random_take(
    choose: random.Random, name: str, held: dict[str, tuple[str, int]], room_bytes: int
) -> str:
    size_bytes = choose.randrange(1, min(room_bytes, 128 * MIB) // (256 * KIB)) * 256 * KIB
    held[name] = ("take", size_bytes)
    return f"take {name} {size_bytes // KIB}K {choose.choice(FILLS)}"


def _random_scatter(
    choose: random.Random, name: str, held: dict[str, tuple[str, int]], room_bytes: int
) -> str:
    count = choose.randrange(10, 60)
    size_bytes = choose.randrange(1, min(room_bytes // count, MIB) // PAGE_BYTES + 1) * PAGE_BYTES
    held[name] = ("scatter", size_bytes * count)
    return f"scatter {name} {count} {size_bytes // KIB}K\nthin {name}"


def _random_use(choose: random.Random, held: dict[str, tuple[str, int]], word: str) -> str:
    wanted = ("take", "scatter") if word == "free" else ("take",)
    name = choose.choice(list(_named(held, wanted)))
    if word == "free":
        del held[name]
    return f"{word} {name}"


def _named(held: Mapping[str, tuple[str, int]], words: tuple[str, ...]) -> Iterator[str]:
    return (name for name, (word, _) in held.items() if word in words)
