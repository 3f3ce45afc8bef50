"""The balloon device: its registers, and what it decides about a reported range.

Source: QEMU 7.2 hw/virtio/virtio-balloon.c (virtio_balloon_handle_report, _set_config,
_device_reset) and hw/virtio/virtio.c (virtio_config_writel and its siblings, virtio_reset).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.model.columns import AS_CAPTURED, BLOCK_PAGE_BYTES, USED_BYTES, DeviceState
from workbench.model.compiled import kernel
from workbench.model.outcomes import Outcome
from workbench.schema import CONFIG_POISON_OFFSET_BYTES, NO_BLOCK, Feature

if TYPE_CHECKING:
    from workbench.model.columns import Constants

DISCARDED: Final = int(Outcome.DISCARDED)
SKIPPED_INHIBITED: Final = int(Outcome.SKIPPED_INHIBITED)
SKIPPED_POISONED: Final = int(Outcome.SKIPPED_POISONED)
SKIPPED_BAD_ADDRESS: Final = int(Outcome.SKIPPED_BAD_ADDRESS)
SKIPPED_UNALIGNED: Final = int(Outcome.SKIPPED_UNALIGNED)
SKIPPED_OVERRUN: Final = int(Outcome.SKIPPED_OVERRUN)

PAGE_POISON_MASK: Final = 1 << int(Feature.PAGE_POISON)

POISON_FIRST_BYTE: Final = CONFIG_POISON_OFFSET_BYTES
POISON_STOP_BYTE: Final = CONFIG_POISON_OFFSET_BYTES + 4
"""Also the length of the config space: PAGE_POISON cannot be negotiated where it is shorter."""


def new_device(features: int, poison_val: int) -> DeviceState:
    """Make the registers of a device that starts out with these values.

    The shadow holds what the device holds: QEMU refreshes it at every read of the config space.
    """
    return DeviceState(
        features=np.array([features], np.int64),
        poison_val=np.array([poison_val], np.int64),
        shadow_poison_val=np.array([poison_val], np.int64),
        discard_inhibited=np.array([0], np.int64),
    )


@kernel
def judge_range(
    offset_bytes: int, length_bytes: int, block: int, constants: Constants, device: DeviceState
) -> int:
    """Decide the fate of one mapped range of a reported element, changing nothing.

    Ranges arrive as QEMU's mapping left them: split where a RAM block ends.  The checks stand in
    QEMU's order, because the first that fires names the outcome.  QEMU makes the first two once
    per element; nothing can change the registers between the ranges of one element.
    """
    inhibited = constants.discard_inhibited
    if inhibited == AS_CAPTURED:
        inhibited = device.discard_inhibited[0]
    poison_val = constants.poison_val
    if poison_val == AS_CAPTURED:
        poison_val = device.poison_val[0]

    if inhibited != 0:
        return SKIPPED_INHIBITED
    if poison_val != 0:
        return SKIPPED_POISONED
    if block == NO_BLOCK:
        return SKIPPED_BAD_ADDRESS
    if (offset_bytes | length_bytes) % constants.blocks[block, BLOCK_PAGE_BYTES] != 0:
        return SKIPPED_UNALIGNED
    # Written without QEMU's sum, which here could wrap around: offsets are not negative.
    if length_bytes > constants.blocks[block, USED_BYTES] - offset_bytes:
        return SKIPPED_OVERRUN
    return DISCARDED


@kernel
def write_config(offset_bytes: int, width_bytes: int, value: int, device: DeviceState) -> None:
    """Do what QEMU does when the driver writes its config space: every field is taken anew.

    The written bytes go into the shadow, and then the device reads *all* of the shadow, stale
    bytes included.  Reads of the config space, which refresh the shadow, leave no event; the
    difference shows only for a driver that writes another field after a reset without reading any.
    A write that does not fit into the config space is dropped as a whole.
    """
    if not 0 <= offset_bytes <= POISON_STOP_BYTE or width_bytes > POISON_STOP_BYTE - offset_bytes:
        return
    shadow = device.shadow_poison_val[0]
    for byte in range(max(offset_bytes, POISON_FIRST_BYTE), offset_bytes + width_bytes):
        shift = 8 * (byte - POISON_FIRST_BYTE)
        written = (value >> (8 * (byte - offset_bytes))) & 0xFF
        shadow = (shadow & ~(0xFF << shift)) | (written << shift)
    device.shadow_poison_val[0] = shadow
    if device.features[0] & PAGE_POISON_MASK != 0:
        device.poison_val[0] = shadow
    else:
        device.poison_val[0] = 0


@kernel
def reset_device(device: DeviceState) -> None:
    """Reset the device: features and poison_val go, the shadow stays, and so does an inhibitor."""
    device.features[0] = 0
    device.poison_val[0] = 0
