"""Measure what a capture costs the guest it watches, and itself, in alternating pairs.

make cost                                               every load, two hours at most
python tools/bench_capture.py --load quiet --limit 20   one of them, for 20 minutes at most
python tools/bench_capture.py --load quiet --more       more pairs, beside those of .build

Writes .build/cost-LOAD.json of each load, and prints a table.

One guest does the same job again and again.  Of two jobs one is captured and one is not; the
guest stands still while the capture is begun or ended.  QEMU has one processor to itself, and what
captures another, so that the two do not compete.  It ends once the interval of the growth is narrow
enough, or with the time.  docs/capture.md has the method and the results.
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
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from capture_loads import JOBS_MAX, LOADS, Load
from capture_pairs import (
    HALF_WIDTH_MAX,
    LOOK_EVERY,
    SWAP_EVENTS_PER_SECOND,
    Job,
    figures,
    is_captured,
    is_enough,
    whole_pairs,
)
from capture_process import Attached, CaptureProcess, Detached, prefer, processor_time_ns

from workbench.capture.sampler import read_swap_counters
from workbench.errors import HostError, WorkbenchError
from workbench.lab import LabSettings, parse_scenario
from workbench.lab.host import require_root
from workbench.lab.interrupt import Interruptions
from workbench.lab.kernel import guest_kernel
from workbench.lab.machine import Line, Machine, running_machine
from workbench.lab.run import SILENCE_SECONDS_MAX, prepared_host
from workbench.lab.words import Failure, Mark, parse_line

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).resolve().parent.parent / ".build"

LIMIT_MINUTES = 25.0
"""Of each load."""

_TURN_S = 0.1

_STATISTICS_INTERVAL_S = 0.05


class Measured(NamedTuple):
    """What was measured, in one sitting or in several."""

    jobs: list[Job]
    attached: list[Attached]
    detached: list[Detached]


class Bench:
    """One guest and its jobs, captured by turns."""

    def __init__(
        self, load: Load, machine: Machine, capture: CaptureProcess, earlier: list[Job]
    ) -> None:
        self._load = load
        self._earlier = earlier
        self._machine = machine
        self._capture = capture
        self._begun: tuple[int, ...] = ()
        self._ready_ns = 0
        self._is_late = False
        self._is_on = False
        self.jobs: list[Job] = []

    def hear(self, line: Line) -> bool:
        """Take in what the guest says.  Returns whether a job has ended with it."""
        word = parse_line(line.text)
        if isinstance(word, Failure):
            raise HostError(f"the guest could not do what it should: {word.what}")
        if not isinstance(word, Mark):
            return False
        number, step = self._load.place_of(word.step)
        is_last = step == self._load.job.count("\n") - 1
        if number < 0:
            return False
        if word.begins and step == 0:
            self._begun = self._counts(line)
            self._is_late = line.time_ns < self._ready_ns
        if word.begins or not is_last:
            return False
        spent = (now - then for now, then in zip(self._counts(line), self._begun, strict=True))
        self.jobs.append(Job(self._is_on, self._is_late, *spent))
        return True

    @property
    def all_jobs(self) -> list[Job]:
        """Those of an earlier measurement as well."""
        return self._earlier + self.jobs

    def prepare(self) -> None:
        """Begin or end a capture if it is time to for the next job; the guest stands still."""
        if is_captured(len(self.jobs)) != self._is_on:
            self._machine.qmp.execute("stop")
            if self._is_on:
                self._capture.turn_off()
            else:
                self._capture.turn_on()
            self._is_on = not self._is_on
            self._ready_ns = time.monotonic_ns()
            self._machine.qmp.execute("cont")

    def _counts(self, line: Line) -> tuple[int, ...]:
        """What a job counts, in the order of its fields."""
        swapped_in, swapped_out, *_ = read_swap_counters()
        guest_ns, capture_ns = processor_time_ns(self._machine.pid), self._capture.processor_ns()
        return line.time_ns, guest_ns, capture_ns, swapped_in + swapped_out


def measure(
    load: Load, earlier: Measured, limit_s: float, processors: tuple[int, int]
) -> dict[str, Any]:
    """Run jobs until it is known what a capture costs, or the time is over."""
    guest_processor, own_processor = processors
    scenario = parse_scenario(load.scenario_text(), name="cost")
    settings = LabSettings(scenario=scenario, **load.settings)
    lines: queue.SimpleQueue[Line] = queue.SimpleQueue()
    with ExitStack() as stack:
        interruptions = stack.enter_context(Interruptions())
        kernel = guest_kernel(say)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="workbench-cost-")))
        group = stack.enter_context(prepared_host(settings, folder.name, say))
        if group:
            stack.enter_context(fresh_statistics(Path(group[-1]).parent))
        machine = stack.enter_context(
            running_machine(
                settings,
                vm=0,
                kernel=kernel,
                folder=folder,
                accelerator="tcg",
                lines=lines,
                group=("taskset", "--cpu-list", str(guest_processor), *group),
            )
        )
        prefer(machine.pid)
        capture = stack.enter_context(CaptureProcess(machine.pid, own_processor))
        bench = Bench(load, machine, capture, earlier.jobs)
        machine.qmp.execute("cont")
        interrupted = False
        try:
            run_jobs(bench, machine, lines, interruptions, limit_s)
        except KeyboardInterrupt:
            interrupted = True  # What was measured until then is kept.
    measured = Measured(
        earlier.jobs + bench.jobs,
        earlier.attached + capture.attached,
        earlier.detached + capture.detached,
    )
    return result(load, measured) | {"interrupted": interrupted}


def run_jobs(
    bench: Bench,
    machine: Machine,
    lines: queue.SimpleQueue[Line],
    interruptions: Interruptions,
    limit_s: float,
) -> None:
    """Listen to the guest, and begin and end captures between its jobs."""
    heard = begun = time.monotonic()
    while True:
        interruptions.check()
        try:
            line = lines.get(timeout=_TURN_S)
        except queue.Empty:
            if not machine.is_alive() or time.monotonic() - heard > SILENCE_SECONDS_MAX:
                message = f"the guest has ended, or is silent; it said: {machine.last_words()}"
                raise HostError(message) from None
            continue
        heard = time.monotonic()
        if not bench.hear(line):
            continue
        if len(bench.jobs) == 1:
            begun = heard
        count = len(bench.jobs)
        if count % (2 * LOOK_EVERY) == 0:
            say(one_line(figures(bench.all_jobs)))
        if is_enough(bench.all_jobs) or heard - begun > limit_s or count == JOBS_MAX:
            return
        bench.prepare()


def processors() -> tuple[int, int]:
    """The processor for QEMU, and the one for everything else that belongs to the measurement."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) == 1:
        raise HostError("the guest and its capture need a processor each, and there is one only")
    return usable[0], usable[1]


