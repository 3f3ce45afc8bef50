"""What swap devices have read and written, from files that a test writes."""

from __future__ import annotations

import os
from pathlib import Path

from workbench.capture.swap_devices import SwapDevices
from workbench.schema import UNKNOWN

HEADER = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
STAT = "  10 0 8 1 20 0 24 2 0 3 3 0 0 0 0 0 0\n"
"""8 sectors read and 24 written (Linux Documentation/block/stat.rst)."""

DEVICE = "/dev/null"
"""Any device will do: its number is what counts."""


def devices(folder: Path, *lines: str, stat: str | None = STAT) -> SwapDevices:
    """The swap devices of a host with these lines in /proc/swaps."""
    (folder / "swaps").write_text(HEADER + "".join(f"{line}\n" for line in lines), "utf-8")
    number = Path(DEVICE).stat().st_rdev
    own = folder / f"{os.major(number)}:{os.minor(number)}"
    own.mkdir()
    if stat is not None:
        (own / "stat").write_text(stat, "utf-8")
    return SwapDevices(folder / "swaps", folder)


def test_sectors_are_counted_in_bytes(tmp_path):
    """Of 512 bytes each, over all devices."""
    line = f"{DEVICE}   partition\t100\t0\t5"

    assert devices(tmp_path, line, line).read() == (2 * 8 * 512, 2 * 24 * 512)


def test_what_nobody_counts_is_unknown(tmp_path):
    """No swap, swap on a file, a device that is not there any more, and one without counters."""
    unknown = (UNKNOWN, UNKNOWN)
    for number, (lines, stat) in enumerate(
        (
            ((), STAT),
            ((f"{DEVICE} file 100 0 5",), STAT),
            (("/dev/gone partition 100 0 5",), STAT),
            (("/etc/passwd partition 100 0 5",), STAT),
            ((f"{DEVICE} partition 100 0 5",), None),
        )
    ):
        (tmp_path / str(number)).mkdir()

        assert devices(tmp_path / str(number), *lines, stat=stat).read() == unknown
