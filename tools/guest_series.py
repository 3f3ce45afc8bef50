"""Choose the constants of the guest series, and state how right they are elsewhere.

python tools/guest_series.py choose FOLDER    tries constants on iteration 0 of one series
python tools/guest_series.py state FOLDER     every reporting series in the folder, by phase
python tools/guest_series.py delay FOLDER     how much waits, for both delays
python tools/guest_series.py ablate FOLDER    what each part of the model brings
python tools/guest_series.py own FOLDER       QEMU's own memory over time, as what is left over
python tools/guest_series.py floor FOLDER     how little of the build's error samples could explain

FOLDER is compiling/latest of luhsra/hyperalloc-bench a385a2d3.  docs/validation.md has the results.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from workbench.measure import drains, series_error
from workbench.replay import Guest, Sampling, SeriesPrediction, predict_series
from workbench.trace import GuestSeries, read_guest_series
from workbench.units import GIB, HUGE_PAGE_BYTES, MIB, NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

CHOSEN_ON: Final = "clang-base-auto-o9-d2000-c32"
PHASES: Final = ("build", "idle", "clean", "drop")

_NAME = re.compile(r"clang-base-auto-o([0-9]+)-d([0-9]+)-c([0-9]+)")


class Sampled(NamedTuple):
    """One iteration of one series."""

    name: str
    series: GuestSeries
    phase: npt.NDArray[np.int64]
    """Index into PHASES of each sample."""


def read(folder: Path, name: str, iteration: int) -> Sampled:
    """Read one iteration; how its guest reported is in the name of its folder."""
    series = read_guest_series(folder / name / f"out_{iteration}.csv")
    match = _NAME.fullmatch(name)
    if match is None:
        message = f"{name}: expected a name such as {CHOSEN_ON}"
        raise ValueError(message)
    guest = Guest(
        reporting_order=match[1], reporting_delay_ns=f"{match[2]}ms", reporting_capacity=match[3]
    )
    series = replace(series, reporting=predict_series(series, guest).reporting)
    ends = json.loads((folder / name / f"times_{iteration}.json").read_text(encoding="utf-8"))
    # The last phase has no end: what was sampled after it was asked for belongs to it.
    stops_s = [ends["build"][-1], ends["delay"][-1], ends["clean"]]
    phase = np.searchsorted(stops_s, series.columns["time_ns"] / NANOSECONDS, side="right")
    return Sampled(f"{name}, iteration {iteration}", series, phase)


def found(folder: Path) -> Iterator[Sampled]:
    """Read every series of a guest that reports."""
    for path in sorted(folder.glob("clang-base-auto-o*/out_*.csv")):
        yield read(folder, path.parent.name, int(path.stem.removeprefix("out_")))


def distance_gib(sampled: Sampled, prediction: SeriesPrediction) -> npt.NDArray[np.float64]:
    """How far each sample is predicted from what was measured."""
    difference = prediction.resident_bytes - sampled.series.columns["resident_bytes"]
    return np.abs(difference) / GIB


def left_over(sampled: Sampled) -> npt.NDArray[np.int64]:
    """Give what is measured beyond the guest's memory that is predicted to be resident."""
    prediction = predict_series(sampled.series)
    guest_bytes = prediction.resident_bytes - prediction.sampling.own_bytes
    return sampled.series.columns["resident_bytes"] - guest_bytes


def choose(folder: Path) -> None:
    """Try constants; QEMU's own memory is the median of what is left over."""
    sampled = read(folder, CHOSEN_ON, 0)
    measured = sampled.series.columns["resident_bytes"]
    tried = []
    choices = itertools.product(
        (0, 100, 200, 300, 400), (15, 31, 61, 101), range(4, 9), range(1, 6)
    )
    for lag_ms, rows, freed, free in choices:
        sampling = Sampling(
            own_bytes=0,
            lag_ns=lag_ms * 1_000_000,
            swing_rows=rows,
            freed_order_9_tenths=freed,
            free_order_9_tenths=free,
        )
        left = measured - predict_series(sampled.series, sampling=sampling).resident_bytes
        own = int(np.median(left))
        tried.append((float(np.abs(left - own).mean()) / GIB, replace(sampling, own_bytes=own)))
    tried.sort(key=lambda choice: choice[0])
    for error, sampling in tried[:5]:
        print(f"{error:.5f} GiB  {sampling}")


def state(folder: Path) -> None:
    """Print the error of each iteration over all phases and by phase, and its drains."""
    print("series | all | " + " | ".join(PHASES) + " | byte-seconds | own memory | drains")
    for sampled in found(folder):
        prediction = predict_series(sampled.series)
        away = distance_gib(sampled, prediction)
        by_phase = [away[sampled.phase == phase].mean() for phase in range(len(PHASES))]
        measured = sampled.series.columns["resident_bytes"]
        left = measured - prediction.resident_bytes + prediction.sampling.own_bytes
        print(
            f"{sampled.name} | {away.mean():.4f} | "
            + " | ".join(f"{part:.4f}" for part in by_phase)
            + f" | {100 * (series_error(prediction)['byte_seconds'] or 0):+.3f} % | "
            + f"{np.median(left) / (1 << 20):.1f} MiB | "
            + ", ".join(
                f"{_s(drain['predicted_s'])}/{_s(drain['measured_s'])}"
                for drain in drains(prediction)
            )
        )


def _s(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f}"


