"""A virtqueue: where its rings are and how far the device has come in them.

Source: QEMU 7.2 hw/virtio/virtio.c (struct VirtQueue, __virtio_queue_reset).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from workbench.model.balloon.offer import Queue

COUNT_MASK: Final = 0xFFFFFFFF
"""QEMU counts what is in use without a sign."""


class VirtQueue:
    """One queue.  Field names are QEMU's."""

    __slots__ = (
        "avail",
        "avail_at",
        "desc",
        "desc_at",
        "inuse",
        "kind",
        "last_avail_idx",
        "last_avail_wrap_counter",
        "mapped",
        "mapped_num",
        "notification",
        "num",
        "num_default",
        "shadow_avail_idx",
        "shadow_avail_wrap_counter",
        "signalled_used",
        "signalled_used_valid",
        "used",
        "used_at",
        "used_idx",
        "used_wrap_counter",
    )

    def __init__(self, kind: Queue | None, num: int) -> None:
        """Make a queue of this size; `kind` is None where no handler stands behind it."""
        self.kind = kind
        self.num_default = num
        self.reset()

    def is_resized(self) -> bool:
        """Whether the driver chose another size than the default."""
        return self.num != self.num_default

    def reset(self) -> None:
        """Forget the rings, and return to the default size."""
        self.num = self.num_default
        self.desc = self.avail = self.used = 0
        self.mapped = False
        """Whether QEMU could map the rings (VRing.caches)."""
        self.mapped_num = 0
        """The size they were mapped for."""
        self.desc_at = self.avail_at = self.used_at = 0
        """Where they are read and written: nowhere, if they begin where no memory is."""
        self.last_avail_idx = self.shadow_avail_idx = self.used_idx = 0
        self.last_avail_wrap_counter = self.shadow_avail_wrap_counter = True
        self.used_wrap_counter = True
        self.signalled_used = 0
        self.signalled_used_valid = False
        self.notification = True
        self.inuse = 0
