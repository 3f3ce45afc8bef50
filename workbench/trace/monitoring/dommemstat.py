"""Logs of `virsh dommemstat`: one block of names and numbers after the other.

Source: libvirt, tools/virsh-domain-monitor.c, cmdDomMemStat(); memory is in KiB, and last_update is
when the guest answered, in seconds since 1970.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from workbench.errors import InputError
from workbench.spelling import on_one_line, shorten
from workbench.trace.monitoring.answers import Answers
from workbench.trace.monitoring.sampled_rows import Column
from workbench.trace.monitoring.tracks import Quantity
from workbench.units import KIB

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.trace.monitoring.tracks import Sampled

_COLUMNS: Final = {
    "unused": Column(Quantity.FREE, "unused", KIB),
    "actual": Column(Quantity.TOTAL, "actual", KIB),
    "available": Column(Quantity.TOTAL, "available", KIB, rank=1),
    "rss": Column(Quantity.RESIDENT, "rss", KIB),
    "disk_caches": Column(Quantity.CACHED, "disk_caches", KIB),
}

_NAMES: Final = frozenset(
    {
        *_COLUMNS,
        "swap_in",
        "swap_out",
        "major_fault",
        "minor_fault",
        "usable",
        "last_update",
        "hugetlb_pgalloc",
        "hugetlb_pgfail",
    }
)
_PAIR: Final = re.compile(r"\s*([a-z_]+)\s+(\S+)\s*")

_ADVICE: Final = "have the guest asked with `virsh dommemstat DOMAIN --period 10`"

_LOOKED_AT: Final = 100
"""Lines that are looked at to tell what a file is: a log may begin with some words of a shell's."""

_SHOWN_CHARACTERS: Final = 80
"""Of a line, in a remark."""


def is_dommemstat(lines: list[str]) -> bool:
    """Whether these lines are of such a log."""
    return any(_pair(line) for line in lines[:_LOOKED_AT])


def read_dommemstat(path: Path, text: str) -> list[Sampled]:
    """Read a log of one guest, which is named after the file.

    Raises
    ------
    InputError
        A number is none, or the guest never answered.
    """
    answers = Answers(path, _COLUMNS, _ADVICE)
    block: dict[str, float] = {}
    begun, others, first_other = 0, 0, ""
    for line, content in enumerate(text.split("\n"), 1):
        pair = _pair(content)
        if block and (not content.strip() or (pair and pair[0] in block)):
            answers.add(begun, block.pop("last_update", 0), block)
            block = {}
        if pair:
            begun = begun if block else line
            block[pair[0]] = _number(path, line, *pair)
        elif content.strip():
            others += 1
            first_other = first_other or f"line {line}: {on_one_line(content.strip())}"
    if block:
        answers.add(begun, block.pop("last_update", 0), block)
    sampled = answers.sampled()
    if others:
        shown = shorten(first_other, _SHOWN_CHARACTERS)
        sampled.remarks.append(f"lines of something else: {others:,}, the first is {shown}")
    return [sampled]


def _pair(line: str) -> tuple[str, str] | None:
    found = _PAIR.fullmatch(line)
    return (found[1], found[2]) if found and found[1] in _NAMES else None


def _number(path: Path, line: int, name: str, text: str) -> float:
    try:
        return float(int(text))
    except (ValueError, OverflowError):
        raise InputError(
            f"{path}, line {line}: {name} is {on_one_line(repr(text))}, expected a whole number; "
            "correct it or remove the block"
        ) from None
