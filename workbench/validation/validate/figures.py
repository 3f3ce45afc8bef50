"""What is compared of a run: its memory over time, summed up, and its swap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from workbench.measure import Series, measured_metrics, metrics, series
from workbench.measure.residency import resident_series
from workbench.replay.facts import swaps_to_zram
from workbench.schema import Kind
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.replay import Replay

MEMORY: Final = (
    "resident_bytes_mean",
    "resident_bytes_peak",
    "resident_bytes_final",
    "resident_byte_seconds",
)
DRAIN: Final = "drain_seconds"
SWAP: Final = ("swap_out_pages", "swap_in_pages", "swap_written_pages", "swap_read_pages")
DEAD: Final = ("swap_out_dead_pages", "swap_in_dead_pages")
"""Only predicted: a host does not know what is free in its guests."""

COUNTED: Final = {
    "swap_written_pages": "measured_swap_out_pages",
    "swap_read_pages": "measured_swap_in_pages",
}
"""Of live runs the host's counters have these, which miss nothing and are of the whole host."""

_OTHERS: Final = {
    "swap_written_pages": (
        ("measured_swap_out_pages", "measured_swap_out_zero_pages"),
        "swap_out_pages",
    ),
    "swap_read_pages": (
        ("measured_swap_in_pages", "measured_swap_in_zero_pages"),
        "swap_in_pages",
    ),
}
"""All that the host swapped, zeros included, and the pages of guest RAM among it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One run, live or predicted.

    Attributes
    ----------
    memory
        Resident bytes since the first step of the scenario, where the lab marked that, or else the
        first event.  Times begin at 0 there.
    peak_bytes
        Of the whole run, its boot included.
    drain_seconds
        As the metric of that name; None where memory never fell.
    swap
        Pages, by the names in SWAP and DEAD; None where nobody knows.
    """

    memory: Series
    peak_bytes: int
    drain_seconds: float | None
    swap: Mapping[str, float | None]

    @property
    def window_ns(self) -> int:
        """How long the run lasted from there."""
        return int(self.memory.time_ns[-1])

    def values(self, window_ns: int) -> dict[str, float | None]:
        """Give every quantity; the mean is over `window_ns`, at most as long as the run.

        The byte-seconds are of the whole run, so that a run that takes longer shows in them.
        """
        return {
            "resident_bytes_mean": series.mean(first_of(self.memory, window_ns)),
            "resident_bytes_peak": float(self.peak_bytes),
            "resident_bytes_final": float(self.memory.value[-1]),
            "resident_byte_seconds": series.integral(self.memory) / NANOSECONDS,
            "drain_seconds": self.drain_seconds,
            **self.swap,
        }


def live_figures(run: Replay) -> Figures:
    """Sum up a live run, replayed as captured; its I/O by the host's own counters.

    On a device that keeps copies, clean pages leave unseen: how many went to swap is not known.
    """
    counted = measured_metrics(run.trace)
    swap = {name: _number(counted[counter]["value"]) for name, counter in COUNTED.items()}
    if not swaps_to_zram(run.trace):
        swap["swap_out_pages"] = None
    found = figures(run)
    return replace(found, swap={**found.swap, **swap})


def predicted_figures(run: Replay, captured: Replay) -> Figures:
    """Sum up a prediction.

    To its I/O is added what else the host of the capture swapped, QEMU's own memory mostly.  Of all
    of it the same part is taken to be zeros, without I/O, as the host of the capture counted.
    """
    counted = measured_metrics(captured.trace)
    in_capture, found = figures(captured).swap, figures(run)
    io = {}
    for name, (counters, of_guests) in _OTHERS.items():
        with_io, zeros = (_number(counted[counter]["value"]) or 0.0 for counter in counters)
        others = max(with_io + zeros - (in_capture[of_guests] or 0.0), 0.0)
        io_part = with_io / (with_io + zeros) if zeros else 1.0
        io[name] = ((found.swap[name] or 0.0) + others) * io_part
    return replace(found, swap={**found.swap, **io})


def figures(run: Replay) -> Figures:
    """Sum up a replay."""
    found = {name: _number(entry["value"]) for name, entry in metrics(run).items()}
    memory = resident_series(run)
    return Figures(
        memory=starting_at(memory, start_ns(run)),
        peak_bytes=int(memory.value.max()),
        drain_seconds=found[DRAIN],
        swap={name: found[name] for name in (*SWAP, *DEAD)},
    )


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))


def start_ns(run: Replay) -> int:
    """Say when the run's window begins: at its first marker, or without any its first event."""
    time_ns = run.columns["time_ns"]
    markers = time_ns[run.columns["kind"] == Kind.MARKER]
    first = markers if markers.size else time_ns
    return int(first[0]) if first.size else run.trace.manifest.start_time_ns


def starting_at(whole: Series, begin_ns: int) -> Series:
    """Cut off what is before a time, which becomes 0."""
    later = whole.time_ns > begin_ns
    value = series.value_at(whole, np.array([begin_ns]))
    time_ns = np.concatenate(([0], whole.time_ns[later] - begin_ns))
    return Series(time_ns, np.concatenate((value, whole.value[later])))


def first_of(whole: Series, window_ns: int) -> Series:
    """Cut off what is behind a window."""
    inside = whole.time_ns <= window_ns
    kept = Series(whole.time_ns[inside], whole.value[inside])
    return series.ending_at(kept, window_ns)
