"""The device's PCI config space, as it travels.

Source: QEMU 7.2 hw/virtio/virtio-pci.c (virtio_pci_device_plugged, virtio_pci_realize),
hw/pci/pci.c (pci_device_save, which leaves out the status of the interrupt); layout: virtio 1.2,
4.1.4.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from workbench.model.balloon.machine import BAR, PORTS
from workbench.model.balloon.pci import (
    COMMON,
    CONFIG,
    ISR,
    NOTIFY,
    NOTIFY_MULTIPLIER,
    STRUCTURE_BYTES,
)

if TYPE_CHECKING:
    from workbench.model.balloon.pci import PciTransport

CONFIG_SPACE_BYTES: Final = 256

_HEADER: Final = Struct("<HHHHBBH")
"""Vendor, device, command, status; revision, interface, class."""
_PAIR: Final = Struct("<HH")
_VENDOR: Final = 0x1AF4
_TRANSITIONAL: Final = (0x1002, 0x0005, 0)
_MODERN: Final = (0x1045, 0x1100, 1)
"""Device, subsystem and revision."""
_CLASS: Final = 0x00FF
_ANSWERS, _MASTER = 3, 4
"""Of the command register: answers in ports and in memory; accesses memory."""
_HAS_CAPABILITIES: Final = 0x10
_BAR_0, _BAR_4, _SUBSYSTEM, _FIRST, _PIN = 0x10, 0x20, 0x2C, 0x34, 0x3D
_OF_PORTS, _OF_MEMORY = 1, 0xC
"""What a BAR says of itself: ports; memory at 64 bits, which may be prefetched."""

_CAPABILITY: Final = Struct("<BBBBBxxxII")
"""Whose, the next one, length, type; BAR, offset and length of the structure."""
_VENDORS_OWN: Final = 9
_CAPABILITIES: Final = (
    (0x40, 0x00, 16, 1, 4, COMMON, STRUCTURE_BYTES),
    (0x50, 0x40, 16, 3, 4, ISR, STRUCTURE_BYTES),
    (0x60, 0x50, 16, 4, 4, CONFIG, STRUCTURE_BYTES),
    (0x70, 0x60, 20, 2, 4, NOTIFY, STRUCTURE_BYTES),
    (0x84, 0x70, 20, 5, 0, 0, 0),
)
"""Where each is, and what stands there."""
_MULTIPLIER_AT: Final = 0x80


def config_space(pci: PciTransport) -> bytes:
    """Give all of it, with the BARs where the machine's registers are."""
    legacy = pci.device.offer.legacy
    device, subsystem, revision = _TRANSITIONAL if legacy else _MODERN
    command = _ANSWERS | (_MASTER if pci.bus_master else 0)
    space = bytearray(CONFIG_SPACE_BYTES)
    fields = (_VENDOR, device, command, _HAS_CAPABILITIES, revision, 0, _CLASS)
    _HEADER.pack_into(space, 0, *fields)
    if legacy:
        space[_BAR_0 : _BAR_0 + 4] = (PORTS | _OF_PORTS).to_bytes(4, "little")
    space[_BAR_4 : _BAR_4 + 8] = (BAR | _OF_MEMORY).to_bytes(8, "little")
    _PAIR.pack_into(space, _SUBSYSTEM, _VENDOR, subsystem)
    space[_FIRST], space[_PIN] = _CAPABILITIES[-1][0], 1
    for place, *rest in _CAPABILITIES:
        _CAPABILITY.pack_into(space, place, _VENDORS_OWN, *rest)
    space[_MULTIPLIER_AT] = NOTIFY_MULTIPLIER
    return bytes(space)
