"""Compile, attach and read the probes.  Each is one C file, compiled as it is written."""

from __future__ import annotations

import contextlib
import mmap
import re
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.capture.bcc_loader import load_bcc, stderr_of_libraries
from workbench.capture.host import tracing_folder
from workbench.capture.program_runs import read_runs
from workbench.capture.records import Loss, Source, render_header
from workbench.capture.ring import Ring
from workbench.errors import HostError
from workbench.trace import Probe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from workbench.capture.layout import Layout
    from workbench.capture.qemu import Qemu

_RING_PAGES = 16384
"""64 MiB, a million records.  The guest of the trace pressure-off made 276,000 in 41 s, and the
ring is read twenty times a second."""

_NO_QUEUE = 0xFFFFFFFF
"""A queue number that no queue has; -1 as the probes see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One function of QEMU to probe, and the C functions that run at its entry and return."""

    symbol: str
    on_enter: str = ""
    on_return: str = ""


BALLOON_ENTRIES = (
    Entry(symbol="virtqueue_pop", on_enter="on_pop_enter", on_return="on_pop_return"),
    Entry(
        symbol="ram_block_discard_range",
        on_enter="on_discard_enter",
        on_return="on_discard_return",
    ),
    Entry(symbol="qemu_guest_free_page_hint", on_enter="on_hint"),
    Entry(symbol="virtio_config_writeb", on_enter="on_config_write_byte"),
    Entry(symbol="virtio_config_writew", on_enter="on_config_write_word"),
    Entry(symbol="virtio_config_writel", on_enter="on_config_write_long"),
    Entry(symbol="virtio_config_modern_writeb", on_enter="on_config_write_byte"),
    Entry(symbol="virtio_config_modern_writew", on_enter="on_config_write_word"),
    Entry(symbol="virtio_config_modern_writel", on_enter="on_config_write_long"),
    Entry(
        symbol="virtio_set_features", on_enter="on_features_enter", on_return="on_features_return"
    ),
    Entry(symbol="virtio_set_status", on_enter="on_status"),
    Entry(symbol="virtio_reset", on_enter="on_reset"),
    Entry(symbol="precopy_notify", on_enter="on_precopy"),
    Entry(symbol="memory_global_after_dirty_log_sync", on_enter="on_bitmap_sync"),
    Entry(symbol="ram_block_discard_is_disabled", on_return="on_inhibit_check"),
    Entry(symbol="migration_in_incoming_postcopy", on_return="on_inhibit_check"),
    Entry(symbol="migration_in_bg_snapshot", on_return="on_last_inhibit_check"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFile:
    """One C file, and the trace points it cannot do without.

    Attributes
    ----------
    trace_points
        Each entry lists the names of one trace point, the newest first.
    required
        Whether a capture without it is worth nothing.
    """

    name: str
    sources: tuple[Source, ...]
    trace_points: tuple[tuple[str, ...], ...] = ()
    attach: str = ""
    """C function to attach to the trace point; empty where the C file names it itself."""
    required: bool = True


BALLOON_FILE = ProbeFile(
    name="balloon",
    sources=(
        Source.REPORT_RANGE,
        Source.DISCARD,
        Source.HINT_COMMAND,
        Source.HINT_RANGE,
        Source.CONFIG_WRITE,
        Source.FEATURES,
        Source.STATUS,
        Source.RESET,
        Source.PRECOPY,
        Source.BITMAP_SYNC,
        Source.INFLATE,
        Source.DEFLATE,
        Source.STATISTIC,
        Source.INHIBIT,
    ),
)

PROBE_FILES = (
    BALLOON_FILE,
    ProbeFile(
        name="memory",
        sources=(
            Source.FAULT,
            Source.ALLOCATION,
            Source.FAULT_DONE,
            Source.SWAP_IN,
            Source.RECLAIM,
        ),
        trace_points=(
            ("exceptions:page_fault_user",),
            ("exceptions:page_fault_kernel",),
            ("kmem:mm_page_alloc",),
            ("kmem:rss_stat",),
            ("vmscan:mm_vmscan_direct_reclaim_begin",),
            ("vmscan:mm_vmscan_direct_reclaim_end",),
            ("vmscan:mm_vmscan_memcg_reclaim_begin",),
            ("vmscan:mm_vmscan_memcg_reclaim_end",),
        ),
    ),
    ProbeFile(
        name="swap",
        sources=(Source.SWAP_OUT,),
        trace_points=(("vmscan:mm_vmscan_write_folio", "vmscan:mm_vmscan_writepage"),),
        attach="on_swap_out",
    ),
    ProbeFile(
        name="collapse",
        sources=(Source.COLLAPSE,),
        trace_points=(("huge_memory:mm_collapse_huge_page",),),
        required=False,
    ),
    ProbeFile(
        name="kvm",
        sources=(Source.GUEST_FAULT,),
        trace_points=(("kvm:kvm_page_fault",),),
        required=False,
    ),
)


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
    ring: Ring
    _counts: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(max(Source) + 1, np.int64)
    )

    def read(self) -> npt.NDArray[np.void]:
        """Take everything out of the ring."""
        records = self.ring.take()
        self._counts += np.bincount(records["source"], minlength=self._counts.size)
        return records

    def admit(self, qemu: Qemu) -> None:
        """Let the probes see a guest.

        Raises
        ------
        HostError
            Its RAM is in more blocks than the probes have room for.
        """
        table = self.bpf["guests"]
        guest = table.Leaf()
        guest.reporting_queue = qemu.balloon.reporting_queue & _NO_QUEUE
        guest.hint_queue = qemu.balloon.hint_queue & _NO_QUEUE
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
        table[table.Key(qemu.pid)] = guest

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
        names = self._functions(file)
        runs = read_runs(
            function.fd for name, function in self.bpf.funcs.items() if name.decode() in names
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

    @staticmethod
    def _functions(file: ProbeFile) -> set[str]:
        """The functions of a file that bcc has loaded; it names those of trace points itself."""
        names = {file.attach} if file.attach else set()
        if file is BALLOON_FILE:
            names |= {
                name for entry in BALLOON_ENTRIES for name in (entry.on_enter, entry.on_return)
            }
        return names | {
            f"tracepoint__{name.replace(':', '__')}"
            for trace_point in file.trace_points
            for name in trace_point
        }


def load_probes(qemus: Sequence[Qemu], *, ring_pages: int = _RING_PAGES) -> Probes:
    """Compile the probes and attach them, seeing no guest yet.

    Parameters
    ----------
    ring_pages
        Size of the ring between the probes and us, a power of two.

    Raises
    ------
    HostError
        A trace point is missing that no capture can do without, the guests run different builds
        of QEMU, or the kernel refuses the program.
    """
    layouts = {qemu.layout for qemu in qemus}
    if len(layouts) > 1:
        message = "the guests run different builds of QEMU; capture each build on its own"
        raise HostError(message)
    files, absent = _choose_files()
    trace_points = [(file, _present(names)) for file in files for names in file.trace_points]
    settings = {"RING_PAGES": ring_pages, **_offsets(layouts.pop())}
    for file, trace_point in trace_points:
        if file.attach:
            settings["SWAPPED_FRAME_OFFSET"] = _field_offset(trace_point, "pfn")
    bpf = _compile(tuple(file.name for file in files), settings)
    for file, trace_point in trace_points:
        if file.attach:
            bpf.attach_tracepoint(tp=trace_point, fn_name=file.attach)
    for qemu in qemus:
        _attach_entries(bpf, qemu)
    return Probes(files, absent, bpf, Ring(bpf["records"].map_fd, ring_pages * mmap.PAGESIZE))


def _choose_files() -> tuple[tuple[ProbeFile, ...], tuple[Probe, ...]]:
    """Leave out the files whose trace points this kernel lacks, if a capture can do without."""
    files: list[ProbeFile] = []
    absent: list[Probe] = []
    for file in PROBE_FILES:
        try:
            for names in file.trace_points:
                _present(names)
        except HostError as error:
            if file.required:
                raise
            absent.append(Probe(name=file.name, attached=False, reason=str(error)))
        else:
            files.append(file)
    return tuple(files), tuple(absent)


def _offsets(layout: Layout) -> dict[str, int]:
    return {
        "QUEUE_DEVICE": layout.queue_device,
        "QUEUE_INDEX": layout.queue_index,
        "DEVICE_ID": layout.device_id,
        "DEVICE_FEATURES": layout.device_features,
    }


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


def _attach_entries(bpf: Any, qemu: Qemu) -> None:  # noqa: ANN401 - bcc has no types.
    path = f"/proc/{qemu.pid}/exe"
    missing = qemu.program.missing(tuple(entry.symbol for entry in BALLOON_ENTRIES))
    if missing:
        message = (
            f"{qemu.program.path}: does not export {', '.join(missing)}; use QEMU 5.1 or newer"
        )
        raise HostError(message)
    for entry in BALLOON_ENTRIES:
        address = qemu.program.functions[entry.symbol]
        if entry.on_enter:
            bpf.attach_uprobe(name=path, addr=address, fn_name=entry.on_enter, pid=qemu.pid)
        if entry.on_return:
            bpf.attach_uretprobe(name=path, addr=address, fn_name=entry.on_return, pid=qemu.pid)


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
