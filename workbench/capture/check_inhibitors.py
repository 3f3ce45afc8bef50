"""What keeps a running guest's reports from giving memory back to the host."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from workbench.capture.process import readable
from workbench.capture.qemu import forbids_discards
from workbench.schema import Feature
from workbench.units import HUGE_PAGE_BYTES, KIB, PAGE_BYTES, format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workbench.capture.qemu import Qemu

_REPORTED_BYTES: Final = HUGE_PAGE_BYTES
"""Linux on x86 reports pieces no smaller than this by default (pageblock_order)."""


def discard_inhibitors(qemu: Qemu) -> list[tuple[str, str]]:
    """Name each reason for which this guest's reports free nothing, or less, with its fix."""
    return list(_inhibitors(qemu))


def _inhibitors(qemu: Qemu) -> Iterator[tuple[str, str]]:
    balloon = qemu.balloon
    if not balloon.properties.free_page_reporting:
        yield (
            "free-page-reporting=off",
            "start it with -device virtio-balloon-pci,free-page-reporting=on (off is the default)",
        )
    elif not balloon.features >> Feature.REPORTING & 1:
        yield (
            "no driver in the guest uses the reports",
            "load virtio_balloon in the guest (Linux 5.7 and later report)",
        )
    if forbids_discards(qemu):
        yield (
            "a device forbids discards" + (" (VFIO)" if uses_vfio(qemu.pid) else ""),
            "run it without the device that was passed through: it pins the guest's memory",
        )
    locked_bytes = locked_memory_bytes(qemu.pid)
    if locked_bytes >= qemu.memory_bytes:
        yield (
            f"{format_bytes(locked_bytes)} of its memory are locked",
            "start it without -overcommit mem-lock=on",
        )
    if balloon.poison_val:
        yield (
            f"the guest poisons its free pages with {balloon.poison_val:#x}",
            "boot the guest without page_poison=1, or with the device's page-poison=off",
        )
    largest = max(block.facts.page_bytes for block in qemu.blocks)
    if largest > _REPORTED_BYTES:
        yield (
            f"its RAM is in pages of {format_bytes(largest)}: smaller reports free nothing",
            "back it with pages of 2 MiB or less",
        )
    elif largest > PAGE_BYTES:
        yield (
            f"its RAM is in pages of {format_bytes(largest)}: what they free stays in their pool",
            "back it with ordinary memory, to give it to others than users of huge pages",
        )


def uses_vfio(pid: int) -> bool:
    """Tell whether a process holds a device that was passed through to its guest."""
    with readable(pid) as folder:
        links = [_target(path) for path in (folder / "fd").iterdir()]
    return any(link.startswith(("/dev/vfio/", "anon_inode:[vfio")) for link in links)


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # Closed meanwhile.
        return ""


def locked_memory_bytes(pid: int) -> int:
    """Memory of a process that the host must keep (VmLck)."""
    with readable(pid) as folder:
        text = (folder / "status").read_text(encoding="utf-8")
    found = re.search(r"^VmLck:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * KIB if found else 0
