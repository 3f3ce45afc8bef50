"""What the host holds of a process's mappings: /proc/PID/smaps."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.capture.process import readable
from workbench.units import KIB

_RESIDENT = ("Rss", "Shared_Hugetlb", "Private_Hugetlb")
"""Pages of hugetlbfs are not in Rss (Linux 6.1 Documentation/filesystems/proc.rst)."""


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


def read_smaps(pid: int) -> list[MappingUse]:
    """Read the mappings of a process with what each holds.

    Raises
    ------
    HostError
        There is no such process, or it may not be looked at.
    """
    with readable(pid) as folder:
        text = (folder / "smaps").read_text(encoding="utf-8", errors="replace")
    return parse_smaps(text)
