"""What the generic virtio layer asks of the balloon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from workbench.model.balloon.queue import VirtQueue


class Behaviour(Protocol):
    """What the generic layer asks of the balloon (VirtioDeviceClass)."""

    def get_config(self) -> bytes:
        """Fill in the whole config space."""

    def set_config(self, config: bytes, written: range) -> None:
        """Take all fields of the config space, of which these bytes were written."""

    def set_status(self, status: int) -> None:
        """Learn that the status is about to change, or that the VM started or stopped."""

    def run_threads(self) -> None:
        """Let other threads do what they were woken for."""

    def reset(self) -> None:
        """Reset what is the balloon's own."""

    def handle_output(self, queue: VirtQueue) -> None:
        """Serve a kicked queue."""
