"""Measure what a capture costs the guest it watches, and itself, in alternating pairs.

make cost        writes .build/cost.json, and prints a table

One guest does the same job again and again, with pauses between.  In every pair of jobs one is
captured and one is not, in turn the first and the second; the probes are attached and detached in
the pauses.  So neither a slow boot nor a drift of the host's speed is taken for cost.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from workbench.capture.guests import Target
from workbench.capture.recorder import Capture, Origin
from workbench.lab import LabSettings, parse_scenario, run_lab
from workbench.trace import read_trace
from workbench.units import GIB, MIB, NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / ".build" / "cost.json"

PAUSE_S = 7.0
"""Long enough to compile and attach the probes, or to detach them and complete the trace."""

RESAMPLES = 10_000
NICENESS = -10
"""Of guest and capture alike: what else the machine does must not be taken for cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A guest and its job."""

    name: str
    before: str
    job: str
    settings: dict[str, Any]


LOADS = (
    Load(
        name="no pressure",
        before="take ballast 1920M\n",
        job="take work 384M\nfree work\ntake work 384M\nfree work\n",
        settings={"memory_bytes": 3 * GIB},
    ),
    Load(
        name="swapping",
        before="take kept 160M\n",
        job="touch kept\n",
        settings={"memory_limit_bytes": 190 * MIB, "zram_bytes": GIB},
    ),
)


@dataclass(slots=True)
class Job:
    """One job: how long it took, and what the capture did meanwhile, if there was one."""

    captured: bool
    begin_ns: int
    end_ns: int = 0
    capture_cpu_ns: int = 0
    events: int = 0
    lost: int = 0
    is_late: bool = False
    """Whether the probes took longer than the pause, to be there or to be gone."""

    @property
    def duration_ns(self) -> int:
        """How long it took."""
        return self.end_ns - self.begin_ns


@dataclass
class Watcher:
    """Stands in for a capture of the whole run: it captures the jobs whose turn it is."""

    pid: int
    job_begins: frozenset[int]
    job_ends: frozenset[int]
    folder: Path
    jobs: list[Job] = field(default_factory=list)
    attach_s: list[float] = field(default_factory=list)
    _orders: queue.SimpleQueue[bool | None] = field(default_factory=queue.SimpleQueue)
    _is_ready: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        """Start the process that captures, which waits for its first order."""
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=capture_on_order, args=(theirs, self.pid))
        self._process.start()
        self._pipe.recv()
        self._pipe.send(self.folder / "0.trace")  # The first takes longest: libraries are loaded.
        self._pipe.recv()
        self._pipe.send("stop")
        self._pipe.recv()
        self._thread = threading.Thread(target=self._give_orders)
        self._thread.start()
        self._is_ready.set()
        return self

    def __exit__(self, *exception: object) -> None:
        """End it."""
        self._orders.put(None)
        self._thread.join()
        self._pipe.send(None)
        self._process.join(PAUSE_S)
        self._process.kill()

    def mark(self, vm: int, step: int, time_ns: int) -> None:
        """Begin or end a job; between jobs, attach or detach."""
        del vm
        if step in self.job_ends and self.jobs and not self.jobs[-1].end_ns:
            job = self.jobs[-1]
            job.end_ns = time_ns
            job.capture_cpu_ns = processor_time_ns(self._process.pid) - job.capture_cpu_ns
            self._is_ready.clear()
            self._orders.put(is_captured(len(self.jobs)))
        if step in self.job_begins:
            captured = is_captured(len(self.jobs))
            now_ns = processor_time_ns(self._process.pid)
            job = Job(captured, time_ns, capture_cpu_ns=now_ns, is_late=not self._is_ready.is_set())
            self.jobs.append(job)

    def guest_sample(self, *sample: object) -> None:
        """Not needed."""

    def _give_orders(self) -> None:
        number = 0
        was_captured = False
        while (wanted := self._orders.get()) is not None:
            number += 1
            if was_captured:
                self._pipe.send("stop")
                self.jobs[number - 1].events, self.jobs[number - 1].lost = self._pipe.recv()
            if wanted:
                self._pipe.send(self.folder / f"{number}.trace")
                self.attach_s.append(self._pipe.recv())
            was_captured = wanted
            self._is_ready.set()


def is_captured(number: int) -> bool:
    """Whether job `number` is: the first of a pair, the second of the next."""
    return number % 4 in (1, 2)


def capture_on_order(orders: Connection, pid: int) -> None:
    """Capture a guest whenever told to, until told to end."""
    orders.send("here")
    while (output := orders.recv()) is not None:
        begin = time.monotonic()
        with Capture([Target(pid=pid)], output, Origin(command="make cost")):
            orders.send(time.monotonic() - begin)
            orders.recv()
        manifest = read_trace(output).manifest
        orders.send((sum(probe.events for probe in manifest.probes), manifest.lost_events))


def processor_time_ns(pid: int | None) -> int:
    """Time on a processor of all threads of a process (Linux Documentation/scheduler)."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text("utf-8").split()[0]) for task in tasks)


