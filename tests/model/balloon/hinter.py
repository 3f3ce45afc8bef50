"""A guest that gives hints, during a migration that tells the device nothing by itself."""

from __future__ import annotations

from tests.model.balloon.guest import HINT, REPORTING, Guest
from workbench.model.balloon.hinting import CMD_ID_MIN, HintStatus, Precopy

STOP, REQUESTED, START, DONE = HintStatus
FIRST_ID = CMD_ID_MIN + 1


class Hinter(Guest):
    """A guest that took hints, during a migration that tells the device nothing by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.start(HINT | REPORTING)
        self.hinting = self.balloon.hinting
        self.hinting.migrating = True

    def tell(self, *events: Precopy) -> Hinter:
        for event in events:
            self.hinting.precopy(self.balloon, event)
        return self

    def reach(self, status: HintStatus) -> Hinter:
        """Bring the device into a state, as a migration and a driver would."""
        if status in {REQUESTED, START}:
            self.tell(Precopy.AFTER_BITMAP_SYNC)
        if status is START:
            self.command(FIRST_ID)
        if status is DONE:
            self.tell(Precopy.CLEANUP)
        assert self.hinting.status is status
        return self
