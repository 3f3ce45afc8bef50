"""The questions people ask of a trace, and which of them this one can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.model import PAGE_POISON_VAL
from workbench.replay import Device, Guest, Identifiable, Settings, captured_facts, judge

if TYPE_CHECKING:
    from workbench.trace import Trace


class Question(NamedTuple):
    """A question, in words and as settings."""

    text: str
    settings: Settings


class Answerable(NamedTuple):
    """A question, and whether the trace can answer it."""

    question: Question
    identifiable: Identifiable


QUESTIONS: tuple[Question, ...] = (
    Question("What happened?", Settings()),
    Question("With reporting off?", Settings(device=Device(free_page_reporting=False))),
    Question("With reporting on?", Settings(device=Device(free_page_reporting=True))),
    Question(
        "Had the guest poisoned its free pages?", Settings(guest=Guest(poison_val=PAGE_POISON_VAL))
    ),
    Question("Had it cleared them instead?", Settings(guest=Guest(poison_val=0))),
    Question("Had discards been inhibited?", Settings(device=Device(discard_inhibited=True))),
    Question("With reports of single pages?", Settings(guest=Guest(reporting_order=0))),
    Question("With a shorter delay?", Settings(guest=Guest(reporting_delay_ns=250_000_000))),
)
"""In the order in which people ask.

Linux waits 2 s after a free before it reports; 250 ms, an eighth of that, stands for any guest that
would report much sooner.
"""


def answerable(trace: Trace) -> tuple[Answerable, ...]:
    """Judge every question of `QUESTIONS`."""
    facts = captured_facts(trace)
    return tuple(Answerable(question, judge(facts, question.settings)) for question in QUESTIONS)
