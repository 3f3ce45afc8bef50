"""What a capture would record of the complete device, and what the device then did.

Events come from the functions that the probes sit on (workbench/capture/probes/balloon.c): the
element that was popped, each part of a config write, the features after each attempt to set them
and when the driver is ready, and resets.  Reads of the config space leave no event.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from unittest.mock import patch

import numpy as np

from workbench.model import Outcome
from workbench.model.balloon import reporting
from workbench.model.balloon import rules as rule
from workbench.model.balloon.discard import discard_range
from workbench.model.balloon.offer import Queue
from workbench.model.balloon.virtio import S_DRIVER_OK
from workbench.schema import NO_BLOCK, NO_ELEMENT, FaultFlag
from workbench.units import PAGE_BYTES
from workbench.validation.driver import RINGS, STOP

if TYPE_CHECKING:
    import numpy.typing as npt

    from tests.model.balloon.guest import Guest
    from tests.strategies import Row
    from workbench.model.balloon.element import Element, Piece
    from workbench.model.balloon.memory import RamBlock

BLOCKS = ("low", "next", "huge")
REFUSED = -22
"""What the host answers where memory is locked."""

OF_ELEMENT = {
    rule.REPORT_INHIBITED: Outcome.SKIPPED_INHIBITED,
    rule.REPORT_POISONED: Outcome.SKIPPED_POISONED,
}
"""By the rule that kept a whole element from being looked at: what becomes of its ranges."""

INHIBITORS = ("discard_disabled", "incoming_postcopy", "background_snapshot")
"""What forbids discards, as attributes of the balloon."""


class Recorded(NamedTuple):
    """One event, and what it did."""

    row: Row | None
    """None where nothing is recorded: the config space was read."""
    outcome: str
    """What became of a reported range; `no_outcome` for other events."""
    features: int
    poison_val: int
    gone: bytes = b""
    """Which pages the guest has lost, after the last event of a step that may discard."""


def fill_memory(guest: Guest) -> None:
    """Let the guest have written to every page: to the first byte of it."""
    for block in guest.memory.blocks:
        write_pages(block, 0, block.length_bytes)


def write_pages(block: RamBlock, first: int, stop: int) -> None:
    """Write the first byte of pages."""
    block.content[first:stop:PAGE_BYTES] = b"\xab" * ((stop - first) // PAGE_BYTES)


def gone_pages(guest: Guest) -> dict[str, npt.NDArray[np.bool_]]:
    """Say of each page whether its first byte is zero; of the driver's own, that it is not."""
    blocks = {block.name: block for block in guest.memory.blocks}
    gone = {
        name: np.frombuffer(blocks[name].content, np.uint8)[::PAGE_BYTES] == 0 for name in BLOCKS
    }
    gone["low"][RINGS // PAGE_BYTES : STOP // PAGE_BYTES] = False
    return gone


def as_bytes(gone: dict[str, npt.NDArray[np.bool_]]) -> bytes:
    """Turn what `gone_pages` gives into what can be compared at once."""
    return np.packbits(np.concatenate([gone[name] for name in BLOCKS])).tobytes()


class Recorder:
    """Records a guest for as long as it is entered."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.events: list[Recorded] = []
        self._element = 0
        self._discards: list[tuple[tuple[Any, ...], bool]] = []
        self._tally: Counter[str] = Counter()
        self._bad_addresses = 0
        self._patches = ExitStack()

    def __enter__(self) -> Self:
        device = self.guest.device
        wrapped = {
            "pop": self._pop,
            "push": self._push,
            "write_config": self._write_config,
            "read_config": self._read_config,
            "set_features": self._set_features,
            "set_status": self._set_status,
            "reset": self._reset,
        }
        self.original = {name: getattr(device, name) for name in wrapped}
        for name, function in wrapped.items():
            self._patches.enter_context(patch.object(device, name, function))
        self._patches.enter_context(patch.object(reporting, "discard_range", self._discard))
        return self

    def __exit__(self, *exception: object) -> None:
        self._patches.close()

    def inhibit(self, cause: str, *, forbidden: bool) -> None:
        """Forbid discards for one of the `INHIBITORS`, or not any longer."""
        balloon = self.guest.balloon
        setattr(balloon, cause, type(getattr(balloon, cause))(forbidden))
        inhibited = any(getattr(balloon, name) for name in INHIBITORS)
        self._note(("inhibit", NO_BLOCK, 0, 0, int(inhibited), NO_ELEMENT, 0))

    def touch(self, address: int) -> None:
        """Let the guest write to a page, for which the host may have to find memory."""
        place = self.guest.memory.find(address)
        assert place is not None
        block = place.region.block
        first = place.offset_bytes // block.page_bytes * block.page_bytes
        write_pages(block, first, first + block.page_bytes)
        number, flags = BLOCKS.index(block.name), int(FaultFlag.WRITE)
        self._note(("fault", number, place.offset_bytes, block.page_bytes, flags, NO_ELEMENT, 0))

    def look(self) -> None:
        """Note which pages are gone after the latest event."""
        if self.events and self.events[-1].row is not None:
            self.events[-1] = self.events[-1]._replace(gone=as_bytes(gone_pages(self.guest)))

    # --- the probes

    def _pop(self, queue: Any) -> Any:
        element = self.original["pop"](queue)
        if element is not None and queue.kind is Queue.REPORT:
            self._discards.clear()
            self._tally = Counter(self.guest.device.tally)
            self._bad_addresses = len(self.guest.traced("bad_addr"))
        return element

    def _discard(self, device: Any, block: Any, offset: int, length: int) -> bool:
        discarded = discard_range(device, block, offset, length)
        self._discards.append(((block, offset, length), discarded))
        return discarded

    def _push(self, queue: Any, element: Element, length: int) -> None:
        """The device has decided about an element: each range of it becomes an event.

        Why it did so must be said by the device itself, in its trace or as the rule that it has
        counted: nothing may happen to a range without a reason, and no reason may be left over.
        """
        if queue.kind is Queue.REPORT:
            self._element += 1
            bad = [address for (address,) in self.guest.traced("bad_addr")[self._bad_addresses :]]
            reasons = Counter(self.guest.device.tally) - self._tally
            of_all = [outcome for name, outcome in OF_ELEMENT.items() if reasons.pop(name, 0)]
            assert len(of_all) <= 1
            for piece in element.in_pieces:
                self._range(piece, of_all[0] if of_all else self._outcome(piece, bad, reasons))
            assert (bad, self._discards) == ([], [])
            left = {name for name in reasons if name.startswith("report.unaligned")}
            assert not left
        self.original["push"](queue, element, length)

    def _outcome(self, piece: Piece, bad: list[int], reasons: Counter[str]) -> Outcome:
        """Find what became of a range of an element that was looked at."""
        place = (piece.block, piece.offset_bytes, piece.length_bytes)
        if self._discards and self._discards[0][0] == place:
            _, discarded = self._discards.pop(0)
            return Outcome.DISCARDED if discarded else Outcome.DISCARD_FAILED
        if piece.block is None:
            assert bad.pop(0) == piece.address
            return Outcome.SKIPPED_BAD_ADDRESS
        is_huge = piece.block.page_bytes > PAGE_BYTES
        reason = rule.REPORT_UNALIGNED_HUGE if is_huge else rule.REPORT_UNALIGNED
        assert reasons[reason], "skipped without any reason"
        reasons -= Counter({reason: 1})
        return Outcome.SKIPPED_UNALIGNED

    def _range(self, piece: Piece, outcome: Outcome) -> None:
        number, offset = NO_BLOCK, piece.address - ((piece.address >> 63) << 64)
        if piece.block is not None:
            number, offset = BLOCKS.index(piece.block.name), piece.offset_bytes
        status = REFUSED if outcome is Outcome.DISCARD_FAILED else 0
        row = ("report", number, offset, piece.length_bytes, 0, self._element, status)
        self._note(row, outcome.name.lower())

    def _write_config(self, offset: int, width: int, value: int) -> None:
        self.original["write_config"](offset, width, value)
        self._note(("config_write", NO_BLOCK, offset, width, value, NO_ELEMENT, 0))

    def _read_config(self, offset: int, width: int) -> Any:
        if offset + width <= len(self.guest.device.config):
            self._note(None)
        return self.original["read_config"](offset, width)

    def _set_features(self, value: int) -> None:
        self.original["set_features"](value)
        self._features()

    def _set_status(self, value: int) -> None:
        if value & S_DRIVER_OK:
            self._features()
        self.original["set_status"](value)

    def _features(self) -> None:
        features = self.guest.device.guest_features
        self._note(("features", NO_BLOCK, 0, 0, features, NO_ELEMENT, 0))

    def _reset(self) -> None:
        self.original["reset"]()
        self._note(("reset", NO_BLOCK, 0, 0, 0, NO_ELEMENT, 0))

    def _note(self, row: Row | None, outcome: str = "no_outcome") -> None:
        features = self.guest.device.guest_features
        self.events.append(Recorded(row, outcome, features, self.guest.balloon.poison_val))
