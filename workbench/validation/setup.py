"""Which machine: its memory, its balloon, and the command line that makes QEMU build it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from workbench.errors import InputError, UsageError
from workbench.model.balloon.offer import Properties
from workbench.units import GIB, HUGE_PAGE_BYTES, KIB, MIB, PAGE_BYTES
from workbench.validation.strict_json import from_plain
from workbench.validation.trace_log import TRACE_EVENTS

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

BALLOON_SLOT: Final = 4
"""PCI slot of the first balloon; a second one is beside it."""

_VGA_SLOT: Final = 2

_MEMORY_STEP_BYTES: Final = 8 * KIB
"""QEMU rounds the guest's memory up to this (softmmu/vl.c, parse_memory_options), and then refuses
a backend of another size."""

_TRANSLATION_CACHE_MIB: Final = 8
"""A halted processor needs no more; of the default, 1 GiB, all would be locked by `mem_lock`."""

_FIRMWARE: Final = "halt.bin"
_FIRMWARE_BYTES: Final = 64 * KIB
_HALT: Final = 0xF4
_RESET_VECTOR: Final = 0xFFF0
_HALT_FOR_EVER: Final = bytes((0xFA, 0xF4, 0xEB, 0xFD))
"""cli; hlt; jump back to the hlt."""

BackendKind: TypeAlias = Literal["anonymous", "memfd", "file", "hugetlb"]

_THREAD: Final = "iot0"

TRACE_FILE: Final = "trace"
"""Where QEMU writes its trace, in the machine's folder."""

_SWITCHES: Final = {
    "page_poison": "page-poison",
    "free_page_reporting": "free-page-reporting",
    "free_page_hint": "free-page-hint",
    "deflate_on_oom": "deflate-on-oom",
    "qemu_4_0_config_size": "qemu-4-0-config-size",
    "packed": "packed",
    "event_idx": "event_idx",
    "indirect_desc": "indirect_desc",
    "iommu_platform": "iommu_platform",
}
"""Our names of the device's properties, and QEMU's."""

