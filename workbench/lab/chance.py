"""Scenarios made up at random, which nobody can have tuned a model to."""

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
    steps = [line for step in _random_steps(choose, MOST_BYTES) for line in step]
    return _scenario([f"# Made up from seed {seed}.", *steps], name=f"random-{seed}")


def random_overcommit_scenario(seed: int) -> Scenario:
    """Make up a scenario for two guests in too little memory: likewise, for some 25 s.

    Besides what it takes and frees at random it keeps some memory throughout, and reads all of it
    now and then: that must not go to swap, and will.
    """
    choose = random.Random(seed)
    kept_bytes = choose.randrange(8, 17) * 4 * MIB
    lines = [
        f"# Two guests in too little memory, made up from seed {seed}.",
        "host guests 2",
        f"host memory-limit {choose.randrange(22, 28) * 20}M",
        "host swap 2G",
        f"take kept {kept_bytes // MIB}M",
        f"stagger {choose.randrange(1, 9) * 500}ms",
    ]
    for number, step in enumerate(_random_steps(choose, MOST_BYTES - kept_bytes), 1):
        lines += step
        lines += ["touch kept"] if number % _TOUCHED_EVERY == 0 else []
    return _scenario(lines, name=f"random-overcommit-{seed}")


_TOUCHED_EVERY: Final = 4


def _scenario(lines: list[str], name: str) -> Scenario:
    return parse_scenario("\n".join(lines) + "\n", name=name, origin=f"scenario {name}")


def _random_steps(choose: random.Random, most_bytes: int) -> Iterator[list[str]]:
    """Give the lines of each step, and in the end of all that is left to free."""
    held: dict[str, tuple[str, int]] = {}
    for number in range(STEPS):
        room_bytes = most_bytes - sum(size for _, size in held.values())
        step = _random_step(choose, f"file{number}", held, room_bytes)
        yield [step, f"idle {choose.randrange(1, 21) * 100}ms"]
    yield [f"free {name}" for name in held]


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
