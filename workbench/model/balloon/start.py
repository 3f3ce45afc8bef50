"""Whether a driver has started the device: nothing depends on it, but it travels.

Source: QEMU 7.2 hw/virtio/virtio.c (virtio_set_started, virtio_device_started,
virtio_set_features, virtio_queue_notify).
"""

from __future__ import annotations


class Start:
    """What the device knows of it."""

    def __init__(self, *, is_remembered: bool) -> None:
        """Begin as after a reset.

        Parameters
        ----------
        is_remembered
            Whether the device keeps it in mind (use-started), or looks at the status.
        """
        self._is_remembered = is_remembered
        self.started = False
        self.on_kick = False
        """Whether the next kick starts the device."""

    def reset(self) -> None:
        """Forget it."""
        self.started = self.on_kick = False

    def follow(self, *, driver_ok: bool) -> None:
        """Follow the driver."""
        if driver_ok:
            self.on_kick = False
        if self._is_remembered:
            self.started = driver_ok

    def expect_kick(self, *, driver_ok: bool, legacy: bool) -> None:
        """Know that a legacy driver may use queues before it says that it is ready."""
        if legacy and not (self.started if self._is_remembered else driver_ok):
            self.on_kick = True
