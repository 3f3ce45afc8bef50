"""Free page hinting: which pages a migration need not send.

Source: QEMU 7.2 hw/virtio/virtio-balloon.c (virtio_balloon_free_page_hint_notify,
virtio_ballloon_get_free_page_hints, get_free_page_hints), migration/ram.c
(qemu_guest_free_page_hint).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from workbench.model.balloon import rules as rule
from workbench.schema import Feature
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from workbench.model.balloon.balloon import Balloon
    from workbench.model.balloon.element import Element
    from workbench.model.balloon.queue import VirtQueue

CMD_ID_MIN: Final = 0x80000000
CMD_ID_MAX: Final = 0xFFFFFFFF
CMD_ID_STOP: Final = 0
CMD_ID_DONE: Final = 1
"""QEMU 7.2 hw/virtio/virtio-balloon.c and the uapi header."""
_CMD_ID_BYTES: Final = 4

BAD_COMMAND: Final = "received an incorrect cmd id"
BAD_HINT: Final = "qemu_guest_free_page_hint unexpected error"
NO_THREAD: Final = "iothread is missing"

HAS_HINT: Final = 1 << int(Feature.FREE_PAGE_HINT)


class HintStatus(enum.IntEnum):
    """free_page_hint_status."""

    STOP = 0
    REQUESTED = 1
    START = 2
    DONE = 3


_DONE_RULES: Final = {
    HintStatus.STOP: rule.HINT_DONE_UNASKED,
    HintStatus.DONE: rule.HINT_DONE_ALREADY,
}
"""What the end of a migration finds, if it is not hints that were requested or run."""


class Precopy(enum.Enum):
    """What a migration tells the device (QEMU 7.2 include/migration/misc.h)."""

    SETUP = "setup"
    BEFORE_BITMAP_SYNC = "before bitmap sync"
    AFTER_BITMAP_SYNC = "after bitmap sync"
    COMPLETE = "complete"
    CLEANUP = "cleanup"


class Hinting:
    """The hint queue and what the device tells the driver about it."""

    def __init__(self) -> None:
        """Start as a new device does."""
        self.status = HintStatus.STOP
        self.cmd_id = CMD_ID_MIN
        self.blocked = False
        """Whether the worker waits for the VM to run (block_iothread)."""
        self._was_blocked = False
        self.waiting: VirtQueue | None = None
        """The queue the worker has begun to serve, where it is blocked or polls."""
        self.migrating = False
        """Whether a migration is in setup or active."""
        self.postcopy_ram = False
        """Whether the capability postcopy-ram is on."""
        self.hinted: list[tuple[str, int, int]] = []
        """Block, first page and pages of what the migration need not send."""

    # --- what the driver reads

    def config_value(self, tally: rule.Tally) -> int:
        """Say what stands in the config space.  While hinting runs that is 0, as when stopped."""
        if self.status is HintStatus.REQUESTED:
            tally[rule.HINT_READS_ID] += 1
            return self.cmd_id
        if self.status is HintStatus.DONE:
            tally[rule.HINT_READS_DONE] += 1
            return CMD_ID_DONE
        if self.status is HintStatus.START:
            tally[rule.HINT_READS_ZERO_IN_START] += 1
        elif self.cmd_id != CMD_ID_MIN:
            tally[rule.HINT_READS_STOP] += 1
        return CMD_ID_STOP

    # --- what a migration tells

    def precopy(self, balloon: Balloon, event: Precopy) -> None:
        """Follow a migration."""
        traits = balloon.device.traits
        if not balloon.device.guest_features & HAS_HINT:
            balloon.tally[rule.HINT_NOT_NEGOTIATED] += 1
            return
        if self.postcopy_ram and traits.postcopy_takes_no_hints:
            balloon.tally[rule.HINT_POSTCOPY] += 1
            return
        if event is Precopy.BEFORE_BITMAP_SYNC:
            if self.status is not HintStatus.STOP:
                balloon.tally[rule.HINT_STOPS] += 1
            self.stop(balloon)
        elif event is Precopy.AFTER_BITMAP_SYNC:
            if balloon.device.vm_running:
                self.start(balloon)
            else:
                balloon.tally[rule.HINT_DONE_STOPPED] += 1
                self.done(balloon)
        elif event is Precopy.CLEANUP and traits.migration_ends_done:
            balloon.tally[_DONE_RULES.get(self.status, rule.HINT_DONE)] += 1
            self.done(balloon)
        elif event in {Precopy.CLEANUP, Precopy.COMPLETE} and not traits.migration_ends_done:
            self.stop(balloon)
        else:
            balloon.tally[rule.HINT_EVENT_IGNORED] += 1

    def start(self, balloon: Balloon) -> None:
        """Ask the driver for hints, under a new id."""
        wraps = self.cmd_id == CMD_ID_MAX
        balloon.tally[rule.HINT_WRAPS if wraps else rule.HINT_STARTS] += 1
        self.cmd_id = CMD_ID_MIN if wraps else self.cmd_id + 1
        self._change(balloon, HintStatus.REQUESTED)

    def stop(self, balloon: Balloon) -> None:
        """Tell the driver to stop."""
        if self.status is not HintStatus.STOP:
            self._change(balloon, HintStatus.STOP)

    def done(self, balloon: Balloon) -> None:
        """Tell the driver that it may use the hinted pages again."""
        if self.status is not HintStatus.DONE or not balloon.device.traits.migration_ends_done:
            self._change(balloon, HintStatus.DONE)

    def reset(self, balloon: Balloon) -> None:
        """Stop, as the device is reset; the counter of ids goes on where it is."""
        if self.status is not HintStatus.STOP:
            balloon.tally[rule.HINT_RESET_STOPS] += 1
        self.stop(balloon)

    def _change(self, balloon: Balloon, status: HintStatus) -> None:
        self.status = status
        balloon.device.notify_config()
        self.work(balloon)

    # --- what the driver sends

    def kick(self, balloon: Balloon, queue: VirtQueue) -> None:
        """Wake the worker.

        Where the series as posted has a queue without a worker, QEMU ends here (SIGSEGV), which
        the model does not follow.
        """
        if self.waiting is None:
            self.waiting = queue
            balloon.device.set_notification(queue, enable=False)
        self.work(balloon)

    def work(self, balloon: Balloon, *, kicked: bool = True) -> None:
        """Serve what is there, if the worker was woken; it goes to sleep unless hinting runs."""
        queue = self.waiting
        if queue is None:
            return
        resumes, self._was_blocked = self._was_blocked, self.blocked
        while not self.blocked:
            served = self._serve_one(balloon, queue)
            balloon.device.notify(queue)
            if served:
                if not kicked:
                    balloon.tally[rule.HINT_RESUMES if resumes else rule.HINT_POLLS] += 1
                continue
            if self.status is HintStatus.START:
                balloon.tally[rule.HINT_SPARES_KICKS] += 1
                return
            self.waiting = None
            balloon.device.set_notification(queue, enable=True)
            return
        balloon.tally[rule.HINT_BLOCKED] += 1

    def _serve_one(self, balloon: Balloon, queue: VirtQueue) -> bool:
        device = balloon.device
        element = device.pop(queue)
        if element is None:
            return False
        accepted = True
        if element.out_pieces:
            data = element.read_out(0, _CMD_ID_BYTES)
            if len(data) < _CMD_ID_BYTES:
                balloon.tally[rule.HINT_SHORT_COMMAND] += 1
                device.error(BAD_COMMAND)
                accepted = False
            else:
                _tally_command(balloon, element)
                self._command(balloon, int.from_bytes(data, "little"))
        if accepted and element.in_pieces:
            self._hint(balloon, element)
        if accepted:
            balloon.tally[rule.HINT_LENGTH] += 1
        device.push(queue, element, 0 if device.traits.lengths_are_zero else 1)
        return accepted

    def _command(self, balloon: Balloon, cmd_id: int) -> None:
        """Take a command.  Any command ends what runs, the id that began it included."""
        needs_request = balloon.device.traits.hints_need_request
        asked = self.status is HintStatus.REQUESTED or not needs_request
        if asked and cmd_id == self.cmd_id:
            balloon.tally[rule.HINT_ACCEPTED] += 1
            self.status = HintStatus.START
        elif self.status is HintStatus.START:
            same = cmd_id == self.cmd_id
            balloon.tally[rule.HINT_SAME_ID_STOPS if same else rule.HINT_DRIVER_STOPS] += 1
            self.status = HintStatus.STOP
        elif asked:
            balloon.tally[rule.HINT_WRONG_ID] += 1
        elif cmd_id == self.cmd_id != CMD_ID_MIN:
            balloon.tally[rule.HINT_NO_RESTART] += 1
        else:
            balloon.tally[rule.HINT_IGNORED_COMMAND] += 1

    def _hint(self, balloon: Balloon, element: Element) -> None:
        tally = balloon.tally
        if self.status is not HintStatus.START:
            tally[rule.HINT_IGNORED_PAGES] += 1
            return
        if not self.migrating:
            tally[rule.HINT_NO_MIGRATION] += 1
            return
        for name, holds in (
            (rule.HINT_WITH_COMMAND, element.out_pieces),
            (rule.HINT_POISONED, balloon.poison_val),
            (rule.HINT_EVERY_PIECE, element.in_pieces[1:]),
        ):
            if holds:
                tally[name] += 1
        every = balloon.device.traits.all_pieces_hint
        for piece in element.in_pieces if every else element.in_pieces[:1]:
            if piece.block is None:
                tally[rule.HINT_BAD_ADDRESS] += 1
                balloon.say_once(BAD_HINT)
                continue
            # Both are rounded down, so that an unaligned hint names the wrong pages.
            first = piece.offset_bytes // PAGE_BYTES
            pages = piece.length_bytes // PAGE_BYTES
            stop_bytes = piece.offset_bytes + piece.length_bytes
            for name, holds in (
                (rule.HINT_PAGES, pages),
                (rule.HINT_UNALIGNED, piece.offset_bytes % PAGE_BYTES),
                (rule.HINT_SHORT, piece.length_bytes % PAGE_BYTES),
                (rule.HINT_KEEPS_MEMORY, any(piece.block.content[piece.offset_bytes : stop_bytes])),
            ):
                if holds:
                    tally[name] += 1
            self.hinted.append((piece.block.name, first, pages))


def _tally_command(balloon: Balloon, element: Element) -> None:
    """Count what is odd about the bytes of a command."""
    if sum(piece.length_bytes for piece in element.out_pieces) > _CMD_ID_BYTES:
        balloon.tally[rule.HINT_LONG_COMMAND] += 1
    if element.out_pieces[0].length_bytes < _CMD_ID_BYTES:
        balloon.tally[rule.HINT_GATHERED] += 1
