"""What this host is: its kernel, memory settings, rights, headers and trace points.

Every function reads small files of /proc, /sys and /usr/src; `root` is another folder in tests.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.errors import HostError
from workbench.units import KIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT: Final = Path("/")
HEADERS_PACKAGE: Final = "linux-headers-cloud-amd64"
"""Debian package whose headers do for any running kernel: the probes read no kernel structure, and
the layout of trace points comes from the running kernel."""

TRACING_FOLDERS: Final = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))

TRACEFS_USERS: Final = Path("/run/workbench-tracefs")
"""Where captures that overlap tell each other who unmounts tracefs.  A reboot empties it."""

CAPABILITIES: Final = {
    "CAP_SYS_ADMIN": (21,),
    "CAP_SYS_PTRACE": (19,),
    "CAP_DAC_READ_SEARCH": (2, 1),
}
"""What a capture needs, and the bits of CapEff that give it (Linux
include/uapi/linux/capability.h): the first to attach to functions of QEMU and to see page frames,
the second to look into QEMU, the third to read tracefs and /proc/kpageflags, which are root's;
CAP_DAC_OVERRIDE does as well.  CAP_BPF and CAP_PERFMON alone load the probes and attach those of
the kernel, and are in CAP_SYS_ADMIN.  They do not show frames (Linux
Documentation/admin-guide/mm/pagemap.rst), and Linux 6.18 refuses them functions of programs."""

_CAPABILITY_PERFMON: Final = 38
_CAPABILITY_BPF: Final = 39


class SwapDevice(NamedTuple):
    """One line of /proc/swaps."""

    name: str
    size_bytes: int
    used_bytes: int


def kernel_release() -> str:
    """Name the running kernel, as `uname -r` does."""
    return os.uname().release


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def memory_bytes(root: Path = ROOT) -> int:
    """Return the size of the host's memory (MemTotal)."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", _text(root / "proc/meminfo") or "", re.MULTILINE)
    return int(found.group(1)) * KIB if found else 0


def transparent_huge_pages(root: Path = ROOT) -> str:
    """Name the mode of transparent huge pages: always, madvise, never, or absent."""
    text = _text(root / "sys/kernel/mm/transparent_hugepage/enabled") or ""
    found = re.search(r"\[(\w+)\]", text)
    return found.group(1) if found else "absent"


def khugepaged_defrag(root: Path = ROOT) -> bool | None:
    """Say whether khugepaged collapses pages behind the guests' backs; None if it is absent."""
    text = _text(root / "sys/kernel/mm/transparent_hugepage/khugepaged/defrag")
    return None if text is None else text.strip() != "0"


def lru_gen(root: Path = ROOT) -> str | None:
    """Return the bits of the multi-generational LRU ("0x0007"), None if it is absent."""
    text = _text(root / "sys/kernel/mm/lru_gen/enabled")
    return None if text is None else text.strip()


def swap_devices(root: Path = ROOT) -> tuple[SwapDevice, ...]:
    """List the active swap devices and files."""
    lines = (_text(root / "proc/swaps") or "").splitlines()[1:]
    fields = [line.split() for line in lines]
    return tuple(SwapDevice(row[0], int(row[2]) * KIB, int(row[3]) * KIB) for row in fields)


def has_zram(root: Path = ROOT) -> bool:
    """Say whether this kernel can make compressed swap in memory now (zram)."""
    return (root / "sys/class/zram-control").exists() or (root / "sys/block/zram0").exists()


def memory_cgroup(root: Path = ROOT) -> tuple[str, Path] | None:
    """Return the version ("v1" or "v2") of the memory cgroup and its mount point, if any."""
    mounts = [line.split() for line in (_text(root / "proc/mounts") or "").splitlines()]
    for _, folder, kind, options, *_ in mounts:
        if kind == "cgroup" and "memory" in options.split(","):
            return "v1", Path(folder)
    for _, folder, kind, *_ in mounts:
        controllers = _text(root / folder.lstrip("/") / "cgroup.controllers") or ""
        if kind == "cgroup2" and "memory" in controllers.split():
            return "v2", Path(folder)
    return None


def missing_capabilities(root: Path = ROOT, user: int | None = None) -> tuple[str, ...]:
    """Name what this process lacks of CAPABILITIES; the files of root are root's own to read."""
    is_owner = (os.geteuid() if user is None else user) == 0
    held = _held_capabilities(root)
    return tuple(
        name
        for name, bits in CAPABILITIES.items()
        if not any(held >> bit & 1 for bit in bits)
        and not (is_owner and name == "CAP_DAC_READ_SEARCH")
    )


def may_load_probes(root: Path = ROOT) -> bool:
    """Say whether this process may at least load programs: CAP_SYS_ADMIN, or both others.

    Source: Linux include/linux/capability.h, bpf_capable() and perfmon_capable().
    """
    held = _held_capabilities(root)
    both = held >> _CAPABILITY_BPF & 1 and held >> _CAPABILITY_PERFMON & 1
    return bool(held >> CAPABILITIES["CAP_SYS_ADMIN"][0] & 1 or both)


def _held_capabilities(root: Path) -> int:
    text = _text(root / "proc/self/status") or ""
    found = re.search(r"^CapEff:\s+([0-9a-f]+)", text, re.MULTILINE)
    return int(found.group(1), 16) if found else 0


def is_in_pid_namespace(root: Path = ROOT) -> bool:
    """Say whether this process has other ids in its own pid namespace than on the host.

    NSpid lists them all (Linux 6.1 Documentation/filesystems/proc.rst).
    """
    found = re.search(r"^NSpid:\s+(.+)$", _text(root / "proc/self/status") or "", re.MULTILINE)
    return found is not None and len(found.group(1).split()) > 1


