"""Ctrl-C and its like, for commands that do not listen to them in their own way."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_ONE_WISH_S: Final = 1.0
"""What comes within a second of a signal is the same wish: an impatient finger, or a supervisor
that tells a group and each of its processes."""

_UNTOUCHED: Final = (signal.SIG_DFL, signal.default_int_handler)


class _Stop:
    """Raises KeyboardInterrupt, so that what was borrowed is given back on the way out."""

    def __init__(self) -> None:
        self._heard_at = -_ONE_WISH_S

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Hear a signal."""
        now = time.monotonic()
        if now - self._heard_at < _ONE_WISH_S:
            return
        self._heard_at = now
        raise KeyboardInterrupt


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """End in good order on Ctrl-C, on `kill`, and when the terminal goes away.

    Whoever started the process and had it ignore a signal, as `nohup` does, is obeyed.  Afterwards
    nothing is heard any more: this is around all that a process does.
    """
    heard = [number for number in SIGNALS if signal.getsignal(number) in _UNTOUCHED]
    stop = _Stop()
    for number in heard:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_IGN)
