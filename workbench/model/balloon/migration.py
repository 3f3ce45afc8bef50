"""What of the device travels in a migration, and what becomes of it at a destination.

Source: QEMU 7.2 hw/virtio/virtio.c (virtio_save, virtio_load), hw/virtio/virtio-pci.c
(vmstate_virtio_pci_modern_state_sub), hw/virtio/virtio-balloon.c (vmstate_virtio_balloon_device
and its subsections).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workbench.model.balloon import rules as rule
from workbench.model.balloon.hinting import HAS_HINT, HintStatus
from workbench.model.balloon.pci import place_legacy_rings
from workbench.model.balloon.pci_config import config_space
from workbench.model.balloon.queue import VirtQueue
from workbench.model.balloon.split_ring import read_avail_idx, read_word
from workbench.model.balloon.virtio import HAS_PACKED, HAS_VERSION_1
from workbench.schema import Feature

if TYPE_CHECKING:
    from collections import defaultdict
    from collections.abc import Iterator

    from workbench.model.balloon.machine import Machine
    from workbench.model.balloon.pci import QueueRegisters
    from workbench.model.balloon.virtio import VirtioDevice

_POISON_VAL: Final = slice(12, 16)
"""Where it is in the config space."""
_OPTIONAL: Final = sum(1 << int(feature) for feature in Feature if feature is not Feature.STATS_VQ)
"""Features that not every balloon offers."""
HINT_SECTION: Final = "virtio-balloon-device/free-page-report"
POISON_SECTION: Final = "virtio-balloon-device/page-poison"
_MISSPELT_POISON_SECTION: Final = "vitio-balloon-device/page-poison"
"""Until 6.1; not even a destination that calls it so takes it for a section of this device."""

_HAS_UPPER_FEATURES: Final = ~0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """One queue, as it travels."""

    num: int
    num_default: int | None
    """None: it does not travel, as no queue has another size than its default."""
    desc: int
    avail: int
    used: int
    last_avail_idx: int
    packed: tuple[bool, int, bool, int] | None
    """Wrap counter, used index, its wrap counter and elements in use, of a device that offers
    packed rings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """The device's section of a migration stream."""

    pci_config: bytes
    irq: bool
    """Whether the interrupt line is up."""
    status: int
    isr: int
    queue_sel: int
    features: int
    config: bytes
    broken: bool
    disabled: bool
    started: bool
    queues: tuple[QueueState, ...]
    num_pages: int
    actual: int
    poison_val: int | None
    """None: the subsection is not sent."""
    hint: tuple[int, HintStatus] | None
    """Command id and status; None: the subsection is not sent."""
    poison_section: str
    selects: tuple[int, int]
    """The modern interface's feature selects, the device's and the driver's."""
    driver_features: tuple[int, ...]
    registers: defaultdict[int, QueueRegisters]
    subsections: tuple[str, ...]
    """Those that are sent, in their order."""


def save_state(machine: Machine) -> DeviceState:
    """Say what a source sends."""
    device, balloon, pci = machine.device, machine.balloon, machine.pci
    resized = any(queue.num != queue.num_default for queue in device.queues)
    hinting = balloon.hinting
    device.tally[rule.MIGRATE_SAVED] += 1
    return DeviceState(
        pci_config=config_space(pci),
        irq=device.irq,
        status=device.status,
        isr=device.isr,
        queue_sel=device.queue_sel,
        features=device.guest_features,
        config=bytes(device.config),
        broken=device.broken,
        disabled=device.disabled,
        started=device.start.started,
        queues=tuple(
            _queue_state(queue, resized=resized, packed=bool(device.host_features & HAS_PACKED))
            for queue in device.queues
            if queue.num
        ),
        num_pages=balloon.num_pages,
        actual=balloon.actual,
        poison_val=balloon.poison_val if balloon.has_page_poison() else None,
        hint=(hinting.cmd_id, hinting.status) if device.guest_features & HAS_HINT else None,
        poison_section=_poison_section(device),
        selects=(pci.device_feature_select, pci.driver_feature_select),
        driver_features=tuple(pci.driver_features),
        registers=copy.deepcopy(pci.queues),
        subsections=tuple(_subsections(machine, resized=resized)),
    )


def _poison_section(device: VirtioDevice) -> str:
    known = device.traits.poison_section_is_known
    return POISON_SECTION if known else _MISSPELT_POISON_SECTION


def _subsections(machine: Machine, *, resized: bool) -> Iterator[str]:
    """Name the subsections that are needed."""
    device, balloon = machine.device, machine.balloon
    needed = {
        HINT_SECTION: device.guest_features & HAS_HINT,
        _poison_section(device): balloon.has_page_poison(),
        "virtio/64bit_features": device.host_features & _HAS_UPPER_FEATURES,
        "virtio/virtqueues": device.host_features & HAS_VERSION_1,
        "virtio/ringsize": resized,
        "virtio/broken": device.broken,
        "virtio/extra_state": True,
        "virtio/started": device.start.started,
        "virtio/packed_virtqueues": device.host_features & HAS_PACKED,
        "virtio/disabled": device.disabled,
    }
    return (name for name, is_needed in needed.items() if is_needed)


def _queue_state(queue: VirtQueue, *, resized: bool, packed: bool) -> QueueState:
    return QueueState(
        num=queue.num,
        num_default=queue.num_default if resized else None,
        desc=queue.desc,
        avail=queue.avail,
        used=queue.used,
        last_avail_idx=queue.last_avail_idx,
        packed=(
            queue.last_avail_wrap_counter,
            queue.used_idx,
            queue.used_wrap_counter,
            queue.inuse,
        )
        if packed
        else None,
    )


