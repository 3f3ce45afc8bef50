"""Compile, attach and read the probes.  Each is one C file, compiled as it is written."""

from __future__ import annotations

import contextlib
import mmap
import re
import time
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.capture.attach import attach_entries, detach_entries
from workbench.capture.bcc_loader import load_bcc, stderr_of_libraries
from workbench.capture.host import tracing_folder
from workbench.capture.probe_files import BALLOON_ENTRIES, BALLOON_FILE, PROBE_FILES, ProbeFile
from workbench.capture.program_runs import RunCounting, Runs, read_runs
from workbench.capture.records import (
    FAULT_ALLOCATIONS_SHIFT,
    RAW_DTYPE,
    Loss,
    Source,
    render_header,
)
from workbench.capture.ring import Ring
from workbench.errors import HostError
from workbench.schema import Detail
from workbench.trace import Probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from workbench.capture.qemu import Qemu

_RING_PAGES = 16384
"""64 MiB, a million records.  The guest of the trace pressure-off made 276,000 in 41 s, and the
ring is read twenty times a second."""

_NO_QUEUE = 0xFFFFFFFF
"""A queue number that no queue has; -1 as the probes see it."""


@dataclass(slots=True)
class Probes:
    """The C files in the kernel, as one program, with what they have recorded so far.

    Attributes
    ----------
    files
        Those that are attached.
    absent
        Those that are not, with the reason.
    """

    files: tuple[ProbeFile, ...]
    absent: tuple[Probe, ...]
    bpf: Any
    ring_pages: int = _RING_PAGES
    _counts: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(max(Source) + 1, np.int64)
    )
    _attached: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    """Names of the attached probes, by process."""
    _ring: Ring = field(init=False)
    _counting: RunCounting = field(default_factory=lambda: RunCounting(time.monotonic_ns()))

    def __post_init__(self) -> None:
        """Map the ring."""
        self._ring = Ring(self.bpf["records"].map_fd, self.ring_pages * mmap.PAGESIZE)

    def read(self) -> npt.NDArray[np.void]:
        """Take everything out of the ring."""
        records = self._ring.read()
        self._counts += np.bincount(records["source"], minlength=self._counts.size)
        return records

    def read_unserved(self) -> npt.NDArray[np.void]:
        """Give the faults that nobody has served yet, as their probe would record them."""
        rows = []
        for thread in self.bpf["faults"]:
            with contextlib.suppress(KeyError):  # The guest runs on: it may be gone.
                fault = self.bpf["faults"][thread]
                if not fault.is_served:
                    rows.append(_unserved_fault(thread.value, fault))
        records = np.array(rows, dtype=RAW_DTYPE)
        self._counts += np.bincount(records["source"], minlength=self._counts.size)
        return records

    def close(self) -> None:
        """Detach the probes."""
        self._counting.close(time.monotonic_ns())
        self._ring.close()
        self.bpf.cleanup()

    def admit(self, qemu: Qemu) -> None:
        """Attach the probes to a guest's QEMU, and let them see it.

        Raises
        ------
        HostError
            Its RAM is in more blocks than the probes have room for, or it has just ended.
        """
        table = self.bpf["guests"]
        guest = table.Leaf()
        guest.reporting_queue = qemu.balloon.reporting_queue & _NO_QUEUE
        guest.hint_queue = qemu.balloon.hint_queue & _NO_QUEUE
        guest.queue_device = qemu.build.layout.queue_device
        guest.queue_index = qemu.build.layout.queue_index
        guest.device_id = qemu.build.layout.device_id
        guest.device_features = qemu.build.layout.device_features
        if len(qemu.blocks) > len(guest.blocks):
            message = (
                f"pid {qemu.pid} has {len(qemu.blocks)} blocks of RAM, the probes have room for "
                f"{len(guest.blocks)}; start the guest with fewer memory backends"
            )
            raise HostError(message)
        for row, block in zip(guest.blocks, qemu.blocks, strict=False):
            row.first = block.host_address
            row.stop = block.host_address + block.facts.used_bytes
            row.block_address = block.block_address
        path = Path(f"/proc/{qemu.pid}/exe")
        self._attached[qemu.pid] = attach_entries(
            self.bpf, BALLOON_ENTRIES, qemu.build, path=path, pid=qemu.pid
        )
        try:
            table[table.Key(qemu.pid)] = guest
        except Exception as error:  # bcc raises plain Exception.
            self.release(qemu.pid)
            message = f"the probes can see no more than {table.max_entries} guests at a time"
            raise HostError(message) from error

    def release(self, pid: int) -> None:
        """Detach the probes from a guest that has ended, and see it no more."""
        table = self.bpf["guests"]
        with contextlib.suppress(KeyError):
            del table[table.Key(pid)]
        for name in ("element_counts", "inhibited_processes"):
            kept = self.bpf[name]
            with contextlib.suppress(KeyError):  # Its pid may be another guest's one day.
                del kept[kept.Key(pid)]
        detach_entries(self.bpf, self._attached.pop(pid, ()))

    @contextlib.contextmanager
    def watching(self, pid: int, address: int, length_bytes: int) -> Iterator[None]:
        """Let the probes see the faults of a process on a piece of its memory for a while."""
        table = self.bpf["guests"]
        guest = table.Leaf()
        guest.reporting_queue = guest.hint_queue = _NO_QUEUE
        guest.blocks[0].first = address
        guest.blocks[0].stop = address + length_bytes
        table[table.Key(pid)] = guest
        try:
            yield
        finally:
            del table[table.Key(pid)]

    def facts(self) -> tuple[Probe, ...]:
        """What each probe has seen and missed, for the manifest."""
        losses = np.array([int(count.value) for count in self.bpf["losses"].values()])
        losses = losses.reshape(self._counts.size, len(Loss))
        return (*(self._file_facts(file, losses) for file in self.files), *self.absent)

    def _file_facts(self, file: ProbeFile, losses: npt.NDArray[np.int64]) -> Probe:
        lost = {
            f"{source.name.lower()}: {loss.name.lower()}": int(losses[source, loss])
            for source in file.sources
            for loss in Loss
            if losses[source, loss]
        }
        events = int(self._counts[list(file.sources)].sum())
        names = _functions(file)
        runs = self._runs(
            function for name, function in self.bpf.funcs.items() if name.decode() in names
        )
        return Probe(
            name=file.name,
            attached=True,
            events=events,
            lost=lost,
            run_count=runs.run_count or None,
            run_time_ns=runs.time_ns or None,
            missed_runs=runs.missed_count,
        )

    def run_time_ns(self) -> int:
        """How long the probes have run in all, as far as the kernel counts it."""
        return self._runs(self.bpf.funcs.values()).time_ns

    def next_turn(self) -> None:
        """Let another part of the time be counted, or not."""
        self._counting.turn(time.monotonic_ns())

    def _runs(self, functions: Iterable[Any]) -> Runs:
        """What the kernel has counted of these programs, as if it had counted all the time."""
        counted, now_ns = read_runs(function.fd for function in functions), time.monotonic_ns()
        return counted._replace(
            run_count=self._counting.of_all_time(counted.run_count, now_ns),
            time_ns=self._counting.of_all_time(counted.time_ns, now_ns),
        )

    def lower(self, detail: Detail) -> None:
        """Record less from now on; with samples only, the probes are detached."""
        table = self.bpf["details"]
        table[table.Key(0)] = table.Leaf(detail)
        if detail is Detail.SAMPLES:
            for pid in list(self._attached):
                detach_entries(self.bpf, self._attached.pop(pid))
            for name in list(self.bpf.tracepoint_fds):
                self.bpf.detach_tracepoint(name)
            for name in list(self.bpf.raw_tracepoint_fds):
                self.bpf.detach_raw_tracepoint(name)

    def read_tallies(self) -> dict[tuple[int, Source], tuple[int, int]]:
        """Give what was counted and not recorded, by process and source: how many, bytes in all."""
        return {
            (key.process, Source(key.source)): (tally.number, tally.bytes)
            for key, tally in self.bpf["tallies"].items()
        }


