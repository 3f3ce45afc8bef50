"""What every answer begins with: the trace as captured, what it can say, and what guests would do.

A question is a trace and settings.  Whether the host's memory is to be modelled, and how, is left
to those that answer: a replay for one size of it, a curve for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.errors import UsageError
from workbench.replay.decisions import Happened, happened
from workbench.replay.facts import TraceFacts, trace_facts
from workbench.replay.hints import without_hints
from workbench.replay.identify import Identifiable, UnanswerableError, judge
from workbench.replay.model_error import model_error
from workbench.replay.placement import place_trace, with_touches
from workbench.replay.settings import Cost, Device, Guest, Host, Settings
from workbench.replay.trace_run import TraceRun, run_trace

if TYPE_CHECKING:
    from workbench.trace import Trace


class Question(NamedTuple):
    """A question that its trace can answer."""

    as_captured: Happened
    captured: TraceRun
    """What the events did, as captured."""
    facts: TraceFacts
    identifiable: Identifiable
    model_error: dict[str, Any]
    """How far that is from the samples."""
    replayed: Happened
    """The events as the guests would have made them."""
    run: TraceRun
    """What those did, with the swapping of the capture, if any."""


def ask(trace: Trace, settings: Settings) -> Question:
    """Replay the trace as captured, judge the question, and place what guests would do otherwise.

    Raises
    ------
    UnanswerableError
        The trace does not hold what the answer needs; the message says what.
    """
    as_captured = happened(trace.columns("events"))
    captured = run_trace(trace, as_captured, Settings())
    facts = trace_facts(trace, captured.ledger)
    identifiable = judge(facts, settings)
    error = model_error(
        trace, captured.ledger, captured.initial_resident_pages, captured.initial_swapped_pages
    )
    if not identifiable.answerable:
        raise UnanswerableError(trace.name, identifiable, error)
    replayed = _placed(trace, facts, settings, as_captured)
    run = captured if settings.runs_as_captured else run_trace(trace, replayed, settings)
    return Question(as_captured, captured, facts, identifiable, error, replayed, run)


def choose(settings: Settings | None, **tables: Device | Guest | Host | Cost | None) -> Settings:
    """Put tables of settings into one, or take all of them in one, but not both."""
    given: dict[str, Any] = {name: table for name, table in tables.items() if table is not None}
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


def _placed(trace: Trace, facts: TraceFacts, settings: Settings, as_captured: Happened) -> Happened:
    """Give the events as the guests would have made them."""
    follows_touches = facts.swaps or settings.host.is_chosen
    placed = place_trace(trace, facts, settings, follows_touches=follows_touches)
    replayed = as_captured if placed is None else happened(placed)
    if settings.device.free_page_hint is False:
        return happened(without_hints(replayed.columns))
    return replayed
