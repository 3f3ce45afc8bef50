"""Sizes and times, as numbers and as text.  Bytes are IEC (1 GiB is 2**30 bytes)."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
TIB: Final = 1 << 40
PIB: Final = 1 << 50

PAGE_BYTES: Final = 4096
"""The page of x86-64, and the unit of the balloon's page frame numbers (virtio 1.2, 5.5.6)."""

PAGE_SHIFT: Final = 12
"""log2 of it."""

HUGE_PAGE_BYTES: Final = 2 * MIB
"""What one page-middle-directory entry maps on x86-64 (Linux arch/x86, PMD_SIZE)."""

HUGE_PAGE_ORDER: Final = 9
"""log2 of the pages in a huge page; on x86-64 also pageblock_order, the default reporting order."""

LARGEST_ORDER: Final = 10
"""Order of the largest free block, 4 MiB (Linux 6.1 include/linux/mmzone.h, MAX_ORDER - 1)."""

NANOSECONDS: Final = 1_000_000_000
"""Nanoseconds in a second."""

_BYTE_STEPS: Final = ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"))
_TIME_STEPS: Final = ((NANOSECONDS, "s"), (1_000_000, "ms"), (1_000, "us"))


def format_bytes(size_bytes: float) -> str:
    """Write a number of bytes the way people read it, for example ``1.50 GiB``."""
    for step, name in _BYTE_STEPS:
        if abs(size_bytes) >= step:
            return f"{size_bytes / step:,.2f} {name}"
    return f"{size_bytes:,.0f} B"


def format_ns(time_ns: float) -> str:
    """Write a number of nanoseconds the way people read it, for example ``2.00 s``."""
    for step, name in _TIME_STEPS:
        if abs(time_ns) >= step:
            return f"{time_ns / step:,.2f} {name}"
    return f"{time_ns:,.0f} ns"


def format_number(value: float, digits: int = 3) -> str:
    """Write a number the way people read it, to some digits: ``0.0231``, ``7.76``, ``1,150``."""
    return f"{Decimal(f'{value:.{digits}g}'):,f}"
