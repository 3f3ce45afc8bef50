"""Where QEMU keeps what the probes need, read from its own accessor functions.

Structure offsets differ from build to build.  QEMU exports tiny functions that return one field
each; the offset stands in their code.  What no accessor gives is checked while capturing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import capstone
from capstone import x86_const as x86

from workbench.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workbench.capture.elf import Program

ACCESSORS = (
    "virtqueue_pop",
    "virtio_bus_get_vdev_id",
    "virtio_get_queue_index",
    "virtio_get_num_queues",
    "virtio_queue_get_max_num",
    "virtio_config_modern_writel",
    "virtio_bus_device_plugged",
    "virtio_queue_get_last_avail_idx",
    "qemu_ram_get_host_addr",
    "qemu_ram_get_used_length",
    "qemu_ram_get_idstr",
    "qemu_ram_pagesize",
    "qemu_ram_is_shared",
    "qemu_ram_pagesize_largest",
    "ram_block_discard_is_disabled",
    "qemu_remove_balloon_handler",
)

_PACKED_RING_MASK = 0x4
"""Feature bit 34 (VIRTIO_F_RING_PACKED) within the fifth byte of the features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Offsets in bytes inside QEMU's structures, and addresses before relocation.

    Source: QEMU include/hw/virtio/virtio.h, hw/virtio/virtio.c, include/exec/ramblock.h.
    """

    queue_device: int
    queue_index: int
    queue_num_default: int
    queue_bytes: int
    queue_last_avail_idx: int
    queue_used_idx: int
    device_id: int
    device_features: int
    device_offered_features: int
    device_queues: int
    device_config_length: int
    block_host: int
    block_used_length: int
    block_name: int
    block_page_size: int
    block_flags: int
    block_next: int
    first_block_address: int
    """Of the pointer to the first RAMBlock."""
    discard_disablers_address: int
    """Of the number of those who forbid discards (VFIO does)."""
    uncoordinated_discard_disablers_address: int
    """Of the number of those who forbid discards that they are not told of."""
    balloon_address: int
    """Of the pointer to the device that takes the guest's memory; null without one."""

    @property
    def device_config(self) -> int:
        """`config` follows `config_len` (virtio.h, struct VirtIODevice)."""
        return self.device_config_length + 8


def derive_layout(program: Program) -> Layout:
    """Read the offsets from the program's accessors.

    Raises
    ------
    HostError
        An accessor is missing, or is built in a way that was not seen in QEMU 7.2 to 11.1.
    """
    missing = program.missing(ACCESSORS)
    if missing:
        message = (
            f"{program.path}: does not export {', '.join(missing)}, so the probes cannot find "
            "their way in it; use a distribution's QEMU 5.1 or newer"
        )
        raise HostError(message)
    code = _Code(program)
    disablers, uncoordinated_disablers = code.variables("ram_block_discard_is_disabled")
    last_avail_idx, used_idx = code.ring_positions("virtio_queue_get_last_avail_idx")
    return Layout(
        queue_device=code.load("virtqueue_pop", base="rdi"),
        queue_index=code.load("virtio_get_queue_index", base="rdi"),
        queue_num_default=code.load("virtio_queue_get_max_num", last=True),
        queue_bytes=code.stride("virtio_get_num_queues"),
        queue_last_avail_idx=last_avail_idx,
        queue_used_idx=used_idx,
        device_id=code.load("virtio_bus_get_vdev_id", size=2),
        device_features=code.tested_byte("virtqueue_pop", _PACKED_RING_MASK) - 4,
        device_offered_features=code.loaded_and_stored("virtio_bus_device_plugged"),
        device_queues=code.load("virtio_get_num_queues", base="rdi"),
        device_config_length=code.compared("virtio_config_modern_writel"),
        block_host=code.load("qemu_ram_get_host_addr", base="rdi"),
        block_used_length=code.load("qemu_ram_get_used_length", base="rdi"),
        block_name=code.load("qemu_ram_get_idstr", base="rdi"),
        block_page_size=code.load("qemu_ram_pagesize", base="rdi"),
        block_flags=code.load("qemu_ram_is_shared", base="rdi"),
        block_next=code.self_load("qemu_ram_pagesize_largest"),
        first_block_address=code.relative_load("qemu_ram_pagesize_largest"),
        discard_disablers_address=disablers,
        uncoordinated_discard_disablers_address=uncoordinated_disablers,
        balloon_address=code.relative_load("qemu_remove_balloon_handler"),
    )


_LOADS = (x86.X86_INS_MOV, x86.X86_INS_MOVZX, x86.X86_INS_LEA)
_WORD_BYTES = 8
_HALF_WORD_BYTES = 2
_RING_POSITIONS = 2
_VARIABLES_MAX = 2
"""QEMU 7.2 softmmu/physmem.c, ram_block_discard_is_disabled; older ones have one."""
_STACK = ("rsp", "rbp", "rip", "")


@dataclass(frozen=True, slots=True)
class _Access:
    """One instruction that names memory: its operands as plain values."""

    instruction: int
    register: str
    base: str
    has_index: bool
    displacement: int
    size: int
    immediate: int | None
    next_address: int


