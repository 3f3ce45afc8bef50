"""Figures that were accepted: a baseline in a file, with what they were before.

    [[accepted]]
    name = "churn-on"
    trace = "6a23aeb9f0b2cd27..."
    settings = "as captured"
    model = "3c52d0c23f5dae84"
    trace_format = "1.2"

    [accepted.figures]
    reclaimed_bytes = 780140544

    [[accepted.before]]
    model = "0d81e1a07fb15c39"
    figures = { reclaimed_bytes = 390070272 }

A figure is gated, not the model that gave it: a model that gives the same figures needs no new
acceptance, whatever its digest.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from workbench.errors import InputError
from workbench.gate.budgets import Accepted, Before, read_budget_file
from workbench.gate.runs import Run
from workbench.whole_file import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from workbench.gate.runs import Number, Side

_HEAD: Final = "[[accepted]]"

_REMARK: Final = "# Written by `workbench compare --accept`; put nothing of your own below."


def accepted_runs(accepted: Iterable[Accepted]) -> tuple[Run, ...]:
    """Give accepted figures as the runs they were taken from."""
    return tuple(
        Run(
            name=each.name,
            trace=each.trace,
            settings=each.settings,
            model=each.model,
            schema=each.trace_format,
            lost_events=int(each.figures.get("events_lost", 0)),
            model_figures=each.figures,
        )
        for each in accepted
    )


def stand_in(baseline: Side, accepted: Iterable[Accepted]) -> tuple[Side, tuple[str, ...]]:
    """Put accepted figures in the place of the baseline's.

    Returns
    -------
    The baseline with them, and a sentence about those that differ from what they replace.
    """
    known = {(each.trace, each.settings): each for each in accepted}
    runs, changes = [], []
    for run in baseline.runs:
        entry = known.get((run.trace, run.settings))
        if entry is None:
            runs.append(run)
            continue
        # That a metric has no value any more is accepted too; one that is new to both sides stays.
        gone = {name for each in entry.before for name in each.figures} - entry.figures.keys()
        kept = {name: value for name, value in run.model_figures.items() if name not in gone}
        figures = {**kept, **entry.figures}
        changes += [
            f"{name} of {run.name} {_number(figures.get(name))} (was {_number(old)})"
            for name, old in run.model_figures.items()
            if figures.get(name) != old
        ]
        runs.append(replace(run, model=entry.model, model_figures=figures))
    shown = ", ".join(changes[:_SHOWN_MOST])
    more = f" and {len(changes) - _SHOWN_MOST:,} more" if len(changes) > _SHOWN_MOST else ""
    told = (f"Accepted instead of the baseline's figures: {shown}{more}.",) if changes else ()
    return replace(baseline, runs=tuple(runs)), told


def _number(value: Number | None) -> str:
    return "none" if value is None else f"{value:,}"


_SHOWN_MOST: Final = 10
"""Accepted changes that are listed; the file has them all, with what they were."""


def with_accepted(baseline: Side, accepted: Iterable[Accepted]) -> Side:
    """Add what was accepted of other recordings to a baseline of accepted figures.

    Any other baseline stays as it is: accepted figures stand in for its own, and add none.
    """
    if not baseline.is_accepted:
        return baseline
    known = {(run.trace, run.settings) for run in baseline.runs}
    added = [run for run in accepted_runs(accepted) if (run.trace, run.settings) not in known]
    return replace(baseline, runs=(*baseline.runs, *added))


def accept(
    accepted: Sequence[Accepted], baseline: Iterable[Run], candidate: Iterable[Run]
) -> list[Accepted]:
    """Accept the candidate's figures, and keep what they were.

    Parameters
    ----------
    accepted
        What was accepted so far.
    baseline, candidate
        Of equal recordings where both have one.  Baselines that are themselves accepted figures
        need not be given.

    Returns
    -------
    One entry for each recording and its settings, in the order of their names.
    """
    entries = {(each.trace, each.settings): each for each in accepted}
    replaced = {run.trace: run for run in baseline}
    for run in candidate:
        before = entries.get((run.trace, run.settings))
        entries[run.trace, run.settings] = _with(before, replaced.get(run.trace), run)
    return sorted(entries.values(), key=lambda each: (each.name, each.settings, each.trace))


def _with(before: Accepted | None, baseline: Run | None, run: Run) -> Accepted:
    history = list(before.before) if before else []
    old_figures: Mapping[str, Number] = {}
    old_model = run.model
    if before is not None:
        old_figures, old_model = before.figures, before.model
    elif baseline is not None:
        old_figures, old_model = baseline.model_figures, baseline.model
    gone = {
        name: value for name, value in old_figures.items() if run.model_figures.get(name) != value
    }
    if gone:
        history.insert(0, Before(model=old_model, figures=gone))
    return Accepted(
        name=run.name,
        trace=run.trace,
        settings=run.settings,
        model=run.model,
        trace_format=run.schema,
        figures=dict(run.model_figures),
        before=history,
    )


def write_accepted(path: Path, accepted: Iterable[Accepted]) -> None:
    """Put accepted figures into a budget file; what stands before them stays as it is.

    Raises
    ------
    InputError
        Something of the user's stands after the accepted figures that are there.
    WriteError
        The file cannot be written; it is as it was.
    """
    own = _own_part(path)
    text = "\n".join([own.rstrip("\n"), "", _REMARK, *map(_entry, accepted)]).lstrip("\n")
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
    path.chmod(_MODE)


_MODE: Final = 0o644
"""A file of a repository, which everybody who can read the repository may read."""


def _own_part(path: Path) -> str:
    """Give the text before the accepted figures: budgets and comments."""
    if not path.exists():
        return ""
    whole = read_budget_file(path)
    text = path.read_text(encoding="utf-8")
    lines = text.split("\n")
    heads = [number for number, line in enumerate(lines) if line.strip() == _HEAD]
    if bool(heads) != bool(whole.accepted):
        raise InputError(f"{path}: write `{_HEAD}` on a line of its own; nothing was changed")
    own = lines[: heads[0]] if heads else lines
    if any(line.lstrip().startswith("[budget") for line in lines[len(own) :]):
        raise InputError(
            f"{path}: a budget stands after the accepted figures; move it before them, nothing was "
            "changed"
        )
    return "\n".join(line for line in own if line != _REMARK)


def _entry(each: Accepted) -> str:
    names = ("name", "trace", "settings", "model", "trace_format")
    lines = [_HEAD, *(f"{name} = {_text(getattr(each, name))}" for name in names)]
    lines += ["", "[accepted.figures]"]
    lines += [f"{_key(name)} = {value!r}" for name, value in sorted(each.figures.items())]
    for before in each.before:
        figures = ", ".join(f"{_key(name)} = {value!r}" for name, value in before.figures.items())
        lines += ["", "[[accepted.before]]", f"model = {_text(before.model)}"]
        lines.append(f"figures = {{ {figures} }}")
    return "\n".join([*lines, ""])


def _text(text: str) -> str:
    """Write a string as TOML has it: JSON's form, but characters beyond ASCII as they are."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").isalnum() else _text(name)
