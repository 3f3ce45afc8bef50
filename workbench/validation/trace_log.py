"""What QEMU's own trace says about the balloon, with offsets instead of host addresses.

Source: QEMU 7.2 trace events ram_block_discard_range, virtio_balloon_bad_addr,
virtio_balloon_handle_output, virtio_balloon_to_target and migration_bitmap_sync_start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from workbench.errors import HostError
from workbench.trace.qemu_events import BAD_ADDRESS, DISCARD, OUTPUT, TARGET

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TRACE_EVENTS: Final = (
    "ram_block_discard*_range",
    "virtio_balloon_bad_addr",
    "virtio_balloon_handle_output",
    "virtio_balloon_to_target",
    "migration_bitmap_sync_start",
)
"""Those that are switched on.  The two of the config space are not: what they tell is in the
answers of the accesses, and they would be most of the lines.  That of a discard has `_shared` in
its name since 11.1; QEMU takes patterns."""

TraceLine: TypeAlias = tuple[str | int, ...]
"""One of::

("discard", block, offset_bytes, length_bytes, madvise, fallocate)
("bad_addr", gpa)
("handle_output", region, gpa)
("to_target", target, num_pages)
("bitmap_sync",)
"""

_SYNC: Final = b"migration_bitmap_sync_start"


def parse_trace(lines: Iterable[bytes], host_addresses: Mapping[str, int]) -> list[TraceLine]:
    """Read lines of QEMU's log.

    Parameters
    ----------
    host_addresses
        Where each RAM block begins in QEMU's memory.

    Raises
    ------
    HostError
        A line is none of `TRACE_EVENTS`, or names an unknown RAM block.
    """
    return [_parse(line, host_addresses) for line in lines]


def _parse(line: bytes, host_addresses: Mapping[str, int]) -> TraceLine:
    if found := DISCARD.search(line):
        block = found[1].decode()
        if block in host_addresses:
            offset_bytes = int(found[2], 16) - host_addresses[block]
            methods = (bool(int(found[4])), bool(int(found[5])))
            return ("discard", block, offset_bytes, int(found[3], 16), *methods)
    elif found := OUTPUT.search(line):
        return ("handle_output", found[1].decode(), int(found[2], 16))
    elif found := BAD_ADDRESS.search(line):
        return ("bad_addr", int(found[1], 16))
    elif found := TARGET.search(line):
        return ("to_target", int(found[1], 16), int(found[2]))
    elif _SYNC in line:
        return ("bitmap_sync",)
    raise HostError(f"QEMU's trace holds what is not known: {line.decode(errors='replace')}")
