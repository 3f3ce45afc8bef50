"""Charts of what guests did: what they reported, how what they freed drained, what came back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workbench import plot
from workbench.measure import (
    MAP_STATES,
    address_map_frame,
    drain_after_free,
    lower_median,
    refaults_over_time,
    report_sizes,
)
from workbench.plot.chart import round_bytes
from workbench.report.images import figure_of, plain
from workbench.report.text import name_text, sentence_list
from workbench.units import GIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.replay import Replay
    from workbench.report.document import Figure
    from workbench.report.findings import Found

MAP_BYTES_MAX: Final = 256 * GIB
"""Of a guest whose map is drawn: each of its pages is looked at, terabytes of them take minutes."""


def guest_figures(run: Replay, found: Found) -> Iterator[Figure]:
    """Draw what there is to see in the replay as captured."""
    if run.trace.manifest.saw_faults:
        yield from _drain(run)
        yield from _address_map(run)
    if found.count("ranges"):
        yield _report_sizes(run, found)
    if found.count("refaults"):
        yield _refaults(run, found)


def _drain(run: Replay) -> Iterator[Figure]:
    frame = plain(drain_after_free(run))
    half, drained = frame.attrs["half_seconds"], frame.attrs["drained_seconds"]
    if not half:
        return
    middle = [lower_median(seconds) for seconds in (half, drained)]
    yield figure_of(
        "drain",
        caption="How long what guests freed for good stayed in host memory.",
        alt=f"After a lasting fall of memory, half of it had gone in {middle[0]:.2f} s and 90 % in "
        f"{middle[1]:.2f} s (median of {len(half)}).",
        draw=lambda: plot.drain(frame),
    )


def _address_map(run: Replay) -> Iterator[Figure]:
    """Draw the map of the guest that did most, if it is not too large."""
    machines = run.trace.manifest.virtual_machines
    vm = int(np.bincount(run.ledger.vm, minlength=len(machines)).argmax())
    if sum(block.used_bytes for block in machines[vm].ram_blocks) > MAP_BYTES_MAX:
        return
    frame = plain(address_map_frame(run, vm))
    last = frame[frame["time_s"] == frame["time_s"].max()]
    states = {state: int(last[f"{state}_bytes"].sum()) for state in MAP_STATES}
    said = sentence_list(
        f"{round_bytes(size)} {state.replace('_', ' ')}" for state, size in states.items() if size
    )
    others = len(machines) - 1
    of_which = f" Of {others + 1} guests the one with the most events." if others else ""
    yield figure_of(
        "address-map",
        caption=f"What lies where in the memory of {name_text(machines[vm].name)}, over time."
        + of_which,
        alt=f"The memory of {name_text(machines[vm].name)} by address and time; at its end: "
        f"{said}.",
        draw=lambda: plot.address_map(frame),
    )


def _report_sizes(run: Replay, found: Found) -> Figure:
    frame = plain(report_sizes(run))
    skipped = [
        f"{found.count(name):,.0f} {name.removeprefix('skipped_').replace('_', ' ')}"
        for name in found.entries
        if name.startswith("skipped_") and found.count(name)
    ]
    rest = f"; skipped: {sentence_list(skipped)}" if skipped else "; none was skipped"
    by_size = {
        int(str(size)): int(rows["length_bytes"].sum())
        for size, rows in frame.groupby("smallest_bytes")
    }
    most = max(by_size, key=lambda size: by_size[size])
    return figure_of(
        "report-sizes",
        caption="What guests reported by the size of the ranges, and what became of it.",
        alt=f"Of {found.count('ranges'):,.0f} reported ranges, {found.count('discards'):,.0f} were "
        f"discarded{rest}. Most of their bytes are in ranges of {round_bytes(most)} or somewhat "
        "more.",
        draw=lambda: plot.report_sizes(frame),
    )


def _refaults(run: Replay, found: Found) -> Figure:
    frame = plain(refaults_over_time(run))
    rate = frame["refaults_per_second"].to_numpy()
    busiest_s = float(frame["start_s"].to_numpy()[rate.argmax()])
    return figure_of(
        "refaults",
        caption="Faults on memory that had been given back, over time: what taking it again costs.",
        alt=f"{found.count('refaults'):,.0f} faults brought back memory that had been discarded, "
        f"most quickly {busiest_s:,.1f} s after the start, at {rate.max():,.0f} a second.",
        draw=lambda: plot.refaults_over_time(frame),
    )
