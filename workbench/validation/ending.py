"""Programs that end when whoever runs them does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def ending_with(parent: int, arguments: Sequence[str]) -> list[str]:
    """Give a command that runs another for a parent, and ends when that does.

    If we are killed outright, nobody is left to end QEMU: the kernel does it then.  Who was killed
    before the kernel was asked for that is found to be gone, and nothing is run.

    Source: Linux prctl(2), PR_SET_PDEATHSIG.
    """
    if_there = 'if [ "$PPID" = "$0" ]; then exec "$@"; fi'
    return ["setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", if_there, str(parent), *arguments]
