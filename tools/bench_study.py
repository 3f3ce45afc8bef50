r"""Measure what a study takes: a thousand guests, a week of samples, a hundred settings.

    python tools/bench_study.py
    python tools/bench_study.py --guests 100 --settings 10      a quick look

The guests are those of tools/make_monitoring.py, sampled once a minute, and the study is computed
from nothing, with one worker process and with two, one after the other in the same minutes.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from make_monitoring import KINDS, STEP_S, live, names

from workbench.progress import counting
from workbench.replay import Guest, Settings
from workbench.schema import GUEST_SERIES, UNKNOWN
from workbench.study import WITHOUT_REPORTING, GuestKind, HostKind, Study, Variant
from workbench.study.plans import compute
from workbench.trace import GuestSeries
from workbench.units import GIB, HUGE_PAGE_ORDER, MIB, NANOSECONDS, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parent.parent
RESULT: Final = ROOT / ".build" / "study.json"

ORDERS: Final = (0, 3, 6, 9)
CAPACITIES: Final = (16, 32, 64, 128)
DELAYS_NS: Final = tuple(62_500_000 * 2**step for step in range(7))
"""A sixteenth of a second to 4 s."""

HOST_BYTES_PER_GUEST: Final = 3 * GIB
"""Of hosts that all of the guests just fit on."""


SHOWN: Final = ("seconds", "here_cpu_s", "worker_cpu_s", "here_mib", "worker_mib", "disk_mib")


def main() -> None:
    """Measure, print a table, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--guests", type=int, default=1000)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--settings", type=int, default=100, help="the one without reporting too")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    rows = []
    print(
        "| workers | s | of processors, here | in workers | MiB here | MiB in a worker | on disk |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for workers in given.workers:
        row = alone(given.guests, given.days, given.settings, workers)
        rows.append(row)
        numbers = (workers, *(row[name] for name in SHOWN))
        print(f"| {' | '.join(f'{number:,.0f}' for number in numbers)} |", flush=True)
    for row in rows[1:]:
        ratio = rows[0]["seconds"] / row["seconds"]
        print(f"\n{row['workers']} workers are {ratio:.2f} times as fast as {rows[0]['workers']}")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def alone(*given: int) -> dict[str, Any]:
    """Measure in a process of its own, whose peak of memory is then that of the study."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measured, *given).result()


def measured(guests: int, days: int, settings: int, workers: int) -> dict[str, Any]:
    """Compute a study from nothing, and say what it took."""
    study = made_study(guests, days, settings)
    RESULT.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULT.parent) as folder:
        begun_s = time.monotonic()
        _, made = compute(study, Path(folder), workers=workers, counting=counting)
        seconds = time.monotonic() - begun_s
        size_bytes = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    return {
        "guests": guests,
        "samples": days * 86_400 // STEP_S,
        "settings": settings,
        "workers": workers,
        "jobs": dict(made.done),
        "seconds": seconds,
        "disk_mib": size_bytes / MIB,
        **used("here", resource.RUSAGE_SELF),
        **used("worker", resource.RUSAGE_CHILDREN),
    }


def used(name: str, whose: int) -> dict[str, float]:
    """Give the time of processors that this process or all of its children took.

    And the most memory that it, or one of them, had.
    """
    usage = resource.getrusage(whose)
    return {
        f"{name}_cpu_s": usage.ru_utime + usage.ru_stime,
        f"{name}_mib": usage.ru_maxrss / 1024,
    }


def made_study(guests: int, days: int, settings: int) -> Study:
    """Make a study of so many guests, days of samples, and things compared."""
    hours = np.arange(days * 86_400 // STEP_S) * STEP_S / 3600
    members: dict[str, list[GuestSeries]] = {name: [] for name in KINDS}
    for index, name in enumerate(names(guests)):
        members[name.partition("-")[0]].append(series_of(name, hours, index))
    return Study(
        name="bench",
        guests=tuple(
            GuestKind(name=name, members=tuple(each), weight=len(each))
            for name, each in members.items()
        ),
        hosts=(HostKind(name="host", memory_bytes=guests * HOST_BYTES_PER_GUEST),),
        variants=(WITHOUT_REPORTING, *variants(settings - 1)),
        seeds=(1, 2),
        step_ns=STEP_S * NANOSECONDS,
    )


def series_of(name: str, hours: np.ndarray[Any, np.dtype[np.float64]], index: int) -> GuestSeries:
    """Make what is sampled of one guest."""
    samples = live(name, hours, np.random.default_rng((1, index)))
    huge = samples.blocks[HUGE_PAGE_ORDER] + 2 * samples.blocks[HUGE_PAGE_ORDER + 1]
    values = (
        samples.time_s * NANOSECONDS,
        samples.free_bytes // PAGE_BYTES,
        huge,
        np.full(huge.size, samples.memory_bytes),
        np.full(huge.size, UNKNOWN),
        samples.cached_bytes,
    )
    columns = {
        column: np.asarray(value, np.int64)
        for column, value in zip(GUEST_SERIES.column_names, values, strict=True)
    }
    return GuestSeries(name, columns)


def variants(count: int) -> Iterator[Variant]:
    """Give so many different settings of reporting, of each axis some."""
    every = [
        Guest(reporting_order=order, reporting_delay_ns=delay, reporting_capacity=capacity)
        for delay in DELAYS_NS
        for order in ORDERS
        for capacity in CAPACITIES
    ]
    for guest in every[:count]:
        yield Variant(settings=Settings(guest=guest))


if __name__ == "__main__":
    main()
