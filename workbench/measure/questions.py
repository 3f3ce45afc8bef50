"""The questions people ask of a trace, and which of them this one can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.measure.asking import WITHOUT_REPORTING
from workbench.model import PAGE_POISON_VAL
from workbench.replay import Device, Guest, Identifiable, Settings, captured_facts, judge

if TYPE_CHECKING:
    from workbench.measure.metric_frame import AnswerFrame
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
    Question("With reporting off?", WITHOUT_REPORTING),
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


def questions(trace: Trace) -> AnswerFrame:
    """Say which of the questions that people ask `trace` can answer, and why not the others.

    Returns
    -------
    One row per question: question, settings (in words), answerable, reasons (why not; empty where
    it can) and notes (what the answer leaves open), each of several joined by semicolons.

    Raises
    ------
    InputError
        The trace is damaged.

    Notes
    -----
    Replays the trace as captured, once for all questions.
    """
    from workbench.measure.metric_frame import AnswerFrame  # noqa: PLC0415 - It imports pandas.

    rows = [
        {
            "question": asked.text,
            "settings": asked.settings.label,
            "answerable": identifiable.answerable,
            "reasons": "; ".join(identifiable.reasons),
            "notes": "; ".join(identifiable.notes),
        }
        for asked, identifiable in answerable(trace)
    ]
    frame = AnswerFrame(rows)
    frame.attrs = {"title": f"What {trace.name} can answer"}
    return frame
