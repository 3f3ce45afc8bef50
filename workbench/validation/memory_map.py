"""Where a real machine's memory is: in the guest's addresses, and in QEMU's own.

Source: QEMU 7.2 softmmu/memory.c, mtree_print_flatview(); softmmu/physmem.c, ram_block_format();
monitor/misc.c, hmp_gpa2hva().
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from workbench.errors import HostError
from workbench.units import GIB, KIB, MIB

RegionKind = Literal["ram", "rom", "io"]

_KINDS: Final[dict[str, RegionKind]] = {"ram": "ram", "rom": "rom", "i/o": "io"}

_MEMORY: Final = 'AS "memory", root: system'
_REGION: Final = re.compile(
    r"^ *([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d+, ([^)]+)\): (.+?)(?: @([0-9a-f]{16}))?$"
)
_BLOCK: Final = re.compile(
    # Newer QEMUs have more behind it: where the block is, and whether it is read-only.
    r"^ *(\S+) +(\d+) (B|KiB|MiB|GiB) +0x\w+ +0x([0-9a-f]+) +0x\w+(?: .*)?$"
)
_UNITS: Final = {"B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB}
_HOST_ADDRESS: Final = re.compile(r"is 0x([0-9a-f]+)")


class MappedRegion(NamedTuple):
    """A stretch of guest addresses, [first, stop), and what answers there."""

    first: int
    stop: int
    kind: RegionKind
    name: str
    """Of memory, that of its RAM block."""
    offset_bytes: int
    """Where in that block the stretch begins."""


class RealBlock(NamedTuple):
    """A RAM block of QEMU."""

    name: str
    page_bytes: int
    used_bytes: int
    host_address: int | None
    """Where it begins in QEMU's memory; None where the guest does not see it."""


def parse_regions(text: str) -> list[MappedRegion]:
    """Read the guest's memory from ``info mtree -f``.

    Raises
    ------
    HostError
        The text has no view of the memory, or holds a kind of memory that is not known.
    """
    views = [view for view in text.split("FlatView #") if _MEMORY in view]
    if len(views) != 1:
        raise HostError(f"`info mtree -f` has {len(views)} views of the memory, expected one")
    lines = views[0].replace("\r", "").splitlines()
    return [_region(found) for line in lines if (found := _REGION.match(line))]


def parse_blocks(text: str) -> list[RealBlock]:
    """Read the RAM blocks from ``info ramblock``, without host addresses: 7.2 has none there."""
    lines = text.replace("\r", "").splitlines()
    return [
        RealBlock(found[1], int(found[2]) * _UNITS[found[3]], int(found[4], 16), None)
        for line in lines
        if (found := _BLOCK.match(line))
    ]


def parse_host_address(text: str) -> int:
    """Read a host address from what ``gpa2hva`` says.

    Raises
    ------
    HostError
        There is none.
    """
    found = _HOST_ADDRESS.search(text)
    if found is None:
        raise HostError(f"QEMU names no host address: {text.strip()}")
    return int(found[1], 16)


def _region(found: re.Match[str]) -> MappedRegion:
    kind = _KINDS.get(found[3])
    if kind is None:
        raise HostError(f"the guest sees memory of an unknown kind: {found[0].strip()}")
    offset_bytes = int(found[5], 16) if found[5] else 0
    return MappedRegion(int(found[1], 16), int(found[2], 16) + 1, kind, found[4], offset_bytes)
