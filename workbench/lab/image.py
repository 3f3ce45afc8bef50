"""The guest's initramfs: busybox, the virtio modules, and a script made for one run."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.errors import HostError
from workbench.lab.kernel import MODULES
from workbench.lab.settings import QUIET_S
from workbench.units import MIB

if TYPE_CHECKING:
    from workbench.lab.kernel import GuestKernel
    from workbench.lab.scenario import Scenario, Step
    from workbench.lab.settings import LabSettings

SAMPLE_SECONDS: Final = 0.5
"""How often the guest reads its own free lists: four times in each reporting delay of 2 s."""

DISK_DEVICE: Final = "/dev/vda"

TEXT_LINE: Final = "line {:07d} of the text that a guest of the lab writes, one number a line\n"

_FUNCTIONS: Final = {
    "take": "take",
    "touch": "touch_again",
    "rewrite": "rewrite",
    "free": "release",
    "scatter": "scatter",
    "thin": "thin",
    "save": "save",
    "load": "load",
    "delete": "delete",
    "drop-caches": "drop_caches",
    "idle": "pause",
    "stagger": "pause",
    "mark": ":",
}
"""The words of a scenario, and what they are called in guest.sh."""


def init_script(settings: LabSettings, vm: int = 0) -> str:
    """The /init of guest number `vm` for one run."""
    # A bundled file, not text in here: it can be read, and checked by a shell, as what it is.
    functions = resources.files(__package__).joinpath("guest.sh").read_text("utf-8")
    disk = DISK_DEVICE if settings.scenario.needs_disk else ""
    modules = [name for name in MODULES if disk or name != "virtio_blk"]
    order, poison_val = settings.reporting_order, settings.poison_val
    lines = [
        "#!/bin/busybox sh",
        f"MODULES='{' '.join(modules)}'",
        f"REPORTING_ORDER={'' if order is None else order}",
        f"POISON_VAL={'' if poison_val is None else hex(poison_val)}",
        f"DISK={disk}",
        f"WAIT_AFTER={_number(settings.attach_after, settings.scenario)}",
        f"SAMPLE_SECONDS={SAMPLE_SECONDS}",
        functions,
        "get_ready",
        *(step_command(number, step, vm) for number, step in enumerate(settings.scenario.steps, 1)),
        f"settle {settings.settle_s - QUIET_S:g}",
    ]
    return "\n".join(lines) + "\n"


def _number(place: str | None, scenario: Scenario) -> str:
    return "" if place is None else str(scenario.step_number(place))


def step_command(number: int, step: Step, vm: int = 0) -> str:
    """The line of shell by which guest `vm` performs a step.  Names are safe: the parser checks."""
    words = [_FUNCTIONS[step.word]]
    if step.word in ("idle", "stagger"):
        times = vm if step.word == "stagger" else 1
        words.append(f"{times * step.duration_ms / 1000:g}")
    else:
        words += [step.name] if step.name else []
        words += [str(step.count)] if step.count else []
        words += [str(step.size_bytes)] if step.size_bytes else []
        words += [step.fill] if step.fill else []
    return f'step {number} "{step.text}" {" ".join(words)}'


def fill_content(fill: str) -> bytes:
    """A MiB of what files are filled with: always the same, for a run can then be made again."""
    if fill == "text":
        lines = "".join(TEXT_LINE.format(number) for number in range(MIB // 64))
        return lines.encode()[:MIB]
    return random.Random("workbench lab").randbytes(MIB)


def pack_image(folder: Path, script: str, kernel: GuestKernel, scenario: Scenario) -> Path:
    """Pack the initramfs in `folder`.  Uncompressed: the emulated guest would unpack it slowly."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="initramfs-") as name:
        root = Path(name)
        for part in ("bin", "proc", "sys", "dev", "modules"):
            (root / part).mkdir()
        shutil.copy(busybox_path(), root / "bin" / "busybox")
        for module in MODULES:
            shutil.copy(kernel.modules / f"{module}.ko", root / "modules")
        for fill in sorted(scenario.fills - {"zero"}):
            (root / f"fill.{fill}").write_bytes(fill_content(fill))
        (root / "init").write_text(script, "utf-8")
        (root / "init").chmod(0o755)
        return pack_folder(root, folder / "initramfs")


def pack_folder(root: Path, archive: Path) -> Path:
    """Pack a folder as the kernel wants it (Linux Documentation/driver-api/early-userspace)."""
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    with archive.open("wb") as output:
        subprocess.run(
            ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"],
            input="\n".join(names).encode(),
            stdout=output,
            cwd=root,
            check=True,
        )
    return archive


def busybox_path() -> Path:
    """The statically linked busybox of Debian's busybox-static."""
    for path in (Path("/bin/busybox"), Path("/usr/bin/busybox")):
        # A dynamic one names its interpreter, and would find no libraries in the guest.
        if path.exists() and b"ld-linux" not in path.read_bytes()[:4096]:
            return path
    raise HostError("the lab needs a static busybox: apt-get install -y busybox-static")
