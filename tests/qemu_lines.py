"""Lines as QEMU's log has them, written by hand: what a guest of 16 MiB does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.trace import read_trace
from workbench.trace.qemu_blocks import ONLY
from workbench.trace.qemu_log import LogOptions, import_qemu_log
from workbench.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from workbench.trace import Trace

BASE = 0x7F0000000000
MAIN, VCPU = 4711, 4713
QUEUE, BALLOON_QUEUE, DEVICE = 0x7E00000021D8, 0x7E0000002010, 0x55D000000240
SECOND = 1_700_000_000


def line(seconds: float, text: str, thread: int = MAIN) -> str:
    """A line at this time after `SECOND`."""
    microseconds = round(seconds * 1e6)
    return f"{thread}@{SECOND + microseconds // 10**6}.{microseconds % 10**6:06}:{text}\n"


def pop(seconds: float, ranges: int, queue: int = QUEUE, out: int = 0, thread: int = MAIN) -> str:
    """An element taken from a queue."""
    text = f"virtqueue_pop vq {queue:#x} elem 0x7e0000000000 in_num {ranges} out_num {out}"
    return line(seconds, text, thread)


def kick(seconds: float, queue: int = QUEUE, device: int = DEVICE, thread: int = VCPU) -> str:
    """A driver's notice that there is something in a queue."""
    return line(seconds, f"virtio_queue_notify vdev {device:#x} n 3 vq {queue:#x}", thread)


def discard(
    seconds: float,
    offset_mib: float,
    length: int = 2 * MIB,
    *,
    block: str = "pc.ram",
    base: int = BASE,
    thread: int = MAIN,
    how: str = "madvise: 1 fallocate: 0",
) -> str:
    """A successful discard."""
    place = f"{block}@{base + round(offset_mib * MIB):#x} + {length:#x}"
    return line(seconds, f"ram_block_discard_range {place}: {how} ret: 0", thread)


def output(seconds: float, gpa: int) -> str:
    """A page of the inflate or the deflate queue."""
    return line(seconds, f"virtio_balloon_handle_output section name: pc.ram gpa: {gpa:#x}")


def status(seconds: float, value: int, device: int = DEVICE, thread: int = VCPU) -> str:
    """A write of a device's status."""
    return line(seconds, f"virtio_set_status vdev {device:#x} val {value}", thread)


def config(seconds: float, actual: int, before: int) -> str:
    """A write to the config space."""
    text = f"virtio_balloon_set_config actual: {actual} oldactual: {before}"
    return line(seconds, text, VCPU)


LINES = (
    status(0, 0),
    status(0.1, 1),
    status(0.2, 15),
    kick(1),
    pop(1.1, 2),
    discard(1.2, 2),
    discard(1.3, 6, 4 * MIB),
    config(1.4, 5, 5),
    config(1.5, 7, 5),
    pop(2, 3, out=0),
    discard(2.1, 0),
    discard(2.2, 14),
    pop(3, 0, BALLOON_QUEUE, out=1),
    output(3.1, 0x400000),
    discard(3.2, 4, 4096),
    output(3.3, 0x400000),
)
"""Two elements of 2 and 3 ranges, of which one was not discarded; a page in and out."""

DISCARDS = [
    # In MiB and bytes, with the element.
    (2 * MIB, 2 * MIB, 0),
    (6 * MIB, 4 * MIB, 0),
    (0, 2 * MIB, 1),
    (14 * MIB, 2 * MIB, 1),
    (4 * MIB, 4096, -1),
]


def imported(
    folder: Path,
    lines: Iterable[str] | bytes,
    memory: dict[str, int] | int | None = 16 * MIB,
    bases: dict[str, int] | int | None = None,
    *,
    name: str = "",
) -> Trace:
    """Write a log, and import it."""
    content = lines if isinstance(lines, bytes) else "".join(lines).encode()
    (folder / "qemu.log").write_bytes(content)
    options = LogOptions(_by_block(memory), _by_block(bases), name)
    import_qemu_log(folder / "qemu.log", folder / "x.trace", options)
    return read_trace(folder / "x.trace")


def _by_block(given: dict[str, int] | int | None) -> dict[str, int]:
    if given is None:
        return {}
    return given if isinstance(given, dict) else {ONLY: given}


PLACE = ("offset_bytes", "length_bytes", "element")
