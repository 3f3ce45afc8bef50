"""The same scenario again and again, with settings in turn; also in too little memory."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.errors import UsageError
from workbench.lab.run import run_lab
from workbench.lab.settings import LabSettings
from workbench.schema import FaultFlag, Kind
from workbench.spelling import suggestion
from workbench.trace import read_trace
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from workbench.lab.run import OpenCapture
    from workbench.lab.scenario import Scenario
    from workbench.trace import Trace

SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "on": {},
    "off": {"reporting": False},
    "order0": {"reporting_order": 0},
    "order5": {"reporting_order": 5},
    "order9": {"reporting_order": 9},
    "order10": {"reporting_order": 10},
    "init_on_free": {"poison": "init_on_free"},
    "locked": {"lock_memory": True},
}
"""What can be compared, by name: what of `LabSettings` differs from a guest that reports."""

SETTINGS_DEFAULT: Final = ("on", "off")

SUFFIX: Final = ".trace"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One run: which setting, which repeat (from 1), and where its trace goes."""

    setting: str
    repeat: int
    settings: LabSettings
    trace: Path


def recommended_settings(scenario: Scenario, *, record_access: bool = False) -> LabSettings:
    """The settings that a scenario recommends in its lines of `host`.

    Raises
    ------
    UsageError
        It recommends no memory limit, or no swap, or nothing that can work.
    """
    host = scenario.host
    if host.memory_limit_bytes is None or (host.zram_bytes or host.swap_file_bytes) is None:
        raise UsageError(
            f"scenario {scenario.name} says no memory limit or no swap for its host: begin it with "
            "lines such as `host guests 2`, `host memory-limit 600M` and `host swap 2G`"
        )
    return LabSettings(
        scenario=scenario,
        guest_count=1 if host.guest_count is None else host.guest_count,
        memory_limit_bytes=host.memory_limit_bytes,
        zram_bytes=host.zram_bytes,
        swap_file_bytes=host.swap_file_bytes,
        page_cluster=host.page_cluster,
        record_access=record_access,
    )


def plan_runs(
    common: LabSettings, names: Sequence[str], repeat_count: int, folder: Path
) -> tuple[PlannedRun, ...]:
    """All runs in their order: the settings in turn, in the opposite order at every second repeat.

    So a drift of the host's speed favours none of them.

    Raises
    ------
    UsageError
        A setting is not known or asked for twice, or there is nothing to repeat.
    """
    for name in names:
        if name not in SETTINGS:
            meant = suggestion(name, SETTINGS)
            raise UsageError(f"unknown setting {name!r}: choose {', '.join(SETTINGS)}{meant}")
    if len(set(names)) != len(names):
        raise UsageError(f"settings {', '.join(names)}: name each only once")
    if repeat_count < 1:
        raise UsageError(f"{repeat_count} repeats: choose 1 or more")
    return tuple(
        PlannedRun(
            setting=name,
            repeat=repeat,
            settings=replace(common, **SETTINGS[name]),
            trace=folder / f"{name}-{repeat:02d}{SUFFIX}",
        )
        for repeat in range(1, repeat_count + 1)
        for name in (names if repeat % 2 else reversed(names))
    )


def perform_runs(
    runs: Sequence[PlannedRun],
    *,
    capture: OpenCapture,
    command: str,
    progress: Callable[[str], None],
) -> Iterator[dict[str, Any]]:
    """Perform the runs whose traces are not there yet; yield the figures of each, in order.

    A run gets its folder's name only when it has ended well: a folder of that name is a whole run.

    Raises
    ------
    UsageError
        A trace that is there is of another scenario or of other settings.
    HostError, KeyboardInterrupt
        See `run_lab`.  The runs before are kept.
    """
    for number, run in enumerate(runs, 1):
        where = f"run {number} of {len(runs)}: {run.setting}, repeat {run.repeat}"
        if run.trace.exists():
            _check_same(run)
            progress(f"{where}: is there")
        else:
            progress(where)
            unfinished = run.trace.with_name(f"{run.trace.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            run_lab(run.settings, unfinished, capture=capture, command=command, progress=progress)
            unfinished.rename(run.trace)
        yield {"setting": run.setting, "repeat": run.repeat, **run_figures(read_trace(run.trace))}


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other series of runs out of a folder: they would write into one another's traces.

    Raises
    ------
    UsageError
        Another is at work in it.
    """
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{folder}: another series of runs is made in it; wait for it, or name another"
            ) from None
        yield
    finally:
        os.close(held)


def _check_same(run: PlannedRun) -> None:
    manifest = read_trace(run.trace).manifest
    asked, found = run.settings.as_text(), manifest.lab_settings
    differing = [name for name, value in asked.items() if found.get(name) != value]
    if manifest.scenario_text != run.settings.scenario.text:
        differing = ["scenario"]
    if differing:
        raise UsageError(
            f"{run.trace}: was made with another {', '.join(differing)}; name another folder"
        )


def run_figures(trace: Trace) -> dict[str, Any]:
    """What a run cost, as measured: the host's swap counters, and each guest's own pages.

    The counters are those of the whole host, up to the last sample.  A guest's pages are those of
    its RAM alone, counted from the events.  `unattributed_swap_outs` are writes to swap of frames
    that no event has named: QEMU's own memory, and guest pages that came with others from swap and
    had gone again before the kernel could be asked for their frames.
    """
    samples = trace.columns("samples")
    last = {
        key: int(samples[column][-1]) if samples[column].size else None
        for key, column in _COUNTERS.items()
    }
    return {
        "trace": trace.path.name,
        "duration_ns": trace.manifest.duration_ns,
        "lost_events": trace.manifest.lost_events,
        "unattributed_swap_outs": sum(p.unattributed for p in trace.manifest.probes),
        **last,
        "guests": [_guest_figures(trace, vm) for vm in range(len(trace.manifest.virtual_machines))],
    }


_COUNTERS: Final = {
    "pswpin": "swap_in_pages",
    "pswpout": "swap_out_pages",
    "swpin_zero": "swap_in_zero_pages",
    "swpout_zero": "swap_out_zero_pages",
}
"""The kernel's names of its counters (Linux mm/vmstat.c), and the columns that have them."""


def _guest_figures(trace: Trace, vm: int) -> dict[str, Any]:
    events, samples = trace.columns("events"), trace.columns("samples")
    is_own = events["vm"] == vm
    is_out = is_own & (events["kind"] == Kind.SWAP_OUT)
    is_in = is_own & (events["kind"] == Kind.FAULT)
    is_in &= (events["status"] & FaultFlag.SWAP_IN) != 0
    resident = samples["resident_bytes"][samples["vm"] == vm]
    swapped = samples["swapped_bytes"][samples["vm"] == vm]
    return {
        "name": trace.manifest.virtual_machines[vm].name,
        "swap_out_pages": int(events["length_bytes"][is_out].sum()) // PAGE_BYTES,
        # A swap-in that needed no new memory found its page in the swap cache; it is one page too.
        "swap_in_pages": int(np.maximum(events["length_bytes"][is_in] // PAGE_BYTES, 1).sum()),
        "discarded_bytes": int(
            events["length_bytes"][is_own & (events["kind"] == Kind.DISCARD)].sum()
        ),
        "resident_peak_bytes": int(resident.max(initial=0)),
        "resident_mean_bytes": round(float(resident.mean())) if resident.size else None,
        "resident_final_bytes": int(resident[-1]) if resident.size else None,
        "swapped_peak_bytes": int(swapped.max(initial=0)),
    }
