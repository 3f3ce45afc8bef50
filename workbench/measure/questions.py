"""The questions people ask of a trace, and which of them this one can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.replay import Device, Guest, Identifiable, Settings, identify

if TYPE_CHECKING:
    from workbench.trace import Trace

POISON_PATTERN = 0xAAAAAAAA
"""What Linux fills free pages with (include/linux/poison.h, PAGE_POISON), four times."""


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
        "Had the guest poisoned its free pages?", Settings(guest=Guest(poison_val=POISON_PATTERN))
    ),
    Question("Had it cleared them instead?", Settings(guest=Guest(poison_val=0))),
    Question("Had discards been inhibited?", Settings(device=Device(discard_inhibited=True))),
    Question("With reports of single pages?", Settings(guest=Guest(reporting_order=0))),
    Question("With a shorter delay?", Settings(guest=Guest(reporting_delay_ns=250_000_000))),
)
"""In the order in which people ask.  The shorter delay is the one vm0 tried (issue #34723)."""


def answerable(trace: Trace) -> tuple[Answerable, ...]:
    """Judge every question of `QUESTIONS`."""
    return tuple(Answerable(question, identify(trace, question.settings)) for question in QUESTIONS)