@contextmanager
def fresh_statistics(cgroup: Path) -> Iterator[None]:
    """Have the kernel add up what a memory cgroup holds, again and again.

    Seen on Linux 6.18, cgroup v1: a guest that swaps its whole memory again and again was killed
    with most of its swap free and without any capture, four times of four; reclaim found nothing to
    look at.  With the statistics read all the time it was not, ten times of ten.  The kernel adds
    them up every two seconds by itself, and decides by them what to reclaim (mm/vmscan.c,
    prepare_scan_control); whoever reads them has them added up.
    """
    is_over = threading.Event()

    def read() -> None:
        while not is_over.wait(_STATISTICS_INTERVAL_S):
            (cgroup / "memory.stat").read_text("utf-8")

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        is_over.set()
        reader.join()


def result(load: Load, measured: Measured) -> dict[str, Any]:
    """All that was measured."""
    found: dict[str, Any] = {"load": load.name, "guest": load.settings}
    jobs, detached = measured.jobs, measured.detached
    if detached and whole_pairs(jobs):
        captured_s = sum(one.captured_seconds for one in detached)
        found |= figures(jobs) | {
            "records_per_second": sum(one.events for one in detached) / captured_s,
            "lost": sum(one.lost for one in detached),
            "probes_processors": sum(one.probe_seconds for one in detached) / captured_s,
            "attach_seconds": median(one.seconds for one in measured.attached),
            "attach_processor_seconds": median(one.processor_seconds for one in measured.attached),
            "detach_seconds": median(one.seconds for one in detached),
        }
    return found | {
        "jobs": [asdict(job) for job in jobs],
        "attached": [one._asdict() for one in measured.attached],
        "detached": [one._asdict() for one in detached],
    }


