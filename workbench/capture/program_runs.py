"""What the kernel counts of a BPF program: how often it ran, how long, and when it could not."""

from __future__ import annotations

import ctypes
import os
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_BPF_SYSTEM_CALL: Final = 321
"""Linux arch/x86/entry/syscalls/syscall_64.tbl; the probes know x86-64 only."""

_GET_INFO, _ENABLE_STATISTICS = 15, 32
"""Linux include/uapi/linux/bpf.h, enum bpf_cmd: BPF_OBJ_GET_INFO_BY_FD, BPF_ENABLE_STATS."""

_RUN_TIME: Final = 0
"""Linux include/uapi/linux/bpf.h, BPF_STATS_RUN_TIME."""

_TURNS: Final = 4
"""One of so many is counted."""

_INFO_BYTES: Final = 216
_COUNTS: Final = Struct("=192x3Q")
"""Of struct bpf_prog_info (the same file): run_time_ns, run_cnt and recursion_misses; what an older
kernel does not know stays 0."""

_INFO_REQUEST: Final = Struct("=IIQ")
_STATISTICS_REQUEST: Final = Struct("=I12x")

_LIBRARY: Final = ctypes.CDLL(None, use_errno=True)


class Runs(NamedTuple):
    """How often programs ran and how long that took; how often the kernel left one out."""

    run_count: int
    time_ns: int
    missed_count: int


class RunCounting:
    """Lets the kernel count the runs of all BPF programs, one turn of four.

    A run that is counted takes some tens of nanoseconds longer, and a page that is swapped causes
    several.  It takes Linux 5.8 and CAP_SYS_ADMIN; without, nothing is counted.
    """

    def __init__(self, now_ns: int) -> None:
        self._turn = 0
        self._began_ns = self._since_ns = now_ns
        self._counted_ns = 0
        self._descriptor = _start_counting()

    def turn(self, now_ns: int) -> None:
        """Begin the next turn."""
        self._turn += 1
        if self._turn % _TURNS == 1:
            self.close(now_ns)
        elif self._turn % _TURNS == 0:
            self._since_ns = now_ns
            self._descriptor = _start_counting()

    def of_all_time(self, counted: int, now_ns: int) -> int:
        """Say how much it is of all time, at the rate at which it was counted."""
        counted_ns = self._counted_ns
        if self._descriptor >= 0:
            counted_ns += now_ns - self._since_ns
        return counted * (now_ns - self._began_ns) // counted_ns if counted_ns else counted

    def close(self, now_ns: int) -> None:
        """Count no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._counted_ns += now_ns - self._since_ns
        self._descriptor = -1


def _start_counting() -> int:
    return _bpf(
        _ENABLE_STATISTICS, ctypes.create_string_buffer(_STATISTICS_REQUEST.pack(_RUN_TIME))
    )


def read_runs(descriptors: Iterable[int]) -> Runs:
    """Add up what was counted of some programs; a program that cannot be asked adds nothing."""
    time_ns = count = missed = 0
    for descriptor in descriptors:
        info = ctypes.create_string_buffer(_INFO_BYTES)
        address = ctypes.addressof(info)
        request = ctypes.create_string_buffer(_INFO_REQUEST.pack(descriptor, _INFO_BYTES, address))
        if _bpf(_GET_INFO, request) == 0:
            own_time_ns, own_count, own_missed = _COUNTS.unpack(info.raw[:_INFO_BYTES])
            time_ns += own_time_ns
            count += own_count
            missed += own_missed
    return Runs(count, time_ns, missed)


def _bpf(command: int, request: ctypes.Array[ctypes.c_char]) -> int:
    return int(_LIBRARY.syscall(_BPF_SYSTEM_CALL, command, request, ctypes.sizeof(request)))
