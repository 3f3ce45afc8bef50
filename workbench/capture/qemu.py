"""A running QEMU: what its process says, its guest RAM, and its balloon device."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.capture.arguments import machine_type, without_secrets
from workbench.capture.balloon import Balloon, describe_balloon, find_balloon
from workbench.capture.build import read_build
from workbench.capture.host import transparent_huge_pages
from workbench.capture.process import Mapping, ProcessMemory, read_mappings
from workbench.capture.smaps import read_smaps
from workbench.errors import HostError
from workbench.trace import RamBlock
from workbench.units import HUGE_PAGE_BYTES, MIB

if TYPE_CHECKING:
    from workbench.capture.build import Build
    from workbench.capture.layout import Layout

_RAM_SHARED = 1 << 1
"""QEMU 7.2 include/exec/memory.h, RAM_SHARED."""

_SIGN_BIT = 1 << 31

_LONGEST_RAM_LIST = 256
"""A list longer than this is not the list of RAM blocks."""

_NOT_GUEST_RAM = re.compile(r"\.(bios|rom|vram)|rom@|/rom|\.rom\b|acpi|vga|flash|pflash")
"""Blocks that hold firmware or pictures, never pages of the guest's allocator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestBlock:
    """A block of guest RAM, with where QEMU keeps it.

    Attributes
    ----------
    block_address
        Address of the RAMBlock structure.
    host_address
        Address of the block's first byte in QEMU.
    """

    block_address: int
    host_address: int
    facts: RamBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class Qemu:
    """One running QEMU, understood well enough to be captured."""

    pid: int
    name: str
    machine_type: str
    accelerator: str
    arguments: tuple[str, ...]
    memory_bytes: int
    build: Build
    load_address: int
    """Where the program's address 0 is."""
    blocks: tuple[GuestBlock, ...]
    balloon: Balloon


def inspect_qemu(pid: int) -> Qemu:
    """Find out all that a capture needs to know about process `pid`.

    Raises
    ------
    HostError
        It is not a QEMU system emulator, too old, has no balloon, or may not be looked at.
    """
    mappings = read_mappings(pid)
    arguments = _arguments(pid)
    path = Path(f"/proc/{pid}/exe")
    if "qemu" not in Path(arguments[0]).name and not path.readlink().name.startswith("qemu"):
        name = Path(arguments[0]).name
        message = f"pid {pid} is {name!r}, not a QEMU; `pgrep -a qemu` lists the guests"
        raise HostError(message)
    build = read_build(path)
    with ProcessMemory(pid) as memory:
        base = _load_address(pid, path, mappings)
        blocks = tuple(_guest_blocks(memory, base, build.layout, pid))
        balloon = find_balloon(memory, build.layout, base, pid)
    options = _options(arguments)
    return Qemu(
        pid=pid,
        name=_name_from(options, pid),
        machine_type=machine_type(_machine(options)),
        accelerator=_accelerator(options),
        arguments=without_secrets(arguments),
        memory_bytes=sum(block.facts.used_bytes for block in blocks),
        build=build,
        load_address=base,
        blocks=blocks,
        balloon=balloon,
    )


def with_current_balloon(qemu: Qemu) -> Qemu:
    """Read the balloon's state again: its driver may have been at work since the first look."""
    with ProcessMemory(qemu.pid) as memory:
        balloon = describe_balloon(memory, qemu.build.layout, qemu.balloon.address)
    return replace(qemu, balloon=balloon)


def forbids_discards(qemu: Qemu) -> bool:
    """Ask what QEMU asks itself before it discards (ram_block_discard_is_disabled)."""
    layout = qemu.build.layout
    counters = (layout.discard_disablers_address, layout.uncoordinated_discard_disablers_address)
    with ProcessMemory(qemu.pid) as memory:
        counts = [memory.integer(qemu.load_address + address, 4) for address in counters]
    # Where one variable says it all, it is negative while someone needs discards (QEMU 5.1).
    return any(0 < count < _SIGN_BIT for count in counts)


