"""Sizes as people write them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from workbench.errors import UsageError
from workbench.units import GIB, KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Mapping

_SIZE_UNITS: Final[Mapping[str, int]] = {"": 1, "K": KIB, "M": MIB, "G": GIB}
_SIZE: Final = re.compile(r"(\d+)([KMG]?)(?:i?B)?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """A size in bytes from text such as 64K, 128M, 1GiB or 4096.  Units are IEC.

    Raises
    ------
    UsageError
        It is not written so.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is no size: write for example 64K, 128M or 1G")
    return int(match[1]) * _SIZE_UNITS[match[2].upper()]


def size_text(size_bytes: int) -> str:
    """A size as `parse_size` reads it, in MiB where that is exact, else in KiB."""
    return f"{size_bytes // MIB}M" if size_bytes % MIB == 0 else f"{size_bytes // KIB}K"
