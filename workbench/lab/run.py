"""Run a scenario in throwaway guests, with a capture around it."""

from __future__ import annotations

import queue
import signal
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from workbench.capture.guests import Target
from workbench.capture.recorder import Origin
from workbench.errors import HostError
from workbench.lab.acceleration import chosen_accelerator
from workbench.lab.host import (
    KHUGEPAGED_OFF,
    PAGE_CLUSTER,
    memory_cgroup,
    require_root,
    setting_changed,
)
from workbench.lab.interrupt import Interruptions
from workbench.lab.kernel import GuestKernel, guest_kernel, require_tools
from workbench.lab.machine import TOOLS, Line, Machine, machine_name, running_machine
from workbench.lab.migration import Migration, prepared_migration
from workbench.lab.settings import QUIET_S, LabSettings
from workbench.lab.swap import file_swap, zram_swap
from workbench.lab.words import Fact, Failure, FreeBlocks, Mark, Stage, parse_line
from workbench.trace import LOG_ARGUMENTS, GuestFacts
from workbench.units import HUGE_PAGE_ORDER, NANOSECONDS, format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SILENCE_SECONDS_MAX: Final = 120.0
"""A guest says something twice a second, one that swaps heavily less often; this one hangs."""

REPORTING_DELAY_NS: Final = 2 * NANOSECONDS
"""Linux 6.1 mm/page_reporting.c, PAGE_REPORTING_DELAY."""

REPORTING_CAPACITY: Final = 32
"""Linux 6.1 include/linux/page_reporting.h, PAGE_REPORTING_CAPACITY."""

_TURN_S: Final = 0.1
"""How long the lab may overlook a signal or a dead guest."""


class Recorder(Protocol):
    """What takes down what the guests say; a capture in progress does."""

    def mark(self, vm: int, step: int, time_ns: int) -> None:
        """A guest began a step; the step after the last stands for the end of the scenario."""

    def guest_sample(
        self, vm: int, time_ns: int, guest_time_ns: int, free_blocks: Sequence[int]
    ) -> None:
        """A guest counted its free blocks, by order from 0 to 10."""


class OpenCapture(Protocol):
    """Begins a capture of running (or not yet running) guests; leaving it completes the trace."""

    def __call__(
        self, targets: Sequence[Target], output: Path, origin: Origin
    ) -> AbstractContextManager[Recorder]:
        """Open it."""


def run_lab(
    settings: LabSettings,
    output: Path,
    *,
    capture: OpenCapture,
    command: str = "",
    stream: Path | None = None,
    qemu_logs: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Path:
    """Boot the guests, let them perform the scenario, and capture them.  Returns `output`.

    A capture of the whole life begins before the guest's first instruction.

    Parameters
    ----------
    capture
        `workbench.capture.Capture`, or `workbench.lab.Transcript` to do without.
    command
        The command line that asked for this, for the trace.
    stream
        Where to write what the migration sends; None throws it away.
    qemu_logs
        The folder in which to keep QEMU's own trace log, NAME.log of each guest; None for none.
    progress
        Is told, in short sentences, what is going on.

    Raises
    ------
    HostError
        This host cannot do it, or a guest broke down; what was captured until then is kept.
    KeyboardInterrupt
        A signal asked to stop (SIGINT, SIGTERM or SIGHUP); likewise.
    """
    require_root()
    require_tools(TOOLS)
    with ExitStack() as stack:
        interruptions = stack.enter_context(Interruptions())
        kernel = guest_kernel(progress)
        accelerator = chosen_accelerator(settings.accelerator, kernel)
        interruptions.check()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="workbench-lab-")))
        group = stack.enter_context(prepared_host(settings, folder.name, progress))
        lines: queue.SimpleQueue[Line] = queue.SimpleQueue()
        start = partial(running_machine, settings, kernel=kernel, accelerator=accelerator)
        machines = []
        for vm in range(settings.guest_count):
            interruptions.check()
            own = folder / str(vm)
            own.mkdir()
            more = _log_arguments(qemu_logs, machine_name(settings, vm))
            machine = start(vm=vm, folder=own, lines=lines, group=group, more_arguments=more)
            machines.append(stack.enter_context(machine))
        targets = _targets(machines, guest_facts(settings, kernel))
        session = _Session(settings, machines, lines, interruptions, progress, stream=stream)
        session.run(lambda: capture(targets, output, origin(settings, command)))
    return output