_AS_IN_7_2: Final = {"ioeventfd": "off", "vectors": "0"}
"""What newer QEMUs have, and have switched on: kicks that are served some time later instead of at
once, and registers for MSI-X, which move the legacy config space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """Host memory that a RAM block is made of."""

    size_bytes: int
    kind: BackendKind = "anonymous"
    """A file is one in the machine's own folder; hugetlb is a memfd of 2 MiB pages."""
    shared: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        step = HUGE_PAGE_BYTES if self.kind == "hugetlb" else PAGE_BYTES
        if self.size_bytes <= 0 or self.size_bytes % step:
            raise UsageError(
                f"{self.kind} memory of {self.size_bytes} bytes: choose a multiple of {step}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A machine with a balloon, as it is started."""

    machine_type: str = "pc-i440fx-7.2"
    memory: tuple[Backend, ...] = (Backend(size_bytes=16 * MIB),)
    """One after the other; of several, each is a NUMA node."""
    dimms: tuple[Backend, ...] = ()
    """Memory modules, beyond the memory."""
    max_ram_below_4g_bytes: int | None = None
    """How much of the memory is below 4 GiB; None leaves it to the machine type."""
    properties: Properties = field(default_factory=Properties)
    mem_lock: bool = False
    """Whether all of QEMU's memory is locked, so that no discard succeeds."""
    vga: bool = False
    """Whether there is a graphics card, which hides the memory at 0xa0000."""
    incoming: Literal["none", "deferred"] = "none"
    """Whether the machine waits to be told where a migration comes from."""
    send_configuration: bool = True
    """Whether a migration begins with a section on the machine type."""
    stopped: bool = False
    """Whether the machine's clock waits to be started."""
    balloon_count: int = 1
    """QEMU refuses a second one."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not self.machine_type:
            raise UsageError("the machine type is empty: choose one such as pc-i440fx-7.2")
        if not self.memory or self.memory_bytes % _MEMORY_STEP_BYTES:
            raise UsageError(
                f"memory of {self.memory_bytes} bytes in all: choose a multiple of "
                f"{_MEMORY_STEP_BYTES}"
            )
        if any(dimm.size_bytes % HUGE_PAGE_BYTES for dimm in self.dimms):
            raise UsageError("a memory module's size must be a multiple of 2 MiB (hw/mem/pc-dimm)")
        if self.max_ram_below_4g_bytes is not None and self.max_ram_below_4g_bytes < MIB:
            raise UsageError(
                f"max_ram_below_4g_bytes {self.max_ram_below_4g_bytes}: choose {MIB} or more"
            )
        if self.balloon_count not in range(3):
            raise UsageError(f"{self.balloon_count} balloons: choose 0, 1 or 2")

    @property
    def memory_bytes(self) -> int:
        """Size of the memory, without the modules."""
        return sum(backend.size_bytes for backend in self.memory)

    @property
    def huge_page_count(self) -> int:
        """How many huge pages of the host it takes."""
        backends = [*self.memory, *self.dimms]
        huge = [backend.size_bytes for backend in backends if backend.kind == "hugetlb"]
        return sum(huge) // HUGE_PAGE_BYTES

    def private_blocks(self) -> set[str]:
        """Name the RAM blocks that only QEMU has, with no file behind them."""
        backends = {f"m{number}": backend for number, backend in enumerate(self.memory)}
        backends |= {f"d{number}": backend for number, backend in enumerate(self.dimms)}
        return {
            name
            for name, backend in backends.items()
            if backend.kind == "anonymous" and not backend.shared
        }

    def to_json(self) -> dict[str, Any]:
        """Give the setup as a plain dict, every field in it: a default may change, a file may not.

        JSON has no tuples, so lists stand for them.
        """
        plain = dataclasses.asdict(self)
        return plain | {name: list(plain[name]) for name in ("memory", "dimms")}

    @classmethod
    def from_json(cls, plain: object) -> Setup:
        """Read what `to_json` gave; fields that are not there have their defaults.

        Raises
        ------
        InputError
            A key is unknown or missing, or a value cannot be; the message names it.
        """
        try:
            return from_plain(cls, plain, "setup")
        except UsageError as error:
            raise InputError(f"setup: {error}") from error


def command_line(
    setup: Setup,
    qemu: str,
    folder: Path,
    *,
    sockets: tuple[int, int] | None = None,
    known: Collection[str] = (),
) -> list[str]:
    """Give the command line of a machine whose processor halts at once.

    Parameters
    ----------
    folder
        The machine's own; `write_firmware` has been called for it.
    sockets
        Open file descriptors for qtest and for the control socket.  Without, QEMU listens on
        sockets of those names in the folder.
    known
        Properties that this QEMU's balloon has.  Those that 7.2 has need not be named.
    """
    ends = [f"fd={end}" for end in sockets or ()] or [
        f"path={folder / name},server=on,wait=off" for name in ("qtest", "control")
    ]
    arguments = [qemu, "-nodefaults", "-no-user-config", "-display", "none"]
    arguments += ["-accel", f"tcg,tb-size={_TRANSLATION_CACHE_MIB}"]
    arguments += ["-bios", str(folder / _FIRMWARE), *_memory_arguments(setup, folder)]
    # qtest takes a character device only by this name (softmmu/qtest.c, qtest_server_init).
    arguments += ["-chardev", f"socket,id=qtest,{ends[0]}", "-qtest", "chardev:qtest"]
    arguments += ["-qtest-log", "none"]
    # The same as -mon, which newer QEMUs warn of.
    arguments += ["-chardev", f"socket,id=control,{ends[1]}", "-qmp", "chardev:control"]
    arguments += ["-D", str(folder / TRACE_FILE)]
    for event in TRACE_EVENTS:
        arguments += ["-trace", event]
    arguments += ["-overcommit", "mem-lock=on"] if setup.mem_lock else []
    arguments += ["-device", f"VGA,addr={_VGA_SLOT},romfile="] if setup.vga else []
    arguments += ["-incoming", "defer"] if setup.incoming == "deferred" else []
    if not setup.send_configuration:
        arguments += ["-global", "migration.send-configuration=off"]
    arguments += ["-S"] if setup.stopped else []
    return arguments + _balloon_arguments(setup, known)


def device_properties(properties: Properties) -> dict[str, str]:
    """Give what is said of the device on the command line: QEMU's names of properties, and values.

    What the machine type decides is not.
    """
    values: dict[str, bool | None] = {
        name: getattr(properties, ours) for ours, name in _SWITCHES.items()
    }
    named = {name: _on(value) for name, value in values.items() if value is not None}
    if properties.disable_legacy:
        named["disable-legacy"] = "on"
    if properties.free_page_hint and properties.iothread:
        named["iothread"] = _THREAD
    return named


def write_firmware(folder: Path) -> None:
    """Write a firmware that halts, so that nobody but us touches the machine."""
    firmware = bytearray((_HALT,) * _FIRMWARE_BYTES)
    firmware[_RESET_VECTOR : _RESET_VECTOR + len(_HALT_FOR_EVER)] = _HALT_FOR_EVER
    (folder / _FIRMWARE).write_bytes(firmware)


def _memory_arguments(setup: Setup, folder: Path) -> list[str]:
    machine = setup.machine_type
    nodes: list[str] = []
    if len(setup.memory) == 1:
        machine += ",memory-backend=m0"
    else:
        for number in range(len(setup.memory)):
            # Without its processor in a node, QEMU warns.
            processor = "" if number else ",cpus=0"
            nodes += ["-numa", f"node,nodeid={number}{processor},memdev=m{number}"]
    if setup.max_ram_below_4g_bytes is not None:
        machine += f",max-ram-below-4g={setup.max_ram_below_4g_bytes}"
    size = f"size={setup.memory_bytes}B"
    if setup.dimms:
        # A module may need a gigabyte more, to be aligned (hw/i386/pc.c, pc_memory_init).
        room_bytes = sum(dimm.size_bytes + GIB for dimm in setup.dimms)
        size += f",slots={len(setup.dimms)},maxmem={setup.memory_bytes + room_bytes}B"
    arguments = ["-machine", machine, "-m", size]
    for number, backend in enumerate(setup.memory):
        arguments += ["-object", _backend(backend, f"m{number}", folder)]
    arguments += nodes
    for number, dimm in enumerate(setup.dimms):
        arguments += ["-object", _backend(dimm, f"d{number}", folder)]
        arguments += ["-device", f"pc-dimm,id=dimm{number},memdev=d{number}"]
    return arguments


def _backend(backend: Backend, name: str, folder: Path) -> str:
    kinds = {
        "anonymous": f"memory-backend-ram,id={name}",
        "memfd": f"memory-backend-memfd,id={name}",
        "file": f"memory-backend-file,id={name},mem-path={folder / name}",
        "hugetlb": f"memory-backend-memfd,id={name},hugetlb=on,hugetlbsize=2M",
    }
    return f"{kinds[backend.kind]},size={backend.size_bytes},share={_on(backend.shared)}"


def _balloon_arguments(setup: Setup, known: Collection[str]) -> list[str]:
    properties = device_properties(setup.properties)
    arguments = ["-object", f"iothread,id={_THREAD}"] if "iothread" in properties else []
    properties |= {name: value for name, value in _AS_IN_7_2.items() if name in known}
    switches = "".join(f",{name}={value}" for name, value in properties.items())
    for number in range(setup.balloon_count):
        place = f"addr={BALLOON_SLOT + number},id=bal{number}"
        arguments += ["-device", f"virtio-balloon-pci,{place}{switches}"]
    return arguments


def _on(holds: bool) -> str:  # noqa: FBT001 - one word for one truth
    return "on" if holds else "off"