# --- kernel headers ----------------------------------------------------------------------------


def cache_folder() -> Path:
    """Return the folder for what can be made again, following XDG_CACHE_HOME."""
    configured = os.environ.get("XDG_CACHE_HOME")
    return (Path(configured) if configured else Path.home() / ".cache") / "workbench"


def kernel_headers_folder(root: Path = ROOT) -> Path | None:
    """Return what BCC_KERNEL_SOURCE must be set to; None if bcc finds the headers by itself.

    bcc looks in /lib/modules/RELEASE/build (and `source` beside it), which a kernel that is not
    Debian's does not have.  Debian splits its headers into two folders, of which bcc takes only
    one, so both are merged here into a folder of symbolic links in the cache.  Nothing outside
    the cache is touched.

    Raises
    ------
    HostError
        There are no kernel headers on this host at all.

    Source: bcc 0.26 src/cc/frontends/clang/loader.cc, ClangLoader::parse().
    """
    configured = os.environ.get("BCC_KERNEL_SOURCE")
    if configured:
        return Path(configured)
    modules = root / "lib/modules" / kernel_release()
    for name in ("source", "build"):
        if (modules / name / "include/linux").is_dir():
            return None
    flavours = _header_flavours(root)
    if not flavours:
        raise HostError(
            "the probes need kernel headers to compile, and there are none here; "
            f"run `apt-get install {HEADERS_PACKAGE}`"
        )
    exact = [pair for pair in flavours if pair[0].name == f"linux-headers-{kernel_release()}"]
    return _merged_headers(*(exact or flavours)[-1])


def _header_flavours(root: Path) -> list[tuple[Path, Path]]:
    """List Debian's pairs of header folders (of a flavour, common), oldest first."""
    pairs = []
    for common in sorted((root / "usr/src").glob("linux-headers-*-common"), key=_version_key):
        stem = common.name.removesuffix("common")
        flavours = sorted(common.parent.glob(f"{stem}*"), key=_version_key)
        # The real-time flavour's options change inline functions that the probes include.
        usable = [path for path in flavours if path != common and "-rt-" not in path.name]
        pairs += [(path, common) for path in usable if (path / "include/generated").is_dir()]
    return pairs


def _version_key(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.name)]


def _merged_headers(flavour: Path, common: Path) -> Path:
    """Merge two header folders by symbolic links, once."""
    merged = cache_folder() / flavour.name
    if (merged / "include/linux/kconfig.h").is_file():
        return merged
    shutil.rmtree(merged, ignore_errors=True)
    try:
        merged.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=merged.parent) as scratch:
            made = Path(scratch) / "headers"
            _link_merged(made, [flavour, common])
            made.rename(merged)
    except OSError as error:
        if (merged / "include/linux/kconfig.h").is_file():
            return merged  # A second process was faster; its folder is as good.
        raise HostError(
            f"the kernel headers cannot be merged in {merged.parent} ({error.strerror}); "
            "set XDG_CACHE_HOME to a folder that can be written"
        ) from error
    return merged


def _link_merged(target: Path, sources: list[Path]) -> None:
    """Make `target` a folder that has every name of `sources`, links as far down as possible."""
    target.mkdir()
    names = sorted({entry.name for source in sources for entry in source.iterdir()})
    for name in names:
        having = [source / name for source in sources if (source / name).exists()]
        folders = [path for path in having if path.is_dir()]
        if len(folders) > 1:
            _link_merged(target / name, folders)
        else:
            (target / name).symlink_to(having[0])


# --- trace points -------------------------------------------------------------------------------


def tracing_folder(folders: Iterable[Path] = TRACING_FOLDERS) -> Path | None:
    """Return where the kernel's trace points can be read, None if tracefs is not mounted."""
    return next((folder for folder in folders if _has_events(folder)), None)


def _has_events(folder: Path) -> bool:
    try:
        return (folder / "events").is_dir()
    except PermissionError:
        return False


@contextlib.contextmanager
def mounted_tracefs(users: Path = TRACEFS_USERS) -> Iterator[Path]:
    """Make trace points readable while the block runs, and leave the mounts as they were.

    Captures may overlap.  Each holds a shared lock on a note that says whether one of them mounted
    tracefs; whoever can have that lock alone in the end is the last, and unmounts it.

    Raises
    ------
    HostError
        tracefs is not mounted and cannot be mounted.
    """
    try:
        note = users.open("a+", encoding="utf-8")
    except OSError:  # Not root, who cannot mount either.
        yield _mounted_folder()[0]
        return
    with note:
        fcntl.flock(note, fcntl.LOCK_SH)
        folder, is_ours = _mounted_folder()
        if is_ours:
            note.write("mounted")
            note.flush()
        try:
            yield folder
        finally:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
                note.seek(0)
                if note.read():
                    _mount("umount", str(folder))
                    note.truncate(0)


def _mounted_folder() -> tuple[Path, bool]:
    """Where trace points can be read, and whether we have just mounted it."""
    folder = tracing_folder()
    if folder is not None:
        return folder, False
    folder = TRACING_FOLDERS[0]
    done = _mount("mount", "-t", "tracefs", "tracefs", str(folder))
    if not _has_events(folder):
        reason = done.stderr.strip().partition("\n")[0]
        raise HostError(
            f"trace points cannot be read, because tracefs is not mounted on {folder} and "
            f"mounting it failed ({reason or 'no trace points there'}); run as root"
        )
    return folder, done.returncode == 0


def _mount(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", f"there is no `{command[0]}` here")
