"""What a guest says on its serial port, read; guest.sh lists it."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

from workbench.units import LARGEST_ORDER, NANOSECONDS

ORDER_COUNT: Final = LARGEST_ORDER + 1
"""Orders 0 to 10 (Linux 6.1, MAX_ORDER 11)."""


class Fact(NamedTuple):
    """Something the guest found out about itself."""

    name: str
    value: str


class Mark(NamedTuple):
    """The begin or end of a step."""

    step: int
    guest_time_ns: int
    begins: bool


class FreeBlocks(NamedTuple):
    """The guest's free blocks by order."""

    guest_time_ns: int
    counts: tuple[int, ...]


class Stage(NamedTuple):
    """READY, WAIT, DONE or QUIET."""

    name: str
    guest_time_ns: int


class Failure(NamedTuple):
    """Something in the guest did not work."""

    what: str


Word = Fact | Mark | FreeBlocks | Stage | Failure


def parse_line(text: str) -> Word | None:
    """Read one line; None for a line that is not one of the guest's words, or is damaged."""
    try:
        match text.split():
            case ["BUDDY", uptime, *counts] if len(counts) == ORDER_COUNT:
                return FreeBlocks(_time_ns(uptime), tuple(int(count) for count in counts))
            case ["MARK", step, uptime, "begin" | "end" as which, *_]:
                return Mark(int(step), _time_ns(uptime), which == "begin")
            case ["READY" | "WAIT" | "DONE" | "QUIET" as name, uptime]:
                return Stage(name, _time_ns(uptime))
            case ["FACT", name, value]:
                return Fact(name, value)
            case ["FAIL", *what]:
                return Failure(" ".join(what))
    except (ValueError, InvalidOperation):
        pass
    return None


def _time_ns(uptime: str) -> int:
    # Decimal, for a binary fraction would make 4.35 s a nanosecond less than it is.
    return int(Decimal(uptime) * NANOSECONDS)
