"""Attach the probes to the functions of one QEMU, and detach them again."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from workbench.capture.build import Build

PROBES_MAX: Final = 1_000_000
"""bcc gives up at 1000, fifty guests, unless told so (bcc 0.26 python/bcc, BPF.get_probe_limit);
the kernel's own limit is that of open files, and says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One function of QEMU to probe, and the C functions that run at its entry and return."""

    symbol: str
    on_enter: str = ""
    on_return: str = ""


def raise_limits() -> None:
    """Allow as many probes, each of which is an open file, as the host does."""
    os.environ.setdefault("BCC_PROBE_LIMIT", str(PROBES_MAX))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def attach_entries(
    bpf: Any,  # noqa: ANN401 - bcc has no types.
    entries: Sequence[Entry],
    build: Build,
    *,
    path: Path,
    pid: int,
) -> tuple[bytes, ...]:
    """Attach to a process that runs a build of QEMU, all or nothing.  Returns bcc's names.

    Parameters
    ----------
    path
        Of the program.  Best that of /proc: another may mean another file here, or none.

    Raises
    ------
    HostError
        The kernel refuses, most likely because the process has just ended.
    """
    before = set(bpf.uprobe_fds)
    try:
        for entry in entries:
            address = build.entries.get(entry.symbol)
            if address is None:  # The same code as another entry's.
                continue
            where = {"name": str(path), "addr": address, "pid": pid}
            if entry.on_enter:
                bpf.attach_uprobe(**where, fn_name=entry.on_enter)
            if entry.on_return:
                bpf.attach_uretprobe(**where, fn_name=entry.on_return)
    except Exception as error:  # bcc raises plain Exception for anything the kernel refuses.
        detach_entries(bpf, tuple(set(bpf.uprobe_fds) - before))
        message = f"pid {pid}: the probes cannot be attached ({error}); did it end?"
        raise HostError(message) from error
    return tuple(set(bpf.uprobe_fds) - before)


def detach_entries(bpf: Any, names: Sequence[bytes]) -> None:  # noqa: ANN401 - bcc has no types.
    """Detach what `attach_entries` attached."""
    for name in names:
        bpf.detach_uprobe_event(name)
