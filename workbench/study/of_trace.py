"""A study of guests like the one of a trace, as far as the trace can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.measure import Asked
from workbench.replay import UnanswerableError
from workbench.study.rules import WrongStudyError
from workbench.study.study import WITHOUT_REPORTING, GuestKind, Limit, Study
from workbench.study.timeline import step_of_trace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.study.study import HostKind, Variant
    from workbench.trace import Trace


def ask_study(
    trace: Trace,
    variants: Iterable[Variant],
    *,
    hosts: Iterable[HostKind],
    limit: Limit | None = None,
    seeds: Iterable[int] = (1, 2, 3, 4),
) -> Asked[Study]:
    """Make a study of guests that do what the guest of a trace did, each from a random moment on.

    Parameters
    ----------
    variants
        What to compare with no reporting; those that the trace cannot answer for are left out.
    hosts, limit, seeds
        As in `Study`.

    Returns
    -------
    The study, if there can be one, and a sentence for each variant that was left out.
    """
    try:
        kind = GuestKind(name=trace.name, members=(trace,))
    except WrongStudyError as refusal:
        return Asked((), (refusal.sentence,))
    study: Study | None = None
    refusals: list[str] = []
    for variant in dict.fromkeys((WITHOUT_REPORTING, *variants)):
        try:
            study = Study(
                name=trace.name,
                guests=(kind,),
                hosts=tuple(hosts),
                variants=(variant,) if study is None else (*study.variants, variant),
                limit=limit or Limit(),
                seeds=tuple(seeds),
                step_ns=step_of_trace(trace),
            )
        except UnanswerableError as refusal:
            refusals.append(f"{variant.label}: {'; '.join(refusal.identifiable.reasons)}")
            if study is None:
                break
    return Asked(() if study is None else (study,), tuple(refusals))
