r"""Write what a monitoring system would have exported of guests that never were.

    python tools/make_monitoring.py --guests 24 --days 7 --seed 1 -o monitoring

For docs/capacity.md, tests and measurements of time: nothing of it was captured, and equal options
give equal bytes.  Half are web servers with a daily wave (`web-*`), a quarter build machines with
bursts in working hours (`build-*`), one does nothing (`idle`), and the rest works at night, all at
the same time (`batch-*`).

Most are Prometheus range queries of node exporter's names, a file a guest, as

    curl -G http://prometheus:9090/api/v1/query_range -d start=... -d end=... -d step=300 \
        --data-urlencode 'query={__name__=~"node_(memory_(MemTotal|MemFree|Cached|Buffers)_bytes|
        buddyinfo_blocks|boot_time_seconds)",instance="web-01:9100"}'

gives them.  `batch-sar` is what `sadf -d -- -r` prints, by a clock that is 11 minutes fast, and
`idle` a log of `virsh dommemstat`; both do not know the size of free blocks.  web-02 was not asked
for four hours of the third day, and build-01 restarts on the fourth.

How free memory lies in blocks: what was never used since the guest started is in blocks of 2 MiB
and 4 MiB, half of it in each.  Of what was used and is free again a part, by kind 0.15 to 0.5, is
in smaller blocks, the same in each size.  Of a real guest that builds clang (luhsra/
hyperalloc-bench a385a2d3, compiling/latest, clang-base-auto-o9-d2000-c32, iteration 0) that part is
0.5 to 1.3 in nine of ten samples, so guests like these can be worse.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.units import GIB, HUGE_PAGE_ORDER, LARGEST_ORDER, PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Shares = npt.NDArray[np.float64]
    Counts = npt.NDArray[np.int64]

START_S: Final = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp())
"""A Monday."""

LEAST_GUESTS: Final = 5
"""One of each kind, and one more batch machine."""

SATURDAY: Final = 5
"""Of the days of a week, the first of which is Monday."""

STEP_S: Final = 60
"""At which the guests live; what is exported is every so many of these."""

ORDERS: Final = LARGEST_ORDER + 1

CLOCK_AHEAD_S: Final = 11 * 60
RESTART_HOUR: Final = 82.5
RESTART_HOURS: Final = 0.1
"""For so long before and after it the guest does not answer."""

FORGOTTEN_HOUR: Final = 99
"""At three in the next night, when what builds have read is forgotten anyway."""

ASKED_NO_MORE_HOUR: Final = 57
SAR_STEP_S: Final = 600
"""As sysstat has it where nobody changes it."""


@dataclass(frozen=True, kw_only=True)
class Life:
    """What a guest does, as shares of its memory at every step."""

    used: Shares
    cached: Shares


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Guests that do the same kind of work.

    Attributes
    ----------
    live
        From random numbers, and hours since the Monday began, to what one of them does.
    scattered
        The part of what was used and is free again that lies in blocks below 2 MiB.
    """

    memory_bytes: int
    scattered: float
    live: Callable[[np.random.Generator, Shares], Life]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Of one guest: all have one length, times are of the guest's clock."""

    name: str
    memory_bytes: int
    time_s: Counts
    boot_time_s: Counts
    blocks: Counts
    """Shape (order, sample)."""
    cached_bytes: Counts
    buffers_bytes: Counts

    @property
    def free_bytes(self) -> Counts:
        """All that is free."""
        return np.sum(self.blocks << np.arange(ORDERS)[:, None], axis=0) * PAGE_BYTES

    def where(self, keep: npt.NDArray[np.bool_]) -> Samples:
        """Keep some of them."""
        rows = ("time_s", "boot_time_s", "cached_bytes", "buffers_bytes")
        kept = {name: getattr(self, name)[keep] for name in rows}
        return replace(self, blocks=self.blocks[:, keep], **kept)


def main() -> None:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--guests", type=int, default=24, help="5 or more")
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--step", type=int, default=300, help="s; a multiple of 60")
    parser.add_argument("-o", "--output", type=Path, default=Path("monitoring"))
    given = parser.parse_args()
    is_step = given.step >= STEP_S and given.step % STEP_S == 0
    if given.guests < LEAST_GUESTS or given.days < 1 or not is_step:
        parser.error("expected 5 guests or more, a day or more, and a multiple of 60 s")
    write_monitoring(
        given.output, guests=given.guests, days=given.days, seed=given.seed, step_s=given.step
    )


