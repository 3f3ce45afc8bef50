"""What a check of this host says: one row of `workbench doctor`."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

CAPTURE: Final = "capture"
LAB: Final = "lab"
REPLAY: Final = "replay"


class Status(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One fact about this host.

    Attributes
    ----------
    needed_for
        What does not work while the status is `missing`: capture, lab, replay.  Empty: good to
        know.
    fix
        What to do, where there is something to do.
    """

    name: str
    status: Status
    found: str
    needed_for: tuple[str, ...] = ()
    fix: str = ""


def first_missing(checks: list[Check], purpose: str) -> Check | None:
    """Return the first check that stands in the way of `purpose`, if any."""
    blocking = (c for c in checks if c.status == Status.MISSING and purpose in c.needed_for)
    return next(blocking, None)


def judge(condition: object, otherwise: Status = Status.MISSING) -> Status:
    """Return `ok` where the condition holds, `otherwise` where it does not."""
    return Status.OK if condition else otherwise


def yes(claim: object) -> str:
    """Write a truth value as people do."""
    return "yes" if claim else "no"
