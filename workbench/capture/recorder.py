"""Record running guests into a trace folder, from the first probe to the last sync."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from workbench import __version__
from workbench.capture.access import (
    ACCESS_INTERVAL_NS,
    ACCESS_SOURCE,
    AccessSampler,
    open_access_maps,
)
from workbench.capture.attach import raise_limits
from workbench.capture.budget import Budget
from workbench.capture.decoder import Decoder
from workbench.capture.drain import Drain
from workbench.capture.facts import read_host_facts
from workbench.capture.frames import FrameTable
from workbench.capture.guest import Guest
from workbench.capture.guests import (
    CapturedGuest,
    Target,
    look_at,
    low_memory_bytes,
    refuse_unseen_faults,
)
from workbench.capture.host import mounted_tracefs
from workbench.capture.notes import Notes
from workbench.capture.pace import Pace
from workbench.capture.page_map import PageMaps
from workbench.capture.page_state import read_state
from workbench.capture.privileges import require_privileges
from workbench.capture.probe import load_probes
from workbench.capture.qemu import with_current_balloon
from workbench.capture.sampler import Sampler
from workbench.capture.search import Newcomers, is_mature, name_of
from workbench.capture.self_test import counts_are_exact
from workbench.errors import HostError
from workbench.trace import Manifest, NotCaptured, Probe, TraceWriter
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from workbench.trace.reader import Columns

_DRAIN_INTERVAL_S = 0.05
_SAMPLE_INTERVAL_NS = NANOSECONDS // 10
_SAMPLE_PART = 50
"""Samples take no more than 2 % of a processor: of many or large guests they are taken less often.
"""
_SEGMENT_INTERVAL_NS = NANOSECONDS
"""A killed capture loses no more than this."""

_SETTLE_NS = NANOSECONDS // 50
"""Younger records wait: one from another ring could still be older."""

_SEARCH_INTERVAL_NS = NANOSECONDS
"""How long a new guest may be overlooked."""


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
    follow
        Whether all guests of the host are meant: those of `targets` that cannot be captured are
        noted and left out, new ones join, and the capture goes on when all have ended.
    budget
        Part of one processor that the capture may take; where it takes more, it records less.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        output: Path,
        origin: Origin,
        *,
        follow: bool = False,
        budget: float | None = None,
    ) -> None:
        self._targets = tuple(targets)
        self._output = output
        self._origin = origin
        self._budget_share = budget
        self._newcomers = Newcomers() if follow else None
        self._resources = contextlib.ExitStack()
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._notes = Notes()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._failure: BaseException | None = None
        self._stop_ns = 0
        self._lowered_ns: int | None = None
        self._guests: list[CapturedGuest] = []
        self._not_captured: list[NotCaptured] = []
        self._pending: dict[int, HostError] = {}
        """Why QEMUs that are young were not captured when it was last tried."""
        self.news: queue.SimpleQueue[str] = queue.SimpleQueue()
        """Sentences on guests that came, ended or cannot be captured, and on lower detail."""

    def __enter__(self) -> Self:
        """Attach the probes, read the state of the guests, and start recording.

        Raises
        ------
        HostError
            This host cannot capture, or a target is not a guest that can be captured.
        """
        with contextlib.ExitStack() as resources:
            require_privileges()
            raise_limits()
            resources.enter_context(mounted_tracefs())
            self._page_maps = PageMaps(())
            resources.callback(self._page_maps.close)
            found = self._look_at_targets()
            for guest in found:
                resources.callback(os.close, guest.pidfd)
            self._host = read_host_facts()
            self._probes = load_probes()
            resources.callback(self._probes.close)
            self._budget = Budget(self._probes, self._budget_share)
            self._begin(found)
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

    @property
    def virtual_machines(self) -> int:
        """How many guests there are or were."""
        return len(self._guests)

    @property
    def all_ended(self) -> bool:
        """Whether no guest is left."""
        return all(guest.ended_ns is not None for guest in self._guests)

    @property
    def ended_pids(self) -> list[int]:
        """The processes of those that ended before the capture did."""
        return [guest.pid for guest in self._guests if guest.ended_ns is not None]

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until all guests have ended or the capture has failed; False if neither happened.

        A capture of all guests of the host does not end with them.
        """
        return self._ended.wait(timeout_s)

    def mark(self, vm: int, step: int, time_ns: int) -> None:
        """Note that a guest began a step of its scenario."""
        self._notes.mark(vm, step, time_ns)

    def guest_sample(
        self, vm: int, time_ns: int, guest_time_ns: int, free_blocks: Sequence[int]
    ) -> None:
        """Note what a guest said of its free blocks, by order from 0 to 10."""
        self._notes.guest_sample(vm, time_ns, guest_time_ns, free_blocks)

    def _look_at_targets(self) -> list[CapturedGuest]:
        found = []
        for target in self._targets:
            try:
                found.append(look_at(target))
            except HostError as error:
                if self._newcomers is None:
                    raise
                self._put_off(target.pid, error)
        if not found:
            reasons = [one.reason for one in self._not_captured]
            reasons += [str(error) for error in self._pending.values()]
            raise HostError(f"no guest can be captured: {'; '.join(reasons)}")
        return found

    def _begin(self, found: Sequence[CapturedGuest]) -> None:
        """Let the probes see the guests, then read the state: an event during the read wins."""
        self._start_ns = time.monotonic_ns()
        self._created = datetime.now(UTC).isoformat(timespec="seconds")
        is_exact = counts_are_exact(self._probes)
        self._host = self._host.model_copy(update={"counts_are_exact": is_exact})
        frame_of = self._page_maps.frame_of
        self._decoder = Decoder({}, FrameTable(), frame_of, counts_are_exact=is_exact)
        self._sampler = Sampler({})
        self._accesses = AccessSampler({})
        self._drain = Drain(self._probes, self._decoder)
        states = [self._admit(guest) for guest in found]
        paths = {vm: guest.target.access_map for vm, guest in enumerate(self._guests)}
        given = {vm: path for vm, path in paths.items() if path is not None}
        self._accesses = AccessSampler(open_access_maps(given, self._sampler.qemus))
        self._writer = TraceWriter(self._output, self._manifest(self._start_ns))
        for state in states:
            self._writer.append("state", state)

    def _admit(self, guest: CapturedGuest) -> Columns:
        """Capture a guest from now on.  Returns its state.

        Raises
        ------
        HostError
            It cannot be.
        """
        refuse_unseen_faults(guest.qemu, self._probes)
        vm = len(self._guests)
        self._page_maps.open(guest.pid)
        self._probes.admit(guest.qemu)
        known = Guest(vm, guest.qemu.blocks, low_memory_bytes(guest.qemu))
        self._decoder.guests[guest.pid] = known
        self._guests.append(guest)
        try:
            guest.qemu = with_current_balloon(guest.qemu)
            state = read_state({vm: guest.qemu}, self._decoder.frames)
        except HostError:  # It has just ended; what the probes saw of it is kept.
            state = {}
        self._sampler.qemus[vm] = guest.qemu
        return state

    def _run(self) -> None:
        sampling = Pace(_SAMPLE_INTERVAL_NS, part=_SAMPLE_PART)
        searching, writing = Pace(_SEARCH_INTERVAL_NS), Pace(_SEGMENT_INTERVAL_NS)
        try:
            while not self._stop.is_set():
                now_ns = time.monotonic_ns()
                self._drain.until(now_ns - _SETTLE_NS)
                self._note_ends((), now_ns)
                all_ended = self._retire_ended(now_ns)
                self._accesses.sample(now_ns)
                if sampling.is_due(now_ns):
                    with sampling.step(now_ns):
                        self._note_ends(self._sampler.sample(), now_ns)
                if self._newcomers is not None and searching.is_due(now_ns):
                    with searching.step(now_ns):
                        self._admit_newcomers(self._newcomers, now_ns)
                if writing.is_due(now_ns):
                    with writing.step(now_ns):
                        self._keep_to_budget(now_ns)
                        self._write_segment()
                        self._writer.write_manifest(self._manifest(now_ns))
                if all_ended and self._newcomers is None:
                    return
                self._stop.wait(_DRAIN_INTERVAL_S)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever leaves the `with`.
            self._failure = error
        finally:
            self._ended.set()

    def _keep_to_budget(self, now_ns: int) -> None:
        """Record less if it costs too much, and write down what is only counted."""
        guests = self._decoder.guests
        spent_ns = time.process_time_ns() + self._probes.run_time_ns()
        self._probes.next_turn()
        if lowered := self._budget.look(now_ns, spent_ns):
            self._lowered_ns = self._lowered_ns or now_ns
            self._writer.append("events", self._budget.note(now_ns, guests))
            self.news.put(lowered)
        self._writer.append("events", self._budget.take_counts(now_ns, guests))

    def _admit_newcomers(self, newcomers: Newcomers, now_ns: int) -> None:
        """Capture the guests that are new on this host, from now on."""
        newcomers.settle([guest.pid for guest in self._guests if guest.ended_ns is None])
        for pid in newcomers.look():
            try:
                guest = look_at(Target(pid=pid))
                self._resources.callback(os.close, guest.pidfd)
                guest.attached_ns = time.monotonic_ns()
                state = self._admit(guest)
            except HostError as error:
                self._put_off(pid, error)
                continue
            newcomers.settle([pid])
            self._pending.pop(pid, None)
            # The manifest first: no event may name a guest that it does not have.
            self._writer.write_manifest(self._manifest(now_ns))
            self._writer.append("state", state)
            self.news.put(f"capturing {guest.describe().name} (pid {pid}) from now on")

    def _put_off(self, pid: int, error: HostError) -> None:
        """Try a QEMU that is young again; leave out one that is not."""
        if is_mature(pid):
            self._pending.pop(pid, None)
            self._leave_out(pid, error)
        else:
            self._pending[pid] = error

    def _leave_out(self, pid: int, error: HostError) -> None:
        """Note that a QEMU is not captured."""
        if self._newcomers is not None:
            self._newcomers.settle([pid])
        one = NotCaptured(name=name_of(pid) or f"pid-{pid}", reason=str(error))
        self._not_captured.append(one)
        self.news.put(f"not captured: {one.name}: {one.reason}")

    def _note_ends(self, gone: Sequence[int], now_ns: int) -> None:
        """Note which guests have ended: they have no memory any more, or no process."""
        for vm, guest in enumerate(self._guests):
            if guest.exited_ns is None and guest.has_exited():
                guest.exited_ns = now_ns
            if guest.ended_ns is None and (vm in gone or guest.exited_ns is not None):
                guest.ended_ns = now_ns
                del self._sampler.qemus[vm]
                self.news.put(f"{guest.describe().name} (pid {guest.pid}) has ended")

    def _retire_ended(self, now_ns: int) -> bool:
        """Detach from guests that have ended, once all they did is decoded.  True if all have."""
        for guest in self._guests:
            is_over = guest.exited_ns is not None and guest.exited_ns < now_ns - _SETTLE_NS
            if is_over and not guest.is_retired:
                self._retire(guest)
        return all(guest.is_retired for guest in self._guests)

    def _retire(self, guest: CapturedGuest) -> None:
        guest.is_retired = True
        self._probes.release(guest.pid)
        self._decoder.end_guest(guest.pid)
        self._page_maps.forget(guest.pid)

    def _finish(self) -> None:
        """Write the last segment, join them all, and write the final manifest."""
        counts = self._budget.take_counts(self._stop_ns, self._decoder.guests)
        self._writer.append("events", counts)
        self._drain.finish(self._stop_ns)
        for pid, error in self._pending.items():
            self._leave_out(pid, error)
        self._write_segment()
        self._writer.close(self._manifest(self._stop_ns, complete=self._failure is None))

    def _write_segment(self) -> None:
        """Write what has come in since the last segment."""
        self._writer.append("events", self._decoder.take_columns())
        self._writer.append("samples", self._sampler.take_columns())
        self._writer.append("events", self._notes.take_events())
        self._writer.append("events", self._accesses.take_columns())
        self._writer.append("guest_samples", self._notes.take_guest_samples())

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
            lowered_time_ns=self._lowered_ns,
            access_interval_ns=ACCESS_INTERVAL_NS if self._accesses.maps else None,
            access_source=ACCESS_SOURCE if self._accesses.maps else None,
            host=self._host,
            virtual_machines=tuple(guest.describe() for guest in self._guests),
            not_captured=tuple(self._not_captured),
            probes=tuple(self._with_decoder_counts(probe) for probe in self._probes.facts()),
        )

    def _with_decoder_counts(self, probe: Probe) -> Probe:
        """Add what only the decoder knows: whose frames they were."""
        if probe.name == "swap":
            return probe.model_copy(update={"unattributed": self._decoder.unattributed_swap_outs})
        return probe