def _log_arguments(folder: Path | None, name: str) -> tuple[str, ...]:
    return () if folder is None else ("-D", str(folder / f"{name}.log"), *LOG_ARGUMENTS)


def _targets(machines: Sequence[Machine], facts: GuestFacts) -> list[Target]:
    return [Target(pid=m.pid, name=m.name, guest=facts, access_map=m.access_map) for m in machines]


@contextmanager
def prepared_host(
    settings: LabSettings, name: str, progress: Callable[[str], None]
) -> Iterator[tuple[str, ...]]:
    """Stop khugepaged, make swap, limit memory; yield a command that runs another in the limit."""
    with ExitStack() as stack:
        for path, value in KHUGEPAGED_OFF.items():
            stack.enter_context(setting_changed(path, value))
        if settings.page_cluster is not None:
            stack.enter_context(setting_changed(PAGE_CLUSTER, str(settings.page_cluster)))
        if settings.zram_bytes:
            device = stack.enter_context(zram_swap(settings.zram_bytes))
            progress(f"swapping to {device} ({format_bytes(settings.zram_bytes)})")
        if settings.swap_file_bytes:
            device = stack.enter_context(file_swap(settings.swap_file_bytes))
            progress(f"swapping to {device} ({format_bytes(settings.swap_file_bytes)})")
        if settings.memory_limit_bytes:
            yield stack.enter_context(memory_cgroup(name, settings.memory_limit_bytes))
        else:
            yield ()


def origin(settings: LabSettings, command: str) -> Origin:
    """Why the trace exists."""
    return Origin(
        command=command,
        scenario=settings.scenario.name,
        scenario_text=settings.scenario.text,
        lab_settings=settings.as_text(),
        mid_life=settings.attach_after is not None,
    )


def guest_facts(settings: LabSettings, kernel: GuestKernel) -> GuestFacts:
    """What the lab knows of its guests before they run; the guests are checked against it."""
    facts = GuestFacts(kernel=kernel.release, init_on_free=settings.init_on_free)
    if not settings.reporting:
        return facts
    order = settings.reporting_order
    return facts.model_copy(
        update={
            "reporting_order": HUGE_PAGE_ORDER if order is None else order,
            "reporting_delay_ns": REPORTING_DELAY_NS,
            "reporting_capacity": REPORTING_CAPACITY,
        }
    )


