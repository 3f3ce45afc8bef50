"""The metric dictionary: every number this project prints, with its formula and unit.

docs/metrics.md is rendered from here.  Bytes are IEC; `page` is 4096 bytes, also in counters of
the host.  The integral stands beside the mean because a slow run lowers the one and raises the
other.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from workbench.replay import SKIPPED


class Aggregate(enum.Enum):
    """How a metric sums up a run."""

    MEAN = "mean"
    """Over time: the integral divided by the span of the capture."""
    PEAK = "peak"
    FINAL = "final"
    INTEGRAL = "integral"
    COUNT = "count"
    DURATION = "duration"
    RATIO = "ratio"


class Better(enum.Enum):
    """Which way is an improvement, all else being equal."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric of the dictionary."""

    name: str
    unit: str
    aggregate: Aggregate
    better: Better
    formula: str
    """In words, and complete: two readers compute the same number from it."""


def _resident(name: str, aggregate: Aggregate, formula: str, unit: str = "bytes") -> Metric:
    return Metric(name=name, unit=unit, aggregate=aggregate, better=Better.LOWER, formula=formula)


def _count(name: str, unit: str, formula: str, better: Better = Better.NEITHER) -> Metric:
    return Metric(name=name, unit=unit, aggregate=Aggregate.COUNT, better=better, formula=formula)


def _skipped(reason: str, condition: str) -> Metric:
    return _count(
        f"skipped_{reason}", "ranges", f"Reported ranges not discarded because {condition}."
    )


SKIP_REASONS: Final = tuple(SKIPPED)
"""In the order in which QEMU checks: the first that holds names the outcome."""

METRICS: Final[tuple[Metric, ...]] = (
    _resident(
        "resident_bytes_mean",
        Aggregate.MEAN,
        "Guest RAM in host memory, averaged over the span of the capture.",
    ),
    _resident("resident_bytes_peak", Aggregate.PEAK, "The most guest RAM in host memory at once."),
    _resident(
        "resident_bytes_final", Aggregate.FINAL, "Guest RAM in host memory when the capture ends."
    ),
    _resident(
        "resident_byte_seconds",
        Aggregate.INTEGRAL,
        "Guest RAM in host memory, integrated over the span of the capture.",
        "byte-seconds",
    ),
    _resident("swapped_bytes_mean", Aggregate.MEAN, "Guest RAM in swap, averaged over the span."),
    _resident("swapped_bytes_peak", Aggregate.PEAK, "The most guest RAM in swap at once."),
    _resident("swapped_bytes_final", Aggregate.FINAL, "Guest RAM in swap when the capture ends."),
    _resident(
        "swapped_byte_seconds",
        Aggregate.INTEGRAL,
        "Guest RAM in swap, integrated over the span of the capture.",
        "byte-seconds",
    ),
    _count(
        "reclaimed_bytes",
        "bytes",
        "Resident bytes that discards of reported ranges took away, summed over the run.",
        Better.HIGHER,
    ),
    _count(
        "host_freed_bytes",
        "bytes",
        "Host memory that those discards freed.  Less than reclaimed_bytes where only part of a "
        "huge page went: the host frees a huge page when nothing of it is mapped any more.",
        Better.HIGHER,
    ),
    _count(
        "inflated_bytes",
        "bytes",
        "Resident bytes that the inflating balloon took away, summed over the run.",
    ),
    _count(
        "swap_freed_bytes",
        "bytes",
        "Swap that discards (reports and balloon) set free without reading it back.",
        Better.HIGHER,
    ),
    _count("reports", "elements", "Elements of the reporting queue."),
    _count("ranges", "ranges", "Ranges in those elements, as QEMU mapped them."),
    _count("reported_bytes", "bytes", "Lengths of those ranges, summed."),
    _count("discards", "ranges", "Reported ranges that were discarded."),
    _count("discarded_bytes", "bytes", "Lengths of the discarded ranges, resident or not, summed."),
    _skipped("inhibited", "discards are forbidden (VFIO, for example)"),
    _skipped("poisoned", "the device's poison_val is not 0"),
    _skipped("bad_address", "they are not in guest RAM"),
    _skipped("unaligned", "offset or length is no multiple of the RAM block's page size"),
    _skipped("overrun", "they end after the RAM block"),
    _count(
        "discards_failed",
        "ranges",
        "Reported ranges that QEMU asked the host to discard, and the host refused.",
        Better.LOWER,
    ),
    _count(
        "zero_fill_faults",
        "faults",
        "First touches: faults that were given zeroed memory where there had never been any.",
    ),
    _count(
        "refaults",
        "faults",
        "Faults that were given zeroed memory where it had been discarded before: what taking "
        "memory again costs.",
        Better.LOWER,
    ),
    _count("swap_in_pages", "pages", "Pages of guest RAM read back from swap.", Better.LOWER),
    _count("swap_out_pages", "pages", "Pages of guest RAM that went to swap.", Better.LOWER),
    _count(
        "swap_in_dead_pages",
        "pages",
        "Of swap_in_pages: pages that were free in the guest until the touch that brought them "
        "back, so that what was read is of no use.",
        Better.LOWER,
    ),
    _count(
        "swap_out_dead_pages",
        "pages",
        "Of swap_out_pages: pages that were free in the guest, or parts of a huge page that it "
        "never used.",
        Better.LOWER,
    ),
    _count(
        "swap_read_pages",
        "pages",
        "Pages of guest RAM read from the swap device: swap_in_pages and what was read ahead, "
        "without pages that had been read ahead and pages of zeros for which the host does no I/O "
        "(a capture does not tell those apart, the model of the host does).",
        Better.LOWER,
    ),
    _count(
        "swap_written_pages",
        "pages",
        "Pages of guest RAM written to the swap device: swap_out_pages without those whose copy "
        "was there, and without pages of zeros for which the host does no I/O (likewise).",
        Better.LOWER,
    ),
    Metric(
        name="swap_wait_seconds",
        unit="s",
        aggregate=Aggregate.DURATION,
        better=Better.LOWER,
        formula="Time the guests' processors wait for swap: for each read the latency of the "
        "device, and for what it reads ahead the bytes divided by its rate (docs/models.md).",
    ),
    Metric(
        name="swap_write_seconds",
        unit="s",
        aggregate=Aggregate.DURATION,
        better=Better.LOWER,
        formula="Time the swap device is busy with writes: bytes of swap_written_pages divided by "
        "its rate.  Who waits for that is not modelled.",
    ),
    Metric(
        name="drain_seconds",
        unit="s",
        aggregate=Aggregate.DURATION,
        better=Better.LOWER,
        formula="The fall of resident memory that the run ends on, from its start until 90 % of it "
        "is done; the slowest machine counts; none if memory rose again after its last fall.  The "
        "start is the lab's last marker before the first discard of the fall, or without markers "
        "the last moment memory stood at its height.  A rise or fall of less than a tenth of the "
        "peak does not count as one.",
    ),
    _count("hinted_bytes", "bytes", "Lengths of the ranges a migration was told not to send."),
    _count(
        "migration_full_pages",
        "pages",
        "Pages of guest RAM that pre-copy migrations send with their content, each as often as it "
        "is sent.  What is resident or in swap counts as having content.",
        Better.LOWER,
    ),
    _count(
        "migration_zero_pages",
        "pages",
        "Pages of guest RAM that they send as a mere word: full of zeros.",
    ),
    _count(
        "migration_unsent_pages",
        "pages",
        "Pages of guest RAM that they never send, neither with content nor as a word.",
        Better.HIGHER,
    ),
    _count(
        "migration_sent_bytes",
        "bytes",
        "What those pages take in the stream: 4,104 bytes with content, 9 without.",
        Better.LOWER,
    ),
    _count(
        "migration_full_pages_not_sent",
        "pages",
        "migration_full_pages of the same run without its hints, minus migration_full_pages.",
        Better.HIGHER,
    ),
    _count(
        "migration_zero_pages_not_sent",
        "pages",
        "The same of migration_zero_pages.  Below 0 where the guest clears pages to hint them: "
        "those it wrote, so they are sent after all, as zeros.",
    ),
    _count(
        "migration_bytes_not_sent",
        "bytes",
        "The same of migration_sent_bytes: what hinting saves in the stream.",
        Better.HIGHER,
    ),
    Metric(
        name="model_error_mean",
        unit="of the peak",
        aggregate=Aggregate.RATIO,
        better=Better.LOWER,
        formula="Replay as captured minus host measurement of resident bytes: mean absolute "
        "difference over the run, as a fraction of the measured peak.",
    ),
    Metric(
        name="model_error_final",
        unit="of the peak",
        aggregate=Aggregate.RATIO,
        better=Better.LOWER,
        formula="The same difference at the last quiet sample.",
    ),
    _count(
        "events_lost", "events", "Events the capture counted as lost, all probes.", Better.LOWER
    ),
)

