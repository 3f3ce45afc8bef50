"""What each value of a study may be: said once, for study files and for Python."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workbench.errors import UsageError
from workbench.quantity import shown
from workbench.replay import SWAP_DEVICES
from workbench.spelling import on_one_line
from workbench.trace.guest_series import STOP_BYTES
from workbench.units import HUGE_PAGE_BYTES, NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workbench.study.toml_lines import Place

MOST_GUESTS: Final = 10_000
"""On one host, of which more are not counted.  KVM takes 2**17 virtual machines and more; no host
of today has memory for them."""

DEVICE_SETTINGS: Final[tuple[str, ...]] = (
    "free_page_reporting",
    "discard_inhibited",
    "page_poison",
)
GUEST_SETTINGS: Final[tuple[str, ...]] = (
    "reporting_order",
    "reporting_delay_ns",
    "reporting_capacity",
    "poison_val",
    "init_on_free",
)
"""Those that change how much memory guests need together."""

_MOST_SEEDS: Final = 1_000
"""The error of a share of time falls with the root of the draws: more of them show nothing new."""

_LONGEST_NS: Final = 2**62
"""Of a time in either direction: with one of the same size it still fits an int64."""

_LONGEST_NAME: Final = 200
"""Characters: a file's name has 255 bytes at most."""


class WrongStudyError(UsageError):
    """Something in a study cannot be.

    Attributes
    ----------
    sentence
        What, what was expected, and what to do.
    places
        Where it is in a study file: what to change first, then what it is at odds with.
    """

    def __init__(self, sentence: str, *places: Place) -> None:
        self.sentence = on_one_line(sentence)
        super().__init__(self.sentence)
        self.places = places

    def within(self, place: Place) -> WrongStudyError:
        """Give the same, of a table that stands at `place`."""
        return WrongStudyError(self.sentence, *((*place, *inner) for inner in self.places))


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value may be.

    Attributes
    ----------
    expected
        The same in words, behind ``expected``.
    holds
        Whether a value is one.
    """

    expected: str
    holds: Callable[[object], bool]

    def wrong(self, name: str, value: object, *places: Place) -> WrongStudyError:
        """Give the error about a value that is none."""
        return WrongStudyError(f"{name} is {shown(value)}, {self.sentence}", *places)

    @property
    def sentence(self) -> str:
        """What was expected, and what to do."""
        return f"expected {self.expected}; correct it"


def check(owner: object, rules: Mapping[str, Rule]) -> None:
    """Hold attributes to their rules.

    Raises
    ------
    WrongStudyError
        One is something else.
    """
    for name, rule in rules.items():
        value = getattr(owner, name)
        if not rule.holds(value):
            raise rule.wrong(f"{type(owner).__name__}.{name}", value, (name,))


def _whole(first: int, last: int, expected: str = "") -> Rule:
    words = expected or f"a whole number from {first:,} to {last:,}"
    return Rule(words, lambda value: _is_whole(value, first, last))


def _is_whole(value: object, first: int, last: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and first <= value <= last


def _number(expected: str, holds: Callable[[float], bool]) -> Rule:
    def is_one(value: object) -> bool:
        if isinstance(value, float):
            return math.isfinite(value) and holds(value)
        return isinstance(value, int) and not isinstance(value, bool) and holds(value)

    return Rule(expected, is_one)


def _or_none(rule: Rule) -> Rule:
    return Rule(rule.expected, lambda value: value is None or rule.holds(value))


def _are_seeds(value: object) -> bool:
    return (
        isinstance(value, tuple | list)
        and 1 <= len(value) <= _MOST_SEEDS
        and all(_is_whole(seed, 0, 2**63 - 1) for seed in value)
        and len(set(value)) == len(value)
    )


NAME: Final = Rule(
    f"a text of 1 to {_LONGEST_NAME} characters",
    lambda value: isinstance(value, str) and 0 < len(value.strip()) <= len(value) <= _LONGEST_NAME,
)

WEIGHT: Final = _whole(1, 1_000_000)

GUESTS_PER_PHASE: Final = _whole(1, MOST_GUESTS)

SHIFT: Final = _whole(-_LONGEST_NS, _LONGEST_NS, "a time within 146 years")

SHARE: Final = _number("a number from 0 to 1", lambda value: 0 <= value <= 1)

HUGE_SHARE: Final = _or_none(SHARE)

SHARE_OF_TIME: Final = _number(
    "a number above 0 and up to 1, such as 0.99", lambda value: 0 < value <= 1
)

MEMORY: Final = _whole(HUGE_PAGE_BYTES, STOP_BYTES, "a size from 2 MiB to 4 PiB")

RESERVED: Final = _whole(0, STOP_BYTES, "a size up to 4 PiB")

SWAP: Final = Rule(" or ".join(SWAP_DEVICES), lambda value: value is None or value in SWAP_DEVICES)

SWAP_ROOM: Final = _or_none(RESERVED)

STEP: Final = _whole(1, _LONGEST_NS, "a time above 0")

SEEDS: Final = Rule(
    f"1 to {_MOST_SEEDS:,} different whole numbers from 0, such as [1, 2, 3, 4]", _are_seeds
)

DRAIN: Final = _or_none(_number("a time above 0", lambda value: value > 0))

SWAP_IN: Final = _or_none(_number("a number from 0", lambda value: value >= 0))

FAULT: Final = _whole(0, NANOSECONDS, "a time up to 1 s")

GUEST_KIND: Final = {
    "name": NAME,
    "weight": WEIGHT,
    "guests_per_phase": GUESTS_PER_PHASE,
    "shift_ns": SHIFT,
    "clock_offset_ns": SHIFT,
    "huge_share": HUGE_SHARE,
}

HOST_KIND: Final = {
    "name": NAME,
    "memory_bytes": MEMORY,
    "reserved_bytes": RESERVED,
    "swap": SWAP,
    "swap_bytes": SWAP_ROOM,
}

LIMIT: Final = {
    "share_of_time": SHARE_OF_TIME,
    "drain_seconds": DRAIN,
    "swap_in_pages_per_second": SWAP_IN,
}

FAULT_COSTS: Final = {"fault_ns": FAULT, "huge_fault_ns": FAULT}

VARIANT: Final = {"inhibited_share": SHARE}

STUDY: Final = {"name": NAME, "seeds": SEEDS, "step_ns": STEP}
