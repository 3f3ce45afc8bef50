"""The statistics queue: the driver's numbers, and the element the device keeps until asked.

Source: QEMU 7.2 hw/virtio/virtio-balloon.c (virtio_balloon_receive_stats, balloon_stats_poll_cb,
balloon_stats_set_poll_interval, balloon_stats_get_all).

What is left out is real time: a timer that was set to go off in some seconds never does.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from workbench.model.balloon import rules as rule
from workbench.schema import Feature

if TYPE_CHECKING:
    from workbench.model.balloon.balloon import Balloon
    from workbench.model.balloon.element import Element
    from workbench.model.balloon.queue import VirtQueue

RECORD: Final = Struct("<HQ")
"""Tag and value (virtio 1.2, 5.5.6.3)."""

NAMES: Final = (
    "stat-swap-in",
    "stat-swap-out",
    "stat-major-faults",
    "stat-minor-faults",
    "stat-free-memory",
    "stat-total-memory",
    "stat-available-memory",
    "stat-disk-caches",
    "stat-htlb-pgalloc",
    "stat-htlb-pgfail",
)
"""balloon_stat_names, by tag."""

UNSET: Final = (1 << 64) - 1
INTERVAL_MAX: Final = (1 << 32) - 1
HAS_STATS: Final = 1 << int(Feature.STATS_VQ)


class Statistics:
    """What the device knows of the guest's memory."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.held: Element | None = None
        self.held_bytes = 0
        self.values = [UNSET] * len(NAMES)
        self.poll_interval_s = 0
        self.is_due = False
        """Whether the timer fires as soon as the virtual clock runs."""

    def receive(self, balloon: Balloon, queue: VirtQueue) -> None:
        """Take one element, and return the one that was kept before."""
        if self.is_due:
            # The timer is set anew, an element or not: it fires a whole interval from now.
            balloon.tally[rule.STATS_PUT_OFF] += 1
            self.is_due = False
        device = balloon.device
        element = device.pop(queue)
        if element is None:
            return
        if self.held is not None:
            balloon.tally[rule.STATS_SECOND] += 1
            device.push(queue, self.held, 0)
            device.notify(queue)
        else:
            balloon.tally[rule.STATS_HELD] += 1
        self.held = element
        if self.has_numbers():
            balloon.tally[rule.STATS_FORGOTTEN] += 1
        self.values = [UNSET] * len(NAMES)
        offset = 0
        while len(data := element.read_out(offset, RECORD.size)) == RECORD.size:
            offset += RECORD.size
            tag, value = RECORD.unpack(data)
            if tag < len(NAMES):
                balloon.tally[rule.STATS_STORED] += 1
                self.values[tag] = value
            else:
                balloon.tally[rule.STATS_UNKNOWN_TAG] += 1
        if data:
            balloon.tally[rule.STATS_TRUNCATED] += 1
        self.held_bytes = offset

    def poll(self, balloon: Balloon, queue: VirtQueue) -> None:
        """Ask the driver for new numbers, by returning what it sent: the timer has fired."""
        device = balloon.device
        if self.held is None:
            balloon.tally[rule.STATS_NOTHING_HELD] += 1
            return
        if not device.guest_features & HAS_STATS:
            balloon.tally[rule.STATS_NOT_POLLED] += 1
            return
        balloon.tally[rule.STATS_POLLED] += 1
        device.push(queue, self.held, 0 if device.traits.lengths_are_zero else self.held_bytes)
        device.notify(queue)
        self.held = None

    def set_interval(self, balloon: Balloon, queue: VirtQueue, value: int) -> str | None:
        """Set guest-stats-polling-interval.  Returns QEMU's objection, or None."""
        if value < 0:
            balloon.tally[rule.STATS_INTERVAL_NEGATIVE] += 1
            return "timer value must be greater than zero"
        if value > INTERVAL_MAX:
            balloon.tally[rule.STATS_INTERVAL_TOO_BIG] += 1
            return "timer value is too big"
        if value == self.poll_interval_s:
            balloon.tally[rule.STATS_INTERVAL_SAME] += 1
            return None
        starts = self.poll_interval_s == 0
        if self.is_due:
            balloon.tally[rule.STATS_DUE_FORGOTTEN] += 1
        self.poll_interval_s, self.is_due = value, starts
        if not starts:
            balloon.tally[rule.STATS_INTERVAL_CHANGES if value else rule.STATS_INTERVAL_STOPS] += 1
        else:
            balloon.tally[rule.STATS_INTERVAL_STARTS] += 1
            self.run_timer(balloon, queue)
        return None

    def run_timer(self, balloon: Balloon, queue: VirtQueue) -> None:
        """Let the timer fire, if it is due and the virtual clock runs (cpus.c, pause_all_vcpus)."""
        if not self.is_due:
            return
        if not balloon.device.vm_running:
            balloon.tally[rule.STATS_CLOCK_STOPPED] += 1
            return
        self.is_due = False
        self.poll(balloon, queue)

    def has_numbers(self) -> bool:
        """Whether the driver has told any number."""
        return any(value != UNSET for value in self.values)

    def by_name(self, tally: rule.Tally) -> dict[str, int]:
        """Give the numbers as the monitor tells them (balloon_stats_get_all)."""
        if self.has_numbers():
            tally[rule.STATS_NAMES] += 1
        if UNSET in self.values:
            tally[rule.STATS_UNSET] += 1
        return dict(zip(NAMES, self.values, strict=True))

    def reset(self, balloon: Balloon, queue: VirtQueue) -> None:
        """Give the held element back to the ring, as if it had not been taken; keep the numbers."""
        if self.has_numbers():
            balloon.tally[rule.STATS_RESET_KEEPS] += 1
        if self.held is not None:
            balloon.tally[rule.STATS_RESET] += 1
            balloon.device.unpop(queue, self.held)
            self.held = None