MEASURED_METRICS: Final[tuple[Metric, ...]] = (
    _resident(
        "measured_resident_bytes_mean",
        Aggregate.MEAN,
        "Guest RAM in host memory as sampled, averaged from the first to the last sample.",
    ),
    _resident(
        "measured_resident_bytes_peak", Aggregate.PEAK, "The highest sample, all machines together."
    ),
    _resident("measured_resident_bytes_final", Aggregate.FINAL, "The last sample."),
    _resident(
        "measured_resident_byte_seconds",
        Aggregate.INTEGRAL,
        "The samples, integrated from the first to the last.",
        "byte-seconds",
    ),
    _count(
        "measured_swap_in_pages",
        "pages",
        "Pages the whole host read from swap between the first and the last sample (pswpin).",
        Better.LOWER,
    ),
    _count(
        "measured_swap_out_pages", "pages", "Likewise, written to swap (pswpout).", Better.LOWER
    ),
    _count(
        "measured_swap_in_zero_pages",
        "pages",
        "Likewise, pages of zeros that came back without any read (swpin_zero, Linux 6.12).",
        Better.LOWER,
    ),
    _count(
        "measured_swap_out_zero_pages",
        "pages",
        "Likewise, pages of zeros that left memory without any write (swpout_zero, Linux 6.12).",
        Better.LOWER,
    ),
    Metric(
        name="measured_capture_cpu_seconds",
        unit="s",
        aggregate=Aggregate.DURATION,
        better=Better.LOWER,
        formula="Processor time of the capture between the first and the last sample.",
    ),
    Metric(
        name="measured_qemu_cpu_seconds",
        unit="s",
        aggregate=Aggregate.DURATION,
        better=Better.LOWER,
        formula="Processor time of all captured QEMU processes between the first and the last "
        "sample.",
    ),
)

KNOWN_WITHOUT_FAULTS: Final = frozenset(
    {
        *("reports", "ranges", "reported_bytes", "discards", "discarded_bytes", "discards_failed"),
        *(f"skipped_{reason}" for reason in SKIP_REASONS),
        *("hinted_bytes", "model_error_mean", "model_error_final", "events_lost"),
    }
)
"""Metrics of what guests asked and QEMU did; all others are of memory that guests touched."""

BY_NAME: Final[dict[str, Metric]] = {metric.name: metric for metric in METRICS + MEASURED_METRICS}