def load_state(machine: Machine, state: DeviceState) -> str | None:
    """Take over at a destination whose memory has arrived.  Returns why it refuses, or None."""
    device, balloon = machine.device, machine.balloon
    if state.features & ~device.host_features:
        device.tally[rule.MIGRATE_REFUSED] += 1
        return (
            f"Features 0x{state.features:x} unsupported. "
            f"Allowed features: 0x{device.host_features:x}"
        )
    _tally_arrival(machine, state)
    device.status, device.isr, device.queue_sel = state.status, state.isr, state.queue_sel
    device.broken, device.disabled = state.broken, state.disabled
    device.irq, device.start.started = state.irq, state.started
    device.guest_features = state.features
    device.expect_kick()
    count = min(len(state.config), len(device.config))
    device.config[:count] = state.config[:count]
    _load_registers(machine, state)
    balloon.num_pages, balloon.actual = state.num_pages, state.actual
    if state.poison_val is not None:
        if state.poison_section != POISON_SECTION or not device.traits.poison_section_is_known:
            # The misspelt name does not begin as this device's own: it is left for what reads
            # next, where nothing of the kind is looked for.
            return f"section {state.poison_section} is unknown"
        balloon.poison_val = state.poison_val
    if state.hint is not None:
        balloon.hinting.cmd_id, balloon.hinting.status = state.hint
    for number, queue_state in enumerate(state.queues):
        if number == len(device.queues):
            # The source offers more queues; nobody serves this one here.
            device.queues.append(VirtQueue(None, 0))
        problem = _load_queue(machine, number, queue_state)
        if problem is not None:
            return problem
    if any(queue_state.num_default is not None for queue_state in state.queues):
        # The default sizes of all queues travel then, those included that the source does not have.
        for queue in device.queues[len(state.queues) :]:
            queue.num_default = 0
    return None


def _tally_arrival(machine: Machine, state: DeviceState) -> None:
    """Count what arrives that is not as in a new device."""
    device = machine.device
    balloon_features = device.host_features & ~state.features & _OPTIONAL
    left_in_shadow = state.poison_val == 0 and any(state.config[_POISON_VAL])
    for name, holds in (
        (rule.MIGRATE_TARGET, state.num_pages),
        (rule.MIGRATE_ACTUAL, state.actual),
        (rule.MIGRATE_POISON, state.poison_val),
        (rule.MIGRATE_HINTS, state.hint),
        (rule.MIGRATE_SHADOW, left_in_shadow),
        (rule.MIGRATE_BROKEN, state.broken),
        (rule.MIGRATE_CONFIG_LENGTH, len(state.config) != len(device.config)),
        (rule.MIGRATE_MORE_OFFERED, balloon_features),
    ):
        if holds:
            device.tally[name] += 1


def _load_registers(machine: Machine, state: DeviceState) -> None:
    pci = machine.pci
    pci.device_feature_select, pci.driver_feature_select = state.selects
    pci.driver_features = list(state.driver_features)
    pci.queues = copy.deepcopy(state.registers)


def _load_queue(machine: Machine, number: int, state: QueueState) -> str | None:
    device = machine.device
    queue = device.queues[number]
    if state.desc and queue.kind is None:
        device.tally[rule.MIGRATE_UNSERVED] += 1
    elif state.desc and state.num_default is None and queue.num != state.num:
        device.tally[rule.MIGRATE_RENUMBERED] += 1
    queue.num = state.num
    if state.num_default is not None:
        queue.num_default = state.num_default
    queue.desc, queue.last_avail_idx = state.desc, state.last_avail_idx
    queue.signalled_used_valid, queue.notification = False, True
    if state.packed is not None and device.host_features & HAS_PACKED:
        wrap, queue.used_idx, used_wrap, queue.inuse = state.packed
        queue.last_avail_wrap_counter, queue.used_wrap_counter = wrap, used_wrap
    queue.avail, queue.used = state.avail, state.used
    if not queue.desc:
        if queue.last_avail_idx:
            index = f"0x{queue.last_avail_idx:x}"
            return f"VQ {number} address 0x0 inconsistent with Host index {index}"
        return None
    device.tally[rule.MIGRATE_RINGS] += 1
    if device.guest_features & HAS_VERSION_1:
        device.map_rings(queue)
    elif queue.kind is not None:
        # A queue that this device does not have knows no alignment, and gets no rings.
        place_legacy_rings(device, queue, queue.desc)
    if device.guest_features & HAS_PACKED:
        queue.shadow_avail_idx = queue.last_avail_idx
        queue.shadow_avail_wrap_counter = queue.last_avail_wrap_counter
        return None
    return _find_used(machine, number, queue)


def _find_used(machine: Machine, number: int, queue: VirtQueue) -> str | None:
    """Read from the rings what does not travel: how much was used, and how much is in use."""
    device = machine.device
    waiting = (read_avail_idx(device, queue) - queue.last_avail_idx) & 0xFFFF
    if waiting > queue.num:
        device.error(
            f"VQ {number} size 0x{queue.num:x} Guest index 0x{queue.shadow_avail_idx:x} "
            f"inconsistent with Host index 0x{queue.last_avail_idx:x}: delta 0x{waiting:x}"
        )
        queue.used_idx = queue.shadow_avail_idx = queue.inuse = 0
        return None
    queue.used_idx = read_word(device, queue.used_at + 2) if queue.mapped else 0
    queue.inuse = (queue.last_avail_idx - queue.used_idx) & 0xFFFF
    if queue.inuse > queue.num:
        return (
            f"VQ {number} size 0x{queue.num:x} < last_avail_idx 0x{queue.last_avail_idx:x} - "
            f"used_idx 0x{queue.used_idx:x}"
        )
    return None
