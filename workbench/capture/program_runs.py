"""What the kernel counts of a BPF program: how often it ran, how long, and when it could not."""

from __future__ import annotations

import contextlib
import ctypes
import os
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BPF_SYSTEM_CALL: Final = 321
"""Linux arch/x86/entry/syscalls/syscall_64.tbl; the probes know x86-64 only."""

_GET_INFO, _ENABLE_STATISTICS = 15, 32
"""Linux include/uapi/linux/bpf.h, enum bpf_cmd: BPF_OBJ_GET_INFO_BY_FD, BPF_ENABLE_STATS."""

_RUN_TIME: Final = 0
"""Linux include/uapi/linux/bpf.h, BPF_STATS_RUN_TIME."""

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


@contextlib.contextmanager
def counted_runs() -> Iterator[bool]:
    """Let the kernel count the runs of all BPF programs; yield whether it does.

    It takes Linux 5.8 and CAP_SYS_ADMIN.  Each run takes some tens of nanoseconds longer then.
    """
    request = ctypes.create_string_buffer(_STATISTICS_REQUEST.pack(_RUN_TIME))
    descriptor = _bpf(_ENABLE_STATISTICS, request)
    try:
        yield descriptor >= 0
    finally:
        if descriptor >= 0:
            os.close(descriptor)


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
