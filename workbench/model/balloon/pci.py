"""The device's registers on the PCI bus: modern ones in memory, legacy ones in I/O ports.

Source: QEMU 7.2 hw/virtio/virtio-pci.c (virtio_pci_common_read, virtio_pci_common_write,
virtio_ioport_read, virtio_ioport_write, virtio_pci_reset, virtio_write_config).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from workbench.model.balloon import rules as rule
from workbench.model.balloon.access import ACCESS_BYTES_MAX, split_access
from workbench.model.balloon.offer import BAD_FEATURE, LEGACY_ONLY
from workbench.model.balloon.split_ring import avail_size
from workbench.model.balloon.virtio import S_DRIVER_OK, S_FEATURES_OK

if TYPE_CHECKING:
    from workbench.model.balloon.queue import VirtQueue
    from workbench.model.balloon.virtio import VirtioDevice

QUEUE_MAX: Final = 1024
"""VIRTIO_QUEUE_MAX: how many queues can be selected."""

DEVICE_FEATURE_SELECT, DEVICE_FEATURE = 0x00, 0x04
DRIVER_FEATURE_SELECT, DRIVER_FEATURE = 0x08, 0x0C
MSIX_CONFIG, NUM_QUEUES = 0x10, 0x12
STATUS, GENERATION = 0x14, 0x15
QUEUE_SELECT, QUEUE_SIZE, QUEUE_MSIX = 0x16, 0x18, 0x1A
QUEUE_ENABLE, QUEUE_NOTIFY_OFF = 0x1C, 0x1E
QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE = 0x20, 0x28, 0x30
QUEUE_RESET: Final = 0x3A
"""Common configuration (virtio 1.2, 4.1.4.3)."""

COMMON, ISR, CONFIG, NOTIFY = 0x0000, 0x1000, 0x2000, 0x3000
STRUCTURE_BYTES: Final = 0x1000
BAR_BYTES: Final = 0x4000
NOTIFY_MULTIPLIER: Final = 4
"""Where QEMU places the four structures in its memory BAR."""

LEGACY_HOST_FEATURES, LEGACY_GUEST_FEATURES = 0x00, 0x04
LEGACY_QUEUE_PFN, LEGACY_QUEUE_NUM = 0x08, 0x0C
LEGACY_QUEUE_SELECT, LEGACY_QUEUE_NOTIFY = 0x0E, 0x10
LEGACY_STATUS, LEGACY_ISR = 0x12, 0x13
LEGACY_CONFIG: Final = 0x14
LEGACY_BYTES: Final = 0x40
"""Legacy header (virtio 1.2, 4.1.4.10), without MSI-X."""

_LEGACY_DRIVER: Final = 3
"""ACKNOWLEDGE and DRIVER."""
_KICK_BYTES: Final = 2
"""What a driver should write (virtio 1.2, 4.1.5.2)."""
_SIZE_MASK: Final = 0xFFFF
"""VirtIOPCIQueue.num has 16 bits."""
_NO_VECTOR: Final = 0xFFFF
_LEGACY_PAGE_SHIFT: Final = 12
_LEGACY_ALIGN: Final = 4096

_ADDRESS_REGISTERS: Final = {
    QUEUE_DESC: ("desc", 0),
    QUEUE_DESC + 4: ("desc", 1),
    QUEUE_DRIVER: ("avail", 0),
    QUEUE_DRIVER + 4: ("avail", 1),
    QUEUE_DEVICE: ("used", 0),
    QUEUE_DEVICE + 4: ("used", 1),
}


class QueueRegisters:
    """What the driver wrote for one queue (VirtIOPCIQueue)."""

    def __init__(self) -> None:
        """Start as after a reset."""
        self.num = 0
        self.enabled = 0
        self.halves = {"desc": [0, 0], "avail": [0, 0], "used": [0, 0]}

    def address(self, ring: str) -> int:
        """Where a ring is."""
        low, high = self.halves[ring]
        return high << 32 | low


class PciTransport:
    """The registers of one device."""

    def __init__(self, device: VirtioDevice) -> None:
        """Start as after a reset."""
        self.device = device
        self.device_feature_select = 0
        self.driver_feature_select = 0
        self.driver_features = [0, 0]
        self.queues: defaultdict[int, QueueRegisters] = defaultdict(QueueRegisters)
        self.bus_master = True

    def reset(self) -> None:
        """Reset device and queues (virtio_pci_reset).  The feature registers stay."""
        self.device.reset()
        self.queues.clear()

    def set_bus_master(self, *, enabled: bool) -> None:
        """Let the device access memory, or not (virtio_write_config)."""
        device = self.device
        if enabled and not self.bus_master:
            device.tally[rule.BUS_MASTER_BACK] += 1
        self._grant(enabled=enabled)
        if not enabled:
            device.tally[rule.BUS_MASTER_OFF] += 1
            device.disabled = device.offer.uses_disabled_flag
            device.set_status(device.status & ~S_DRIVER_OK)
        else:
            device.disabled = False

    def _grant(self, *, enabled: bool) -> None:
        """Change the right to access memory."""
        if enabled != self.bus_master:
            self.bus_master = enabled
            self.device.show_memory(visible=enabled)

    # --- modern

    def read(self, offset: int, width: int) -> int:
        """Read `width` bytes, one aligned part after the other."""
        if width <= ACCESS_BYTES_MAX and not offset % width:
            return self._read_part(offset, width)
        if CONFIG <= offset < NOTIFY:
            self._tally_split(offset - CONFIG, width, rule.CONFIG_READ_STRADDLES)
        value = 0
        for at, size in split_access(offset, width):
            value |= self._read_part(at, size) << 8 * (at - offset)
        return value

    def write(self, offset: int, width: int, value: int) -> None:
        """Write `width` bytes, one aligned part after the other."""
        if width <= ACCESS_BYTES_MAX and not offset % width:
            self._write_part(offset, width, value)
            return
        if CONFIG <= offset < NOTIFY:
            self._tally_split(offset - CONFIG, width, rule.CONFIG_WRITE_STRADDLES)
        for at, size in split_access(offset, width):
            part = value >> 8 * (at - offset) & ((1 << 8 * size) - 1)
            self._write_part(at, size, part)

    def _tally_split(self, offset: int, width: int, straddles: str) -> None:
        """Count an access to the config space that is split; its parts are judged one by one."""
        tally = self.device.tally
        tally[rule.CONFIG_SPLIT] += 1
        if offset < len(self.device.config) < offset + width:
            tally[straddles] += 1

    def _read_isr(self, name: str) -> int:
        device = self.device
        if device.isr:
            device.tally[name] += 1
        return device.read_isr()

    def _read_part(self, offset: int, width: int) -> int:
        device = self.device
        if offset < ISR:
            return self._read_common(offset) & ((1 << 8 * width) - 1)
        if offset < CONFIG:
            return self._read_isr(rule.ISR_READ)
        if offset < NOTIFY:
            return device.read_config(offset - CONFIG, width)
        return 0

    def _write_part(self, offset: int, width: int, value: int) -> None:
        if offset < ISR:
            self._write_common(offset, value)
        elif offset >= NOTIFY:
            self._kick((offset - NOTIFY) // NOTIFY_MULTIPLIER, width, value)
        elif offset >= CONFIG:
            self.device.write_config(offset - CONFIG, width, value)

    def _kick(self, number: int, width: int, value: int) -> None:
        tally = self.device.tally
        if width != _KICK_BYTES:
            tally[rule.KICK_ANY_WIDTH] += 1
        if value != number:
            tally[rule.KICK_BY_ADDRESS] += 1
        self.device.kick(number)

    def _read_common(self, offset: int) -> int:
        device = self.device
        number = device.queue_sel
        if offset in _ADDRESS_REGISTERS:
            ring, half = _ADDRESS_REGISTERS[offset]
            return self.queues[number].halves[ring][half]
        if offset == DEVICE_FEATURE:
            shift = 32 * self.device_feature_select
            offered = device.host_features & ~LEGACY_ONLY
            device.tally[rule.FEATURES_OFFERED] += 1
            for name, bit in device.offer.feature_rules:
                if bit // 32 == self.device_feature_select:
                    device.tally[name] += 1
            return offered >> shift if shift <= 32 else 0  # noqa: PLR2004 - two halves.
        if offset == DRIVER_FEATURE:
            return self._read_driver_features()
        if offset == QUEUE_SIZE:
            there = number < len(device.queues)
            device.tally[rule.QUEUE_SIZES if there else rule.QUEUE_ABSENT] += 1
            return device.queues[number].num if there else 0
        if offset == QUEUE_ENABLE:
            return self.queues[number].enabled
        if offset == NUM_QUEUES:
            device.tally[rule.QUEUE_COUNT] += 1
            return sum(queue.num > 0 for queue in device.queues)
        plain = {
            DEVICE_FEATURE_SELECT: self.device_feature_select,
            DRIVER_FEATURE_SELECT: self.driver_feature_select,
            MSIX_CONFIG: _NO_VECTOR,
            STATUS: device.status,
            GENERATION: device.generation,
            QUEUE_SELECT: number,
            QUEUE_MSIX: _NO_VECTOR,
            QUEUE_NOTIFY_OFF: number,
        }
        return plain.get(offset, 0)

    def _read_driver_features(self) -> int:
        select = self.driver_feature_select
        if select >= len(self.driver_features):
            return 0
        half = self.driver_features[select]
        if half != self.device.guest_features >> 32 * select & 0xFFFFFFFF:
            self.device.tally[rule.FEATURES_READ_BACK] += 1
        return half

    def _write_common(self, offset: int, value: int) -> None:
        device = self.device
        if offset in _ADDRESS_REGISTERS:
            ring, half = _ADDRESS_REGISTERS[offset]
            self.queues[device.queue_sel].halves[ring][half] = value
        elif offset == STATUS:
            self._write_status(value)
        elif offset == DRIVER_FEATURE:
            if self.driver_feature_select < len(self.driver_features):
                self.driver_features[self.driver_feature_select] = value
                low, high = self.driver_features
                if value & low & LEGACY_ONLY and not device.status & S_FEATURES_OK:
                    device.tally[rule.FEATURES_HIDDEN] += 1
                device.set_features(high << 32 | low)
        elif offset == DRIVER_FEATURE_SELECT:
            self.driver_feature_select = value
        elif offset == DEVICE_FEATURE_SELECT:
            self.device_feature_select = value
        elif offset == QUEUE_SELECT:
            if value < QUEUE_MAX:
                device.queue_sel = value
            else:
                device.tally[rule.QUEUE_SELECT_DROPPED] += 1
        elif offset == QUEUE_SIZE:
            self.queues[device.queue_sel].num = value & _SIZE_MASK
            self._set_queue_size(value & _SIZE_MASK)
        elif offset == QUEUE_ENABLE:
            self._enable_queue(value)
        elif offset == QUEUE_RESET and value == 1:
            self._reset_queue()

    def _write_status(self, value: int) -> None:
        device = self.device
        device.set_status(value & 0xFF)
        if device.status == 0:
            self.reset()

    def _set_queue_size(self, num: int) -> None:
        """Change a queue's size (virtio_queue_set_num): to anything but none, or too many."""
        device = self.device
        if device.queue_sel >= len(device.queues):
            return
        if num == 0 or num > QUEUE_MAX:
            device.tally[rule.QUEUE_SIZE_REFUSED] += 1
            return
        queue = device.queues[device.queue_sel]
        if queue.num == 0:
            # One that is no longer there, after a migration, does not come back.
            return
        if num & (num - 1) or num > queue.num_default:
            device.tally[rule.QUEUE_SIZE_ODD] += 1
        queue.num = num

    def _enable_queue(self, value: int) -> None:
        device = self.device
        if value != 1:
            device.tally[rule.QUEUE_ENABLE_ZERO] += 1
            device.error(f"wrong value for queue_enable {value:x}")
            return
        registers = self.queues[device.queue_sel]
        if registers.num:
            self._bring_back_size(registers.num)
        if device.queue_sel < len(device.queues):
            rings = (registers.address(ring) for ring in ("desc", "avail", "used"))
            device.set_rings(device.queues[device.queue_sel], *rings)
        registers.enabled = 1

    def _bring_back_size(self, num: int) -> None:
        """Set the size that was written, which a reset of the queue does not forget."""
        device = self.device
        if device.queue_sel < len(device.queues) and device.queues[device.queue_sel].num != num:
            device.tally[rule.QUEUE_SIZE_LEFT] += 1
        self._set_queue_size(num)

    def _reset_queue(self) -> None:
        """Reset one queue.  QEMU does so whether RING_RESET was negotiated or not."""
        device = self.device
        if device.queue_sel < len(device.queues):
            device.tally[rule.QUEUE_RESET] += 1
            device.reset_queue(device.queues[device.queue_sel])
        self.queues[device.queue_sel].enabled = 0

    # --- legacy

    def read_port(self, offset: int, width: int) -> int:
        """Read a legacy register, or the config space behind them."""
        value = 0
        parts = split_access(offset, width)
        if len(parts) > 1 and offset >= LEGACY_CONFIG:
            self._tally_split(offset - LEGACY_CONFIG, width, rule.CONFIG_READ_STRADDLES)
        for at, size in parts:
            value |= self._read_legacy(at, size) << 8 * (at - offset)
        return value

    def write_port(self, offset: int, width: int, value: int) -> None:
        """Write a legacy register, or the config space behind them."""
        parts = split_access(offset, width)
        if len(parts) > 1 and offset >= LEGACY_CONFIG:
            self._tally_split(offset - LEGACY_CONFIG, width, rule.CONFIG_WRITE_STRADDLES)
        for at, size in parts:
            part = value >> 8 * (at - offset) & ((1 << 8 * size) - 1)
            self._write_legacy(at, size, part)

    def _read_legacy(self, offset: int, width: int) -> int:
        device = self.device
        number = device.queue_sel
        queue = device.queues[number] if number < len(device.queues) else None
        if offset >= LEGACY_CONFIG:
            device.tally[rule.LEGACY_CONFIG] += 1
            return device.read_config(offset - LEGACY_CONFIG, width)
        if offset == LEGACY_ISR:
            return self._read_isr(rule.LEGACY_ISR)
        if offset == LEGACY_HOST_FEATURES:
            device.tally[rule.FEATURES_OFFERED_LEGACY] += 1
        elif offset == LEGACY_QUEUE_NUM:
            device.tally[rule.LEGACY_QUEUE_SIZE] += 1
        plain = {
            LEGACY_HOST_FEATURES: device.host_features,
            LEGACY_GUEST_FEATURES: device.guest_features,
            LEGACY_QUEUE_PFN: queue.desc >> _LEGACY_PAGE_SHIFT if queue else 0,
            LEGACY_QUEUE_NUM: queue.num if queue else 0,
            LEGACY_QUEUE_SELECT: number,
            LEGACY_STATUS: device.status,
        }
        return plain.get(offset, 0xFFFFFFFF) & ((1 << 8 * width) - 1)

    def _write_legacy(self, offset: int, width: int, value: int) -> None:
        device = self.device
        if offset >= LEGACY_CONFIG:
            device.write_config(offset - LEGACY_CONFIG, width, value)
        elif offset == LEGACY_GUEST_FEATURES:
            if value & 1 << BAD_FEATURE:
                device.tally[rule.LEGACY_BAD_FEATURE] += 1
                value = 0
            device.set_features(value)
        elif offset == LEGACY_QUEUE_PFN:
            self._place_legacy_queue(value << _LEGACY_PAGE_SHIFT)
        elif offset == LEGACY_QUEUE_SELECT:
            if value < QUEUE_MAX:
                device.queue_sel = value
        elif offset == LEGACY_QUEUE_NOTIFY:
            device.tally[rule.LEGACY_KICK] += 1
            device.kick(value)
        elif offset == LEGACY_STATUS:
            self._write_status(value)
            if value == _LEGACY_DRIVER:
                # For drivers that never ask for it.
                if not self.bus_master:
                    device.tally[rule.LEGACY_BUS_MASTER] += 1
                self._grant(enabled=True)

    def _place_legacy_queue(self, address: int) -> None:
        """Place all three rings from one address; address 0 resets the device."""
        device = self.device
        if address == 0:
            device.tally[rule.LEGACY_PFN_RESET] += 1
            self.reset()
        elif device.queue_sel < len(device.queues):
            device.tally[rule.LEGACY_RINGS] += 1
            queue = device.queues[device.queue_sel]
            place_legacy_rings(device, queue, address)


def place_legacy_rings(device: VirtioDevice, queue: VirtQueue, address: int) -> None:
    """Lay the rings out behind one another (virtio_queue_update_rings)."""
    avail = address + 16 * queue.num
    end = avail + avail_size(queue, 0)
    used = (end + _LEGACY_ALIGN - 1) & ~(_LEGACY_ALIGN - 1)
    device.set_rings(queue, address, avail, used)
