"""The balloon device of a running QEMU, read from its memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.errors import HostError
from workbench.schema import CONFIG_POISON_OFFSET_BYTES, Feature
from workbench.trace import BalloonProperties, QueueIndices

if TYPE_CHECKING:
    from workbench.capture.layout import Layout
    from workbench.capture.process import ProcessMemory

BALLOON_DEVICE_ID = 5
"""virtio 1.2, 5.5.1."""

_QUEUE_COUNT_RANGE = (3, 5)
"""Inflate, deflate and statistics always; hints and reports if offered (QEMU realize order)."""

_REPORTING_QUEUE_SIZE = 32
"""QEMU 7.2 hw/virtio/virtio-balloon.c, virtio_balloon_device_realize."""

_CONFIG_HINT_CMD_ID_OFFSET_BYTES = 8
"""virtio 1.2, 5.5.4: free_page_hint_cmd_id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balloon:
    """The balloon device of a running QEMU, as its memory shows it.

    Attributes
    ----------
    address
        Address of the VirtIODevice.
    reporting_queue, hint_queue
        Queue numbers; -1 where the queue is not offered.
    features
        Features in force; 0 before the driver sets them.
    """

    address: int
    reporting_queue: int
    hint_queue: int
    features: int
    poison_val: int
    properties: BalloonProperties
    reporting_indices: QueueIndices | None
    hint_indices: QueueIndices | None
    hint_cmd_id: int | None


def find_balloon(memory: ProcessMemory, layout: Layout, base: int, pid: int) -> Balloon:
    """Find the balloon device where QEMU itself keeps it, for its command `balloon`.

    A handful of pages is read, however large QEMU is: of a guest at its memory limit, what is read
    has to come back from swap, and may get the guest killed.

    Parameters
    ----------
    base
        Where the program's address 0 is.

    Raises
    ------
    HostError
        It has none.

    Source: QEMU 7.2 softmmu/balloon.c, balloon_opaque; there is never more than one.
    """
    address = memory.pointer(base + layout.balloon_address)
    if address == 0 or not _is_balloon(memory, layout, address):
        message = (
            f"pid {pid}: has no virtio-balloon device; start the guest with "
            "-device virtio-balloon-pci,free-page-reporting=on"
        )
        raise HostError(message)
    return describe_balloon(memory, layout, address)


def _is_balloon(memory: ProcessMemory, layout: Layout, address: int) -> bool:
    """Hyper-V's balloon is kept in the same place, and a young device has no queues yet.

    Each queue points back to its device, and knows its number.
    """
    try:
        if memory.integer(address + layout.device_id, 2) != BALLOON_DEVICE_ID:
            return False
        queues = memory.pointer(address + layout.device_queues)
        numbers = []
        for number in range(_QUEUE_COUNT_RANGE[0]):
            queue = queues + number * layout.queue_bytes
            if memory.pointer(queue + layout.queue_device) != address:
                return False
            numbers.append(memory.integer(queue + layout.queue_index, 2))
    except HostError:  # What is there is no virtio device.
        return False
    return numbers == list(range(_QUEUE_COUNT_RANGE[0]))


def describe_balloon(memory: ProcessMemory, layout: Layout, address: int) -> Balloon:
    """Read the device at `address`.

    Raises
    ------
    HostError
        Its queues are not those of a balloon of QEMU.
    """
    queues = memory.pointer(address + layout.device_queues)
    sizes = [
        memory.integer(queues + number * layout.queue_bytes + layout.queue_num_default, 4)
        for number in range(_QUEUE_COUNT_RANGE[1])
    ]
    offered = memory.pointer(address + layout.device_offered_features)
    features = memory.pointer(address + layout.device_features)
    hint_queue = 3 if _has(offered, Feature.FREE_PAGE_HINT) else -1
    reporting_queue = -1
    if _has(offered, Feature.REPORTING):
        reporting_queue = 3 if hint_queue < 0 else 4
        if sizes[reporting_queue] != _REPORTING_QUEUE_SIZE:
            message = (
                f"the reporting queue should be number {reporting_queue} with "
                f"{_REPORTING_QUEUE_SIZE} entries, this QEMU has {sizes[reporting_queue]} there; "
                "its structures are not the ones the probes know"
            )
            raise HostError(message)
    return Balloon(
        address=address,
        reporting_queue=reporting_queue,
        hint_queue=hint_queue,
        features=features,
        poison_val=_poison_val(memory, layout, address, features),
        properties=BalloonProperties(
            free_page_reporting=_has(offered, Feature.REPORTING),
            page_poison=_has(offered, Feature.PAGE_POISON),
            free_page_hint=_has(offered, Feature.FREE_PAGE_HINT),
        ),
        reporting_indices=_indices(memory, layout, queues, reporting_queue),
        hint_indices=_indices(memory, layout, queues, hint_queue),
        hint_cmd_id=_hint_cmd_id(memory, layout, address, features),
    )


def _indices(
    memory: ProcessMemory, layout: Layout, queues: int, number: int
) -> QueueIndices | None:
    if number < 0:
        return None
    queue = queues + number * layout.queue_bytes
    return QueueIndices(
        last_avail_idx=memory.integer(queue + layout.queue_last_avail_idx, 2),
        used_idx=memory.integer(queue + layout.queue_used_idx, 2),
    )


def _poison_val(memory: ProcessMemory, layout: Layout, address: int, features: int) -> int:
    """The poison value in the device's copy of its config space; 0 if not negotiated."""
    if not _has(features, Feature.PAGE_POISON):
        return 0
    return _config_field(memory, layout, address, CONFIG_POISON_OFFSET_BYTES) or 0


def _hint_cmd_id(memory: ProcessMemory, layout: Layout, address: int, features: int) -> int | None:
    """What the driver last read; QEMU fills in its copy of the config space at every read."""
    if not _has(features, Feature.FREE_PAGE_HINT):
        return None
    return _config_field(memory, layout, address, _CONFIG_HINT_CMD_ID_OFFSET_BYTES)


def _config_field(
    memory: ProcessMemory, layout: Layout, address: int, offset_bytes: int
) -> int | None:
    """Read four bytes of the device's copy of its config space; None if it is not that long."""
    length = memory.pointer(address + layout.device_config_length)
    if length < offset_bytes + 4:
        return None
    config = memory.pointer(address + layout.device_config)
    return memory.integer(config + offset_bytes, 4)


def _has(features: int, feature: Feature) -> bool:
    return bool(features >> feature & 1)