def _machine(options: dict[str, str]) -> str:
    return options.get("machine") or options.get("M") or ""


def _accelerator(options: dict[str, str]) -> str:
    """Which accelerator the options choose; TCG without any (QEMU 7.2 softmmu/vl.c)."""
    if "enable-kvm" in options:
        return "kvm"
    in_machine = re.search(r"accel=(\w+)", _machine(options))
    chosen = in_machine[1] if in_machine else "tcg"
    return options.get("accel", chosen).partition(",")[0]


def _arguments(pid: int) -> tuple[str, ...]:
    content = Path(f"/proc/{pid}/cmdline").read_bytes()
    arguments = tuple(part.decode(errors="replace") for part in content.split(b"\0")[:-1])
    if not arguments:
        message = f"pid {pid} has no command line (a kernel thread?); it is not a QEMU"
        raise HostError(message)
    return arguments


def _options(arguments: tuple[str, ...]) -> dict[str, str]:
    """The first value of each option of a QEMU command line."""
    options: dict[str, str] = {}
    for option, value in zip(arguments[1:], (*arguments[2:], ""), strict=True):
        if option.startswith("-"):
            options.setdefault(option.lstrip("-"), "" if value.startswith("-") else value)
    return options


def guest_name(pid: int) -> str:
    """Give the name of a running guest: what QEMU's `-name` says, else one made of the pid."""
    return _name_from(_options(_arguments(pid)), pid)


def _name_from(options: dict[str, str], pid: int) -> str:
    """QEMU's `-name NAME` or `-name debug-threads=on,guest=NAME`; a comma in it stands doubled."""
    parts = re.split(r"(?<!,),(?!,)", options.get("name", ""))
    named = [part.removeprefix("guest=") for part in parts if part.startswith("guest=")]
    plain = [part for part in parts[:1] if "=" not in part]
    name = (named or plain or [""])[0].replace(",,", ",")
    return name or f"pid-{pid}"


def _load_address(pid: int, path: Path, mappings: list[Mapping]) -> int:
    """Where the program's address 0 is; its first mapping is of its first byte."""
    target = str(path.readlink())
    for mapping in mappings:
        if mapping.name == target and mapping.file_offset == 0:
            return mapping.first
    message = f"pid {pid}: {shlex.quote(target)} is not mapped; was it replaced? restart the guest"
    raise HostError(message)


def _guest_blocks(memory: ProcessMemory, base: int, layout: Layout, pid: int) -> list[GuestBlock]:
    """Walk QEMU's list of RAM blocks.

    Source: QEMU 7.2 softmmu/physmem.c, qemu_ram_pagesize_largest: the same walk.
    """
    huge = [use for use in read_smaps(pid) if use.advised_huge]
    always_huge = transparent_huge_pages() == "always"
    blocks = []
    address = memory.pointer(base + layout.first_block_address)
    for _ in range(_LONGEST_RAM_LIST):
        if address == 0:
            break
        name = memory.text(address + layout.block_name)
        used_bytes = memory.pointer(address + layout.block_used_length)
        host_address = memory.pointer(address + layout.block_host)
        if used_bytes >= MIB and not _NOT_GUEST_RAM.search(name):
            facts = RamBlock(
                name=name,
                used_bytes=used_bytes,
                page_bytes=memory.pointer(address + layout.block_page_size),
                shared=bool(memory.integer(address + layout.block_flags, 4) & _RAM_SHARED),
                transparent_huge_page=always_huge
                or any(use.first <= host_address < use.stop for use in huge),
                huge_page_offset_bytes=host_address % HUGE_PAGE_BYTES,
            )
            blocks.append(GuestBlock(block_address=address, host_address=host_address, facts=facts))
        address = memory.pointer(address + layout.block_next)
    if not blocks:
        message = "no guest RAM found in this QEMU; attach once its machine is built"
        raise HostError(message)
    return sorted(blocks, key=lambda block: (-block.facts.used_bytes, block.facts.name))
