"""What of a QEMU command line a trace may hold: an allow-list, because nobody can list all secrets.

Passwords stand in `-object secret`, in the addresses of disks, on kernels' command lines, in
firmware settings and wherever the next QEMU takes them.  So a value is kept only where the
workbench knows what it means: what shapes the guest's memory, its processor and its balloon.  Of
everything else only the name of the option is kept, if it is one of QEMU's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REMOVED: Final = "(removed)"

_PLAIN_VALUE: Final = re.compile(r"on|off|yes|no|auto|split|single|multi|[0-9]{1,20}[kKmMgGtT]?")
"""A switch, a word that QEMU knows, a number or a size: no room for anything else."""

_TYPE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
"""A name of a machine, a processor or an accelerator, of which QEMU accepts only its own."""

_MEMORY_TYPE: Final = re.compile(r"memory-backend-(ram|file|memfd|epc)|iothread")
_BALLOON_TYPE: Final = re.compile(r"virtio-balloon(-[a-z]+)*")
_PROGRAM: Final = re.compile(r"qemu(-[a-z0-9_]+)*|kvm")

_KEPT_VALUES: Final[dict[str, tuple[re.Pattern[str] | None, frozenset[str]]]] = {
    "accel": (_TYPE, frozenset({"thread", "tb-size", "split-wx", "one-insn-per-tb"})),
    "cpu": (_TYPE, frozenset({"migratable", "pmu", "phys-bits", "host-phys-bits"})),
    "device": (
        _BALLOON_TYPE,
        frozenset(
            {
                *("free-page-reporting", "page-poison", "free-page-hint", "deflate-on-oom"),
                *("guest-stats-polling-interval", "disable-legacy", "disable-modern"),
                *("iommu_platform", "packed", "event_idx", "indirect_desc", "ats", "vectors"),
            }
        ),
    ),
    "m": (re.compile(r"[0-9]{1,20}[kKmMgGtT]?"), frozenset({"size", "slots", "maxmem"})),
    "machine": (
        _TYPE,
        frozenset(
            {
                *("accel", "mem-merge", "dump-guest-core", "kernel_irqchip", "smm", "hpet"),
                *("usb", "nvdimm", "hmat", "max-ram-below-4g"),
            }
        ),
    ),
    "numa": (
        re.compile(r"node|dist|cpu|hmat-lb|hmat-cache"),
        frozenset({"nodeid", "cpus", "mem", "src", "dst", "val", "node-id", "socket-id"}),
    ),
    "object": (
        _MEMORY_TYPE,
        frozenset(
            {
                *("size", "share", "prealloc", "prealloc-threads", "merge", "dump", "hugetlb"),
                *("hugetlbsize", "align", "reserve", "host-nodes", "poll-max-ns", "seal"),
            }
        ),
    ),
    "overcommit": (None, frozenset({"mem-lock", "cpu-pm"})),
    "smp": (
        re.compile(r"[0-9]{1,20}"),
        frozenset({"cpus", "maxcpus", "sockets", "dies", "clusters", "cores", "threads"}),
    ),
}
"""Of each option: what its first word may be, and the keys whose plain values are kept."""

_SAME_OPTION: Final = {"M": "machine"}

_FLAGS: Final = frozenset(
    {
        *("S", "daemonize", "enable-kvm", "mem-prealloc", "no-acpi", "no-hpet", "no-reboot"),
        *("no-shutdown", "no-user-config", "nodefaults", "nographic", "only-migratable"),
        *("preconfig", "singlestep", "snapshot", "usb"),
    }
)
"""Options without a value (QEMU 7.2 qemu-options.hx, without HAS_ARG)."""

_NAMED_ONLY: Final = frozenset(
    {
        *(
            "acpitable",
            "add-fd",
            "append",
            "audio",
            "audiodev",
            "bios",
            "blockdev",
            "boot",
            "cdrom",
        ),
        *("chardev", "chroot", "compat", "d", "debugcon", "device", "display", "drive", "dtb"),
        *("dump-vmstate", "echr", "fda", "fdb", "fsdev", "fw_cfg", "g", "gdb", "global", "hda"),
        *("hdb", "hdc", "hdd", "icount", "incoming", "initrd", "iscsi", "k", "kernel", "loadvm"),
        *("mem-path", "mon", "monitor", "msg", "mtdblock", "name", "net", "netdev", "nic"),
        *("option-rom", "parallel", "pflash", "pidfile", "plugin", "prom-env", "qmp", "qmp-pretty"),
        *(
            "readconfig",
            "rtc",
            "runas",
            "sandbox",
            "sd",
            "seed",
            "serial",
            "set",
            "smbios",
            "spice",
        ),
        *("tb-size", "tpmdev", "trace", "usbdevice", "uuid", "vga", "virtfs", "vnc", "watchdog"),
        *("watchdog-action", "D"),
    }
)
"""Options whose value is not kept (the same file, with HAS_ARG)."""


def without_secrets(arguments: Sequence[str]) -> tuple[str, ...]:
    """Give a command line of which only what is known to hold no secret is left.

    Raises nothing: a guest's command line may be anything.
    """
    program = Path(arguments[0]).name if arguments else ""
    return (program if _PROGRAM.fullmatch(program) else REMOVED, *_kept(arguments[1:]))


def machine_type(options: str) -> str:
    """Give the type that the value of `-machine` names, wherever in it; "default" without any."""
    parts = options.split(",")
    named = [part.removeprefix("type=") for part in parts if part.startswith("type=")]
    word = [*named, parts[0]][0]
    return word if _TYPE.fullmatch(word) else "default"


def _kept(arguments: Sequence[str]) -> Iterator[str]:
    """Give options and values; what follows an option that takes a value is one, whatever it is."""
    rest = iter(arguments)
    for argument in rest:
        name = argument.removeprefix("-").removeprefix("-") if argument.startswith("-") else ""
        option = _SAME_OPTION.get(name, name)
        if name in _FLAGS:
            yield argument
        elif option in _KEPT_VALUES:
            yield argument
            yield from (_kept_value(option, value) for value in _next(rest))
        elif name in _NAMED_ONLY:
            yield argument
            yield from (REMOVED for _ in _next(rest))
        else:
            yield REMOVED


def _next(rest: Iterator[str]) -> Iterator[str]:
    value = next(rest, None)
    if value is not None:
        yield value


def _kept_value(option: str, value: str) -> str:
    """Keep the parts of a value that are known, each of the others by its key or not at all."""
    first_word, keys = _KEPT_VALUES[option]
    parts = value.split(",")
    kept = []
    for place, part in enumerate(parts):
        key, equals, text = part.partition("=")
        is_type = key in {"type", "driver", "qom-type"} and bool(equals)
        word = text if is_type else key
        if place == 0 and first_word is not None and (is_type or not equals):
            if not first_word.fullmatch(word):
                return REMOVED
            kept.append(part)
        elif key == "accel" and key in keys and _TYPE.fullmatch(text):
            kept.append(part)
        elif key in keys:
            kept.append(part if _PLAIN_VALUE.fullmatch(text) else f"{key}={REMOVED}")
        elif REMOVED not in kept:
            kept.append(REMOVED)
    return ",".join(kept)
