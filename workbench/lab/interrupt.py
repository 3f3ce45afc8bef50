"""Ctrl-C and its like, heard only where a run can be left in order."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import FrameType

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruptions:
    """Notes that a signal came; `check` then raises, at a place of our choice.

    A handler that raises could strike between making a thing and remembering to remove it, or in
    the middle of removing it.  So none raises, and a second Ctrl-C does not cut the tidying short.
    """

    def __init__(self) -> None:
        self._received = threading.Event()
        self._restore = ExitStack()

    def __enter__(self) -> Self:
        """Listen.  Only the main thread can; in any other, signals are none of our business."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before = signal.signal(number, self._note)
                self._restore.callback(signal.signal, number, before)
        return self

    def __exit__(self, *exception: object) -> None:
        """Put back whoever listened before."""
        self._restore.close()

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal has come."""
        if self._received.is_set():
            raise KeyboardInterrupt

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._received.set()
