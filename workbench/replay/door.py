"""Replay a trace: as captured, or under settings it can answer for."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import workbench
from workbench.card import Card, Shown
from workbench.errors import UsageError
from workbench.model import model_digest
from workbench.progress import working
from workbench.replay.event_counts import DecisionCounts, EventCounts, late_notes
from workbench.replay.identify import Identifiable, judge
from workbench.replay.limits import seen_limits
from workbench.replay.memory import host_error, is_otherwise, serve_run
from workbench.replay.model_error import ErrorSoFar
from workbench.replay.question import as_captured, ask, choose, touched
from workbench.replay.settings import Cost, Device, Guest, Host, Settings
from workbench.replay.summary import replay_card
from workbench.schema import SCHEMA_VERSION
from workbench.spelling import checks_names
from workbench.trace import require_trace
from workbench.units import PAGE_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from workbench.replay.facts import TraceFacts
    from workbench.replay.ledger import Ledger
    from workbench.replay.model_error import AtSamples
    from workbench.trace import Trace
    from workbench.trace.reader import Columns


@dataclass(frozen=True, repr=False, kw_only=True)
class Replay(Shown):
    """A replayed trace.

    Attributes
    ----------
    identifiable
        What the answer leaves open.
    lineage
        What the result was made of: equal lineage, equal bytes.
    columns
        The events that were replayed: the trace's, or those that the model of the guest placed.
    ledger
        What each of them did.
    initial_resident_pages, initial_swapped_pages
        Per virtual machine, before the first event.
    final_held_pages
        Per virtual machine: host pages in use at the end, those included that a partly discarded
        huge page keeps from being free.
    model_error
        How far the replay *as captured* is from the samples, whatever the settings.
    events
        How many events were applied or skipped, and how the replay as captured differs from what
        QEMU and the host did.
    """

    trace: Trace
    settings: Settings
    identifiable: Identifiable
    lineage: dict[str, Any]
    columns: Columns
    ledger: Ledger
    initial_resident_pages: npt.NDArray[np.int64]
    initial_swapped_pages: npt.NDArray[np.int64]
    final_held_pages: npt.NDArray[np.int64]
    model_error: dict[str, Any]
    events: dict[str, Any]

    @property
    def final_resident_bytes(self) -> int:
        """Guest RAM in memory after the last event, all machines together that have not ended."""
        machines = self.trace.manifest.virtual_machines
        stays = np.array([machine.ended_time_ns is None for machine in machines])
        is_kept = stays[self.ledger.vm]
        pages = self.initial_resident_pages[stays].sum()
        return int(pages + self.ledger.resident_delta_pages[is_kept].sum()) * PAGE_BYTES

    def to_dict(self) -> dict[str, Any]:
        """Give all but the columns, as JSON takes it."""
        return {
            "lineage": self.lineage,
            "settings": self.settings.model_dump(),
            "identifiable": self.identifiable.to_dict(),
            "model_error": self.model_error,
            "events": self.events,
        }

    def _card(self) -> Card:
        return replay_card(self)


@checks_names
def replay(
    trace: Trace,
    *,
    device: Device | None = None,
    guest: Guest | None = None,
    host: Host | None = None,
    cost: Cost | None = None,
    settings: Settings | None = None,
    progress: bool = True,
) -> Replay:
    """Replay `trace`: as captured, or with other settings where the trace can answer for them.

    Parameters
    ----------
    device, guest, host, cost, settings
        What to change; what is left out stays as captured.  Settings are all of them in one.
    progress
        Whether to show on a terminal or in a notebook, after a second, that it is still at work.

    Raises
    ------
    UnanswerableError
        The trace does not hold what the answer needs; the message says what.
    UsageError
        A name or a value cannot be.
    InputError
        The trace is damaged.

    Examples
    --------
    >>> import workbench as wb
    >>> trace = wb.read_trace("traces/churn-on.trace")
    >>> run = wb.replay(trace)
    >>> run.model_error["resident_bytes"]["final_pages"]
    0
    >>> wb.replay(trace, guest=wb.Guest(poison_val=0xAAAAAAAA)).events["skipped"]["poisoned"]
    298

    Notes
    -----
    A what-if replays the trace as captured too, for `model_error` and to judge what can be
    answered.  Samples are read only to compare it with them.
    """
    settings = choose(settings, device=device, guest=guest, host=host, cost=cost)
    require_trace(trace)
    with working(f"replaying {trace.name}, {settings.label}", is_shown=progress):
        return _replay(trace, settings)


def _replay(trace: Trace, settings: Settings) -> Replay:
    known, identifiable, replayed, run = ask(trace, settings)
    error = dict(known.model_error)
    if settings.host.is_chosen or (known.facts.swaps and is_otherwise(run, known.run)):
        replayed, run = touched(trace, known.facts, settings, replayed)
        seen = seen_limits(known.happened.columns, known.run)
        replayed, run, notes = serve_run(trace, replayed, run, settings, seen)
        as_told = touched(trace, known.facts, Settings(), known.happened)
        error = error | {"host": host_error(trace, *as_told)}
        identifiable = identifiable.noting(notes)
    events, differences = EventCounts(), DecisionCounts()
    events.add(run.ledger)
    differences.add(known.run.ledger, known.happened.decisions)
    captured = differences.to_dict()
    return Replay(
        trace=trace,
        settings=settings,
        identifiable=identifiable.noting(late_notes(events.surprises, captured["surprises"])),
        lineage=lineage(trace, settings),
        columns=replayed.columns,
        ledger=run.ledger,
        initial_resident_pages=run.initial_resident_pages,
        initial_swapped_pages=run.initial_swapped_pages,
        final_held_pages=run.final_held_pages,
        model_error=error,
        events={**events.to_dict(), "as_captured": captured},
    )


def at_samples(run: Replay) -> list[AtSamples]:
    """Give what a replay as captured says at the moments at which the host measured, by machine.

    Raises
    ------
    UsageError
        The run has other settings, and those nobody measured.
    """
    if not run.settings.runs_as_captured:
        raise UsageError(
            f"{run.trace.name} was replayed with {run.settings.label}, and measured as captured; "
            "compare a replay without settings"
        )
    error = ErrorSoFar(run.trace, run.initial_resident_pages, run.initial_swapped_pages)
    error.add(run.columns, run.ledger)
    return error.at_samples()


@checks_names
def identify(
    trace: Trace,
    settings: Settings | None = None,
    *,
    device: Device | None = None,
    guest: Guest | None = None,
    host: Host | None = None,
) -> Identifiable:
    """Judge whether `trace` can answer for these settings, without answering.

    Parameters
    ----------
    settings, device, guest, host
        What to change, as for `replay`.

    Raises
    ------
    InputError
        The trace is damaged.

    Examples
    --------
    >>> import workbench as wb
    >>> trace = wb.read_trace("traces/churn-on.trace")
    >>> identify(trace, guest=wb.Guest(reporting_order=0)).answerable
    False
    """
    chosen = choose(settings, device=device, guest=guest, host=host)
    return judge(captured_facts(trace), chosen)


def captured_facts(trace: Trace) -> TraceFacts:
    """Collect what `judge` goes by, to judge more than one question.

    Notes
    -----
    Replays the trace as captured, which is all the work there is: judging takes no time.
    """
    return as_captured(trace).facts


def lineage(trace: Trace, settings: Settings) -> dict[str, Any]:
    """Say what a result for these settings is made of."""
    return {
        "trace": trace.digest,
        "recording": _recording(trace),
        "settings": settings.model_dump(),
        **made_with(),
    }


def lineage_of_files(trace: Trace, settings: Settings) -> dict[str, Any]:
    """Say the same of a trace that may be larger than memory, by its files."""
    return {
        "trace_files": trace.files_digest,
        "recording": _recording(trace),
        "settings": settings.model_dump(),
        **made_with(),
    }


def _recording(trace: Trace) -> dict[str, Any]:
    """Say what the trace is called, and when it began and how long it took."""
    return {
        "name": trace.name,
        "start_time_ns": trace.manifest.start_time_ns,
        "duration_ns": trace.manifest.duration_ns,
    }


def made_with() -> dict[str, Any]:
    """Name the model and the versions that a result was made with."""
    return {
        "model": model_digest(),
        "versions": {
            "workbench": workbench.__version__,
            "schema": SCHEMA_VERSION,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
