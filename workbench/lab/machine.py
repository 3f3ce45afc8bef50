"""One QEMU: its arguments, its process, what it says, and its end."""

from __future__ import annotations

import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from workbench.capture.access import make_access_map
from workbench.lab.access_plugin import access_plugin
from workbench.lab.image import init_script, pack_image
from workbench.lab.kernel import require_tools
from workbench.lab.qmp import Qmp
from workbench.units import MIB

if TYPE_CHECKING:
    import queue
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from workbench.lab.kernel import GuestKernel
    from workbench.lab.settings import LabSettings

QEMU: Final = "qemu-system-x86_64"

TOOLS: Final = {
    QEMU: "qemu-system-x86",
    "cpio": "cpio",
    "busybox": "busybox-static",
    "setpriv": "util-linux",
}
"""What a guest needs, and the Debian package of each."""

TRANSLATION_CACHE_MIB: Final = 64
"""QEMU's default for translated code is large; under a memory limit it would compete with the
guest's memory, which is what a run is about.  This guest's code fits in a tenth of it."""

END_SECONDS_MAX: Final = 5.0
"""A QEMU that has not ended this long after it was told to is killed."""

DISK_SLACK_BYTES: Final = 64 * MIB
"""For the file system's own tables."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line a guest said: which guest, when it arrived (host CLOCK_MONOTONIC), and the text."""

    vm: int
    time_ns: int
    text: str


@dataclass(slots=True)
class Machine:
    """A running QEMU."""

    name: str
    process: subprocess.Popen[bytes]
    qmp: Qmp
    folder: Path
    arguments: tuple[str, ...] = field(default=())
    access_map: Path | None = None

    @property
    def pid(self) -> int:
        """Process id of QEMU."""
        return self.process.pid

    def is_alive(self) -> bool:
        """Whether QEMU still runs."""
        return self.process.poll() is None

    def wake(self) -> None:
        """Send the line that a waiting guest waits for."""
        if self.process.stdin:
            with suppress(BrokenPipeError):  # A QEMU that has ended is reported elsewhere.
                self.process.stdin.write(b"\n")
                self.process.stdin.flush()

    def last_words(self) -> str:
        """What QEMU, or else the guest's kernel, said last; for messages."""
        for name in ("qemu.log", "console.log"):
            path = self.folder / name
            text = path.read_text("utf-8", "replace") if path.exists() else ""
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            panics = [line for line in lines if "Kernel panic" in line]
            if lines:
                return panics[0] if panics else lines[-1]
        return "it said nothing"


def qemu_arguments(
    settings: LabSettings, *, name: str, kernel: GuestKernel, folder: Path, accelerator: str
) -> list[str]:
    """QEMU's command line for one guest, which stands still until it is told to go on.

    The guest's console is the first serial port, what it tells the lab the second.
    """
    cmdline = ["console=ttyS0", "quiet", "panic=-1"]
    cmdline += ["init_on_free=1"] if settings.init_on_free else []
    # Without it Debian's kernel forbids to map the memory of a device that has a driver.
    cmdline += ["iomem=relaxed"] if settings.poison_val is not None else []
    accel = accelerator
    if accelerator == "tcg":
        accel += f",thread=multi,tb-size={TRANSLATION_CACHE_MIB}"
    arguments = [QEMU, "-name", f"guest={name}", "-nodefaults", "-no-user-config"]
    arguments += ["-display", "none", "-no-reboot", "-S", "-machine", "pc", "-accel", accel]
    arguments += ["-m", f"{settings.memory_bytes // MIB}M", "-smp", str(settings.vcpu_count)]
    arguments += ["-kernel", str(kernel.image), "-initrd", str(folder / "initramfs")]
    arguments += ["-append", " ".join(cmdline)]
    arguments += ["-serial", f"file:{folder / 'console.log'}", "-serial", "stdio"]
    arguments += ["-qmp", f"unix:{folder / 'qmp'},server=on,wait=off"]
    arguments += ["-overcommit", "mem-lock=on"] if settings.lock_memory else []
    if settings.scenario.needs_disk:
        # The disk is thrown away: no flush need ever reach the host's.
        disk = f"if=none,id=disk,file={folder / 'disk'},format=raw,cache=unsafe"
        arguments += ["-drive", disk, "-device", "virtio-blk-pci,drive=disk"]
    return arguments + balloon_arguments(settings)


def balloon_arguments(settings: LabSettings) -> list[str]:
    """The balloon device, and the thread that hinting needs."""
    device = (
        f"virtio-balloon-pci,free-page-reporting={_on(settings.reporting)}"
        f",page-poison={_on(settings.page_poison)}"
    )
    if not settings.free_page_hint:
        return ["-device", device]
    thread = ["-object", "iothread,id=hints"]
    return [*thread, "-device", f"{device},free-page-hint=on,iothread=hints"]


def _on(holds: bool) -> str:  # noqa: FBT001 - one word for one truth
    return "on" if holds else "off"


def machine_name(settings: LabSettings, vm: int) -> str:
    """What guest number `vm` of a run is called."""
    return f"{settings.scenario.name}-{vm}"


@contextmanager
def running_machine(
    settings: LabSettings,
    *,
    vm: int,
    kernel: GuestKernel,
    folder: Path,
    accelerator: str,
    lines: queue.SimpleQueue[Line],
    group: Sequence[str] = (),
    more_arguments: Sequence[str] = (),
) -> Iterator[Machine]:
    """Start one guest, stopped before its first instruction; end it in the end, whatever happened.

    Parameters
    ----------
    vm
        Its number; every line it says is put into `lines` with that number.
    folder
        A folder of its own, for its disk, sockets and logs.
    group
        A command that moves itself into a memory cgroup and then runs the rest of its line.
    more_arguments
        For QEMU, behind those that the settings ask for.
    """
    require_tools(TOOLS)
    name = machine_name(settings, vm)
    pack_image(folder, init_script(settings, vm), kernel, settings.scenario)
    if settings.scenario.needs_disk:
        with (folder / "disk").open("wb") as disk:
            disk.truncate(settings.scenario.disk_bytes * 5 // 4 + DISK_SLACK_BYTES)
    arguments = qemu_arguments(
        settings, name=name, kernel=kernel, folder=folder, accelerator=accelerator
    )
    arguments += more_arguments
    access_map = folder / "accesses" if settings.record_access else None
    if access_map:
        make_access_map(access_map, settings.memory_bytes)
        arguments += ["-plugin", f"{access_plugin()},map={access_map}"]
    with ExitStack() as stack:
        log = stack.enter_context((folder / "qemu.log").open("wb"))
        process = subprocess.Popen(
            # If the lab is killed outright, nobody is left to end QEMU: the kernel does it then.
            ["setpriv", "--pdeathsig", "KILL", "--", *group, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # A Ctrl-C is for the lab, which then ends its guests in order.
        )
        listener = threading.Thread(target=_listen, args=(process, vm, lines), daemon=True)
        stack.callback(_end, process, listener)
        listener.start()
        qmp = Qmp(folder / "qmp", is_alive=lambda: process.poll() is None)
        stack.enter_context(qmp)
        yield Machine(name, process, qmp, folder, tuple(arguments), access_map)


def _listen(process: subprocess.Popen[bytes], vm: int, lines: queue.SimpleQueue[Line]) -> None:
    """Stamp every line of a guest the moment it arrives, until the guest ends."""
    for line in process.stdout or ():
        time_ns = time.monotonic_ns()
        lines.put(Line(vm, time_ns, line.decode("utf-8", "replace").strip()))


def _end(process: subprocess.Popen[bytes], listener: threading.Thread) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    listener.join()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
