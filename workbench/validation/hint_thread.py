"""The thread of QEMU that takes hints, seen from outside: whether it has gone to rest.

Nothing that a driver reads tells for sure.  An element that breaks a legacy device leaves status
and ring as they were, and the thread interrupts after it; whoever looks before it has run at all
sees the same as afterwards, but for that.

Source: QEMU 7.2 hw/virtio/virtio-balloon.c (virtio_ballloon_get_free_page_hints), iothread.c
(iothread_run).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from workbench.validation.real_machine import RealMachine

EVENTS: Final = frozenset({7, 232, 271, 281, 426})
"""It waits to be woken: poll, epoll_wait, ppoll, epoll_pwait or io_uring_enter, whichever QEMU was
built with (util/fdmon-poll.c, fdmon-epoll.c, fdmon-io_uring.c)."""
CONDITION: Final = frozenset({202})
"""It was woken, and waits for the machine to run: futex, of pthread_cond_wait(3).

Source of the numbers: Linux arch/x86/entry/syscalls/syscall_64.tbl.
"""

_SLEEPS: Final = "S"


def rests_in(machine: RealMachine, calls: frozenset[int]) -> bool:
    """Whether the thread sleeps in one of these system calls, or there is no such thread.

    Who is woken is no longer asleep, from before the one who wakes it goes on; so what was asked of
    the thread before this is called is done when it sleeps again.

    Raises
    ------
    OSError
        The thread has ended, or may not be looked at; that needs root, or QEMU's own user.

    Source: Linux Documentation/filesystems/proc.rst; fs/proc/base.c, proc_pid_syscall.
    """
    number = machine.hint_thread
    if number is None:
        return True
    folder = Path(f"/proc/{machine.pid}/task/{number}")
    # In this order: if it sleeps, it does not run again before it is asked for something.
    state = (folder / "stat").read_text("ascii", "replace").rpartition(")")[2].split()[0]
    call = (folder / "syscall").read_text("ascii").split()[0]
    return state == _SLEEPS and call.isdecimal() and int(call) in calls
