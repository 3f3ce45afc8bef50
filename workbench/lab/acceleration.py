"""Whether guests can really boot under KVM here, found out by booting one."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.capture.check import Check, Status, judge
from workbench.capture.check_qemu import KVM
from workbench.errors import HostError
from workbench.lab.image import busybox_path, pack_folder
from workbench.lab.kernel import cache_folder, guest_kernel
from workbench.lab.machine import QEMU

if TYPE_CHECKING:
    from workbench.lab.kernel import GuestKernel
    from workbench.lab.settings import Accelerator

PROBE_SECONDS_MAX: Final = 8.0
"""Even under emulation a guest reaches its init in three (measured)."""

_SIGN: Final = "PROBE-GUEST-BOOTED"

_INIT: Final = f"""#!/bin/busybox sh
/bin/busybox mkdir /proc
/bin/busybox echo {_SIGN}
/bin/busybox poweroff -f
"""


def chosen_accelerator(wanted: Accelerator, kernel: GuestKernel) -> str:
    """The accelerator to use.

    Raises
    ------
    HostError
        KVM was asked for, and a guest does not boot under it.
    """
    if wanted == "tcg":
        return "tcg"
    if kvm_boots(kernel):
        return "kvm"
    if wanted == "kvm":
        raise HostError(
            f"a guest does not boot under KVM on this host within {PROBE_SECONDS_MAX:g} s (that "
            f"{KVM} exists proves nothing): use --accelerator tcg"
        )
    return "tcg"


def kvm_boots(kernel: GuestKernel, cache: Path | None = None) -> bool:
    """Whether a probe guest reaches its init under KVM.  Tried once, until the host reboots."""
    if not KVM.exists():
        return False
    remembered = (cache or cache_folder()) / "kvm.json"
    key = probe_key(kernel)
    known = _remembered(remembered)
    if key not in known:
        known = {key: _boots_under_kvm(kernel)}
        remembered.parent.mkdir(parents=True, exist_ok=True)
        remembered.write_text(json.dumps(known), "utf-8")
    return known[key]


def check_kvm_boots() -> Check:
    """Boot a kernel under KVM: the row that `workbench doctor --deep` has instead of a guess."""
    try:
        boots = kvm_boots(guest_kernel(lambda _: None))
        found = f"a kernel {'boots' if boots else f'does not boot in {PROBE_SECONDS_MAX:g} s'}"
    except (HostError, OSError) as error:
        boots, found = False, f"not tried: {error}"
    return Check(
        name="KVM",
        status=judge(boots, Status.WARN),
        found=found if KVM.exists() else "no /dev/kvm",
        fix="none needed: the lab emulates where KVM does not work, only slower",
    )


def probe_key(kernel: GuestKernel) -> str:
    """Names what an answer holds for: this boot of this host, its QEMU, and the guest's kernel."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8")
    version = subprocess.run([QEMU, "-version"], capture_output=True, text=True, check=False)
    text = f"{boot} {platform.release()} {version.stdout} {kernel.release}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _remembered(path: Path) -> dict[str, bool]:
    try:
        known = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _boots_under_kvm(kernel: GuestKernel) -> bool:
    with tempfile.TemporaryDirectory(prefix="workbench-kvm-") as name:
        root = Path(name) / "root"
        (root / "bin").mkdir(parents=True)
        (root / "bin" / "busybox").write_bytes(busybox_path().read_bytes())
        (root / "bin" / "busybox").chmod(0o755)
        (root / "init").write_text(_INIT, "utf-8")
        (root / "init").chmod(0o755)
        archive = pack_folder(root, Path(name) / "initramfs")
        arguments = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
        arguments += ["-machine", "pc", "-accel", "kvm", "-m", "256M", "-serial", "stdio"]
        arguments += ["-kernel", str(kernel.image), "-initrd", str(archive)]
        arguments += ["-append", "console=ttyS0 quiet panic=-1"]
        try:
            done = subprocess.run(
                arguments,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PROBE_SECONDS_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        return _SIGN.encode() in done.stdout
