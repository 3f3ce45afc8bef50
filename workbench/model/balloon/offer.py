"""What a balloon device offers: features, config space, queues; by its properties and its QEMU.

Source: QEMU 7.2 hw/virtio/virtio-balloon.c (virtio_balloon_properties, virtio_balloon_config_size,
virtio_balloon_device_realize), hw/core/machine.c (hw_compat_*).
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace
from typing import Final

from workbench.errors import UsageError
from workbench.model.balloon import rules as rule
from workbench.model.balloon.level import TRAITS, Level
from workbench.schema import Feature

EVENT_IDX: Final = 29
INDIRECT_DESC: Final = 28
NOTIFY_ON_EMPTY: Final = 24
ANY_LAYOUT: Final = 27
BAD_FEATURE: Final = 30
VERSION_1: Final = 32
ACCESS_PLATFORM: Final = 33
RING_PACKED: Final = 34
RING_RESET: Final = 40
"""Bits of the transport (virtio 1.2, 6; 24, 27 and 30 are legacy, 6.3)."""

LEGACY_ONLY: Final = 1 << NOTIFY_ON_EMPTY | 1 << ANY_LAYOUT | 1 << BAD_FEATURE
"""Hidden from modern drivers (QEMU 7.2 include/hw/virtio/virtio.h, VIRTIO_LEGACY_FEATURES)."""

CONFIG_BYTES_MAX: Final = 16
CONFIG_BYTES_LEAST: Final = 8
CONFIG_BYTES: Final = {
    rule.CONFIG_LENGTH_FULL: CONFIG_BYTES_MAX,
    rule.CONFIG_LENGTH_FIXED: CONFIG_BYTES_MAX,
    rule.COMPAT_LENGTH: CONFIG_BYTES_MAX,
    rule.CONFIG_LENGTH_HINTS: 12,
    rule.CONFIG_LENGTH_LEAST: CONFIG_BYTES_LEAST,
}
"""virtio_balloon_config_size: all four fields, up to poison_val, up to the command id."""
_RING_RESET_SINCE: Final = (7, 2)


class Queue(enum.Enum):
    """What a queue is for."""

    INFLATE = "inflate"
    DEFLATE = "deflate"
    STATS = "stats"
    HINT = "hint"
    REPORT = "report"


QUEUE_SIZES: Final = {
    Queue.INFLATE: 128,
    Queue.DEFLATE: 128,
    Queue.STATS: 128,
    Queue.HINT: 1024,
    Queue.REPORT: 32,
}
"""virtio_balloon_device_realize; 1024 is VIRTQUEUE_MAX_SIZE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """The properties of the device, as on QEMU's command line; None: the machine type decides."""

    page_poison: bool | None = None
    free_page_reporting: bool = False
    free_page_hint: bool = False
    deflate_on_oom: bool = False
    qemu_4_0_config_size: bool | None = None
    packed: bool = False
    event_idx: bool = True
    indirect_desc: bool = True
    iommu_platform: bool = False
    disable_legacy: bool = False
    iothread: bool = True
    """Whether a hinting device gets the thread that it needs; without, it does not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the driver is offered."""

    features: int
    """All of them; a modern driver is not shown those of `LEGACY_ONLY`."""
    config_bytes: int
    queues: tuple[Queue, ...]
    """In the order of their numbers."""
    level: Level = Level.QEMU_7_2
    legacy: bool = True
    """Whether the legacy interface is there."""
    uses_disabled_flag: bool = True
    """Whether the device stops where the driver takes away its right to access memory."""
    uses_started: bool = True
    """Whether the device remembers that its driver uses it (hw_compat_4_0)."""
    length_rule: str = rule.CONFIG_LENGTH_FULL
    """The rule behind the length of the config space."""
    feature_rules: tuple[tuple[str, int], ...] = ()
    """The rules that feature bits are there for, or missing."""

    def queue_sizes(self) -> tuple[tuple[Queue, int], ...]:
        """Each queue with its size."""
        return tuple((queue, QUEUE_SIZES[queue]) for queue in self.queues)


_OLDEST_MACHINE: Final = (2, 8)
"""Up to 2.7 every queue is kicked in a page of its own (hw_compat_2_7, page-per-vq)."""

_NEWEST_MACHINE: Final = {
    Level.V22: (5, 1),
    Level.QEMU_5_1: (5, 1),
    Level.QEMU_7_2: (7, 2),
}
"""What a machine type without a version stands for; the series was posted while 5.1 was made."""