class _Code:
    """Finds the one instruction of a function that shows an offset."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self._decoder.detail = True

    def load(self, name: str, *, base: str = "", size: int = 0, last: bool = False) -> int:
        """Offset of the first (or last) field that the function loads through a pointer."""
        return self._find(
            name,
            lambda access: (
                access.instruction in _LOADS
                and access.register != ""
                and access.base not in _STACK
                and not access.has_index
                and base in ("", access.base)
                and size in (0, access.size)
            ),
            last=last,
        ).displacement

    def self_load(self, name: str) -> int:
        """Offset of the field through which a loop goes to the next element of a list."""
        return self._find(
            name,
            lambda access: access.instruction == x86.X86_INS_MOV and access.register == access.base,
        ).displacement

    def relative_load(self, name: str) -> int:
        """Address of the variable that the function loads, or compares, first."""
        access = self._find(name, lambda access: access.base == "rip")
        return access.next_address + access.displacement

    def variables(self, name: str) -> tuple[int, int]:
        """Addresses of the variables that the function asks: two, or one twice."""
        addresses = [
            access.next_address + access.displacement
            for access in self._accesses(name, whole=True)
            if access.base == "rip"
        ]
        if not 1 <= len(addresses) <= _VARIABLES_MAX:
            raise self._unknown(name)
        return addresses[0], addresses[-1]

    def tested_byte(self, name: str, mask: int) -> int:
        """Offset of the byte in which the function tests `mask`."""
        return self._find(
            name,
            lambda access: (
                access.instruction == x86.X86_INS_TEST
                and access.size == 1
                and access.immediate == mask
            ),
        ).displacement

    def compared(self, name: str) -> int:
        """Offset of the first eight-byte field that the function compares."""
        return self._find(
            name,
            lambda access: (
                access.instruction == x86.X86_INS_CMP
                and access.size == _WORD_BYTES
                and access.base not in _STACK[:1] + _STACK[2:]
            ),
        ).displacement

    def loaded_and_stored(self, name: str) -> int:
        """Offset of the eight-byte field that the function reads, and replaces later."""
        loaded: set[tuple[str, int]] = set()
        for access in self._accesses(name, whole=True):
            place = (access.base, access.displacement)
            is_field = access.base not in _STACK[:1] + _STACK[2:] and access.displacement > 0
            if access.instruction != x86.X86_INS_MOV or access.size != _WORD_BYTES or not is_field:
                continue
            if access.register:
                loaded.add(place)
            elif access.immediate is None and place in loaded:
                return access.displacement
        raise self._unknown(name)

    def ring_positions(self, name: str) -> tuple[int, int]:
        """Offsets of the two 16-bit fields that the function puts into one number.

        `last_avail_idx` is before `used_idx` (QEMU 7.2 hw/virtio/virtio.c, struct VirtQueue).
        """
        accesses = self._accesses(name)
        found = {access.displacement for access in accesses if access.size == _HALF_WORD_BYTES}
        if len(found) != _RING_POSITIONS:
            raise self._unknown(name)
        return min(found), max(found)

    def stride(self, name: str) -> int:
        """Step by which the function walks an array."""
        for instruction in self._instructions(name):
            if instruction.id == x86.X86_INS_ADD:
                step = instruction.operands[1]
                if (
                    step.type == x86.X86_OP_IMM and step.imm > _WORD_BYTES
                ):  # Not the counter of the loop.
                    return int(step.imm)
        raise self._unknown(name)

    def _find(self, name: str, wanted: Callable[[_Access], bool], *, last: bool = False) -> _Access:
        found = [access for access in self._accesses(name) if wanted(access)]
        if not found:
            raise self._unknown(name)
        return found[-1 if last else 0]

    def _accesses(self, name: str, *, whole: bool = False) -> Iterator[_Access]:
        for instruction in self._instructions(name, whole=whole):
            operands = instruction.operands
            memory = [operand for operand in operands if operand.type == x86.X86_OP_MEM]
            if not memory:
                continue
            first = operands[0]
            immediates = [operand.imm for operand in operands if operand.type == x86.X86_OP_IMM]
            yield _Access(
                instruction=instruction.id,
                register=_full_name(instruction.reg_name(first.reg))
                if first.type == x86.X86_OP_REG
                else "",
                base=instruction.reg_name(memory[0].mem.base) or "",
                has_index=memory[0].mem.index != 0,
                displacement=memory[0].mem.disp,
                size=memory[0].size,
                immediate=immediates[0] if immediates else None,
                next_address=instruction.address + instruction.size,
            )

    def _instructions(self, name: str, *, whole: bool = False) -> Iterator[capstone.CsInsn]:
        """Decode up to the first return, before which accessors have their answer; or on."""
        address, code = self._program.code[name]
        for instruction in self._decoder.disasm(code, address):
            yield instruction
            if instruction.id == x86.X86_INS_RET and not whole:
                return

    def _unknown(self, name: str) -> HostError:
        return HostError(
            f"{self._program.path}: its {name} is not built the way the probes can read; "
            "use a distribution's QEMU 5.1 or newer, and tell us about this one"
        )


def _full_name(register: str) -> str:
    """The 64-bit name of a register, as a base register is always named."""
    return "r" + register[1:] if register.startswith("e") else register
