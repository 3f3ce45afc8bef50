"""What every answer begins with: the trace as captured, what it can say, and what guests would do.

A question is a trace and settings.  Whether the host's memory is to be modelled, and how, is left
to those that answer: a replay for one size of it, a curve for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from workbench.errors import UsageError
from workbench.replay.decisions import Happened, happened
from workbench.replay.facts import FactsSoFar, TraceFacts
from workbench.replay.hints import without_hints
from workbench.replay.identify import Identifiable, UnanswerableError, judge
from workbench.replay.model_error import ErrorSoFar
from workbench.replay.placement import place_trace, with_touches
from workbench.replay.settings import Cost, Device, Guest, Host, Settings
from workbench.replay.trace_run import TraceRun, run_trace
from workbench.trace import require_trace

if TYPE_CHECKING:
    from workbench.trace import Trace


class AsCaptured:
    """A trace replayed as captured: what every question about it begins with.

    Kept as long as the trace is, with its ledger.
    """

    def __init__(self, trace: Trace) -> None:
        # Not the trace itself: that would keep it, and with it this, for ever.
        self.happened = happened(trace.columns("events"))
        self.run = run = run_trace(trace, self.happened, Settings())
        facts = FactsSoFar(trace)
        error = ErrorSoFar(trace, run.initial_resident_pages, run.initial_swapped_pages)
        for found in (facts, error):
            found.add(self.happened.columns, run.ledger)
        self.facts = facts.facts()
        self.model_error = error.document()


_KNOWN: Final[WeakKeyDictionary[Trace, AsCaptured]] = WeakKeyDictionary()
"""A trace never changes, so neither does what it says as captured."""


def as_captured(trace: Trace) -> AsCaptured:
    """Replay a trace as captured, or give what that said the last time."""
    require_trace(trace)
    known = _KNOWN.get(trace)
    if known is None:
        known = _KNOWN[trace] = AsCaptured(trace)
    return known


_TABLES: Final[dict[str, type[object]]] = {
    "settings": Settings,
    "device": Device,
    "guest": Guest,
    "host": Host,
    "cost": Cost,
}


class Question(NamedTuple):
    """A question that its trace can answer."""

    known: AsCaptured
    identifiable: Identifiable
    replayed: Happened
    """The events as the guests would have made them."""
    run: TraceRun
    """What those did, with the swapping of the capture, if any."""


def ask(trace: Trace, settings: Settings) -> Question:
    """Judge the question, and place what guests would do otherwise.

    Raises
    ------
    UnanswerableError
        The trace does not hold what the answer needs; the message says what.
    """
    known = as_captured(trace)
    identifiable = judge(known.facts, settings)
    if not identifiable.answerable:
        raise UnanswerableError(trace.name, identifiable, known.model_error)
    replayed = _placed(trace, settings, known)
    run = known.run if settings.runs_as_captured else run_trace(trace, replayed, settings)
    return Question(known, identifiable, replayed, run)


def choose(settings: Settings | None, **tables: Device | Guest | Host | Cost | None) -> Settings:
    """Put tables of settings into one, or take all of them in one, but not both.

    Raises
    ------
    UsageError
        Both are given, or something that is no such table.
    """
    given: dict[str, Any] = {name: table for name, table in tables.items() if table is not None}
    for name, table in {"settings": settings, **given}.items():
        expected = _TABLES[name]
        if table is not None and not isinstance(table, expected):
            raise UsageError(f"{name} is {table!r}, expected {expected.__name__}(...)")
    if settings is None:
        return Settings(**given)
    if given:
        raise UsageError(f"give either settings or {', '.join(tables)}, not both")
    return settings


def touched(
    trace: Trace, facts: TraceFacts, settings: Settings, replayed: Happened
) -> tuple[Happened, TraceRun]:
    """Tell the model of the host what guests access and free that live as captured."""
    told = happened(with_touches(trace, facts, settings, replayed.columns))
    return told, run_trace(trace, told, settings)


def _placed(trace: Trace, settings: Settings, known: AsCaptured) -> Happened:
    """Give the events as the guests would have made them."""
    follows_touches = known.facts.swaps or settings.host.is_chosen
    placed = place_trace(trace, known.facts, settings, follows_touches=follows_touches)
    replayed = known.happened if placed is None else happened(placed)
    if settings.device.free_page_hint is False:
        return happened(without_hints(replayed.columns))
    return replayed
