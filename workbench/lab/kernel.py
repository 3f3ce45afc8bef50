"""The guest's kernel: Debian's cloud kernel, downloaded and unpacked, never installed."""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable

META_PACKAGE: Final = "linux-image-cloud-amd64"

MODULES: Final = (
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
    "virtio_balloon",
)
"""What the guest loads, in this order: each needs those before it (modules.dep of the kernel)."""

DOWNLOAD_SECONDS_MAX: Final = 600
"""The package is about 30 MB; a slower network than this is broken."""


@dataclass(frozen=True, slots=True)
class GuestKernel:
    """A kernel image, and the folder with its modules."""

    release: str
    image: Path
    modules: Path


def cache_folder() -> Path:
    """Where the lab keeps what it downloads and finds out."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "workbench" / "lab"


def guest_kernel(progress: Callable[[str], None], cache: Path | None = None) -> GuestKernel:
    """The newest kernel in the cache; where there is none, Debian's current one, downloaded.

    Raises
    ------
    HostError
        There is none, and it cannot be downloaded.
    """
    cache = cache or cache_folder()
    cached = newest_kernel(cache)
    if cached:
        return cached
    require_tools({"apt-get": "apt", "apt-cache": "apt", "dpkg-deb": "dpkg"})
    cache.mkdir(parents=True, exist_ok=True)
    try:
        return _fetched(cache, progress)
    except HostError:  # The lists of packages may be old, or not there yet.
        progress("updating the lists of Debian's packages")
        subprocess.run(["apt-get", "-q", "update"], capture_output=True, check=False)
        return _fetched(cache, progress)


def _fetched(cache: Path, progress: Callable[[str], None]) -> GuestKernel:
    package = kernel_package()
    progress(f"downloading the guest's kernel ({package}) to {cache}; nothing is installed")
    with tempfile.TemporaryDirectory(dir=cache, prefix="unpacking-") as folder:
        return _unpacked(_download(package, Path(folder)), cache)


def newest_kernel(cache: Path) -> GuestKernel | None:
    """The kernel of the highest release in the cache."""
    found = [
        GuestKernel(image.parent.name, image, image.parent / "modules")
        for image in cache.glob("*/vmlinuz")
    ]
    return max(found, key=lambda kernel: _release_order(kernel.release), default=None)


def _release_order(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", release))


def kernel_package() -> str:
    """The package that Debian's meta package stands for at present."""
    shown = subprocess.run(
        ["apt-cache", "depends", META_PACKAGE], capture_output=True, text=True, check=False
    )
    package = package_from_depends(shown.stdout)
    if package is None:
        raise HostError(
            f"apt knows no kernel package {META_PACKAGE} (the lab needs Debian 12 on x86-64): "
            "apt-get update"
        )
    return package


def package_from_depends(text: str) -> str | None:
    """The kernel package in the output of `apt-cache depends` for the meta package."""
    match = re.search(r"Depends: (linux-image-\d\S+-cloud-amd64)$", text, re.MULTILINE)
    return match[1] if match else None


def _download(package: str, folder: Path) -> Path:
    done = subprocess.run(
        # The sandbox user could not write into root's cache folder.
        ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DOWNLOAD_SECONDS_MAX,
        check=False,
    )
    files = sorted(folder.glob("*.deb"))
    if done.returncode or not files:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise HostError(f"could not download {package} ({reason}): apt-get update, then try again")
    return files[0]


def _unpacked(package: Path, cache: Path) -> GuestKernel:
    tree = package.parent / "tree"
    subprocess.run(["dpkg-deb", "-x", str(package), str(tree)], check=True)
    image = next(tree.glob("boot/vmlinuz-*"))
    release = image.name.removeprefix("vmlinuz-")
    kept = package.parent / "kept"
    (kept / "modules").mkdir(parents=True)
    shutil.move(image, kept / "vmlinuz")
    for name in MODULES:
        (kept / "modules" / f"{name}.ko").write_bytes(_module(tree, name))
    # Another lab may have been faster; its kernel is as good.
    if not (cache / release).exists():
        kept.rename(cache / release)
    return GuestKernel(release, cache / release / "vmlinuz", cache / release / "modules")


def _module(tree: Path, name: str) -> bytes:
    plain = next(tree.glob(f"**/kernel/**/{name}.ko"), None)
    if plain:
        return plain.read_bytes()
    packed = next(tree.glob(f"**/kernel/**/{name}.ko.xz"), None)
    if packed:
        return lzma.decompress(packed.read_bytes())
    raise HostError(f"the kernel package holds no module {name}: the lab needs Debian 12's kernel")


def require_tools(packages: dict[str, str]) -> None:
    """Check that every tool (key) is there; name the Debian packages (value) of those that are not.

    Raises
    ------
    HostError
        A tool is missing; the message is one apt line.
    """
    missing = [tool for tool in packages if find_tool(tool) is None]
    if missing:
        wanted = " ".join(sorted({packages[tool] for tool in missing}))
        raise HostError(f"the lab needs {', '.join(missing)}: apt-get install -y {wanted}")


def find_tool(name: str) -> str | None:
    """The path of a program.  Debian keeps some where the PATH of `su` does not look."""
    places = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    return shutil.which(name, path=places)