class _Session:
    """The guests of one run, from their first instruction to their quiet end."""

    def __init__(
        self,
        settings: LabSettings,
        machines: Sequence[Machine],
        lines: queue.SimpleQueue[Line],
        interruptions: Interruptions,
        progress: Callable[[str], None],
        *,
        stream: Path | None = None,
    ) -> None:
        self._settings = settings
        self._scenario = settings.scenario
        self._machines = machines
        self._lines = lines
        self._interruptions = interruptions
        self._progress = progress
        self._recorder: Recorder | None = None
        self._guests = [_Guest() for _ in machines]
        self._receivers = ExitStack()
        self._stream = stream
        place = settings.migrate_at
        self._migration_step = None if place is None else self._scenario.step_number(place)

    def run(self, open_recorder: Callable[[], AbstractContextManager[Recorder]]) -> None:
        """Let the guests run; open the recorder before they do, or at the step to attach at."""
        with self._receivers, ExitStack() as recording:
            mid_life = self._settings.attach_after is not None
            if mid_life:
                self._boot()
                self._listen_until(lambda: all(guest.is_waiting for guest in self._guests))
            self._progress("attaching the capture")
            recorder = recording.enter_context(open_recorder())
            self._catch_up()
            self._recorder = recorder
            if mid_life:
                self._wake()
            else:
                self._boot()
            self._listen_until(lambda: all(guest.is_quiet for guest in self._guests))
            quiet_until = time.monotonic() + QUIET_S
            self._listen_until(lambda: time.monotonic() >= quiet_until)
            self._progress("completing the capture")

    def _boot(self) -> None:
        for machine, guest in zip(self._machines, self._guests, strict=True):
            machine.qmp.execute("cont")
            guest.heard_at = time.monotonic()
        self._progress(f"booting {len(self._machines)} guest(s)")

    def _wake(self) -> None:
        for machine in self._machines:
            machine.wake()

    def _catch_up(self) -> None:
        """Hear, without recording it, what was said while the capture was being opened."""
        while not self._lines.empty():
            self._hear(self._lines.get())

    def _listen_until(self, is_reached: Callable[[], bool]) -> None:
        """Take in what the guests say until something holds."""
        while not is_reached():
            self._interruptions.check()
            try:
                line = self._lines.get(timeout=_TURN_S)
            except queue.Empty:
                self._check_guests()
            else:
                self._hear(line)
            self._watch_migrations()

    def _check_guests(self) -> None:
        for machine, guest in zip(self._machines, self._guests, strict=True):
            if not machine.is_alive():
                code = machine.process.returncode
                hint = "" if code != -signal.SIGKILL else self._killed_hint()
                raise HostError(
                    f"QEMU of guest {machine.name} ended by itself (exit code {code}); the last it "
                    f"said: {machine.last_words()}{hint}"
                )
            silent_s = time.monotonic() - guest.heard_at
            if silent_s > SILENCE_SECONDS_MAX and not guest.is_quiet:
                raise HostError(
                    f"guest {machine.name} has said nothing for {silent_s:.0f} s; the last on its "
                    f"console: {machine.last_words()}"
                )

    def _killed_hint(self) -> str:
        if self._settings.memory_limit_bytes is None:
            return ""
        return "; where the memory limit and swap together are too small, the kernel kills it"

    def _hear(self, line: Line) -> None:
        machine, guest = self._machines[line.vm], self._guests[line.vm]
        guest.heard_at = time.monotonic()
        match parse_line(line.text):
            case FreeBlocks(guest_time_ns, counts):
                if self._recorder:
                    self._recorder.guest_sample(line.vm, line.time_ns, guest_time_ns, counts)
            case Mark(step, _, begins) if begins:
                self._begin_step(line, step)
            case Stage("WAIT", _):
                guest.is_waiting = True
            case Stage("DONE", _):
                self._progress(f"{machine.name}: all steps done; letting it settle")
                self._mark(line, len(self._scenario.steps) + 1)
            case Stage("QUIET", _):
                guest.is_quiet = True
            case Fact(name, value):
                self._check_fact(machine, name, value)
            case Failure(what):
                raise HostError(f"guest {machine.name} could not do what it should: {what}")
            case _:
                pass  # The end of a step, the beginning of all, or noise on the line.

    def _begin_step(self, line: Line, step: int) -> None:
        machine, steps = self._machines[line.vm], self._scenario.steps
        self._progress(f"{machine.name}: step {step} of {len(steps)}: {steps[step - 1].text}")
        self._mark(line, step)
        if step == self._migration_step:
            migration = self._receivers.enter_context(
                prepared_migration(machine.qmp, machine.folder, self._stream)
            )
            migration.start()
            self._guests[line.vm].migration = migration

    def _mark(self, line: Line, step: int) -> None:
        if self._recorder:
            self._recorder.mark(line.vm, step, line.time_ns)

    def _watch_migrations(self) -> None:
        for machine, guest in zip(self._machines, self._guests, strict=True):
            if guest.migration and guest.migration.is_over():
                sent = format_bytes(guest.migration.received_bytes)
                self._progress(f"{machine.name}: migration complete, {sent} sent")
                guest.migration = None

    def _check_fact(self, machine: Machine, name: str, value: str) -> None:
        """A setting that did not take effect must not end up in a manifest as if it had."""
        order, poison_val = self._settings.reporting_order, self._settings.poison_val
        wanted = {
            "reporting_order": None if order is None else str(order),
            "poison_val": None if poison_val is None else f"0x{poison_val:08X}",
        }.get(name)
        if wanted is not None and value != wanted:
            raise HostError(f"guest {machine.name} has {name} {value} instead of {wanted}")


@dataclass(slots=True)
class _Guest:
    """How far a guest has come."""

    is_waiting: bool = False
    is_quiet: bool = False
    heard_at: float = 0.0
    migration: Migration | None = None
