"""The balloon device: its registers, and which handler serves which queue.

Source: QEMU 7.2 hw/virtio/virtio-balloon.c (virtio_balloon_get_config, _set_config,
_device_reset, _set_status, _inhibited, _to_target, _stat).
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from workbench.model.balloon import rules as rule
from workbench.model.balloon.hinting import HAS_HINT, NO_THREAD, Hinting
from workbench.model.balloon.inflation import handle_output
from workbench.model.balloon.offer import CONFIG_BYTES_MAX, Queue
from workbench.model.balloon.reporting import handle_report
from workbench.model.balloon.statistics import Statistics
from workbench.model.balloon.virtio import S_DRIVER_OK, VirtioDevice
from workbench.schema import Feature
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.model.balloon.memory import GuestMemory
    from workbench.model.balloon.offer import Offer
    from workbench.model.balloon.queue import VirtQueue
    from workbench.model.balloon.rules import Tally

_CONFIG: Final = Struct("<IIII")
"""num_pages, actual, free_page_hint_cmd_id, poison_val: little endian on every interface."""

_HAS_POISON: Final = 1 << int(Feature.PAGE_POISON)


class Balloon:
    """One balloon device.  Field names are QEMU's."""

    def __init__(
        self,
        offer: Offer,
        memory: GuestMemory,
        ram_bytes: int,
        tally: Tally | None = None,
    ) -> None:
        """Realize the device of a machine with this much memory, plugged DIMMs included."""
        self.device = VirtioDevice(offer, memory, tally)
        self.device.behaviour = self
        self.tally = self.device.tally
        self.ram_bytes = ram_bytes
        self.num_pages = 0
        self.actual = 0
        self.poison_val = 0
        self.hinting = Hinting()
        self.statistics = Statistics()
        self.discard_disabled = 0
        """How many parts of QEMU forbid discards: VFIO, COLO and others."""
        self.incoming_postcopy = False
        self.background_snapshot = False
        self.balloon_changes: list[int] = []
        """The `actual` of each BALLOON_CHANGE, before QEMU's monitor thins them out."""
        self._said: set[str] = set()
        if Queue.HINT in offer.queues and not offer.features & HAS_HINT:
            self.device.error(NO_THREAD)

    def is_inhibited(self) -> bool:
        """Whether discards are forbidden now (virtio_balloon_inhibited)."""
        if self.discard_disabled or self.incoming_postcopy:
            return True
        return self.background_snapshot and self.device.traits.snapshot_inhibits

    def has_page_poison(self) -> bool:
        """Whether the driver took PAGE_POISON."""
        return bool(self.device.guest_features & _HAS_POISON)

    # --- what the generic layer asks for

    def get_config(self) -> bytes:
        """Fill in all four fields, negotiated or not."""
        hint = self.hinting.config_value(self.tally)
        return _CONFIG.pack(self.num_pages, self.actual, hint, self.poison_val)

    def set_config(self, config: bytes) -> None:
        """Take `actual` and poison_val, whichever field was written."""
        tally = self.tally
        config = config.ljust(CONFIG_BYTES_MAX, b"\0")
        _, actual, _, poison_val = _CONFIG.unpack(config)
        changed = actual != self.actual
        if changed:
            tally[rule.CONFIG_ACTUAL] += 1
            self.actual = actual
            self.balloon_changes.append(self.actual_bytes())
        if not self.has_page_poison():
            poison_val = 0
            tally[rule.POISON_NOT_NEGOTIATED] += 1
        elif not self.poison_val and poison_val:
            # One write reaches one field: this poison_val is what the shadow still held.
            tally[rule.CONFIG_STALE if changed else rule.POISON_SET] += 1
        elif self.poison_val and not poison_val:
            tally[rule.POISON_CLEARED] += 1
        self.poison_val = poison_val

    def set_status(self, status: int) -> None:
        """Take up what was left when the VM stopped, and let the hint worker run or wait."""
        device = self.device
        stats = self.queue_of(Queue.STATS)
        ready = device.vm_running and status & S_DRIVER_OK
        if self.statistics.held is None and ready and device.rewind_one(stats):
            self.tally[rule.STATS_TAKEN_UP] += 1
            self.statistics.receive(self, stats)
        if device.guest_features & HAS_HINT:
            self.hinting.blocked = not device.vm_running

    def run_threads(self) -> None:
        """Let the hint queue's worker and the timer go on, after the status has changed."""
        self.hinting.work(self)
        self.statistics.run_timer(self, self.queue_of(Queue.STATS))

    def reset(self) -> None:
        """Reset: `actual`, num_pages, the command id and the statistics stay."""
        if self.device.guest_features & HAS_HINT:
            self.hinting.stop(self)
        self.statistics.reset(self, self.queue_of(Queue.STATS))
        if self.poison_val:
            self.tally[rule.POISON_RESET] += 1
        self.poison_val = 0

    def handle_output(self, queue: VirtQueue) -> None:
        """Serve a queue.  Nobody asks whether its feature was negotiated."""
        if queue.kind is Queue.REPORT:
            if not self.device.guest_features & 1 << int(Feature.REPORTING):
                self.tally[rule.REPORT_NOT_NEGOTIATED] += 1
            handle_report(self, queue)
        elif queue.kind is Queue.INFLATE or queue.kind is Queue.DEFLATE:
            handle_output(self, queue)
        elif queue.kind is Queue.STATS:
            self.statistics.receive(self, queue)
        elif queue.kind is Queue.HINT:
            self.hinting.kick(self, queue)

    def queue_of(self, kind: Queue) -> VirtQueue:
        """The queue of a kind that is always there."""
        return self.device.queues[self.device.offer.queues.index(kind)]

    # --- what the operator asks for

    def set_target(self, target_bytes: int) -> str | None:
        """Run QMP's `balloon`.  Returns QEMU's objection, or None."""
        if target_bytes <= 0:
            self.tally[rule.QMP_BALLOON_REFUSED] += 1
            return "Parameter 'target' expects a size"
        self.tally[rule.QMP_BALLOON] += 1
        clipped = min(target_bytes, self.ram_bytes)
        self.num_pages = (self.ram_bytes - clipped) // PAGE_BYTES
        self.device.notify_config()
        self.device.trace.append(("to_target", clipped, self.num_pages))
        return None

    def actual_bytes(self) -> int:
        """What `query-balloon` and BALLOON_CHANGE say: signed, and bounded by nothing."""
        return self.ram_bytes - self.actual * PAGE_BYTES

    # --- what QEMU says once only

    def say_once(self, message: str) -> bool:
        """Report, the first time in the life of the process.  Returns whether it is that."""
        if message in self._said:
            return False
        self._said.add(message)
        self.device.errors.append(message)
        return True
