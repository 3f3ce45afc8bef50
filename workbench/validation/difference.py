"""What can differ between the model and the real device, and how it is told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.validation.driver import Step

_SHOWN_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first thing in which the real device did not do what the model said."""

    what: str
    """An answer, memory, the trace, stderr, an event or a reply of the monitor; and where."""
    expected: str
    """What the model said."""
    found: str
    """What the real device did."""
    step: int | None = None
    """The step of the program after which it showed, counted from 0, where that is known."""

    @property
    def sort(self) -> str:
        """What kind of thing differs: `what` without places, which change as a program shrinks."""
        return re.split(r", entry | at offset ", self.what)[0]

    def sentence(self) -> str:
        """Say it in one line."""
        where = "" if self.step is None else f" after step {self.step}"
        return f"{self.what}{where}: the model says {self.expected}, QEMU {self.found}"


def differing_answer(
    steps: Sequence[Step], expected: Sequence[Sequence[Any]], found: Sequence[Sequence[Any]]
) -> Difference | None:
    """Find the first step whose answers differ."""
    for number, (step, ours, theirs) in enumerate(zip(steps, expected, found, strict=True)):
        if list(ours) != list(theirs):
            return Difference(
                what=f"answer to {step[0]}", expected=_show(ours), found=_show(theirs), step=number
            )
    return None


def differing_memory(
    expected: Mapping[str, bytes | bytearray], found: Mapping[str, bytes | bytearray]
) -> Difference | None:
    """Find the first byte of memory that differs."""
    for name, ours in expected.items():
        theirs = found[name]
        if ours == theirs:
            continue
        row = _first_difference(bytes(ours), bytes(theirs))
        return Difference(
            what=f"memory of {name} at offset {row:#x}",
            expected=bytes(ours[row : row + _SHOWN_BYTES]).hex(),
            found=bytes(theirs[row : row + _SHOWN_BYTES]).hex(),
        )
    return None


def differing_list(what: str, expected: Sequence[Any], found: Sequence[Any]) -> Difference | None:
    """Find the first entry that differs."""
    for row in range(max(len(expected), len(found))):
        ours = expected[row] if row < len(expected) else None
        theirs = found[row] if row < len(found) else None
        if ours != theirs:
            return Difference(
                what=f"{what}, entry {row}", expected=_show(ours), found=_show(theirs)
            )
    return None


def _first_difference(ours: bytes, theirs: bytes) -> int:
    """Halve the range that differs until one byte is left."""
    first, stop = 0, len(ours)
    while stop - first > 1:
        middle = (first + stop) // 2
        if ours[first:middle] != theirs[first:middle]:
            stop = middle
        else:
            first = middle
    return first


def _show(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value)
    if isinstance(value, bytes):
        return value[:_SHOWN_BYTES].hex()
    if isinstance(value, list | tuple):
        return ", ".join(_show(entry) for entry in value)
    return "nothing" if value is None else str(value)