def measure(load: Load, pair_count: int) -> dict[str, Any]:
    """Run the pairs of one load in one guest."""
    text = load.before + f"idle {PAUSE_S}\n"
    text += (load.job + f"idle {PAUSE_S}\n") * (2 * pair_count)
    scenario = parse_scenario(text, name="cost")
    begins, ends = job_steps(load, 2 * pair_count)
    settings = LabSettings(scenario=scenario, settle_s=4.0, **load.settings)
    watchers: list[Watcher] = []
    with tempfile.TemporaryDirectory(prefix="workbench-cost-") as folder:

        def open_watcher(targets: Sequence[Target], output: Path, origin: Origin) -> Watcher:
            del output, origin
            watchers.append(Watcher(targets[0].pid, begins, ends, Path(folder)))
            return watchers[-1]

        run_lab(settings, Path(folder) / "unused", capture=open_watcher, progress=progress)
    return result(load, watchers[0])


def job_steps(load: Load, count: int) -> tuple[frozenset[int], frozenset[int]]:
    """The numbers of the steps that begin jobs, and of those that come just after them."""
    before, length = load.before.count("\n") + 1, load.job.count("\n")
    first = [before + 1 + number * (length + 1) for number in range(count)]
    return frozenset(first), frozenset(step + length for step in first)


def result(load: Load, watcher: Watcher) -> dict[str, Any]:
    """What the pairs say."""
    jobs = [job for job in watcher.jobs if job.end_ns]
    pairs = [
        (with_capture.duration_ns, without.duration_ns)
        for first, second in zip(jobs[::2], jobs[1::2], strict=False)
        for with_capture, without in [(first, second) if first.captured else (second, first)]
        if not (first.is_late or second.is_late)
    ]
    growth = np.array([a / b - 1 for a, b in pairs])
    low, high = interval(growth)
    captured = [job for job in jobs if job.captured and not job.is_late]
    seconds = sum(job.duration_ns for job in captured) / NANOSECONDS
    return {
        "load": load.name,
        "pairs": len(pairs),
        "late_jobs": sum(job.is_late for job in jobs),
        "job_seconds": float(np.median([without for _, without in pairs])) / NANOSECONDS,
        "growth_mean": float(growth.mean()),
        "growth_interval": [low, high],
        "capture_processors": sum(job.capture_cpu_ns for job in captured) / NANOSECONDS / seconds,
        "records_per_second": sum(job.events for job in captured) / seconds,
        "lost": sum(job.lost for job in captured),
        "attach_seconds": statistics.median(watcher.attach_s),
        "jobs": [asdict(job) for job in jobs],
    }


def interval(growth: np.ndarray) -> tuple[float, float]:
    """The bootstrap 95 % interval of the mean."""
    chance = np.random.default_rng(1)
    means = chance.choice(growth, (RESAMPLES, growth.size)).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def progress(text: str) -> None:
    """Say where the guest is."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure every load, and write it down."""
    options = argparse.ArgumentParser()
    options.add_argument("--pairs", type=int, default=60)
    options.add_argument("--load", choices=[load.name for load in LOADS])
    chosen = options.parse_args()
    os.nice(NICENESS)
    RESULT.parent.mkdir(exist_ok=True)
    results = []
    for load in LOADS:
        if chosen.load in (None, load.name):
            results.append(measure(load, chosen.pairs))
            print(json.dumps({k: v for k, v in results[-1].items() if k != "jobs"}, indent=1))
    RESULT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
