"""Record running guests into a trace folder, from the first probe to the last sync."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import numpy as np

from workbench import __version__
from workbench.capture.access import ACCESS_INTERVAL_NS, AccessSampler, open_access_maps
from workbench.capture.decoder import Decoder, Guest
from workbench.capture.facts import read_host_facts
from workbench.capture.frames import FrameTable
from workbench.capture.host import (
    is_in_pid_namespace,
    kernel_headers_folder,
    may_use_bpf,
    mounted_tracefs,
)
from workbench.capture.page_map import PageMaps
from workbench.capture.page_state import read_state
from workbench.capture.probe import Probes, load_probes
from workbench.capture.qemu import Qemu, inspect_qemu, with_current_balloon
from workbench.capture.records import RAW_DTYPE
from workbench.capture.sampler import Sampler
from workbench.capture.self_test import counts_are_exact
from workbench.errors import HostError, WriteError
from workbench.schema import GUEST_SAMPLES, NO_BLOCK, NO_ELEMENT, Kind
from workbench.trace import GuestFacts, Manifest, Probe, TraceWriter, VirtualMachine
from workbench.units import GIB, NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_DRAIN_INTERVAL_S = 0.05
_SAMPLE_INTERVAL_NS = NANOSECONDS // 10
_SEGMENT_INTERVAL_NS = NANOSECONDS
"""A killed capture loses no more than this."""

_SETTLE_NS = NANOSECONDS // 50
"""Younger records wait: one from another ring could still be older."""


_EXIT_PATIENCE_S = 10.0
"""A guest that ends has no mappings any more long before it is gone: it frees its memory first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A guest to capture, with what its starter knows of it."""

    pid: int
    name: str = ""
    guest: GuestFacts = field(default_factory=GuestFacts)
    access_map: Path | None = None
    """The file in which QEMU's access plugin marks pages, where the guest runs with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Why a trace exists: the command, and the lab's scenario if there was one."""

    command: str
    scenario: str = ""
    scenario_text: str = ""
    lab_settings: dict[str, str] = field(default_factory=dict)
    mid_life: bool = True


class Capture:
    """A capture in progress.  Use it in a `with` statement; leaving it completes the trace.

    Parameters
    ----------
    targets
        The guests; each pid must be a running QEMU with a balloon.
    output
        The trace folder to make.
    """

    def __init__(self, targets: Sequence[Target], output: Path, origin: Origin) -> None:
        self._targets = tuple(targets)
        self._output = output
        self._origin = origin
        self._resources = contextlib.ExitStack()
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._markers: list[tuple[int, ...]] = []
        self._guest_samples: list[tuple[int, ...]] = []
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._failure: BaseException | None = None
        self._stop_ns = 0
        self.exited_pid: int | None = None

    def __enter__(self) -> Self:
        """Attach the probes, read the state of the guests, and start recording.

        Raises
        ------
        HostError
            This host cannot capture, or a target is not a guest that can be captured.
        """
        with contextlib.ExitStack() as resources:
            require_privileges()
            resources.enter_context(mounted_tracefs())
            self._qemus = tuple(inspect_qemu(target.pid) for target in self._targets)
            self._pidfds = {os.pidfd_open(qemu.pid): qemu.pid for qemu in self._qemus}
            for descriptor in self._pidfds:
                resources.callback(os.close, descriptor)
            self._host = read_host_facts()
            self._probes = load_probes(self._qemus)
            resources.callback(self._probes.bpf.cleanup)
            _refuse_unseen_faults(self._qemus, self._probes)
            self._page_maps = PageMaps(qemu.pid for qemu in self._qemus)
            resources.callback(self._page_maps.close)
            self._begin()
            self._resources = resources.pop_all()
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop, write what is left, and detach."""
        with self._resources:
            self._stop_ns = time.monotonic_ns()
            self._stop.set()
            self._thread.join()
            self._finish()
        if self._failure is not None and exception[0] is None:
            raise self._failure

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until a guest has exited or the capture has failed; False if neither happened."""
        return self._ended.wait(timeout_s)

    def mark(self, vm: int, step: int, time_ns: int) -> None:
        """Note that a guest began a step of its scenario."""
        with self._lock:
            self._markers.append((time_ns, vm, step))

    def guest_sample(
        self, vm: int, time_ns: int, guest_time_ns: int, free_blocks: Sequence[int]
    ) -> None:
        """Note what a guest said of its free blocks, by order from 0 to 10."""
        with self._lock:
            self._guest_samples.append((time_ns, guest_time_ns, vm, *free_blocks))

    def _begin(self) -> None:
        """Let the probes see the guests, then read the state: an event during the read wins."""
        self._start_ns = time.monotonic_ns()
        self._created = datetime.now(UTC).isoformat(timespec="seconds")
        frames = FrameTable()
        guests = {
            qemu.pid: Guest(vm, qemu.blocks, low_memory_bytes(qemu))
            for vm, qemu in enumerate(self._qemus)
        }
        is_exact = counts_are_exact(self._probes)
        self._host = self._host.model_copy(update={"counts_are_exact": is_exact})
        frame_of = self._page_maps.frame_of
        self._decoder = Decoder(guests, frames, frame_of, counts_are_exact=is_exact)
        self._sampler = Sampler(self._qemus)
        paths = {vm: target.access_map for vm, target in enumerate(self._targets)}
        given = {vm: path for vm, path in paths.items() if path is not None}
        self._accesses = AccessSampler(open_access_maps(given, self._qemus))
        self._waiting = np.zeros(0, RAW_DTYPE)
        for qemu in self._qemus:
            self._probes.admit(qemu)
        self._qemus = tuple(with_current_balloon(qemu) for qemu in self._qemus)
        state = read_state(self._qemus, frames)
        self._writer = TraceWriter(self._output, self._manifest(self._start_ns))
        self._writer.append("state", state)

    def _run(self) -> None:
        next_sample_ns = next_segment_ns = time.monotonic_ns()
        try:
            while not self._stop.is_set():
                now_ns = time.monotonic_ns()
                self._drain(now_ns - _SETTLE_NS)
                self._accesses.sample(now_ns)
                if now_ns >= next_sample_ns:
                    self._sampler.sample()
                    next_sample_ns = max(next_sample_ns + _SAMPLE_INTERVAL_NS, now_ns)
                if now_ns >= next_segment_ns:
                    self._write_segment()
                    self._writer.write_manifest(self._manifest(now_ns))
                    next_segment_ns = now_ns + _SEGMENT_INTERVAL_NS
                if self._exited():
                    return
                self._stop.wait(_DRAIN_INTERVAL_S)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever leaves the `with`.
            is_about_guest = isinstance(error, HostError) and not isinstance(error, WriteError)
            if not (is_about_guest and self._exited(_EXIT_PATIENCE_S)):
                self._failure = error
        finally:
            self._ended.set()

    def _exited(self, timeout_s: float = 0) -> bool:
        ready, _, _ = select.select(list(self._pidfds), [], [], timeout_s)
        if ready:
            self.exited_pid = self._pidfds[ready[0]]
        return bool(ready)

    def _drain(self, until_ns: int) -> None:
        """Decode what the probes recorded up to a time, in the order of time."""
        batch = np.concatenate([self._waiting, self._probes.read()])
        batch = batch[np.argsort(batch["time_ns"], kind="stable")]
        ready = int(np.searchsorted(batch["time_ns"], until_ns, side="right"))
        self._waiting = batch[ready:]
        self._decoder.feed(batch[:ready])
        self._decoder.finish_faults(until_ns)

    def _finish(self) -> None:
        """Write the last segment, join them all, and write the final manifest."""
        self._drain(self._stop_ns)
        self._decoder.finish()
        self._write_segment()
        self._writer.close(self._manifest(self._stop_ns, complete=self._failure is None))

    def _write_segment(self) -> None:
        """Write what has come in since the last segment."""
        self._writer.append("events", self._decoder.take_columns())
        self._writer.append("samples", self._sampler.take_columns())
        with self._lock:
            markers, self._markers = self._markers, []
            guest_samples, self._guest_samples = self._guest_samples, []
        self._writer.append("events", _marker_columns(markers))
        self._writer.append("events", self._accesses.take_columns())
        self._writer.append("guest_samples", _guest_sample_columns(guest_samples))

    def _manifest(self, now_ns: int, *, complete: bool = False) -> Manifest:
        """What is known so far, losses included."""
        return Manifest(
            tool_version=__version__,
            command=self._origin.command,
            scenario=self._origin.scenario,
            scenario_text=self._origin.scenario_text,
            lab_settings=self._origin.lab_settings,
            created=self._created,
            start_time_ns=self._start_ns,
            duration_ns=now_ns - self._start_ns,
            complete=complete,
            mid_life=self._origin.mid_life,
            access_interval_ns=ACCESS_INTERVAL_NS if self._accesses.maps else None,
            host=self._host,
            virtual_machines=tuple(
                describe_machine(qemu, target)
                for qemu, target in zip(self._qemus, self._targets, strict=True)
            ),
            probes=tuple(self._with_decoder_counts(probe) for probe in self._probes.facts()),
        )

    def _with_decoder_counts(self, probe: Probe) -> Probe:
        """Add what only the decoder knows: whose frames they were, and which outcomes came late."""
        late = self._decoder.late_outcomes
        if probe.name == "swap":
            return probe.model_copy(update={"unattributed": self._decoder.unattributed_swap_outs})
        if probe.name == "memory" and late:
            return probe.model_copy(update={"lost": probe.lost | {"fault: late_outcome": late}})
        return probe


def describe_machine(qemu: Qemu, target: Target) -> VirtualMachine:
    """Write down a guest for the manifest."""
    return VirtualMachine(
        name=target.name or qemu.name,
        qemu_version=qemu.version,
        machine_type=qemu.machine_type,
        accelerator=qemu.accelerator,
        arguments=qemu.arguments,
        memory_bytes=qemu.memory_bytes,
        ram_blocks=tuple(block.facts for block in qemu.blocks),
        device=qemu.balloon.properties,
        guest=target.guest,
        features=qemu.balloon.features or None,
        poison_val=qemu.balloon.poison_val if qemu.balloon.features else None,
    )


def low_memory_bytes(qemu: Qemu) -> int:
    """Guest RAM below the device window of an x86 machine.

    Source: QEMU 7.2 hw/i386/pc_piix.c, pc_init1 (3.5 GiB or more leaves 3 GiB below); pc_q35.c,
    pc_q35_init (2.75 GiB or more leaves 2 GiB).
    """
    size = qemu.memory_bytes
    is_q35 = "q35" in qemu.machine_type
    longest, shortened = (0xB0000000, 2 * GIB) if is_q35 else (0xE0000000, 3 * GIB)
    return shortened if size >= longest else size


def require_privileges() -> None:
    """Refuse a process that may not load probes, and tell bcc where the headers are.

    Raises
    ------
    HostError
        It may not, or there are no kernel headers.
    """
    if not may_use_bpf():
        message = "capturing needs root (CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN); run it with sudo"
        raise HostError(message)
    if is_in_pid_namespace():
        message = (
            "the probes see the host's process ids, and this process has others (a container with "
            "its own); capture from the host"
        )
        raise HostError(message)
    headers = kernel_headers_folder()
    if headers is not None:
        os.environ["BCC_KERNEL_SOURCE"] = str(headers)


def _refuse_unseen_faults(qemus: tuple[Qemu, ...], probes: Probes) -> None:
    """Refuse guests under KVM whose faults the probes would miss or could not place."""
    for qemu in (qemu for qemu in qemus if qemu.accelerator == "kvm"):
        if not any(file.name == "kvm" for file in probes.files):
            message = (
                f"pid {qemu.pid} runs under KVM, and this kernel has no trace point kvm_page_fault"
            )
            raise HostError(message)
        if len(qemu.blocks) > 1:
            message = (
                f"pid {qemu.pid} runs under KVM with {len(qemu.blocks)} blocks of RAM; under KVM "
                "the probes can place faults in one only"
            )
            raise HostError(message)


def _marker_columns(markers: list[tuple[int, ...]]) -> dict[str, np.ndarray]:
    rows = np.array(markers, dtype=np.int64).reshape(-1, 3)
    count = len(rows)
    return {
        "time_ns": rows[:, 0],
        "vm": rows[:, 1],
        "status": rows[:, 2],
        "kind": np.full(count, Kind.MARKER),
        "ram_block": np.full(count, NO_BLOCK),
        "element": np.full(count, NO_ELEMENT),
    }


def _guest_sample_columns(samples: list[tuple[int, ...]]) -> dict[str, np.ndarray]:
    rows = np.array(samples, dtype=np.int64).reshape(-1, len(GUEST_SAMPLES.columns))
    return {column.name: rows[:, number] for number, column in enumerate(GUEST_SAMPLES.columns)}
