"""The guests of a capture: what is known of each, from its admission to its end."""

from __future__ import annotations

import os
import select
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workbench.capture.qemu import Qemu, inspect_qemu
from workbench.errors import HostError
from workbench.trace import GuestFacts, VirtualMachine
from workbench.units import GIB

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.capture.probe import Probes


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A guest to capture, with what its starter knows of it."""

    pid: int
    name: str = ""
    guest: GuestFacts = field(default_factory=GuestFacts)
    access_map: Path | None = None
    """The file in which QEMU's access plugin marks pages, where the guest runs with it."""


@dataclass(slots=True, kw_only=True)
class CapturedGuest:
    """A guest that is, or was, captured.

    Attributes
    ----------
    pidfd
        Tells when the process has ended.
    attached_ns
        When it was found; None for those that the capture began with.
    ended_ns
        When it was seen to have no memory any more, or to have exited; None while it runs.
    exited_ns
        When its process was seen to have exited: memory goes first.
    is_retired
        Whether all that the probes saw of it has been written down, and they are detached.
    """

    target: Target
    qemu: Qemu
    pidfd: int
    attached_ns: int | None = None
    ended_ns: int | None = None
    exited_ns: int | None = None
    is_retired: bool = False

    @property
    def pid(self) -> int:
        """Process id of QEMU."""
        return self.qemu.pid

    def has_exited(self) -> bool:
        """Whether its process has ended."""
        ready, _, _ = select.select([self.pidfd], [], [], 0)
        return bool(ready)

    def describe(self) -> VirtualMachine:
        """Write it down for the manifest."""
        qemu, balloon = self.qemu, self.qemu.balloon
        return VirtualMachine(
            name=self.target.name or qemu.name,
            qemu_version=qemu.build.version,
            qemu_build_id=qemu.build.build_id,
            machine_type=qemu.machine_type,
            accelerator=qemu.accelerator,
            arguments=qemu.arguments,
            memory_bytes=qemu.memory_bytes,
            ram_blocks=tuple(block.facts for block in qemu.blocks),
            device=balloon.properties,
            guest=self.target.guest,
            features=balloon.features or None,
            poison_val=balloon.poison_val if balloon.features else None,
            reporting_queue=balloon.reporting_indices,
            hint_queue=balloon.hint_indices,
            hint_cmd_id=balloon.hint_cmd_id,
            attached_time_ns=self.attached_ns,
            ended_time_ns=self.ended_ns,
        )


def look_at(target: Target) -> CapturedGuest:
    """Find out all that a capture needs to know of a running QEMU, and hold on to its process.

    Raises
    ------
    HostError
        It cannot be captured.
    """
    try:
        pidfd = os.pidfd_open(target.pid)
    except (OSError, OverflowError):
        message = f"pid {target.pid}: no such process; `pgrep -a qemu` lists the running guests"
        raise HostError(message) from None
    try:
        return CapturedGuest(target=target, qemu=inspect_qemu(target.pid), pidfd=pidfd)
    except OSError:
        os.close(pidfd)
        message = f"pid {target.pid}: it ended while we looked at it"
        raise HostError(message) from None
    except HostError:
        os.close(pidfd)
        raise


def refuse_unseen_faults(qemu: Qemu, probes: Probes) -> None:
    """Refuse a guest under KVM whose faults the probes would miss or could not place.

    Raises
    ------
    HostError
        They would.
    """
    if qemu.accelerator != "kvm":
        return
    if not any(file.name == "kvm" for file in probes.files):
        message = (
            f"pid {qemu.pid} runs under KVM, and this kernel has no trace point kvm_page_fault"
        )
        raise HostError(message)
    if len(qemu.blocks) > 1:
        message = (
            f"pid {qemu.pid} runs under KVM with {len(qemu.blocks)} blocks of RAM; under KVM "
            "the probes can place faults in one only"
        )
        raise HostError(message)


def low_memory_bytes(qemu: Qemu) -> int:
    """Guest RAM below the device window of an x86 machine.

    Source: QEMU 7.2 hw/i386/pc_piix.c, pc_init1 (3.5 GiB or more leaves 3 GiB below); pc_q35.c,
    pc_q35_init (2.75 GiB or more leaves 2 GiB).
    """
    size = qemu.memory_bytes
    is_q35 = "q35" in qemu.machine_type
    longest, shortened = (0xB0000000, 2 * GIB) if is_q35 else (0xE0000000, 3 * GIB)
    return shortened if size >= longest else size
