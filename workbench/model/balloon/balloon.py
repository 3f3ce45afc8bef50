"""The balloon device: its registers, and which handler serves which queue.

Source: QEMU 7.2 hw/virtio/virtio-balloon.c (virtio_balloon_get_config, _set_config,
_device_reset, _set_status, _inhibited, _to_target, _stat).
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from workbench.model.balloon import rules as rule
from workbench.model.balloon.behaviour import Behaviour
from workbench.model.balloon.hinting import CMD_ID_MIN, HAS_HINT, NO_THREAD, Hinting
from workbench.model.balloon.inflation import handle_output
from workbench.model.balloon.offer import CONFIG_BYTES_MAX, Queue
from workbench.model.balloon.reporting import handle_report
from workbench.model.balloon.statistics import HAS_STATS, Statistics
from workbench.model.balloon.virtio import (
    HAS_VERSION_1,
    S_DRIVER_OK,
    S_FEATURES_OK,
    VirtioDevice,
)
from workbench.schema import Feature
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.model.balloon.memory import GuestMemory
    from workbench.model.balloon.offer import Offer
    from workbench.model.balloon.queue import VirtQueue
    from workbench.model.balloon.rules import Tally

_CONFIG: Final = Struct("<IIII")
"""num_pages, actual, free_page_hint_cmd_id, poison_val: little endian on every interface."""

_ACTUAL: Final = range(4, 8)
_POISON_VAL: Final = range(12, 16)
"""Where in it the driver may write."""

_HAS_POISON: Final = 1 << int(Feature.PAGE_POISON)
_HAS_REPORTING: Final = 1 << int(Feature.REPORTING)


class Balloon(Behaviour):
    """One balloon device.  Field names are QEMU's."""

    def __init__(
        self,
        offer: Offer,
        memory: GuestMemory,
        ram_bytes: int,
        tally: Tally | None = None,
        *,
        module_bytes: int = 0,
    ) -> None:
        """Realize the device of a machine with this much memory, and plugged modules."""
        self.device = VirtioDevice(offer, memory, tally)
        self.device.behaviour = self
        self.tally = self.device.tally
        self.ram_bytes = ram_bytes
        self.module_bytes = module_bytes
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
        if self.discard_disabled:
            self.tally[rule.INHIBIT_COUNTED] += 1
            return True
        if self.incoming_postcopy:
            self.tally[rule.INHIBIT_POSTCOPY] += 1
            return True
        if self.background_snapshot and self.device.traits.snapshot_inhibits:
            self.tally[rule.INHIBIT_SNAPSHOT] += 1
            return True
        return False

    def has_page_poison(self) -> bool:
        """Whether the driver took PAGE_POISON."""
        return bool(self.device.guest_features & _HAS_POISON)

    # --- what the generic layer asks for

    def get_config(self) -> bytes:
        """Fill in all four fields, negotiated or not."""
        hint = self.hinting.config_value(self.tally)
        return _CONFIG.pack(self.num_pages, self.actual, hint, self.poison_val)

    def set_config(self, config: bytes, written: range) -> None:
        """Take `actual` and poison_val, whichever field was written."""
        config = config.ljust(CONFIG_BYTES_MAX, b"\0")
        _, actual, _, poison_val = _CONFIG.unpack(config)
        if actual != self.actual:
            self._tally_actual(written)
            self.actual = actual
            self.balloon_changes.append(self.actual_bytes())
        elif written.start in _ACTUAL:
            self.tally[rule.CONFIG_ACTUAL_SAME] += 1
        if self.has_page_poison():
            self._tally_poison(poison_val, written)
            self.poison_val = poison_val
        else:
            if poison_val:
                self.tally[rule.POISON_NOT_NEGOTIATED] += 1
            self.poison_val = 0

    def _tally_actual(self, written: range) -> None:
        """Count why `actual` changes."""
        self.tally[rule.CONFIG_ACTUAL] += 1
        if len(written) < len(_ACTUAL):
            self.tally[rule.CONFIG_ACTUAL_BYTES] += 1
        if not self.device.status:
            self.tally[rule.CONFIG_ACTUAL_EARLY] += 1

    def _tally_poison(self, poison_val: int, written: range) -> None:
        """Count why poison_val changes, or does not."""
        tally, device = self.tally, self.device
        if written.start not in _POISON_VAL:
            if poison_val:
                # What the shadow still holds: one write reaches one field.
                tally[rule.POISON_KEPT if self.poison_val else rule.CONFIG_STALE] += 1
            if poison_val and not self.poison_val and written.start not in _ACTUAL:
                tally[rule.CONFIG_ANY_FIELD] += 1
        elif poison_val == self.poison_val:
            return
        elif self.poison_val:
            tally[rule.POISON_CHANGED if poison_val else rule.POISON_CLEARED] += 1
        else:
            tally[rule.POISON_SET] += 1
            if device.guest_features & HAS_VERSION_1 and not device.status & S_FEATURES_OK:
                tally[rule.POISON_BEFORE_FEATURES_OK] += 1

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
        self.hinting.work(self, kicked=False)
        self.statistics.run_timer(self, self.queue_of(Queue.STATS))

    def reset(self) -> None:
        """Reset: `actual`, num_pages, the command id and the statistics stay."""
        if self.device.guest_features & HAS_HINT:
            self.hinting.reset(self)
        for name, kept in (
            (rule.RESET_KEEPS_TARGET, self.num_pages),
            (rule.RESET_KEEPS_ACTUAL, self.actual),
            (rule.HINT_COUNTER_KEPT, self.hinting.cmd_id != CMD_ID_MIN),
        ):
            if kept:
                self.tally[name] += 1
        self.statistics.reset(self, self.queue_of(Queue.STATS))
        if self.poison_val:
            self.tally[rule.POISON_RESET] += 1
        self.poison_val = 0

    def handle_output(self, queue: VirtQueue) -> None:
        """Serve a queue.  Nobody asks whether its feature was negotiated."""
        features = self.device.guest_features
        if queue.kind is Queue.REPORT:
            if not features & _HAS_REPORTING:
                self.tally[rule.REPORT_NOT_NEGOTIATED] += 1
            hints = Queue.HINT in self.device.offer.queues
            self.tally[rule.QUEUE_REPORTS_FOURTH if hints else rule.QUEUE_REPORTS_THIRD] += 1
            handle_report(self, queue)
        elif queue.kind is Queue.INFLATE or queue.kind is Queue.DEFLATE:
            handle_output(self, queue)
        elif queue.kind is Queue.STATS:
            if not features & HAS_STATS:
                self.tally[rule.STATS_NOT_NEGOTIATED] += 1
            self.statistics.receive(self, queue)
        elif queue.kind is Queue.HINT:
            if not features & HAS_HINT:
                self.tally[rule.HINT_QUEUE_NOT_NEGOTIATED] += 1
                if features & _HAS_REPORTING:
                    self.tally[rule.QUEUE_NUMBERS] += 1
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
        ram_bytes = self.current_ram_bytes()
        clipped = min(target_bytes, ram_bytes)
        num_pages = (ram_bytes - clipped) // PAGE_BYTES
        self._tally_target(target_bytes, clipped, num_pages)
        self.num_pages = num_pages
        self.device.notify_config()
        self.device.trace.append(("to_target", clipped, self.num_pages))
        return None

    def _tally_target(self, target_bytes: int, clipped_bytes: int, num_pages: int) -> None:
        self.tally[rule.QMP_BALLOON] += 1
        for name, holds in (
            (rule.QMP_BALLOON_SAME, num_pages == self.num_pages),
            (rule.QMP_BALLOON_CLIPPED, clipped_bytes < target_bytes),
            (rule.QMP_BALLOON_ROUNDED, clipped_bytes % PAGE_BYTES),
        ):
            if holds:
                self.tally[name] += 1

    def query(self) -> int:
        """Run QMP's `query-balloon`."""
        actual_bytes = self.actual_bytes()
        self.tally[rule.QMP_QUERY if actual_bytes >= 0 else rule.QMP_QUERY_SIGNED] += 1
        return actual_bytes

    def actual_bytes(self) -> int:
        """What `query-balloon` and BALLOON_CHANGE say: signed, and bounded by nothing."""
        return self.current_ram_bytes() - self.actual * PAGE_BYTES

    def current_ram_bytes(self) -> int:
        """How much memory the machine has (get_current_ram_size)."""
        if self.module_bytes:
            self.tally[rule.QMP_MODULES] += 1
        return self.ram_bytes + self.module_bytes

    # --- what QEMU says once only

    def say_once(self, message: str) -> bool:
        """Report, the first time in the life of the process.  Returns whether it is that."""
        if message in self._said:
            return False
        self._said.add(message)
        self.device.errors.append(message)
        return True
