"""Random programs on the model and on the real device, on as many processors as there are."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count as counting
from pathlib import Path
from typing import TYPE_CHECKING, Final

from workbench.errors import HostError, InputError
from workbench.model.balloon.rules import RULES, Tally
from workbench.validation.abilities import NotBuildableError
from workbench.validation.corpus import store_program, stored_programs
from workbench.validation.difference import Difference
from workbench.validation.finding import Finding, Trial, read_finding, trace_down, trial_of
from workbench.validation.huge_pages import huge_pages
from workbench.validation.kinds import KINDS
from workbench.validation.model_machine import model_machine
from workbench.validation.plan import Job, make_plan
from workbench.validation.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from workbench.validation.driver import Step
    from workbench.validation.kinds import Kind
    from workbench.validation.session import MakeModel

ROUND_PROGRAMS: Final = 20_000
"""How many programs are planned at a time where a run is bounded by time only."""

_PR_SET_PDEATHSIG: Final = 1
"""Linux include/uapi/linux/prctl.h."""

_HUGE_PAGES_EACH: Final = 20
"""What a worker's machine takes, and the next one while the last still ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a run is asked for."""

    seed: str
    program_count: int | None = None
    """None: as many as fit into `seconds`."""
    seconds: float | None = None
    qemu: str = "qemu-system-x86_64"
    corpus: Path | None = None
    """Where programs that differ are stored; None: nowhere."""
    workers: int = 1
    """Processes at most; no more than there is work for."""
    kind_names: tuple[str, ...] = ()
    """Only these kinds; none: all of them."""


@dataclass(kw_only=True)
class JobResult:
    """What one job, or one stored program, came to."""

    kind_name: str
    program_count: int
    seconds: float
    tally: Tally
    finding: Finding | None = None
    qemu_version: str = ""
    left_out: dict[str, str] = field(default_factory=dict)
    """What keeps this QEMU from building the machine."""


@dataclass(kw_only=True)
class Outcome:
    """What a run came to."""

    wishes: Wishes
    programs: dict[str, int] = field(default_factory=dict)
    """Programs run, by kind."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time spent, by kind, summed over the workers."""
    tally: Tally = field(default_factory=Tally)
    findings: list[Finding] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    """Where the programs of `findings` are, or why they are nowhere."""
    replayed: int = 0
    """Stored programs that were run first."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Kinds that this host, and machines that this QEMU, cannot run, with the reason."""
    elapsed_s: float = 0.0
    qemu_version: str = ""

    @property
    def program_count(self) -> int:
        """All programs run."""
        return sum(self.programs.values())

    def unexercised(self) -> list[str]:
        """The rules that no program has exercised."""
        return [rule for rule in RULES if not self.tally[rule]]

    def add(self, result: JobResult) -> None:
        """Count a job in."""
        kind = result.kind_name
        self.qemu_version = result.qemu_version or self.qemu_version
        self.programs[kind] = self.programs.get(kind, 0) + result.program_count
        self.seconds[kind] = self.seconds.get(kind, 0.0) + result.seconds
        self.left_out |= result.left_out
        for rule, times in result.tally.items():
            self.tally[rule] += times
        if result.finding is not None:
            self.findings.append(result.finding)
            self.stored.append(_keep(result.finding, self.wishes.corpus))


def conform(wishes: Wishes, progress: Callable[[Outcome], None] = lambda _: None) -> Outcome:
    """Run stored programs, then random ones, until there are enough or the time is up.

    Raises
    ------
    HostError
        QEMU is missing, or cannot be driven here.
    InputError
        The corpus is no folder, or holds what is no program.
    """
    outcome = Outcome(wishes=wishes)
    if wishes.corpus is not None and wishes.corpus.exists() and not wishes.corpus.is_dir():
        raise InputError(f"{wishes.corpus}: not a folder; choose another one with --corpus")
    with ExitStack() as stack:
        kinds, stored, workers = _possible(outcome, stack)
        pool = stack.enter_context(_workers(workers))
        started = time.monotonic()
        replays = (_Replay(path, wishes.qemu) for path in stored)
        for result in _finished(pool, workers, replays, None):
            outcome.replayed += 1
            outcome.add(result)
            progress(outcome)
        deadline = None if wishes.seconds is None else time.monotonic() + wishes.seconds
        work = (_Run(job, wishes.qemu) for job in _jobs(wishes, kinds))
        for result in _finished(pool, workers, work, deadline):
            outcome.add(result)
            outcome.elapsed_s = time.monotonic() - started
            progress(outcome)
    return outcome


