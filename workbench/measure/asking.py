"""The same question under several settings, where a refusal is an answer too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from workbench.replay import NO_FAULTS, Device, Settings, UnanswerableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.trace import Trace

AnswerT = TypeVar("AnswerT")

WITHOUT_REPORTING: Final = Settings(device=Device(free_page_reporting=False))
"""What everything about reporting is compared with."""


@dataclass(frozen=True, repr=False)
class Asked(Generic[AnswerT]):
    """What came of a question.

    Attributes
    ----------
    answers
        Those that the trace can give, in the order of the settings.
    refusals
        A sentence for each setting that it cannot answer for.
    """

    answers: tuple[AnswerT, ...]
    refusals: tuple[str, ...]

    def __repr__(self) -> str:
        """Give what there is to say: every refusal, or that there is none."""
        return "\n".join(self.refusals) or "all of it can be answered"


def ask(question: Callable[..., AnswerT], trace: Trace, *settings: Settings) -> Asked[AnswerT]:
    """Ask a question about memory under each of these settings.

    Parameters
    ----------
    question
        `replay` or `curve`: takes a trace and the keyword `settings`.
    """
    answers: list[AnswerT] = []
    refusals: list[str] = []
    for each in settings:
        if not trace.manifest.saw_faults:
            refusals.append(f"{each.label}: {NO_FAULTS}")
            continue
        try:
            answers.append(question(trace, settings=each))
        except UnanswerableError as refusal:
            refusals.append(f"{each.label}: {'; '.join(refusal.identifiable.reasons)}")
    return Asked(tuple(answers), tuple(refusals))
