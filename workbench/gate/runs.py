"""One side of a comparison: what was replayed or ran live, with its figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import InputError
from workbench.measure import measured_metrics, metrics
from workbench.replay import Settings, replay
from workbench.units import GIB

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from workbench.trace import Trace

Number = int | float

TRACE_DIGITS: Final = 8
"""Of a recording's digest, for people: enough to tell recordings apart."""

AS_CAPTURED: Final = Settings().label


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One replay of one recording, with the figures it gave and what they were made of.

    A metric that has no value is not among the figures.
    """

    name: str
    """Of the recording, for people."""
    trace: str
    """Digest of the recording."""
    settings: str
    """What the replay changed, as text; "as captured" if nothing."""
    model: str
    """Digest of the model."""
    schema: str
    """Version of the trace format."""
    lost_events: int
    model_figures: Mapping[str, Number]
    """What the replay gave: a pure function of recording, settings and model."""
    measured_figures: Mapping[str, Number] | None = None
    """What the host measured during the recording; None where only a result is at hand."""
    work: str | None = None
    """What the guests were to do, None where it is not known."""
    machine: str | None = None
    """What it was recorded on: figures of two machines differ for that reason alone."""
    setup: Mapping[str, str] = field(default_factory=dict)
    """Kernels, QEMU and the lab's settings: what a comparison is often about."""
    path: Path | None = None
    """Folder of the trace or result, for what is drawn of it; None of accepted figures."""
    span_ns: tuple[int, int] | None = None
    """When the capture began and ended; None where that is not known."""

    @property
    def source(self) -> str:
        """Name what was read, so that it is found among others of the same recording."""
        return self.name if self.path is None else self.path.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The runs of one side."""

    label: str
    """What was named on the command line."""
    runs: tuple[Run, ...]
    is_accepted: bool = False
    """Whether these are accepted figures, and no runs that could be sampled from."""
    unknown_metrics: tuple[str, ...] = ()
    """What a result has that the dictionary does not."""


def run_of_trace(trace: Trace) -> Run:
    """Replay a recording as captured, and take the host's measurements with it.

    Raises
    ------
    InputError
        The trace is damaged, or its capture did not end.
    """
    manifest = trace.manifest
    if not manifest.complete:
        raise InputError(
            f"{trace.path}: the capture did not end, so its figures are of a part of the run; "
            "leave it out"
        )
    done = replay(trace)
    return Run(
        name=trace.name,
        trace=trace.digest,
        settings=AS_CAPTURED,
        model=done.lineage["model"],
        schema=done.lineage["versions"]["schema"],
        lost_events=manifest.lost_events,
        model_figures=_values(metrics(done)),
        measured_figures=_values(measured_metrics(trace)),
        work=f"{manifest.scenario}\n{manifest.scenario_text}",
        machine=_machine(trace),
        setup=_setup(trace),
        path=trace.path,
        span_ns=(manifest.start_time_ns, manifest.start_time_ns + manifest.duration_ns),
    )


def settings_text(settings: Mapping[str, Any]) -> str:
    """Write down what a result's settings change.

    Raises
    ------
    UsageError
        One of them is not known.
    """
    return Settings.model_validate(dict(settings)).label


def _values(entries: Mapping[str, Mapping[str, object]]) -> dict[str, Number]:
    values = {name: entry["value"] for name, entry in entries.items()}
    return {name: value for name, value in values.items() if isinstance(value, int | float)}


def _machine(trace: Trace) -> str:
    """Name the hardware.  Its memory is rounded: kernels keep more or less of it to themselves."""
    host = trace.manifest.host
    accelerators = sorted({vm.accelerator for vm in trace.manifest.virtual_machines})
    memory_gib = round(host.memory_bytes / GIB)
    return f"{host.processors} processors, {memory_gib} GiB, {' and '.join(accelerators)}"


_SAID_OF_GUESTS: Final = frozenset({"reporting", "reporting_order"})
"""Settings of the lab that a guest's own facts have too."""


ON: Final = "on"
OFF: Final = "off"

_WORDS: Final = {"True": ON, "False": OFF, "None": "-"}


def _word(value: object) -> str:
    """Write a setting down; the lab's are in the trace as Python writes them."""
    return _WORDS.get(str(value), str(value))


def _setup(trace: Trace) -> dict[str, str]:
    manifest = trace.manifest
    machines = manifest.virtual_machines
    orders = {_word(vm.guest.reporting_order) for vm in machines}
    reports = {_word(vm.device.free_page_reporting) for vm in machines}
    return {
        "host kernel": manifest.host.kernel,
        "transparent huge pages": manifest.host.transparent_huge_page,
        "QEMU": " and ".join(sorted({vm.qemu_version for vm in machines})),
        "guest kernel": " and ".join(sorted({str(vm.guest.kernel) for vm in machines})),
        "free page reporting": " and ".join(sorted(reports)),
        "reporting order": " and ".join(sorted(orders)),
        **{
            f"lab {name}": _word(value)
            for name, value in manifest.lab_settings.items()
            if name not in _SAID_OF_GUESTS
        },
    }
