"""What the host holds of a process's mappings: /proc/PID/smaps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.capture.process import readable
from workbench.units import KIB

if TYPE_CHECKING:
    from collections.abc import Sequence

_RESIDENT = ("Rss", "Shared_Hugetlb", "Private_Hugetlb")
"""Pages of hugetlbfs are not in Rss (Linux 6.1 Documentation/filesystems/proc.rst)."""

_HEAD = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) ", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingUse:
    """One mapping's use of memory.

    Attributes
    ----------
    advised_huge
        Whether madvise(MADV_HUGEPAGE) was called on it (flag `hg`).
    """

    first: int
    stop: int
    resident_bytes: int
    swapped_bytes: int
    advised_huge: bool


def parse_smaps(text: str) -> list[MappingUse]:
    """Parse the text of a smaps file.

    Source: Linux 6.1 fs/proc/task_mmu.c, show_smap.  Zero pages are not in `Rss`.
    """
    uses: list[MappingUse] = []
    first = stop = resident = swapped = 0
    for line in text.splitlines():
        key, _, rest = line.partition(":")
        if key in _RESIDENT:
            resident += int(rest.split()[0]) * KIB
        elif key == "Swap":
            swapped = int(rest.split()[0]) * KIB
        elif key == "VmFlags":
            uses.append(
                MappingUse(
                    first=first,
                    stop=stop,
                    resident_bytes=resident,
                    swapped_bytes=swapped,
                    advised_huge="hg" in rest.split(),
                )
            )
        elif "-" in key.split(" ")[0]:
            span = line.split(" ")[0].split("-")
            first, stop = int(span[0], 16), int(span[1], 16)
            resident = swapped = 0
    return uses


def read_smaps(pid: int, *, within: Sequence[tuple[int, int]] | None = None) -> list[MappingUse]:
    """Read the mappings of a process with what each holds.

    Parameters
    ----------
    within
        Only those inside of one of these spans of addresses, [first, stop).  A QEMU has hundreds of
        mappings, and one or two of guest RAM: to read just those takes a tenth of the time.

    Raises
    ------
    HostError
        There is no such process, or it may not be looked at.
    """
    with readable(pid) as folder:
        text = (folder / "smaps").read_text(encoding="utf-8", errors="replace")
    return parse_smaps(text if within is None else _cut(text, within))


def _cut(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Leave of a smaps file only the mappings inside of the spans."""
    heads = list(_HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return "".join(
        text[head.start() : end]
        for head, end in zip(heads, ends, strict=False)  # Of a process that exits there are none.
        if any(first <= int(head[1], 16) and int(head[2], 16) <= stop for first, stop in spans)
    )