def _functions(file: ProbeFile) -> set[str]:
    """The functions of a file that bcc has loaded; it names those of trace points itself."""
    names = {file.attach} if file.attach else set()
    if file is BALLOON_FILE:
        names |= {name for entry in BALLOON_ENTRIES for name in (entry.on_enter, entry.on_return)}
    for name in (name for trace_point in file.trace_points for name in trace_point):
        system, event = name.split(":")
        names |= {f"tracepoint__{system}__{event}", f"raw_tracepoint__{event}"}
    return names


def _unserved_fault(thread: int, fault: Any) -> tuple[int, ...]:  # noqa: ANN401 - bcc has no types.
    """The record of a fault that is still in the probes' table."""
    return (
        fault.last_sign_ns,
        fault.address,
        fault.order,
        fault.value | fault.allocations << FAULT_ALLOCATIONS_SHIFT,
        fault.frame,
        fault.last_sign_ns - fault.began_ns,
        thread >> 32,
        thread & 0xFFFFFFFF,
        fault.source,
        -1,
    )


def load_probes(*, ring_pages: int = _RING_PAGES) -> Probes:
    """Compile the probes and attach them to the kernel's trace points, seeing no guest yet.

    Parameters
    ----------
    ring_pages
        Size of the ring between the probes and us, a power of two.

    Raises
    ------
    HostError
        A trace point is missing that no capture can do without, or the kernel refuses the program.
    """
    files, absent = _choose_files()
    trace_points = [(file, _present(names)) for file in files for names in file.trace_points]
    settings = {"RING_PAGES": ring_pages}
    for file, trace_point in trace_points:
        if file.attach:
            settings["SWAPPED_FRAME_OFFSET"] = _field_offset(trace_point, "pfn")
    bpf = _compile(tuple(file.name for file in files), settings)
    for file, trace_point in trace_points:
        if file.attach:
            bpf.attach_tracepoint(tp=trace_point, fn_name=file.attach)
    return Probes(files, absent, bpf, ring_pages)