def write_monitoring(
    folder: Path, *, guests: int = 24, days: int = 7, seed: int = 1, step_s: int = 300
) -> None:
    """Write a file for each guest."""
    folder.mkdir(parents=True, exist_ok=True)
    hours = np.arange(days * 86_400 // STEP_S) * STEP_S / 3600
    for index, name in enumerate(names(guests)):
        samples = live(name, hours, np.random.default_rng((seed, index)))
        if name == "batch-sar":
            write_sadf(folder / f"{name}.csv", samples)
        elif name == "idle":
            write_dommemstat(folder / f"{name}.log", every(samples, step_s))
        else:
            write_prometheus(folder / f"{name}.json", every(samples, step_s))


def names(guests: int) -> list[str]:
    """Name the guests: by kind, and a number."""
    web, build = guests // 2, guests // 4
    batch = guests - web - build - 2
    counted = {"web": web, "build": build, "batch": batch}
    numbered = [f"{kind}-{n:02}" for kind, count in counted.items() for n in range(1, count + 1)]
    return [*numbered, "batch-sar", "idle"]


def serve(random: np.random.Generator, hours: Shares) -> Life:
    """Web servers: busy in the afternoon, less so at the weekend, with files in the page cache."""
    peak_hour = 14 + random.uniform(-1, 1)
    wave = np.maximum(np.cos((hours - peak_hour) / 24 * 2 * np.pi), -0.6)
    weekend = np.where(hours // 24 % 7 >= SATURDAY, 0.45, 1.0)
    height = random.uniform(0.2, 0.28)
    used = random.uniform(0.2, 0.26) + height * weekend * (wave + 0.6) / 1.6
    return Life(
        used=used + noise(random, hours.size, 0.012),
        cached=random.uniform(0.12, 0.2) + 0.12 * (1 - np.exp(-hours / 60)),
    )


def build(random: np.random.Generator, hours: Shares) -> Life:
    """Build machines: ten or so builds a working day, whose files are deleted at three at night."""
    used, cached = np.full(hours.size, 0.07), np.full(hours.size, 0.06)
    for day in range(int(hours[-1] // 24) + 1):
        is_weekend = day % 7 >= SATURDAY
        kept = (hours >= 24 * day + 3) & (hours < 24 * day + 27)
        for start in np.sort(random.uniform(8, 20, random.poisson(2 if is_weekend else 10))):
            stop = 24 * day + start + random.uniform(0.15, 0.8)
            is_on = (hours >= 24 * day + start) & (hours < stop)
            height = random.uniform(0.3, 0.62)
            used[is_on] = np.maximum(
                used[is_on], 0.07 + height * random.uniform(0.7, 1, is_on.sum())
            )
            cached[kept & (hours >= 24 * day + start)] += 0.015
    return Life(used=used + noise(random, hours.size, 0.004), cached=cached)


def work_at_night(random: np.random.Generator, hours: Shares) -> Life:
    """Batch: all begin at one o'clock, and need most of their memory for two hours or so."""
    since = hours % 24 - 1
    lasts = random.uniform(1.6, 2.4)
    is_on = (since >= 0) & (since < lasts)
    grown = np.clip(since / 0.25, 0, 1)
    used = 0.06 + np.where(is_on, random.uniform(0.68, 0.8) * grown, 0)
    has_read = np.maximum.accumulate(is_on)
    return Life(used=used + noise(random, hours.size, 0.004), cached=np.where(has_read, 0.12, 0.04))


def do_nothing(random: np.random.Generator, hours: Shares) -> Life:
    """Idle: a system that nobody uses."""
    return Life(
        used=0.11 + noise(random, hours.size, 0.001), cached=0.08 + 0.02 * hours / (hours[-1] + 1)
    )


KINDS: Final = {
    "web": Kind(memory_bytes=4 * GIB, scattered=0.5, live=serve),
    "build": Kind(memory_bytes=8 * GIB, scattered=0.5, live=build),
    "batch": Kind(memory_bytes=8 * GIB, scattered=0.15, live=work_at_night),
    "idle": Kind(memory_bytes=2 * GIB, scattered=0.2, live=do_nothing),
}


def noise(random: np.random.Generator, count: int, size: float) -> Shares:
    """Give what comes and goes: of a quarter of an hour about."""
    smooth = np.ones(15) / 15
    return np.convolve(random.normal(0, size * np.sqrt(15), count + 14), smooth, "valid")


def live(name: str, hours: Shares, random: np.random.Generator) -> Samples:
    """Let a guest live, and note what is free in it at every step."""
    kind = KINDS[name.partition("-")[0]]
    life = kind.live(random, hours)
    boot_hour, kept = np.full(hours.size, -240.0), np.ones(hours.size, np.bool_)
    cached = life.cached
    if name == "build-01":
        restarted = hours >= RESTART_HOUR
        today = restarted & (hours < FORGOTTEN_HOUR)
        boot_hour[restarted] = RESTART_HOUR
        kept = np.abs(hours - RESTART_HOUR) > RESTART_HOURS
        # What its builds have read since midnight is forgotten; at three they would be anyway.
        cached[today] -= cached[today][:1] - 0.04
    if name == "web-02":
        kept = (hours < ASKED_NO_MORE_HOUR) | (hours >= ASKED_NO_MORE_HOUR + 4)
    # Page cache makes room where programs need it, and Linux keeps some free.
    cached = np.minimum(cached, 0.96 - life.used)
    pages = kind.memory_bytes // PAGE_BYTES
    taken = np.rint((life.used + cached) * pages).astype(np.int64)
    scattered = np.rint(kind.scattered * (most_since(taken, boot_hour) - taken)).astype(np.int64)
    samples = Samples(
        name=name,
        memory_bytes=kind.memory_bytes,
        time_s=START_S + np.rint(hours * 3600).astype(np.int64),
        boot_time_s=START_S + np.rint(boot_hour * 3600).astype(np.int64),
        blocks=in_blocks(pages - taken, scattered),
        cached_bytes=np.rint(0.95 * cached * pages).astype(np.int64) * PAGE_BYTES,
        buffers_bytes=np.rint(0.05 * cached * pages).astype(np.int64) * PAGE_BYTES,
    )
    return samples.where(kept)


def most_since(taken: Counts, boot_hour: Shares) -> Counts:
    """Give the most that was ever taken since the guest started, at every step."""
    most = np.maximum.accumulate(taken)
    restarts = np.flatnonzero(np.diff(boot_hour)) + 1
    for row in restarts:
        most[row:] = np.maximum.accumulate(taken[row:])
    # Before the first step it did for ten days what it does in the first of these.
    first_stop = restarts[0] if restarts.size else taken.size
    most[:first_stop] = taken[:first_stop].max()
    return most


def in_blocks(free: Counts, scattered: Counts) -> Counts:
    """Lay free pages into blocks; shape (order, step)."""
    blocks = np.zeros((ORDERS, free.size), np.int64)
    for order in range(1, HUGE_PAGE_ORDER):
        blocks[order] = scattered // HUGE_PAGE_ORDER >> order
    blocks[HUGE_PAGE_ORDER + 1] = (free - scattered) // 2 >> HUGE_PAGE_ORDER + 1
    blocks[HUGE_PAGE_ORDER] = (free - scattered) // 2 >> HUGE_PAGE_ORDER
    blocks[0] = free - np.sum(blocks << np.arange(ORDERS)[:, None], axis=0)
    return blocks


def every(samples: Samples, step_s: int) -> Samples:
    """Keep what is asked for: one of so many seconds."""
    return samples.where((samples.time_s - START_S) % step_s == 0)


def write_prometheus(path: Path, samples: Samples) -> None:
    """Write the answer to a range query: times as numbers, values as text."""
    labels = {"instance": f"{samples.name}:9100", "job": "node"}
    values = {
        "memory_MemTotal_bytes": np.full(samples.time_s.size, samples.memory_bytes),
        "memory_MemFree_bytes": samples.free_bytes,
        "memory_Cached_bytes": samples.cached_bytes,
        "memory_Buffers_bytes": samples.buffers_bytes,
        "boot_time_seconds": samples.boot_time_s,
    }
    series = [({"__name__": f"node_{name}", **labels}, column) for name, column in values.items()]
    for order, counts in enumerate(samples.blocks):
        block = {"node": "0", "size": str(order), "zone": "Normal"}
        series.append(({"__name__": "node_buddyinfo_blocks", **labels, **block}, counts))
    times = [f'[{time_s},"' for time_s in samples.time_s.tolist()]
    results = []
    for metric, column in series:
        points = '"],'.join(map("{}{}".format, times, column.tolist()))
        results.append(f'{{"metric":{json.dumps(metric)},"values":[{points}"]]}}')
    path.write_text(
        '{"status":"success","data":{"resultType":"matrix","result":['
        + ",\n".join(results)
        + "]}}\n",
        encoding="utf-8",
    )


def write_sadf(path: Path, samples: Samples) -> None:
    """Write what `sadf -d -- -r` prints, in kB, by a clock that is fast."""
    samples = every(samples, SAR_STEP_S)
    total = samples.memory_bytes // 1024
    columns = "kbmemfree;kbavail;kbmemused;%memused;kbbuffers;kbcached;kbcommit;%commit"
    lines = [f"# hostname;interval;timestamp;{columns};kbactive;kbinact;kbdirty"]
    for time_s, *sizes in zip(
        samples.time_s.tolist(), samples.free_bytes.tolist(),
        samples.buffers_bytes.tolist(), samples.cached_bytes.tolist(), strict=True,
    ):  # fmt: skip
        shown = datetime.fromtimestamp(time_s + CLOCK_AHEAD_S, UTC).strftime("%Y-%m-%d %H:%M:%S")
        free, buffers, cached = (size // 1024 for size in sizes)
        used = total - free - buffers - cached
        shares = f"{100 * used / total:.2f}", f"{100 * 1.2 * used / total:.2f}"
        lines.append(
            f"{samples.name};{SAR_STEP_S};{shown} UTC;{free};{free + cached};{used};{shares[0]};"
            f"{buffers};{cached};{used * 6 // 5};{shares[1]};{used};{cached};128"
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_dommemstat(path: Path, samples: Samples) -> None:
    """Write what `virsh dommemstat NAME` prints again and again, in kB."""
    total = samples.memory_bytes // 1024
    lines = []
    for time_s, free, cached in zip(
        samples.time_s.tolist(), samples.free_bytes.tolist(), samples.cached_bytes.tolist(),
        strict=True,
    ):  # fmt: skip
        unused, caches = free // 1024, cached // 1024
        lines.append(
            f"actual {total}\nswap_in 0\nswap_out 0\nunused {unused}\n"
            f"available {total}\nusable {unused + caches}\nlast_update {time_s}\n"
            f"disk_caches {caches}\n"
        )
    path.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
