"""Refuse, before it is tried, what would take more memory than this host has."""

from __future__ import annotations

import os
import resource

from workbench.errors import HostError
from workbench.units import format_bytes


def require_memory(needed_bytes: int, what: str, advice: str) -> None:
    """Refuse what needs more than half of what this process may have: the rest is for its work.

    A damaged or hostile file of some kilobytes can say that it holds billions of rows.

    Parameters
    ----------
    needed_bytes
        Memory, all at once.
    what
        Who needs it, for the message.
    advice
        What to do instead.

    Raises
    ------
    HostError
        It is too much.
    """
    limit_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        limit_bytes = min(limit_bytes, soft)
    if needed_bytes > limit_bytes // 2:
        raise HostError(
            f"{what} takes {format_bytes(needed_bytes)} of memory, and half of what there is is "
            f"{format_bytes(limit_bytes // 2)}; {advice}"
        )
