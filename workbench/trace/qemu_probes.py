"""What an imported log says of its own lines: one probe for each of QEMU's trace events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workbench.trace.imported import unseen_memory
from workbench.trace.manifest import Probe
from workbench.units import format_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.trace.qemu_blocks import Block
    from workbench.trace.qemu_lines import LogLines

CLOCK_SLACK_NS: Final = 1_000_000
"""Threads take the time before they take the log's lock, so lines may be this much out of order."""


@dataclass(slots=True)
class Counts:
    """What became of the lines."""

    discards: int = 0
    elsewhere: int = 0
    """Discards that were not in guest RAM."""
    inflated: int = 0
    lone_discards: int = 0
    """Discards of no element that the log has."""
    elements: int = 0
    of_unknown_queues: int = 0
    """Elements that may have been reports, of guests whose reporting queue nothing tells."""
    ranges: int = 0
    not_discarded: int = 0
    """Ranges of elements that QEMU did not discard: the log does not have them."""
    without_discard: int = 0
    """Pages of the balloon that no discard followed."""
    config_writes: int = 0
    unclear_writes: int = 0
    """Writes to the config space that left `actual` as it was."""
    status: int = 0
    other_status: int = 0
    """Of other devices, or of nobody knows which."""


def probes(lines: LogLines, counts: Counts, blocks: Sequence[Sequence[Block]]) -> tuple[Probe, ...]:
    """Describe each event, and last what no log has."""
    places = "; ".join(note for each in blocks for block in each for note in block.notes)
    discards = sum(count for name, count in lines.events.items() if name.startswith("ram_block"))
    known = {
        "ram_block_discard_range": (discards, counts.discards, counts.elsewhere, places),
        "virtqueue_pop": (
            counts.elements + counts.of_unknown_queues,
            counts.ranges,
            counts.of_unknown_queues,
            _queue_note(counts),
        ),
        "virtio_balloon_handle_output": (
            lines.events["virtio_balloon_handle_output"],
            counts.inflated,
            counts.without_discard,
            "pages without a discard were deflated" if counts.without_discard else "",
        ),
        "virtio_balloon_set_config": (
            lines.events["virtio_balloon_set_config"],
            counts.config_writes,
            counts.unclear_writes,
            "only writes of `actual` show what was written" if counts.unclear_writes else "",
        ),
        "virtio_set_status": (
            lines.events["virtio_set_status"],
            counts.status,
            counts.other_status,
            "no line tells which device is the balloon" if counts.other_status else "",
        ),
    }
    found = [_probe(name, *each) for name, each in known.items()]
    if counts.not_discarded:
        found[1] = found[1].model_copy(update={"lost": {"not_discarded": counts.not_discarded}})
    return (*found, _log(lines), *unseen_memory("QEMU's log"))


def _probe(name: str, lines: int, events: int, unattributed: int, note: str) -> Probe:
    if not lines:
        absent = f"no line of it is in the log; it is written with -trace enable={name}"
        note = "; ".join(each for each in (absent, note) if each)
    return Probe(
        name=name, attached=bool(lines), reason=note, events=events, unattributed=unattributed
    )


def _queue_note(counts: Counts) -> str:
    notes = []
    if counts.lone_discards:
        notes.append(
            f"{counts.lone_discards:,} discards belong to no element that the log has: each counts "
            "as one of its own"
        )
    if counts.of_unknown_queues:
        notes.append(
            f"{counts.of_unknown_queues:,} elements may be reports of which nothing was discarded: "
            "no discard tells which queue is the reporting queue"
        )
    if counts.not_discarded:
        ranges = "1 range" if counts.not_discarded == 1 else f"{counts.not_discarded:,} ranges"
        notes.append(f"QEMU did not discard {ranges}: where, the log does not say")
    return "; ".join(notes)


def _log(lines: LogLines) -> Probe:
    """The log as a whole: lines of other events and devices are named, damaged ones counted."""
    notes = []
    if lines.is_cut:
        notes.append("its last line is cut")
    if lines.set_back_ns > CLOCK_SLACK_NS:
        notes.append(f"its clock was set back, by {format_ns(lines.set_back_ns)} at most")
    if lines.unknown:
        notes.append(f"{lines.unknown:,} lines are not QEMU's, or damaged")
    return Probe(
        name="log",
        attached=True,
        reason="; ".join(notes),
        events=sum(lines.events.values()),
        unattributed=lines.unknown,
    )