def machine_version(machine_type: str) -> tuple[int, int]:
    """Read the version off a machine type such as ``pc-i440fx-5.0``.

    Raises
    ------
    UsageError
        It names none, or one whose device has other registers.
    """
    found = re.search(r"-(\d+)\.(\d+)$", machine_type)
    if found is None:
        raise UsageError(f"machine type '{machine_type}' names no version, as in pc-i440fx-7.2")
    version = int(found.group(1)), int(found.group(2))
    if version < _OLDEST_MACHINE:
        oldest = ".".join(map(str, _OLDEST_MACHINE))
        raise UsageError(
            f"machine type '{machine_type}' is too old: its queues are kicked at other addresses; "
            f"choose version {oldest} or newer"
        )
    return version


def with_compat(
    properties: Properties, version: tuple[int, int], level: Level = Level.QEMU_7_2
) -> Properties:
    """Fill in what the machine type decides (hw_compat_5_0, hw_compat_4_0, hw_compat_3_1).

    The series as posted has no entry for page-poison: it is offered on every machine type.
    """
    poison = version >= (5, 1) or not TRAITS[level].poison_by_machine_type
    size_of_4_0 = version == (4, 0)
    return replace(
        properties,
        page_poison=poison if properties.page_poison is None else properties.page_poison,
        qemu_4_0_config_size=size_of_4_0
        if properties.qemu_4_0_config_size is None
        else properties.qemu_4_0_config_size,
    )


def refusal(properties: Properties, level: Level = Level.QEMU_7_2) -> str | None:
    """Say why such a device does not start; None where it does."""
    if properties.free_page_hint and not properties.iothread and TRAITS[level].hints_need_thread:
        return "'free-page-hint' requires 'iothread' to be set"
    if properties.iommu_platform and not properties.disable_legacy:
        return "VIRTIO_F_IOMMU_PLATFORM was supported by neither legacy nor transitional device"
    return None


def make_offer(
    properties: Properties,
    version: tuple[int, int] | None = None,
    level: Level = Level.QEMU_7_2,
) -> Offer:
    """Say what a device with these properties offers on a machine type of this version.

    Without a version it is the newest that the level has.  A thread that is missing takes away
    the feature of hints, and leaves their queue; most levels refuse such a device (`refusal`).
    """
    version = version or _NEWEST_MACHINE[level]
    chosen = with_compat(properties, version, level)
    length_rule = _length_rule(properties, chosen)
    bits = {
        Feature.STATS_VQ: True,
        Feature.DEFLATE_ON_OOM: chosen.deflate_on_oom,
        Feature.FREE_PAGE_HINT: chosen.free_page_hint and chosen.iothread,
        Feature.PAGE_POISON: chosen.page_poison,
        Feature.REPORTING: chosen.free_page_reporting,
        NOTIFY_ON_EMPTY: True,
        ANY_LAYOUT: True,
        INDIRECT_DESC: chosen.indirect_desc,
        EVENT_IDX: chosen.event_idx,
        BAD_FEATURE: True,
        VERSION_1: True,
        ACCESS_PLATFORM: chosen.iommu_platform,
        RING_PACKED: chosen.packed,
        RING_RESET: version >= _RING_RESET_SINCE,
    }
    return Offer(
        features=sum(1 << int(bit) for bit, offered in bits.items() if offered),
        config_bytes=CONFIG_BYTES[length_rule],
        length_rule=length_rule,
        feature_rules=_feature_rules(properties, chosen, version),
        queues=_queues(chosen, level),
        level=level,
        legacy=not chosen.disable_legacy,
        uses_disabled_flag=version >= (5, 0),
        uses_started=version >= (4, 1),
    )


def _length_rule(asked: Properties, chosen: Properties) -> str:
    if chosen.page_poison:
        return rule.CONFIG_LENGTH_FULL
    if chosen.qemu_4_0_config_size:
        return rule.CONFIG_LENGTH_FIXED if asked.qemu_4_0_config_size else rule.COMPAT_LENGTH
    return rule.CONFIG_LENGTH_HINTS if chosen.free_page_hint else rule.CONFIG_LENGTH_LEAST


def _feature_rules(
    properties: Properties, chosen: Properties, version: tuple[int, int]
) -> tuple[tuple[str, int], ...]:
    poison = properties.page_poison is None and not chosen.page_poison
    applies = (
        (rule.FEATURES_PACKED, RING_PACKED, properties.packed),
        (rule.COMPAT_POISON, int(Feature.PAGE_POISON), poison),
        (rule.COMPAT_RING_RESET, RING_RESET, version < _RING_RESET_SINCE),
    )
    return tuple((name, bit) for name, bit, holds in applies if holds)


def _queues(properties: Properties, level: Level) -> tuple[Queue, ...]:
    """Number the queues: by what is offered, not by what is negotiated.

    The series as posted made the reporting queue first, where Linux expects the other order.
    """
    hint = (Queue.HINT,) if properties.free_page_hint else ()
    report = (Queue.REPORT,) if properties.free_page_reporting else ()
    last = hint + report if TRAITS[level].hint_queue_first else report + hint
    return (Queue.INFLATE, Queue.DEFLATE, Queue.STATS, *last)
