"""QEMU's own trace events about the balloon, as its log has them, and how to ask for them.

Source: QEMU 7.2 softmmu/trace-events (ram_block_discard_range), hw/virtio/trace-events, and
scripts/tracetool/backend/log.py for what stands before each line.
"""

from __future__ import annotations

import re
from typing import Final

LOG_EVENTS: Final = (
    "ram_block_discard*_range",
    "virtio_balloon_*",
    "virtqueue_pop",
    "virtio_queue_notify",
    "virtio_set_status",
)
"""What an imported log is read for.  That of a discard has `_shared` in its name since 11.1; QEMU
takes patterns."""

LOG_ARGUMENTS: Final = (
    *("-msg", "timestamp=on"),
    *(word for event in LOG_EVENTS for word in ("-trace", f"enable={event}")),
)
"""What makes QEMU write them, with `-D FILE`."""

STAMPED: Final = re.compile(rb"(\d{1,10})@(\d{1,10})\.(\d{6}):(\w+)([^\r\n]*)\r?\n")
"""One line: thread (`qemu_get_thread_id`, not the process), seconds and microseconds of
`gettimeofday`, the event, and what it says.  A line without its end was cut."""

# What is imported has numbers as long as QEMU's can be: addresses of user memory, or 32 bits.

DISCARD: Final = re.compile(
    rb"ram_block_discard(?:_shared)?_range (.+)@0x([0-9a-f]{1,15}) \+ 0x([0-9a-f]{1,15}): "
    rb"madvise: (\d{1,10}) fallocate: (\d{1,10})(?: ret: (-?\d{1,10}))?"
)
OUTPUT: Final = re.compile(
    rb"virtio_balloon_handle_output section name: (.*) gpa: 0x([0-9a-f]{1,15})"
)
BAD_ADDRESS: Final = re.compile(rb"virtio_balloon_bad_addr 0x([0-9a-f]+)")
TARGET: Final = re.compile(
    rb"virtio_balloon_to_target balloon target: 0x([0-9a-f]+) num_pages: (-?\d+)"
)
CONFIG_WRITE: Final = re.compile(
    rb"virtio_balloon_set_config actual: (\d{1,10}) oldactual: (\d{1,10})"
)
POP: Final = re.compile(
    rb"virtqueue_pop vq 0x([0-9a-f]{1,15}) elem 0x[0-9a-f]+ in_num (\d{1,10}) out_num (\d{1,10})"
)
NOTIFY: Final = re.compile(
    rb"virtio_queue_notify vdev 0x([0-9a-f]{1,15}) n \d+ vq 0x([0-9a-f]{1,15})"
)
STATUS: Final = re.compile(rb"virtio_set_status vdev 0x([0-9a-f]{1,15}) val (\d{1,10})")
