"""What a capture would record of the complete device, and what the device then did.

Events come from the functions that the probes sit on (workbench/capture/probes/balloon.c): the
element that was popped, each part of a config write, the features after each attempt to set them
and when the driver is ready, and resets.  Reads of the config space leave no event.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from unittest.mock import patch

from workbench.model import Outcome
from workbench.model.balloon import reporting
from workbench.model.balloon import rules as rule
from workbench.model.balloon.discard import discard_range
from workbench.model.balloon.offer import Queue
from workbench.model.balloon.virtio import S_DRIVER_OK
from workbench.schema import NO_BLOCK, NO_ELEMENT

if TYPE_CHECKING:
    from tests.model.balloon.guest import Guest
    from tests.strategies import Row
    from workbench.model.balloon.element import Element, Piece

BLOCKS = ("low", "next", "huge")
REFUSED = -22
"""What the host answers where memory is locked."""


class Recorded(NamedTuple):
    """One event, and what it did."""

    row: Row | None
    """None where nothing is recorded: the config space was read."""
    outcome: str
    """What became of a reported range; `no_outcome` for other events."""
    features: int
    poison_val: int


class Recorder:
    """Records a guest for as long as it is entered."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.events: list[Recorded] = []
        self._element = 0
        self._discards: list[tuple[tuple[Any, ...], bool]] = []
        self._before: dict[str, int] = {}
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

    def inhibit(self, *, forbidden: bool) -> None:
        """Forbid discards, or allow them."""
        self.guest.balloon.discard_disabled = int(forbidden)
        self._note(("inhibit", NO_BLOCK, 0, 0, int(forbidden), NO_ELEMENT, 0))

    # --- the probes

    def _pop(self, queue: Any) -> Any:
        element = self.original["pop"](queue)
        if element is not None and queue.kind is Queue.REPORT:
            self._discards.clear()
            self._before = dict(self.guest.device.tally)
            self._bad_addresses = len(self.guest.traced("bad_addr"))
        return element

    def _discard(self, device: Any, block: Any, offset: int, length: int) -> bool:
        discarded = discard_range(device, block, offset, length)
        self._discards.append(((block, offset, length), discarded))
        return discarded

    def _push(self, queue: Any, element: Element, length: int) -> None:
        """The device has decided about an element: each range of it becomes an event."""
        if queue.kind is Queue.REPORT:
            self._element += 1
            bad = [address for (address,) in self.guest.traced("bad_addr")[self._bad_addresses :]]
            for piece in element.in_pieces:
                self._range(piece, bad)
            assert (bad, self._discards) == ([], [])
        self.original["push"](queue, element, length)

    def _range(self, piece: Piece, bad: list[int]) -> None:
        outcome, status = self._skipped(), 0
        place = (piece.block, piece.offset_bytes, piece.length_bytes)
        if self._discards and self._discards[0][0] == place:
            _, discarded = self._discards.pop(0)
            outcome = Outcome.DISCARDED if discarded else Outcome.DISCARD_FAILED
            status = 0 if discarded else REFUSED
        elif piece.block is None and bad:
            assert bad.pop(0) == piece.address
            outcome = Outcome.SKIPPED_BAD_ADDRESS
        number, offset = NO_BLOCK, piece.address - ((piece.address >> 63) << 64)
        if piece.block is not None:
            number, offset = BLOCKS.index(piece.block.name), piece.offset_bytes
        row = ("report", number, offset, piece.length_bytes, 0, self._element, status)
        self._note(row, outcome.name.lower())

    def _skipped(self) -> Outcome:
        """Why a range of this element was skipped without a word."""
        reasons = {
            rule.REPORT_INHIBITED: Outcome.SKIPPED_INHIBITED,
            rule.REPORT_POISONED: Outcome.SKIPPED_POISONED,
        }
        for name, outcome in reasons.items():
            if self.guest.device.tally[name] > self._before.get(name, 0):
                return outcome
        return Outcome.SKIPPED_UNALIGNED

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