def delay(folder: Path) -> None:
    """Print how much waits to be reported on average: predicted for two delays, and measured."""
    print("series | predicted for 2 s, MiB | for 100 ms | measured")
    for sampled in found(folder):
        columns = sampled.series.columns
        used = columns["total_bytes"] - columns["free_huge_pages"] * HUGE_PAGE_BYTES
        above = columns["resident_bytes"] - used
        waiting = [(above - np.median(above[sampled.phase == PHASES.index("idle")])).mean()]
        for delay_ns in ("100ms", "2s"):
            prediction = predict_series(sampled.series, Guest(reporting_delay_ns=delay_ns))
            own_bytes = prediction.sampling.own_bytes
            waiting.insert(0, (prediction.resident_bytes - used - own_bytes).mean())
        print(f"{sampled.name} | " + " | ".join(f"{mean / (1 << 20):.1f}" for mean in waiting))


def ablate(folder: Path) -> None:
    """Print the errors of lesser models, each with the best own memory of iteration 0."""
    both = [read(folder, CHOSEN_ON, iteration) for iteration in (0, 1)]
    chosen = Sampling()
    variants: dict[str, tuple[Guest, Sampling] | None] = {
        "total minus what is free in huge pages": None,
        "without the delay": (Guest(reporting_delay_ns="1ms"), chosen),
        "with eight times the budget": (Guest(reporting_capacity=256), chosen),
        "without swings": (Guest(), replace(chosen, swing_rows=0)),
        "without lag": (Guest(), replace(chosen, lag_ns=0)),
        "with a lag of 350 ms": (Guest(), replace(chosen, lag_ns=350_000_000)),
        "with passes that take 100 ms": (Guest(reporting_delay_ns="2100ms"), chosen),
        "the model": (Guest(), chosen),
    }
    for name, variant in variants.items():
        own_bytes = None
        errors = []
        for sampled in both:
            columns = sampled.series.columns
            predicted = columns["total_bytes"] - columns["free_huge_pages"] * HUGE_PAGE_BYTES
            if variant is not None:
                guest, sampling = variant
                prediction = predict_series(sampled.series, guest, sampling=sampling)
                predicted = prediction.resident_bytes - sampling.own_bytes
            left = columns["resident_bytes"] - predicted
            own_bytes = np.median(left) if own_bytes is None else own_bytes
            away = np.abs(left - own_bytes) / GIB
            errors += [
                f"{away[rows].mean():.4f}"
                for rows in (slice(None), *(sampled.phase == n for n in range(len(PHASES))))
            ]
        print(f"{name} | " + " | ".join(errors))


def own(folder: Path) -> None:
    """Print what is left over at three times of a run, and the error if it were known."""
    print("series | 30 to 150 s, MiB | 350 to 600 s | idle | error with idle's: all, GiB | build")
    for sampled in found(folder):
        left = left_over(sampled)
        seconds = sampled.series.columns["time_ns"] / NANOSECONDS
        parts = [
            np.median(left[(seconds >= first) & (seconds < stop)]) / MIB
            for first, stop in ((30, 150), (350, 600))
        ]
        idle = np.median(left[sampled.phase == PHASES.index("idle")])
        away = np.abs(left - idle) / GIB
        print(
            f"{sampled.name} | "
            + " | ".join(f"{part:.1f}" for part in (*parts, idle / MIB))
            + f" | {away.mean():.4f} | {away[sampled.phase == PHASES.index('build')].mean():.4f}"
        )


def floor(folder: Path) -> None:
    """Print the build's error, and what a correction fitted to these very samples leaves of it."""
    print("series | build, with idle's own memory, GiB | with the correction")
    for sampled in found(folder):
        left = left_over(sampled)
        left = (left - np.median(left[sampled.phase == PHASES.index("idle")])) / GIB
        build = sampled.phase == PHASES.index("build")
        explained = least_absolute(neighbours(sampled)[build], left[build])
        print(
            f"{sampled.name} | {np.abs(left[build]).mean():.4f} | "
            f"{np.abs(left[build] - explained).mean():.4f}"
        )


def neighbours(sampled: Sampled) -> npt.NDArray[np.float64]:
    """Give what is freed and what is taken around each sample, what waits, and 1; by column."""
    columns = sampled.series.columns
    free_bytes = columns["free_huge_pages"] * HUGE_PAGE_BYTES
    change = np.diff(free_bytes, append=free_bytes[-1])
    around = [np.roll(change, shift) for shift in range(-2, 4)]
    used = columns["total_bytes"] - free_bytes
    waiting = predict_series(sampled.series, sampling=Sampling(own_bytes=0)).resident_bytes - used
    parts = [clip(part, 0) for part in around for clip in (np.maximum, np.minimum)]
    return np.stack([*(part / GIB for part in (*parts, waiting)), np.ones(change.size)], axis=1)


def least_absolute(
    inputs: npt.NDArray[np.float64], output: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Fit a linear function by least absolute error (iterated weights); give its values."""
    weights = np.ones(output.size)
    fitted = output
    for _ in range(100):
        root = np.sqrt(weights)
        factors = np.linalg.lstsq(inputs * root[:, None], output * root, rcond=None)[0]
        fitted = inputs @ factors
        weights = 1 / np.maximum(np.abs(output - fitted), 1e-4)
    return fitted


if __name__ == "__main__":
    commands = {
        "choose": choose,
        "state": state,
        "delay": delay,
        "ablate": ablate,
        "own": own,
        "floor": floor,
    }
    match sys.argv[1:]:
        case [wanted, where] if wanted in commands:
            commands[wanted](Path(where))
        case _:
            raise SystemExit(__doc__)
