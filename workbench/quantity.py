"""Times and sizes as people write them: whole numbers, with a unit of their own."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Final

from workbench.units import GIB, KIB, MIB, NANOSECONDS, PIB, TIB

if TYPE_CHECKING:
    from collections.abc import Callable

_MINUTE_NS: Final = 60 * NANOSECONDS

_TIME_UNITS_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": NANOSECONDS,
    "min": _MINUTE_NS,
    "m": _MINUTE_NS,
    "h": 60 * _MINUTE_NS,
    "d": 24 * 60 * _MINUTE_NS,
}

_TIME: Final = re.compile(r"([+-]?[0-9]+)\s*(ns|us|ms|s|min|m|h|d)")

_SIZE_UNITS: Final = {"k": KIB, "m": MIB, "g": GIB, "t": TIB, "p": PIB}

_SIZE: Final = re.compile(r"([0-9]+)\s*([kmgtp])(?:i?b)?")

_LONGEST_SHOWN: Final = 60
"""Characters of a wrong value in a message, to leave room for the rest of the line."""


def time_ns(text: str) -> int | None:
    """Read a time with its unit, such as ``250ms`` or ``-6h``; None where it is none."""
    return _with_unit(_TIME.fullmatch(text.strip().lower()), _TIME_UNITS_NS)


def size_bytes(text: str) -> int | None:
    """Read a size with its unit, such as ``64G`` or ``512 MiB``; None where it is none."""
    return _with_unit(_SIZE.fullmatch(text.strip().lower()), _SIZE_UNITS)


def whole_number(value: object, *, times: bool = False, sizes: bool = False) -> int | None:
    """Read a whole number: decimal, 0x hexadecimal, or a time or a size with its unit.

    Parameters
    ----------
    times, sizes
        Whether text may be a time, or a size.

    Returns
    -------
    None where it is none.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return None
    found = time_ns(value) if times else None
    if found is None and sizes:
        found = size_bytes(value)
    if found is not None:
        return found
    try:
        return int(value.strip().lower(), 0)
    except ValueError:  # Also for more digits than Python reads.
        return None


def time_text(time_ns: int) -> str:
    """Write a time as it would be given: ``90 s``, ``6 h``."""
    units = (unit for unit in ("d", "h", "min", "s", "ms", "us") if _divides(unit, time_ns))
    unit = next(units, "ns")
    return f"{time_ns // _TIME_UNITS_NS[unit]:,} {unit}"


def shown(value: object) -> str:
    """Write down a wrong value, as far as that fits on a line."""
    return _cut(repr, value)


def shown_as_toml(value: object) -> str:
    """Write down a wrong value the way it stands in a TOML file, as far as that fits on a line."""
    return _cut(_toml, value)


def _cut(write: Callable[[object], str], value: object) -> str:
    try:
        text = write(value)
    except (ValueError, RecursionError):  # Too many digits, or too deeply nested.
        return f"{type(value).__name__} too long to show"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name} = {_toml(each)}' for name, each in value.items())}}}"
    return repr(value)


def _divides(unit: str, time_ns: int) -> bool:
    return time_ns % _TIME_UNITS_NS[unit] == 0


def _with_unit(found: re.Match[str] | None, units: dict[str, int]) -> int | None:
    if found is None:
        return None
    try:
        return int(found[1]) * units[found[2]]
    except ValueError:  # More digits than Python reads.
        return None