def missing_trace_point(file: ProbeFile) -> str:
    """Say which trace point of a file this kernel lacks; empty if it has all."""
    try:
        for names in file.trace_points:
            _present(names)
    except HostError as error:
        return str(error)
    return ""


def _choose_files() -> tuple[tuple[ProbeFile, ...], tuple[Probe, ...]]:
    """Leave out the files whose trace points this kernel lacks, if a capture can do without."""
    files: list[ProbeFile] = []
    absent: list[Probe] = []
    for file in PROBE_FILES:
        reason = missing_trace_point(file)
        if not reason:
            files.append(file)
        elif file.required:
            raise HostError(reason)
        else:
            absent.append(Probe(name=file.name, attached=False, reason=reason))
    return tuple(files), tuple(absent)


def _compile(names: tuple[str, ...], settings: dict[str, int]) -> Any:  # noqa: ANN401 - bcc has no types.
    folder = resources.files("workbench.capture") / "probes"
    parts = ["common.h", *(f"{name}.c" for name in names)]
    text = "\n".join((folder / part).read_text(encoding="utf-8") for part in parts)
    flags = [f"-D{key}={value}" for key, value in settings.items()]
    bpf_class = load_bcc().BPF
    with stderr_of_libraries() as said:
        try:
            return bpf_class(text=render_header() + text, cflags=[*flags, "-w"])
        except Exception as error:  # bcc raises plain Exception for anything the kernel refuses.
            reason = (said() or str(error)).strip().splitlines()[0]
            message = f"the probes cannot be loaded ({reason}); see `workbench doctor`"
            raise HostError(message) from error


def _present(names: tuple[str, ...]) -> str:
    for name in names:
        if _event_folder(name).is_dir():
            return name
    message = f"this kernel has no trace point {names[0]}; see `workbench doctor`"
    raise HostError(message)


def _field_offset(trace_point: str, name: str) -> int:
    text = (_event_folder(trace_point) / "format").read_text(encoding="utf-8")
    match = re.search(rf"\b{name};\s+offset:(\d+);", text)
    if not match:
        message = f"the trace point {trace_point} of this kernel has no field {name}"
        raise HostError(message)
    return int(match[1])


def _event_folder(trace_point: str) -> Path:
    folder = tracing_folder()
    if folder is None:
        message = "tracefs is not mounted; run `mount -t tracefs tracefs /sys/kernel/tracing`"
        raise HostError(message)
    return folder / "events" / Path(*trace_point.split(":"))