def read_measured(path: Path, load: Load) -> Measured:
    """Read what was measured earlier of the same guest, whole pairs only.

    Raises
    ------
    HostError
        There is nothing, or it is of another guest.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
        if document["guest"] != load.settings:
            raise HostError(f"{path}: is of a guest with other settings; measure without --more")
        jobs = [Job(**job) for job in document["jobs"]]
        return Measured(
            jobs[: len(jobs) // 2 * 2],
            [Attached(**one) for one in document["attached"]],
            [Detached(**one) for one in document["detached"]],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HostError(f"{path}: no earlier result to add to ({error!r})") from None


def one_line(found: dict[str, Any]) -> str:
    """How far it has come."""
    growth = found["growth"]
    half_width = (growth["high"] - growth["low"]) / 2
    return (
        f"{found['pairs']} pairs: {growth['middle']:+.1%} +- {half_width:.1%} "
        f"(to reach: {HALF_WIDTH_MAX:.0%})"
    )


HEADINGS = {
    "load": "load",
    "pairs": "pairs",
    "late_jobs": "late jobs, left out with their pairs",
    "job_seconds": "a job (s)",
    "growth": "run time grows by",
    "growth_at_swap_rate": f"that at {SWAP_EVENTS_PER_SECOND:,} swap events a second",
    "growth_of_mean": "in the mean",
    "growth_of_guest_processor_time": "QEMU's processor time",
    "capture_processors": "capture, of a processor",
    "probes_processors": "of it or QEMU's, the probes",
    "swap_events_per_second": "swap events a second",
    "records_per_second": "records a second",
    "lost": "lost",
    "attach_seconds": "attaching (s)",
    "detach_seconds": "detaching (s)",
}
"""Of the table, a row each."""


def table(results: list[dict[str, Any]]) -> str:
    """The loads as columns, in Markdown."""
    rows = [
        [title, *(cell(key, found.get(key)) for found in results)]
        for key, title in HEADINGS.items()
    ]
    rows.insert(1, ["---"] * (len(results) + 1))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cell(key: str, value: Any) -> str:  # noqa: ANN401 - the table holds all sorts of things.
    """Write one figure as its row has it."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return f"{value['middle']:+.1%} ({value['low']:+.1%} to {value['high']:+.1%})"
    if key.endswith("_processors"):
        return f"{value:.1%}"
    if key.endswith("_per_second"):
        return f"{value:,.0f}"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def median(values: Iterator[float]) -> float:
    """Of some figures."""
    return statistics.median(values)


def say(text: str) -> None:
    """Say where it is."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Measure, write it down, and print the table.  Returns the exit code."""
    options = argparse.ArgumentParser(description="Measure what a capture costs.")
    options.add_argument("--load", choices=LOADS, action="append", help="default: all")
    options.add_argument(
        "--limit", type=float, default=LIMIT_MINUTES, metavar="MINUTES", help="of each load"
    )
    options.add_argument("--more", action="store_true", help="add to what was measured earlier")
    chosen = options.parse_args()
    results = []
    try:
        require_root()
        FOLDER.mkdir(exist_ok=True)
        both = processors()
        os.sched_setaffinity(0, {both[1]})
        for name in chosen.load or LOADS:
            say(f"load {name}")
            load, path = LOADS[name], FOLDER / f"cost-{name}.json"
            earlier = read_measured(path, load) if chosen.more else Measured([], [], [])
            results.append(measure(load, earlier, chosen.limit * 60, both))
            path.write_text(json.dumps(results[-1], indent=1) + "\n", encoding="utf-8")
            if results[-1]["interrupted"]:
                break
    except WorkbenchError as error:
        say(f"cost: {error}")
        return error.exit_code
    finally:
        if results:
            print(table(results))
    return 130 if results[-1]["interrupted"] else 0


if __name__ == "__main__":
    sys.exit(main())