@contextmanager
def _workers(count: int) -> Iterator[ProcessPoolExecutor]:
    """Make worker processes that end with us, however we end, and leave no files behind."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="conform-") as folder:
        pool = ProcessPoolExecutor(
            count, mp_context=context, initializer=_begin_worker, initargs=(folder, os.getpid())
        )
        try:
            yield pool
        except BaseException as error:
            # What runs is of no use any more, and may take long.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
                process.join()
            if isinstance(error, BrokenProcessPool):
                raise HostError(
                    "a worker was killed; if memory was short, try fewer with --workers"
                ) from error
            raise
        pool.shutdown()


def _begin_worker(folder: str, parent: int) -> None:
    """Keep files where the parent removes them, and end when it does.

    Source: Linux prctl(2), PR_SET_PDEATHSIG.
    """
    tempfile.tempdir = folder
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent hears it too, and ends us.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit()  # It has ended meanwhile.


def run_job(
    job: Job, qemu: str, make_model: MakeModel = model_machine, *, explain: bool = True
) -> JobResult:
    """Run all programs of one machine; stop at the first difference and `explain` it.

    That means to find the shortest program that shows it, which takes some seconds.
    """
    setup, batches = job.begin()
    tally = Tally()
    started = time.monotonic()
    seen: list[list[Step]] = []
    difference: Difference | None = None
    version = ""
    left_out: dict[str, str] = {}
    try:
        with (
            tempfile.TemporaryDirectory(prefix="conform-") as folder,
            Session(
                setup, qemu=qemu, folder=Path(folder), tally=tally, make_model=make_model
            ) as session,
        ):
            version = session.real.version
            difference = _run_batches(session, job, batches, seen)
    except NotBuildableError as error:
        left_out = error.missing
    finding = None
    if difference is not None:
        prologue = job.kind.prologue
        trial = Trial(setup, prologue, qemu, make_model, patient=job.kind.patient)
        explained = trace_down(job.kind_name, trial, setup, seen) if explain else None
        finding = explained or Finding(
            kind_name=job.kind_name,
            setup=setup,
            steps=(*prologue, *(step for program in seen for step in program)),
            difference=difference,
            reproduced=False,
        )
    return JobResult(
        kind_name=job.kind_name,
        program_count=len(seen),
        seconds=time.monotonic() - started,
        tally=tally,
        finding=finding,
        qemu_version=version,
        left_out=left_out,
    )


def _run_batches(
    session: Session, job: Job, batches: Iterator[list[list[Step]]], seen: list[list[Step]]
) -> Difference | None:
    """Run programs up to the first difference, and add to `seen` those that were begun."""
    try:
        difference = session.run(job.kind.prologue)
        for batch in batches:
            if difference is None:
                seen += batch
                steps = [step for program in batch for step in program]
                difference = session.run(steps) or session.check()
        return difference or session.finish(patient=job.kind.patient)
    except NotBuildableError:
        raise
    except HostError as error:
        return Difference(what="QEMU", expected="an answer", found=str(error))


class _Run:
    """One job, for a worker."""

    def __init__(self, job: Job, qemu: str) -> None:
        self._job, self._qemu = job, qemu

    def __call__(self) -> JobResult:
        return run_job(self._job, self._qemu)


class _Replay:
    """One stored program, for a worker."""

    def __init__(self, path: Path, qemu: str) -> None:
        self._path, self._qemu = path, qemu

    def __call__(self) -> JobResult:
        started = time.monotonic()
        finding = read_finding(self._path)
        difference, found, left_out = None, None, {}
        tally = Tally()
        trial = trial_of(finding, qemu=self._qemu, tally=tally)
        try:
            difference = trial.run(finding.steps, each=True)
        except NotBuildableError as error:
            left_out = error.missing
        except (TypeError, ValueError, IndexError, KeyError) as error:
            raise InputError(
                f"{self._path}: a step has other operands than it takes ({error}); remove the file"
            ) from error
        if difference is not None:
            found = Finding(
                kind_name=finding.kind_name,
                setup=finding.setup,
                steps=finding.steps,
                difference=difference,
            )
        return JobResult(
            kind_name="stored",
            program_count=0 if left_out else 1,
            seconds=time.monotonic() - started,
            tally=tally,
            finding=found,
            qemu_version=trial.version,
            left_out=left_out,
        )


def _keep(finding: Finding, corpus: Path | None) -> str:
    if corpus is None:
        return "nowhere"
    try:
        return str(store_program(finding, corpus))
    except OSError as error:
        return f"nowhere, as {error.filename or corpus} cannot be written: {error.strerror}"


def _jobs(wishes: Wishes, kinds: Sequence[Kind]) -> Iterator[Job]:
    if wishes.program_count is not None:
        yield from make_plan(wishes.seed, wishes.program_count, kinds)
        return
    for number in counting():
        yield from make_plan(f"{wishes.seed}.{number}", ROUND_PROGRAMS, kinds)


def _finished(
    pool: ProcessPoolExecutor,
    workers: int,
    work: Iterator[Callable[[], JobResult]],
    deadline: float | None,
) -> Iterator[JobResult]:
    """Keep every worker busy, and hand out results as they come.

    However little time there is, each worker gets something to do.
    """
    running: set[Future[JobResult]] = set()
    exhausted = False
    begun = False
    while True:
        late = begun and deadline is not None and time.monotonic() >= deadline
        while not exhausted and not late and len(running) < 2 * workers:
            task = next(work, None)
            if task is None:
                exhausted = True
                break
            running.add(pool.submit(task))
        begun = True
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _possible(outcome: Outcome, stack: ExitStack) -> tuple[list[Kind], list[Path], int]:
    """Borrow what kinds and stored programs need, or leave those out for which there is nothing.

    Returns
    -------
    The kinds and the stored programs that are left, and how many workers have work.

    Raises
    ------
    HostError
        Nothing is left.
    """
    wishes = outcome.wishes
    kinds = [KINDS[name] for name in wishes.kind_names or tuple(KINDS)]
    stored = stored_programs(wishes.corpus)
    on_huge_pages = {path for path in stored if read_finding(path).setup.huge_page_count}
    workers = wishes.workers
    if wishes.program_count is not None:
        jobs = make_plan(wishes.seed, wishes.program_count, kinds)
        workers = min(workers, max(len(jobs), len(stored)))
    lacking: dict[str, str] = {}
    try:
        if on_huge_pages or any("huge pages" in kind.needs for kind in kinds):
            stack.enter_context(huge_pages(_HUGE_PAGES_EACH * workers))
    except HostError as error:
        lacking["huge pages"] = str(error)
        stored = [path for path in stored if path not in on_huge_pages]
    if os.geteuid() and resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY:
        lacking["locked memory"] = "only root may lock memory without limit"
        stored = [path for path in stored if not read_finding(path).setup.mem_lock]
    for need, reason in lacking.items():
        outcome.left_out |= {kind.name: reason for kind in kinds if need in kind.needs}
    kinds = [kind for kind in kinds if kind.name not in outcome.left_out]
    if not kinds:
        raise HostError("; ".join(f"{name}: {why}" for name, why in outcome.left_out.items()))
    return kinds, stored, workers
