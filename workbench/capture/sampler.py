"""Measure, several times a second, how much of each guest is in memory and in swap."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.capture.smaps import read_smaps
from workbench.capture.swap_devices import SwapDevices
from workbench.errors import HostError
from workbench.schema import SAMPLES, UNKNOWN
from workbench.units import KIB, NANOSECONDS

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.capture.qemu import Qemu

_COUNTERS = ("pswpin", "pswpout", "swpin_zero", "swpout_zero")
"""Lines of /proc/vmstat, in the order of the columns (Linux mm/vmstat.c)."""

_USER_TIME_FIELD, _SYSTEM_TIME_FIELD = 11, 12
"""Fields of /proc/PID/stat behind the name (Linux Documentation/filesystems/proc.rst)."""


@dataclass(slots=True)
class Sampler:
    """Collects rows of the table `samples`."""

    qemus: dict[int, Qemu]
    """The guests to measure, by number."""
    _rows: list[tuple[int, ...]] = field(default_factory=list)
    _swap_devices: SwapDevices = field(init=False)
    _first_counters: tuple[int, ...] = field(init=False)
    _first_swap_bytes: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        """Note the counters that the samples count from."""
        self._swap_devices = SwapDevices()
        self._first_counters = read_swap_counters()
        self._first_swap_bytes = self._swap_devices.read()

    def sample(self) -> list[int]:
        """Measure every guest once.  Returns the numbers of those that have no memory any more."""
        gone: list[int] = []
        counters = _since(self._first_counters, read_swap_counters())
        swap_bytes = _since(self._first_swap_bytes, self._swap_devices.read())
        free_bytes = _meminfo_bytes("MemFree")
        for vm, qemu in self.qemus.items():
            begin_ns = time.monotonic_ns()
            try:
                resident_bytes, swapped_bytes = read_guest_use(qemu)
                duration_ns = time.monotonic_ns() - begin_ns
                processor_time_ns = _processor_time_ns(qemu.pid)
            except HostError:
                gone.append(vm)
                continue
            self._rows.append(
                (
                    begin_ns,
                    duration_ns,
                    vm,
                    resident_bytes,
                    swapped_bytes,
                    free_bytes,
                    *counters,
                    processor_time_ns,
                    time.process_time_ns(),
                    *swap_bytes,
                )
            )
        return gone

    def take_columns(self) -> dict[str, npt.NDArray[np.int64]]:
        """Give the samples since the last call, as columns of the trace."""
        rows = np.array(self._rows, dtype=np.int64).reshape(-1, len(SAMPLES.columns))
        self._rows.clear()
        return {column.name: rows[:, number] for number, column in enumerate(SAMPLES.columns)}


def _since(first: tuple[int, ...], now: tuple[int, ...]) -> list[int]:
    """What was counted since then; UNKNOWN where nothing is."""
    return [
        count - before if UNKNOWN not in (before, count) else UNKNOWN
        for before, count in zip(first, now, strict=True)
    ]


def read_guest_use(qemu: Qemu) -> tuple[int, int]:
    """Read the resident and the swapped bytes of a guest's RAM.

    Raises
    ------
    HostError
        The guest is gone.
    """
    spans = [
        (block.host_address, block.host_address + block.facts.used_bytes) for block in qemu.blocks
    ]
    guest = read_smaps(qemu.pid, within=spans)
    if not guest:  # A process that is exiting has no mappings left.
        message = f"pid {qemu.pid} has exited"
        raise HostError(message)
    return sum(use.resident_bytes for use in guest), sum(use.swapped_bytes for use in guest)


def read_swap_counters() -> tuple[int, ...]:
    """Read the host's counts of pages swapped in and out; UNKNOWN where it has none."""
    text = Path("/proc/vmstat").read_text(encoding="utf-8")
    found = dict(line.split() for line in text.splitlines())
    return tuple(int(found.get(name, UNKNOWN)) for name in _COUNTERS)


def _meminfo_bytes(name: str) -> int:
    text = Path("/proc/meminfo").read_text(encoding="utf-8")
    match = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) * KIB if match else UNKNOWN


def _processor_time_ns(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        message = f"pid {pid} has exited"
        raise HostError(message) from None
    fields = text.rpartition(")")[2].split()
    ticks = int(fields[_USER_TIME_FIELD]) + int(fields[_SYSTEM_TIME_FIELD])
    return ticks * NANOSECONDS // os.sysconf("SC_CLK_TCK")
