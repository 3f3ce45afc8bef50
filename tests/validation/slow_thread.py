"""A single thread of another process, held still for a while: a busy host, at the worst moment."""

import ctypes
import os
import threading

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
"""Linux include/uapi/linux/ptrace.h."""
_WALL = 0x40000000
"""Linux include/uapi/linux/wait.h, __WALL."""
_LIMIT_S = 20


class SlowThread:
    """Holds a thread from `__enter__` on, until `delay_s` after `release_soon` was called."""

    def __init__(self, thread_id, delay_s=0.2):
        self._thread_id, self._delay_s = thread_id, delay_s
        self._is_held, self._may_go = threading.Event(), threading.Event()
        self._worker = threading.Thread(target=self._hold, daemon=True)
        self._library = ctypes.CDLL(None, use_errno=True)

    def __enter__(self):
        self._worker.start()
        assert self._is_held.wait(_LIMIT_S)
        return self

    def __exit__(self, *exception):
        self.release_soon()
        self._worker.join(_LIMIT_S)
        assert not self._worker.is_alive()

    def release_soon(self):
        """Let it go on, but not at once."""
        self._may_go.set()

    def _hold(self):
        """Whoever traces a thread is a thread, not a process."""
        self._trace(_SEIZE)
        self._trace(_INTERRUPT)
        os.waitpid(self._thread_id, _WALL)
        self._is_held.set()
        self._may_go.wait(_LIMIT_S)
        threading.Event().wait(self._delay_s)
        self._trace(_DETACH)

    def _trace(self, request):
        if self._library.ptrace(request, ctypes.c_long(self._thread_id), None, None):
            raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")
