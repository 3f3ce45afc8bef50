"""A second look at what guests offer, which shares nothing with the capture's probes.

It sits where QEMU returns an element, not where it takes one, and reads guest addresses, not host
addresses.  Queues have no number here, only their address.
"""

from __future__ import annotations

import ctypes
from typing import Self

from workbench.capture.bcc_loader import load_bcc
from workbench.capture.recorder import require_privileges

PROGRAM = """
#include <linux/ptrace.h>

struct seen { u64 queue, address, length; };
BPF_RINGBUF_OUTPUT(seen_ranges, 2048);
BPF_ARRAY(not_seen, u64, 1);

int on_push(struct pt_regs *ctx) {
    u64 element = PT_REGS_PARM2(ctx), addresses = 0, pieces = 0;
    u32 count = 0;
    // QEMU include/hw/virtio/virtio.h, struct VirtQueueElement: in_num, in_addr, in_sg.
    bpf_probe_read_user(&count, sizeof(count), (void *)(element + 0x10));
    bpf_probe_read_user(&addresses, sizeof(addresses), (void *)(element + 0x18));
    bpf_probe_read_user(&pieces, sizeof(pieces), (void *)(element + 0x28));
    for (u32 row = 0; row < 64; row++) {
        struct seen seen = {.queue = PT_REGS_PARM1(ctx)};
        if (row >= count)
            return 0;
        bpf_probe_read_user(&seen.address, 8, (void *)(addresses + 8 * row));
        bpf_probe_read_user(&seen.length, 8, (void *)(pieces + 16 * row + 8));
        if (seen_ranges.ringbuf_output(&seen, sizeof(seen), 0))
            not_seen.increment(0);
    }
    not_seen.increment(0);
    return 0;
}
"""


class SecondObserver:
    """Sees the writable pieces of every element that a QEMU returns, while it is entered.

    Tracefs must be mounted until it is left: bcc detaches through it.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.ranges: dict[int, list[tuple[int, int]]] = {}
        """(guest address, length) in order, by the address of the queue."""

    def __enter__(self) -> Self:
        """Attach."""
        require_privileges()
        self._bpf = load_bcc().BPF(text=PROGRAM, cflags=["-w"])
        self._bpf["seen_ranges"].open_ring_buffer(self._note)
        where = {"name": f"/proc/{self._pid}/exe", "sym": "virtqueue_push", "pid": self._pid}
        self._bpf.attach_uprobe(fn_name="on_push", **where)
        return self

    def __exit__(self, *exception: object) -> None:
        """Take what was seen, and detach."""
        self._bpf.ring_buffer_consume()
        missed = self._bpf["not_seen"][ctypes.c_int(0)].value
        self._bpf.cleanup()
        assert missed == 0

    def _note(self, _context: object, data: int, _size: int) -> None:
        queue, address, length = (ctypes.c_uint64 * 3).from_address(data)
        self.ranges.setdefault(queue, []).append((address, length))
